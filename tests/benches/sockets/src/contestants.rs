//! What is measured: the handler itself, and the handler behind something, all processes of their own.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::time::sleep;
use underpass_processes::process::{Process, beside};

use crate::load::http::{Connection, Exchange};
use crate::runner::POOL;

/// Where the load goes.
pub(crate) struct Contestant {
    /// What it is called in the tables.
    pub(crate) name: &'static str,
    /// Where it takes HTTP.
    pub(crate) http: SocketAddr,
    /// Where it takes WebSockets.
    pub(crate) websocket: SocketAddr,
    /// The pool that requests ask for. All but Underpass overlook it.
    pub(crate) pool: &'static str,
    /// What it consists of, each by its name. They are killed when dropped.
    pub(crate) processes: Vec<(&'static str, Process)>,
}

pub(crate) const DIRECT: &str = "direct";
pub(crate) const UNDERPASS: &str = "Underpass";
pub(crate) const PASSING_ON: &str = "Underpass --to";

impl Contestant {
    /// The handler, without anything before it.
    pub(crate) async fn direct() -> io::Result<Self> {
        let (server, told) = ready(&beside("underpass-bench-sockets")?, &["serve"], &[]).await?;
        let (http, websocket) = (address(&told, "http")?, address(&told, "websocket")?);
        Ok(Contestant { name: DIRECT, http, websocket, pool: POOL, processes: vec![("server", server)] })
    }

    /// `underpass up`, and the handler in a runner.
    pub(crate) async fn underpass(program: &Path) -> io::Result<Self> {
        let up = Up::start(program).await?;
        let itself = beside("underpass-bench-sockets")?;
        let (runner, _) = ready(&itself, &["runner", "--relay", &up.runners], &[]).await?;
        up.with(UNDERPASS, POOL, runner).await
    }

    /// `underpass up`, and `underpass runner --to` in front of the handler.
    pub(crate) async fn passing_on(program: &Path, direct: &Contestant) -> io::Result<Self> {
        const POOL: &str = "passing-on";
        let up = Up::start(program).await?;
        let to = format!("http://{}", direct.http);
        let (runner, _) = ready(program, &["runner", "--relay", &up.runners, "--name", POOL, "--to", &to], &[]).await?;
        up.with(PASSING_ON, POOL, runner).await
    }

    /// The handler on node's own HTTP server.
    pub(crate) async fn node(scripts: &Path) -> io::Result<Self> {
        let script = scripts.join("hello-server.mjs").display().to_string();
        let (server, told) = ready(Path::new("node"), &[&script], &[]).await?;
        let http = address(&told, "http")?;
        Ok(Contestant { name: "node", http, websocket: http, pool: POOL, processes: vec![("server", server)] })
    }

    /// `underpass up`, and the handler on the published runner.
    pub(crate) async fn published(program: &Path, scripts: &Path) -> io::Result<Self> {
        const POOL: &str = "published";
        let up = Up::start(program).await?;
        let script = scripts.join("hello-runner.mjs").display().to_string();
        let variables = [("RELAY", up.runners.clone()), ("POOL", POOL.to_owned())];
        let (runner, _) = ready(Path::new("node"), &[&script], &variables).await?;
        up.with("the published runner", POOL, runner).await
    }

    /// Waits until the handler answers.
    pub(crate) async fn answering(self) -> io::Result<Self> {
        const SOON: Duration = Duration::from_secs(10);
        const AGAIN: Duration = Duration::from_millis(20);
        let begun = Instant::now();
        loop {
            let answered = async { Connection::open(self.http).await?.exchange(&Exchange::get(self.pool)).await };
            match tokio::time::timeout(SOON, answered).await? {
                Ok(()) => return Ok(self),
                Err(error) if begun.elapsed() > SOON => {
                    let words = self.processes.iter().map(|(_, process)| process.last_words()).collect::<Vec<_>>();
                    return Err(io::Error::other(format!("{} does not answer: {error}: {words:?}", self.name)));
                }
                Err(_) => sleep(AGAIN).await,
            }
        }
    }
}

/// A running `underpass up`.
struct Up {
    process: Process,
    gateway: SocketAddr,
    runners: String,
}

impl Up {
    async fn start(program: &Path) -> io::Result<Self> {
        let (process, mut told) =
            ready(program, &["up", "--listen", "127.0.0.1:0", "--runners", "127.0.0.1:0"], &[]).await?;
        let gateway = told.get("gateway").and_then(|url| url.strip_prefix("http://")?.parse().ok());
        let runners = told.remove("runners");
        let (gateway, runners) = gateway.zip(runners).ok_or_else(|| io::Error::other("no doors"))?;
        Ok(Up { process, gateway, runners })
    }

    async fn with(self, name: &'static str, pool: &'static str, runner: Process) -> io::Result<Contestant> {
        let processes = vec![("gateway and relay", self.process), ("runner", runner)];
        Contestant { name, http: self.gateway, websocket: self.gateway, pool, processes }.answering().await
    }
}

/// A process that has said that it is ready, and what it has said.
async fn ready(
    program: &Path,
    arguments: &[&str],
    variables: &[(&str, String)],
) -> io::Result<(Process, HashMap<String, String>)> {
    let mut process = Process::start_with(program, arguments, variables)?;
    match process.ready().await {
        Ok(told) => Ok((process, told)),
        Err(error) => {
            let words = process.last_words();
            Err(io::Error::other(format!("{} {arguments:?}: {error}: {words:?}", program.display())))
        }
    }
}

fn address(told: &HashMap<String, String>, name: &str) -> io::Result<SocketAddr> {
    told.get(name).and_then(|text| text.parse().ok()).ok_or_else(|| io::Error::other(format!("no {name}")))
}
