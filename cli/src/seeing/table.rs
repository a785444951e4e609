//! The requests that are open, and the last of those that have ended: what the inspector shows.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use underpass_core::Time;
use underpass_core::failure::RequestName;
use underpass_core::observe::{Direction, End, Frame, Kind, Note, Opened, Sink};

use super::Hop;

/// How many requests, and how many WebSockets, are kept while they are open; more are counted.
const MAX_OPEN: usize = 10_000;
/// How many are kept when they have ended.
const MAX_FINISHED: usize = 1_000;
/// How many frames of a request are kept from its beginning, and as many of its last.
const MAX_FRAMES: usize = 64;
/// How many other things that happened to a request are kept.
const MAX_TIMELINE: usize = 64;
/// How many rows are read while the machines wait.
const AT_ONCE: usize = 32;
/// How much of the bodies and messages of each direction is kept, bytes, if that is wanted.
const MAX_BODY: usize = 4_096;
/// How much of a path, or of an actor's id, is kept, bytes.
const MAX_TEXT: usize = 512;

/// What is known of requests. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Table(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    start: Instant,
    /// Unix time at the start.
    began: Duration,
    changes: AtomicU64,
    rows: Mutex<Rows>,
}

#[derive(Debug, Default)]
struct Rows {
    requests: HashMap<RequestName, Request>,
    /// In the order of their ends. One that was opened at another hop since is not over, and stands here again later.
    finished: VecDeque<(RequestName, u64)>,
    /// What requests that were sent again are called now, and were called when they were opened.
    first_names: HashMap<RequestName, RequestName>,
    ends: u64,
    opened: u64,
    /// How many are open, of each kind.
    open: [usize; 2],
    /// How many are not kept because there were too many, of each kind, as each machine saw it.
    left_out: [[u64; Hop::ALL.len()]; 2],
}

/// What is known of a request. Times are since the table's start.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) name: RequestName,
    /// What it was called since, if it was sent again: the last is what it is called now.
    pub(crate) again: Vec<RequestName>,
    /// Which in the order of openings.
    pub(crate) turn: u64,
    pub(crate) kind: Kind,
    pub(crate) actor_id: String,
    pub(crate) method: String,
    /// Without its query, which may hold what is secret.
    pub(crate) path: String,
    pub(crate) opened: Duration,
    pub(crate) status: Option<u16>,
    pub(crate) asleep: bool,
    pub(crate) hops: [Option<AtHop>; Hop::ALL.len()],
    pub(crate) last: (Duration, &'static str),
    pub(crate) timeline: Vec<(Duration, Hop, &'static str)>,
    pub(crate) frames: Frames,
    /// The beginnings of what it carries to the runner, and to the gateway; empty unless that is wanted.
    pub(crate) bodies: [Beginning; 2],
    /// Which in the order of ends.
    ended: Option<u64>,
}

/// What one machine saw of a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct AtHop {
    pub(crate) opened: Duration,
    pub(crate) answered: Option<Duration>,
    pub(crate) ended: Option<(Duration, &'static str)>,
    /// Frames and their bytes to the runner, and to the gateway.
    pub(crate) frames: [(u64, u64); 2],
}

/// The beginning of bodies or messages.
#[derive(Clone, Debug, Default)]
pub(crate) struct Beginning {
    pub(crate) bytes: Vec<u8>,
    pub(crate) left_out: u64,
}

impl Beginning {
    fn push(&mut self, bytes: &[u8]) {
        let (taken, left_out) = bytes.split_at(bytes.len().min(MAX_BODY - self.bytes.len()));
        self.bytes.extend_from_slice(taken);
        self.left_out += left_out.len() as u64;
    }
}

/// The frames of a request, as headers: the first ones and the last ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Frames {
    pub(crate) first: Vec<(Duration, Hop, Frame)>,
    pub(crate) last: VecDeque<(Duration, Hop, Frame)>,
    pub(crate) left_out: u64,
}

