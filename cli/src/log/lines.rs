//! Lines on their way out: whoever logs does not wait for whoever reads.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use tracing_subscriber::fmt::MakeWriter;

/// So many lines wait at most. What is logged beyond is dropped.
const MOST: usize = 8_192;

/// How long the end waits for whoever reads.
const AT_THE_END: Duration = Duration::from_secs(1);

/// What is written by a thread of its own. Dropped, it writes what waits, if that can be done soon.
pub(crate) struct Lines {
    waiting: SyncSender<Told>,
    /// Says by its end that all is written.
    written: Receiver<()>,
}

enum Told {
    Line(Vec<u8>),
    /// Nothing follows.
    End,
}

/// Takes lines. Clones are the same.
#[derive(Clone)]
pub(crate) struct Writer(SyncSender<Told>);

/// One line, in the making.
pub(crate) struct Line<'a> {
    waiting: &'a SyncSender<Told>,
    bytes: Vec<u8>,
}

impl Lines {
    /// Writes lines there from here on.
    pub(crate) fn start(out: impl Write + Send + 'static) -> Self {
        let (waiting, lines) = sync_channel(MOST);
        let (is_writing, written) = sync_channel(0);
        let writing = thread::Builder::new().name("log".into()).spawn(move || {
            write(&lines, out);
            drop(is_writing);
        });
        // Without a thread nothing is logged, and all else goes on.
        drop(writing);
        Lines { waiting, written }
    }

    pub(crate) fn writer(&self) -> Writer {
        Writer(self.waiting.clone())
    }
}

fn write(lines: &Receiver<Told>, mut out: impl Write) {
    while let Ok(Told::Line(line)) = lines.recv() {
        // There is nobody to tell that this does not work.
        let _ = out.write_all(&line);
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        let until = Instant::now() + AT_THE_END;
        while let Err(TrySendError::Full(_)) = self.waiting.try_send(Told::End) {
            if Instant::now() >= until {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        // It ends in either way: nothing is ever sent.
        let _ = self.written.recv_timeout(until.saturating_duration_since(Instant::now()));
    }
}

impl<'a> MakeWriter<'a> for Writer {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { waiting: &self.0, bytes: Vec::new() }
    }
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let line = std::mem::take(&mut self.bytes);
        match self.waiting.try_send(Told::Line(line)) {
            // Nobody reads as fast as that, or nobody reads: it is better to lose a line than to wait for them.
            Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    /// Whoever reads, a line at a time.
    struct Slow(Receiver<()>, Sender<Vec<u8>>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.recv().map_err(io::Error::other)?;
            self.1.send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn whoever_logs_waits_for_nobody_and_what_waits_is_written_at_the_end() {
        let (go_on, may_go_on) = channel();
        let (written, lines) = channel();
        let out = Lines::start(Slow(may_go_on, written));
        let writer = out.writer();
        for number in 0..MOST + 100 {
            writer.make_writer().write_all(format!("{number}\n").as_bytes()).expect("room for a line");
        }
        for _ in 0..=MOST {
            go_on.send(()).expect("a reader");
        }
        drop((go_on, out));
        let lines: Vec<_> = lines.iter().collect();
        // One was with the reader while the others waited, or not yet.
        assert!((MOST..=MOST + 1).contains(&lines.len()), "{}", lines.len());
        assert_eq!(lines[MOST - 1], format!("{}\n", MOST - 1).as_bytes());
    }

    #[test]
    fn the_end_does_not_wait_for_a_reader_that_reads_nothing() {
        let (go_on, may_go_on) = channel();
        let (written, _lines) = channel();
        let out = Lines::start(Slow(may_go_on, written));
        let writer = out.writer();
        for _ in 0..MOST + 100 {
            writer.make_writer().write_all(b"line\n").expect("room for a line");
        }
        let start = Instant::now();
        drop(out);
        assert!(start.elapsed() < 10 * AT_THE_END);
        drop(go_on);
    }
}
