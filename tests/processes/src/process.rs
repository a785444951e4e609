//! A process of the fleet.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Longer than a process takes to be ready, or to tell its counters.
const SOON: Duration = Duration::from_secs(20);

/// How many lines of what a process writes to standard error are kept.
const LAST_WORDS: usize = 100;

/// A running process, killed when dropped.
pub struct Process {
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    /// What it wrote to standard error: counters.
    counters: mpsc::UnboundedReceiver<HashMap<String, Value>>,
    /// The end of what it wrote there besides.
    last_words: Arc<Mutex<VecDeque<String>>>,
}

/// What a process can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// It ends at once, and can do nothing about it.
    Kill,
    /// It stands still. Its sockets stay open.
    Stop,
    /// It goes on.
    Continue,
    /// It ends when what is open has ended.
    Terminate,
    /// As Ctrl-C: the same.
    Interrupt,
    /// It tells its counters.
    Counters,
}

impl Signal {
    fn name(self) -> &'static str {
        match self {
            Signal::Kill => "-KILL",
            Signal::Stop => "-STOP",
            Signal::Continue => "-CONT",
            Signal::Terminate => "-TERM",
            Signal::Interrupt => "-INT",
            Signal::Counters => "-USR1",
        }
    }
}

impl Process {
    /// Starts a program.
    ///
    /// # Errors
    /// It is not there.
    pub fn start(program: &Path, arguments: &[&str]) -> io::Result<Process> {
        Process::start_with(program, arguments, &[])
    }

    /// Starts a program that finds these variables in its environment.
    ///
    /// # Errors
    /// It is not there.
    pub fn start_with(program: &Path, arguments: &[&str], variables: &[(&str, String)]) -> io::Result<Process> {
        let mut command = Command::new(program);
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| io::Error::other(format!("{}: {error}", program.display())))?;
        let missing = || io::Error::other("no pipe");
        let stdout = BufReader::new(child.stdout.take().ok_or_else(missing)?).lines();
        let mut stderr = BufReader::new(child.stderr.take().ok_or_else(missing)?).lines();
        let (told, counters) = mpsc::unbounded_channel();
        let last_words = Arc::<Mutex<VecDeque<String>>>::default();
        let words = last_words.clone();
        tokio::spawn(async move {
            while let Ok(Some(line)) = stderr.next_line().await {
                if let Ok(counters) = serde_json::from_str(&line) {
                    // Nobody may want to know any more.
                    told.send(counters).ok();
                } else {
                    let mut words = words.lock().unwrap_or_else(PoisonError::into_inner);
                    if words.len() == LAST_WORDS {
                        words.pop_front();
                    }
                    words.push_back(line);
                }
            }
        });
        Ok(Process { child, stdout, counters, last_words })
    }

    /// Waits for the line `ready NAME=VALUE …` on its standard output.
    ///
    /// # Errors
    /// It says something else, or nothing.
    pub async fn ready(&mut self) -> io::Result<HashMap<String, String>> {
        let line = timeout(SOON, self.stdout.next_line()).await??.unwrap_or_default();
        let Some(pairs) = line.strip_prefix("ready ") else {
            return Err(io::Error::other(format!("not ready: {line:?}")));
        };
        let pairs = pairs.split(' ').filter_map(|pair| pair.split_once('='));
        Ok(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// It has ended.
    pub async fn signal(&self, signal: Signal) -> io::Result<()> {
        let id = self.id()?.to_string();
        let sent = Command::new("kill").args([signal.name(), &id]).status().await?;
        if sent.success() { Ok(()) } else { Err(io::Error::other("the process has ended")) }
    }

    /// What its machines hold and have counted, by the machines' names.
    ///
    /// # Errors
    /// It has ended, or does not tell.
    pub async fn counters(&mut self, machines: usize) -> io::Result<HashMap<String, Value>> {
        self.signal(Signal::Counters).await?;
        let mut counters = HashMap::new();
        while counters.len() < machines {
            let told = timeout(SOON, self.counters.recv()).await?;
            counters.extend(told.ok_or_else(|| io::Error::other("the process has ended"))?);
        }
        Ok(counters)
    }

    /// Its resident memory, bytes.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn memory(&self) -> io::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()?))?;
        let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.strip_suffix("kB")?.trim().parse().ok());
        kib.map(|kib: u64| kib * 1024).ok_or_else(|| io::Error::other("no VmRSS"))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It does not end.
    pub async fn ended(&mut self) -> io::Result<()> {
        timeout(SOON, self.child.wait()).await?.map(|_| ())
    }

    /// Waits for its end, however long that takes: how it ended.
    ///
    /// # Errors
    /// The system does not tell.
    pub async fn ends(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// How it has ended, if it has.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn has_ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// The last lines that it wrote to standard error, without counters.
    pub fn last_words(&self) -> Vec<String> {
        self.last_words.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Its number.
    ///
    /// # Errors
    /// It has ended.
    pub fn id(&self) -> io::Result<u32> {
        self.child.id().ok_or_else(|| io::Error::other("the process has ended"))
    }
}

/// A program that was built beside this one.
///
/// # Errors
/// The system does not say where this one is.
pub fn beside(name: &str) -> io::Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name(name))
}