impl Frames {
    fn push(&mut self, frame: (Duration, Hop, Frame)) {
        if self.first.len() < MAX_FRAMES {
            return self.first.push(frame);
        }
        if self.last.len() == MAX_FRAMES {
            self.last.pop_front();
            self.left_out += 1;
        }
        self.last.push_back(frame);
    }
}

impl Request {
    fn new(opened: &Opened<'_>, turn: u64, at: Duration) -> Self {
        let path = opened.path.split('?').next().unwrap_or_default();
        Request {
            name: opened.request,
            again: Vec::new(),
            turn,
            kind: opened.kind,
            actor_id: short(opened.actor_id),
            method: short(opened.method),
            path: short(path),
            opened: at,
            status: None,
            asleep: false,
            hops: [const { None }; Hop::ALL.len()],
            last: (at, "opened"),
            timeline: Vec::new(),
            frames: Frames::default(),
            bodies: Default::default(),
            ended: None,
        }
    }

    /// Whether it has ended at each machine that saw it.
    pub(crate) fn is_over(&self) -> bool {
        self.ended.is_some()
    }

    /// What the machine saw that is nearest to its client.
    pub(crate) fn nearest(&self) -> Option<&AtHop> {
        self.hops.iter().flatten().next()
    }

    fn happened(&mut self, at: Duration, hop: Hop, what: &'static str) {
        self.last = (at, what);
        if self.timeline.len() < MAX_TIMELINE {
            self.timeline.push((at, hop, what));
        }
    }
}

fn short(text: &str) -> String {
    let end = (0..=text.len().min(MAX_TEXT)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    text[..end].to_owned()
}

/// The code of an end.
fn code(end: End) -> &'static str {
    match end {
        End::Done => "done",
        End::ClientGone => "client_gone",
        End::Failed(code) => code.as_str(),
        End::Aborted => "aborted",
    }
}

impl Table {
    pub(crate) fn new() -> Self {
        let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (changes, rows) = (AtomicU64::new(0), Mutex::new(Rows::default()));
        Table(Arc::new(Shared { start: Instant::now(), began, changes, rows }))
    }

    /// Where a machine's requests are told of.
    pub(crate) fn at(&self, hop: Hop) -> Teller {
        Teller { table: self.clone(), hop }
    }

    /// How often anything has changed.
    pub(crate) fn changes(&self) -> u64 {
        self.0.changes.load(Ordering::Relaxed)
    }

    /// What time it is, since the start.
    pub(crate) fn now(&self) -> Duration {
        self.0.start.elapsed()
    }

    /// The Unix time of a time since the start.
    pub(crate) fn unix(&self, at: Duration) -> Duration {
        self.0.began + at
    }

    /// Makes something of each that is wanted, the newest first, at most so many; and how many are wanted in all. The
    /// machines can go on meanwhile.
    pub(crate) fn list<T>(
        &self,
        wanted: impl Fn(&Request) -> bool,
        most: usize,
        mut make: impl FnMut(&Request) -> T,
    ) -> (Vec<T>, usize) {
        let place = |request: &Request| (Reverse((request.ended, request.turn)), request.name);
        let mut found: Vec<_> = self.lock().requests.values().filter(|request| wanted(request)).map(place).collect();
        let in_all = found.len();
        found.sort_unstable_by_key(|(place, _)| *place);
        found.truncate(most);
        let mut made = Vec::with_capacity(found.len());
        for names in found.chunks(AT_ONCE) {
            let rows = self.lock();
            let requests = names.iter().filter_map(|(_, name)| rows.requests.get(name));
            made.extend(requests.filter(|request| wanted(request)).map(&mut make));
        }
        (made, in_all)
    }

    /// How many of a kind were open at once with so many others that they are not kept.
    pub(crate) fn left_out(&self, kind: Kind) -> u64 {
        self.lock().left_out[kind as usize].into_iter().max().unwrap_or_default()
    }

    /// One of them.
    pub(crate) fn get(&self, name: RequestName) -> Option<Request> {
        let rows = self.lock();
        rows.requests.get(&rows.first_name(name)).cloned()
    }

