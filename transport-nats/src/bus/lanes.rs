//! What a publisher knows of those it publishes to.

use std::collections::VecDeque;

use async_nats::Subject as Name;
use bytes::{BufMut, BytesMut};
use hashbrown::HashMap;
use tokio::time::{Duration, Instant};
use underpass_core::Frame;
use underpass_core::bus::{Address, Publication, Subject};
use underpass_core::protocol::carry::request_of;

use super::label::Count;
use super::names::{Back, Names};

/// Who publishes, and to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LaneKey {
    pub(crate) from: Option<Address>,
    pub(crate) to: Address,
}

impl LaneKey {
    pub(crate) fn of(publication: &Publication) -> Self {
        LaneKey { from: publication.reply_to.map(|from| from.address()), to: publication.to.address() }
    }
}

/// What goes from one publisher to one address. Frames pass a large one that is under way, unless their order matters.
#[derive(Debug)]
pub(crate) struct Lane {
    strand: u64,
    next: u64,
    /// The large frame that is under way.
    pub(crate) transfer: Option<Transfer>,
    /// What waits for it, and since when.
    pub(crate) held: VecDeque<(Instant, Publication)>,
}

/// A large frame under way.
#[derive(Debug)]
pub(crate) struct Transfer {
    pub(crate) id: u64,
    pub(crate) publication: Publication,
    /// It was said that it comes.
    pub(crate) announced: bool,
    /// Bytes that have been sent.
    pub(crate) sent: usize,
    /// Bytes that may have been sent.
    pub(crate) granted: usize,
    /// All of it was sent, and what became of that can't be known any more.
    pub(crate) unsure: bool,
    /// When something must have been heard of it.
    pub(crate) due: Instant,
}

impl Transfer {
    pub(crate) fn new(id: u64, publication: Publication, due: Instant) -> Self {
        Transfer { id, publication, announced: false, sent: 0, granted: 0, unsure: false, due }
    }

    /// Word of what was sent is not to be expected any more.
    pub(crate) fn lose_sight(&mut self) {
        self.unsure |= self.sent == self.publication.frame.len();
    }
}

impl Lane {
    fn new(strand: u64) -> Self {
        Lane { strand, next: 0, transfer: None, held: VecDeque::new() }
    }

    /// The place of the frame that goes out next.
    pub(crate) fn place(&self) -> Count {
        Count { strand: self.strand, number: self.next }
    }

    /// So many frames go out.
    pub(crate) fn pass(&mut self, frames: u64) {
        self.next += frames;
    }

    /// Whether a frame has to wait for a large one.
    pub(crate) fn holds_back(&self, publication: &Publication) -> bool {
        let Some(transfer) = &self.transfer else { return false };
        let Some(request) = request_of(&publication.to, &publication.frame) else { return true };
        let of = |held: &Publication| request_of(&held.to, &held.frame) == Some(request);
        of(&transfer.publication) || self.held.iter().any(|(_, held)| of(held))
    }

    /// Takes out those that wait and are of the same request.
    pub(crate) fn take_held(&mut self, publication: &Publication) -> Vec<Publication> {
        let request = request_of(&publication.to, &publication.frame);
        if request.is_none() {
            return Vec::new();
        }
        let (same, others): (VecDeque<_>, _) =
            self.held.drain(..).partition(|(_, held)| request_of(&held.to, &held.frame) == request);
        self.held = others;
        same.into_iter().map(|(_, held)| held).collect()
    }

    fn is_idle(&self) -> bool {
        self.transfer.is_none() && self.held.is_empty()
    }
}

/// Lanes, and what subjects are called.
#[derive(Debug)]
pub(crate) struct Lanes {
    names: Names,
    lanes: HashMap<LaneKey, Lane>,
    routes: HashMap<(Option<Address>, Subject), Route>,
    owed: VecDeque<(Instant, (Option<Address>, Subject))>,
    most: usize,
    /// Ids that no other bus gives.
    next_id: u64,
    ask_again: Duration,
}

