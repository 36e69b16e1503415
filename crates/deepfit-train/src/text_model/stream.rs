//! Texts as they come: cut into tokens, sorted by length, run in batches, and given back in their order.

use deepfit_data::TextRow;

use super::batches::plan;
use super::running::{BATCH_TOKENS, Running, SHORTEST, Wanted};
use super::{TextModel, check_tokens};
use crate::error::Result;
use crate::text::words;

/// Texts that are sorted together.
const CHUNK: usize = 16_384;
/// Bytes of texts that wait, after which they are run.
const WAITING: usize = 64 << 20;

/// Texts on their way through a network.
pub(super) struct Stream {
    model: TextModel,
    running: Running,
    most: usize,
    threads: usize,
    waiting: Vec<TextRow>,
    bytes: usize,
    failed: Vec<(String, String)>,
    texts: u64,
    cut: u64,
}

/// A text that was run.
pub(super) struct Input {
    pub(super) name: String,
    pub(super) text: String,
}

/// Takes a text and the network's result.
pub(super) type Each<'a> = &'a mut dyn FnMut(Input, &[f32]) -> Result<()>;

impl Stream {
    /// A stream of texts of at most `most` tokens, and what the model takes at most.
    pub(super) fn new(mut model: TextModel, wanted: Wanted, most: Option<usize>, threads: usize) -> Result<Stream> {
        let running = Running::new(&mut model, wanted, threads)?;
        let most = most.unwrap_or(usize::MAX).min(model.sizes.positions);
        let (waiting, failed) = (Vec::new(), Vec::new());
        Ok(Stream { model, running, most, threads, waiting, bytes: 0, failed, texts: 0, cut: 0 })
    }

    pub(super) fn model(&self) -> &TextModel {
        &self.model
    }

    /// Takes a text; results are given when enough have come.
    pub(super) fn push(&mut self, row: TextRow, each: Each<'_>) -> Result<()> {
        self.bytes += row.text.as_ref().map_or(0, String::len);
        self.waiting.push(row);
        if self.waiting.len() >= CHUNK || self.bytes >= WAITING { self.flush(each) } else { Ok(()) }
    }

    /// Gives the results of those that wait.
    fn flush(&mut self, each: Each<'_>) -> Result<()> {
        let rows = std::mem::take(&mut self.waiting);
        self.bytes = 0;
        let good: Vec<&str> = rows.iter().filter_map(|row| row.text.as_deref().ok()).collect();
        let mut encoded = self.model.tokenizer.encode_all(&good, self.most, self.threads).into_iter();
        let (mut inputs, mut tokens) = (Vec::new(), Vec::new());
        for row in rows {
            let mut own = String::new();
            let found = row.text.and_then(|text| {
                own = text;
                encoded.next().unwrap_or_else(|| Err("has no tokens".to_string()))
            });
            let found = found.and_then(|encoded| match encoded.ids.is_empty() {
                true => Err("is empty: it has no token that the network could see".to_string()),
                false => check_tokens(&encoded.ids, &self.model.sizes).map(|()| encoded),
            });
            match found {
                Ok(encoded) => {
                    self.texts += 1;
                    self.cut += u64::from(encoded.whole > encoded.ids.len());
                    inputs.push(Input { name: row.name, text: own });
                    tokens.push(encoded.ids);
                }
                Err(problem) => self.failed.push((row.name, problem)),
            }
        }
        self.give(inputs, &tokens, each)
    }

    /// Gives the result of each token of the vocabulary as if it were a whole text.
    pub(super) fn vocabulary(&mut self, each: Each<'_>) -> Result<()> {
        for part in self.model.tokenizer.tokens().chunks(CHUNK) {
            let (mut inputs, mut tokens) = (Vec::new(), Vec::new());
            for (id, token) in part {
                let found = self.model.tokenizer.alone(*id, token);
                match found.and_then(|ids| check_tokens(&ids, &self.model.sizes).map(|()| ids)) {
                    Ok(ids) => {
                        inputs.push(Input { name: token.clone(), text: token.clone() });
                        tokens.push(ids);
                    }
                    Err(problem) => self.failed.push((token.clone(), problem)),
                }
            }
            self.give(inputs, &tokens, each)?;
        }
        Ok(())
    }

    /// Runs the tokens of texts in batches of similar lengths and gives the results in the order of the texts.
    fn give(&mut self, inputs: Vec<Input>, tokens: &[Vec<u32>], each: Each<'_>) -> Result<()> {
        let lengths: Vec<usize> = tokens.iter().map(Vec::len).collect();
        let mut results: Vec<Vec<f32>> = vec![Vec::new(); tokens.len()];
        let hidden = self.running.wanted() == Wanted::Hidden;
        for batch in plan(&lengths, BATCH_TOKENS, SHORTEST) {
            let texts: Vec<&[u32]> = batch.iter().map(|&text| &tokens[text][..]).collect();
            let values = self.running.run(&texts)?;
            let (width, longest) = (values.len() / texts.len(), batch[0]);
            for (text, values) in batch.into_iter().zip(values.chunks_exact(width.max(1))) {
                // What fills a text up has no hidden states that mean anything.
                let own = if hidden { &values[..lengths[text] * (width / lengths[longest])] } else { values };
                results[text] = own.to_vec();
            }
        }
        inputs.into_iter().zip(results).try_for_each(|(input, values)| each(input, &values))
    }

    /// Gives the results of the last ones. Returns the texts that failed, with the reason.
    pub(super) fn finish(&mut self, each: Each<'_>) -> Result<Vec<(String, String)>> {
        self.flush(each)?;
        if self.cut > 0 {
            let (cut, most, all) = (self.cut, self.most, words::plural(self.texts, "text"));
            self.model.notes.push(format!("{cut} of {all} had more than the {most} tokens that count, and were cut"));
        }
        (self.cut, self.texts) = (0, 0);
        Ok(std::mem::take(&mut self.failed))
    }

    /// Adds what is worth knowing of the texts.
    pub(super) fn note(&mut self, notes: Vec<String>) {
        self.model.notes.extend(notes);
    }

    /// What is worth knowing so far. Each is given once.
    pub(super) fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.model.notes)
    }
}
