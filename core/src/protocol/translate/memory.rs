//! What translating must remember of a connection.

use bytestring::ByteString;

use super::Untranslatable;
use super::generations::Generations;
use super::indexes::Indexes;
use super::numbers::Numbers;
use crate::protocol::ids::{GatewayId, MessageIndex, RequestId};

/// What was said on a connection, as far as translating other messages depends on it.
///
/// Its tables are bounded, and what belongs to a request goes when the request ends.
#[derive(Debug)]
pub struct Memory {
    generations: Generations,
    numbers: Numbers,
    /// None where no session stands behind.
    indexes: Option<Indexes>,
}

impl Memory {
    /// What a runner of version 3 or older is told when it is greeted: of what it said on this connection nothing was
    /// taken yet, and what it said on others it says again.
    pub(crate) const BEFORE_ANY_EVENT: i64 = Indexes::BEFORE_ANY_EVENT;

    /// For a relay's session, on which up to so many requests may be open.
    pub(crate) fn of_session(max_requests: usize) -> Self {
        Memory {
            generations: Generations::default(),
            numbers: Numbers::of_opened_requests(max_requests),
            indexes: Some(Indexes::default()),
        }
    }

    /// For messages without a session: a capture of one direction, say.
    ///
    /// Messages of runners of versions 1 and 2 are numbered as they come, and generations that version 4 leaves out
    /// are those that came before; what version 3 counts cannot be translated.
    pub fn stand_alone() -> Self {
        /// So many requests are numbered; messages of more all get 0.
        const MOST_REQUESTS: usize = 1 << 20;
        Memory { generations: Generations::default(), numbers: Numbers::of_any_requests(MOST_REQUESTS), indexes: None }
    }

    /// How many requests are remembered.
    pub(crate) fn requests(&self) -> usize {
        self.numbers.len()
    }

    /// A request goes to the runner.
    pub(crate) fn open(&mut self, request: (GatewayId, RequestId)) -> Result<(), Untranslatable> {
        self.numbers.open(request)
    }

    /// A request is over.
    pub(crate) fn close(&mut self, request: (GatewayId, RequestId)) {
        self.numbers.close(request);
    }

    /// The number of a request's message that came from a runner which does not number.
    pub(crate) fn number(&mut self, request: (GatewayId, RequestId)) -> MessageIndex {
        self.numbers.next(request)
    }

    /// An actor was spoken of with its generation.
    pub(crate) fn saw_generation(&mut self, actor_id: &ByteString, generation: u32) {
        self.generations.saw(actor_id, generation);
    }

    /// A generation of an actor has stopped.
    pub(crate) fn saw_stop(&mut self, actor_id: &ByteString, generation: u32) {
        self.generations.stopped(actor_id, generation);
    }

    /// The generation that an acknowledgement of this actor means.
    pub(crate) fn generation(&self, actor_id: &str) -> u32 {
        self.generations.of(actor_id)
    }

    /// A runner of version 3 or older came, and knows commands up to this one.
    pub(crate) fn init(&mut self, last_command: Option<i64>) {
        if let Some(indexes) = &mut self.indexes {
            indexes.init(last_command);
        }
    }

    /// The index on the connection of a command that bears this one for its actor. Without a session it is the same.
    pub(crate) fn command_index(&mut self, actor_id: &ByteString, actor_index: i64) -> i64 {
        self.indexes.as_mut().map_or(actor_index, |indexes| indexes.command(actor_id, actor_index))
    }

    /// An event came with this index, which orders its actor's as well.
    pub(crate) fn saw_event(&mut self, actor_id: &ByteString, generation: u32, index: i64) {
        if let Some(indexes) = &mut self.indexes {
            indexes.event(actor_id, generation, index);
        }
    }

    /// An event said that this generation of an actor has stopped.
    pub(crate) fn saw_last_event(&mut self, actor_id: &str, generation: u32) {
        if let Some(indexes) = &mut self.indexes {
            indexes.stopped(actor_id, generation);
        }
    }

    /// The last command of each actor among those up to this index on the connection.
    pub(crate) fn acknowledge_commands(&mut self, last: i64) -> Result<Vec<(ByteString, i64)>, Untranslatable> {
        let indexes = self.indexes.as_mut();
        let needs_session = Untranslatable::NeedsSession { message: "ToServerAckCommands" };
        indexes.map(|indexes| indexes.acknowledge_commands(last)).ok_or(needs_session)
    }

    /// Up to where all events were taken, once those up to these were.
    pub(crate) fn acknowledge_events<'a>(
        &mut self,
        last: impl Iterator<Item = (&'a str, i64)>,
    ) -> Result<i64, Untranslatable> {
        let needs_session = Untranslatable::NeedsSession { message: "ToClientAckEvents" };
        let indexes = self.indexes.as_mut().ok_or(needs_session)?;
        for (actor_id, index) in last {
            indexes.acknowledge_event(actor_id, index);
        }
        Ok(indexes.last_event())
    }
}
