//! What shall be heard of each fault, and how soon.

use std::fmt;
use std::time::{Duration, Instant};

use axum::http::Method;
use tokio::time::timeout;

use crate::Failure;
use crate::client::{Heard, Phase, open};
use crate::fleet::{Fault, Fleet, Party};
use crate::target::ANSWER;

/// What needs no deadline, on a machine that does much else.
const AT_ONCE: Duration = Duration::from_millis(500);

/// The deadlines that decide how soon somebody hears.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// A relay takes a silent runner for gone.
    pub(crate) relay_pong: Duration,
    /// A runner takes a silent relay for gone.
    pub(crate) relay_silent: Duration,
    /// A gateway pings a connection.
    pub(crate) gateway_ping: Duration,
    /// A gateway takes a silent connection for gone.
    pub(crate) gateway_pong: Duration,
    /// A relay takes a silent gateway for gone.
    pub(crate) gateway_silent: Duration,
    /// A request waits for another runner.
    pub(crate) grace: Duration,
}

impl Times {
    /// The defaults, divided.
    pub(crate) fn at(pace: u32) -> Times {
        let seconds = |seconds| Duration::from_secs(seconds) / pace;
        Times {
            relay_pong: seconds(15),
            relay_silent: seconds(15),
            gateway_ping: seconds(3),
            gateway_pong: seconds(30),
            gateway_silent: seconds(30),
            grace: seconds(5),
        }
    }
}

/// By when somebody shall hear.
#[derive(Clone, Copy, Debug)]
pub(crate) enum By {
    /// So long after it happened, and what needs no deadline.
    Within(Duration),
    /// At once when the stopped process goes on, since nobody else could tell.
    WhenItGoesOn,
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            By::Within(time) => write!(f, "within {time:?} and {AT_ONCE:?}"),
            By::WhenItGoesOn => write!(f, "within {AT_ONCE:?} of its going on"),
        }
    }
}

/// One thing that happens to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Case {
    pub(crate) party: Party,
    pub(crate) fault: Fault,
    pub(crate) phase: Phase,
}

impl Case {
    pub(crate) fn all() -> impl Iterator<Item = Case> {
        let of_party = |party| Fault::ALL.into_iter().map(move |fault| (party, fault));
        let struck = Party::ALL.into_iter().flat_map(of_party);
        struck.flat_map(|(party, fault)| Phase::ALL.into_iter().map(move |phase| Case { party, fault, phase }))
    }

    /// By when the client shall hear.
    fn client(self, times: &Times) -> By {
        let ping_timeout = times.gateway_ping + times.gateway_pong;
        match (self.party, self.fault) {
            // The relay says so.
            (Party::Runner, Fault::Killed) => By::Within(Duration::ZERO),
            (Party::Runner, Fault::Stopped | Fault::Cut) => By::Within(times.relay_pong),
            // The bus says so at the next ping.
            (Party::Relay, Fault::Killed) => By::Within(times.gateway_ping),
            (Party::Relay, Fault::Stopped | Fault::Cut) => By::Within(ping_timeout),
            (Party::Gateway, Fault::Killed) => By::Within(Duration::ZERO),
            (Party::Gateway, Fault::Stopped) => By::WhenItGoesOn,
            // It waits for another runner, of which it hears nothing either.
            (Party::Gateway, Fault::Cut) => By::Within(match self.phase {
                Phase::Get => ping_timeout + times.grace,
                Phase::Post | Phase::Stream | Phase::WebSocket => ping_timeout,
            }),
        }
    }

    /// By when the handler shall hear.
    fn handler(self, times: &Times) -> By {
        match (self.party, self.fault) {
            (Party::Runner, Fault::Killed) => By::Within(Duration::ZERO),
            (Party::Runner, Fault::Stopped) => By::WhenItGoesOn,
            (Party::Runner, Fault::Cut) => By::Within(times.relay_silent),
            (Party::Relay, Fault::Killed) => By::Within(Duration::ZERO),
            (Party::Relay, Fault::Stopped | Fault::Cut) => By::Within(times.relay_silent),
            // The bus says so at the next piece; of who is quiet the relay hears nothing.
            (Party::Gateway, Fault::Killed) => By::Within(match self.phase {
                Phase::Stream => Duration::ZERO,
                Phase::Get | Phase::Post | Phase::WebSocket => times.gateway_silent,
            }),
            (Party::Gateway, Fault::Stopped | Fault::Cut) => By::Within(times.gateway_silent),
        }
    }

