//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};

use underpass_core::protocol::Version;
use underpass_core::protocol::any::Union;

use crate::error::Error;
use crate::tell;
use crate::url::{RelayUrl, Target};

const EXAMPLES: &str = "\
Examples:
  underpass up                                       the built-in demo, at http://127.0.0.1:8080
  underpass up --to http://127.0.0.1:3000            your own server, through the tunnel
  underpass runner --relay ws://127.0.0.1:8081       one more runner, anywhere that reaches the relay
  underpass decode --version 7 --union ToServer 03   what a frame says

Every option of `up` and `runner` can be given in the environment instead: --listen as UNDERPASS_LISTEN, and so on.";

const UP_EXAMPLES: &str = "\
Examples:
  underpass up
      Serves the demo. Try: curl http://127.0.0.1:8080/hello
  underpass up --to http://127.0.0.1:3000
      Passes requests and WebSockets on to a server of yours.
  underpass up --listen 0.0.0.0:80 --runners 0.0.0.0:8081 --token \"$SECRET\"
      Takes clients and runners from other machines; runners must bring the token. Nothing of it is encrypted: for a
      network that is not yours, put it behind a tunnel or a proxy that does TLS.
  underpass up --data /var/lib/underpass
      Keeps on disk what actors put into their key-value stores. What was acknowledged survives any end of the process.
  underpass up --listen 127.0.0.1:0 --runners 127.0.0.1:0
      Takes any free ports; the line on standard output says which.

When all is listening, one line goes to standard output:
  ready gateway=http://127.0.0.1:8080 runners=ws://127.0.0.1:8081
Ctrl-C (or SIGTERM) takes no new requests and finishes what is open, however long that takes; a second one ends at
once. SIGUSR1 has it tell its counters on standard error, a line of JSON for each machine. Its own runner is in the
pool `default`.

Which actor a client means: /gateway/ACTOR/rest reaches ACTOR as /rest; so do the headers
x-rivet-target: actor and x-rivet-actor: ACTOR; anything else reaches the actor `default`.
The header x-underpass-pool: NAME asks for the runners of another pool. With --to, the server reads the actor in the
header x-underpass-actor.";

const RUNNER_EXAMPLES: &str = "\
Examples:
  underpass runner --relay ws://127.0.0.1:8081
      Serves the demo beside the runner of `underpass up`; they share the requests.
  underpass runner --relay ws://10.0.0.7:8081 --token \"$SECRET\" --to http://127.0.0.1:3000
      Brings a server behind a firewall to the clients of a gateway elsewhere.
  underpass runner --relay ws://127.0.0.1:8081 --name images --to http://127.0.0.1:4000
      Joins the pool `images`: clients ask for it with the header x-underpass-pool: images.

When the relay has taken it in, one line goes to standard output:
  ready runner=KEY relay=ws://127.0.0.1:8081
It keeps dialling while the relay is away. Ctrl-C finishes what is open; a second one ends at once. SIGUSR1 has it tell
its counters on standard error, a line of JSON.";

const DECODE_EXAMPLES: &str = "\
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

const ENCODE_EXAMPLES: &str = "\
Examples:
  underpass encode --version 7 --union ToServer '{\"tag\":\"ToServerStopping\",\"val\":null}'
      03
  underpass encode --version 5 --union ToServer - < frames.jsonl > frames.hex
      A message a line, as `underpass decode` prints them.";

const TRANSLATE_EXAMPLES: &str = "\
Examples:
  underpass translate --from 4 --to 7 --union ToClient 000172983a000000000000
      000172983a000000000000000000000000000000
  underpass translate --from 2 --to 7 --union ToServer - < frames.hex
      A frame a line, as one runner sent them: messages of versions 1 and 2 are numbered as they come, and generations
      that version 4 leaves out of acknowledgements are taken from what came before.

What has no equal in the other version is an error: acknowledgements of tunnel messages are never translated, those of
commands and events not between versions 3 and 4, where they need the state of a relay's session.";

