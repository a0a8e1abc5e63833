//! A file of Kubernetes documents. Seeds: `crates/translate/tests/documents`.
#![no_main]

#[path = "../../crates/translate/tests/common/holds.rs"]
mod holds;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| drop(holds::whatever_stands_in(bytes)));
