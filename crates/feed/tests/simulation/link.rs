//! One stream between a data plane and a controller: order is kept, bytes arrive in any pieces, it may stall, and it may end
//! at any moment with whatever was under way.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::random::Random;

/// One direction.
#[derive(Debug, Default)]
pub struct Pipe {
    bytes: VecDeque<u8>,
}

#[derive(Debug)]
pub struct Link {
    pub down: Pipe,
    pub up: Pipe,
    /// Bytes that may be under way to the data plane: the window. Beyond it the controller does not ask its machine.
    pub window: usize,
    /// Bytes a step carries.
    pub speed: usize,
    /// Nothing moves until then, milliseconds.
    pub stalled_until: u64,
}

impl Pipe {
    pub fn write(&mut self, line: &Bytes) {
        self.bytes.extend(line);
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Some of what is under way.
    pub fn read(&mut self, most: usize, random: &mut Random) -> Vec<u8> {
        let length = if self.bytes.is_empty() { 0 } else { 1 + random.below(most.min(self.bytes.len())) };
        self.bytes.drain(..length).collect()
    }
}
