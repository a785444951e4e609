//! Where on its way a request is seen.

/// A machine of this process, on a request's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hop {
    Gateway,
    Relay,
    Runner,
}

impl Hop {
    /// From the client's side.
    pub(crate) const ALL: [Hop; 3] = [Hop::Gateway, Hop::Relay, Hop::Runner];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Hop::Gateway => "gateway",
            Hop::Relay => "relay",
            Hop::Runner => "runner",
        }
    }
}
