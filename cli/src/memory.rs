//! What the allocator does with memory that was freed.

use std::hint::black_box;

/// The size of what goes back to the system at once, bytes.
const LARGE: usize = 4 * 1024 * 1024;

/// Has the allocator keep some of what is freed for what comes next.
///
/// The buffers of bodies and messages live as long as it takes to pass them on. glibc gives such memory back to the
/// system as soon as it is free, and gets it back page by page, which costs more than all the rest of it. It learns
/// what is usual from the largest block that was freed, so it is shown one; it keeps up to twice as much then. Other
/// allocators do not mind.
pub(crate) fn keep_some() {
    drop(black_box(Vec::<u8>::with_capacity(LARGE)));
}