    /// Whether another runner shall answer instead.
    fn is_sent_again(self) -> bool {
        self.phase == Phase::Get && matches!(self.party, Party::Runner | Party::Relay)
    }
}

/// How it went.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) client: Told,
    pub(crate) handler: Told,
    /// What should not be so.
    pub(crate) faults: Vec<String>,
}

/// What somebody was told, and after how long.
#[derive(Debug)]
pub(crate) enum Told {
    After {
        time: Duration,
        what: String,
    },
    /// So long after the stopped process went on.
    AfterGoingOn {
        time: Duration,
        what: String,
    },
    Nothing,
}

/// Opens a request, lets it happen, and measures.
pub(crate) async fn tell(case: Case, pace: u32) -> Result<Outcome, Failure> {
    let times = Times::at(pace);
    let mut fleet = Fleet::start(pace).await?;
    let mut client = open(case.phase, fleet.gateway_address).await?;
    let mut calls = fleet.target.calls.clone();
    timeout(Duration::from_secs(5), calls.wait_for(|calls| !calls.is_empty())).await??;
    fleet.add_spare().await?;

    let at = fleet.strike(case.fault, case.party).await?;
    let before = |by| match by {
        By::Within(time) => Some(time + AT_ONCE),
        By::WhenItGoesOn => None,
    };
    let (client_by, handler_by) = (case.client(&times), case.handler(&times));
    let (mut client_heard, mut handler_heard) =
        tokio::join!(async { heard_by(before(client_by), async { (&mut client).await.ok() }).await }, async {
            heard_by(before(handler_by), fleet.target.heard()).await
        },);
    let mut told = [tell_since(at, &client_heard), tell_since(at, &handler_heard)];
    if case.fault == Fault::Stopped {
        let at = fleet.go_on(case.party).await?;
        if client_heard.is_none() {
            client_heard = heard_by(Some(AT_ONCE), async { (&mut client).await.ok() }).await;
            told[0] = tell_since(at, &client_heard).going_on();
        }
        if handler_heard.is_none() {
            handler_heard = heard_by(Some(AT_ONCE), fleet.target.heard()).await;
            told[1] = tell_since(at, &handler_heard).going_on();
        }
    }
    client.abort();

    let mut faults = Vec::new();
    for (who, by, told) in [("client", client_by, &told[0]), ("handler", handler_by, &told[1])] {
        match (by, told) {
            (By::Within(_), Told::After { .. }) | (By::WhenItGoesOn, Told::AfterGoingOn { .. }) => {}
            (By::WhenItGoesOn, Told::After { .. } | Told::Nothing)
            | (By::Within(_), Told::AfterGoingOn { .. } | Told::Nothing) => {
                faults.push(format!("the {who} should have heard {by}, and heard {told}"))
            }
        }
    }
    if case.is_sent_again() && client_heard.is_none_or(|heard| heard.what != format!("200 {ANSWER}")) {
        faults.push("no other runner answered".to_owned());
    }
    let posts = fleet.target.calls.borrow().iter().filter(|call| call.method == Method::POST).count();
    if posts > 1 {
        faults.push(format!("one POST was given to {posts} handlers"));
    }
    let killed = (case.fault == Fault::Killed).then_some(case.party);
    let at_last = times.gateway_silent + times.gateway_ping + AT_ONCE;
    faults.extend(fleet.leftovers(killed, at_last).await?.map(|left| format!("left: {left}")));
    let [client, handler] = told;
    Ok(Outcome { client, handler, faults })
}

/// What was heard in that time; nothing where it cannot be.
async fn heard_by(time: Option<Duration>, heard: impl Future<Output = Option<Heard>>) -> Option<Heard> {
    timeout(time?, heard).await.ok().flatten()
}

fn tell_since(at: Instant, heard: &Option<Heard>) -> Told {
    match heard {
        Some(heard) => Told::After { time: heard.at.saturating_duration_since(at), what: heard.what.clone() },
        None => Told::Nothing,
    }
}

/// In seconds; + counts from when the stopped process went on.
impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Told::After { time, what } => write!(f, "{:.3} {what}", time.as_secs_f64()),
            Told::AfterGoingOn { time, what } => write!(f, "+{:.3} {what}", time.as_secs_f64()),
            Told::Nothing => f.write_str("nothing"),
        }
    }
}

impl Told {
    fn going_on(self) -> Told {
        match self {
            Told::After { time, what } => Told::AfterGoingOn { time, what },
            Told::AfterGoingOn { .. } | Told::Nothing => self,
        }
    }
}
