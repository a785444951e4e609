//! Who they are, and what they say.

use bytes::Bytes;
use underpass_core::Time;
use underpass_core::bus::{ConnectionId, RelayId};
use underpass_core::directory::{
    Abilities, Pool, Revision, RunnerId, RunnerKey, RunnerRecord, RunnerSeen, RunnerState, Versioned,
};
use underpass_core::protocol::{Dialect, GatewayId};
use uuid::Uuid;

pub(crate) const GATEWAY: GatewayId = GatewayId(*b"gate");
pub(crate) const RELAY: RelayId = RelayId(Uuid::from_u128(7));
/// What a runner says of itself.
pub(crate) const METADATA: &str = r#"{"underpass":{"streams":true,"numbers":true,"credit":262144,"stateless":true}}"#;

pub(crate) fn pool() -> Pool {
    Pool { namespace: "default".into(), name: "default".into() }
}

/// The directory shows a runner, as its relay would have entered it.
pub(crate) fn seen(number: u64, revision: u64) -> RunnerSeen {
    let record = RunnerRecord {
        id: RunnerId(Uuid::from_u128(number.into())),
        slots: 1,
        protocol_version: 7,
        abilities: Abilities {
            dialect: Dialect::Underpass,
            streams: true,
            numbers: true,
            credit: Some(262_144),
            stateless: true,
        },
        connection: Some(ConnectionId { relay: RELAY, number }),
        moving: None,
        entered: None,
        state: RunnerState::Ready,
    };
    let key = RunnerKey { pool: pool(), key: format!("runner-{number}").into() };
    RunnerSeen { key, record: Some(Versioned { revision: Revision(revision), record }) }
}

/// The body of a request, different from all others, and of its answer.
pub(crate) fn body(number: u64, length: usize) -> Bytes {
    let word = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
    word.into_iter().cycle().take(length.max(8)).collect()
}

/// What time it is for a machine that was started then.
pub(crate) fn time(start: tokio::time::Instant) -> Time {
    Time::from_micros(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX))
}