/// A reverse tunnel: HTTP and WebSockets for servers that listen nowhere.
///
/// A runner dials out to a relay over one WebSocket; clients of the gateway reach, through it, what the runner serves.
#[derive(Debug, Parser)]
#[command(name = "underpass", version, after_help = EXAMPLES)]
pub(crate) struct Options {
    /// What to log to standard error: error, warn, info, debug, trace, or a filter like underpass=debug
    #[arg(long, env = "UNDERPASS_LOG", value_name = "FILTER", default_value = "warn", global = true)]
    #[arg(display_order = 100)]
    pub(crate) log: String,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run gateway, relay and one runner in this process
    #[command(after_help = UP_EXAMPLES)]
    Up(Up),
    /// Run one more runner, which dials a relay
    #[command(after_help = RUNNER_EXAMPLES)]
    Runner(Runner),
    /// Say in JSON what frames of the protocol say
    #[command(after_help = DECODE_EXAMPLES)]
    Decode(Decode),
    /// Make frames of the protocol from what they shall say
    #[command(after_help = ENCODE_EXAMPLES)]
    Encode(Encode),
    /// Translate frames of one version of the protocol into another
    #[command(after_help = TRANSLATE_EXAMPLES)]
    Translate(Translate),
}

#[derive(Debug, Args)]
pub(crate) struct Up {
    /// Where clients come in by HTTP and WebSocket; port 0 takes any
    #[arg(long, env = "UNDERPASS_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub(crate) listen: String,
    /// Where runners dial in by WebSocket; port 0 takes any
    #[arg(long, env = "UNDERPASS_RUNNERS", value_name = "ADDRESS", default_value = "127.0.0.1:8081")]
    pub(crate) runners: String,
    /// The directory in which actors' key-value stores are kept; without it, in memory
    #[arg(long, env = "UNDERPASS_DATA", value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) shared: Shared,
}

#[derive(Debug, Args)]
pub(crate) struct Runner {
    /// The relay to dial; given again or with commas, several that are dialled in turn: the next one when a connection
    /// fails or breaks, and when a relay drains
    #[arg(long, env = "UNDERPASS_RELAY", value_name = "URL", required = true, value_delimiter = ',')]
    pub(crate) relay: Vec<RelayUrl>,
    /// The pool to join; runners of one pool share its requests
    #[arg(long, env = "UNDERPASS_NAME", value_name = "POOL", default_value = "default")]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub(crate) name: String,
    /// By what the relay knows this runner when it comes again; it takes the place of one with the same key. Random
    /// unless given
    #[arg(long, env = "UNDERPASS_KEY", value_name = "KEY", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) key: Option<String>,
    /// How long the relay may say nothing, in seconds, before it is taken for gone and dialled anew
    #[arg(long, env = "UNDERPASS_SILENCE", value_name = "SECONDS", default_value = "15", value_parser = seconds)]
    pub(crate) silence: Duration,
    #[command(flatten)]
    pub(crate) shared: Shared,
}

#[derive(Debug, Args)]
pub(crate) struct Shared {
    /// The server to pass requests and WebSockets on to, like http://127.0.0.1:3000/base; without it, a built-in demo
    #[arg(long, env = "UNDERPASS_TO", value_name = "URL")]
    pub(crate) to: Option<Target>,
    /// What runners must bring to the relay
    #[arg(long, env = "UNDERPASS_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// The namespace that the runners belong to
    #[arg(long, env = "UNDERPASS_NAMESPACE", value_name = "NAMESPACE", default_value = "default")]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub(crate) namespace: String,
}

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

impl Shared {
    /// Says what clap did not: it would repeat a wrong token for all to see.
    ///
    /// # Errors
    /// The token could not travel as the name of a WebSocket sub-protocol.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        match &self.token {
            Some(token) if token.is_empty() || !token.bytes().all(fits) => Err(Error::Token),
            Some(_) | None => Ok(()),
        }
    }
}

