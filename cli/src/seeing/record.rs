//! Recordings of this process's machines, in a file.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use underpass_core::record::{End, Heading, Log, Recordable, Recorder};

use crate::error::Error;
use crate::options;

/// What this process writes down. It is finished when this is dropped.
#[derive(Debug)]
pub(super) struct Recording {
    tape: Tape,
    bodies: bool,
    next: AtomicU32,
}

impl Recording {
    /// Begins a file. One of that name that is there already is what happened before, so it is kept, as `FILE.before`.
    ///
    /// # Errors
    /// The file can't be written.
    pub(super) fn begin(options: &options::Recording) -> Result<Option<Self>, Error> {
        let options::Recording { record: Some(path), record_limit, record_bodies } = options else { return Ok(None) };
        let tape = Written::begin(path, *record_limit, *record_bodies);
        let tape = tape.map_err(|source| Error::Write { path: path.clone(), source })?;
        Ok(Some(Recording {
            tape: Tape(Arc::new(Mutex::new(Some(tape)))),
            bodies: *record_bodies,
            next: AtomicU32::new(0),
        }))
    }

    /// Writes down what happens to one more machine.
    pub(super) fn recorder<M: Recordable>(&self) -> Recorder<M, Tape> {
        Recorder::new(self.tape.clone(), self.next.fetch_add(1, Ordering::Relaxed), self.bodies)
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.tape.end(End::Finished);
    }
}

/// The file, for all machines. It is none when nothing more is written.
#[derive(Clone, Debug)]
pub(super) struct Tape(Arc<Mutex<Option<Written>>>);

/// A file that is written.
#[derive(Debug)]
struct Written {
    path: PathBuf,
    file: File,
    /// How many bytes it may still get.
    left: u64,
}

impl Tape {
    fn lock(&self) -> MutexGuard<'_, Option<Written>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes nothing more.
    fn end(&self, end: End) {
        if let Some(written) = self.lock().take() {
            written.end(end);
        }
    }
}

impl Log for Tape {
    /// Each record is written at once: what a process did before it was killed is there.
    fn append(&mut self, record: &[u8]) {
        let mut place = self.lock();
        let Some(written) = place.as_mut() else { return };
        match written.append(record) {
            Ok(true) => {}
            Ok(false) => {
                tracing::warn!("{} is as large as it may be: what happens now is not recorded", written.path.display());
                if let Some(written) = place.take() {
                    written.end(End::Full);
                }
            }
            Err(error) => {
                tracing::error!("{} cannot be written, nothing more is recorded: {error}", written.path.display());
                *place = None;
            }
        }
    }
}

impl Written {
    fn begin(path: &Path, limit: u64, bodies: bool) -> io::Result<Self> {
        match fs::rename(path, before(path)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = private(path)?;
        let heading = Heading::new(bodies).to_bytes();
        file.write_all(&heading)?;
        let path = path.to_owned();
        let end = End::Full.to_bytes();
        let left = limit.saturating_sub(heading.len() as u64 + end.len() as u64);
        Ok(Written { path, file, left })
    }

    /// Whether there was room for it.
    fn append(&mut self, record: &[u8]) -> io::Result<bool> {
        let Some(left) = self.left.checked_sub(record.len() as u64) else { return Ok(false) };
        self.file.write_all(record)?;
        self.left = left;
        Ok(true)
    }

    fn end(mut self, end: End) {
        if let Err(error) = self.file.write_all(&end.to_bytes()).and_then(|()| self.file.sync_all()) {
            tracing::error!("{} cannot be finished: {error}", self.path.display());
        }
    }
}

/// Where the recording goes that was there before.
fn before(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".before");
    name.into()
}

/// A new file that nobody else may read: it says who asked for what.
fn private(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
