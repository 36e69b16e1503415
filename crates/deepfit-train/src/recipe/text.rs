//! Networks for texts that begin with nothing.

use deepfit_data::TextPreprocessor;
use deepfit_nn::layers::Activation;
use deepfit_zoo::{
    BertConfig, Gpt2Config, ModelConfig, NextTokenConfig, PooledTextConfig, Pooling, RecurrentCell,
    RecurrentTextConfig, TextHead, TokenLabelsConfig,
};

/// Width of the tokens' vectors and of the states.
const WIDTH: usize = 128;
/// Layers and heads of a transformer.
const LAYERS: usize = 2;
const HEADS: usize = 4;

/// The network of a name for texts that are prepared in a way.
pub fn network(name: &str, texts: &TextPreprocessor, outputs: usize, dropout: f32) -> ModelConfig {
    let (vocabulary, pairs, terms) = (texts.vocabulary(), texts.takes_pairs(), texts.terms_and_columns());
    let recurrent = |cell| {
        ModelConfig::RecurrentText(RecurrentTextConfig {
            cell,
            vocab_size: vocabulary,
            embedding_size: WIDTH,
            hidden_size: WIDTH,
            num_layers: 1,
            bidirectional: true,
            dropout,
            head: TextHead::None,
        })
    };
    let backbone = match name {
        "rnn" => recurrent(RecurrentCell::Rnn),
        "lstm" => recurrent(RecurrentCell::Lstm),
        "transformer" => ModelConfig::Bert(BertConfig {
            vocab_size: vocabulary,
            hidden_size: WIDTH,
            num_hidden_layers: LAYERS,
            num_attention_heads: HEADS,
            intermediate_size: 2 * WIDTH,
            hidden_act: Activation::Gelu,
            max_position_embeddings: texts.most_tokens,
            type_vocab_size: if pairs { 2 } else { 0 },
            layer_norm_eps: 1e-5,
            pooler: false,
            head: TextHead::None,
        }),
        _ => recurrent(RecurrentCell::Gru),
    };
    let pooling = if name == "transformer" { Pooling::Mean } else { Pooling::Max };
    let backbone = Box::new(backbone);
    ModelConfig::PooledText(PooledTextConfig { backbone, pooling, normalise: false, pairs, terms, dropout, outputs })
}

/// The network of a name that labels the words of texts that are prepared in a way.
pub fn labels(name: &str, texts: &TextPreprocessor, outputs: usize, dropout: f32) -> ModelConfig {
    match network(name, texts, outputs, dropout) {
        ModelConfig::PooledText(PooledTextConfig { backbone, .. }) => {
            ModelConfig::TokenLabels(TokenLabelsConfig { backbone, dropout, outputs })
        }
        other => other,
    }
}

/// Width, layers and heads of a transformer that continues texts, and the width of a recurrent network that does.
const GPT_WIDTH: usize = 256;
const GPT_LAYERS: usize = 4;
const GPT_HEADS: usize = 4;
const STATES: usize = 512;

/// The network of a name that continues texts of a vocabulary, seeing so many tokens at most.
pub fn language(name: &str, vocabulary: usize, window: usize, dropout: f32) -> ModelConfig {
    let recurrent = |cell| {
        ModelConfig::RecurrentText(RecurrentTextConfig {
            cell,
            vocab_size: vocabulary,
            embedding_size: GPT_WIDTH,
            hidden_size: STATES,
            num_layers: 1,
            bidirectional: false,
            dropout,
            head: TextHead::Vocabulary,
        })
    };
    let network = match name {
        "rnn" => recurrent(RecurrentCell::Rnn),
        "lstm" => recurrent(RecurrentCell::Lstm),
        "gru" => recurrent(RecurrentCell::Gru),
        _ => ModelConfig::Gpt2(Gpt2Config {
            vocab_size: vocabulary,
            n_positions: window,
            n_embd: GPT_WIDTH,
            n_layer: GPT_LAYERS,
            n_head: GPT_HEADS,
            n_inner: 4 * GPT_WIDTH,
            activation_function: Activation::GeluTanh,
            layer_norm_epsilon: 1e-5,
            tie_word_embeddings: true,
            head: TextHead::Vocabulary,
        }),
    };
    ModelConfig::NextToken(NextTokenConfig { network: Box::new(network) })
}
