//! Stories that cross the crates of Underpass.
