//! A relay with runners whose actors have state, to which the input happens.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| underpass_tests::fuzz::machine("hosting", input));
