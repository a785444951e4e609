//! Large frames: announced, sent in pieces as they are granted, and one at a time on each lane.

use bytes::BytesMut;
use tokio::time::Instant;
use underpass_core::bus::{Publication, PublishError, Subject};
use underpass_core::protocol::carry::request_of;

use super::super::label::{self, Kind, Label, Receipt, Word};
use super::super::lanes::{LaneKey, Transfer, copy};
use super::{Out, Outgoing, Returned};

impl Outgoing {
    /// A large frame has its turn. While the server is away, it waits as any other does.
    pub(super) fn begin(&mut self, key: LaneKey, publication: Publication, since: Instant) {
        let id = self.lanes.id();
        let due = since + if self.connected { self.config.receipt } else { self.config.publish };
        self.lanes.lane(key).transfer = Some(Transfer::new(id, publication, due));
        self.large.insert(key);
        self.queue(since, Out::Announce(key, id));
    }

    /// Word of a large frame came.
    pub(crate) fn told(&mut self, key: LaneKey, receipt: Receipt, now: Instant, returned: &mut Returned) {
        let Some(transfer) = self.lanes.transfer(&key).filter(|transfer| transfer.id == receipt.id) else { return };
        match receipt.word {
            Word::Granted(granted) => {
                let had = transfer.granted;
                transfer.granted = had.max(granted as usize).min(transfer.publication.frame.len());
                transfer.due = now + self.config.receipt;
                if transfer.sent == had && transfer.granted > had && !self.sendable.contains(&key) {
                    self.sendable.push_back(key);
                }
            }
            Word::Joined => {
                if let Some(Transfer { publication, .. }) = self.lanes.lane(key).transfer.take() {
                    self.counted.large += 1;
                    self.release(&publication);
                    self.go_on(key, now);
                }
            }
            Word::Missing => self.fail(key, PublishError::Disconnected, now, returned),
            Word::Full => self.fail(key, PublishError::Full, now, returned),
            Word::TooLarge => self.fail(key, PublishError::TooLarge, now, returned),
        }
    }

    /// Sends a piece of the large frame whose turn it is.
    pub(super) fn send_piece(&mut self) {
        let most = self.most();
        let Some(key) = self.sendable.pop_front() else { return };
        let Some(transfer) = self.lanes.transfer(&key) else { return };
        let Transfer { id, publication: Publication { to, frame, .. }, sent, granted, .. } = transfer;
        let length = most.min(*granted - *sent);
        let mut bytes = BytesMut::with_capacity(label::LONGEST + length);
        // Frames are shorter than 4 GiB: config says so.
        let offset = u32::try_from(*sent).unwrap_or(u32::MAX);
        Label { from: None, kind: Kind::Piece { id: *id, offset } }.write(&mut bytes);
        copy(frame, *sent, length, &mut bytes);
        *sent += length;
        let goes_on = *sent < *granted;
        let to = *to;
        let way = self.lanes.way_back(key.from, to);
        // The joiner misses one that is lost.
        self.packs.push(way, bytes.freeze());
        if goes_on {
            self.sendable.push_back(key);
        }
    }

    /// Nobody listens there.
    pub(crate) fn nobody(&mut self, to: Subject, now: Instant, returned: &mut Returned) {
        self.fail_those(|transfer| transfer.publication.to == to, PublishError::NoResponders, now, returned);
    }

    /// Gives back what waited too long for large frames that don't move.
    pub(super) fn expire_held(&mut self, now: Instant, returned: &mut Returned) {
        let keys: Vec<_> = self.large.iter().copied().collect();
        for key in keys {
            while let Some(lane) = self.lanes.get(&key)
                && let Some((_, publication)) = lane.held.pop_front_if(|(since, _)| *since + self.config.publish <= now)
            {
                self.give_back(publication, PublishError::Disconnected, returned);
            }
        }
    }

    /// Large frames do not arrive, or nobody says so.
    pub(super) fn fail_those(
        &mut self,
        which: impl Fn(&Transfer) -> bool,
        reason: PublishError,
        now: Instant,
        returned: &mut Returned,
    ) {
        let of = |key: &&LaneKey| self.lanes.transfer(key).is_some_and(|transfer| which(transfer));
        let keys: Vec<_> = self.large.iter().filter(of).copied().collect();
        for key in keys {
            if let Some(transfer) = self.lanes.transfer(&key) {
                transfer.lose_sight();
            }
            self.fail(key, reason, now, returned);
        }
    }

    /// A frame that waited is a large one: the server has come back with less room. Its place among those of its
    /// request, and before those that are of none, stays as it was.
    pub(super) fn outgrown(&mut self, key: LaneKey, publication: Publication, since: Instant, now: Instant) {
        let request = request_of(&publication.to, &publication.frame);
        let is_behind =
            |other: &Publication| request_of(&other.to, &other.frame).is_none_or(|other| Some(other) == request);
        let mut those = vec![(since, publication)];
        self.ready.retain(|(since, out)| match out {
            Out::Frame(behind) if LaneKey::of(behind) == key && is_behind(behind) => {
                those.push((*since, behind.clone()));
                false
            }
            Out::Frame(_) | Out::Announce(..) | Out::Ask(_) | Out::Receipt(..) => true,
        });
        let lane = self.lanes.lane(key);
        // What was large before stands behind it if it has not been announced.
        let is_next = |transfer: &mut Transfer| !transfer.announced && is_behind(&transfer.publication);
        if let Some(behind) = lane.transfer.take_if(is_next) {
            lane.held.push_front((now, behind.publication));
        }
        let place = lane.held.iter().position(|(_, held)| is_behind(held)).unwrap_or(lane.held.len());
        let after = lane.held.split_off(place);
        lane.held.extend(those.into_iter().chain(after));
        if lane.transfer.is_none() {
            self.go_on(key, now);
        }
    }

    /// The large frame of a lane is out of the way.
    fn go_on(&mut self, key: LaneKey, now: Instant) {
        self.large.remove(&key);
        self.sendable.retain(|sendable| *sendable != key);
        while let Some((since, publication)) = self.lanes.get(&key).and_then(|lane| lane.held.pop_front()) {
            // Only now it can be taken, unless nothing can be.
            let since = if self.connected { now } else { since };
            if self.is_large(&publication) {
                return self.begin(key, publication, since);
            }
            self.queue(since, Out::Frame(publication));
        }
    }

    /// A large frame does not arrive, and what its request has behind it is not published either.
    fn fail(&mut self, key: LaneKey, reason: PublishError, now: Instant, returned: &mut Returned) {
        let Some(lane) = self.lanes.get(&key) else { return };
        let Some(Transfer { publication, unsure, .. }) = lane.transfer.take() else { return };
        let behind = lane.take_held(&publication);
        self.give_back(publication, if unsure { PublishError::Unsure } else { reason }, returned);
        for publication in behind {
            self.give_back(publication, reason, returned);
        }
        self.go_on(key, now);
    }
}
