//! Whether what did not go well may be so, since something happened that explains it.

use std::fmt;
use std::time::Duration;

use crate::ledger::{Event, Kind, SLOW, What};
use crate::member::{How, Member, Outage, Strike};
use crate::notes::Told;

/// What needs no deadline, on a machine that does much else.
const AT_ONCE: Duration = Duration::from_secs(3);

/// Clocks are read a moment before or behind what they are read for.
const MOMENT: Duration = Duration::from_millis(100);

/// How long a gateway may take a relay that was killed for alive. What is sent there meanwhile may have been received,
/// for all that it knows.
const NOT_KNOWN_YET: Duration = Duration::from_millis(300);

/// A gateway pings a connection, and hears then that its relay is gone.
const PING: Duration = Duration::from_secs(3);

/// A request waits for another runner.
const GRACE: Duration = Duration::from_secs(5);

/// A request waits for an actor to run.
const ACTOR_START: Duration = Duration::from_secs(30);

/// When NATS has come back, all is well again after this.
pub(crate) const RECOVERED: Duration = Duration::from_secs(5);

/// After half a minute of silence, less what an absence may be noticed late, gateways and relays take one another for
/// gone. A WebSocket that hibernates then cannot go on with an actor that runs on.
const TAKEN_FOR_GONE: Duration = Duration::from_secs(25);

/// The longest deadline by which a loss is told: of pings that stay without a pong.
const PONG: Duration = Duration::from_secs(30);

/// How long the directory's registry may take to enter a WebSocket that has opened.
const ENTERED: Duration = Duration::from_secs(1);

/// All that happened.
#[derive(Debug, Default)]
pub(crate) struct Happened {
    pub(crate) strikes: Vec<Strike>,
    pub(crate) outages: Vec<Outage>,
    /// Frames may be lost all the time.
    pub(crate) lossy: bool,
}

/// Why something may have failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Explanation {
    /// Its gateway was killed.
    GatewayKilled,
    /// Its gateway drained, and closes WebSockets; or was handed nothing.
    GatewayDrained,
    /// A relay that may have carried it was killed.
    RelayKilled,
    /// A runner that may have had it was killed.
    RunnerKilled,
    /// Its runner drained, and closes WebSockets that do not hibernate.
    RunnerDrained,
    /// All that could have taken it were killed or drained at the same time.
    NobodyThere,
    /// It was not in the directory's registry yet, without which a WebSocket cannot hibernate.
    NotEnteredYet,
    /// NATS was away.
    NatsAway,
    /// The test has frames be lost.
    FramesLost,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Explanation::GatewayKilled => "its gateway was killed",
            Explanation::GatewayDrained => "its gateway drained",
            Explanation::RelayKilled => "its relay was killed",
            Explanation::RunnerKilled => "its runner was killed",
            Explanation::RunnerDrained => "its runner drained",
            Explanation::NobodyThere => "nobody was there",
            Explanation::NotEnteredYet => "it had just opened",
            Explanation::NatsAway => "NATS was away",
            Explanation::FramesLost => "frames were lost",
        })
    }
}

impl Happened {
    /// Why it may be so; none if it may not.
    pub(crate) fn explain(&self, event: &Event, told: &Told) -> Option<Explanation> {
        let given = told.given.get(&event.request).map_or(&[][..], |runners| &runners[..]);
        match &event.what {
            What::Failed { gateway, what } if is_a_failure(event.kind, what) => {
                let by_strike = self.strikes.iter().find_map(|strike| by(strike, event, *gateway, what, given));
                by_strike.or_else(|| self.otherwise(event, what))
            }
            What::Failed { .. } => None,
            What::Slow => self.while_it_lasted(event),
            // Whatever else loses an answer, its client is told by the end of its WebSocket.
            What::Unanswered(_) => self.killed(event),
        }
    }

    fn otherwise(&self, event: &Event, what: &str) -> Option<Explanation> {
        if self.lossy {
            return Some(Explanation::FramesLost);
        }
        // What was open for long was under several.
        let explains = |outage: &Outage| {
            let in_time = event.ended < outage.to + RECOVERED + AT_ONCE;
            let is_long = outage.to.saturating_duration_since(outage.from) > TAKEN_FOR_GONE;
            let is_open_sleeper = event.kind == Kind::Sleeper && was_open(what);
            // What an actor said is not said again: of a WebSocket that misses some its gateway makes an end.
            let may_end = !is_open_sleeper || is_long || what == "1011 message_lost";
            is_under(outage, event) && may_end && in_time
        };
        if self.outages.iter().any(explains) {
            return Some(Explanation::NatsAway);
        }
        let took = event.ended.saturating_duration_since(event.begun);
        if event.kind == Kind::Sleeper && took < ENTERED && ["1001 actor.stopped", "1011 runner_lost"].contains(&what) {
            return Some(Explanation::NotEnteredYet);
        }
        let nobody = is_for_now(what) && self.nobody_there(event);
        nobody.then_some(Explanation::NobodyThere)
    }

