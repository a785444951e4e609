//! Events and actions of the three machines.

use bytes::Bytes;

use super::{Blank, Blanks, unions};
use crate::frame::Frame;
use crate::protocol::Version;
use crate::{gateway, relay, runner};

impl Blanks {
    pub(in crate::record) fn gateway_event(&mut self, event: &mut gateway::Event) {
        use gateway::Event;

        match event {
            Event::Received { from: _, frame } => unions::to_gateway(frame),
            Event::PublishFailed(rejected) => rejected.publication.blank(),
            Event::RequestChunk { bytes, .. } => bytes.blank(),
            Event::WebSocketMessage { message, .. } => message.blank(),
            Event::Tick
            | Event::WallClock { .. }
            | Event::NoResponders { .. }
            | Event::Lost { .. }
            | Event::Directory(_)
            | Event::Actors(_)
            | Event::Actor(_)
            | Event::ActorChanged { .. }
            | Event::RegistryChanged { .. }
            | Event::DirectoryAway
            | Event::DirectoryBack
            | Event::WebSocketClose { .. }
            | Event::Consumed { .. }
            | Event::ClientGone { .. }
            | Event::EndRequest { .. }
            | Event::Drain => {}
        }
    }

    pub(in crate::record) fn gateway_action(&mut self, action: &mut gateway::Action) {
        use gateway::Action;

        match action {
            Action::Publish(publication) => publication.blank(),
            Action::ResponseStart { head, body, .. } => {
                head.headers.blank();
                body.blank();
            }
            Action::ResponseChunk { bytes, .. } => bytes.blank(),
            Action::WebSocketMessage { message, .. } => message.blank(),
            Action::WebSocketOpened { .. }
            | Action::WebSocketClose { .. }
            | Action::Failed { .. }
            | Action::PauseSource { .. }
            | Action::ResumeSource { .. }
            | Action::Actor(_)
            | Action::Registry(_)
            | Action::Drained => {}
        }
    }

    pub(in crate::record) fn relay_event(&mut self, event: &mut relay::Event) {
        use relay::Event;

        match event {
            Event::Connected { connection, hello } => {
                if let Ok(version) = Version::try_from(hello.protocol_version) {
                    self.versions.insert(*connection, version);
                }
            }
            Event::Disconnected { connection } => {
                self.versions.remove(connection);
            }
            Event::FromRunner { connection, frame: bytes } => {
                let mut frame = Frame::from(core::mem::take(bytes));
                self.frame(*connection, &mut frame, unions::to_server);
                *bytes = frame.into_bytes();
            }
            Event::FromBus { connection: _, frame } => unions::to_runner(frame),
            Event::PublishFailed(rejected) => rejected.publication.blank(),
            Event::KvAnswered { data, .. } => data.blank(),
            Event::Tick
            | Event::WallClock { .. }
            | Event::TextFromRunner { .. }
            | Event::Ponged { .. }
            | Event::PeerBlocked { .. }
            | Event::PeerWritable { .. }
            | Event::Directory { .. }
            | Event::NoResponders { .. }
            | Event::Lost { .. }
            | Event::Runner(_)
            | Event::Actor(_)
            | Event::ActorChanged { .. }
            | Event::Registered { .. }
            | Event::DirectoryBack
            | Event::DirectoryAway
            | Event::DrainRunner { .. }
            | Event::Drain => {}
        }
    }

    pub(in crate::record) fn relay_action(&mut self, action: &mut relay::Action) {
        use relay::Action;

        match action {
            Action::Send { connection, frame } => self.frame(*connection, frame, unions::to_client),
            Action::Publish(publication) => publication.blank(),
            Action::Kv { call, .. } => call.blank(),
            Action::Ping { .. }
            | Action::Close { .. }
            | Action::Directory { .. }
            | Action::Forget(_)
            | Action::Actor(_)
            | Action::Registered { .. }
            | Action::ShowActors
            | Action::LogActors(_)
            | Action::Log { .. }
            | Action::Drained => {}
        }
    }

    pub(in crate::record) fn runner_event(&mut self, event: &mut runner::Event) {
        use runner::Event;

        match event {
            Event::Received { connection: _, frame } => unions::to_client(frame, Version::V7),
            Event::ResponseStart { head, body, .. } => {
                head.headers.blank();
                body.blank();
            }
            Event::ResponseChunk { bytes, .. } => bytes.blank(),
            Event::WebSocketMessage { message, .. } => message.blank(),
            Event::Kv { call, .. } => call.blank(),
            Event::Tick
            | Event::Connected { .. }
            | Event::DialRefused { .. }
            | Event::Disconnected { .. }
            | Event::PeerBlocked { .. }
            | Event::PeerWritable { .. }
            | Event::HandlerFailed { .. }
            | Event::WebSocketAccept { .. }
            | Event::WebSocketRestore { .. }
            | Event::Handled { .. }
            | Event::WebSocketClose { .. }
            | Event::Consumed { .. }
            | Event::ActorRunning { .. }
            | Event::ActorStopped { .. }
            | Event::ActorSleep { .. }
            | Event::ActorDestroy { .. }
            | Event::ActorAlarm { .. }
            | Event::Drain => {}
        }
    }

    pub(in crate::record) fn runner_action(&mut self, action: &mut runner::Action) {
        use runner::Action;

        match action {
            Action::Send { connection: _, frame } => unions::to_server(frame, Version::V7),
            Action::Request { head, body, .. } => {
                head.headers.blank();
                body.blank();
            }
            Action::RequestChunk { bytes, .. } => bytes.blank(),
            Action::WebSocketOpen { head, .. } => head.headers.blank(),
            Action::WebSocketMessage { message, .. } => message.blank(),
            Action::KvAnswered { answer, .. } => answer.blank(),
            Action::Dial { .. }
            | Action::Disconnect { .. }
            | Action::Ready { .. }
            | Action::Aborted { .. }
            | Action::WebSocketAsleep { .. }
            | Action::WebSocketClose { .. }
            | Action::PauseSource { .. }
            | Action::ResumeSource { .. }
            | Action::StartActor { .. }
            | Action::StopActor { .. }
            | Action::Stopped(_) => {}
        }
    }

    /// A frame of a runner's connection. Where nobody knows what the runner speaks, nothing of it stays: no machine looks
    /// at it there.
    fn frame(&self, connection: u64, frame: &mut Frame, blank: impl FnOnce(&mut Frame, Version)) {
        match self.versions.get(&connection) {
            Some(version) => blank(frame, *version),
            None => *frame = Frame::from(Bytes::from(vec![0; frame.len()])),
        }
    }
}
