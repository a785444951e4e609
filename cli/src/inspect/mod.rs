//! `underpass decode`, `encode` and `translate`: what is inside a frame.

mod hex;
mod lines;

use std::fmt::Display;
use std::io;
use std::str;

use bytes::Bytes;
use underpass_core::Frame;
use underpass_core::protocol::any::Schema;
use underpass_core::protocol::{Memory, json};

use crate::Ended;
use crate::error::Error;
use crate::options::{Decode, Encode, Translate};

/// What stands for an input that has no answer, without `error: ` in front.
type Complaint = String;

/// Frames, as hex, to what they say, as JSON.
pub(crate) fn decode(Decode { version, union, framed, pretty, frame }: Decode) -> Result<Ended, Error> {
    let schema = Schema::new(union, version)?;
    answer(&frame, |line, out| {
        let frame = frame_of(line)?;
        let message = if framed { schema.decode_framed(&frame) } else { schema.decode(&frame) };
        let message = message.map_err(complaint)?;
        out.push_str(&if pretty { json::to_string_pretty(&message) } else { json::to_string(&message) });
        Ok(())
    })
}

/// What frames say, as JSON, to the frames, as hex.
pub(crate) fn encode(Encode { version, union, message }: Encode) -> Result<Ended, Error> {
    let schema = Schema::new(union, version)?;
    answer(&message, |line, out| {
        let line = str::from_utf8(line).map_err(|error| format!("not UTF-8: {error}"))?;
        let frame = json::from_str(schema, line).map_err(complaint)?.encode();
        // The types have room for the words of `underpass.1`; the published protocol has not.
        schema.decode(&frame).map_err(|_| format!("a word that is private to underpass.1 is not in {schema}"))?;
        hex::write(&frame, out);
        Ok(())
    })
}

/// Frames of one version to those of another.
pub(crate) fn translate(Translate { from, to, union, frame }: Translate) -> Result<Ended, Error> {
    let schema = Schema::new(union, from)?;
    let mut memory = Memory::stand_alone();
    answer(&frame, |line, out| {
        let message = schema.decode(&frame_of(line)?).map_err(complaint)?;
        hex::write(&message.translate(to, &mut memory).map_err(complaint)?.encode(), out);
        Ok(())
    })
}

fn frame_of(line: &[u8]) -> Result<Frame, Complaint> {
    hex::read(line).map(|bytes| Frame::from(Bytes::from(bytes))).map_err(complaint)
}

fn complaint(error: impl Display) -> Complaint {
    error.to_string()
}

/// Answers one input, or with `-` each line of standard input.
fn answer(input: &str, mut work: impl FnMut(&[u8], &mut String) -> Result<(), Complaint>) -> Result<Ended, Error> {
    if input == "-" {
        return lines::answer(io::stdin().lock(), io::stdout().lock(), work);
    }
    let mut out = String::new();
    match work(input.as_bytes(), &mut out) {
        Ok(()) => lines::print(&out).map(|()| Ended::Drained),
        Err(complaint) => {
            eprintln!("error: {complaint}");
            Ok(Ended::WithErrors)
        }
    }
}
