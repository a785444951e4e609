//! What became of each request, told from what passes a machine's doors, and from its [`News`].

use bytestring::ByteString;
use hashbrown::HashMap;

use super::{Direction, End, Kind, News, Note, Observer, Opened, Sink};
use crate::bus::Publication;
use crate::failure::{Failure, RequestName};
use crate::frame::Frame;
use crate::gateway::{self, Open, OpenKind};
use crate::http::Headers;
use crate::machine::{Machine, RequestKey};
use crate::protocol::mention::{ToClientMention, ToServerMention};
use crate::protocol::tunnel::{Dialect, ToClientTunnelMessage, to_client};
use crate::protocol::{MessageId, ToClient, ToRunner};
use crate::time::Time;
use crate::{Gateway, Relay, Runner, relay, runner};

/// Looks on at a machine and tells a [`Sink`] of each of its requests.
///
/// A request is called all the time by the name with which it was opened here. Frames are noted where they are those of
/// the bus or of the runner's own version: at a relay, those toward runners as they come from the bus, those toward
/// gateways as they go out to it.
#[derive(Debug)]
pub struct Journal<S> {
    sink: S,
    /// By what they are called now.
    followed: HashMap<RequestName, Followed>,
    most: usize,
    not_followed: u64,
    /// What is about to be opened, if it is.
    coming: Option<Coming>,
    /// What has ended, until all that was done for it has been noted.
    ended: Vec<(RequestName, End)>,
}

#[derive(Debug)]
struct Followed {
    /// By what it is called in notes.
    name: RequestName,
    /// Here so many times: a relay may have a WebSocket on a connection that it leaves, and on the next.
    times: u32,
    /// Whether a frame of it broke it off.
    is_broken_off: bool,
}

/// What may be opened by what happens now.
#[derive(Debug)]
enum Coming {
    /// By a client.
    Asked(Head),
    /// By a frame of the bus.
    Published(Frame),
    /// By a frame of a relay.
    Sent(Frame),
}

/// What there is to tell of an opening.
#[derive(Debug)]
struct Head {
    kind: Kind,
    actor_id: ByteString,
    method: ByteString,
    path: ByteString,
    traceparent: Option<ByteString>,
}

impl Head {
    fn of(kind: Kind, actor_id: ByteString, method: ByteString, path: ByteString, headers: &Headers) -> Self {
        let mut fields = headers.iter();
        let traceparent = fields.find(|(name, _)| name.eq_ignore_ascii_case("traceparent"));
        let traceparent = traceparent.map(|(_, value)| value.clone());
        Head { kind, actor_id, method, path, traceparent }
    }

    fn asked(open: &Open) -> Self {
        let kind = match open.kind {
            OpenKind::Http(_) => Kind::Http,
            OpenKind::WebSocket => Kind::WebSocket,
        };
        let head = &open.head;
        Head::of(kind, open.target.actor_id.clone(), head.method.clone(), head.path.clone(), &head.headers)
    }

    /// A WebSocket that was opened long ago, elsewhere.
    fn restored(actor_id: ByteString) -> Self {
        let (method, path) = ("GET".into(), ByteString::new());
        Head { kind: Kind::WebSocket, actor_id, method, path, traceparent: None }
    }

    fn carried(message: ToClientTunnelMessage) -> Option<Self> {
        match message.message_kind {
            to_client::Kind::RequestStart(start) => {
                Some(Head::of(Kind::Http, start.actor_id, start.method, start.path, &start.headers))
            }
            to_client::Kind::WebSocketOpen(open) => {
                Some(Head::of(Kind::WebSocket, open.actor_id, "GET".into(), open.path, &open.headers))
            }
            to_client::Kind::RequestChunk(_)
            | to_client::Kind::RequestAbort
            | to_client::Kind::WebSocketMessage(_)
            | to_client::Kind::WebSocketClose(_)
            | to_client::Kind::Credit(_) => None,
        }
    }

