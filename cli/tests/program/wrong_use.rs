//! Wrong use is one clear line on standard error and a non-zero exit: no panic, no backtrace.

use std::net::TcpListener;
use std::process::{Command, Output};

/// Runs the program to its end, which must come by itself.
fn underpass(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_underpass"));
    command.args(arguments).env("RUST_BACKTRACE", "1").envs(environment.iter().copied()).output().unwrap()
}

#[track_caller]
fn complaint(output: Output) -> String {
    assert!(!output.status.success());
    assert_eq!(output.stdout, b"");
    let stderr = String::from_utf8(output.stderr).unwrap();
    let line = stderr.strip_prefix("underpass: ").expect(&stderr).strip_suffix('\n').expect(&stderr);
    assert!(!line.contains('\n'), "{stderr}");
    line.to_owned()
}

#[test]
fn a_target_that_is_no_url() {
    let line = complaint(underpass(&["up", "--to", "nonsense"], &[]));
    assert!(line.starts_with("invalid value 'nonsense' for '--to <URL>': it is not a URL"), "{line}");
}

#[test]
fn a_target_that_is_no_url_in_the_environment() {
    let line = complaint(underpass(&["up"], &[("UNDERPASS_TO", "https://example.org")]));
    assert!(line.contains("'--to <URL>': it must start with http://"), "{line}");
}

#[test]
fn a_relay_that_is_no_url() {
    let line = complaint(underpass(&["runner", "--relay", "http://127.0.0.1:8081"], &[]));
    assert!(line.contains("'--relay <URL>': it must start with ws://"), "{line}");
}

#[test]
fn a_port_in_use() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for option in ["--listen", "--runners"] {
        let other = if option == "--listen" { "--runners" } else { "--listen" };
        let line = complaint(underpass(&["up", option, &address, other, "127.0.0.1:0"], &[]));
        assert!(line.starts_with(&format!("cannot listen on {address}: ")), "{line}");
    }
}

#[test]
fn a_place_for_data_that_is_no_directory() {
    let line = complaint(underpass(&["up", "--data", env!("CARGO_BIN_EXE_underpass")], &[]));
    assert!(line.starts_with("the key-value store does not open: cannot use "), "{line}");
}

#[test]
fn a_token_that_cannot_travel_is_not_repeated() {
    let line = complaint(underpass(&["up", "--token", "my secret"], &[]));
    assert!(line.starts_with("the token may have letters") && !line.contains("my secret"), "{line}");
}

#[test]
fn a_log_filter_that_is_none() {
    let line = complaint(underpass(&["up"], &[("UNDERPASS_LOG", "=,=")]));
    assert!(line.contains("is not a log filter"), "{line}");
}

#[test]
fn a_bus_that_is_not_named_or_is_none() {
    for command in ["gateway", "relay"] {
        let line = complaint(underpass(&[command], &[]));
        assert!(line.contains("--bus <URL>"), "{line}");
        let line = complaint(underpass(&[command, "--listen", "127.0.0.1:0"], &[("UNDERPASS_BUS", "nats://")]));
        assert_eq!(line, "nats:// is no URL of a NATS server");
    }
}

#[test]
fn runners_of_other_machines_must_bring_something() {
    for (command, listen) in [("up", "--runners"), ("relay", "--listen")] {
        let mut arguments = vec![command, listen, "0.0.0.0:0"];
        arguments.extend(if command == "up" { ["--listen", "127.0.0.1:0"] } else { ["--bus", "nats://127.0.0.1:1"] });
        let line = complaint(underpass(&arguments, &[("UNDERPASS_INSECURE", "0")]));
        assert!(line.starts_with("runners of other machines could come in at 0.0.0.0:"), "{line}");
    }
}

#[test]
fn a_certificate_without_its_key() {
    for command in ["up", "gateway", "relay"] {
        let line = complaint(underpass(&[command, "--tls-cert", "a.pem"], &[("UNDERPASS_BUS", "nats://127.0.0.1:1")]));
        assert!(line.contains("--tls-key <FILE>"), "{line}");
    }
}
