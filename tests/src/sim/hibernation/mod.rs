//! WebSockets that can hibernate: what a seed decides of them, both ends of each, and what must hold.
//!
//! | file | concern |
//! | --- | --- |
//! | here | what clients do and how handlers save, and schedules of such clients only |
//! | `client` | the client's end: it sends, is idle for minutes, and knows what it may hear |
//! | `keeper` | the handler's end: it handles, saves and acknowledges, and goes on in the next life of its actor |
//! | `store` | what handlers have saved, which outlives every process |
//! | `checks` | what must hold of them |

pub mod checks;
mod client;
pub mod keeper;
pub mod plan;
mod schedule;
pub mod store;

pub use client::Talk;
pub use keeper::Keeper;
pub use plan::HibernatingPlan;
pub use store::Store;
