use std::ops::Range;

use deepfit_graph::{DType, Dim, Graph, Shape, Symbol, Tensor, Tracer};
use deepfit_nn::{NnError, Scope, step};
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::{
    BertConfig, CnnConfig, ConvnextConfig, DistilbertConfig, EfficientnetConfig, Gpt2Config, ImageConfig, LlamaConfig,
    MlpConfig, MobilenetV2Config, MobilenetV3Config, ModernbertConfig, NextTokenConfig, PooledTextConfig,
    RecurrentTextConfig, ResnetConfig, RobertaConfig, SentencePairsConfig, StaticEmbeddingConfig, TabmConfig,
    TappedConfig, TextHead, TextNetwork, TokenLabelsConfig, VitConfig,
};

/// Settings of a network: all that is needed to make it again, but its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "model_type", rename_all = "snake_case")]
pub enum ModelConfig {
    /// Layers of neurons, for tables.
    Mlp(MlpConfig),
    /// An ensemble of such networks in one, for tables.
    Tabm(TabmConfig),
    /// A small convolutional network, for small images.
    Cnn(CnnConfig),
    /// A residual network, for images.
    Resnet(ResnetConfig),
    /// A network of depth-wise convolutions, for images and few operations.
    MobilenetV2(MobilenetV2Config),
    /// Its successor, whose layers a search has chosen.
    MobilenetV3(MobilenetV3Config),
    /// Depth-wise convolutions at scales that belong together.
    Efficientnet(EfficientnetConfig),
    /// A convolutional network with the recipe of transformers.
    Convnext(ConvnextConfig),
    /// A transformer on squares of pixels.
    Vit(VitConfig),
    /// A linear layer on what several depths of another network see.
    Tapped(TappedConfig),
    /// A transformer that sees whole texts.
    Bert(BertConfig),
    /// A smaller one.
    Distilbert(DistilbertConfig),
    /// One that was trained for longer.
    Roberta(RobertaConfig),
    /// One for longer texts.
    Modernbert(ModernbertConfig),
    /// A transformer that continues texts.
    Gpt2(Gpt2Config),
    /// Its successor, for longer texts.
    Llama(LlamaConfig),
    /// One that reads texts token by token.
    RecurrentText(RecurrentTextConfig),
    /// A vector for each token.
    StaticEmbedding(StaticEmbeddingConfig),
    /// A linear layer on what another network for texts makes of one.
    PooledText(PooledTextConfig),
    /// A linear layer on what another network for texts makes of each token.
    TokenLabels(TokenLabelsConfig),
    /// A network that continues texts, as it is trained.
    NextToken(NextTokenConfig),
    /// One that embeds texts, as it is trained on pairs of them.
    SentencePairs(SentencePairsConfig),
}

