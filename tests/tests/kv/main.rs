//! Actors' key-value stores: the same stories over each store that there is, then what only a durable one promises.

mod conformance;
mod durable;
mod given;
mod killed;
mod model;
