//! Memory after a peak goes back to the system, also if no further request comes.
//!
//! The allocator keeps freed pages for a second and then waits until a thread asks for a page or
//! frees one. While requests come this happens by itself; an idle gateway has to ask.

use std::{hint::black_box, time::Duration};

use tokio::time::sleep;

const PERIOD: Duration = Duration::from_secs(1);

/// More than the allocator takes from a shared page (512 KiB): freeing it frees a page. The memory
/// is never touched.
const BLOCK_BYTES: usize = 1024 * 1024;

/// Lets the allocator give back what has been free for a second. Never ends.
pub(super) async fn give_back() {
    loop {
        sleep(PERIOD).await;
        drop(black_box(Vec::<u8>::with_capacity(BLOCK_BYTES)));
    }
}
