//! Numbers and credit, as both ends keep them.

use super::*;

fn chunk(length: usize) -> Piece {
    Piece::Chunk { bytes: Bytes::from(vec![0; length]), finish: false }
}

#[test]
fn a_sender_with_credit_left_sends_one_whole_message_and_then_waits() {
    let mut out = Outflow::new(Some(100));
    out.offer(chunk(99));
    out.offer(chunk(1_000));
    out.offer(chunk(1));
    assert!(out.pop(false).is_some() && out.pop(false).is_some());
    assert_eq!((out.pop(false), out.turn(false)), (None, Some(Turn::Pause)));
    out.grant(999);
    assert_eq!((out.pop(false), out.turn(false)), (None, None), "100 + 999 is what was sent already");
    out.grant(1_000);
    assert!(out.pop(false).is_some());
    assert_eq!(out.turn(false), None, "no credit is left: one byte counts for 64");
    out.grant(1_064);
    assert_eq!(out.turn(false), Some(Turn::Resume));
}

#[test]
fn credit_wraps_with_its_counters() {
    let mut out = Outflow::new(Some(100));
    let mut granted = 0_u32;
    for _ in 0..200 {
        out.offer(chunk(1));
        assert!(out.pop(false).is_some());
        // As if 2²⁵ bytes had been sent and granted besides: 200 of them wrap the counters more than once.
        let more = 1_u32 << 25;
        let allowance = out.allowance.as_mut().unwrap();
        allowance.sent = allowance.sent.wrapping_add(more);
        granted = granted.wrapping_add(more + LEAST as u32);
        out.grant(granted);
        assert_eq!(out.turn(false), None);
    }
}

#[test]
fn a_grant_of_what_was_never_sent_or_of_the_past_is_none() {
    let mut out = Outflow::new(Some(100));
    out.offer(chunk(100));
    let _ = out.pop(false);
    assert_eq!(out.turn(false), Some(Turn::Pause));
    out.grant(101);
    assert_eq!(out.turn(false), None);
    out.grant(100);
    assert_eq!(out.turn(false), Some(Turn::Resume));
    out.grant(50);
    assert_eq!(out.turn(false), None);
}

#[test]
fn an_end_without_bytes_needs_no_credit_but_waits_its_turn() {
    let mut out = Outflow::new(Some(1));
    out.offer(chunk(1));
    out.offer(chunk(1));
    out.offer(Piece::Close(Close::default()));
    assert!(out.pop(false).is_some());
    assert_eq!(out.pop(false), None, "the close stays behind the data");
    out.grant(64);
    assert!(out.pop(false).is_some());
    assert_eq!(out.pop(false), Some(Piece::Close(Close::default())));
    assert!(out.is_done());
}

