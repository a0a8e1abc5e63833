//! The buffer between one worker and the writing thread.

/// Bytes that are worth waking the thread for at once.
const ENOUGH: usize = 64 << 10;

/// Bytes a lane holds at most, plus one line: about half a second of 50,000 requests/s, should a disk hesitate.
const CAPACITY: usize = 8 << 20;

/// Lines on their way.
#[derive(Debug, Default)]
pub(super) struct Lane {
    buffer: Vec<u8>,
}

/// What a line did to its lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fill {
    /// Others were there already, and the thread knows of them.
    Quiet,
    /// It is the first.
    First,
    /// The lane is now worth writing.
    Enough,
    /// The lane is full; the line was not taken.
    Overfull,
}

impl Lane {
    /// Adds the line that `write` appends.
    pub(super) fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Fill {
        let before = self.buffer.len();
        if before >= CAPACITY {
            return Fill::Overfull;
        }
        write(&mut self.buffer);
        match before {
            _ if before < ENOUGH && self.buffer.len() >= ENOUGH => Fill::Enough,
            0 => Fill::First,
            _ => Fill::Quiet,
        }
    }

    /// Exchanges the lines for an empty buffer.
    pub(super) fn take(&mut self, empty: &mut Vec<u8>) {
        debug_assert!(empty.is_empty(), "what is given back is empty");
        std::mem::swap(&mut self.buffer, empty);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_when_to_wake_the_thread_and_when_to_drop() {
        let mut lane = Lane::default();
        let mut add = |bytes: usize| lane.append(|buffer| buffer.resize(buffer.len() + bytes, b'x'));
        assert_eq!(add(10), Fill::First);
        assert_eq!(add(10), Fill::Quiet);
        assert_eq!(add(ENOUGH), Fill::Enough);
        assert_eq!(add(CAPACITY), Fill::Quiet, "a line is taken whole");
        assert_eq!(add(1), Fill::Overfull);
        let mut taken = Vec::new();
        lane.take(&mut taken);
        assert_eq!(taken.len(), 20 + ENOUGH + CAPACITY);
        assert_eq!(lane.append(|buffer| buffer.push(b'x')), Fill::First);
    }
}
