//! Looking into frames: a line in, a line out.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Instant;

fn underpass(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_underpass"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What it makes of this on its standard input.
fn piped(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = underpass(arguments).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    output
}

#[track_caller]
fn says(output: Output, code: i32, stdout: &str, stderr: &str) {
    assert_eq!(String::from_utf8(output.stdout).unwrap(), stdout);
    assert_eq!(String::from_utf8(output.stderr).unwrap(), stderr);
    assert_eq!(output.status.code(), Some(code));
}

const DECODE: [&str; 5] = ["decode", "--version", "7", "--union", "ToServer"];
const ENCODE: [&str; 5] = ["encode", "--version", "7", "--union", "ToServer"];
const STOPPING: &str = r#"{"tag":"ToServerStopping","val":null}"#;

#[test]
fn one_frame_is_said_and_made() {
    says(underpass(&[&DECODE[..], &["03"]].concat()).output().unwrap(), 0, &format!("{STOPPING}\n"), "");
    says(underpass(&[&ENCODE[..], &[STOPPING]].concat()).output().unwrap(), 0, "03\n", "");
    let pretty = "{\n  \"tag\": \"ToServerStopping\",\n  \"val\": null\n}\n";
    says(underpass(&[&DECODE[..], &["--pretty", "03"]].concat()).output().unwrap(), 0, pretty, "");
}

#[test]
fn what_is_wrong_with_one_frame_goes_to_standard_error() {
    for (frame, error) in [
        ("0a", "error: bad_tag at byte 0: a tag or value that this version has\n"),
        ("", "error: truncated at byte 0: a varint\n"),
        ("0300", "error: trailing at byte 1: the end of the frame\n"),
        ("zz", "error: not hex: no digit at character 1\n"),
        ("030", "error: not hex: an odd number of digits\n"),
    ] {
        says(underpass(&[&DECODE[..], &[frame]].concat()).output().unwrap(), 1, "", error);
    }
    let wrong = [&ENCODE[..], &[r#"{"tag":"ToServerPong","val":{"ts":1}}"#]].concat();
    let error = "error: ToServerPong: ts: expected an integer of 64 bits as a string\n";
    says(underpass(&wrong).output().unwrap(), 1, "", error);
}

#[test]
fn each_line_has_its_answer_an_empty_one_too() {
    let truncated = "error: truncated at byte 0: a varint\n";
    let answers = format!("{STOPPING}\n{truncated}error: not hex: no digit at character 1\n{STOPPING}\n");
    for input in ["03\n\nxx\n03\n", "03\r\n\r\nxx\r\n03"] {
        says(piped(&[&DECODE[..], &["-"]].concat(), input.as_bytes()), 1, &answers, "");
    }
    says(piped(&[&DECODE[..], &["-"]].concat(), b"\n"), 1, truncated, "");
    says(piped(&[&DECODE[..], &["-"]].concat(), b""), 0, "", "");
    let not_json = "error: not JSON: EOF while parsing a value at line 1 column 0\n";
    let input = format!("{STOPPING}\n\n{STOPPING}\n");
    says(piped(&[&ENCODE[..], &["-"]].concat(), input.as_bytes()), 1, &format!("03\n{not_json}03\n"), "");
}

#[test]
fn frames_of_the_bus_have_their_version_in_front() {
    let decode = ["decode", "--version", "7", "--union", "ToRunner", "--framed", "-"];
    let close = r#"{"tag":"ToRunnerClose","val":null}"#;
    let answers = format!(
        "{close}\nerror: bad_version at byte 0: version 7\nerror: bad_tag at byte 2: a tag or value that this version has\n"
    );
    says(piped(&decode, b"070001\n060001\n070009\n"), 1, &answers, "");
}

#[test]
fn versions_are_translated_and_what_they_lack_is_named() {
    let translate = |from, to, union, frame| {
        underpass(&["translate", "--from", from, "--to", to, "--union", union, frame]).output().unwrap()
    };
    let up = translate("4", "7", "ToClient", "000172983a000000000000");
    says(up, 0, "000172983a000000000000000000000000000000\n", "");
    let range = translate("7", "6", "ToServer", "0501610100000004010001ff");
    says(range, 1, "", "error: KvDeleteRangeRequest needs v7\n");
    let acks = translate("3", "4", "ToServer", "020100000000000000");
    says(acks, 1, "", "error: ToServerAckCommands between v3 and v4 needs the state of a relay's session\n");
    let acknowledgement = translate("3", "4", "ToServer", "06a1a2a3a4b1b2b3b4000000");
    let error = "error: DeprecatedTunnelAck is between a relay and its runner alone, and is not translated\n";
    says(acknowledgement, 1, "", error);
}

#[test]
fn private_words_are_not_made() {
    let draining = r#"{"tag":"ToClientDraining","val":null}"#;
    let output = underpass(&["encode", "--version", "7", "--union", "ToClient", draining]).output().unwrap();
    says(output, 1, "", "error: a word that is private to underpass.1 is not in ToClient of v7\n");
}

#[test]
fn a_union_that_the_version_lacks_is_wrong_use() {
    let output = underpass(&["decode", "--version", "2", "--union", "ToRunner", "00"]).output().unwrap();
    says(output, 1, "", "underpass: ToRunner needs v3\n");
}

#[test]
fn who_asks_line_by_line_need_not_wait() {
    let mut child = underpass(&[&DECODE[..], &["-"]].concat()).spawn().unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
    for _ in 0..3 {
        stdin.write_all(b"03\n").unwrap();
        let mut answer = String::new();
        stdout.read_line(&mut answer).unwrap();
        assert_eq!(answer.trim_end(), STOPPING);
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn who_stops_reading_hears_no_complaint() {
    let mut child = underpass(&[&DECODE[..], &["-"]].concat()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = thread::spawn(move || stdin.write_all(&b"03\n".repeat(1_000_000)));
    let mut first = [0; 37];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    // It went while there was more to read.
    let _ = writer.join().unwrap();
    says(output, 0, "", "");
}

#[test]
fn a_capture_of_a_hundred_thousand_frames_takes_seconds() {
    let start = Instant::now();
    let frame = "04a1a2a3a4b1b2b3b40000000361626303474554012f020361626303646566046865787903313233000000\n";
    let output = piped(&["decode", "--version", "7", "--union", "ToClient", "-"], frame.repeat(100_000).as_bytes());
    assert_eq!(output.stdout.iter().filter(|byte| **byte == b'\n').count(), 100_000);
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
}
