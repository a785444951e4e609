//! Which runners are let in.

use crate::error::Error;
use crate::listen::Door;
use crate::tokens::Source;
use crate::{options, tls};

/// Opens the door for runners, with the tokens that they must bring.
///
/// # Errors
/// It cannot be, or runners of other machines could come in of whom nothing is asked.
pub(crate) async fn open(listen: &str, guard: options::Guard, tls: &options::Tls) -> Result<(Door, Source), Error> {
    let options::Guard { token, token_file, client_ca, insecure } = guard;
    let may_be_anywhere = insecure || !token.is_empty() || token_file.is_some() || client_ca.is_some();
    let tokens = Source::new(token, token_file)?;
    let door = Door::open(listen, tls::of_listener(tls, client_ca)?).await?;
    if !may_be_anywhere && !door.is_of_this_host() {
        return Err(Error::Unguarded { address: door.address() });
    }
    Ok((door, tokens))
}