#[test]
fn large_bytes_are_cut() {
    let mut out = Outflow::new(None);
    out.offer_chunk(Bytes::from(vec![7; 150]), true, 64);
    let lengths: Vec<_> = core::iter::from_fn(|| out.pop(false))
        .map(|piece| match piece {
            Piece::Chunk { bytes, finish } => (bytes.len(), finish),
            other @ (Piece::Message(_) | Piece::Close(_)) => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(lengths, [(64, false), (64, false), (22, true)]);
}

#[test]
fn numbers_are_told_apart_across_the_wrap() {
    let mut inflow = Inflow::new(None, true);
    inflow.expected = u16::MAX;
    assert_eq!(inflow.order(u16::MAX - 1), Order::Repeat);
    assert_eq!(inflow.order(0), Order::Gap);
    assert_eq!(inflow.order(u16::MAX), Order::Next);
    assert_eq!(inflow.order(u16::MAX), Order::Repeat);
    assert_eq!(inflow.order(0), Order::Next);
}

#[test]
fn no_more_pieces_are_on_their_way_than_numbers_can_tell_apart() {
    let mut out = Outflow::new(Some(MOST_CREDIT));
    let sent = core::iter::from_fn(|| {
        out.offer(Piece::Message(Message::Binary(Bytes::new())));
        out.pop(false)
    });
    assert_eq!(sent.count(), 32_767);
}

#[test]
fn small_pieces_count_for_more_than_their_bytes_at_both_ends() {
    let mut out = Outflow::new(Some(100));
    let mut inflow = Inflow::new(Some(100), true);
    for bytes in [0, 1, 0, 63, 64, 65, 1_000, 0, 3] {
        let message = Message::Binary(Bytes::from(vec![0; bytes]));
        out.offer(Piece::Message(message));
        assert!(out.pop(false).is_some());
        assert!(!inflow.take(bytes, 2_000));
        out.grant(inflow.consumed(bytes).unwrap());
        assert_eq!((inflow.held(), out.turn(false)), (0, None), "all that was sent was granted again");
    }
}

#[test]
fn an_empty_message_is_read_when_what_is_behind_it_is() {
    let mut inflow = Inflow::new(Some(400), true);
    for bytes in [0, 10, 0, 0] {
        assert!(!inflow.take(bytes, 1_000));
    }
    assert_eq!((inflow.consumed(4), inflow.held()), (None, 3 * LEAST));
    assert_eq!((inflow.consumed(6), inflow.held()), (Some(2 * LEAST as u32), 2 * LEAST));
    assert_eq!((inflow.consumed(0), inflow.held()), (None, LEAST));
    assert_eq!((inflow.consumed(0), inflow.held()), (Some(4 * LEAST as u32), 0));
    assert_eq!((inflow.consumed(0), inflow.told()), (None, Some(4 * LEAST as u32)));
}

#[test]
fn what_an_earlier_sender_sent_is_not_granted_to_the_next() {
    let mut inflow = Inflow::new(Some(400), true);
    assert!(!inflow.take(100, 1_000) && !inflow.take(0, 1_000));
    assert_eq!((inflow.order(0), inflow.consumed(10)), (Order::Next, None));
    inflow.restart(Some(4), true);
    assert!(!inflow.take(100, 1_000));
    assert_eq!((inflow.order(0), inflow.held()), (Order::Next, 200 + LEAST));
    assert_eq!((inflow.consumed(90), inflow.held()), (None, 100 + LEAST));
    assert_eq!((inflow.consumed(0), inflow.held()), (None, 100));
    assert_eq!((inflow.consumed(100), inflow.held()), (Some(100), 0));
}

#[test]
fn a_source_keeps_its_pace_when_its_receiver_is_another() {
    let mut out = Outflow::restarted(Some(1), u16::MAX, true);
    assert_eq!((out.number(), out.number(), out.is_paused()), (u16::MAX, 0, true));
    assert_eq!(out.turn(false), Some(Turn::Resume));
    out.spend(1);
    assert_eq!((out.has_credit(), out.turn(false)), (false, Some(Turn::Pause)));
}

#[test]
fn what_is_consumed_is_granted_in_steps() {
    let mut inflow = Inflow::new(Some(400), true);
    for bytes in [99, 64, 137] {
        assert!(!inflow.take(bytes, 300));
    }
    assert_eq!((inflow.consumed(99), inflow.told()), (None, None));
    assert_eq!((inflow.consumed(64), inflow.told()), (Some(163), Some(163)));
    assert_eq!(inflow.consumed(1_000_000), Some(300), "no more than was held");
    assert_eq!(inflow.held(), 0);
    assert!(inflow.take(301, 300));
}

#[test]
fn what_did_not_come_is_lacking_and_what_came_is_not() {
    for numbered in [false, true] {
        let mut inward = Inflow::new(None, numbered);
        for number in 0..3 {
            assert!(inward.lacks(u32::from(number) + 1) && !inward.lacks(u32::from(number)));
            assert_eq!(inward.order(number), Order::Next);
        }
        assert_eq!([0, 3, 4].map(|sent| inward.lacks(sent)), [false, false, true]);
        // Of what is judged by its numbers, only what is in order has come.
        let _ = inward.order(7);
        assert_eq!(inward.lacks(4), numbered);
        inward.restart(None, numbered);
        assert!(!inward.lacks(0) && inward.lacks(1));
    }
}

#[test]
fn what_did_not_come_is_spent_once() {
    let mut out = Outflow::new(Some(100));
    out.offer(chunk(100));
    assert!(out.pop(false).is_some() && !out.has_credit());
    out.give_back(weight(100));
    assert!(out.has_credit());
    out.spend(100);
    out.grant(100);
    assert!(out.has_credit());
}
