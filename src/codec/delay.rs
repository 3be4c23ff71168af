//! Delays of encoders, by which a test changes the order in which threads finish their work.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::Duration;

/// Seed of the delays of all encoders; 0 for none.
static SEED: AtomicU32 = AtomicU32::new(0);

/// Sets the seed of the delays of all encoders; 0 ends them.
pub(crate) fn set_seed(seed: u32) {
    SEED.store(seed, Ordering::Relaxed);
}

/// Waits up to 15 ms before a quarter of the inputs, which the seed selects.
pub(super) fn wait(raw: &[u8]) {
    let seed = SEED.load(Ordering::Relaxed);
    let random = crc32c::crc32c_append(seed, raw);
    if seed != 0 && random.is_multiple_of(4) {
        sleep(Duration::from_millis(u64::from(random >> 28)));
    }
}
