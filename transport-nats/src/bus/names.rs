//! Subjects of NATS.

use core::fmt::Write;

use async_nats::Subject as Name;
use underpass_core::bus::{Address, ConnectionId, RelayId, Subject};
use underpass_core::protocol::GatewayId;
use uuid::Uuid;

/// What subjects are called. `PREFIX.gateway.HEX` and `PREFIX.relay.UUID.NUMBER` are frames' and
/// `PREFIX.back.BUS.TO` is where a bus hears of what it published: of whom it published to, and for whom.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    prefix: String,
    /// This bus, different from all others.
    bus: String,
}

/// What came back: for whom it was published, and to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Back {
    pub(crate) from: Address,
    pub(crate) to: Subject,
}

impl Names {
    pub(crate) fn new(prefix: &str, bus: u64) -> Self {
        Names { prefix: prefix.to_owned(), bus: format!("{bus:016x}") }
    }

    pub(crate) fn subject(&self, to: Subject) -> Name {
        Name::from(format!("{}.{to}", self.prefix))
    }

    pub(crate) fn address(&self, address: Address) -> Name {
        Name::from(format!("{}.{address}", self.prefix))
    }

    /// Where an inbox says something to itself.
    pub(crate) fn itself(&self, address: Address) -> Name {
        match address {
            Address::Gateway(id) => self.subject(Subject::Gateway(id)),
            Address::Relay(id) => Name::from(format!("{}.relay.{id}.itself", self.prefix)),
        }
    }

    /// To whom a message on a subject goes.
    pub(crate) fn to(&self, name: &Name, address: Address) -> Option<Subject> {
        match address {
            Address::Gateway(id) => Some(Subject::Gateway(id)),
            Address::Relay(relay) => {
                let number = name.rsplit('.').next()?.parse().ok()?;
                Some(Subject::Connection(ConnectionId { relay, number }))
            }
        }
    }

    /// All that comes back.
    pub(crate) fn all_back(&self) -> Name {
        Name::from(format!("{}.back.{}.*", self.prefix, self.bus))
    }

    /// Where word of a publication comes back.
    pub(crate) fn back(&self, Back { from, to }: Back) -> Name {
        let mut name = format!("{}.back.{}.", self.prefix, self.bus);
        let hex = |bytes: &[u8], name: &mut String| {
            for byte in bytes {
                // Writing to a string does not fail.
                let _ = write!(name, "{byte:02x}");
            }
        };
        match from {
            Address::Gateway(GatewayId(id)) => hex(&id, &mut name),
            Address::Relay(RelayId(id)) => hex(id.as_bytes(), &mut name),
        }
        match to {
            Subject::Gateway(GatewayId(id)) => {
                name.push('g');
                hex(&id, &mut name);
            }
            Subject::Connection(ConnectionId { relay, number }) => {
                name.push('r');
                hex(relay.0.as_bytes(), &mut name);
                hex(&number.to_be_bytes(), &mut name);
            }
        }
        Name::from(name)
    }

    /// Of what word came back.
    pub(crate) fn came_back(&self, name: &Name) -> Option<Back> {
        let text = name.rsplit('.').next()?;
        let (from, to, is_gateway) = match (text.split_once('g'), text.split_once('r')) {
            (Some((from, to)), None) => (from, to, true),
            (None, Some((from, to))) => (from, to, false),
            _ => return None,
        };
        let from = match from.len() {
            8 => Address::Gateway(GatewayId(bytes(from)?)),
            _ => Address::Relay(RelayId(Uuid::from_bytes(bytes(from)?))),
        };
        let to = if is_gateway {
            Subject::Gateway(GatewayId(bytes(to)?))
        } else {
            let (relay, number) = to.split_at_checked(32)?;
            let number = u64::from_be_bytes(bytes(number)?);
            Subject::Connection(ConnectionId { relay: RelayId(Uuid::from_bytes(bytes(relay)?)), number })
        };
        Some(Back { from, to })
    }
}

fn bytes<const N: usize>(hex: &str) -> Option<[u8; N]> {
    if hex.len() != 2 * N || !hex.is_ascii() {
        return None;
    }
    let mut bytes = [0; N];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RELAY: RelayId = RelayId(Uuid::from_u128(0x0a0b_0c0d_0e0f_0102_0304_0506_0708_090a));
    const GATEWAY: GatewayId = GatewayId([0, 1, 0xfe, 0xff]);

    fn connection() -> Subject {
        Subject::Connection(ConnectionId { relay: RELAY, number: 7 })
    }

    #[test]
    fn subjects_are_words_behind_a_prefix() {
        let names = Names::new("underpass", 5);
        assert_eq!(names.subject(Subject::Gateway(GATEWAY)).as_str(), "underpass.gateway.0001feff");
        assert_eq!(names.subject(connection()).as_str(), format!("underpass.relay.{RELAY}.7"));
        assert_eq!(names.address(Address::Relay(RELAY)).as_str(), format!("underpass.relay.{RELAY}.*"));
        assert_eq!(names.all_back().as_str(), "underpass.back.0000000000000005.*");
    }

    #[test]
    fn a_message_is_for_whom_its_subject_says() {
        let names = Names::new("underpass", 5);
        for to in [connection(), Subject::Gateway(GATEWAY)] {
            assert_eq!(names.to(&names.subject(to), to.address()), Some(to));
        }
        let address = Address::Relay(RELAY);
        assert_eq!(names.to(&names.itself(address), address), None);
    }

    #[test]
    fn what_comes_back_says_whom_it_is_about() {
        let names = Names::new("a.b", 5);
        for (from, to) in
            [(Address::Gateway(GATEWAY), connection()), (Address::Relay(RELAY), Subject::Gateway(GATEWAY))]
        {
            assert_eq!(names.came_back(&names.back(Back { from, to })), Some(Back { from, to }));
        }
        for other in ["a.b.back.5.", "a.b.back.5.0001feffg", "a.b.back.5.0001feff", "a.b.back.5.0001feffg0001fexx"] {
            assert_eq!(names.came_back(&Name::from(other)), None, "{other}");
        }
    }
}