    /// What was slow: whether something happened then.
    fn while_it_lasted(&self, event: &Event) -> Option<Explanation> {
        let took = event.ended.saturating_duration_since(event.begun);
        if self.lossy && took < PING + PONG + longest_wait(event.kind) + SLOW {
            return Some(Explanation::FramesLost);
        }
        let in_time = |outage: &Outage| is_under(outage, event) && event.ended < outage.to + RECOVERED + SLOW;
        if self.outages.iter().any(in_time) {
            return Some(Explanation::NatsAway);
        }
        self.killed(event).or_else(|| self.nobody_there(event).then_some(Explanation::NobodyThere))
    }

    /// Whether a relay or a runner was killed that may have had it.
    fn killed(&self, event: &Event) -> Option<Explanation> {
        let mut killed = self.strikes.iter().filter(|strike| strike.how == How::Killed);
        killed.find_map(|strike| {
            let wait = PING + GRACE + ACTOR_START + AT_ONCE;
            let then = strike.at < event.ended && event.begun < strike.back + wait;
            match strike.member {
                Member::Relay(_) if then => Some(Explanation::RelayKilled),
                Member::Runner(_) if then => Some(Explanation::RunnerKilled),
                Member::Gateway(_) | Member::Relay(_) | Member::Runner(_) => None,
            }
        })
    }

    /// Whether all gateways, relays or runners were struck at once.
    fn nobody_there(&self, event: &Event) -> bool {
        self.strikes.iter().any(|one| {
            let together = self
                .strikes
                .iter()
                .filter(|other| one.member.is_peer_of(other.member) && other.at < one.back && one.at < other.back);
            let back = one.back + RECOVERED + longest_wait(event.kind);
            together.count() >= one.member.peers() && one.at < event.ended && event.begun < back
        })
    }
}

/// Whether this is a way to fail at all.
fn is_a_failure(kind: Kind, what: &str) -> bool {
    let codes = [
        "runner_lost",
        "message_lost",
        "bus_lost",
        "ping_timeout",
        "no_runner",
        "overloaded",
        "draining",
        "actor_start_timeout",
        "websocket_open_timeout",
        "runner_failed",
        // A runner that misses a message of a WebSocket says so, and a relay that its actor has stopped.
        "ws.message_index_skip",
        "actor.stopped",
    ];
    match kind {
        Kind::Whole | Kind::Streamed | Kind::Calls => what == "cut" || what == "broken off" || codes.contains(&what),
        Kind::Plain | Kind::Sleeper => {
            let code = what.split_once(' ').map_or(what, |(_, code)| code);
            what == "cut" || codes.contains(&code)
        }
    }
}

/// Whether it is the close of a WebSocket that was open: those have a number in front.
fn was_open(what: &str) -> bool {
    what.starts_with(|first: char| first.is_ascii_digit())
}

/// Whether the client may as well ask again.
fn is_for_now(what: &str) -> bool {
    ["no_runner", "overloaded", "draining", "actor_start_timeout", "runner_lost"].iter().any(|code| what.contains(code))
}

fn is_under(outage: &Outage, event: &Event) -> bool {
    outage.from < event.ended && event.begun < outage.to + RECOVERED
}

/// How long a request of that kind waits for somebody who can take it.
fn longest_wait(kind: Kind) -> Duration {
    match kind {
        Kind::Whole | Kind::Streamed | Kind::Plain => GRACE,
        Kind::Calls | Kind::Sleeper => GRACE + ACTOR_START,
    }
}

