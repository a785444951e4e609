//! The in-process bus and directory of Underpass.
