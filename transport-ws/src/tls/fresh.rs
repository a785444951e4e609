//! What is made of files, and made again when they change.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::TlsError;
use super::files::Contents;

/// What can be made of files.
pub(super) trait Source: Send + Sync + 'static {
    /// What.
    type Made: Send + Sync;

    /// Reads the files.
    fn read(&self) -> Contents;

    /// Makes it of what was in them.
    ///
    /// # Errors
    /// That cannot be used.
    fn make(&self, contents: &Contents) -> Result<Self::Made, TlsError>;
}

/// The last that could be made of files.
pub(super) struct Fresh<S: Source> {
    source: S,
    last: Mutex<Last<S::Made>>,
}

struct Last<T> {
    made: Arc<T>,
    /// What was in the files when they were last looked at.
    seen: Contents,
    /// Whether it is what `made` was made of.
    good: bool,
}

impl<S: Source> Fresh<S> {
    /// Reads the files a first time.
    ///
    /// # Errors
    /// They cannot be used.
    pub(super) fn new(source: S) -> Result<Self, TlsError> {
        let seen = source.read();
        let made = Arc::new(source.make(&seen)?);
        Ok(Fresh { source, last: Mutex::new(Last { made, seen, good: true }) })
    }

    /// The last that could be made.
    pub(super) fn made(&self) -> Arc<S::Made> {
        self.last().made.clone()
    }

    /// Reads the files: whether they are others than before, and can be used.
    ///
    /// # Errors
    /// They cannot be used.
    pub(super) fn reload(&self) -> Result<bool, TlsError> {
        self.look(true)
    }

    /// The same, but what cannot be used is told only once.
    ///
    /// # Errors
    /// They cannot be used, and are others than before.
    pub(super) fn look_again(&self) -> Result<bool, TlsError> {
        self.look(false)
    }

    fn look(&self, again: bool) -> Result<bool, TlsError> {
        let read = self.source.read();
        let mut last = self.last();
        if read == last.seen && (last.good || !again) {
            return Ok(false);
        }
        let made = self.source.make(&read);
        last.seen = read;
        last.good = made.is_ok();
        last.made = Arc::new(made?);
        Ok(true)
    }

    fn last(&self) -> MutexGuard<'_, Last<S::Made>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
