//! What a client or a handler does when something happens to it: like the machines, they do nothing themselves.

use core::time::Duration;

/// What one of them wants done.
#[derive(Debug)]
pub struct Turn<Event, Step> {
    /// What to tell its machine, in order.
    pub events: Vec<Event>,
    /// What to remind it of, and after how long.
    pub later: Vec<(Duration, Step)>,
    /// What it saw that must not be.
    pub wrong: Option<String>,
}

impl<Event, Step> Default for Turn<Event, Step> {
    fn default() -> Self {
        Turn { events: Vec::new(), later: Vec::new(), wrong: None }
    }
}

impl<Event, Step> Turn<Event, Step> {
    /// Something that must not be; the first counts.
    pub fn wrong(&mut self, text: impl FnOnce() -> String) {
        self.wrong.get_or_insert_with(text);
    }
}

/// How long it takes to read so many bytes, at so much a kibibyte.
pub fn reading_time(kibibyte: Duration, bytes: usize) -> Duration {
    Duration::from_micros(kibibyte.as_micros() as u64 * bytes as u64 / 1_024)
}
