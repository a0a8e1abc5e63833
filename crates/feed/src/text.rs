//! Sentences from elsewhere, made fit for a log line: bounded, without control characters.

/// At most `max` bytes of `text`, cut between characters; control characters become blanks.
pub fn tidy(text: &str, max: usize) -> String {
    let cut = &text[..text.floor_char_boundary(max)];
    cut.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_between_characters() {
        assert_eq!(tidy("a\u{1b}[31mé", 6), "a [31m");
        assert_eq!(tidy("aé", 2), "a");
        assert_eq!(tidy("aé", 3), "aé");
    }
}
