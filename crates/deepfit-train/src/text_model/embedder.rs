use std::io::Read;
use std::path::{Path, PathBuf};

use deepfit_data::{TextRow, Texts};
use deepfit_zoo::{Pooling, TextHead};

use super::TextModel;
use super::running::Wanted;
use super::stream::{Each, Input, Stream};
use crate::embedder::{Embedding, Layer};
use crate::error::{Result, TrainError};

/// A network for texts in use for what it makes of them.
pub struct TextEmbedder {
    stream: Stream,
    texts: Texts,
    layer: Layer,
    normalise: bool,
}

impl TextEmbedder {
    /// Opens a published model for texts. How a text's hidden states become one vector is what `modules.json` says, as
    /// sentence-transformers writes it; without, it is their mean.
    ///
    /// # Errors
    /// If it is damaged, or logits are wanted of one without classes.
    pub fn open(path: &Path, layer: Layer, threads: usize) -> Result<TextEmbedder> {
        let mut model = TextModel::open(path)?;
        let sentence = model.published.sentence;
        let (wanted, most) = match layer {
            Layer::Logits if !matches!(model.sizes.head, TextHead::Classes(_)) => {
                return Err(TrainError::run(path, "has no classes, so no logits; it gives embeddings"));
            }
            Layer::Logits => (Wanted::Outputs, None),
            Layer::Hidden => (Wanted::Hidden, None),
            Layer::Embedding => match sentence {
                Some(sentence) => (Wanted::Pooled(sentence.pooling), sentence.max_tokens),
                None => {
                    let note = "an embedding is the mean of a text's hidden states, since there is no `modules.json` that \
                                says otherwise";
                    model.notes.push(note.to_string());
                    (Wanted::Pooled(Pooling::Mean), None)
                }
            },
        };
        let normalise = layer == Layer::Embedding && sentence.is_some_and(|sentence| sentence.normalise);
        let stream = Stream::new(model, wanted, most, threads)?;
        Ok(TextEmbedder { stream, texts: Texts::default(), layer, normalise })
    }

    /// With the column of tables that holds the texts.
    #[must_use]
    pub fn column(mut self, column: Option<String>) -> Self {
        self.texts.column = column;
        self
    }

    /// What is worth knowing so far, one sentence each. Each is given once.
    pub fn take_notes(&mut self) -> Vec<String> {
        self.stream.take_notes()
    }

    /// Embeds the texts of files and folders (see [`Texts::read`]), in order, and gives each embedding to `each`. Returns
    /// the texts that failed, by their names, with the reason.
    ///
    /// # Errors
    /// If a file cannot be read, or `each` fails.
    pub fn embed_paths(
        &mut self,
        inputs: &[PathBuf],
        each: &mut dyn FnMut(Embedding) -> Result<()>,
    ) -> Result<Vec<(String, String)>> {
        let texts = self.texts.clone();
        self.embed(|push| texts.read(inputs, push), each)
    }

    /// Embeds texts that are read from somewhere: lines, or the rows of a table if there is a column.
    ///
    /// # Errors
    /// As [`TextEmbedder::embed_paths`].
    pub fn embed_reader(
        &mut self,
        reader: impl Read,
        name: &str,
        each: &mut dyn FnMut(Embedding) -> Result<()>,
    ) -> Result<Vec<(String, String)>> {
        let texts = self.texts.clone();
        self.embed(|push| texts.read_from(reader, name, push), each)
    }

    /// Embeds each token of the vocabulary as if it were a whole text, in the order of their numbers; an embedding's input is
    /// the token as the tokenizer writes it. Returns the tokens that failed, with the reason.
    ///
    /// # Errors
    /// If `each` fails.
    pub fn embed_vocabulary(&mut self, each: &mut dyn FnMut(Embedding) -> Result<()>) -> Result<Vec<(String, String)>> {
        self.run(|stream, give| stream.vocabulary(give), each)
    }

    fn embed(
        &mut self,
        read: impl FnOnce(&mut dyn FnMut(TextRow) -> Result<()>) -> Result<Vec<String>>,
        each: &mut dyn FnMut(Embedding) -> Result<()>,
    ) -> Result<Vec<(String, String)>> {
        let read = |stream: &mut Stream, give: Each<'_>| {
            let notes = read(&mut |row| stream.push(row, give))?;
            stream.note(notes);
            Ok(())
        };
        self.run(read, each)
    }

    /// Lets the stream give results, and makes embeddings of them.
    fn run(
        &mut self,
        work: impl FnOnce(&mut Stream, Each<'_>) -> Result<()>,
        each: &mut dyn FnMut(Embedding) -> Result<()>,
    ) -> Result<Vec<(String, String)>> {
        let (layer, normalise, stream) = (self.layer, self.normalise, &mut self.stream);
        let state = stream.model().sizes.width;
        let mut give = |input: Input, values: &[f32]| {
            let one = Embedding { text: Some(input.text), ..Embedding::of(input.name) };
            each(match layer {
                Layer::Embedding if normalise => Embedding { embedding: Some(of_length_1(values)), ..one },
                Layer::Embedding => Embedding { embedding: Some(values.to_vec()), ..one },
                Layer::Logits => Embedding { logits: Some(values.to_vec()), ..one },
                Layer::Hidden => Embedding { hidden: Some(values.chunks(state).map(<[f32]>::to_vec).collect()), ..one },
            })
        };
        work(stream, &mut give)?;
        stream.finish(&mut give)
    }
}

/// A vector divided by its length.
fn of_length_1(values: &[f32]) -> Vec<f32> {
    let length = values.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>().sqrt().max(1e-12);
    values.iter().map(|&v| (f64::from(v) / length) as f32).collect()
}
