//! The abilities that a runner announces in the metadata of its Init, both ends.

use serde::{Deserialize, Serialize};

use crate::directory::Abilities;
use crate::machine::flow::MOST_CREDIT;
use crate::protocol::Dialect;

/// The metadata: JSON, in which other keys may stand.
#[derive(Serialize, Deserialize)]
struct Metadata {
    #[serde(default)]
    underpass: Announced,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Announced {
    streams: bool,
    numbers: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    credit: Option<u32>,
    stateless: bool,
}

/// Reads what a runner announced. Only one that speaks `underpass.1` has any abilities; metadata that is not this kind
/// of JSON announces none.
pub(super) fn read(metadata: Option<&str>, dialect: Dialect) -> Abilities {
    let announced = match dialect {
        Dialect::Published => None,
        Dialect::Underpass => metadata.and_then(|json| serde_json::from_str::<Metadata>(json).ok()),
    };
    let Announced { streams, numbers, credit, stateless } =
        announced.map(|metadata| metadata.underpass).unwrap_or_default();
    let credit = credit.filter(|credit| *credit > 0).map(|credit| credit.min(MOST_CREDIT));
    Abilities { dialect, streams, numbers, credit, stateless }
}

/// Writes what a runner announces.
pub(crate) fn write(abilities: &Abilities) -> String {
    let Abilities { streams, numbers, credit, stateless, .. } = *abilities;
    let metadata = Metadata { underpass: Announced { streams, numbers, credit, stateless } };
    serde_json::to_string(&metadata).expect("a map of plain values is JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_by_those_who_speak_the_dialect() {
        let abilities = Abilities {
            dialect: Dialect::Underpass,
            streams: true,
            numbers: true,
            credit: Some(262_144),
            stateless: false,
        };
        let json = write(&abilities);
        assert_eq!(json, r#"{"underpass":{"streams":true,"numbers":true,"credit":262144,"stateless":false}}"#);
        assert_eq!(read(Some(&json), Dialect::Underpass), abilities);
        assert_eq!(read(Some(&json), Dialect::Published), Abilities::default());
    }

    #[test]
    fn other_metadata_announces_nothing() {
        let none = Abilities { dialect: Dialect::Underpass, ..Abilities::default() };
        for json in [None, Some(""), Some("[]"), Some("{}"), Some(r#"{"x":1}"#), Some(r#"{"underpass":{"credit":0}}"#)]
        {
            assert_eq!(read(json, Dialect::Underpass), none, "{json:?}");
        }
    }
}
