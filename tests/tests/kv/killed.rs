//! A process that is killed while it writes: what it was told is on disk is there.

use std::collections::VecDeque;
use std::env;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;
use underpass_core::protocol::kv::KvResponseData;
use underpass_store_redb::{Config, RedbKv};

use crate::given::{Actor, open, pair, prefix, put, wait};

/// In the environment of the process that is killed: where it writes.
const DIRECTORY: &str = "UNDERPASS_KV_KILLED";

/// How many puts it has asked for at once.
const AHEAD: usize = 20;

/// Each put has several keys, the last of them the count of puts; all come, or none.
const KEYS: usize = 5;

fn nth(n: usize) -> [(String, String); KEYS] {
    let value = n.to_string();
    [0, 1, 2, 3, 4].map(|key| (if key < 4 { format!("{n}/{key}") } else { "count".to_owned() }, value.clone()))
}

/// What the test below does in the process that it starts, and kills.
fn write_until_killed(directory: &Path) {
    let store = RedbKv::open(directory, Config::default()).unwrap();
    let actor = Actor::new(&store, "a");
    let count = |actor: &Actor<_>| actor.get(["count"]).pop().map_or(0, |(_, value)| number(&value) + 1);
    let mut asked = VecDeque::new();
    for n in count(&actor).. {
        asked.push_back((n, actor.ask(put(nth(n)))));
        if asked.len() == AHEAD {
            let (n, answer) = asked.pop_front().unwrap();
            assert_eq!(wait(answer), KvResponseData::Put);
            // On a line of its own: the harness writes before the first.
            println!("\nput {n}");
        }
    }
}

fn number(value: &[u8]) -> usize {
    str::from_utf8(value).unwrap().parse().unwrap()
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    if let Some(directory) = env::var_os(DIRECTORY) {
        return write_until_killed(Path::new(&directory));
    }
    let directory = TempDir::new().unwrap();
    let mut all = 0;
    for round in 0..5 {
        let mut writer = Command::new(env::current_exe().unwrap())
            .args(["--exact", "killed::what_was_acknowledged_survives_a_kill", "--nocapture"])
            .env(DIRECTORY, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(writer.stdout.take().unwrap()).lines();
        let mut acknowledged = None;
        let put = |line: String| line.strip_prefix("put ").map(|n| n.parse::<usize>().unwrap());
        for _ in 0..30 + 7 * round {
            acknowledged = Some(lines.by_ref().find_map(|line| put(line.unwrap())).expect("the writer goes on"));
        }
        // SIGKILL: it has no time for anything.
        writer.kill().unwrap();
        writer.wait().unwrap();
        // What it still had told.
        let last = lines.filter_map(|line| put(line.unwrap())).last().or(acknowledged).unwrap();

        let store = open(&directory);
        let actor = Actor::new(&store, "a");
        let count = number(&actor.get(["count"])[0].1);
        assert!(count >= last, "{count} of {last}");
        assert!(count <= last + AHEAD, "{count} of {last}");
        for n in all..=count {
            let whole = nth(n).map(|(key, value)| pair(key, value));
            assert_eq!(actor.list(prefix(format!("{n}/")), None, None), whole[..KEYS - 1]);
        }
        assert_eq!(actor.list(prefix(format!("{}/", count + 1)), None, None), []);
        all = count;
    }
}