/// A time in seconds, which may have a fraction.
fn seconds(text: &str) -> Result<Duration, &'static str> {
    let seconds: f64 = text.parse().map_err(|_| "it is not a number of seconds")?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        Ok(_) | Err(_) => Err("it must be more than 0"),
    }
}

/// Prints help where it was asked for, and else one line of what is wrong.
pub(crate) fn explain(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            // There is nobody to tell that this does not work.
            let _ = error.print();
            ExitCode::from(u8::from(error.use_stderr()) * 2)
        }
        _ => {
            tell(&one_line(&error.to_string()));
            ExitCode::from(2)
        }
    }
}

/// The first paragraph of an error of clap's.
fn one_line(error: &str) -> String {
    let paragraph = error.split("\n\n").next().unwrap_or_default();
    let words: Vec<_> = paragraph.strip_prefix("error: ").unwrap_or(paragraph).split_whitespace().collect();
    format!("{} (see --help)", words.join(" "))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn wrong(arguments: &[&str]) -> String {
        let error = Options::try_parse_from(["underpass"].iter().chain(arguments)).unwrap_err();
        one_line(&error.to_string())
    }

    #[test]
    fn the_command_line_holds_together() {
        Options::command().debug_assert();
    }

    #[test]
    fn every_option_of_what_serves_is_also_an_environment_variable() {
        for name in ["up", "runner"] {
            let options = Options::command();
            let command = options.find_subcommand(name).unwrap();
            for argument in command.get_arguments().filter(|argument| argument.get_long() != Some("help")) {
                let expected = format!("UNDERPASS_{}", argument.get_long().unwrap().to_uppercase());
                assert_eq!(argument.get_env().unwrap().to_str().unwrap(), expected);
            }
        }
    }

    #[test]
    fn a_runner_can_have_several_relays() {
        let relays = |arguments: &[&str]| {
            let options = Options::try_parse_from(["underpass", "runner"].iter().chain(arguments));
            match options.unwrap().command {
                Command::Runner(runner) => runner.relay.iter().map(ToString::to_string).collect::<Vec<_>>(),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(relays(&["--relay", "ws://a"]), ["ws://a"]);
        assert_eq!(relays(&["--relay", "ws://a", "--relay", "ws://b:1"]), ["ws://a", "ws://b:1"]);
        assert_eq!(relays(&["--relay", "ws://a,ws://b:1"]), ["ws://a", "ws://b:1"]);
    }

    #[test]
    fn wrong_use_is_told_in_one_line() {
        assert_eq!(
            wrong(&["up", "--to", "nonsense"]),
            "invalid value 'nonsense' for '--to <URL>': it is not a URL like http://127.0.0.1:3000 (see --help)"
        );
        assert_eq!(
            wrong(&["up", "--to", "https://example.org"]),
            "invalid value 'https://example.org' for '--to <URL>': it must start with http://, not with https:// (see \
             --help)"
        );
        assert_eq!(
            wrong(&["runner"]),
            "the following required arguments were not provided: --relay <URL> (see --help)"
        );
        assert_eq!(
            wrong(&["runner", "--relay", "ws://a", "--silence", "0"]),
            "invalid value '0' for '--silence <SECONDS>': it must be more than 0 (see --help)"
        );
        assert_eq!(wrong(&["up", "--nonsense"]), "unexpected argument '--nonsense' found (see --help)");
    }

    #[test]
    fn a_token_fits_into_a_subprotocol() {
        let check = |token| match Options::try_parse_from(["underpass", "up", "--token", token]).unwrap().command {
            Command::Up(up) => up.shared.check(),
            other => panic!("{other:?}"),
        };
        assert!(check("abc-DEF_123.~").is_ok());
        for bad in ["", "a b", "a,b", "ä", "a\"b"] {
            assert!(matches!(check(bad), Err(Error::Token)), "{bad}");
        }
    }
}
