//! What a machine tells of its requests.

use bytestring::ByteString;

use super::End;
use crate::failure::RequestName;

/// What became of a request by the last event, or by its opening: told by the machine where it comes about.
///
/// Of each request, [`Opened`](News::Opened) or [`Restored`](News::Restored) comes first and [`Ended`](News::Ended) last,
/// each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// It was taken in.
    Opened {
        /// Which.
        request: RequestName,
    },
    /// It is a WebSocket that slept, and is here with a life of its actor. Only relays and runners know.
    Restored {
        /// Which.
        request: RequestName,
        /// Its actor.
        actor_id: ByteString,
    },
    /// The answer began, or the WebSocket was opened. Only gateways tell.
    Answered {
        /// Which.
        request: RequestName,
        /// The status; of a WebSocket, 101.
        status: u16,
    },
    /// It is sent again, and has another name from here on. Only gateways know.
    SentAgain {
        /// What it was called.
        request: RequestName,
        /// What it is called.
        again: RequestName,
    },
    /// The WebSocket fell asleep. Only gateways know.
    Slept {
        /// Which.
        request: RequestName,
    },
    /// It woke. Only gateways know.
    Woke {
        /// Which.
        request: RequestName,
    },
    /// Nothing more comes of it.
    Ended {
        /// Which.
        request: RequestName,
        /// How.
        end: End,
    },
}

/// The news of the last event.
#[derive(Debug, Default)]
pub(crate) struct Latest(Vec<News>);

/// So much room is kept from one event to the next.
const KEPT: usize = 1_024;

impl Latest {
    /// Something else happens: what is told from here on is of that.
    #[inline]
    pub(crate) fn begin(&mut self) {
        if !self.0.is_empty() {
            self.forget();
        }
    }

    fn forget(&mut self) {
        self.0.clear();
        self.0.shrink_to(KEPT);
    }

    pub(crate) fn push(&mut self, news: News) {
        self.0.push(news);
    }

    pub(crate) fn as_slice(&self) -> &[News] {
        &self.0
    }
}