    /// It carries this.
    pub(crate) fn body(&self, name: RequestName, direction: Direction, bytes: &[u8]) {
        let mut rows = self.lock();
        let name = rows.first_name(name);
        if let Some(request) = rows.requests.get_mut(&name) {
            request.bodies[direction as usize].push(bytes);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Rows> {
        self.0.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, note: &Note<'_>, hop: Hop) {
        let at = self.now();
        self.lock().note(note, hop, at);
        self.0.changes.fetch_add(1, Ordering::Relaxed);
    }
}

impl Rows {
    fn note(&mut self, note: &Note<'_>, hop: Hop, at: Duration) {
        match note {
            Note::Opened(opened) => self.open(opened, hop, at),
            Note::Frame { request, frame } => {
                let request = self.first_name(*request);
                let Some(request) = self.requests.get_mut(&request) else { return };
                if let Some(seen) = &mut request.hops[hop as usize] {
                    let (frames, bytes) = &mut seen.frames[frame.direction as usize];
                    *frames += 1;
                    *bytes += frame.bytes as u64;
                }
                request.last = (at, frame.kind);
                request.frames.push((at, hop, *frame));
            }
            Note::Answered { request, status } => {
                let request = self.first_name(*request);
                let Some(request) = self.requests.get_mut(&request) else { return };
                if let Some(seen) = &mut request.hops[hop as usize] {
                    seen.answered = Some(at);
                }
                request.status = Some(*status);
                request.happened(at, hop, "answered");
            }
            Note::SentAgain { request, again } => {
                if let Some(row) = self.requests.get_mut(request) {
                    row.again.push(*again);
                    self.first_names.insert(*again, *request);
                }
                self.happened(*request, hop, at, "sent_again");
            }
            Note::Slept { request } => {
                if let Some(request) = self.requests.get_mut(request) {
                    request.asleep = true;
                }
                self.happened(*request, hop, at, "slept");
            }
            Note::Woke { request } => {
                if let Some(request) = self.requests.get_mut(request) {
                    request.asleep = false;
                }
                self.happened(*request, hop, at, "woke");
            }
            Note::Ended { request, end } => self.end(self.first_name(*request), hop, at, code(*end)),
        }
    }

    fn open(&mut self, opened: &Opened<'_>, hop: Hop, at: Duration) {
        let name = self.first_name(opened.request);
        let known = self.requests.get(&name);
        // Each kind has its own room: WebSockets may stay for days, and requests are to be seen meanwhile.
        let kind = known.map_or(opened.kind, |request| request.kind) as usize;
        if known.is_none() && self.open[kind] >= MAX_OPEN {
            self.left_out[kind][hop as usize] += 1;
            return;
        }
        if known.is_none_or(Request::is_over) {
            self.open[kind] += 1;
        }
        self.opened += 1;
        let turn = self.opened;
        let request = self.requests.entry(name).or_insert_with(|| Request::new(opened, turn, at));
        request.hops[hop as usize] = Some(AtHop { opened: at, ..AtHop::default() });
        request.ended = None;
        request.happened(at, hop, "opened");
    }

    /// What it was called when it was opened.
    fn first_name(&self, name: RequestName) -> RequestName {
        self.first_names.get(&name).copied().unwrap_or(name)
    }

    fn happened(&mut self, name: RequestName, hop: Hop, at: Duration, what: &'static str) {
        if let Some(request) = self.requests.get_mut(&name) {
            request.happened(at, hop, what);
        }
    }

    fn end(&mut self, name: RequestName, hop: Hop, at: Duration, end: &'static str) {
        let Some(request) = self.requests.get_mut(&name) else { return };
        if let Some(seen) = &mut request.hops[hop as usize] {
            seen.ended = Some((at, end));
        }
        request.happened(at, hop, end);
        if request.hops.iter().flatten().any(|seen| seen.ended.is_none()) {
            return;
        }
        if !request.is_over() {
            self.open[request.kind as usize] -= 1;
        }
        self.ends += 1;
        request.ended = Some(self.ends);
        self.finished.push_back((name, self.ends));
        while self.finished.len() > MAX_FINISHED {
            let Some((oldest, turn)) = self.finished.pop_front() else { return };
            if self.requests.get(&oldest).is_some_and(|request| request.ended == Some(turn)) {
                let again = self.requests.remove(&oldest).map(|request| request.again);
                for name in again.into_iter().flatten() {
                    self.first_names.remove(&name);
                }
            }
        }
    }
}

/// Tells the table of what one machine sees.
#[derive(Debug)]
pub(crate) struct Teller {
    table: Table,
    hop: Hop,
}

impl Sink for Teller {
    fn note(&mut self, note: &Note<'_>, _now: Time) {
        self.table.note(note, self.hop);
    }
}

/// What the protocol calls a direction, for people.
pub(crate) const fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::ToRunner => "to_runner",
        Direction::ToGateway => "to_gateway",
    }
}

