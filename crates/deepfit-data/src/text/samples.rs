//! Texts to be learned from, cut into tokens and words, as batches.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::columns::Columns;
use super::passage::Passage;
use super::terms::{Terms, Words};
use super::tokenizer::Tokenizer;
use super::trained::Tokens;
use crate::batch::{Array, Batch, DType, Slot};
use crate::error::Result;
use crate::source::{Pass, Source};
use crate::split::number_groups;
use crate::target::{Target, TargetForm};

/// Name of the input of token numbers.
pub(crate) const TOKENS: &str = "tokens";
/// Name of the input of the texts' lengths in tokens.
pub(crate) const LENGTHS: &str = "lengths";
/// Name of the input of the places at which the second of two texts begins.
pub(crate) const SECOND: &str = "second";
/// Name of the input of what goes to the last layer beside what became of the tokens: weights of words, what two texts have
/// in common, other columns of the table.
pub(crate) const TERMS: &str = "terms";

/// A row of numbers for each text, one behind the other.
#[derive(Debug, Default)]
pub(crate) struct Ragged {
    values: Vec<u32>,
    ends: Vec<usize>,
}

impl Ragged {
    pub(crate) fn push(&mut self, row: impl IntoIterator<Item = u32>) {
        self.values.extend(row);
        self.ends.push(self.values.len());
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn get(&self, row: usize) -> &[u32] {
        let begin = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.values[begin..self.ends[row]]
    }

    pub(crate) fn bytes(&self) -> usize {
        4 * self.values.capacity() + size_of::<usize>() * self.ends.capacity()
    }
}

/// Texts as a network sees them.
#[derive(Debug)]
pub(crate) struct Samples {
    /// At least one token each.
    tokens: Ragged,
    /// Of two texts that are compared, where the tokens of the second begin.
    second: Vec<u32>,
    pub(crate) longest: usize,
    /// Their words, where terms are made of them.
    pub(crate) words: Option<Words>,
    /// A number for the content of each.
    contents: Vec<u128>,
}

/// How texts are cut.
#[derive(Clone, Debug)]
pub struct TextForm {
    /// Makes tokens of texts.
    pub tokenizer: Arc<Tokenizer>,
    /// Most tokens of a text; of longer ones, those behind are left out.
    pub most_tokens: usize,
    /// Whether the words of a text are an input, too, each weighted by how rare it is.
    pub terms: bool,
    /// Whether a sample is two texts that are compared.
    pub pairs: bool,
}

impl TextForm {
    /// Most tokens of a text, where nothing else says so.
    pub const MOST_TOKENS: usize = 256;
    /// Tokens of a window of a text whose continuation is learned, where nothing else says so.
    pub const WINDOW: usize = 128;

    /// With a tokenizer that is learned from texts.
    pub(crate) fn trained<'a>(
        tokens: Tokens,
        texts: impl Iterator<Item = &'a str> + Send,
        vocabulary: usize,
        most_tokens: usize,
        pairs: bool,
    ) -> Result<TextForm> {
        let tokenizer = Arc::new(Tokenizer::train(tokens, texts, vocabulary)?);
        Ok(TextForm { tokenizer, most_tokens, terms: false, pairs })
    }
}

impl Samples {
    /// Cuts texts; of each that cannot be cut, its place and the reason are added to `failed`. Returns also how many were
    /// too long.
    pub(crate) fn new(
        texts: &[Passage],
        form: &TextForm,
        threads: usize,
        failed: &mut Vec<(usize, String)>,
    ) -> (Samples, usize) {
        let (mut tokens, mut second, mut longest, mut cut) = (Ragged::default(), Vec::new(), 1, 0);
        for (row, encoded) in form.tokenizer.encode_passages(texts, form.most_tokens, threads).into_iter().enumerate() {
            if form.pairs {
                // A text by itself is the first of two.
                let place = encoded.as_ref().ok().map(|encoded| encoded.second.unwrap_or(encoded.ids.len()));
                second.push(place.unwrap_or(1) as u32);
            }
            match encoded {
                Ok(encoded) if !encoded.ids.is_empty() => {
                    longest = longest.max(encoded.ids.len());
                    cut += usize::from(encoded.whole > encoded.ids.len());
                    tokens.push(encoded.ids);
                }
                // Something must be seen of each text.
                Ok(_) => tokens.push([0]),
                Err(problem) => {
                    failed.push((row, problem));
                    tokens.push([0]);
                }
            }
        }
        let words = (form.terms || form.pairs).then(|| Words::of(texts));
        let contents = texts.iter().map(Passage::content).collect();
        (Samples { tokens, second, longest, words, contents }, cut)
    }

    pub(crate) fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Texts that are alike share a number.
    pub(crate) fn groups(&self) -> Vec<u32> {
        number_groups(self.contents.iter().map(|content| xxh3_64(&content.to_le_bytes())))
    }

    /// Texts that are alike, and whose other columns are, share a number.
    pub(crate) fn groups_with(&self, others: &[u32]) -> Vec<u32> {
        let both = self.contents.iter().zip(others);
        number_groups(both.map(|(content, other)| xxh3_64(&(content ^ u128::from(*other)).to_le_bytes())))
    }
}

/// The inputs of a network for texts or for pairs of texts, with so many numbers beside them.
pub(crate) fn slots(pairs: bool, terms: usize) -> Vec<Slot> {
    let tokens = Slot { sequence: true, ..Slot::new(TOKENS, &[], DType::I32) };
    let mut slots = vec![tokens, Slot::new(LENGTHS, &[], DType::I32)];
    if pairs {
        slots.push(Slot::new(SECOND, &[], DType::I32));
    }
    if terms > 0 {
        slots.push(Slot::new(TERMS, &[terms], DType::F32));
    }
    slots
}

