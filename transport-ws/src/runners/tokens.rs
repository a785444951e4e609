//! What runners must bring to be let in.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use subtle::{Choice, ConstantTimeEq};
use thiserror::Error;

use crate::token::fits;

/// What runners must bring: one of several tokens, or none at all.
///
/// Clones are handles of the same ones, so that whoever kept one can [replace](Tokens::replace) them while the relay
/// runs. To rotate a token, add the new one, give it to all runners, and take the old one away. Tokens are looked at
/// when a runner connects: one whose token was taken away stays connected, and is refused when it comes again.
#[derive(Clone, Default)]
pub struct Tokens {
    /// None at all: runners must bring none.
    wanted: Arc<RwLock<Arc<[Box<str>]>>>,
}

/// Why tokens were not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadTokens {
    /// Every runner would be let in.
    #[error("there is no token: every runner would be let in")]
    None,
    /// One could never come. Which one is not said: it may be a secret but for one letter.
    #[error("the token number {number} is empty, or has a character that does not fit into a WebSocket sub-protocol")]
    Unfit {
        /// Which, counted from 1.
        number: usize,
    },
}

impl Tokens {
    /// Runners must bring none. That is the default, and right only where strangers cannot connect.
    pub fn none() -> Self {
        Tokens::default()
    }

    /// Runners must bring one of these.
    ///
    /// # Errors
    /// There is none, or one could never come.
    pub fn new<T: Into<String>>(tokens: impl IntoIterator<Item = T>) -> Result<Self, BadTokens> {
        let these = Tokens::none();
        these.replace(tokens)?;
        Ok(these)
    }

    /// From now on runners must bring one of these. Those that are connected stay, whatever they brought.
    ///
    /// # Errors
    /// There is none, or one could never come. The tokens are what they were.
    pub fn replace<T: Into<String>>(&self, tokens: impl IntoIterator<Item = T>) -> Result<(), BadTokens> {
        let tokens: Vec<Box<str>> = tokens.into_iter().map(|token| token.into().into_boxed_str()).collect();
        if tokens.is_empty() {
            return Err(BadTokens::None);
        }
        if let Some(unfit) = tokens.iter().position(|token| !fits(token)) {
            return Err(BadTokens::Unfit { number: unfit + 1 });
        }
        *self.wanted.write().unwrap_or_else(PoisonError::into_inner) = tokens.into();
        Ok(())
    }

    /// How many there are. With none of them runners must bring none.
    pub fn count(&self) -> usize {
        self.wanted().len()
    }

    /// Whether a runner brought what it must bring. How long that takes tells nothing of the tokens but their lengths.
    pub(super) fn admit(&self, brought: Option<&str>) -> bool {
        let wanted = self.wanted();
        match brought {
            None => wanted.is_empty(),
            Some(brought) => {
                let same = |token: &str| token.as_bytes().ct_eq(brought.as_bytes());
                wanted.iter().fold(Choice::from(0), |found, token| found | same(token)).into()
            }
        }
    }

    fn wanted(&self) -> Arc<[Box<str>]> {
        self.wanted.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The tokens are not shown.
impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("count", &self.count()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_wrong_also_if_it_is_missing_or_not_asked_for() {
        assert!(Tokens::none().admit(None));
        assert!(!Tokens::none().admit(Some("secret")));
        assert!(!Tokens::none().admit(Some("")));
        let tokens = Tokens::new(["secret"]).unwrap();
        assert!(tokens.admit(Some("secret")));
        for wrong in [Some("secreT"), Some("secret2"), Some("secre"), Some(""), None] {
            assert!(!tokens.admit(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn each_of_several_lets_in_until_it_is_taken_away() {
        let tokens = Tokens::new(["old", "new"]).unwrap();
        let relays = tokens.clone();
        assert!(relays.admit(Some("old")) && relays.admit(Some("new")) && !relays.admit(Some("oldnew")));
        tokens.replace(["new"]).unwrap();
        assert!(!relays.admit(Some("old")) && relays.admit(Some("new")));
    }

    #[test]
    fn what_would_open_the_relay_or_could_never_come_changes_nothing() {
        let tokens = Tokens::new(["secret"]).unwrap();
        assert_eq!(tokens.replace(Vec::<String>::new()), Err(BadTokens::None));
        for unfit in ["", "a b", "a,b", "a\n", "é"] {
            assert_eq!(tokens.replace(["fits", unfit]), Err(BadTokens::Unfit { number: 2 }), "{unfit:?}");
        }
        assert!(tokens.admit(Some("secret")) && !tokens.admit(None) && !tokens.admit(Some("fits")));
    }

    #[test]
    fn tokens_are_not_shown() {
        assert_eq!(format!("{:?}", Tokens::new(["secret"]).unwrap()), "Tokens { count: 1, .. }");
    }
}
