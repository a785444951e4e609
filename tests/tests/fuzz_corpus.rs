//! The fuzzers' corpus, replayed without a fuzzer.

use std::fs;
use std::path::{Path, PathBuf};

use underpass_core::protocol::any::Union;
use underpass_tests::fuzz;

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

/// How many inputs of a target are replayed, so that a corpus that has grown does not hold up the tests.
const MOST_INPUTS: usize = 2_000;

#[test]
fn every_input_passes_whole_cut_short_and_with_bits_flipped() {
    for union in Union::ALL {
        let inputs = fs::read_dir(corpus(&fuzz::target(union.name()))).expect("a corpus");
        let mut files: Vec<_> = inputs.map(|entry| entry.expect("a file").path()).collect();
        files.sort();
        assert!(!files.is_empty(), "no corpus for {union}");
        for file in files.into_iter().take(MOST_INPUTS) {
            let input = fs::read(&file).expect("an input");
            fuzz::run(union.name(), &input);
            for place in 0..input.len().min(100) {
                fuzz::run(union.name(), &input[..place]);
                let mut flipped = input.clone();
                flipped[place] ^= 1 << (place % 8);
                fuzz::run(union.name(), &flipped);
            }
        }
    }
}

#[test]
fn every_input_happens_to_its_machine_whole_and_cut_short() {
    for name in fuzz::MACHINES {
        let inputs = fs::read_dir(corpus(name)).expect("a corpus");
        let mut files: Vec<_> = inputs.map(|entry| entry.expect("a file").path()).collect();
        files.sort();
        assert!(!files.is_empty(), "no corpus for {name}");
        for file in files.into_iter().take(MOST_INPUTS) {
            let input = fs::read(&file).expect("an input");
            for length in [input.len(), input.len() / 2, input.len() / 3] {
                fuzz::machine(name, &input[..length]);
            }
        }
    }
}

/// With `UPDATE_CORPUS=1` it writes the seeds that are missing.
#[test]
fn the_corpus_has_seeds_for_every_machine() {
    let update = std::env::var_os("UPDATE_CORPUS").is_some();
    for (name, file, input) in fuzz::machine_seeds() {
        let file = corpus(name).join(file);
        if update {
            fs::create_dir_all(corpus(name)).expect("a folder");
            fs::write(&file, &input).expect("a file");
        }
        assert_eq!(fs::read(&file).ok(), Some(input), "{}: run with UPDATE_CORPUS=1", file.display());
    }
}

/// With `UPDATE_CORPUS=1` it writes the seeds that are missing.
#[test]
fn the_corpus_has_a_seed_for_every_kind_of_vector() {
    let update = std::env::var_os("UPDATE_CORPUS").is_some();
    for (target, name, input) in fuzz::seeds() {
        let (folder, seed) = (corpus(&target), corpus(&target).join(&name));
        if update {
            fs::create_dir_all(&folder).expect("a folder");
            fs::write(&seed, &input).expect("a file");
        }
        assert!(seed.exists(), "no {target}/{name}: write it with UPDATE_CORPUS=1");
    }
}
