//! What the transport on NATS does beyond what every transport does: when the server is away, when there is too much,
//! and when frames are larger than the server takes.

mod away;
mod given;
mod kv;
mod large;
mod letting_in;
mod pressure;
mod records;
