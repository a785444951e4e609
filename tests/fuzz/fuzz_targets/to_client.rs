//! `ToClient`, in the version that the first byte says.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| underpass_tests::fuzz::run("ToClient", input));
