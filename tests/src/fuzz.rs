//! What a fuzz target does with an input, and the inputs that it starts from.

use std::collections::BTreeMap;

use bytes::Bytes;
use underpass_core::protocol::Version;
use underpass_core::protocol::any::Schema;

use crate::noise::Noise;
use crate::noise::gateway::Clients;
use crate::noise::hosting::Runners;
use crate::noise::relay::Connections;
use crate::noise::runner::Handlers;
use crate::noise::supervisor::World;
use crate::{checks, vectors};

/// The longest seed: what is longer teaches a fuzzer little that is new.
const LONGEST_SEED: usize = 96;

/// The first byte says which version, the rest is the frame.
///
/// # Panics
/// If anything holds that must not.
pub fn run(union: &str, input: &[u8]) {
    let Some((&first, frame)) = input.split_first() else { return };
    let version = Version::ALL[usize::from(first) % Version::ALL.len()];
    if let Ok(schema) = Schema::new(union.parse().expect("a union"), version) {
        let _ = checks::bytes_of(schema, &Bytes::copy_from_slice(frame));
    }
}

/// The machines that have a target, by the names of the targets.
pub const MACHINES: [&str; 5] = ["gateway", "relay", "hosting", "runner", "supervisor"];

/// The bytes decide what happens to a machine, in whatever order; then all is over.
///
/// # Panics
/// If the machine breaks a promise, or holds anything at the end.
pub fn machine(name: &str, input: &[u8]) {
    let noise = Noise::of(Bytes::copy_from_slice(input));
    match name {
        "gateway" => {
            let mut clients = Clients::new(noise);
            while !clients.noise.is_spent() {
                clients.step();
            }
            clients.over();
        }
        "relay" => {
            let mut connections = Connections::new(noise);
            while !connections.noise.is_spent() {
                connections.step();
            }
            connections.over();
        }
        "hosting" => {
            let mut runners = Runners::new(noise);
            while !runners.noise.is_spent() {
                runners.step();
            }
            runners.over();
        }
        "runner" => {
            let mut handlers = Handlers::new(noise);
            while !handlers.noise.is_spent() {
                handlers.step();
            }
            handlers.over();
        }
        "supervisor" => {
            let mut world = World::new(noise);
            while !world.noise.is_spent() {
                world.step();
            }
            world.over();
        }
        _ => panic!("no such machine: {name}"),
    }
}

/// What a fuzzer of the machines starts from: noise, a few hundred events each.
pub fn machine_seeds() -> Vec<(&'static str, String, Vec<u8>)> {
    let mut seeds = Vec::new();
    for name in MACHINES {
        for number in 1..=6_u64 {
            let mut noise = Noise::new(number);
            let bytes = (0..200 * number).map(|_| noise.below(256) as u8).collect();
            seeds.push((name, format!("noise-{number}"), bytes));
        }
    }
    seeds
}

/// A file of the corpus for each union, version and kind of vector, the shortest of its kind: target, name, input.
pub fn seeds() -> Vec<(String, String, Vec<u8>)> {
    let mut shortest: BTreeMap<(String, String), Vec<u8>> = BTreeMap::new();
    for vector in vectors::valid().into_iter().chain(vectors::invalid()) {
        // An id is a path, of version, union and member, or of what is wrong; the last part only counts.
        let kind = if vector.error.is_empty() {
            vector.id.rsplit_once('/').map_or(&*vector.id, |(kind, _)| kind).trim_end_matches("/rand").to_owned()
        } else {
            format!("v{}/{}", vector.version, vector.error)
        };
        let input = [&[vector.version as u8 - 1], &vector.bytes()[..]].concat();
        if input.len() > LONGEST_SEED || kind.contains("/len") {
            continue;
        }
        let entry = shortest.entry((target(&vector.union), file_name(&kind))).or_insert_with(|| input.clone());
        if input.len() < entry.len() {
            *entry = input;
        }
    }
    shortest.into_iter().map(|((target, name), input)| (target, name, input)).collect()
}

/// The name of the target for a union: `to_server` for `ToServer`.
pub fn target(union: &str) -> String {
    let mut name = String::new();
    for letter in union.chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

fn file_name(kind: &str) -> String {
    kind.replace(|letter: char| !letter.is_ascii_alphanumeric(), "-")
}
