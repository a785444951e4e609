//! From a call to its answer.

use core::fmt::Display;
use core::future::Future;

use bytestring::ByteString;
use serde::{Deserialize, Serialize};

use super::{KvStore, Owner, Query, Read, Write};
use crate::protocol::kv::{KvEntries, KvResponseData};

/// A request within the limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Call {
    /// It asks for entries.
    Read(Read),
    /// It changes them.
    Write(Write),
}

/// Both kinds of call, asked of a store.
enum Asked<Reading, Writing> {
    Read(Reading, fn(KvEntries) -> KvResponseData),
    Written(Writing, KvResponseData),
}

impl Call {
    /// Asks a store, at once, and answers with what comes of it.
    pub fn carry_out<S: KvStore>(
        self,
        store: &S,
        owner: Owner,
    ) -> impl Future<Output = KvResponseData> + Send + 'static + use<S> {
        let asked = match self {
            Call::Read(read) => {
                let answer = match &read.query {
                    Query::Keys(_) => KvResponseData::Get,
                    Query::Range { .. } => KvResponseData::List,
                };
                Asked::Read(store.read(owner, read), answer)
            }
            Call::Write(write) => {
                let answer = match &write {
                    Write::Put { .. } => KvResponseData::Put,
                    Write::Delete(_) | Write::DeleteRange(_) => KvResponseData::Delete,
                    Write::Drop => KvResponseData::Drop,
                };
                Asked::Written(store.write(owner, write), answer)
            }
        };
        async move {
            match asked {
                Asked::Read(reading, answer) => reading.await.map_or_else(error_response, answer),
                Asked::Written(writing, answer) => writing.await.map_or_else(error_response, |()| answer),
            }
        }
    }
}

/// `KvErrorResponse`, which says what is wrong.
pub fn error_response(error: impl Display) -> KvResponseData {
    KvResponseData::Error { message: ByteString::from(error.to_string()) }
}
