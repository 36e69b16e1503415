//! Networks for texts: transformers that turn numbers of tokens into hidden states, an architecture each file, with the
//! names and shapes that transformers publishes.

mod bert;
mod context;
mod distilbert;
mod gpt2;
mod llama;
mod modernbert;
mod next_token;
mod pooled;
mod pooling;
mod post_norm;
mod recurrent;
mod roberta;
mod sentence_pairs;
mod static_embedding;
mod token_labels;

use deepfit_graph::{DType, Tensor};
use deepfit_nn::NnError;
use deepfit_nn::layers::Linear;
use deepfit_nn::losses::{CrossEntropy, Reduction, cross_entropy};
use serde::{Deserialize, Serialize};

use crate::network::{InputSlot, Network, take};

pub use bert::BertConfig;
pub use context::Context;
pub use distilbert::DistilbertConfig;
pub use gpt2::Gpt2Config;
pub use llama::{LlamaConfig, RotaryScaling};
pub use modernbert::ModernbertConfig;
pub use next_token::{NEXT, NextTokenConfig};
pub use pooled::{PooledTextConfig, SECOND, TERMS};
pub use pooling::{POOLING, Pooling, READ, pooled};
pub use recurrent::{RecurrentCell, RecurrentTextConfig};
pub use roberta::RobertaConfig;
pub use sentence_pairs::SentencePairsConfig;
pub use static_embedding::StaticEmbeddingConfig;
pub use token_labels::TokenLabelsConfig;

/// Name of the input of token numbers, i32 `[batch, sequence]`. What stands behind a text's end may be any token.
pub const TOKENS: &str = "tokens";
/// Name of the input of the texts' lengths in tokens, i32 `[batch]`, at least 1.
pub const LENGTHS: &str = "lengths";

/// Of a vocabulary of so many tokens, logits are not kept: the product that makes them is computed once more instead.
const MANY_WORDS: usize = 16_384;

/// What stands behind the hidden states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextHead {
    /// Nothing: the hidden states are the result.
    #[default]
    None,
    /// Logits of so many classes for each text.
    Classes(usize),
    /// Logits of the word that comes next.
    Vocabulary,
}

impl TextHead {
    /// Number of outputs for each text, by a vocabulary of the given size.
    pub(crate) fn outputs(self, vocabulary: usize) -> usize {
        match self {
            TextHead::None => 0,
            TextHead::Classes(classes) => classes,
            TextHead::Vocabulary => vocabulary,
        }
    }
}

/// Sizes of a network for texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextSizes {
    /// Number of tokens in the vocabulary.
    pub vocabulary: usize,
    /// Most tokens of a text.
    pub positions: usize,
    /// Width of the hidden states.
    pub width: usize,
    /// What stands behind the hidden states.
    pub head: TextHead,
    /// What is kept of earlier tokens while a text is continued, if the network can do that.
    pub cache: Option<CacheSizes>,
}

/// Keys and values that a decoder keeps of each token, or the states that a recurrent network keeps of all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheSizes {
    /// Number of layers, which keep a key and a value each.
    pub layers: usize,
    /// Number of heads of a key.
    pub heads: usize,
    /// Width of a head.
    pub width: usize,
    /// Whether there is as much of it for each token, and not for all tokens together.
    pub each_token: bool,
}

impl CacheSizes {
    /// Number of values of one kind that are kept of a token and layer, or of all tokens and layers.
    pub fn row(&self) -> usize {
        let one = self.heads * self.width;
        if self.each_token { one } else { one * self.layers }
    }
}

/// What tells one architecture from another.
pub(crate) trait Body: Send + Sync {
    /// Number of layers above the embeddings.
    fn layers(&self) -> usize;

    /// Hidden states f32 `[batch, T, width]` of tokens i32 `[batch, T]` after so many layers; after all of them, also after
    /// what stands behind the last.
    fn hidden(&self, tokens: &Tensor, context: &Context, layers: usize) -> deepfit_nn::Result<Tensor>;

    /// What the last layer sees of a text, f32 `[batch, features]`.
    fn features(&self, hidden: &Tensor, lengths: &Tensor) -> deepfit_nn::Result<Tensor>;

    /// The last layer, if it is nothing but linear.
    fn words(&self) -> Option<&Linear> {
        None
    }