impl ModelConfig {
    /// The value of `model_type`.
    pub fn model_type(&self) -> &'static str {
        match self {
            ModelConfig::Mlp(_) => "mlp",
            ModelConfig::Tabm(_) => "tabm",
            ModelConfig::Cnn(_) => "cnn",
            ModelConfig::Resnet(_) => "resnet",
            ModelConfig::MobilenetV2(_) => "mobilenet_v2",
            ModelConfig::MobilenetV3(_) => "mobilenet_v3",
            ModelConfig::Efficientnet(_) => "efficientnet",
            ModelConfig::Convnext(_) => "convnext",
            ModelConfig::Vit(_) => "vit",
            ModelConfig::Tapped(_) => "tapped",
            ModelConfig::Bert(_) => "bert",
            ModelConfig::Distilbert(_) => "distilbert",
            ModelConfig::Roberta(_) => "roberta",
            ModelConfig::Modernbert(_) => "modernbert",
            ModelConfig::Gpt2(_) => "gpt2",
            ModelConfig::Llama(_) => "llama",
            ModelConfig::RecurrentText(_) => "recurrent_text",
            ModelConfig::StaticEmbedding(_) => "static_embedding",
            ModelConfig::PooledText(_) => "pooled_text",
            ModelConfig::TokenLabels(_) => "token_labels",
            ModelConfig::NextToken(_) => "next_token",
            ModelConfig::SentencePairs(_) => "sentence_pairs",
        }
    }

    /// Number of outputs for each example.
    pub fn outputs(&self) -> usize {
        match self {
            ModelConfig::Mlp(config) => config.outputs,
            ModelConfig::Tabm(config) => config.outputs,
            ModelConfig::Cnn(config) => config.outputs,
            ModelConfig::Resnet(config) => config.outputs,
            ModelConfig::MobilenetV2(config) => config.outputs,
            ModelConfig::MobilenetV3(config) => config.outputs,
            ModelConfig::Efficientnet(config) => config.outputs,
            ModelConfig::Convnext(config) => config.outputs,
            ModelConfig::Vit(config) => config.outputs,
            ModelConfig::Tapped(config) => config.outputs,
            ModelConfig::Bert(config) => config.head.outputs(config.vocab_size),
            ModelConfig::Distilbert(config) => config.head.outputs(config.vocab_size),
            ModelConfig::Roberta(config) => config.bert.head.outputs(config.bert.vocab_size),
            ModelConfig::Modernbert(config) => config.head.outputs(config.vocab_size),
            ModelConfig::Gpt2(config) => config.head.outputs(config.vocab_size),
            ModelConfig::Llama(config) => config.head.outputs(config.vocab_size),
            ModelConfig::RecurrentText(config) => config.head.outputs(config.vocab_size),
            ModelConfig::StaticEmbedding(_) => 0,
            ModelConfig::PooledText(config) => config.outputs,
            ModelConfig::TokenLabels(config) => config.outputs,
            ModelConfig::NextToken(_) => 1,
            ModelConfig::SentencePairs(_) => 0,
        }
    }

    /// The same network for other images; a network that takes none stays as it is.
    #[must_use]
    pub fn with_image(mut self, image: ImageConfig) -> Self {
        match &mut self {
            ModelConfig::Mlp(_)
            | ModelConfig::Tabm(_)
            | ModelConfig::Bert(_)
            | ModelConfig::Distilbert(_)
            | ModelConfig::Roberta(_)
            | ModelConfig::Modernbert(_)
            | ModelConfig::Gpt2(_)
            | ModelConfig::Llama(_)
            | ModelConfig::RecurrentText(_)
            | ModelConfig::StaticEmbedding(_)
            | ModelConfig::PooledText(_)
            | ModelConfig::TokenLabels(_)
            | ModelConfig::NextToken(_)
            | ModelConfig::SentencePairs(_) => {}
            ModelConfig::Cnn(config) => config.image = image,
            ModelConfig::Resnet(config) => config.image = image,
            ModelConfig::MobilenetV2(config) => config.image = image,
            ModelConfig::MobilenetV3(config) => config.image = image,
            ModelConfig::Efficientnet(config) => config.image = image,
            ModelConfig::Convnext(config) => config.image = image,
            ModelConfig::Vit(config) => config.image = image,
            ModelConfig::Tapped(config) => *config.backbone = config.backbone.clone().with_image(image),
        }
        self
    }

    /// The same network with other outputs, such as those of another task.
    #[must_use]
    pub fn with_outputs(mut self, outputs: usize) -> Self {
        match &mut self {
            ModelConfig::Mlp(config) => config.outputs = outputs,
            ModelConfig::Tabm(config) => config.outputs = outputs,
            ModelConfig::Cnn(config) => config.outputs = outputs,
            ModelConfig::Resnet(config) => config.outputs = outputs,
            ModelConfig::MobilenetV2(config) => config.outputs = outputs,
            ModelConfig::MobilenetV3(config) => config.outputs = outputs,
            ModelConfig::Efficientnet(config) => config.outputs = outputs,
            ModelConfig::Convnext(config) => config.outputs = outputs,
            ModelConfig::Vit(config) => config.outputs = outputs,
            ModelConfig::Tapped(config) => config.outputs = outputs,
            ModelConfig::PooledText(config) => config.outputs = outputs,
            ModelConfig::TokenLabels(config) => config.outputs = outputs,
            ModelConfig::NextToken(_) | ModelConfig::SentencePairs(_) => {}
            ModelConfig::Bert(_)
            | ModelConfig::Distilbert(_)
            | ModelConfig::Roberta(_)
            | ModelConfig::Modernbert(_)
            | ModelConfig::Gpt2(_)
            | ModelConfig::Llama(_)
            | ModelConfig::RecurrentText(_)
            | ModelConfig::StaticEmbedding(_) => return self.with_text_head(TextHead::Classes(outputs)),
        }
        self
    }

    /// The same network for texts with something else behind its hidden states; any other stays as it is.
    #[must_use]
    pub fn with_text_head(mut self, new: TextHead) -> Self {
        match &mut self {
            ModelConfig::Bert(BertConfig { head, .. })
            | ModelConfig::Roberta(RobertaConfig { bert: BertConfig { head, .. }, .. })
            | ModelConfig::Distilbert(DistilbertConfig { head, .. })
            | ModelConfig::Modernbert(ModernbertConfig { head, .. })
            | ModelConfig::Gpt2(Gpt2Config { head, .. })
            | ModelConfig::Llama(LlamaConfig { head, .. })
            | ModelConfig::RecurrentText(RecurrentTextConfig { head, .. }) => *head = new,
            _ => {}
        }
        self
    }

    /// The same network for texts of at most so many tokens, if its positions are computed: those of others are learned,
    /// and stay as many as they are.
    #[must_use]
    pub fn with_positions(mut self, most: usize) -> Self {
        let positions = match &mut self {
            ModelConfig::Modernbert(config) => &mut config.max_position_embeddings,
            ModelConfig::Llama(config) => &mut config.max_position_embeddings,
            ModelConfig::PooledText(PooledTextConfig { backbone, .. })
            | ModelConfig::TokenLabels(TokenLabelsConfig { backbone, .. }) => {
                **backbone = (**backbone).clone().with_positions(most);
                return self;
            }
            _ => return self,
        };
        *positions = (*positions).min(most.max(1));
        self
    }

    /// The images that the network takes, if it takes images.
    pub fn image(&self) -> Option<&ImageConfig> {
        match self {
            ModelConfig::Mlp(_)
            | ModelConfig::Tabm(_)
            | ModelConfig::Bert(_)
            | ModelConfig::Distilbert(_)
            | ModelConfig::Roberta(_)
            | ModelConfig::Modernbert(_)
            | ModelConfig::Gpt2(_)
            | ModelConfig::Llama(_)
            | ModelConfig::RecurrentText(_)
            | ModelConfig::StaticEmbedding(_)
            | ModelConfig::PooledText(_)
            | ModelConfig::TokenLabels(_)
            | ModelConfig::NextToken(_)
            | ModelConfig::SentencePairs(_) => None,
            ModelConfig::Cnn(config) => Some(&config.image),
            ModelConfig::Resnet(config) => Some(&config.image),
            ModelConfig::MobilenetV2(config) => Some(&config.image),
            ModelConfig::MobilenetV3(config) => Some(&config.image),
            ModelConfig::Efficientnet(config) => Some(&config.image),
            ModelConfig::Convnext(config) => Some(&config.image),
            ModelConfig::Vit(config) => Some(&config.image),
            ModelConfig::Tapped(config) => config.backbone.image(),
        }
    }
}

