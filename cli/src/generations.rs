//! Where the generations of actors begin.

use std::time::{Duration, SystemTime};

/// The first generation of this run, by the clock. Runners may still have actors that an earlier run started, of which a
/// directory in memory knows nothing, nor one on NATS whose records were lost. Counted in quarters of a second since the
/// beginning of 2026, none of them is taken for one of this run, as long as no actor has started more often than four
/// times a second. It lasts until 2060. The quarter is waited for to end, so that no other run has it.
pub(crate) async fn first_generation() -> u32 {
    const BEGINNING: Duration = Duration::from_secs(1_767_225_600);
    const QUARTER: u128 = 250;
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH + BEGINNING).unwrap_or_default().as_millis();
    let left = u64::try_from(QUARTER - since % QUARTER).unwrap_or_default();
    tokio::time::sleep(Duration::from_millis(left)).await;
    u32::try_from(since / QUARTER).unwrap_or(u32::MAX).max(1)
}
