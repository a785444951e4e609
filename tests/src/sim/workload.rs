//! What clients do, and what their handlers do about it.

use core::time::Duration;

use underpass_core::FailureCode;
use underpass_transport_mem::sim::Random;

use super::hibernation::HibernatingPlan;

/// One client: one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientPlan {
    /// Its number, by which its bytes are known.
    pub number: u32,
    /// When it comes.
    pub at: Duration,
    /// Which gateway it asks.
    pub gateway: usize,
    /// Which pool it asks for.
    pub pool: usize,
    /// What it wants.
    pub wish: Wish,
    /// How long it takes to read a kibibyte of what comes.
    pub reading: Duration,
    /// After how long it goes away without a word, if it does.
    pub leaves: Option<Duration>,
}

/// What a client wants. Later features add theirs here, with what their handler does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// An HTTP exchange.
    Http(HttpPlan),
    /// A WebSocket.
    WebSocket(WebSocketPlan),
    /// A WebSocket that can hibernate.
    Hibernating(HibernatingPlan),
}

/// An HTTP exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpPlan {
    /// The method.
    pub method: &'static str,
    /// The request's body.
    pub body: BodyPlan,
    /// How long the handler thinks.
    pub thinking: Duration,
    /// Whether it answers without waiting for the end of the request's body.
    pub is_hasty: bool,
    /// How long it takes to read a kibibyte of the request.
    pub reading: Duration,
    /// What it answers.
    pub answer: Answer,
}

/// A body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyPlan {
    /// None.
    None,
    /// So many bytes at once.
    Whole(usize),
    /// In pieces.
    Streamed(Pieces),
}

/// Pieces of so many bytes each, with a pause between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pieces {
    /// Their lengths.
    pub lengths: Vec<usize>,
    /// What is between them.
    pub gap: Duration,
}

/// What a handler answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// An answer with this body.
    Clean(BodyPlan),
    /// An answer that breaks off behind its pieces.
    BreaksOff(Pieces),
    /// It fails instead.
    Fails,
    /// None, ever.
    Never,
}

/// A WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSocketPlan {
    /// What the handler does about its opening.
    pub welcome: Welcome,
    /// How long it thinks before that.
    pub thinking: Duration,
    /// What the client sends.
    pub up: Pieces,
    /// What the handler sends.
    pub down: Pieces,
    /// How long the handler takes to read a kibibyte.
    pub reading: Duration,
    /// Who closes when it has sent its messages: the client when it has all of the handler's, too.
    pub closer: Closer,
}

/// What becomes of a WebSocket that is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Welcome {
    /// It is taken.
    Accepted,
    /// It is closed instead.
    Refused,
    /// The handler fails.
    Failed,
    /// Nothing.
    Ignored,
}

/// Who closes a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closer {
    /// The client.
    Client,
    /// The handler.
    Handler,
}

impl Pieces {
    /// The bytes of all.
    pub fn total(&self) -> usize {
        self.lengths.iter().sum()
    }
}

impl BodyPlan {
    /// The bytes of all.
    pub fn total(&self) -> usize {
        match self {
            BodyPlan::None => 0,
            BodyPlan::Whole(length) => *length,
            BodyPlan::Streamed(pieces) => pieces.total(),
        }
    }
}

/// What limits the bodies of a seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// The largest body that travels whole.
    pub whole: usize,
    /// The largest piece.
    pub piece: usize,
    /// How many pieces, at most.
    pub pieces: usize,
}

impl ClientPlan {
    /// Some client. One that is well-behaved wants what it must get if nothing goes wrong.
    pub fn any(number: u32, random: &mut Random, sizes: Sizes, is_well_behaved: bool) -> ClientPlan {
        let mut plan = ClientPlan {
            number,
            at: Duration::ZERO,
            gateway: 0,
            pool: 0,
            wish: if random.once_in(3) {
                Wish::WebSocket(WebSocketPlan::any(random, sizes))
            } else {
                Wish::Http(HttpPlan::any(random, sizes))
            },
            reading: if random.once_in(4) { random.up_to(Duration::from_millis(80)) } else { Duration::ZERO },
            leaves: random.once_in(5).then(|| random.up_to(Duration::from_secs(4))),
        };
        if is_well_behaved {
            plan.leaves = None;
            match &mut plan.wish {
                Wish::Http(http) => http.behave(),
                Wish::WebSocket(socket) => socket.welcome = Welcome::Accepted,
                Wish::Hibernating(_) => {}
            }
        }
        plan
    }
}

