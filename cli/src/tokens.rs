//! What runners must bring.

use std::fs;
use std::path::PathBuf;

use underpass_transport_ws::runners::Tokens;

use crate::error::Error;

/// Where tokens come from, and what was made of them.
#[derive(Clone, Default)]
pub(crate) struct Source {
    /// From the command line, and this program's own.
    given: Vec<String>,
    file: Option<PathBuf>,
    tokens: Tokens,
}

impl Source {
    /// Reads them a first time. Who has none lets everybody in.
    ///
    /// # Errors
    /// The file cannot be read, or a token could not travel.
    pub(crate) fn new(given: Vec<String>, file: Option<PathBuf>) -> Result<Self, Error> {
        let mut source = Source { given, file, tokens: Tokens::none() };
        if source.is_wanted() {
            source.tokens = Tokens::new(source.read()?)?;
        }
        Ok(source)
    }

    /// Whether a token is asked of runners.
    pub(crate) fn is_wanted(&self) -> bool {
        !self.given.is_empty() || self.file.is_some()
    }

    /// Whether they can change.
    pub(crate) fn can_change(&self) -> bool {
        self.file.is_some()
    }

    /// Those that count now, and always.
    pub(crate) fn tokens(&self) -> Tokens {
        self.tokens.clone()
    }

    /// One that is always among them, for who belongs to this program.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub(crate) fn add(&mut self, own: String) -> Result<(), Error> {
        self.given.push(own);
        self.tokens.replace(self.read()?)?;
        Ok(())
    }

    /// Reads them again. It blocks.
    ///
    /// # Errors
    /// As for [`new`](Self::new): then they stay what they were.
    pub(crate) fn read_again(&self) -> Result<(), Error> {
        self.tokens.replace(self.read()?)?;
        Ok(())
    }

    /// What the file holds; what cannot be read holds nothing.
    pub(crate) fn contents(&self) -> Option<Vec<u8>> {
        fs::read(self.file.as_ref()?).ok()
    }

    fn read(&self) -> Result<Vec<String>, Error> {
        let mut tokens = self.given.clone();
        if let Some(path) = &self.file {
            let text = fs::read_to_string(path).map_err(|source| Error::Read { path: path.clone(), source })?;
            let before = tokens.len();
            tokens.extend(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned));
            // It may just be written: that is no reason to turn all runners away.
            if tokens.len() == before {
                return Err(Error::NoTokens { path: path.clone() });
            }
        }
        tokens.iter().try_for_each(|token| check(token))?;
        Ok(tokens)
    }
}

/// The token that a runner brings.
///
/// # Errors
/// The file cannot be read or has none, or the token could not travel.
pub(crate) fn brought(given: Option<String>, file: Option<PathBuf>) -> Result<Option<String>, Error> {
    let token = match (given, file) {
        (Some(token), _) => Some(token),
        (None, Some(path)) => {
            let text = fs::read_to_string(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
            let first = text.lines().map(str::trim).find(|line| !line.is_empty());
            Some(first.ok_or(Error::NoTokens { path })?.to_owned())
        }
        (None, None) => None,
    };
    token.iter().try_for_each(|token| check(token))?;
    Ok(token)
}

/// Says what is wrong with a token. It is not done where the command line is read, which would repeat it for all to
/// see.
fn check(token: &str) -> Result<(), Error> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if token.is_empty() || !token.bytes().all(fits) { Err(Error::Token) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_fits_into_a_subprotocol() {
        check("abc-DEF_123.~").unwrap();
        for bad in ["", "a b", "a,b", "ä", "a\"b"] {
            assert!(matches!(check(bad), Err(Error::Token)), "{bad}");
        }
    }

    #[test]
    fn tokens_are_of_the_command_line_and_of_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tokens");
        fs::write(&path, "one\n\n  two \n").unwrap();
        let source = Source::new(vec!["zero".into()], Some(path.clone())).unwrap();
        assert_eq!(source.tokens().count(), 3);
        // What would open the door, or shut it for all, changes nothing.
        for bad in ["", "\n", "a b"] {
            fs::write(&path, bad).unwrap();
            source.read_again().unwrap_err();
        }
        fs::remove_file(&path).unwrap();
        source.read_again().unwrap_err();
        assert_eq!(source.tokens().count(), 3);
        fs::write(&path, "three").unwrap();
        source.read_again().unwrap();
        assert_eq!(source.tokens().count(), 2);
        assert_eq!(brought(None, Some(path)).unwrap().as_deref(), Some("three"));
    }
}
