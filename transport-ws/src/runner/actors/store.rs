//! What an actor keeps.

use std::collections::HashMap;

use bytes::Bytes;
use bytestring::ByteString;
use thiserror::Error;
use underpass_core::protocol::DataList;
use underpass_core::protocol::kv::{KvEntries, KvListQuery, KvRequestData, KvResponseData};
use underpass_core::runner::Event;

use super::ActorContext;

/// An actor's key-value store: keys and values are bytes, and keys are ordered by them.
///
/// A call is done as a whole or not at all. It may be done twice, if the connection to the relay breaks before it was
/// answered; calls that are not awaited one after the other may be done in any order. If one fails with an error, it may
/// have been done all the same.
#[derive(Clone, Copy, Debug)]
pub struct Kv<'a> {
    actor: &'a ActorContext,
}

/// An actor's store did not do what it was asked; why, for people.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the actor's store: {0}")]
pub struct KvError(pub ByteString);

impl KvError {
    fn other_answer() -> Self {
        KvError(ByteString::from_static("it answered something else"))
    }
}

impl<'a> Kv<'a> {
    pub(super) fn of(actor: &'a ActorContext) -> Self {
        Kv { actor }
    }

    /// The value of a key, if there is one.
    ///
    /// # Errors
    /// The store could not be asked.
    pub async fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Bytes>, KvError> {
        let [value] = self.get_all([key]).await?.try_into().map_err(|_| KvError::other_answer())?;
        Ok(value)
    }

    /// The values of keys, in their order.
    ///
    /// # Errors
    /// The store could not be asked.
    pub async fn get_all<K: AsRef<[u8]>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Option<Bytes>>, KvError> {
        let keys: DataList = keys.into_iter().collect();
        let answer = self.call(KvRequestData::Get { keys: keys.clone() }).await?;
        let KvResponseData::Get(found) = answer else { return Err(KvError::other_answer()) };
        let found: HashMap<Bytes, Bytes> = pairs(&found).collect();
        Ok(keys.iter().map(|key| found.get(&key).cloned()).collect())
    }

    /// Gives a key a value.
    ///
    /// # Errors
    /// The store did not do it, or did not say so.
    pub async fn put(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<(), KvError> {
        self.put_all([(key, value)]).await
    }

    /// Gives keys values, all or none.
    ///
    /// # Errors
    /// The store did not do it, or did not say so.
    pub async fn put_all<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        &self,
        entries: impl IntoIterator<Item = (K, V)>,
    ) -> Result<(), KvError> {
        let entries: Vec<(K, V)> = entries.into_iter().collect();
        let keys = entries.iter().map(|(key, _)| key).collect();
        let values = entries.iter().map(|(_, value)| value).collect();
        let answer = self.call(KvRequestData::Put { keys, values }).await?;
        let KvResponseData::Put = answer else { return Err(KvError::other_answer()) };
        Ok(())
    }

    /// Removes a key, if it is there.
    ///
    /// # Errors
    /// The store did not do it, or did not say so.
    pub async fn delete(&self, key: impl AsRef<[u8]>) -> Result<(), KvError> {
        self.delete_all([key]).await
    }

    /// Removes keys, those that are there.
    ///
    /// # Errors
    /// The store did not do it, or did not say so.
    pub async fn delete_all<K: AsRef<[u8]>>(&self, keys: impl IntoIterator<Item = K>) -> Result<(), KvError> {
        self.remove(KvRequestData::Delete { keys: keys.into_iter().collect() }).await
    }

    /// Removes all keys from `start` up to but without `end`.
    ///
    /// # Errors
    /// The store did not do it, or did not say so.
    pub async fn delete_range(&self, start: impl AsRef<[u8]>, end: impl AsRef<[u8]>) -> Result<(), KvError> {
        let bytes = Bytes::copy_from_slice;
        self.remove(KvRequestData::DeleteRange { start: bytes(start.as_ref()), end: bytes(end.as_ref()) }).await
    }

    async fn remove(&self, call: KvRequestData) -> Result<(), KvError> {
        let KvResponseData::Delete = self.call(call).await? else { return Err(KvError::other_answer()) };
        Ok(())
    }

    /// Removes all that there is.
    ///
    /// # Errors
    /// The store did not do it, or did not say so.
    pub async fn clear(&self) -> Result<(), KvError> {
        let KvResponseData::Drop = self.call(KvRequestData::Drop).await? else { return Err(KvError::other_answer()) };
        Ok(())
    }

    /// The keys and values of a range, ascending or `reverse`, the first `limit` of them in that order. The relay may
    /// give fewer at once than there are.
    ///
    /// # Errors
    /// The store could not be asked.
    pub async fn list(
        &self,
        query: KvListQuery,
        reverse: bool,
        limit: Option<u64>,
    ) -> Result<Vec<(Bytes, Bytes)>, KvError> {
        let answer = self.call(KvRequestData::List { query, reverse: Some(reverse), limit }).await?;
        let KvResponseData::List(found) = answer else { return Err(KvError::other_answer()) };
        Ok(pairs(&found).collect())
    }

    /// The keys that start so, with their values, ascending.
    ///
    /// # Errors
    /// The store could not be asked.
    pub async fn list_prefix(&self, prefix: impl AsRef<[u8]>) -> Result<Vec<(Bytes, Bytes)>, KvError> {
        let key = Bytes::copy_from_slice(prefix.as_ref());
        self.list(KvListQuery::Prefix { key }, false, None).await
    }

    async fn call(&self, call: KvRequestData) -> Result<KvResponseData, KvError> {
        let actor = self.actor.life.clone();
        let answered = self.actor.driver.enter(|inside| {
            let (number, answered) = inside.outlets.lives.call();
            inside.handle(Event::Kv { actor, number, call });
            answered
        });
        match answered.await {
            Ok(KvResponseData::Error { message }) => Err(KvError(message)),
            Ok(answer) => Ok(answer),
            Err(_) => Err(KvError(ByteString::from_static("the runner has ended"))),
        }
    }
}

fn pairs(found: &KvEntries) -> impl Iterator<Item = (Bytes, Bytes)> + '_ {
    found.keys.iter().zip(found.values.iter())
}
