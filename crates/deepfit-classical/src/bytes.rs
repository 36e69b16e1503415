//! Bytes of a model: a mark, a version, the length of what follows, that, and its checksum.
//!
//! Whoever reads them trusts none: every length is held against the bytes that are left before memory is taken.

use xxhash_rust::xxh3::xxh3_64;

use crate::error::{ClassicalError, Result};

const MARK: &[u8; 8] = b"deepfitC";
/// The newest version of the format.
pub(crate) const VERSION: u32 = 1;

/// Appends numbers, little-endian.
#[derive(Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn byte(&mut self, value: u8) {
        self.0.push(value);
    }
    pub(crate) fn int(&mut self, value: usize) {
        self.0.extend_from_slice(&(value as u64).to_le_bytes());
    }
    pub(crate) fn float(&mut self, value: f32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }
    pub(crate) fn floats(&mut self, values: &[f32]) {
        self.int(values.len());
        values.iter().for_each(|&value| self.float(value));
    }
    pub(crate) fn ints(&mut self, values: &[u32]) {
        self.int(values.len());
        values.iter().for_each(|value| self.0.extend_from_slice(&value.to_le_bytes()));
    }

    /// The whole file.
    pub(crate) fn finish(self) -> Vec<u8> {
        let mut file = Vec::with_capacity(self.0.len() + 28);
        file.extend_from_slice(MARK);
        file.extend_from_slice(&VERSION.to_le_bytes());
        file.extend_from_slice(&(self.0.len() as u64).to_le_bytes());
        file.extend_from_slice(&self.0);
        file.extend_from_slice(&xxh3_64(&file).to_le_bytes());
        file
    }
}

/// Takes numbers from the front.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The content of a whole file.
    pub(crate) fn open(file: &'a [u8]) -> Result<Reader<'a>> {
        let damaged = |problem: &str| ClassicalError::Damaged(problem.to_string());
        let mut rest = Reader(file);
        if rest.take(MARK.len())? != MARK {
            return Err(damaged("it is no model of a classical learner"));
        }
        let found = u32::from_le_bytes(rest.array()?);
        if found > VERSION {
            return Err(ClassicalError::NewerVersion { found, known: VERSION });
        }
        let length = rest.int()?;
        if rest.0.len().checked_sub(8) != Some(length) {
            return Err(damaged("it is longer or shorter than it says"));
        }
        let content = rest.take(length)?;
        if xxh3_64(&file[..file.len() - 8]).to_le_bytes() != rest.array::<8>()? {
            return Err(damaged("its checksum does not match; it was changed or only partly written"));
        }
        Ok(Reader(content))
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let parts = self.0.split_at_checked(count);
        let (taken, rest) = parts.ok_or_else(|| ClassicalError::Damaged("it ends too early".to_string()))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N)?);
        Ok(bytes)
    }

    pub(crate) fn byte(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn int(&mut self) -> Result<usize> {
        let value = u64::from_le_bytes(self.array()?);
        usize::try_from(value).map_err(|_| ClassicalError::Damaged("a number is too large".to_string()))
    }

    /// A finite number.
    pub(crate) fn float(&mut self) -> Result<f32> {
        let value = f32::from_le_bytes(self.array()?);
        self.require(value.is_finite(), "a number is not finite")?;
        Ok(value)
    }

    /// A number of things of at least `bytes` bytes each, which must still be there.
    pub(crate) fn count(&mut self, bytes: usize) -> Result<usize> {
        let count = self.int()?;
        self.require(count.checked_mul(bytes).is_some_and(|all| all <= self.0.len()), "it ends too early")?;
        Ok(count)
    }

    pub(crate) fn floats(&mut self) -> Result<Vec<f32>> {
        let count = self.count(4)?;
        (0..count).map(|_| self.float()).collect()
    }

    pub(crate) fn ints(&mut self) -> Result<Vec<u32>> {
        let count = self.count(4)?;
        (0..count).map(|_| Ok(u32::from_le_bytes(self.array()?))).collect()
    }

    /// Nothing may be left.
    pub(crate) fn end(&self) -> Result<()> {
        self.require(self.0.is_empty(), "it goes on after its end")
    }

    /// An error unless it holds.
    pub(crate) fn require(&self, holds: bool, problem: &str) -> Result<()> {
        if holds { Ok(()) } else { Err(ClassicalError::Damaged(problem.to_string())) }
    }
}