/// Something that a network wants of each example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputSlot {
    /// Name of the graph's input.
    pub name: String,
    /// Axis lengths for one example, or for one step of a sequence.
    pub shape: Vec<usize>,
    /// Element type.
    pub dtype: DType,
    /// Whether an example is a sequence of such steps.
    pub sequence: bool,
}

impl InputSlot {
    /// An input whose examples are arrays of the given shape.
    pub fn new(name: &str, shape: &[usize], dtype: DType) -> Self {
        InputSlot { name: name.to_string(), shape: shape.to_vec(), dtype, sequence: false }
    }

    /// An input whose examples are sequences of arrays of the given shape.
    pub fn sequence(name: &str, shape: &[usize], dtype: DType) -> Self {
        InputSlot { sequence: true, ..Self::new(name, shape, dtype) }
    }

    /// The input of a graph: a batch of such examples.
    pub fn on(&self, tracer: &Tracer) -> Tensor {
        let mut dims = vec![Dim::symbol(Symbol::Batch)];
        dims.extend(self.sequence.then(|| Dim::symbol(Symbol::Sequence)));
        dims.extend(self.shape.iter().map(|&length| Dim::fixed(length)));
        tracer.input(&self.name, Shape::from(dims), self.dtype)
    }
}

/// A whole network.
pub trait Network: Send + Sync {
    /// What it wants of each example, in the order in which [`Network::forward`] takes it.
    fn inputs(&self) -> Vec<InputSlot>;

