//! What the commands that look into frames are told.

use clap::Args;
use underpass_core::protocol::Version;
use underpass_core::protocol::any::Union;

pub(super) const DECODE_EXAMPLES: &str = "\
Examples:
  underpass decode --version 7 --union ToServer 0a
      error: bad_tag at byte 0: a tag or value that this version has
  underpass decode --version 7 --union ToRunner --framed --pretty 070001
      A frame of the bus: two bytes of version stand in front.
  underpass decode --version 5 --union ToServer - < frames.hex > frames.jsonl
      A frame a line; an empty line is an empty frame. A malformed one is answered with an error line in its place,
      and makes the exit status 1.

JSON: a union is {\"tag\": NAME, \"val\": ...} (null where it is void), data are hex, 64-bit integers decimal strings,
an absent optional is null, a map a list of [key, value] sorted by key.";

pub(super) const ENCODE_EXAMPLES: &str = "\
Examples:
  underpass encode --version 7 --union ToServer '{\"tag\":\"ToServerStopping\",\"val\":null}'
      03
  underpass encode --version 5 --union ToServer - < frames.jsonl > frames.hex
      A message a line, as `underpass decode` prints them.";

pub(super) const TRANSLATE_EXAMPLES: &str = "\
Examples:
  underpass translate --from 4 --to 7 --union ToClient 000172983a000000000000
      000172983a000000000000000000000000000000
  underpass translate --from 2 --to 7 --union ToServer - < frames.hex
      A frame a line, as one runner sent them: messages of versions 1 and 2 are numbered as they come, and generations
      that version 4 leaves out of acknowledgements are taken from what came before.

What has no equal in the other version is an error: acknowledgements of tunnel messages are never translated, those of
commands and events not between versions 3 and 4, where they need the state of a relay's session.";

#[derive(Debug, Args)]
pub(crate) struct Decode {
    /// The version of the protocol, 1 to 7
    #[arg(long, value_name = "N")]
    pub(crate) version: Version,
    /// ToServer, ToClient, ToRunner, ToGateway or ToServerlessServer
    #[arg(long, value_name = "NAME")]
    pub(crate) union: Union,
    /// The version stands in front, as on the bus
    #[arg(long)]
    pub(crate) framed: bool,
    /// Over many lines, for people
    #[arg(long)]
    pub(crate) pretty: bool,
    /// The frame; `-` reads one a line from standard input
    #[arg(value_name = "HEX", default_value = "-", hide_default_value = true)]
    pub(crate) frame: String,
}

#[derive(Debug, Args)]
pub(crate) struct Encode {
    /// The version of the protocol, 1 to 7
    #[arg(long, value_name = "N")]
    pub(crate) version: Version,
    /// ToServer, ToClient, ToRunner, ToGateway or ToServerlessServer
    #[arg(long, value_name = "NAME")]
    pub(crate) union: Union,
    /// The message; `-` reads one a line from standard input
    #[arg(value_name = "JSON", default_value = "-", hide_default_value = true)]
    pub(crate) message: String,
}

#[derive(Debug, Args)]
pub(crate) struct Translate {
    /// The version that the frames are of, 1 to 7
    #[arg(long, value_name = "N")]
    pub(crate) from: Version,
    /// The version that is wanted, 1 to 7
    #[arg(long, value_name = "M")]
    pub(crate) to: Version,
    /// ToServer, ToClient, ToRunner, ToGateway or ToServerlessServer
    #[arg(long, value_name = "NAME")]
    pub(crate) union: Union,
    /// The frame; `-` reads one a line from standard input
    #[arg(value_name = "HEX", default_value = "-", hide_default_value = true)]
    pub(crate) frame: String,
}
