//! What the targets have in common: an account of memory, a sensor that must come through, and
//! pens for the formats they break.

use std::alloc::{GlobalAlloc, Layout, System};
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use kernel::{Reading, Timestamp};

pub mod pen;

pub const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
/// What `GOOD_VALUE` says of this sensor must be read whatever stands beside it.
pub const GOOD_KEY: &str = "fuzz/good/probe";
pub const GOOD_VALUE: f64 = 42.25;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// Counts bytes: what a few bytes on the wire may become is part of every target's promise.
struct Account;

#[global_allocator]
static ACCOUNT: Account = Account;

// SAFETY: everything is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Account {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(live, Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(live, Relaxed);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let live = LIVE.fetch_add(size, Relaxed) + size;
        PEAK.fetch_max(live, Relaxed);
        LIVE.fetch_sub(layout.size(), Relaxed);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Does the work, which may take `base` bytes of memory and `per_byte` for each byte of `input`.
pub fn bounded<T>(input: usize, base: usize, per_byte: usize, work: impl FnOnce() -> T) -> T {
    let before = LIVE.load(Relaxed);
    PEAK.store(before, Relaxed);
    let done = work();
    let taken = PEAK.load(Relaxed).saturating_sub(before);
    assert!(taken <= base + per_byte * input, "{input} bytes took {taken} bytes of memory");
    done
}

/// A reading that a door hands on is one that the store can keep.
pub fn sound(readings: &[Reading]) {
    for reading in readings {
        assert!(reading.value.is_finite(), "{reading:?}");
        assert!(reading.at.is_representable(), "{reading:?}");
    }
}

/// The probe came through.
pub fn has_probe(readings: &[Reading]) -> bool {
    readings
        .iter()
        .any(|r| r.sensor.as_str() == GOOD_KEY && r.value.to_bits() == GOOD_VALUE.to_bits())
}

/// Lets libraries panic whose users catch it; a panic of ours still ends the run.
pub fn excuse_libraries() {
    let strict = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
        let file = info.location().map_or("", |place| place.file());
        if !file.contains("/registry/src/") && !file.starts_with("/rustc/") {
            strict(info);
        }
    }));
}

/// A fresh runtime of this thread alone.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}
