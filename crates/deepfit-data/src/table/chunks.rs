//! Text being read in blocks that end where a row does.

use std::io::Read;

use super::compressed::BoxRead;
use crate::error::{Error, Result};

/// Bytes of a block, or more where a row is longer.
const BLOCK: usize = 512 << 10;
const BOM: &[u8] = b"\xEF\xBB\xBF";

/// A text, read piece by piece.
pub(super) struct Chunks<'a> {
    input: BoxRead<'a>,
    /// Bytes read and not yet given away.
    rest: Vec<u8>,
    /// Whether the input has ended.
    ended: bool,
    pub(super) block: usize,
    name: String,
}

impl<'a> Chunks<'a> {
    pub(super) fn open(input: BoxRead<'a>, name: &str) -> Chunks<'a> {
        Chunks { input, rest: Vec::new(), ended: false, block: BLOCK, name: name.to_string() }
    }

    pub(super) fn rest(&self) -> &[u8] {
        &self.rest
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Passes over the mark that some programs put before UTF-8, and returns its length.
    pub(super) fn skip_mark(&mut self) -> usize {
        let skipped = if self.rest.starts_with(BOM) { BOM.len() } else { 0 };
        self.pass(skipped);
        skipped
    }

    /// Gives the first bytes away.
    pub(super) fn pass(&mut self, end: usize) {
        self.rest.drain(..end);
    }

    /// Appends so many bytes to those not yet given away, or all that are left.
    pub(super) fn read_more(&mut self, bytes: usize) -> Result<()> {
        let failed = |source| Error::Io { path: self.name.clone().into(), source };
        self.rest.reserve_exact(bytes);
        let read = self.input.by_ref().take(bytes as u64).read_to_end(&mut self.rest).map_err(failed)?;
        self.ended = read < bytes;
        Ok(())
    }

    /// The next whole rows, or `None` after the last. `last_end` says where the last whole row of a text ends, and is told
    /// whether nothing follows it.
    pub(super) fn next_block(&mut self, last_end: impl Fn(&[u8], bool) -> Option<usize>) -> Result<Option<Vec<u8>>> {
        loop {
            if !self.ended && self.rest.len() < self.block {
                self.read_more(self.block - self.rest.len())?;
            }
            if self.rest.is_empty() {
                return Ok(None);
            }
            if self.ended && self.rest.len() <= self.block {
                return Ok(Some(std::mem::take(&mut self.rest)));
            }
            let head = self.rest.len().min(self.block);
            let whole = self.ended && head == self.rest.len();
            if let Some(end) = last_end(&self.rest[..head], whole) {
                let rest = self.rest.split_off(end);
                return Ok(Some(std::mem::replace(&mut self.rest, rest)));
            }
            // A row longer than a block.
            self.block *= 2;
        }
    }
}
