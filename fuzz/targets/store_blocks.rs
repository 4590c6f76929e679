//! Blocks, batches and minute figures of the store from arbitrary bytes: an error or a round trip.
#![no_main]

use fuzz::bounded;
use libfuzzer_sys::fuzz_target;
use store::series::embedded::fuzz::blocks;

/// A few bytes may stand for as many readings as a block ever holds.
const BASE: usize = 512 << 20;

fuzz_target!(|data: &[u8]| bounded(data.len(), BASE, 64, || blocks(data)));