/// A subject that is published to.
#[derive(Debug)]
struct Route {
    name: Name,
    back: Option<Name>,
    /// When the server was asked last whether anybody listens.
    asked: Option<Instant>,
    /// Something was published since.
    owes: bool,
}

/// Where to publish, and whether the server is asked if anybody listens.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) name: Name,
    pub(crate) back: Option<Name>,
}

impl Lanes {
    pub(crate) fn new(names: Names, first_id: u64, most: usize, ask_again: Duration) -> Self {
        let (lanes, routes) = (HashMap::new(), HashMap::new());
        Lanes { names, lanes, routes, owed: VecDeque::new(), most, next_id: first_id, ask_again }
    }

    pub(crate) fn id(&mut self) -> u64 {
        self.next_id = self.next_id.wrapping_add(1);
        self.next_id
    }

    /// A lane, new if need be. When there are too many, those with nothing under way are forgotten: they begin anew.
    pub(crate) fn lane(&mut self, key: LaneKey) -> &mut Lane {
        if self.lanes.len() >= self.most && !self.lanes.contains_key(&key) {
            self.lanes.retain(|_, lane| !lane.is_idle());
        }
        let next_id = &mut self.next_id;
        self.lanes.entry(key).or_insert_with(|| {
            *next_id = next_id.wrapping_add(1);
            Lane::new(*next_id)
        })
    }

    pub(crate) fn get(&mut self, key: &LaneKey) -> Option<&mut Lane> {
        self.lanes.get_mut(key)
    }

    /// The large frame that is under way on a lane.
    pub(crate) fn transfer(&mut self, key: &LaneKey) -> Option<&mut Transfer> {
        self.lanes.get_mut(key)?.transfer.as_mut()
    }

    /// Where to publish a frame. Not each asks whether anybody listens: the answer would cost more than the frame. One
    /// that does not is made up for [later](Lanes::owed).
    pub(crate) fn way(&mut self, from: Option<Address>, to: Subject, now: Instant) -> Way {
        let ask_again = self.ask_again;
        let key = (from, to);
        let route = self.route(key);
        let name = route.name.clone();
        let asks = route.back.is_some() && route.asked.is_none_or(|asked| now >= asked + ask_again);
        if asks {
            route.asked = Some(now);
            route.owes = false;
            return Way { name, back: route.back.clone() };
        }
        if let Some(asked) = route.asked
            && !route.owes
        {
            route.owes = true;
            self.owed.push_back((asked + ask_again, key));
        }
        Way { name, back: None }
    }

    /// Where to publish what must be answered.
    pub(crate) fn way_back(&mut self, from: Option<Address>, to: Subject) -> Way {
        let route = self.route((from, to));
        Way { name: route.name.clone(), back: route.back.clone() }
    }

    /// When the first question is to be asked that no frame asked.
    pub(crate) fn owed_at(&self) -> Option<Instant> {
        self.owed.front().map(|(at, _)| *at)
    }

    /// A subject to which something was published, and the server was not asked whether anybody listens.
    pub(crate) fn owed(&mut self, now: Instant) -> Option<Way> {
        while let Some((at, key)) = self.owed.front().copied() {
            if at > now {
                return None;
            }
            self.owed.pop_front();
            if let Some(route) = self.routes.get_mut(&key)
                && route.owes
            {
                route.owes = false;
                route.asked = Some(now);
                return Some(Way { name: route.name.clone(), back: route.back.clone() });
            }
        }
        None
    }

    fn route(&mut self, key: (Option<Address>, Subject)) -> &mut Route {
        if self.routes.len() >= self.most && !self.routes.contains_key(&key) {
            // Only what they are called is forgotten, and when was asked.
            self.routes.retain(|_, route| route.owes);
        }
        let names = &self.names;
        self.routes.entry(key).or_insert_with(|| {
            let (from, to) = key;
            let back = from.map(|from| names.back(Back { from, to }));
            Route { name: names.subject(to), back, asked: None, owes: false }
        })
    }
}

