//! A line in, an answer out.

use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};

use super::Complaint;
use crate::Ended;
use crate::error::Error;

/// Enough for some hundred frames, so that a capture is not read and written line by line.
const BUFFER: usize = 256 * 1024;

/// Answers each line, in order; `error: …` stands in the place of an answer that there is not.
///
/// What was answered is written out whenever no further line has come yet, so who asks line by line need not wait.
pub(super) fn answer(
    input: impl Read,
    output: impl Write,
    mut work: impl FnMut(&[u8], &mut String) -> Result<(), Complaint>,
) -> Result<Ended, Error> {
    let mut input = BufReader::with_capacity(BUFFER, input);
    let mut output = BufWriter::with_capacity(BUFFER, output);
    let (mut line, mut out) = (Vec::new(), String::new());
    let mut ended = Ended::Drained;
    loop {
        line.clear();
        if input.read_until(b'\n', &mut line).map_err(Error::Input)? == 0 {
            return written(output.flush(), ended);
        }
        out.clear();
        if let Err(complaint) = work(line.trim_ascii(), &mut out) {
            ended = Ended::WithErrors;
            out.clear();
            out.push_str("error: ");
            out.push_str(&complaint);
        }
        out.push('\n');
        let mut result = output.write_all(out.as_bytes());
        if result.is_ok() && input.buffer().is_empty() {
            result = output.flush();
        }
        if let Err(error) = result {
            // What is left in the buffer has nobody to go to.
            let _ = output.into_parts();
            return written(Err(error), ended);
        }
    }
}

/// Prints the answer to a single input.
pub(super) fn print(answer: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    written(writeln!(out, "{answer}").and_then(|()| out.flush()), Ended::Drained).map(drop)
}

/// Whoever reads may stop reading when they have seen enough.
fn written(result: io::Result<()>, ended: Ended) -> Result<Ended, Error> {
    match result {
        Ok(()) => Ok(ended),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ended),
        Err(error) => Err(Error::Announce(error)),
    }
}
