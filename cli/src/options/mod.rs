//! The command line.

mod bus;
mod gateway;
mod guard;
mod inspect;
mod log;
mod manual;
mod process;
mod recording;
mod relay;
mod replay;
mod runner;
mod served;
mod tls;
mod up;

use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

pub(crate) use self::bus::Bus;
pub(crate) use self::gateway::Gateway;
pub(crate) use self::guard::Guard;
pub(crate) use self::inspect::{Decode, Encode, Translate};
pub(crate) use self::log::{Log, LogFormat};
pub(crate) use self::manual::{Completions, Man};
pub(crate) use self::process::Process;
pub(crate) use self::recording::Recording;
pub(crate) use self::relay::Relay;
pub(crate) use self::replay::Replay;
pub(crate) use self::runner::Runner;
pub(crate) use self::served::Served;
pub(crate) use self::tls::Tls;
pub(crate) use self::up::Up;
use crate::tell;

const EXAMPLES: &str = "\
Examples:
  underpass up                                       the built-in demo, at http://127.0.0.1:8080
  underpass up --to http://127.0.0.1:3000            your own server, through the tunnel
  underpass runner --relay ws://127.0.0.1:8081       one more runner, anywhere that reaches the relay
  underpass gateway --bus nats://127.0.0.1:4222      one gateway of a fleet, on NATS
  underpass relay --bus nats://127.0.0.1:4222        one relay of it
  underpass decode --version 7 --union ToServer 03   what a frame says

Every option of what serves can be given in the environment instead: --listen as UNDERPASS_LISTEN, --bus-prefix as
UNDERPASS_BUS_PREFIX, and so on.";

/// A reverse tunnel: HTTP and WebSockets for servers that listen nowhere.
///
/// A runner dials out to a relay over one WebSocket; clients of the gateway reach, through it, what the runner serves.
#[derive(Debug, Parser)]
#[command(name = "underpass", version, after_help = EXAMPLES)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) log: Log,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run gateway, relay and one runner in this process
    #[command(after_help = up::EXAMPLES)]
    Up(Up),
    /// Run a gateway, which takes clients in, as one of a fleet on NATS
    #[command(after_help = gateway::EXAMPLES)]
    Gateway(Gateway),
    /// Run a relay, to which runners dial, as one of a fleet on NATS
    #[command(after_help = relay::EXAMPLES)]
    Relay(Relay),
    /// Run one more runner, which dials a relay
    #[command(after_help = runner::EXAMPLES)]
    Runner(Runner),
    /// Say in JSON what frames of the protocol say
    #[command(after_help = inspect::DECODE_EXAMPLES)]
    Decode(Decode),
    /// Make frames of the protocol from what they shall say
    #[command(after_help = inspect::ENCODE_EXAMPLES)]
    Encode(Encode),
    /// Translate frames of one version of the protocol into another
    #[command(after_help = inspect::TRANSLATE_EXAMPLES)]
    Translate(Translate),
    /// Do again what --record wrote down, and find what is done otherwise
    #[command(after_help = replay::EXAMPLES)]
    Replay(Replay),
    /// Print the manual, as pages for man
    #[command(after_help = manual::MAN_EXAMPLES)]
    Man(Man),
    /// Print what a shell needs to complete the command line
    #[command(after_help = manual::COMPLETIONS_EXAMPLES)]
    Completions(Completions),
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

    /// The commands in a page: of its shell examples, of a unit of systemd, and of a compose file.
    fn commands_of(page: &str) -> Vec<Vec<String>> {
        let page = page.replace("\\\n", " ");
        let lines = page.lines().map(str::trim).filter_map(|line| {
            let line = line.strip_prefix("ExecStart=/usr/local/bin/").unwrap_or(line);
            match line.strip_prefix("command: [").and_then(|list| list.strip_suffix(']')) {
                Some(list) => Some(list.split(", ").map(|word| word.trim_matches('"').to_owned()).collect()),
                None => {
                    let words = line.split('#').next().unwrap_or_default().split_whitespace();
                    line.starts_with("underpass ")
                        .then(|| words.map(|word| word.trim_matches('\'').to_owned()).collect())
                }
            }
        });
        lines.filter(|words: &Vec<String>| words.first().is_some_and(|word| word == "underpass")).collect()
    }

    #[test]
    fn the_commands_of_the_docs_are_right_use() {
        let pages = [
            include_str!("../../docs/fleet.md"),
            include_str!("../../docs/inspector.md"),
            include_str!("../../docs/metrics.md"),
            include_str!("../../docs/operating.md"),
            include_str!("../../docs/replay.md"),
            include_str!("../../docs/tracing.md"),
            include_str!("../../docs/upgrading.md"),
        ];
        for page in pages {
            assert!(!commands_of(page).is_empty(), "{page}");
        }
        let commands: Vec<_> = pages.into_iter().flat_map(commands_of).collect();
        assert!(commands.len() > 25, "{}: {commands:?}", commands.len());
        for command in commands {
            // A process of a compose file has its bus in the environment.
            let options = Options::command();
            let known = options.find_subcommand(&command[1]).unwrap_or_else(|| panic!("{command:?}"));
            let has_bus = known.get_arguments().any(|argument| argument.get_id() == "bus");
            let bus = (has_bus && !command.iter().any(|word| word == "--bus")).then_some(["--bus", "nats://nats"]);
            let words = command.iter().map(String::as_str).chain(bus.into_iter().flatten());
            Options::try_parse_from(words).unwrap_or_else(|error| panic!("{command:?}: {error}"));
        }
    }

    #[test]
    fn every_option_of_what_serves_is_also_an_environment_variable() {
        for name in ["up", "gateway", "relay", "runner"] {
            let options = Options::command();
            let command = options.find_subcommand(name).unwrap();
            for argument in command.get_arguments().filter(|argument| argument.get_long() != Some("help")) {
                let expected = format!("UNDERPASS_{}", argument.get_long().unwrap().to_uppercase().replace('-', "_"));
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
}
