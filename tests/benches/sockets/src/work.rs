//! The rows of the table: what is asked of all contestants, and what Underpass is to reach.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::contestants::Contestant;
use crate::load::http::Exchange;
use crate::load::{Cell, http, websocket};

/// A body or message that is not small, bytes.
const LARGE: usize = 64 * 1024;

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Work {
    Get { connections: usize },
    Post { connections: usize },
    Echo { connections: usize },
    WebSocket { size: usize, outstanding: usize },
}

impl Work {
    pub(crate) const ALL: [Work; 14] = [
        Work::Get { connections: 1 },
        Work::Get { connections: 16 },
        Work::Get { connections: 64 },
        Work::Post { connections: 1 },
        Work::Post { connections: 16 },
        Work::Post { connections: 64 },
        Work::Echo { connections: 1 },
        Work::Echo { connections: 16 },
        Work::WebSocket { size: 64, outstanding: 1 },
        Work::WebSocket { size: 64, outstanding: 8 },
        Work::WebSocket { size: 64, outstanding: 100 },
        Work::WebSocket { size: LARGE, outstanding: 1 },
        Work::WebSocket { size: LARGE, outstanding: 8 },
        Work::WebSocket { size: LARGE, outstanding: 100 },
    ];

    /// Measures it once.
    pub(crate) async fn measure(self, contestant: &Contestant, duration: Duration) -> io::Result<Cell> {
        let pool = contestant.pool;
        let (exchange, connections) = match self {
            Work::Get { connections } => (Exchange::get(pool), connections),
            Work::Post { connections } => (Exchange::post(pool, LARGE), connections),
            Work::Echo { connections } => (Exchange::echo(pool, LARGE), connections),
            Work::WebSocket { size, outstanding } => {
                return websocket::load(contestant.websocket, pool, size, outstanding, duration).await;
            }
        };
        http::load(contestant.http, &exchange, connections, duration).await
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |number: usize| if number == 1 { "" } else { "s" };
        match *self {
            Work::Get { connections } => write!(f, "GET small, {connections} connection{}", plural(connections)),
            Work::Post { connections } => write!(f, "POST 64 KiB, {connections} connection{}", plural(connections)),
            Work::Echo { connections } => {
                write!(f, "POST 64 KiB, sent back, {connections} connection{}", plural(connections))
            }
            Work::WebSocket { size: LARGE, outstanding } => write!(f, "WebSocket 64 KiB, {outstanding} outstanding"),
            Work::WebSocket { size, outstanding } => write!(f, "WebSocket {size} B, {outstanding} outstanding"),
        }
    }
}
