//! Underpass as processes of their own: gateways, relays and runners that can be killed, stopped and cut off.

pub mod hub;
