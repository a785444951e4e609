//! The program as a process.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Longer than anything here should take.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// A running program, killed when dropped.
pub(crate) struct Underpass {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Drop for Underpass {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Underpass {
    /// Starts it; what it says can be read.
    pub(crate) fn start(arguments: &[&str]) -> Underpass {
        let mut command = Command::new(env!("CARGO_BIN_EXE_underpass"));
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Underpass { child, stdout }
    }

    /// Starts `underpass up` on any ports, and waits until it is ready; the address of its gateway, and the URL of its
    /// relay.
    pub(crate) fn up(arguments: &[&str]) -> (Underpass, String, String) {
        let any_ports = ["up", "--listen", "127.0.0.1:0", "--runners", "127.0.0.1:0"];
        let mut underpass = Underpass::start(&[&any_ports, arguments].concat());
        let line = underpass.ready();
        let (gateway, runners) = line
            .strip_prefix("ready gateway=http://")
            .and_then(|rest| rest.split_once(" runners="))
            .unwrap_or_else(|| panic!("{line:?}"));
        let (gateway, runners) = (gateway.to_owned(), runners.to_owned());
        (underpass, gateway, runners)
    }

    /// The one line on standard output.
    pub(crate) fn ready(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Sends it a signal, `-INT` say.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for its end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let start = Instant::now();
        while start.elapsed() < SOON {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("still running");
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Its counters: what it tells on standard error when asked, so many lines.
    pub(crate) fn counters(&mut self, lines: usize) -> Vec<String> {
        self.signal("-USR1");
        let stderr = BufReader::new(self.child.stderr.as_mut().unwrap());
        stderr.lines().take(lines).map(Result::unwrap).collect()
    }

    /// What it wrote to standard error, to its end.
    pub(crate) fn complaint(&mut self) -> String {
        let mut stderr = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        stderr
    }
}
