//! Reading requests beside an independent judge: both see the same ends and paths, and no server
//! behind the gateway takes a path for one that a stricter route protects.

#![no_main]

#[path = "../../tests/conformance/judge/mod.rs"]
mod judge;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Err(told) = judge::compare(bytes) {
        panic!("{told}");
    }
});
