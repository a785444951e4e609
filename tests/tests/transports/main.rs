//! Bus and directory: the same stories over each transport that there is.

mod bus;
mod directory;
mod given;
mod registry;
