//! What a controller sends. Seeds: `crates/feed/tests/fuzz_frames/corpus`.
#![no_main]

#[path = "../../crates/feed/tests/fuzz_frames/holds.rs"]
#[allow(dead_code, reason = "each target uses a part of it")]
mod holds;
#[path = "../../crates/feed/tests/support/mod.rs"]
mod support;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| holds::at_data_plane(bytes, bytes.len() / 2));
