//! `/clock`: Server-Sent Events, one a second.

use std::convert::Infallible;
use std::time::{Duration, SystemTime};

use axum::response::Sse;
use axum::response::sse::Event;
use futures_util::{Stream, stream};
use tokio::time::{MissedTickBehavior, interval};

/// The time, at once and then each second, for as long as somebody listens.
pub(super) async fn clock() -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let mut seconds = interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    Sse::new(stream::unfold((seconds, 0_u64), async |(mut seconds, count)| {
        seconds.tick().await;
        let event = Event::default().id(count.to_string()).data(time_of_day(SystemTime::now()));
        Some((Ok(event), (seconds, count + 1)))
    }))
}

fn time_of_day(time: SystemTime) -> String {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let (hours, minutes, seconds) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{hours:02}:{minutes:02}:{seconds:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_day_is_that_of_greenwich() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        assert_eq!(time_of_day(time), "01:46:40 UTC");
    }
}
