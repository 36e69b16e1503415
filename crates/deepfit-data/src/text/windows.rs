//! A long text as a row of windows of tokens, by which a network learns to foresee what comes next.

use std::path::Path;
use std::sync::Arc;

use super::reader::text_of;
use super::samples::{LENGTHS, TOKENS, TextForm};
use crate::batch::{Array, Batch, DType, Slot};
use crate::error::{Error, Result};
use crate::source::{Pass, Source};

/// Name of the input of the tokens that come next.
pub(crate) const NEXT: &str = "next";

/// Texts one behind the other, cut into windows of the same length.
#[derive(Debug)]
pub(crate) struct Windows {
    tokens: Vec<u32>,
    /// Bytes of each token.
    bytes: Vec<u8>,
    /// Where each window begins.
    starts: Vec<usize>,
    /// Tokens of a window.
    length: usize,
    /// Tokens at the ends of texts that fill no window.
    left_over: usize,
}

impl Windows {
    /// Nothing so far.
    pub(crate) fn new(length: usize) -> Windows {
        Windows { tokens: Vec::new(), bytes: Vec::new(), starts: Vec::new(), length, left_over: 0 }
    }

    /// Adds a text; what is left at its end and fills no window is not used. Returns how many windows there are of it.
    ///
    /// # Errors
    /// The tokenizer's reason, if it refuses.
    pub(crate) fn add(&mut self, text: &str, form: &TextForm) -> Result<usize, String> {
        let begin = self.tokens.len();
        // Cut at the ends of lines, so that the tokenizer has no more before it than a part of a long text.
        for part in parts(text) {
            for (id, bytes) in form.tokenizer.encode_with_bytes(part)? {
                self.tokens.push(id);
                self.bytes.push(bytes.min(usize::from(u8::MAX)) as u8);
            }
        }
        // A window's last token is what comes next for the one before it.
        let foreseen = (self.tokens.len() - begin).saturating_sub(1);
        let windows = foreseen / self.length;
        self.left_over += foreseen - windows * self.length;
        self.starts.extend((0..windows).map(|window| begin + window * self.length));
        Ok(windows)
    }

    pub(crate) fn len(&self) -> usize {
        self.starts.len()
    }

    /// What is to be known of tokens that fill no window, if there are any.
    pub(crate) fn note(&self) -> Option<String> {
        let (left_over, length) = (self.left_over, self.length);
        let note = || format!("the last {left_over} tokens fill no window of {length} and are not measured");
        (left_over > 0).then(note)
    }

    /// Number of all tokens, and of the bytes that they stand for.
    pub(crate) fn sizes(&self) -> (usize, usize) {
        (self.tokens.len(), self.bytes.iter().map(|&bytes| usize::from(bytes)).sum())
    }
}

/// Parts of a text of some thousand bytes, which end with lines where they can.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    const BYTES: usize = 1 << 16;
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut end = rest.len().min(BYTES);
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        if end < rest.len() {
            end = rest[..end].rfind('\n').map_or(end, |line| line + 1);
        }
        let (part, after) = rest.split_at(end);
        rest = after;
        Some(part)
    })
}

/// The text of a file.
pub(crate) fn read(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).map_err(|source| Error::io(path, source))?;
    text_of(bytes).map_err(|problem| Error::NotATable { path: path.to_path_buf(), problem, needed: String::new() })
}

/// The inputs of a network that learns to continue texts.
pub(crate) fn slots() -> Vec<Slot> {
    let sequence = |name| Slot { sequence: true, ..Slot::new(name, &[], DType::I32) };
    vec![sequence(TOKENS), Slot::new(LENGTHS, &[], DType::I32), sequence(NEXT)]
}

/// Windows as batches. A window's target is the number of bytes that it stands for.
pub(crate) struct WindowSource {
    windows: Arc<Windows>,
    slots: Vec<Slot>,
}

impl WindowSource {
    pub(crate) fn new(windows: Arc<Windows>) -> WindowSource {
        WindowSource { windows, slots: slots() }
    }

    /// The tokens of a window, from its first or the one after that.
    fn tokens(&self, row: u32, after: usize) -> impl Iterator<Item = i32> + '_ {
        let begin = self.windows.starts[row as usize] + after;
        self.windows.tokens[begin..begin + self.windows.length].iter().map(|&token| token as i32)
    }
}

impl Source for WindowSource {
    fn len(&self) -> usize {
        self.windows.len()
    }

    fn slots(&self) -> &[Slot] {
        &self.slots
    }

    fn target_dtype(&self) -> DType {
        DType::F32
    }

    fn has_targets(&self) -> bool {
        true
    }

    fn fill(&self, rows: &[u32], _pass: Pass<'_>, out: &mut Batch) -> Result<()> {
        out.reset(&self.slots, (DType::F32, 1), rows.len());
        for (slot, input) in self.slots.iter().zip(&mut out.inputs) {
            let Array::I32(values) = input else { continue };
            match &slot.name[..] {
                LENGTHS => values.extend(rows.iter().map(|_| self.windows.length as i32)),
                name => values.extend(rows.iter().flat_map(|&row| self.tokens(row, usize::from(name == NEXT)))),
            }
        }
        self.targets(rows, &mut out.targets);
        out.rows.extend_from_slice(rows);
        out.sequence = self.windows.length;
        out.len = rows.len();
        Ok(())
    }

    fn targets(&self, rows: &[u32], out: &mut Array) {
        let bytes = |&row: &u32| {
            let begin = self.windows.starts[row as usize] + 1;
            self.windows.bytes[begin..begin + self.windows.length].iter().map(|&bytes| f32::from(bytes)).sum()
        };
        *out = Array::F32(rows.iter().map(bytes).collect());
    }

    fn length_of(&self, _row: u32) -> Option<usize> {
        Some(self.windows.length)
    }

    fn longest(&self) -> usize {
        self.windows.length
    }

    fn resident_bytes(&self) -> usize {
        5 * self.windows.tokens.capacity() + 8 * self.windows.starts.capacity()
    }

    fn scratch_bytes(&self) -> usize {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Tokens;

    #[test]
    fn windows_follow_each_other_and_know_their_bytes() {
        let text = "Ein Käse und noch ein Käse.\n".repeat(5000);
        assert!(text.len() > 1 << 16 && parts(&text).collect::<String>() == text);
        let form = TextForm::trained(Tokens::Bpe, std::iter::once(&text[..]), 300, 7, false).unwrap();
        let mut windows = Windows::new(7);
        let count = windows.add(&text, &form).unwrap();
        let (tokens, bytes) = windows.sizes();
        assert_eq!((bytes, count), (text.len(), (tokens - 1) / 7));
        let source = WindowSource::new(Arc::new(windows));
        let mut batch = Batch::new();
        source.fill(&[0, 1], Pass::Evaluate, &mut batch).unwrap();
        let [tokens, lengths, next] = &batch.inputs[..] else { panic!("{:?}", batch.inputs) };
        let (tokens, next) = (tokens.as_i32().unwrap(), next.as_i32().unwrap());
        assert_eq!((lengths.as_i32().unwrap(), tokens.len(), batch.sequence), (&[7, 7][..], 14, 7));
        assert_eq!(tokens[1..], next[..13]);
        let known: Vec<u32> = next.iter().map(|&token| token as u32).collect();
        let text_of_next = form.tokenizer.decode(&known).unwrap();
        let all: f32 = batch.targets.as_f32().unwrap().iter().sum();
        assert_eq!(text_of_next.len() as f32, all);
    }
}
