//! A text with nginx's variables.
#![no_main]

#[path = "../../crates/config/tests/fuzz_templates/holds.rs"]
mod holds;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        holds::a_template_or_an_error(text);
    }
});