#[cfg(test)]
mod tests {
    use underpass_core::FailureCode;
    use underpass_core::protocol::{GatewayId, RequestId};

    use super::*;

    fn name(request: u32) -> RequestName {
        RequestName { gateway_id: GatewayId([1; 4]), request_id: RequestId(request.to_be_bytes()) }
    }

    fn opened(request: u32) -> Note<'static> {
        opened_as(Kind::Http, request)
    }

    fn opened_as(kind: Kind, request: u32) -> Note<'static> {
        Note::Opened(Opened {
            request: name(request),
            kind,
            actor_id: "a",
            method: "GET",
            path: "/p?token=secret",
            traceparent: None,
        })
    }

    fn ended(request: u32, end: End) -> Note<'static> {
        Note::Ended { request: name(request), end }
    }

    fn open_and_over(table: &Table) -> [usize; 2] {
        [false, true].map(|over| table.list(|request| request.is_over() == over, usize::MAX, |_| ()).1)
    }

    #[test]
    fn a_request_is_over_when_each_machine_that_saw_it_says_so() {
        let table = Table::new();
        let [mut gateway, mut relay] = [Hop::Gateway, Hop::Relay].map(|hop| table.at(hop));
        gateway.note(&opened(1), Time::ZERO);
        relay.note(&opened(1), Time::ZERO);
        relay.note(&ended(1, End::Done), Time::ZERO);
        assert_eq!(open_and_over(&table), [1, 0]);
        gateway.note(&ended(1, End::Failed(FailureCode::IdleTimeout)), Time::ZERO);
        assert_eq!(open_and_over(&table), [0, 1]);
        let request = table.get(name(1)).unwrap();
        assert_eq!(request.nearest().unwrap().ended.unwrap().1, "idle_timeout");
        assert_eq!(request.path, "/p");
        assert_eq!(table.changes(), 4);
    }

    #[test]
    fn one_that_a_machine_hears_of_late_is_open_again() {
        let table = Table::new();
        let [mut gateway, mut relay] = [Hop::Gateway, Hop::Relay].map(|hop| table.at(hop));
        gateway.note(&opened(1), Time::ZERO);
        gateway.note(&ended(1, End::ClientGone), Time::ZERO);
        relay.note(&opened(1), Time::ZERO);
        assert_eq!(open_and_over(&table), [1, 0]);
        relay.note(&ended(1, End::Aborted), Time::ZERO);
        assert_eq!(open_and_over(&table), [0, 1]);
    }

    #[test]
    fn one_that_is_sent_again_is_one_by_either_name() {
        let table = Table::new();
        let [mut gateway, mut relay] = [Hop::Gateway, Hop::Relay].map(|hop| table.at(hop));
        gateway.note(&opened(1), Time::ZERO);
        relay.note(&opened(1), Time::ZERO);
        relay.note(&ended(1, End::Aborted), Time::ZERO);
        gateway.note(&Note::SentAgain { request: name(1), again: name(2) }, Time::ZERO);
        relay.note(&opened(2), Time::ZERO);
        relay.note(&ended(2, End::Done), Time::ZERO);
        gateway.note(&ended(1, End::Done), Time::ZERO);
        assert_eq!(open_and_over(&table), [0, 1]);
        let request = table.get(name(2)).unwrap();
        assert_eq!((request.name, request.again), (name(1), vec![name(2)]));
    }

    #[test]
    fn of_what_a_request_carries_the_beginning_is_kept() {
        let table = Table::new();
        table.at(Hop::Gateway).note(&opened(1), Time::ZERO);
        for _ in 0..3 {
            table.body(name(1), Direction::ToGateway, &[b'a'; 2_000]);
            table.body(name(2), Direction::ToGateway, b"of nobody");
        }
        let [up, down] = table.get(name(1)).unwrap().bodies;
        assert_eq!((up.bytes.len(), down.bytes.len(), down.left_out), (0, MAX_BODY, 6_000 - MAX_BODY as u64));
    }

    #[test]
    fn requests_are_seen_however_many_websockets_are_open() {
        let table = Table::new();
        let [mut gateway, mut relay] = [Hop::Gateway, Hop::Relay].map(|hop| table.at(hop));
        for request in 0..MAX_OPEN as u32 + 10 {
            gateway.note(&opened_as(Kind::WebSocket, request), Time::ZERO);
        }
        // Another machine that hears of them makes them no more.
        for request in MAX_OPEN as u32..MAX_OPEN as u32 + 10 {
            relay.note(&opened_as(Kind::WebSocket, request), Time::ZERO);
        }
        assert_eq!([Kind::Http, Kind::WebSocket].map(|kind| table.left_out(kind)), [0, 10]);
        // One that ends twice, and is opened anew between, takes one place and leaves it.
        let again = 100_000;
        for _ in 0..2 {
            gateway.note(&opened(again), Time::ZERO);
            assert_eq!(open_and_over(&table)[0], MAX_OPEN + 1);
            gateway.note(&ended(again, End::Done), Time::ZERO);
            gateway.note(&ended(again, End::Done), Time::ZERO);
        }
        assert_eq!(table.lock().open, [0, MAX_OPEN]);
        for request in 0..MAX_OPEN as u32 {
            gateway.note(&ended(request, End::Done), Time::ZERO);
        }
        assert_eq!(table.lock().open, [0, 0]);
        gateway.note(&opened_as(Kind::WebSocket, again + 1), Time::ZERO);
        assert_eq!((open_and_over(&table)[0], table.left_out(Kind::WebSocket)), (1, 10));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let table = Table::new();
        let mut runner = table.at(Hop::Runner);
        for request in 0..MAX_FINISHED as u32 + 10 {
            runner.note(&opened(request), Time::ZERO);
            runner.note(&ended(request, End::Done), Time::ZERO);
        }
        assert_eq!(open_and_over(&table), [0, MAX_FINISHED]);
        assert!(table.get(name(9)).is_none() && table.get(name(10)).is_some());
        for request in 0..MAX_OPEN as u32 + 10 {
            runner.note(&opened(100_000 + request), Time::ZERO);
        }
        assert_eq!((open_and_over(&table)[0], table.left_out(Kind::Http)), (MAX_OPEN, 10));
        let frame = Frame { direction: Direction::ToRunner, kind: "K", message_index: 0, bytes: 3 };
        for _ in 0..200 {
            runner.note(&Note::Frame { request: name(100_000), frame }, Time::ZERO);
        }
        let request = table.get(name(100_000)).unwrap();
        let Frames { first, last, left_out } = request.frames;
        assert_eq!((first.len(), last.len(), left_out), (MAX_FRAMES, MAX_FRAMES, 200 - 2 * MAX_FRAMES as u64));
        assert_eq!(request.hops[Hop::Runner as usize].as_ref().unwrap().frames[0], (200, 600));
    }
}