/// Whether this explains it.
fn by(strike: &Strike, event: &Event, gateway: usize, what: &str, given: &[usize]) -> Option<Explanation> {
    let known = match strike.member {
        Member::Relay(_) => NOT_KNOWN_YET,
        Member::Gateway(_) | Member::Runner(_) => MOMENT,
    };
    let was_open = event.begun < strike.at + known && strike.at < event.ended + MOMENT;
    let within = |wait: Duration| was_open && event.ended < strike.at + wait + AT_ONCE;
    // Of what a gateway answers to an upload that goes on, its client may see no more than the connection's end.
    let is_told = what != "cut" || event.kind == Kind::Streamed;
    let carried = |runners: &[usize]| given.is_empty() || given.iter().any(|runner| runners.contains(runner));
    // What was closed for a drain, over some seconds.
    let drained = || event.begun < strike.back && strike.at < event.ended + MOMENT && what.contains("draining");
    match (strike.member, strike.how) {
        (Member::Gateway(number), How::Killed) => {
            (number == gateway && what != "draining" && within(Duration::ZERO)).then_some(Explanation::GatewayKilled)
        }
        (Member::Gateway(number), How::Drained) => {
            let mine = number == gateway && event.begun < strike.back && strike.at < event.ended + MOMENT;
            let explained = match event.kind {
                // Neither was anything of it handed on.
                Kind::Whole | Kind::Streamed | Kind::Calls => what == "cut" && given.is_empty(),
                Kind::Plain | Kind::Sleeper => drained() || (what == "cut" && given.is_empty()),
            };
            (mine && explained).then_some(Explanation::GatewayDrained)
        }
        // Sleepers sleep, and go on.
        (Member::Relay(_) | Member::Runner(_), How::Killed | How::Drained) if event.kind == Kind::Sleeper => None,
        (Member::Relay(_), How::Killed) => {
            let wait = PING + longest_wait(event.kind);
            (is_told && carried(&strike.had) && within(wait)).then_some(Explanation::RelayKilled)
        }
        (Member::Relay(_), How::Drained) => None,
        (Member::Runner(number), How::Killed) => {
            let wait = longest_wait(event.kind);
            (is_told && carried(&[number]) && within(wait)).then_some(Explanation::RunnerKilled)
        }
        (Member::Runner(number), How::Drained) => {
            let explained = event.kind == Kind::Plain && carried(&[number]) && drained();
            explained.then_some(Explanation::RunnerDrained)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    const REQUEST: u64 = 7;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// One that a runner was given, or none, and that failed so from one time to another, at the gateway 0.
    fn explained(
        strikes: &[(Member, How, Vec<usize>)],
        kind: Kind,
        given: Option<usize>,
        what: &str,
        (begun, ended): (u64, u64),
    ) -> Option<Explanation> {
        let start = Instant::now() + ms(60_000);
        let strike = |(member, how, had): &(Member, How, Vec<usize>)| {
            let (at, back) = (start + ms(1000), start + ms(2000));
            Strike { member: *member, how: *how, at, back, had: had.clone() }
        };
        let happened = Happened { strikes: strikes.iter().map(strike).collect(), ..Happened::default() };
        let mut told = Told::default();
        told.given.extend(given.map(|runner| (REQUEST, vec![runner])));
        let what = What::Failed { gateway: 0, what: what.to_owned() };
        let (begun, ended) = (start + ms(begun), start + ms(ended));
        happened.explain(&Event { round: 0, kind, request: REQUEST, begun, ended, what }, &told)
    }

    #[test]
    fn a_killed_runner_fails_what_it_was_given() {
        let killed = [(Member::Runner(1), How::Killed, vec![])];
        let lost = |given, times| explained(&killed, Kind::Whole, given, "runner_lost", times);
        assert_eq!(lost(Some(1), (900, 1100)), Some(Explanation::RunnerKilled));
        assert_eq!(lost(None, (900, 1100)), Some(Explanation::RunnerKilled), "it was on its way");
        assert_eq!(lost(Some(2), (900, 1100)), None, "another one had it");
        assert_eq!(lost(Some(1), (500, 800)), None, "before");
        assert_eq!(lost(Some(1), (1500, 1800)), None, "behind");
        assert_eq!(lost(Some(1), (900, 12_000)), None, "too late");
    }

    #[test]
    fn a_killed_relay_fails_what_its_runners_had() {
        let killed = [(Member::Relay(0), How::Killed, vec![1])];
        let lost = |given| explained(&killed, Kind::Streamed, Some(given), "broken off", (900, 1100));
        assert_eq!(lost(1), Some(Explanation::RelayKilled));
        assert_eq!(lost(2), None);
    }

    #[test]
    fn a_gateway_fails_its_own() {
        let struck = |number, how| [(Member::Gateway(number), how, vec![])];
        let cut = |strikes: &[_], given| explained(strikes, Kind::Whole, given, "cut", (900, 1100));
        assert_eq!(cut(&struck(0, How::Killed), Some(2)), Some(Explanation::GatewayKilled));
        assert_eq!(cut(&struck(1, How::Killed), Some(2)), None);
        assert_eq!(cut(&struck(0, How::Drained), None), Some(Explanation::GatewayDrained), "nobody was given it");
        assert_eq!(cut(&struck(0, How::Drained), Some(2)), None);
    }

    #[test]
    fn drained_relays_and_runners_fail_no_request() {
        for member in [Member::Relay(1), Member::Runner(1)] {
            let drained = [(member, How::Drained, vec![1])];
            for what in ["runner_lost", "draining", "no_runner", "broken off"] {
                assert_eq!(explained(&drained, Kind::Whole, Some(1), what, (900, 1100)), None, "{member} {what}");
            }
        }
        let drained = [(Member::Runner(1), How::Drained, vec![])];
        let closed = |kind| explained(&drained, kind, Some(1), "1001 draining", (900, 1100));
        assert_eq!(closed(Kind::Plain), Some(Explanation::RunnerDrained));
        assert_eq!(closed(Kind::Sleeper), None);
    }

    #[test]
    fn nobody_may_be_there_only_if_all_are_struck_at_once() {
        let struck = |relays: &[usize]| -> Vec<_> {
            relays.iter().map(|number| (Member::Relay(*number), How::Drained, vec![])).collect()
        };
        let refused = |strikes: &[_]| explained(strikes, Kind::Whole, None, "no_runner", (1500, 1501));
        assert_eq!(refused(&struck(&[0, 1])), Some(Explanation::NobodyThere));
        assert_eq!(refused(&struck(&[0])), None);
    }
}
