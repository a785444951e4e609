//! What the commands that print the program's manual are told.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

pub(super) const MAN_EXAMPLES: &str = "\
Examples:
  underpass man | man -l -
      The page of the program; it names the others.
  underpass man gateway > underpass-gateway.1
      The page of one command.
  underpass man --folder /usr/local/share/man/man1
      All of them, a file each.";

pub(super) const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  underpass completions bash > /etc/bash_completion.d/underpass
  underpass completions zsh > \"${fpath[1]}/_underpass\"
  underpass completions fish > ~/.config/fish/completions/underpass.fish";

#[derive(Debug, Args)]
pub(crate) struct Man {
    /// The command whose page is wanted; without one, the page of the program
    #[arg(value_name = "COMMAND", conflicts_with = "folder")]
    pub(crate) command: Option<String>,
    /// Writes all pages into this folder instead
    #[arg(long, value_name = "FOLDER")]
    pub(crate) folder: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// For which shell
    #[arg(value_name = "SHELL")]
    pub(crate) shell: Shell,
}
