//! `--record` and `underpass replay`.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use futures_util::{SinkExt, StreamExt};
use tempfile::TempDir;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

use crate::client::{assert_answered, connect, exchange};
use crate::harness::Underpass;

const SECRETS: [&str; 3] = ["secret-body", "secret-cookie", "secret-message"];

/// A program that records, in a directory of its own.
fn recording(arguments: &[&str]) -> (TempDir, PathBuf, Underpass, String) {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("recording");
    let (underpass, gateway, _) = Underpass::up(&[&["--record", file.to_str().unwrap()], arguments].concat());
    (directory, file, underpass, gateway)
}

fn replay(file: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_underpass"));
    command.arg("replay").args(arguments).arg(file).output().unwrap()
}

/// What a replay prints that goes as it was recorded, and ends so.
#[track_caller]
fn goes_alike(file: &Path, arguments: &[&str], end: &str) -> String {
    let output = replay(file, arguments);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{told}");
    assert!(told.contains("each action as recorded") && told.trim_end().ends_with(end), "{told}");
    String::from_utf8(output.stdout).unwrap()
}

/// An upload with a cookie, and messages each way.
async fn use_it(gateway: &str) {
    let mut stream = connect(gateway);
    let fields = "connection: close\r\ncookie: key=secret-cookie\r\ncontent-length: 11";
    write!(stream, "POST /echo HTTP/1.1\r\nhost: a\r\n{fields}\r\n\r\nsecret-body").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_answered(&answer, "200", "secret-body");
    let (mut socket, _) = connect_async(format!("ws://{gateway}/ws")).await.unwrap();
    for message in [Message::text("secret-message"), Message::binary("secret-message")] {
        socket.send(message.clone()).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), message);
    }
    // It is still open when the program is to end.
    tokio::spawn(async move { while socket.next().await.is_some_and(|message| message.is_ok()) {} });
}

#[track_caller]
fn drained(mut underpass: Underpass) {
    underpass.signal("-TERM");
    assert!(underpass.ended().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_recorded_is_done_again_without_its_secrets() {
    let (_directory, file, underpass, gateway) = recording(&[]);
    use_it(&gateway).await;
    drained(underpass);

    let printed = goes_alike(&file, &[], "its process ended");
    for machine in ["gateway", "relay", "runner"] {
        let of_it = |line: &str| line.split(' ').nth(1) == Some(machine) && line.split(' ').nth(3) == Some("->");
        assert!(printed.lines().any(of_it), "{printed}");
        let alone = goes_alike(&file, &["--machine", machine], "its process ended");
        assert!(alone.lines().all(of_it), "{alone}");
        assert!(goes_alike(&file, &["--machine", machine, "--events"], "its process ended").len() > alone.len());
    }
    let bytes = fs::read(&file).unwrap();
    for secret in SECRETS {
        assert!(!bytes.windows(secret.len()).any(|some| some == secret.as_bytes()), "{secret} is in it");
    }

    let path = bytes.windows(5).position(|some| some == b"/echo").expect("the path is in it");
    let mut other = bytes;
    other[path + 1] = b'E';
    fs::write(&file, other).unwrap();
    let output = replay(&file, &[]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.starts_with("underpass: gateway ") && told.contains(" differs; recorded: Publish"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_recorded_if_that_is_wanted() {
    let (_directory, file, underpass, gateway) = recording(&["--record-bodies"]);
    use_it(&gateway).await;
    drained(underpass);
    goes_alike(&file, &[], "its process ended");
    let bytes = fs::read(&file).unwrap();
    for secret in SECRETS {
        assert!(bytes.windows(secret.len()).any(|some| some == secret.as_bytes()), "{secret} is not in it");
    }
}

#[test]
fn a_recording_grows_to_its_limit_and_the_program_goes_on() {
    let (_directory, file, underpass, gateway) = recording(&["--record-limit", "20000"]);
    for _ in 0..20 {
        assert_answered(&exchange(&gateway, "GET /hello", ""), "200", "hello");
    }
    drained(underpass);
    let bytes = fs::metadata(&file).unwrap().len();
    assert!((10_000..=20_000).contains(&bytes), "{bytes}");
    goes_alike(&file, &[], "it was as large as it may be, and what came later is not in it");
}

#[test]
fn what_a_killed_process_did_is_there_and_the_next_one_leaves_it_there() {
    let (directory, file, underpass, gateway) = recording(&[]);
    assert_answered(&exchange(&gateway, "GET /hello", ""), "200", "hello");
    drop(underpass);
    let printed = goes_alike(&file, &["--machine", "gateway"], "it breaks off");
    assert!(printed.contains("ResponseStart"), "{printed}");

    let killed = fs::read(&file).unwrap();
    let (underpass, _, _) = Underpass::up(&["--record", file.to_str().unwrap()]);
    drained(underpass);
    assert_eq!(fs::read(directory.path().join("recording.before")).unwrap(), killed);
    goes_alike(&file, &[], "its process ended");
}

#[test]
fn what_is_no_recording_is_told_in_one_line() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "something else").unwrap();
    for (file, complaint) in [(file, "this is no recording"), (directory.path().join("none"), "cannot read ")] {
        let output = replay(&file, &[]);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.starts_with("underpass: ") && told.contains(complaint) && told.lines().count() == 1, "{told}");
    }
}
