//! What carrying a frame costs: nothing is allocated, however large its payload is.

use underpass_tests::carrying::Carrying;

#[test]
fn a_relay_carries_frames_as_they_are_and_allocates_nothing() {
    for payload in [0, 1, 64, 127, 128, 1_024, 65_536, 1 << 20] {
        let mut carrying = Carrying::new(payload);
        // The first ones find queues that have yet to grow.
        let frames = (carrying.down(), carrying.up());
        assert!(frames == carrying.expected(), "payload {payload}");

        let counted = allocation_counter::measure(|| {
            for _ in 0..1_000 {
                let _ = (carrying.down(), carrying.up());
            }
        });
        assert_eq!(counted.count_total, 0, "allocations for 2,000 frames of {payload} bytes");
    }
}
