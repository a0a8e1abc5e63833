//! What a server answers. Seeds: `crates/proxy/tests/fuzz_responses/corpus`.
#![no_main]

#[path = "../../crates/proxy/tests/fuzz_responses/holds.rs"]
mod holds;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    holds::holds(bytes, bytes.len() / 2, bytes.len() % 2 == 1);
});
