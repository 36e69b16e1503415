//! Windows of labelled sentences as batches.

use xxhash_rust::xxh3::xxh3_128;

use super::sentences::Cut;
use crate::batch::{Array, Batch, DType, Slot};
use crate::error::Result;
use crate::source::{IGNORED, Pass, Piece, Source};
use crate::text::samples::{LENGTHS, TOKENS};

/// The inputs of a network that labels words.
pub(crate) fn slots() -> Vec<Slot> {
    let tokens = Slot { sequence: true, ..Slot::new(TOKENS, &[], DType::I32) };
    vec![tokens, Slot::new(LENGTHS, &[], DType::I32)]
}

/// Windows as batches. Targets are i32 `[rows, sequence]`: at the first token of each word its label, or 0 where labels are
/// not known, and [`IGNORED`] at all others.
pub(super) struct LabelSource {
    cut: Cut,
    slots: Vec<Slot>,
    known: bool,
}

impl LabelSource {
    pub(super) fn new(cut: Cut, known: bool) -> LabelSource {
        LabelSource { cut, slots: slots(), known }
    }

    fn tokens(&self, row: u32) -> &[u32] {
        self.cut.windows.tokens.get(row as usize)
    }
}

impl Source for LabelSource {
    fn len(&self) -> usize {
        self.cut.windows.rows.len()
    }

    fn slots(&self) -> &[Slot] {
        &self.slots
    }

    fn target_dtype(&self) -> DType {
        DType::I32
    }

    fn target_width(&self) -> usize {
        self.longest()
    }

    fn has_targets(&self) -> bool {
        self.known
    }

    fn fill(&self, rows: &[u32], _pass: Pass<'_>, out: &mut Batch) -> Result<()> {
        out.reset(&self.slots, (DType::I32, 1), rows.len());
        let longest = rows.iter().map(|&row| self.tokens(row).len()).max().unwrap_or(1);
        for (slot, input) in self.slots.iter().zip(&mut out.inputs) {
            let Array::I32(values) = input else { continue };
            for &row in rows {
                let tokens = self.tokens(row);
                if slot.name == LENGTHS {
                    values.push(tokens.len() as i32);
                    continue;
                }
                let end = values.len() + longest;
                values.extend(tokens.iter().map(|&token| token as i32));
                values.resize(end, 0);
            }
        }
        self.targets(rows, &mut out.targets);
        out.rows.extend_from_slice(rows);
        out.sequence = longest;
        out.len = rows.len();
        Ok(())
    }

    fn targets(&self, rows: &[u32], out: &mut Array) {
        let longest = rows.iter().map(|&row| self.tokens(row).len()).max().unwrap_or(1);
        let mut targets = vec![IGNORED; rows.len() * longest];
        for (&row, targets) in rows.iter().zip(targets.chunks_mut(longest)) {
            let window = self.cut.windows.rows[row as usize];
            let labels = &self.cut.sentences.labels[window.sentence as usize];
            for (word, &place) in self.cut.windows.places.get(row as usize).iter().enumerate() {
                targets[place as usize] = labels.get(window.first as usize + word).map_or(0, |&label| label as i32);
            }
        }
        *out = Array::I32(targets);
    }

    fn piece_of(&self, row: u32) -> Piece {
        let window = self.cut.windows.rows[row as usize];
        let all = self.cut.sentences.words[window.sentence as usize].len();
        Piece { sample: window.sentence, first: window.first as usize, all }
    }

    fn length_of(&self, row: u32) -> Option<usize> {
        Some(self.tokens(row).len())
    }

    fn longest(&self) -> usize {
        self.cut.windows.longest
    }

    fn content_of(&self, row: u32) -> Option<u128> {
        Some(xxh3_128(&self.tokens(row).iter().flat_map(|token| token.to_le_bytes()).collect::<Vec<u8>>()))
    }

    fn resident_bytes(&self) -> usize {
        let text = |sentence: usize| self.cut.sentences.texts[sentence].len() + 120;
        let words = |sentence: usize| 20 * self.cut.sentences.words[sentence].len();
        let all: usize = (0..self.cut.sentences.len()).map(|sentence| text(sentence) + words(sentence)).sum();
        all + self.cut.windows.tokens.bytes() + self.cut.windows.places.bytes() + 12 * self.len()
    }

    fn scratch_bytes(&self) -> usize {
        0
    }
}