    /// Number of outputs for each example: classes, or values of a regression.
    fn outputs(&self) -> usize;

    /// Number of blocks that make the features, one after the other, after each of which the network can be cut in two; 0
    /// if it cannot be cut.
    fn blocks(&self) -> usize {
        0
    }

    /// Adds the first blocks, so many: none are the inputs in the form in which the first block takes them.
    ///
    /// # Errors
    /// If the inputs are not those of [`Network::inputs`], or the network has no blocks.
    fn up_to(&self, inputs: &[Tensor], blocks: usize) -> deepfit_nn::Result<Tensor> {
        let _ = (inputs, blocks);
        Err(undivided())
    }

    /// Adds the blocks of a range to what those before it have made. After the last of them come the
    /// [`Network::features`].
    ///
    /// # Errors
    /// If the value is not one of this network at the beginning of the range, or the network has no blocks.
    fn through(&self, value: &Tensor, blocks: Range<usize>) -> deepfit_nn::Result<Tensor> {
        let _ = (value, blocks);
        Err(undivided())
    }

    /// Whether its outputs are what the last layer makes of the [features](Network::features).
    fn is_divided(&self) -> bool {
        true
    }

    /// What the last layer wants of each example beside what the blocks make of the other inputs; these come last among
    /// [`Network::inputs`].
    fn beside(&self) -> Vec<InputSlot> {
        Vec::new()
    }

    /// The [`Network::features`] from what the blocks have made and the inputs [beside](Network::beside) that.
    ///
    /// # Errors
    /// If they do not fit.
    fn joined(&self, features: &Tensor, beside: &[Tensor]) -> deepfit_nn::Result<Tensor> {
        let _ = beside;
        Ok(features.clone())
    }

    /// Adds the network up to its last layer: what it makes of an example before it decides, f32 `[batch, features]`,
    /// also known as the embedding. By default all blocks.
    ///
    /// # Errors
    /// If the inputs are not those of [`Network::inputs`], or the network has no such layer.
    fn features(&self, inputs: &[Tensor]) -> deepfit_nn::Result<Tensor> {
        self.up_to(inputs, self.blocks())
    }

    /// Adds the last layer, with what stands between it and the [`Network::features`].
    ///
    /// # Errors
    /// If the features are not those of this network, or it has no such layer.
    fn head(&self, features: &Tensor) -> deepfit_nn::Result<Tensor> {
        let _ = features;
        Err(undivided())
    }

    /// Adds the network to the graph of its inputs: by default the head of the features. Returns
    /// logits, or values, f32 `[batch, outputs]`; in training, a network of several members that learn each by itself
    /// returns `[batch, members, outputs]`.
    ///
    /// # Errors
    /// If the inputs are not those of [`Network::inputs`].
    fn forward(&self, inputs: &[Tensor]) -> deepfit_nn::Result<Tensor> {
        self.head(&self.features(inputs)?)
    }

