//! One life of an actor: a task that owns all tasks of it.

use std::any::Any;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Future, pending};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::task::{JoinError, JoinSet};

use super::{ActorContext, ActorHandler, Host};
use crate::driver::Task;
use crate::queue::Receiver;
use crate::runner::body::Body;
use crate::runner::hibernating::SleepingSocket;
use crate::runner::request::{Answering, Arrival, answer};
use crate::runner::websocket::Pending;

/// What a life is given to do.
pub(in crate::runner) enum Work {
    /// Answer a request.
    Request { arrival: Arrival, body: Body, answering: Answering },
    /// Take a WebSocket or refuse it.
    WebSocket { arrival: Arrival, socket: Pending },
    /// Run a task.
    Task(Task),
    /// Stop.
    Stop,
    /// Go no further, for this reason.
    Crash(String),
}

/// Why a life ends.
enum End {
    /// It was told to stop.
    Told,
    /// It could not be started, panicked, or could not go on.
    Crashed(String),
    /// There is no runner any more.
    Over,
}

struct Life<A> {
    /// Once it has started.
    actor: Option<Arc<A>>,
    work: Receiver<Work>,
    /// What came before.
    early: VecDeque<Work>,
    tasks: JoinSet<()>,
    max_chunk: usize,
}

/// Leads an actor through its life.
pub(in crate::runner) async fn live<H: Host>(
    host: Arc<H>,
    context: ActorContext,
    sockets: Vec<SleepingSocket>,
    work: Receiver<Work>,
    max_chunk: usize,
) {
    let mut life = Life { actor: None, work, early: VecDeque::new(), tasks: JoinSet::new(), max_chunk };
    let error = match life.lead(&*host, &context, sockets).await {
        End::Told | End::Over => None,
        End::Crashed(error) => {
            tracing::warn!(actor = &**context.id(), generation = context.generation(), "an actor crashed: {error}");
            Some(error)
        }
    };
    context.is_ending();
    life.tasks.shutdown().await;
    drop(life);
    context.has_stopped(error);
}

impl<A: ActorHandler> Life<A> {
    async fn lead(&mut self, host: &impl Host<Actor = A>, context: &ActorContext, sockets: Vec<SleepingSocket>) -> End {
        let start =
            async { host.start(context.clone(), sockets).await.map_err(|error| End::Crashed(error.to_string())) };
        let actor = match self.beside(caught(start)).await {
            Ok(Ok(actor)) => Arc::new(actor),
            Ok(Err(end)) | Err(end) => return end,
        };
        self.actor = Some(actor.clone());
        context.is_running();
        while let Some(work) = self.early.pop_front() {
            self.begin(work);
        }
        let Err(end) = self.beside(pending::<Infallible>()).await;
        let End::Told = end else { return end };
        let stop = async {
            actor.stop().await;
            Ok(())
        };
        match self.beside(caught(stop)).await {
            Ok(Ok(())) => End::Told,
            Ok(Err(end)) | Err(end) => end,
        }
    }

    /// Waits for something, and does what there is to do beside it.
    async fn beside<F: Future>(&mut self, future: F) -> Result<F::Output, End> {
        let mut future = std::pin::pin!(future);
        loop {
            tokio::select! {
                output = &mut future => return Ok(output),
                work = self.work.next() => match work {
                    Some(Work::Stop) => return Err(End::Told),
                    Some(Work::Crash(error)) => return Err(End::Crashed(error)),
                    Some(work) => self.begin(work),
                    None => return Err(End::Over),
                },
                Some(ended) = self.tasks.join_next() => ended.map_err(|error| End::Crashed(panicked(error)))?,
            }
        }
    }

    fn begin(&mut self, work: Work) {
        let max_chunk = self.max_chunk;
        match (work, self.actor.clone()) {
            (Work::Task(task), _) => drop(self.tasks.spawn(task)),
            (Work::Request { arrival, body, answering }, Some(actor)) => drop(self.tasks.spawn(async move {
                let actor = &*actor;
                let call = |request| async move { actor.request(request).await.map_err(|error| failed(&error)) };
                answer(call, arrival, body, answering, max_chunk).await;
            })),
            (Work::WebSocket { arrival, socket }, Some(actor)) => drop(self.tasks.spawn(async move {
                let actor = &*actor;
                socket.be_opened(arrival, |request, socket| actor.websocket(request, socket)).await;
            })),
            (work @ (Work::Request { .. } | Work::WebSocket { .. }), None) => self.early.push_back(work),
            // They are what is waited for.
            (Work::Stop | Work::Crash(_), _) => {}
        }
    }
}

fn failed(error: &impl std::fmt::Display) -> String {
    format!("an actor failed: {error}")
}

/// What comes of a future, or its panic.
async fn caught<T>(future: impl Future<Output = Result<T, End>>) -> Result<T, End> {
    // Nothing that it could have left in between is looked at again.
    let done = AssertUnwindSafe(future).catch_unwind().await;
    done.unwrap_or_else(|panic| Err(End::Crashed(message(&*panic))))
}

fn panicked(error: JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => message(&*panic),
        // Only this life's end cancels them.
        Err(error) => error.to_string(),
    }
}

/// What a panic says.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("it panicked: {}", text.unwrap_or("without a word"))
}
