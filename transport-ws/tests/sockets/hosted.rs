//! A host for the stories of actors: it notes what its actors see, and does what their clients say.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use ::http::{Request, Response};
use bytes::Bytes;
use underpass_core::http::{Close, Message};
use underpass_transport_ws::runner::{
    ActorContext, ActorHandler, Body, HibernatingIncoming, HibernatingWebSocket, Host, KvError, MessageIndex, Pending,
    SleepingSocket,
};

/// What happened, in the words of the actors. Clones are handles of the same one.
#[derive(Clone, Default)]
pub(crate) struct Diary {
    lines: Arc<Mutex<Vec<String>>>,
    /// How many starts are to fail from now on.
    pub(crate) failing_starts: Arc<AtomicUsize>,
}

impl Diary {
    fn note(&self, line: impl fmt::Display) {
        self.lines.lock().unwrap().push(line.to_string());
    }

    pub(crate) fn has(&self, line: &str) -> bool {
        self.lines.lock().unwrap().iter().any(|noted| noted == line)
    }

    pub(crate) fn count(&self, line: &str) -> usize {
        self.lines.lock().unwrap().iter().filter(|noted| *noted == line).count()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }
}

/// Starts actors that count their visits, and the messages of their WebSockets.
#[derive(Clone, Default)]
pub(crate) struct Actors {
    pub(crate) diary: Diary,
}

pub(crate) struct Actor {
    context: ActorContext,
    diary: Diary,
}

/// The number of the last message, and how many there were.
#[derive(Clone, Copy, Default)]
struct Tally(MessageIndex, u64);

impl Tally {
    fn to_value(self) -> String {
        format!("{} {}", self.0, self.1)
    }

    fn of_value(value: &[u8]) -> Tally {
        let (last, count) = std::str::from_utf8(value).unwrap().split_once(' ').unwrap();
        Tally(last.parse().unwrap(), count.parse().unwrap())
    }
}

impl Host for Actors {
    type Actor = Actor;
    type Error = KvError;

    async fn start(&self, context: ActorContext, sockets: Vec<SleepingSocket>) -> Result<Actor, KvError> {
        let diary = self.diary.clone();
        diary.note(format!("{} starts with {} sockets", context.id(), sockets.len()));
        let kept: HashMap<Bytes, Bytes> = context.kv().list_prefix("socket ").await?.into_iter().collect();
        let mut restored = Vec::new();
        for socket in sockets {
            if let Some(value) = kept.get(format!("socket {}", socket.id()).as_bytes()) {
                let tally = Tally::of_value(value);
                restored.push((socket.restore(tally.0), tally));
            }
        }
        if self.diary.failing_starts.load(Ordering::SeqCst) > 0 {
            self.diary.failing_starts.fetch_sub(1, Ordering::SeqCst);
            return Err(KvError("not today".into()));
        }
        for (mut socket, tally) in restored {
            let (context, diary) = (context.clone(), diary.clone());
            context.clone().spawn(async move {
                if context.kv().get("greets").await.unwrap().is_some() {
                    socket.send(Message::Text("here again".into())).await.unwrap();
                }
                serve(context, diary, socket, tally).await;
            });
        }
        Ok(Actor { context, diary })
    }
}

impl ActorHandler for Actor {
    type Body = String;
    type Error = KvError;

    async fn request(&self, request: Request<Body>) -> Result<Response<String>, KvError> {
        let kv = self.context.kv();
        match request.uri().path() {
            "/visit" => {
                let visits = kv.get("visits").await?.map_or(1, |value| value[0] + 1);
                kv.put("visits", [visits]).await?;
                return Ok(Response::new(visits.to_string()));
            }
            "/sleep" => self.context.sleep(),
            "/destroy" => self.context.destroy(),
            "/alarm" => self.context.set_alarm(Some(SystemTime::now() + Duration::from_millis(300))),
            "/greet" => kv.put("greets", "yes").await?,
            "/forget" => {
                for (key, _) in kv.list_prefix("socket ").await? {
                    kv.delete(key).await?;
                }
            }
            "/crash" => self.context.crash("as it was told"),
            "/work" => {
                let diary = self.diary.clone();
                self.context.spawn(async move {
                    let _noted = Noted(diary);
                    std::future::pending::<()>().await;
                });
            }
            "/kv" => {
                kv.put_all([("a", "1"), ("b", "2"), ("c", "3")]).await?;
                assert_eq!(kv.get_all(["c", "x", "a"]).await?, [Some("3".into()), None, Some("1".into())]);
                kv.delete_range("a", "c").await?;
                assert_eq!(kv.list_prefix("").await?, [("c".into(), "3".into())]);
                kv.clear().await?;
                assert_eq!(kv.get("c").await?, None);
            }
            "/panic" => panic!("on purpose"),
            path => panic!("nobody asks for {path}"),
        }
        Ok(Response::new("done".to_owned()))
    }

    async fn websocket(&self, request: Request<()>, socket: Pending) {
        if request.uri().path() != "/ws" {
            return;
        }
        let tally = Tally::default();
        self.context.kv().put(format!("socket {}", socket.id()), tally.to_value()).await.unwrap();
        serve(self.context.clone(), self.diary.clone(), socket.accept_hibernating(), tally).await;
    }

    async fn stop(&self) {
        // It still has its store.
        self.context.kv().put("stopped", "yes").await.unwrap();
        self.diary.note(format!("{} stops", self.context.id()));
    }
}

struct Noted(Diary);

impl Drop for Noted {
    fn drop(&mut self) {
        self.0.note("a task is dropped");
    }
}

async fn serve(context: ActorContext, diary: Diary, mut socket: HibernatingWebSocket, mut tally: Tally) {
    let key = format!("socket {}", socket.id());
    while let Some(incoming) = socket.receive().await {
        match incoming {
            HibernatingIncoming::Message { message: Message::Text(text), .. } if text == "panic" => {
                panic!("on purpose")
            }
            HibernatingIncoming::Message { message: Message::Text(text), .. } if text == "close" => {
                context.kv().delete(&key).await.unwrap();
                return socket.close(Close::new(4001, "as told")).await;
            }
            HibernatingIncoming::Message { number, message: _ } => {
                tally = Tally(number, tally.1 + 1);
                context.kv().put(&key, tally.to_value()).await.unwrap();
                socket.handled(number);
                if socket.send(Message::Text(tally.1.to_string().into())).await.is_err() {
                    diary.note("an answer had nobody");
                }
            }
            HibernatingIncoming::Close(close) => {
                context.kv().delete(&key).await.unwrap();
                diary.note(format!("closed {:?}", close.code));
            }
            HibernatingIncoming::Asleep => diary.note("asleep"),
        }
    }
}