    fn opened(&self, request: RequestName) -> Opened<'_> {
        let Head { kind, actor_id, method, path, traceparent } = self;
        let traceparent = traceparent.as_deref();
        Opened { request, kind: *kind, actor_id, method, path, traceparent }
    }
}

impl Coming {
    fn head(&self) -> Option<Head> {
        match self {
            Coming::Asked(_) => None,
            Coming::Published(frame) => match ToRunner::decode_framed(frame, Dialect::Underpass) {
                Ok(ToRunner::TunnelMessage(message)) => Head::carried(message),
                Ok(_) | Err(_) => None,
            },
            Coming::Sent(frame) => match ToClient::decode(frame, Dialect::Underpass) {
                Ok(ToClient::TunnelMessage(message)) => Head::carried(message),
                Ok(_) | Err(_) => None,
            },
        }
    }

    fn frame(&self) -> Option<(ToClientMention, usize)> {
        match self {
            Coming::Asked(_) => None,
            Coming::Published(frame) => Some((ToClientMention::of_bus(frame)?, frame.len())),
            Coming::Sent(frame) => Some((ToClientMention::of_socket(frame)?, frame.len())),
        }
    }
}

impl From<MessageId> for RequestName {
    fn from(MessageId { gateway_id, request_id, message_index: _ }: MessageId) -> Self {
        RequestName { gateway_id, request_id }
    }
}

impl<S: Sink> Journal<S> {
    /// So many requests are followed at most, unless another bound is set.
    pub const MOST: usize = 1_000_000;

    /// One that has seen nothing yet.
    pub fn new(sink: S) -> Self {
        Journal { sink, followed: HashMap::new(), most: Self::MOST, not_followed: 0, coming: None, ended: Vec::new() }
    }

    /// Follows so many requests at most. Of others nothing is told.
    #[must_use]
    pub fn following_at_most(self, most: usize) -> Self {
        Journal { most, ..self }
    }

    /// How many requests are followed now.
    pub fn open(&self) -> usize {
        self.followed.len()
    }

    /// How many were opened of which nothing is told, since too many were followed.
    pub fn not_followed(&self) -> u64 {
        self.not_followed
    }

    /// Whom it tells.
    pub fn sink(&self) -> &S {
        &self.sink
    }

    /// Whom it tells.
    pub fn sink_mut(&mut self) -> &mut S {
        &mut self.sink
    }

    fn open_one(&mut self, request: RequestName, head: &Head, now: Time) {
        if let Some(followed) = self.followed.get_mut(&request) {
            followed.times += 1;
            return;
        }
        if self.followed.len() >= self.most {
            self.not_followed += 1;
            return;
        }
        self.followed.insert(request, Followed { name: request, times: 1, is_broken_off: false });
        self.sink.note(&Note::Opened(head.opened(request)), now);
    }

    fn read(&mut self, news: &[News], now: Time) {
        for news in news {
            match news {
                News::Opened { request } => self.came(*request, now),
                News::Restored { request, actor_id } => {
                    self.open_one(*request, &Head::restored(actor_id.clone()), now);
                }
                News::Answered { request, status } => self.answered(*request, *status, now),
                News::SentAgain { request, again } => {
                    let Some(mut followed) = self.followed.remove(request) else { continue };
                    // What broke off is what it was called before.
                    followed.is_broken_off = false;
                    self.sink.note(&Note::SentAgain { request: followed.name, again: *again }, now);
                    self.followed.insert(*again, followed);
                }
                News::Slept { request } => {
                    self.tell(*request, now, |request| Note::Slept { request });
                }
                News::Woke { request } => {
                    self.tell(*request, now, |request| Note::Woke { request });
                }
                News::Ended { request, end } => self.ended.push((*request, *end)),
            }
        }
        self.coming = None;
    }

    /// What was coming has been taken in.
    fn came(&mut self, request: RequestName, now: Time) {
        let Some(coming) = self.coming.take() else { return };
        let read = coming.head();
        let head = match (&coming, &read) {
            (Coming::Asked(head), _) => head,
            (Coming::Published(_) | Coming::Sent(_), Some(head)) => head,
            (Coming::Published(_) | Coming::Sent(_), None) => return,
        };
        self.open_one(request, head, now);
        if let Some((mention, bytes)) = coming.frame() {
            self.toward_runner(&mention, bytes, now);
        }
    }

