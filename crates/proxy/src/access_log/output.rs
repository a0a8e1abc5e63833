//! Where the writing thread writes: a file, a pipe, standard output.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::Target;

/// How long a target that would block is left alone: standard output may be shared with somebody who made it so.
const BREATH: Duration = Duration::from_millis(10);

/// An open target.
#[derive(Debug)]
pub(super) struct Output {
    target: Target,
    file: File,
    /// The last write broke off inside a line.
    torn: bool,
    /// The last write failed: the operator has been told.
    failing: bool,
}

impl Output {
    /// Opens the target; `None` when the log is off.
    pub(super) fn open(target: &Target) -> io::Result<Option<Self>> {
        let file = match target {
            Target::Off => return Ok(None),
            Target::Stdout => File::from(io::stdout().as_fd().try_clone_to_owned()?),
            Target::File(path) => open(path)?,
        };
        Ok(Some(Self { target: target.clone(), file, torn: false, failing: false }))
    }

    /// Writes whole lines. Returns how many were not written, wholly or in part.
    pub(super) fn write(&mut self, lines: &[u8]) -> u64 {
        // Nothing can always be written: it says nothing of the disk.
        if lines.is_empty() {
            return 0;
        }
        match self.try_write(lines) {
            Ok(()) => {
                if std::mem::take(&mut self.failing) {
                    tracing::info!("the access log {} is written again", self.target);
                }
                0
            }
            Err((error, rest)) => {
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::error!("write() to the access log {} failed: {error}; lines are being lost", self.target);
                }
                rest.split_inclusive(|byte| *byte == b'\n').count() as u64
            }
        }
    }

    /// Opens a file again under its name.
    pub(super) fn reopen(&mut self) {
        match Self::open(&self.target) {
            Ok(Some(output)) => *self = output,
            Ok(None) => {}
            Err(error) => {
                tracing::error!("open() of the access log {} failed: {error}; the old file is kept", self.target);
            }
        }
    }

    fn try_write<'a>(&mut self, lines: &'a [u8]) -> Result<(), (io::Error, &'a [u8])> {
        if self.torn {
            self.try_write_all(b"\n").map_err(|(error, _)| (error, lines))?;
            self.torn = false;
        }
        self.try_write_all(lines).inspect_err(|(_, rest)| {
            let written = &lines[..lines.len() - rest.len()];
            self.torn = written.last().is_some_and(|last| *last != b'\n');
        })
    }

    fn try_write_all<'a>(&self, mut rest: &'a [u8]) -> Result<(), (io::Error, &'a [u8])> {
        while !rest.is_empty() {
            match (&self.file).write(rest) {
                Ok(0) => return Err((ErrorKind::WriteZero.into(), rest)),
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(BREATH),
                Err(error) => return Err((error, rest)),
            }
        }
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    let is_pipe = path.metadata().is_ok_and(|found| found.file_type().is_fifo());
    // Opening a pipe for writing alone waits for a reader, and writing to it fails once the reader has gone; holding its
    // reading end too (fifo(7)) does neither, so that a log shipper may come and go.
    if is_pipe {
        OpenOptions::new().read(true).write(true).open(path)
    } else {
        OpenOptions::new().append(true).create(true).open(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_not_written_again_by_an_empty_lane() {
        let mut output = Output::open(&Target::File("/dev/full".into())).unwrap().unwrap();
        assert_eq!(output.write(b"a\nb\n"), 2);
        assert_eq!(output.write(b""), 0);
        assert!(output.failing);
    }
}
