//! What carrying a frame costs in allocations: none, however large its payload is; and an idle WebSocket in room.

use underpass_tests::carrying::Carrying;
use underpass_tests::talking::Talking;

const PAYLOADS: [usize; 8] = [0, 1, 64, 127, 128, 1_024, 65_536, 1 << 20];

#[test]
fn a_relay_carries_frames_as_they_are_and_allocates_nothing() {
    for payload in PAYLOADS {
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

#[test]
fn an_idle_websocket_takes_little_room_and_none_for_what_passed() {
    /// The goal is 256.
    const MOST: f64 = 512.0;
    const COUNT: usize = 20_000;
    let mut made = None;
    let counted = allocation_counter::measure(|| {
        let mut talking = Talking::on(COUNT, 64);
        for socket in 0..COUNT {
            let frame = talking.incoming(socket, 1).remove(0);
            let _ = (talking.sends(socket), talking.receives(socket, frame), talking.consumes(socket));
            talking.settle(socket);
        }
        made = Some(talking);
    });
    let own = made.expect("it was made").overhead();
    let each = (counted.bytes_current as f64 - own as f64) / COUNT as f64;
    assert!(each <= MOST, "{each:.0} bytes each");
}
