//! The program's manual, made of its command line: pages for `man`, and what shells complete.

use std::io::{self, Write};

use clap::CommandFactory;
use clap_mangen::Man;

use crate::Ended;
use crate::error::Error;
use crate::options::{self, Options};

/// Prints one page, or writes all of them.
pub(crate) fn man(options: options::Man) -> Result<Ended, Error> {
    let mut program = Options::command();
    program.build();
    if let Some(folder) = options.folder {
        let written = clap_mangen::generate_to(program, &folder);
        return written.map(|_| Ended::Drained).map_err(|source| Error::Write { path: folder, source });
    }
    let page = match options.command {
        None => program,
        Some(name) => match program.find_subcommand(&name) {
            Some(command) => command.clone(),
            None => return Err(Error::NoSuchCommand { name }),
        },
    };
    let mut text = Vec::new();
    Man::new(page).render(&mut text).map_err(Error::Announce)?;
    print(&text)
}

/// Prints what a shell reads to complete the command line.
pub(crate) fn completions(options: options::Completions) -> Result<Ended, Error> {
    let mut text = Vec::new();
    clap_complete::generate(options.shell, &mut Options::command(), "underpass", &mut text);
    print(&text)
}

fn print(text: &[u8]) -> Result<Ended, Error> {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        // Who reads it may have read enough, as `man` does when it is quit.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Ended::Drained),
        written => written.map(|()| Ended::Drained).map_err(Error::Announce),
    }
}