impl HttpPlan {
    fn any(random: &mut Random, sizes: Sizes) -> HttpPlan {
        let method = random.pick(&["GET", "POST", "POST", "PUT", "DELETE", "HEAD"]);
        let body = match method {
            "GET" | "HEAD" => BodyPlan::None,
            _ => BodyPlan::any(random, sizes),
        };
        let answer = match random.below(12) {
            0 => Answer::Fails,
            1 => Answer::Never,
            2 => Answer::BreaksOff(Pieces::any(random, sizes)),
            _ if method == "HEAD" => Answer::Clean(BodyPlan::None),
            _ => Answer::Clean(BodyPlan::any(random, sizes)),
        };
        HttpPlan {
            method,
            body,
            thinking: thinking(random),
            is_hasty: random.once_in(8),
            reading: if random.once_in(4) { random.up_to(Duration::from_millis(80)) } else { Duration::ZERO },
            answer,
        }
    }

    fn behave(&mut self) {
        match &self.answer {
            Answer::Clean(_) => {}
            Answer::BreaksOff(pieces) => self.answer = Answer::Clean(BodyPlan::Streamed(pieces.clone())),
            Answer::Fails | Answer::Never => self.answer = Answer::Clean(BodyPlan::Whole(40)),
        }
        if self.method == "HEAD" {
            self.answer = Answer::Clean(BodyPlan::None);
        }
    }
}

impl BodyPlan {
    fn any(random: &mut Random, sizes: Sizes) -> BodyPlan {
        match random.below(5) {
            0 => BodyPlan::None,
            1 | 2 => BodyPlan::Whole(random.spread(1, sizes.whole as u64) as usize),
            _ => BodyPlan::Streamed(Pieces::any(random, sizes)),
        }
    }
}

impl Pieces {
    fn any(random: &mut Random, sizes: Sizes) -> Pieces {
        let count = random.spread(1, sizes.pieces as u64);
        let lengths = (0..count).map(|_| match random.below(12) {
            0 => 0,
            _ => random.spread(1, sizes.piece as u64) as usize,
        });
        let lengths = lengths.collect();
        let gap = if random.once_in(2) { random.up_to(Duration::from_millis(400)) } else { Duration::ZERO };
        Pieces { lengths, gap }
    }
}

impl WebSocketPlan {
    fn any(random: &mut Random, sizes: Sizes) -> WebSocketPlan {
        WebSocketPlan {
            welcome: match random.below(16) {
                0 => Welcome::Refused,
                1 => Welcome::Failed,
                2 => Welcome::Ignored,
                _ => Welcome::Accepted,
            },
            thinking: thinking(random),
            up: Pieces::any(random, sizes),
            down: Pieces::any(random, sizes),
            reading: if random.once_in(4) { random.up_to(Duration::from_millis(80)) } else { Duration::ZERO },
            closer: random.pick(&[Closer::Client, Closer::Handler]),
        }
    }
}

fn thinking(random: &mut Random) -> Duration {
    match random.below(4) {
        0 => Duration::ZERO,
        1 => random.up_to(Duration::from_secs(4)),
        _ => random.up_to(Duration::from_millis(100)),
    }
}

impl ClientPlan {
    /// Whether its handler does something of which this comes.
    pub fn may_fail_with(&self, code: FailureCode) -> bool {
        match &self.wish {
            Wish::Http(HttpPlan { answer: Answer::Fails | Answer::BreaksOff(_), .. }) => {
                code == FailureCode::RunnerFailed
            }
            Wish::Http(HttpPlan { answer: Answer::Never, .. }) => code == FailureCode::ResponseStartTimeout,
            Wish::Http(HttpPlan { answer: Answer::Clean(_), .. }) => false,
            Wish::WebSocket(socket) => match socket.welcome {
                Welcome::Accepted => false,
                Welcome::Refused | Welcome::Failed => code == FailureCode::RunnerFailed,
                Welcome::Ignored => code == FailureCode::WebSocketOpenTimeout,
            },
            Wish::Hibernating(_) => false,
        }
    }
}
