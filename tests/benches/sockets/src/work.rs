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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// `GET /`.
    Get { connections: usize },
    /// `POST /count` of 64 KiB.
    Post { connections: usize },
    /// `POST /echo` of 64 KiB.
    Echo { connections: usize },
    /// Messages on one WebSocket, each of which comes back.
    WebSocket { size: usize, outstanding: usize },
}

/// What is to be reached, beside the same in the same run without a tunnel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Goal {
    /// Half of the answers come within so many times of direct's half.
    Half(f64),
    /// This share of direct's rate.
    Rate(f64),
    /// That, and 99 of a hundred answers within so many times of direct's.
    RateAndMost(f64, f64),
}

impl Work {
    pub(crate) const ALL: [Work; 13] = [
        Work::Get { connections: 1 },
        Work::Get { connections: 16 },
        Work::Get { connections: 64 },
        Work::Post { connections: 1 },
        Work::Post { connections: 16 },
        Work::Post { connections: 64 },
        Work::Echo { connections: 16 },
        Work::WebSocket { size: 64, outstanding: 1 },
        Work::WebSocket { size: 64, outstanding: 8 },
        Work::WebSocket { size: 64, outstanding: 100 },
        Work::WebSocket { size: LARGE, outstanding: 1 },
        Work::WebSocket { size: LARGE, outstanding: 8 },
        Work::WebSocket { size: LARGE, outstanding: 100 },
    ];

    /// The goal of this row, if it has one. Others than Underpass are measured only there.
    pub(crate) fn goal(self) -> Option<Goal> {
        Some(match self {
            Work::Get { connections: 1 } => Goal::Half(75.0 / 28.0),
            Work::Get { connections: 64 } => Goal::RateAndMost(0.56, 3.0),
            Work::Post { connections: 16 } => Goal::Rate(0.5),
            Work::WebSocket { size: 64, outstanding: 1 } => Goal::Rate(0.45),
            Work::WebSocket { size: 64, outstanding: 100 } => Goal::Rate(0.65),
            Work::WebSocket { size: LARGE, outstanding: 8 } => Goal::Rate(0.45),
            Work::Get { .. } | Work::Post { .. } | Work::Echo { .. } | Work::WebSocket { .. } => return None,
        })
    }

    /// What stands in the way of the goal, as profiles show it.
    pub(crate) fn obstacle(self) -> &'static str {
        match self {
            Work::Get { connections: 1 } => "four processes are woken for an answer, where direct needs two",
            Work::Get { .. } => {
                "three processes share the cores, and a request is HTTP's types twice: at the program and at the handler"
            }
            Work::Post { .. } | Work::Echo { .. } => {
                "a body is copied twice on its way out of the program: into one message, and into tungstenite's buffer"
            }
            Work::WebSocket { size: LARGE, .. } => {
                "a message is copied twice each way, into one piece and into tungstenite's buffer, and masked once more"
            }
            Work::WebSocket { outstanding: 1, .. } => "four processes are woken for a message, where direct needs two",
            Work::WebSocket { .. } => {
                "what is outstanding goes round as one batch, so that one of three processes works at a time; the \
                 tunnels pass on bytes, here each message is read and written by tungstenite four times more"
            }
        }
    }

    /// What stands in the way of passing on by `--to`.
    pub(crate) const PASSED_ON: &str = "four processes share the cores, and each request is written and read as HTTP \
                                        once more, by hyper-util's pooled client";

    /// Whether tunnels stall at it that wait before they send what is small.
    pub(crate) fn stalls(self) -> bool {
        matches!(self, Work::Post { connections: 16 } | Work::WebSocket { size: LARGE, outstanding: 8 })
    }

    /// Whether it is measured through `underpass runner --to`.
    pub(crate) fn is_passed_on(self) -> bool {
        matches!(self, Work::Get { .. } | Work::Post { connections: 16 })
    }

    /// Measures it once.
    ///
    /// # Errors
    /// What came back was not right, or a connection broke.
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
                write!(f, "POST 64 KiB and back, {connections} connection{}", plural(connections))
            }
            Work::WebSocket { size: LARGE, outstanding } => write!(f, "WebSocket 64 KiB, {outstanding} outstanding"),
            Work::WebSocket { size, outstanding } => write!(f, "WebSocket {size} B, {outstanding} outstanding"),
        }
    }
}
