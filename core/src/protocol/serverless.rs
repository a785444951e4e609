//! `ToServerlessServer`: what a control plane says to a runner that lives in a serverless function.

use bytestring::ByteString;
use serde::{Deserialize, Serialize};

use super::bare::{self, Reader, front};
use crate::error::PeerError;
use crate::frame::Frame;

/// `ToServerlessServer`. Version 7.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToServerlessServer {
    /// `ToServerlessServerInit`.
    #[serde(rename = "ToServerlessServerInit")]
    Init(Init),
}

impl ToServerlessServer {
    /// Reads the value. Version 7.
    ///
    /// # Errors
    /// The first rule that the bytes break, and where.
    pub fn decode(frame: &Frame) -> Result<ToServerlessServer, PeerError> {
        let mut reader = Reader::new(frame);
        let message = front::read(&mut reader)?;
        reader.end()?;
        Ok(message)
    }

    /// The value's bytes. Version 7.
    pub fn encode(&self) -> Frame {
        bare::encode(&[], self)
    }
}

/// `ToServerlessServerInit`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Init {
    /// The id that the runner shall have.
    pub runner_id: ByteString,
    /// The version of the protocol that it shall speak.
    pub runner_protocol_version: u16,
}
