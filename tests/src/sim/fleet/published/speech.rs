//! What a published runner says and hears, in its version's words.

use underpass_core::Frame;
use underpass_core::protocol::any::{self, Message, Schema, Union};
use underpass_core::protocol::{Dialect, Memory, ToClient, ToServer, Untranslatable, Version};

/// A version, and what its words leave to be remembered.
pub(super) struct Speech {
    pub(super) version: Version,
    memory: Memory,
}

impl Speech {
    pub(super) fn new(version: Version) -> Self {
        Speech { version, memory: Memory::stand_alone() }
    }

    /// A message as its socket carries it.
    pub(super) fn say(&mut self, message: &ToServer) -> Result<Frame, String> {
        if self.version == Version::V7 {
            return Ok(message.encode());
        }
        let message = Message::ToServer(any::ToServer::V7(message.clone()));
        let message = message.translate(self.version, &mut self.memory).map_err(|error| error.to_string())?;
        Ok(message.encode())
    }

    /// What a frame of its socket says; none: nothing that version 7 has words for.
    pub(super) fn hear(&mut self, frame: Frame) -> Result<Option<ToClient>, String> {
        if self.version == Version::V7 {
            return ToClient::decode(&frame, Dialect::Published).map(Some).map_err(|error| error.to_string());
        }
        let schema = Schema::new(Union::ToClient, self.version).map_err(|error| error.to_string())?;
        let message = schema.decode(&frame).map_err(|error| error.to_string())?;
        match message.translate(Version::V7, &mut self.memory) {
            Ok(Message::ToClient(any::ToClient::V7(message))) => Ok(Some(message)),
            Ok(other) => Err(format!("{other:?}")),
            Err(Untranslatable::Acknowledgement { .. } | Untranslatable::NeedsSession { .. }) => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }
}
