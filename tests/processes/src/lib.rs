//! Underpass as processes of their own: gateways, relays and runners that can be killed, stopped and cut off.
//!
//! The program `machine` runs a gateway or a relay on a [`hub`]; runners are `underpass runner`. The program `kills`
//! joins them into fleets and measures who hears of what when one dies; `soak` sends many requests through
//! `underpass up` and looks at what is left behind; `sleepers` replaces the process of actors that sleep, as do their
//! WebSockets.

pub mod hub;
pub mod process;
pub mod proxy;
