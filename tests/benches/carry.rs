//! A relay carries a frame each way: how long that takes, and what it allocates, by the size of the payload.
//!
//! ```sh
//! cargo bench -p underpass-tests --bench carry
//! ```

use divan::{AllocProfiler, Bencher};
use underpass_tests::carrying::Carrying;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

const PAYLOADS: [usize; 5] = [64, 1 << 10, 16 << 10, 256 << 10, 1 << 20];

fn main() {
    divan::main();
}

/// From a gateway's bus frame to a message for the runner's WebSocket.
#[divan::bench(args = PAYLOADS)]
fn to_the_runner(bencher: Bencher<'_, '_>, payload: usize) {
    let mut carrying = Carrying::new(payload);
    bencher.bench_local(move || carrying.down());
}

/// From a message of the runner's WebSocket to a bus frame for its gateway.
#[divan::bench(args = PAYLOADS)]
fn to_the_gateway(bencher: Bencher<'_, '_>, payload: usize) {
    let mut carrying = Carrying::new(payload);
    bencher.bench_local(move || carrying.up());
}
