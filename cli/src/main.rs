//! The program `underpass`.
fn main() {}
