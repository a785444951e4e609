//! Which request is sent, and who breaks it off.

/// What is to become of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// A GET with a short answer.
    Get,
    /// A POST whose body comes back.
    Post,
    /// A GET with an answer of many pieces.
    Large,
    /// The client goes away before the answer.
    ClientLeavesEarly,
    /// The client goes away in the middle of the answer.
    ClientLeavesLate,
    /// The handler breaks off before its answer.
    HandlerFailsEarly,
    /// The handler breaks off in the middle of its answer.
    HandlerFailsLate,
}

impl Plan {
    /// The plan of a request, the same for the same seed: one in ten is broken off.
    pub(crate) fn of(seed: u64, number: u64) -> Plan {
        let random = scramble(seed.wrapping_add(number));
        let broken = [Plan::ClientLeavesEarly, Plan::ClientLeavesLate, Plan::HandlerFailsEarly, Plan::HandlerFailsLate];
        let whole = [Plan::Get, Plan::Get, Plan::Get, Plan::Post, Plan::Post, Plan::Large];
        let pick = |plans: &[Plan]| plans[(random >> 32) as usize % plans.len()];
        if random.is_multiple_of(10) { pick(&broken) } else { pick(&whole) }
    }

    /// Whether its client or its handler breaks it off.
    pub(crate) fn breaks_off(self) -> bool {
        match self {
            Plan::Get | Plan::Post | Plan::Large => false,
            Plan::ClientLeavesEarly | Plan::ClientLeavesLate => true,
            Plan::HandlerFailsEarly | Plan::HandlerFailsLate => true,
        }
    }

    /// What the handler is asked for.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Plan::Get | Plan::Post => "short",
            Plan::Large => "large",
            Plan::ClientLeavesEarly => "never",
            Plan::ClientLeavesLate => "endless",
            Plan::HandlerFailsEarly => "nothing",
            Plan::HandlerFailsLate => "half",
        }
    }
}

/// Splitmix64.
fn scramble(seed: u64) -> u64 {
    let mut z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
