//! What a runner's process tells the test besides its answers: a line each, written before the handler goes on, so that
//! it is known even if the process is killed right then.

use std::fmt;
use std::io::{self, Write};
use std::net::TcpStream;
use std::sync::{Mutex, PoisonError};

/// A line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// Whose lines follow.
    From(usize),
    /// A handler was given a request.
    Began {
        /// Its number.
        request: u64,
        /// Whether no other handler may be given it: its method is not idempotent.
        once: bool,
    },
    /// Something came to a handler that never should.
    Wrong(String),
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::From(runner) => write!(f, "from {runner}"),
            Note::Began { request, once: false } => write!(f, "began {request}"),
            Note::Began { request, once: true } => write!(f, "once {request}"),
            Note::Wrong(what) => write!(f, "wrong {what}"),
        }
    }
}

impl Note {
    /// The note that a line is.
    pub fn read(line: &str) -> Option<Note> {
        let (kind, rest) = line.split_once(' ')?;
        match kind {
            "from" => rest.parse().ok().map(Note::From),
            "began" => rest.parse().ok().map(|request| Note::Began { request, once: false }),
            "once" => rest.parse().ok().map(|request| Note::Began { request, once: true }),
            "wrong" => Some(Note::Wrong(rest.to_owned())),
            _ => None,
        }
    }
}

/// Where a runner writes.
#[derive(Debug)]
pub struct Notebook(Mutex<TcpStream>);

impl Notebook {
    /// Opens it.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn open(address: &str, runner: usize) -> io::Result<Notebook> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let notebook = Notebook(Mutex::new(stream));
        notebook.write(&Note::From(runner));
        Ok(notebook)
    }

    /// Writes a line. It blocks for as long as the system takes for that.
    pub fn write(&self, note: &Note) {
        let line = format!("{note}\n");
        // Without a reader there is no test.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes()).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_read_as_they_were_written() {
        let began = [false, true].map(|once| Note::Began { request: u64::MAX, once });
        for note in began.into_iter().chain([Note::From(2), Note::Wrong("all of it".into())]) {
            assert_eq!(Note::read(&note.to_string()), Some(note));
        }
        assert_eq!(Note::read("began nothing"), None);
    }
}
