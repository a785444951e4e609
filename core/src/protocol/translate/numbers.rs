//! The numbers of messages from runners of versions 1 and 2, which do not number them.

use hashbrown::HashMap;

use super::Untranslatable;
use crate::protocol::ids::{GatewayId, MessageIndex, RequestId};

/// Counts the messages of each open request as they arrive.
#[derive(Debug)]
pub(super) struct Numbers {
    next: HashMap<(GatewayId, RequestId), MessageIndex>,
    most: usize,
    /// Nobody says which requests are open, so each message of an unknown one opens it.
    opens_by_itself: bool,
}

impl Numbers {
    /// For a relay, which opens requests before the runner can answer.
    pub(super) fn of_opened_requests(most: usize) -> Self {
        Numbers { next: HashMap::new(), most, opens_by_itself: false }
    }

    /// For who sees one direction only.
    pub(super) fn of_any_requests(most: usize) -> Self {
        Numbers { next: HashMap::new(), most, opens_by_itself: true }
    }

    /// A request goes to the runner.
    pub(super) fn open(&mut self, request: (GatewayId, RequestId)) -> Result<(), Untranslatable> {
        if self.opens_by_itself {
            return Ok(());
        }
        if self.next.len() >= self.most && !self.next.contains_key(&request) {
            return Err(Untranslatable::TooManyRequests);
        }
        self.next.insert(request, 0);
        Ok(())
    }

    /// It is over.
    pub(super) fn close(&mut self, request: (GatewayId, RequestId)) {
        self.next.remove(&request);
    }

    /// The number of a message that arrived. One of a request that is not open has no number; 0 stands for it.
    pub(super) fn next(&mut self, request: (GatewayId, RequestId)) -> MessageIndex {
        if let Some(next) = self.next.get_mut(&request) {
            let number = *next;
            *next = next.wrapping_add(1);
            return number;
        }
        if self.opens_by_itself && self.next.len() < self.most {
            self.next.insert(request, 1);
        }
        0
    }

    /// How many requests are open.
    pub(super) fn len(&self) -> usize {
        self.next.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(number: u8) -> (GatewayId, RequestId) {
        (GatewayId([1; 4]), RequestId([number; 4]))
    }

    #[test]
    fn who_sees_one_direction_counts_so_many_requests_and_no_more() {
        let mut numbers = Numbers::of_any_requests(2);
        assert_eq!([1, 1, 2, 1, 3, 3, 2].map(|number| numbers.next(request(number))), [0, 1, 0, 2, 0, 0, 1]);
        assert_eq!(numbers.len(), 2);
        numbers.close(request(1));
        assert_eq!([3, 3].map(|number| numbers.next(request(number))), [0, 1]);
    }
}
