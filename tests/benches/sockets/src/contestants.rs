//! What is measured: the handler itself, and the handler behind something, all processes of their own.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use underpass_processes::process::{Process, beside};

use crate::runner::POOL;

/// Where the load goes.
pub(crate) struct Contestant {
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

impl Contestant {
    /// The handler, without anything before it.
    pub(crate) async fn direct() -> io::Result<Self> {
        let (server, http, websocket) = serve().await?;
        Ok(Contestant { name: "direct", http, websocket, pool: POOL, processes: vec![("server", server)] })
    }

    /// `underpass up`, and the handler in a runner.
    pub(crate) async fn underpass(program: &Path) -> io::Result<Self> {
        let up = Up::start(program).await?;
        let runner = ready(&std::env::current_exe()?, &["runner", "--relay", &up.runners]).await?.0;
        Ok(up.with("underpass", POOL, runner))
    }

    /// `underpass up`, and `underpass runner --to` in front of the handler.
    pub(crate) async fn passing_on(program: &Path, direct: &Contestant) -> io::Result<Self> {
        const NAME: &str = "passing-on";
        let up = Up::start(program).await?;
        let to = format!("http://{}", direct.http);
        let runner = ready(program, &["runner", "--relay", &up.runners, "--name", NAME, "--to", &to]).await?.0;
        Ok(up.with("underpass --to", NAME, runner))
    }
}

/// A running `underpass up`.
pub(crate) struct Up {
    process: Process,
    gateway: SocketAddr,
    pub(crate) runners: String,
}

impl Up {
    pub(crate) async fn start(program: &Path) -> io::Result<Self> {
        let (process, told) = ready(program, &["up", "--listen", "127.0.0.1:0", "--runners", "127.0.0.1:0"]).await?;
        let gateway = told("gateway")?;
        let gateway = address(gateway.trim_start_matches("http://"))?;
        Ok(Up { process, gateway, runners: told("runners")? })
    }

    pub(crate) fn with(self, name: &'static str, pool: &'static str, runner: Process) -> Contestant {
        let processes = vec![("up", self.process), ("runner", runner)];
        Contestant { name, http: self.gateway, websocket: self.gateway, pool, processes }
    }
}

async fn serve() -> io::Result<(Process, SocketAddr, SocketAddr)> {
    let (server, told) = ready(&beside("underpass-bench-sockets")?, &["serve"]).await?;
    Ok((server, address(&told("http")?)?, address(&told("websocket")?)?))
}

/// A process that has said that it is ready, and what it has said.
async fn ready(
    program: &Path,
    arguments: &[&str],
) -> io::Result<(Process, impl Fn(&'static str) -> io::Result<String> + use<>)> {
    let mut process = Process::start(program, arguments)?;
    let told = match process.ready().await {
        Ok(told) => told,
        Err(error) => return Err(io::Error::other(format!("{error}: {:?}", process.last_words()))),
    };
    Ok((process, move |name| told.get(name).cloned().ok_or_else(|| io::Error::other(format!("no {name}")))))
}

pub(crate) fn address(text: &str) -> io::Result<SocketAddr> {
    text.parse().map_err(io::Error::other)
}
