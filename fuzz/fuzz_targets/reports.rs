//! A report's body. Seeds: `crates/feed/tests/golden/v1`.
#![no_main]

#[path = "../../crates/controller/tests/fuzz_reports/holds.rs"]
mod holds;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| holds::as_report(bytes));
