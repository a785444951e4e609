//! What is made of files, and made again when they change.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

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
    made: RwLock<Arc<S::Made>>,
    /// Whoever looks at the files holds it, so that none puts something older behind something newer.
    looked: Mutex<Looked>,
}

/// What there was when the files were last looked at.
struct Looked {
    contents: Contents,
    /// Whether it could be used.
    good: bool,
}

impl<S: Source> Fresh<S> {
    /// Reads the files a first time.
    ///
    /// # Errors
    /// They cannot be used.
    pub(super) fn new(source: S) -> Result<Self, TlsError> {
        let contents = source.read();
        let made = RwLock::new(Arc::new(source.make(&contents)?));
        Ok(Fresh { source, made, looked: Mutex::new(Looked { contents, good: true }) })
    }

    /// The last that could be made.
    pub(super) fn made(&self) -> Arc<S::Made> {
        self.made.read().unwrap_or_else(PoisonError::into_inner).clone()
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

    fn look(&self, tell_again: bool) -> Result<bool, TlsError> {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let contents = self.source.read();
        if contents == looked.contents && (looked.good || !tell_again) {
            return Ok(false);
        }
        let made = self.source.make(&contents);
        *looked = Looked { contents, good: made.is_ok() };
        *self.made.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(made?);
        Ok(true)
    }
}