    /// Most tokens of a text, if it takes texts.
    fn positions(&self) -> Option<usize> {
        self.text().map(|text| text.sizes().positions)
    }

    /// The network as one for texts, if it is one.
    fn text(&self) -> Option<&TextNetwork> {
        None
    }
}

/// Name of the result of [`first_blocks`].
pub const VALUE: &str = "value";

/// The graph of the first blocks of a network in use, so many; its result is [`VALUE`].
///
/// # Errors
/// If the network has no blocks.
pub fn first_blocks(network: &dyn Network, blocks: usize) -> deepfit_nn::Result<Graph> {
    step::evaluation_graph(|tracer| {
        let inputs: Vec<Tensor> = network.inputs().iter().map(|slot| slot.on(tracer)).collect();
        Ok(vec![(VALUE.to_string(), network.up_to(&inputs, blocks)?)])
    })
}

/// The error of a network that knows no features apart from its outputs.
fn undivided() -> NnError {
    NnError::Setting {
        place: "network".to_string(),
        setting: "features".to_string(),
        problem: "are not known apart from the outputs: this network implements `forward` alone".to_string(),
    }
}

/// Makes a network and declares its parameters in `scope`.
///
/// # Errors
/// If a setting is impossible, naming it.
pub fn build(config: &ModelConfig, scope: &Scope) -> Result<Box<dyn Network>> {
    Ok(match config {
        ModelConfig::Mlp(config) => Box::new(config.build(scope)?),
        ModelConfig::Tabm(config) => Box::new(config.build(scope)?),
        ModelConfig::Cnn(config) => Box::new(config.build(scope)?),
        ModelConfig::Resnet(config) => Box::new(config.build(scope)?),
        ModelConfig::MobilenetV2(config) => Box::new(config.build(scope)?),
        ModelConfig::MobilenetV3(config) => Box::new(config.build(scope)?),
        ModelConfig::Efficientnet(config) => Box::new(config.build(scope)?),
        ModelConfig::Convnext(config) => Box::new(config.build(scope)?),
        ModelConfig::Vit(config) => Box::new(config.build(scope)?),
        ModelConfig::Tapped(config) => Box::new(config.build(scope)?),
        ModelConfig::Bert(config) => Box::new(config.build(scope)?),
        ModelConfig::Distilbert(config) => Box::new(config.build(scope)?),
        ModelConfig::Roberta(config) => Box::new(config.build(scope)?),
        ModelConfig::Modernbert(config) => Box::new(config.build(scope)?),
        ModelConfig::Gpt2(config) => Box::new(config.build(scope)?),
        ModelConfig::Llama(config) => Box::new(config.build(scope)?),
        ModelConfig::RecurrentText(config) => Box::new(config.build(scope)?),
        ModelConfig::StaticEmbedding(config) => Box::new(config.build(scope)?),
        ModelConfig::PooledText(config) => Box::new(config.build(scope)?),
        ModelConfig::TokenLabels(config) => Box::new(config.build(scope)?),
        ModelConfig::NextToken(config) => Box::new(config.build(scope)?),
        ModelConfig::SentencePairs(config) => Box::new(config.build(scope)?),
    })
}

/// The inputs as an array, or an error that names what was expected.
pub(crate) fn take<const N: usize>(network: &dyn Network, inputs: &[Tensor]) -> deepfit_nn::Result<[Tensor; N]> {
    inputs.to_vec().try_into().map_err(|_| wrong_inputs(network, inputs.len()))
}

/// The error for a wrong number of inputs.
pub(crate) fn wrong_inputs(network: &dyn Network, given: usize) -> NnError {
    let names: Vec<String> = network.inputs().into_iter().map(|slot| slot.name).collect();
    NnError::Setting {
        place: "network".to_string(),
        setting: "inputs".to_string(),
        problem: format!("must be {}, but {given} were given", names.join(", ")),
    }
}
