//! Where the actors of a relay's runners keep what they keep.

use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;

use underpass_core::kv::{Call, KvStore, Owner, error_response};
use underpass_core::protocol::kv::KvResponseData;

type Answer = Pin<Box<dyn Future<Output = KvResponseData> + Send>>;

/// A key-value store of any kind.
#[derive(Clone)]
pub(super) struct Store(Arc<dyn Fn(Call, Owner) -> Answer + Send + Sync>);

impl Store {
    /// One that keeps.
    pub(super) fn new(store: impl KvStore) -> Self {
        Store(Arc::new(move |call, owner| Box::pin(call.carry_out(&store, owner))))
    }

    /// None: whoever asks is told so.
    pub(super) fn none() -> Self {
        Store(Arc::new(|_, _| Box::pin(ready(error_response("this relay has no key-value store")))))
    }

    /// Asks it at once.
    pub(super) fn ask(&self, call: Call, owner: Owner) -> Answer {
        (self.0)(call, owner)
    }
}
