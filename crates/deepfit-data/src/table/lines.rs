//! Lines of a file as an editor counts them.
//!
//! The csv reader counts line feeds, and it counts at the end of the record before: the second half of a CR LF and
//! blank lines are then still ahead. So line ends are noted here, while the bytes pass by.

use std::collections::VecDeque;
use std::io::{self, Read};

/// Passes bytes on, and remembers the line ends (LF, CR LF or CR) that were not asked about yet.
pub(crate) struct Lines<R> {
    inner: R,
    offset: u64,
    /// The last byte was a CR, and ended a line.
    after_cr: bool,
    /// Offset behind a line end, and its bytes.
    ends: VecDeque<(u64, u64)>,
    /// Line, counted from 1, that begins behind the last end taken from `ends`.
    line: u64,
}

impl<R> Lines<R> {
    pub(crate) fn new(inner: R) -> Lines<R> {
        Lines { inner, offset: 0, after_cr: false, ends: VecDeque::new(), line: 1 }
    }

    /// Line of the record that begins at `offset`, or behind the line ends there. Offsets must not decrease.
    pub(crate) fn line_at(&mut self, mut offset: u64) -> u64 {
        while let Some(&(behind, bytes)) = self.ends.front() {
            // Nothing but the line end, or the rest of it, lies between.
            let blank = behind > offset && behind - offset <= bytes;
            if behind > offset && !blank {
                break;
            }
            self.line += 1;
            offset = offset.max(behind);
            self.ends.pop_front();
        }
        self.line
    }
}

impl<R: Read> Read for Lines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        for &byte in &buffer[..count] {
            self.offset += 1;
            match (byte, self.ends.back_mut()) {
                // CR LF is one end, also where two reads meet within it.
                (b'\n', Some(last)) if self.after_cr => *last = (self.offset, 2),
                (b'\n' | b'\r', _) => self.ends.push_back((self.offset, 1)),
                _ => {}
            }
            self.after_cr = byte == b'\r';
        }
        Ok(count)
    }
}