/// Texts with what is to be learned of them.
pub(crate) struct TextSource {
    samples: Arc<Samples>,
    targets: Arc<Vec<Target>>,
    form: TargetForm,
    slots: Vec<Slot>,
    /// The weights of each text's terms: their places and weights.
    weights: Vec<Vec<(u32, f32)>>,
    /// What other columns say of each text.
    columns: Option<Columns>,
}

impl TextSource {
    pub(crate) fn new(
        samples: Arc<Samples>,
        targets: Arc<Vec<Target>>,
        form: TargetForm,
        terms: Option<&Terms>,
        columns: Option<Columns>,
    ) -> TextSource {
        let weights = match (terms, &samples.words) {
            (Some(terms), Some(words)) => terms.weigh(words),
            _ => Vec::new(),
        };
        let beside = terms.map_or(0, Terms::len) + columns.as_ref().map_or(0, Columns::width);
        let slots = slots(!samples.second.is_empty(), beside);
        TextSource { samples, targets, form, slots, weights, columns }
    }
}

impl Source for TextSource {
    fn len(&self) -> usize {
        self.samples.len()
    }

    fn slots(&self) -> &[Slot] {
        &self.slots
    }

    fn target_dtype(&self) -> DType {
        self.form.dtype()
    }

    fn target_width(&self) -> usize {
        self.form.width()
    }

    fn has_targets(&self) -> bool {
        self.form != TargetForm::None
    }

    fn fill(&self, rows: &[u32], _pass: Pass<'_>, out: &mut Batch) -> Result<()> {
        out.reset(&self.slots, (self.target_dtype(), self.target_width()), rows.len());
        let longest = rows.iter().map(|&row| self.samples.tokens.get(row as usize).len()).max().unwrap_or(1);
        for (slot, input) in self.slots.iter().zip(&mut out.inputs) {
            self.fill_slot(&slot.name, rows, longest, input)?;
        }
        self.targets(rows, &mut out.targets);
        out.rows.extend_from_slice(rows);
        out.sequence = longest;
        out.len = rows.len();
        Ok(())
    }

    fn targets(&self, rows: &[u32], out: &mut Array) {
        *out = Array::empty(self.form.dtype());
        rows.iter().for_each(|&row| self.form.push(&self.targets[row as usize], out));
    }

    fn beside_slots(&self) -> &[Slot] {
        let terms = self.slots.iter().position(|slot| slot.name == TERMS);
        &self.slots[terms.unwrap_or(self.slots.len())..]
    }

    fn beside(&self, rows: &[u32], out: &mut Array) -> Result<()> {
        self.fill_slot(TERMS, rows, 1, out)
    }

    fn length_of(&self, row: u32) -> Option<usize> {
        Some(self.samples.tokens.get(row as usize).len())
    }

    fn longest(&self) -> usize {
        self.samples.longest
    }

    fn content_of(&self, row: u32) -> Option<u128> {
        Some(self.samples.contents[row as usize])
    }

    fn resident_bytes(&self) -> usize {
        let weights: usize = self.weights.iter().map(|row| 8 * row.capacity() + 24).sum();
        let words = self.samples.words.as_ref().map_or(0, Words::bytes);
        let columns = self.columns.as_ref().map_or(0, Columns::resident_bytes);
        self.samples.tokens.bytes() + words + weights + columns + 24 * self.samples.len()
    }

    fn scratch_bytes(&self) -> usize {
        0
    }
}

impl TextSource {
    /// Appends an input of the rows.
    fn fill_slot(&self, name: &str, rows: &[u32], longest: usize, out: &mut Array) -> Result<()> {
        let tokens = |row: u32| self.samples.tokens.get(row as usize);
        match out {
            Array::I32(out) if name == TOKENS => {
                for &row in rows {
                    let end = out.len() + longest;
                    out.extend(tokens(row).iter().map(|&token| token as i32));
                    out.resize(end, 0);
                }
            }
            Array::I32(out) if name == SECOND => {
                out.extend(rows.iter().map(|&row| self.samples.second[row as usize] as i32));
            }
            Array::I32(out) => out.extend(rows.iter().map(|&row| tokens(row).len() as i32)),
            Array::F32(out) => {
                let of_columns = self.columns.as_ref().map_or(0, Columns::width);
                let terms = self.slots.last().map_or(0, Slot::values) - of_columns;
                let mut batch = Batch::new();
                for &row in rows {
                    let begin = out.len();
                    out.resize(begin + terms, 0.0);
                    for &(term, weight) in self.weights.get(row as usize).into_iter().flatten() {
                        out[begin + term as usize] = weight;
                    }
                    if let Some(columns) = &self.columns {
                        out.extend(columns.of(row, &mut batch)?);
                    }
                }
            }
            Array::U8(_) => unreachable!("a text has no pixels"),
        }
        Ok(())
    }
}

/// How often each class or label occurs among targets.
pub(crate) fn class_counts(targets: &[Target], classes: usize) -> Vec<usize> {
    let mut counts = vec![0; classes];
    for target in targets {
        match target {
            Target::Class(class) => counts[*class as usize] += 1,
            Target::Labels(labels) => labels.iter().for_each(|&label| counts[label as usize] += 1),
            Target::Value(_) | Target::Unknown => {}
        }
    }
    counts
}