    fn answered(&mut self, request: RequestName, status: u16, now: Time) {
        self.tell(request, now, |request| Note::Answered { request, status });
    }

    fn tell(&mut self, request: RequestName, now: Time, note: impl FnOnce(RequestName) -> Note<'static>) {
        if let Some(Followed { name, .. }) = self.followed.get(&request) {
            self.sink.note(&note(*name), now);
        }
    }

    fn toward_runner(&mut self, mention: &ToClientMention, bytes: usize, now: Time) {
        self.frame(mention.message_id, Direction::ToRunner, mention.kind(), mention.aborts(), bytes, now);
    }

    fn toward_gateway(&mut self, mention: &ToServerMention, bytes: usize, now: Time) {
        self.frame(mention.message_id, Direction::ToGateway, mention.kind(), mention.aborts(), bytes, now);
    }

    /// What a runner or a relay lets go of tells what was answered.
    fn answers(&mut self, mention: Option<ToServerMention>, bytes: usize, now: Time) {
        let Some(mention) = mention else { return };
        self.toward_gateway(&mention, bytes, now);
        if let Some(status) = mention.answered {
            self.answered(mention.message_id.into(), status, now);
        }
    }

    fn frame(
        &mut self,
        id: MessageId,
        direction: Direction,
        kind: &'static str,
        aborts: bool,
        bytes: usize,
        now: Time,
    ) {
        let Some(followed) = self.followed.get_mut(&RequestName::from(id)) else { return };
        followed.is_broken_off |= aborts;
        let frame = super::Frame { direction, kind, message_index: id.message_index, bytes };
        self.sink.note(&Note::Frame { request: followed.name, frame }, now);
    }

    /// All has been noted that was done for what has ended.
    fn end_all(&mut self, now: Time) {
        for (request, end) in self.ended.drain(..) {
            let Some(followed) = self.followed.get_mut(&request) else { continue };
            followed.times -= 1;
            if followed.times > 0 {
                continue;
            }
            let end = match end {
                End::Done if followed.is_broken_off => End::Aborted,
                End::Done | End::ClientGone | End::Failed(_) | End::Aborted => end,
            };
            let name = followed.name;
            self.followed.remove(&request);
            self.sink.note(&Note::Ended { request: name, end }, now);
        }
    }
}

impl<S: Sink> Observer<Gateway> for Journal<S> {
    fn event(&mut self, _machine: &Gateway, event: &gateway::Event, now: Time) {
        if let gateway::Event::Received { frame, .. } = event
            && let Some(mention) = ToServerMention::of_bus(frame)
        {
            self.toward_gateway(&mention, frame.len(), now);
        }
    }

    fn handled(&mut self, machine: &Gateway, now: Time) {
        self.read(machine.news(), now);
    }

    fn action(&mut self, _machine: &Gateway, action: &gateway::Action, now: Time) {
        if let gateway::Action::Publish(Publication { frame, .. }) = action
            && let Some(mention) = ToClientMention::of_bus(frame)
        {
            self.toward_runner(&mention, frame.len(), now);
        }
    }

    fn settled(&mut self, _machine: &Gateway, now: Time) {
        self.end_all(now);
    }

    fn opens(&mut self, _machine: &Gateway, open: &Open, _now: Time) {
        self.coming = Some(Coming::Asked(Head::asked(open)));
    }

    fn opened(&mut self, machine: &Gateway, outcome: Result<RequestKey, &Failure>, now: Time) {
        // One that was refused was here for a moment.
        if let Err(Failure { code, request: Some(request), .. }) = outcome
            && let Some(Coming::Asked(head)) = self.coming.take()
        {
            self.sink.note(&Note::Opened(head.opened(*request)), now);
            self.sink.note(&Note::Ended { request: *request, end: End::Failed(*code) }, now);
        }
        self.read(machine.news(), now);
    }
}

