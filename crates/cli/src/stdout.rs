//! Standard output. Its reader may leave before everything is said (`| head`), which is no failure, and no reason to panic as
//! `println!` does.

use std::io::{self, ErrorKind, Write as _};
use std::process::ExitCode;

/// Whether anybody reads on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// Somebody does, or may.
    Listens,
    /// Nobody will.
    Left,
}

/// Writes all of `text` at once.
pub fn print(text: &str) -> io::Result<Reader> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(Reader::Listens),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Reader::Left),
        Err(error) => Err(error),
    }
}

/// The end of a command that has said all it has to say with `text`: `code`, or 2 if that cannot be written, with a word why.
pub fn conclude(command: &str, text: &str, code: ExitCode) -> ExitCode {
    match print(text) {
        Ok(_) => code,
        Err(error) => {
            eprintln!("forebay {command}: cannot write: {error}");
            ExitCode::from(2)
        }
    }
}