    /// The last layer.
    fn head(&self, features: &Tensor) -> deepfit_nn::Result<Tensor>;
}

/// A network for texts.
pub struct TextNetwork {
    sizes: TextSizes,
    body: Box<dyn Body>,
}

impl TextNetwork {
    pub(crate) fn new(sizes: TextSizes, body: impl Body + 'static) -> Self {
        TextNetwork { sizes, body: Box::new(body) }
    }

    /// Its sizes.
    pub fn sizes(&self) -> TextSizes {
        self.sizes
    }

    /// Adds the network up to its last hidden states: f32 `[batch, T, width]` of tokens i32 `[batch, T]`, after the last
    /// normalisation. Those behind a text's end mean nothing.
    ///
    /// # Errors
    /// If the tokens do not fit the context.
    pub fn hidden(&self, tokens: &Tensor, context: &Context) -> deepfit_nn::Result<Tensor> {
        self.body.hidden(tokens, context, self.layers())
    }

    /// Number of layers above the embeddings.
    pub fn layers(&self) -> usize {
        self.body.layers()
    }

    /// Number of its blocks: the tables of words and positions, and each layer.
    pub fn blocks(&self) -> usize {
        self.layers() + 1
    }

    /// What the first blocks, so many, make of tokens: none the tokens themselves, the first their vectors, all of them the
    /// [hidden states](TextNetwork::hidden).
    ///
    /// # Errors
    /// If the tokens do not fit the context.
    pub fn up_to(&self, tokens: &Tensor, context: &Context, blocks: usize) -> deepfit_nn::Result<Tensor> {
        match blocks.min(self.blocks()).checked_sub(1) {
            Some(layers) => self.body.hidden(tokens, context, layers),
            None => Ok(tokens.clone()),
        }
    }

    /// Adds logits of the vocabulary to vectors of [`TextNetwork::hidden`] f32 `[..., width]`: `[..., vocabulary]`.
    ///
    /// # Errors
    /// If the network is none that continues texts.
    pub fn next_words(&self, hidden: &Tensor) -> deepfit_nn::Result<Tensor> {
        if self.sizes.head != TextHead::Vocabulary {
            return Err(without("vocabulary", "this network has no layer that tells the next word"));
        }
        self.body.head(hidden)
    }

    /// Adds the negative logarithms of the probabilities of the tokens that come next, i32 `[...]`, behind vectors of
    /// [`TextNetwork::hidden`] f32 `[..., width]`. Logits of a large vocabulary are computed a part at a time.
    ///
    /// # Errors
    /// As [`TextNetwork::next_words`].
    pub fn surprise(&self, hidden: &Tensor, next: &Tensor) -> deepfit_nn::Result<Tensor> {
        let of_many = self.sizes.vocabulary >= MANY_WORDS && self.sizes.head == TextHead::Vocabulary;
        if let Some(words) = self.body.words().filter(|_| of_many) {
            return words.cross_entropy(hidden, next);
        }
        let settings = CrossEntropy { reduction: Reduction::None, ..CrossEntropy::default() };
        cross_entropy(&self.next_words(hidden)?, next, &settings)
    }
}

impl Network for TextNetwork {
    fn inputs(&self) -> Vec<InputSlot> {
        vec![InputSlot::sequence(TOKENS, &[], DType::I32), InputSlot::new(LENGTHS, &[], DType::I32)]
    }

    fn outputs(&self) -> usize {
        self.sizes.head.outputs(self.sizes.vocabulary)
    }

    fn features(&self, inputs: &[Tensor]) -> deepfit_nn::Result<Tensor> {
        let [tokens, lengths] = take(self, inputs)?;
        let hidden = self.hidden(&tokens, &Context::whole(&tokens, &lengths)?)?;
        self.body.features(&hidden, &lengths)
    }

    fn head(&self, features: &Tensor) -> deepfit_nn::Result<Tensor> {
        if self.sizes.head == TextHead::None {
            return Err(without("head", "this network has no last layer: it gives hidden states"));
        }
        self.body.head(features)
    }

    fn text(&self) -> Option<&TextNetwork> {
        Some(self)
    }
}

/// The error of a network that lacks something.
fn without(setting: &str, problem: &str) -> NnError {
    NnError::Setting {
        place: "network".to_string(),
        setting: setting.to_string(),
        problem: format!("is missing: {problem}"),
    }
}