/// Copies bytes of a frame.
pub(crate) fn copy(frame: &Frame, offset: usize, length: usize, buffer: &mut BytesMut) {
    let (mut start, end) = (0, offset + length);
    for piece in frame.pieces() {
        let stop = start + piece.len();
        if start < end && offset < stop {
            buffer.put_slice(&piece[offset.saturating_sub(start)..end.min(stop) - start]);
        }
        start = stop;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use underpass_core::bus::{ConnectionId, RelayId};
    use underpass_core::protocol::GatewayId;
    use uuid::Uuid;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn lanes(most: usize) -> Lanes {
        Lanes::new(Names::new("underpass", 1), 0, most, SECOND)
    }

    fn to(number: u64) -> Subject {
        Subject::Connection(ConnectionId { relay: RelayId(Uuid::nil()), number })
    }

    fn from() -> Option<Address> {
        Some(Address::Gateway(GatewayId([1; 4])))
    }

    #[test]
    fn the_server_is_asked_at_first_then_once_in_a_while_and_behind_the_last_frame() {
        let mut lanes = lanes(10);
        let start = Instant::now();
        let asks =
            |lanes: &mut Lanes, after: f32| lanes.way(from(), to(1), start + SECOND.mul_f32(after)).back.is_some();
        assert!(asks(&mut lanes, 0.0));
        assert_eq!(lanes.owed_at(), None);
        assert!(!asks(&mut lanes, 0.5));
        assert!(!asks(&mut lanes, 0.9));
        assert_eq!(lanes.owed_at(), Some(start + SECOND));
        assert!(asks(&mut lanes, 1.0));
        assert!(lanes.owed(start + SECOND).is_none(), "a frame has asked");
        assert!(!asks(&mut lanes, 1.1));
        assert!(lanes.owed(start + SECOND.mul_f32(1.9)).is_none());
        assert!(lanes.owed(start + 2 * SECOND).is_some());
        assert_eq!(lanes.owed_at(), None);
        assert!(!asks(&mut lanes, 2.5));
    }

    #[test]
    fn a_publisher_without_a_name_does_not_ask() {
        let mut lanes = lanes(10);
        for _ in 0..2 {
            assert!(lanes.way(None, to(1), Instant::now()).back.is_none());
        }
        assert_eq!(lanes.owed_at(), None);
    }

    #[test]
    fn each_address_is_counted_for_itself_and_what_is_idle_begins_anew_when_there_is_too_much() {
        let mut lanes = lanes(2);
        let key = |gateway: u8| LaneKey { from: from(), to: Address::Gateway(GatewayId([gateway; 4])) };
        let first = lanes.lane(key(1)).place();
        assert_eq!(first.number, 0);
        lanes.lane(key(1)).pass(3);
        assert_eq!(lanes.lane(key(1)).place(), Count { number: 3, ..first });
        let other = lanes.lane(key(2)).place();
        assert_eq!(other.number, 0);
        lanes.lane(key(3));
        let again = lanes.lane(key(1)).place();
        assert_eq!(again.number, 0);
        assert!(again.strand != first.strand && again.strand != other.strand);
        for number in 0..10 {
            lanes.way(from(), to(number), Instant::now());
            assert!(lanes.routes.len() <= 2);
        }
    }

    #[test]
    fn any_bytes_of_a_frame_are_copied() {
        let frame = Frame::new(&[0, 1, 2], Bytes::from_static(&[3, 4, 5]), Some(6));
        for start in 0..=7 {
            for end in start..=7 {
                let mut buffer = BytesMut::new();
                copy(&frame, start, end - start, &mut buffer);
                assert_eq!(buffer[..], [0, 1, 2, 3, 4, 5, 6][start..end]);
            }
        }
    }
}
