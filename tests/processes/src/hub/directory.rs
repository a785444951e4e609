//! The directory, as a gateway or a relay has it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::time::timeout;
use underpass_core::directory::{
    ActorChange, ActorKey, ActorRecord, ActorSeen, ChangeOutcome, Directory, DirectoryUnavailable, RegistryChange,
    RunnerChange, RunnerSeen, Watch,
};
use underpass_core::protocol::GatewayId;
use underpass_core::protocol::to_client::HibernatingRequest;

use super::wire::{Answer, Feed, Hello, Question, dial, hear};

/// How long an answer may take.
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);

/// The directory of a hub.
#[derive(Clone, Debug)]
pub struct HubDirectory {
    hub: SocketAddr,
}

impl HubDirectory {
    /// The directory of the hub that listens there. It is dialled for each question.
    pub fn at(hub: SocketAddr) -> Self {
        HubDirectory { hub }
    }

    async fn ask(&self, question: Question) -> Result<Answer, DirectoryUnavailable> {
        let answered = async {
            let (mut reader, _writer) = dial(self.hub, &Hello::Ask(question)).await?;
            hear(&mut reader).await
        };
        match timeout(ANSWERS_WITHIN, answered).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(io::Error { .. })) | Err(_) => Err(DirectoryUnavailable),
        }
    }

    async fn watch<Seen: DeserializeOwned + Send + 'static>(
        &self,
        hello: &Hello,
    ) -> Result<HubWatch<Seen>, DirectoryUnavailable> {
        let line = dial(self.hub, hello).await.map_err(|_| DirectoryUnavailable)?;
        Ok(HubWatch { seen: Feed::new(line) })
    }
}

impl Directory for HubDirectory {
    type Watch = HubWatch<RunnerSeen>;
    type ActorWatch = HubWatch<ActorSeen>;

    async fn claim_gateway(&self, id: GatewayId) -> Result<bool, DirectoryUnavailable> {
        match self.ask(Question::Claim(id)).await? {
            Answer::Claim(free) => Ok(free),
            Answer::Release
            | Answer::Change(_)
            | Answer::ChangeActor(_)
            | Answer::ChangeRegistry
            | Answer::Registered(_) => Err(DirectoryUnavailable),
        }
    }

    async fn release_gateway(&self, id: GatewayId) -> Result<(), DirectoryUnavailable> {
        self.ask(Question::Release(id)).await.map(|_| ())
    }

    async fn change_runner(&self, change: RunnerChange) -> ChangeOutcome {
        match self.ask(Question::Change(Box::new(change))).await {
            Ok(Answer::Change(outcome)) => outcome,
            Ok(
                Answer::Claim(_)
                | Answer::Release
                | Answer::ChangeActor(_)
                | Answer::ChangeRegistry
                | Answer::Registered(_),
            )
            | Err(DirectoryUnavailable) => ChangeOutcome::Unavailable,
        }
    }

    async fn watch_runners(&self) -> Result<Self::Watch, DirectoryUnavailable> {
        self.watch(&Hello::Watch).await
    }

    async fn change_actor(&self, change: ActorChange) -> ChangeOutcome<ActorRecord> {
        match self.ask(Question::ChangeActor(Box::new(change))).await {
            Ok(Answer::ChangeActor(outcome)) => outcome,
            Ok(
                Answer::Claim(_) | Answer::Release | Answer::Change(_) | Answer::ChangeRegistry | Answer::Registered(_),
            )
            | Err(DirectoryUnavailable) => ChangeOutcome::Unavailable,
        }
    }

    async fn watch_actors(&self) -> Result<(Vec<ActorSeen>, Self::ActorWatch), DirectoryUnavailable> {
        let mut watch = self.watch(&Hello::WatchActors).await?;
        let mut there = Vec::new();
        watch.changed(&mut there).await?;
        Ok((there, watch))
    }

    async fn change_registry(&self, change: RegistryChange) -> Result<(), DirectoryUnavailable> {
        self.ask(Question::ChangeRegistry(change)).await.map(|_| ())
    }

    async fn registered(&self, actor: ActorKey) -> Result<Vec<HibernatingRequest>, DirectoryUnavailable> {
        match self.ask(Question::Registered(actor)).await? {
            Answer::Registered(requests) => Ok(requests),
            Answer::Claim(_)
            | Answer::Release
            | Answer::Change(_)
            | Answer::ChangeActor(_)
            | Answer::ChangeRegistry => Err(DirectoryUnavailable),
        }
    }
}

/// A watch on the records of one kind of a [`HubDirectory`].
pub struct HubWatch<Seen> {
    seen: Feed<Vec<Seen>>,
}

impl<Seen: DeserializeOwned + Send + 'static> Watch<Seen> for HubWatch<Seen> {
    async fn changed(&mut self, seen: &mut Vec<Seen>) -> Result<(), DirectoryUnavailable> {
        seen.extend(self.seen.next().await.ok_or(DirectoryUnavailable)?);
        Ok(())
    }
}
