//! The relay, and runners that answer at once with what they were sent.

use std::collections::VecDeque;
use std::process::Stdio;

use tokio::io::{AsyncReadExt, stdin};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep_until};
use underpass_core::bus::{Address, Bus, Delivery, Inbox};
use underpass_core::directory::{ChangeOutcome, Revision};
use underpass_core::handshake::Hello;
use underpass_core::protocol::to_server::{Init, Pong};
use underpass_core::protocol::tunnel::{ToServerTunnelMessage, to_client, to_server};
use underpass_core::protocol::{Dialect, Map, MessageId, ToClient, ToServer};
use underpass_core::relay::{Action, Config, Event};
use underpass_core::{Frame, Machine, Relay};
use underpass_transport_nats::{Nats, NatsBus};

use crate::Shape;
use crate::names::{METADATA, RELAY, time};

/// What it says when it listens.
const READY: u8 = b'!';

/// The relay as a process.
pub(crate) struct RelayProcess(Child);

impl RelayProcess {
    /// Starts it, and waits until it listens.
    pub(crate) async fn start(bus: &str, shape: Shape) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program is a file"));
        command.args(["relay", "--bus", bus, "--runners", &shape.runners.to_string()]);
        if let Some(room) = shape.room {
            command.args(["--room", &room.to_string()]);
        }
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = piped.spawn().expect("the relay starts");
        let said = process.stdout.as_mut().expect("a pipe").read_u8().await;
        assert_eq!(said.expect("the relay listens"), READY);
        RelayProcess(process)
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id().unwrap_or(0)
    }

    /// Lets it end, and says what it has to say.
    pub(crate) async fn end(mut self) -> String {
        drop(self.0.stdin.take());
        let mut said = String::new();
        self.0.stdout.take().expect("a pipe").read_to_string(&mut said).await.expect("it speaks");
        said.trim_end().to_owned()
    }
}

/// Is the relay until nobody listens to it any more.
pub(crate) async fn run(nats: &Nats, runners: u64) {
    let bus = nats.bus();
    let mut inbox = bus.attach(Address::Relay(RELAY)).await.expect("the address is free");
    let start = Instant::now();
    let relay = Relay::new(Config::default(), RELAY, 1, time(start)).expect("the default works");
    let mut around = Around { relay, bus, start, revision: 0, events: VecDeque::new(), lost: 0 };
    for number in 1..=runners {
        around.connect(number);
    }
    print!("{}", READY as char);
    std::io::Write::flush(&mut std::io::stdout()).expect("somebody reads");
    let mut deliveries = Vec::new();
    let (mut parent, mut said) = (stdin(), [0]);
    loop {
        let due = around.relay.poll_timeout().map(|due| start + due.since(underpass_core::Time::ZERO));
        tokio::select! {
            received = inbox.receive(&mut deliveries) => {
                received.expect("the bus is there");
                deliveries.drain(..).for_each(|delivery| around.take(delivery));
            }
            () = sleep_until(due.unwrap_or_else(|| start + std::time::Duration::from_secs(86_400))) => {
                around.events.push_back(Event::Tick);
            }
            _ = parent.read(&mut said) => break,
        }
        around.settle();
    }
    println!("relay:   {} words of losses, {:?}", around.lost, around.bus.stats());
}

/// A relay's machine, and what is around it.
struct Around {
    relay: Relay,
    bus: NatsBus,
    start: Instant,
    /// Of the last record that was written.
    revision: u64,
    events: VecDeque<Event>,
    /// How often frames were said to be lost.
    lost: u64,
}

impl Around {
    /// A runner comes.
    fn connect(&mut self, connection: u64) {
        let hello = Hello {
            protocol_version: 7,
            namespace: "default".into(),
            runner_key: format!("runner-{connection}").into(),
            dialect: Dialect::Underpass,
        };
        let init = ToServer::Init(Init {
            name: "default".into(),
            version: 1,
            total_slots: 1,
            prepopulate_actor_names: None,
            metadata: Some(METADATA.into()),
        });
        self.events.push_back(Event::Connected { connection, hello });
        self.says(connection, &init);
        self.settle();
    }

    /// A runner says something.
    fn says(&mut self, connection: u64, message: &ToServer) {
        self.events.push_back(Event::FromRunner { connection, frame: message.encode().into_bytes() });
    }

    fn take(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Frame { to, frame, .. } => {
                let connection = to.connection().expect("it is for a runner").number;
                self.events.push_back(Event::FromBus { connection, frame });
            }
            Delivery::Rejected(rejected) => self.events.push_back(Event::PublishFailed(rejected)),
            Delivery::NoResponders { .. } => {}
            Delivery::Lost { from } => {
                self.lost += 1;
                self.events.push_back(Event::Lost { from });
            }
        }
        // As soon as it is there, so that little is held.
        self.settle();
    }

    fn settle(&mut self) {
        let now = time(self.start);
        loop {
            if let Some(event) = self.events.pop_front() {
                self.relay.handle(event, now).expect("it is used as it should be");
            } else if let Some(action) = self.relay.poll_action() {
                self.carry_out(action);
            } else {
                return;
            }
        }
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Send { connection, frame } => self.answer(connection, &frame),
            Action::Publish(publication) => {
                if let Err(rejected) = self.bus.publish(publication) {
                    self.events.push_back(Event::PublishFailed(rejected));
                }
            }
            Action::Ping { connection } => self.events.push_back(Event::Ponged { connection }),
            Action::Close { connection, .. } => self.events.push_back(Event::Disconnected { connection }),
            Action::Directory { connection, .. } => {
                self.revision += 1;
                let outcome = ChangeOutcome::Stored(Revision(self.revision));
                self.events.push_back(Event::Directory { connection, outcome });
            }
            Action::Forget(_)
            | Action::Actor(_)
            | Action::Registered { .. }
            | Action::ShowActors
            | Action::Kv { .. }
            | Action::LogActors(_)
            | Action::Log { .. }
            | Action::Drained => {}
        }
    }

    /// A runner got a message.
    fn answer(&mut self, connection: u64, frame: &Frame) {
        match ToClient::decode(frame, Dialect::Underpass).expect("a relay speaks the protocol") {
            ToClient::TunnelMessage(message) => {
                let to_client::Kind::RequestStart(request) = message.message_kind else { return };
                let start = to_server::ResponseStart {
                    status: 200,
                    headers: Map::default(),
                    body: request.body,
                    stream: false,
                };
                let answer = ToServer::TunnelMessage(ToServerTunnelMessage {
                    message_id: MessageId { message_index: 0, ..message.message_id },
                    message_kind: to_server::Kind::ResponseStart(start),
                });
                self.says(connection, &answer);
            }
            ToClient::Ping(ping) => self.says(connection, &ToServer::Pong(Pong { ts: ping.ts })),
            ToClient::Init(_)
            | ToClient::Commands(_)
            | ToClient::AckEvents(_)
            | ToClient::KvResponse(_)
            | ToClient::Draining => {}
        }
    }
}
