//! A place in the fleet, where one process follows another.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::time::{sleep, timeout};
use underpass_processes::process::{Process, Signal};

use crate::Failure;
use crate::member::{How, Member};

/// How long nobody is there after a kill.
const DEAD_FOR: Duration = Duration::from_millis(500);

/// Longer than a drain may take: what is open takes some seconds, and WebSockets are closed over five.
const DRAINED_WITHIN: Duration = Duration::from_secs(30);

/// How often a process is started until one is ready.
const ATTEMPTS: u32 = 3;

pub(crate) struct Place {
    pub(crate) member: Member,
    program: PathBuf,
    arguments: Vec<String>,
    variables: Vec<(&'static str, String)>,
    process: Process,
    /// What those before it said at last.
    words: Vec<String>,
}

/// What it was like.
pub(crate) struct Struck {
    pub(crate) at: Instant,
    pub(crate) back: Instant,
    /// What should not have been.
    pub(crate) complaint: Option<String>,
}

impl Place {
    /// Starts the first.
    pub(crate) async fn start(
        member: Member,
        program: PathBuf,
        arguments: Vec<String>,
        variables: Vec<(&'static str, String)>,
    ) -> Result<Place, Failure> {
        let process = begin(member, &program, &arguments, &variables).await?;
        Ok(Place { member, program, arguments, variables, process, words: Vec::new() })
    }

    /// Lets it happen, and has another take its place.
    pub(crate) async fn strike(&mut self, how: How) -> Result<Struck, Failure> {
        let at = Instant::now();
        let mut complaint = None;
        match how {
            How::Killed => {
                self.process.signal(Signal::Kill).await?;
                self.process.ended().await?;
                sleep(DEAD_FOR).await;
            }
            How::Drained => {
                self.process.signal(Signal::Terminate).await?;
                match timeout(DRAINED_WITHIN, self.process.ends()).await {
                    Ok(status) if status.as_ref().is_ok_and(|status| status.success()) => {}
                    Ok(status) => complaint = Some(format!("{} drained, and ended with {status:?}", self.member)),
                    Err(_) => {
                        let counters = self.counters().await;
                        let member = self.member;
                        let limit = DRAINED_WITHIN;
                        complaint = Some(format!("{member} had not drained in {limit:?}: {counters:?}"));
                        self.process.signal(Signal::Kill).await?;
                        self.process.ended().await?;
                    }
                }
            }
        }
        self.words.extend(self.process.last_words());
        self.process = begin(self.member, &self.program, &self.arguments, &self.variables).await?;
        Ok(Struck { at, back: Instant::now(), complaint })
    }

    /// What its machines hold and have counted.
    pub(crate) async fn counters(&mut self) -> Result<HashMap<String, Value>, Failure> {
        // Of a gateway or a relay, and of its bus; of two runners.
        Ok(self.process.counters(2).await?)
    }

    /// Its resident memory, bytes.
    pub(crate) fn memory(&self) -> Result<u64, Failure> {
        Ok(self.process.memory()?)
    }

    /// What it said at last, if it has ended and should not have.
    pub(crate) fn unasked_end(&mut self) -> Option<String> {
        let status = self.process.has_ended().ok()??;
        Some(format!("{} ended, {status}:\n{}", self.member, self.process.last_words().join("\n")))
    }

    /// What was said there, one process after another.
    pub(crate) fn words(&self) -> Vec<String> {
        self.words.iter().cloned().chain(self.process.last_words()).collect()
    }

    /// The ports that it is connected to.
    pub(crate) fn connected_to(&self) -> HashSet<u16> {
        self.process.id().ok().and_then(connected_to).unwrap_or_default()
    }
}

async fn begin(
    member: Member,
    program: &Path,
    arguments: &[String],
    variables: &[(&str, String)],
) -> Result<Process, Failure> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut attempts = 0;
    loop {
        let mut process = Process::start_with(program, &arguments, variables)?;
        attempts += 1;
        match process.ready().await {
            Ok(_) => return Ok(process),
            Err(error) => {
                let words = process.last_words().join("\n");
                let said = format!("{member} does not start: {error}\n{words}");
                if attempts == ATTEMPTS {
                    return Err(said.into());
                }
                // As whatever looks after services does.
                println!("  {said}");
            }
        }
    }
}

/// The remote ports of a process's established TCP connections.
fn connected_to(process: u32) -> Option<HashSet<u16>> {
    let mut own = HashSet::new();
    for descriptor in std::fs::read_dir(format!("/proc/{process}/fd")).ok()?.flatten() {
        let target = std::fs::read_link(descriptor.path()).unwrap_or_default();
        let socket =
            target.to_str().and_then(|name| name.strip_prefix("socket:[")?.strip_suffix(']').map(str::to_owned));
        own.extend(socket);
    }
    let table = std::fs::read_to_string(format!("/proc/{process}/net/tcp")).ok()?;
    let remote_port = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let (remote, state, inode) = (columns.get(2)?, *columns.get(3)?, *columns.get(9)?);
        let (_, port) = remote.split_once(':')?;
        (state == "01" && own.contains(inode)).then(|| u16::from_str_radix(port, 16).ok())?
    };
    Some(table.lines().skip(1).filter_map(remote_port).collect())
}