impl<S: Sink> Observer<Relay> for Journal<S> {
    fn event(&mut self, _machine: &Relay, event: &relay::Event, now: Time) {
        if let relay::Event::FromBus { frame, .. } = event
            && let Some(mention) = ToClientMention::of_bus(frame)
        {
            if mention.opens() {
                self.coming = Some(Coming::Published(frame.clone()));
            } else {
                self.toward_runner(&mention, frame.len(), now);
            }
        }
    }

    fn handled(&mut self, machine: &Relay, now: Time) {
        self.read(machine.news(), now);
    }

    fn action(&mut self, _machine: &Relay, action: &relay::Action, now: Time) {
        if let relay::Action::Publish(Publication { frame, .. }) = action {
            self.answers(ToServerMention::of_bus(frame), frame.len(), now);
        }
    }

    fn settled(&mut self, _machine: &Relay, now: Time) {
        self.end_all(now);
    }
}

impl<S: Sink> Observer<Runner> for Journal<S> {
    fn event(&mut self, _machine: &Runner, event: &runner::Event, now: Time) {
        if let runner::Event::Received { frame, .. } = event
            && let Some(mention) = ToClientMention::of_socket(frame)
        {
            if mention.opens() {
                self.coming = Some(Coming::Sent(frame.clone()));
            } else {
                self.toward_runner(&mention, frame.len(), now);
            }
        }
    }

    fn handled(&mut self, machine: &Runner, now: Time) {
        self.read(machine.news(), now);
    }

    fn action(&mut self, _machine: &Runner, action: &runner::Action, now: Time) {
        if let runner::Action::Send { frame, .. } = action {
            self.answers(ToServerMention::of_socket(frame), frame.len(), now);
        }
    }

    fn settled(&mut self, _machine: &Runner, now: Time) {
        self.end_all(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{GatewayId, RequestId};

    #[derive(Default)]
    struct Told(Vec<(bool, RequestName)>);

    impl Sink for Told {
        fn note(&mut self, note: &Note<'_>, _now: Time) {
            match note {
                Note::Opened(opened) => self.0.push((true, opened.request)),
                Note::Ended { request, .. } => self.0.push((false, *request)),
                Note::Frame { .. }
                | Note::Answered { .. }
                | Note::SentAgain { .. }
                | Note::Slept { .. }
                | Note::Woke { .. } => panic!("{note:?}"),
            }
        }
    }

    fn name(number: u8) -> RequestName {
        RequestName { gateway_id: GatewayId([1; 4]), request_id: RequestId([number; 4]) }
    }

    fn restored(number: u8) -> News {
        News::Restored { request: name(number), actor_id: "a".into() }
    }

    fn ended(number: u8) -> News {
        News::Ended { request: name(number), end: End::Done }
    }

    #[test]
    fn of_more_than_may_be_followed_nothing_is_told() {
        let mut journal = Journal::new(Told::default()).following_at_most(1);
        journal.read(&[restored(1), restored(2), ended(2), ended(1), restored(3)], Time::ZERO);
        journal.end_all(Time::ZERO);
        journal.read(&[restored(4)], Time::ZERO);
        assert_eq!((journal.not_followed(), journal.open()), (2, 1));
        assert_eq!(journal.sink().0, [(true, name(1)), (false, name(1)), (true, name(4))]);
    }

    #[test]
    fn what_is_here_twice_is_told_of_once_and_ends_with_the_last() {
        let mut journal = Journal::new(Told::default());
        journal.read(&[restored(1), restored(1), ended(1)], Time::ZERO);
        journal.end_all(Time::ZERO);
        assert_eq!(journal.sink().0, [(true, name(1))]);
        journal.read(&[ended(1)], Time::ZERO);
        journal.end_all(Time::ZERO);
        assert_eq!((journal.open(), &journal.sink().0[1..]), (0, &[(false, name(1))][..]));
    }
}
