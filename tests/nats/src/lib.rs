//! A nats-server for a test: on a port of its own, with a store that goes with it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use rustix::process::{Pid, WaitOptions, waitpid};
use tempfile::TempDir;

/// What the server says when clients may come, in front of the address.
const LISTENING: &str = "Listening for client connections on ";
/// What it says when it has begun.
const READY: &str = "Server is ready";

/// A nats-server with JetStream. Dropping it kills it.
#[derive(Debug)]
pub struct NatsServer {
    directory: TempDir,
    configuration: String,
    process: Child,
    address: String,
}

impl NatsServer {
    /// Starts one as it comes.
    ///
    /// # Panics
    /// There is no nats-server, or it does not start.
    pub fn start() -> Self {
        NatsServer::with("")
    }

    /// Starts one with these lines in its configuration file.
    ///
    /// # Panics
    /// There is no nats-server, or it does not start.
    pub fn with(configuration: &str) -> Self {
        NatsServer::in_directory(TempDir::new().expect("a directory"), configuration)
    }

    /// Starts one whose configuration file may name files of the directory.
    ///
    /// # Panics
    /// There is no nats-server, or it does not start.
    pub fn in_directory(directory: TempDir, configuration: &str) -> Self {
        NatsServer::listening("127.0.0.1:-1", directory, configuration)
    }

    /// Starts one at an address that nobody else takes while it is away.
    ///
    /// # Panics
    /// There is no nats-server, or it does not start.
    pub fn at(address: &str, configuration: &str) -> Self {
        NatsServer::listening(address, TempDir::new().expect("a directory"), configuration)
    }

    fn listening(address: &str, directory: TempDir, configuration: &str) -> Self {
        let (process, address) = start(directory.path(), configuration, address);
        NatsServer { directory, configuration: configuration.to_owned(), process, address }
    }

    /// Where clients connect.
    pub fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// The host and the port where clients connect.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Where a file of its directory is.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Kills it as `kill -9` does. What it has stored stays.
    ///
    /// # Panics
    /// It cannot be killed.
    pub fn kill(&mut self) {
        self.process.kill().expect("it can be killed");
        self.process.wait().expect("it ends");
    }

    /// Starts it again after it was killed: at the same address, with what it has stored.
    ///
    /// # Panics
    /// It does not start.
    pub fn start_again(&mut self) {
        let (process, address) = start(self.directory.path(), &self.configuration, &self.address);
        assert_eq!(address, self.address);
        self.process = process;
    }

    /// Starts it again after it was killed, with other lines in its configuration file.
    ///
    /// # Panics
    /// It does not start.
    pub fn start_again_with(&mut self, configuration: &str) {
        configuration.clone_into(&mut self.configuration);
        self.start_again();
    }

    /// Stops it where it stands.
    ///
    /// # Panics
    /// It cannot be stopped.
    pub fn freeze(&self) {
        self.signal("-STOP");
        // Its threads stop one after the other, and until the last has, some still answer.
        waitpid(self.pid(), WaitOptions::UNTRACED).expect("it stops");
    }

    fn pid(&self) -> Option<Pid> {
        i32::try_from(self.process.id()).ok().and_then(Pid::from_raw)
    }

    /// Lets it go on.
    ///
    /// # Panics
    /// It cannot go on.
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.process.id().to_string()]).status().expect("kill runs");
        assert!(status.success(), "kill {signal}");
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        // One that was killed already does not mind.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Starts a server and waits until clients may come. Says where it listens.
fn start(directory: &Path, configuration: &str, listen: &str) -> (Child, String) {
    let file = directory.join("nats.conf");
    let store = directory.join("store");
    let text = format!("listen: \"{listen}\"\njetstream {{ store_dir: {store:?} }}\n{configuration}\n");
    fs::write(&file, text).expect("the configuration is written");
    let mut process = Command::new("nats-server")
        .arg("--config")
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("nats-server runs: tests/nats/prepare installs it");
    let mut lines = BufReader::new(process.stderr.take().expect("a pipe")).lines().map_while(Result::ok);
    let (mut address, mut told) = (None, Vec::new());
    for line in lines.by_ref() {
        if let Some((_, listening)) = line.split_once(LISTENING) {
            address = Some(listening.trim().to_owned());
        }
        let ready = line.contains(READY);
        told.push(line);
        if ready {
            break;
        }
    }
    let Some(address) = address else { panic!("nats-server did not start:\n{}", told.join("\n")) };
    // What it says later is read, so that it need not wait for a reader.
    thread::spawn(move || lines.for_each(drop));
    (process, address)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpStream;

    use super::*;

    fn greeting(address: &str) -> String {
        let mut greeting = [0; 5];
        TcpStream::connect(address).unwrap().read_exact(&mut greeting).unwrap();
        String::from_utf8(greeting.to_vec()).unwrap()
    }

    #[test]
    fn two_servers_listen_on_ports_of_their_own_and_one_comes_again_where_it_was() {
        let (mut one, other) = (NatsServer::start(), NatsServer::start());
        assert_ne!(one.address(), other.address());
        for server in [&one, &other] {
            assert_eq!(greeting(server.address()), "INFO ");
        }
        one.kill();
        TcpStream::connect(one.address()).unwrap_err();
        one.start_again();
        assert_eq!(greeting(one.address()), "INFO ");
    }
}
