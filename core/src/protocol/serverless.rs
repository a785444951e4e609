//! `ToServerlessServer`: what a control plane says to a runner that lives in a serverless function.

use bytestring::ByteString;
use serde::{Deserialize, Serialize};

/// `ToServerlessServer`. Version 7.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToServerlessServer {
    /// `ToServerlessServerInit`.
    Init(Init),
}

/// `ToServerlessServerInit`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Init {
    /// The id that the runner shall have.
    pub runner_id: ByteString,
    /// The version of the protocol that it shall speak.
    pub runner_protocol_version: u16,
}
