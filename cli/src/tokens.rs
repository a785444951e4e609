//! What runners must bring.

use crate::error::Error;

/// Says what is wrong with a token. It is not done where the command line is read, which would repeat it for all to
/// see.
///
/// # Errors
/// The token could not travel as the name of a WebSocket sub-protocol.
pub(crate) fn check(token: Option<&str>) -> Result<(), Error> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    match token {
        Some(token) if token.is_empty() || !token.bytes().all(fits) => Err(Error::Token),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_fits_into_a_subprotocol() {
        check(None).unwrap();
        check(Some("abc-DEF_123.~")).unwrap();
        for bad in ["", "a b", "a,b", "ä", "a\"b"] {
            assert!(matches!(check(Some(bad)), Err(Error::Token)), "{bad}");
        }
    }
}
