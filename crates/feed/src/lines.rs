//! Bytes into lines. What a peer can make us keep is the bound of one line, whatever it sends and in whatever pieces.

use std::borrow::Cow;

use crate::violation::Violation;

/// Cuts a stream at newlines.
#[derive(Debug)]
pub struct LineDecoder {
    partial: Vec<u8>,
    max: usize,
}

impl LineDecoder {
    /// Takes lines of at most `max` bytes, newline not counted.
    pub const fn new(max: usize) -> Self {
        Self { partial: Vec::new(), max }
    }

    /// The next complete line, without its newline; one that came in one piece is not copied. `input` is advanced past what
    /// was taken; at `None` all of it was.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Cow<'a, [u8]>>, Violation> {
        let end = memchr::memchr(b'\n', input);
        let (piece, rest) = match end {
            Some(end) => (&input[..end], &input[end + 1..]),
            None => (*input, &[][..]),
        };
        if self.partial.len() + piece.len() > self.max {
            self.partial = Vec::new();
            return Err(Violation::LineTooLong { max: self.max });
        }
        *input = rest;
        if end.is_some() && self.partial.is_empty() {
            return Ok(Some(Cow::Borrowed(piece)));
        }
        self.partial.extend_from_slice(piece);
        Ok(end.map(|_| std::mem::take(&mut self.partial).into()))
    }

    /// Bytes kept of a line that is not complete.
    pub fn pending(&self) -> usize {
        self.partial.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(decoder: &mut LineDecoder, mut input: &[u8]) -> Result<Vec<String>, Violation> {
        let mut lines = Vec::new();
        while let Some(line) = decoder.next(&mut input)? {
            lines.push(String::from_utf8(line.into_owned()).unwrap());
        }
        assert!(input.is_empty());
        Ok(lines)
    }

    #[test]
    fn pieces_become_lines_wherever_they_are_cut() {
        let text = b"one\n\ntwo and three\nrest";
        for cut in 0..text.len() {
            let mut decoder = LineDecoder::new(13);
            let mut all = lines(&mut decoder, &text[..cut]).unwrap();
            all.extend(lines(&mut decoder, &text[cut..]).unwrap());
            assert_eq!(all, ["one", "", "two and three"]);
            assert_eq!(decoder.pending(), 4);
        }
    }

    #[test]
    fn an_endless_line_is_not_kept() {
        let mut decoder = LineDecoder::new(10);
        assert_eq!(lines(&mut decoder, b"0123456789"), Ok(vec![]));
        assert_eq!(lines(&mut decoder, b"0"), Err(Violation::LineTooLong { max: 10 }));
        assert_eq!(decoder.pending(), 0);
    }
}
