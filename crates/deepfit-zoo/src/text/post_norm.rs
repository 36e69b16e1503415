use deepfit_graph::Tensor;
use deepfit_nn::layers::{Activation, Embedding, LayerNorm, Linear};
use deepfit_nn::{Init, Module, Parameter, Role, Scope};

use super::context::{Context, Sight, learned_positions, split_heads};

/// First values of matrices in BERT and what followed it.
pub(super) const NORMAL: Init = Init::Normal { std: 0.02 };

/// What the parts of a [`PostNormLayer`] are called.
pub(super) struct PartNames {
    pub(super) query: &'static str,
    pub(super) key: &'static str,
    pub(super) value: &'static str,
    pub(super) out: &'static str,
    pub(super) attention_norm: &'static str,
    pub(super) up: &'static str,
    pub(super) down: &'static str,
    pub(super) output_norm: &'static str,
}

/// Sizes of the layers.
#[derive(Debug, Clone, Copy)]
pub(super) struct PostNormSizes {
    pub(super) width: usize,
    pub(super) heads: usize,
    pub(super) hidden: usize,
    pub(super) activation: Activation,
    pub(super) epsilon: f32,
}

/// Attention and two linear layers, each normalised together with its input (Vaswani et al., 2017): the layer of BERT,
/// RoBERTa and DistilBERT, which differ in the names of its parts.
#[derive(Debug)]
pub(super) struct PostNormLayer {
    path: String,
    sizes: PostNormSizes,
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    attention_norm: LayerNorm,
    up: Linear,
    down: Linear,
    output_norm: LayerNorm,
}

impl PostNormLayer {
    pub(super) fn new(scope: &Scope, names: &PartNames, sizes: PostNormSizes) -> Self {
        let PostNormSizes { width, hidden, epsilon, .. } = sizes;
        let linear = |name: &str, inputs, outputs| Linear::new(&scope.child(name), inputs, outputs);
        let norm = |name: &str| LayerNorm::with(&scope.child(name), width, epsilon);
        PostNormLayer {
            path: scope.path().to_string(),
            sizes,
            query: linear(names.query, width, width),
            key: linear(names.key, width, width),
            value: linear(names.value, width, width),
            out: linear(names.out, width, width),
            attention_norm: norm(names.attention_norm),
            up: linear(names.up, width, hidden),
            down: linear(names.down, hidden, width),
            output_norm: norm(names.output_norm),
        }
    }

    pub(super) fn forward(&self, x: &Tensor, context: &Context) -> deepfit_nn::Result<Tensor> {
        x.tracer().in_layer(&self.path, || {
            let PostNormSizes { width, heads, activation, .. } = self.sizes;
            let part = |layer: &Linear| split_heads(&layer.forward(x)?, heads, width / heads);
            let (query, key, value) = (part(&self.query)?, part(&self.key)?, part(&self.value)?);
            let seen = self.out.forward(&context.attend(&query, &key, &value, Sight::default())?)?;
            let x = self.attention_norm.forward(&x.add(&seen)?)?;
            let y = self.down.forward(&activation.forward(&self.up.forward(&x)?)?)?;
            self.output_norm.forward(&x.add(&y)?)
        })
    }
}

/// Words and their positions, added up and normalised.
#[derive(Debug)]
pub(super) struct Embeddings {
    words: Embedding,
    positions: Parameter,
    /// The row of the first position.
    first: usize,
    /// Of the first and of the second of two texts that are read together.
    segment: Option<Parameter>,
    norm: LayerNorm,
}

impl Embeddings {
    /// The tables and the normalisation in `scope`; the first position has the row `first`.
    pub(super) fn new(
        scope: &Scope,
        [vocabulary, positions, segments]: [usize; 3],
        first: usize,
        sizes: &PostNormSizes,
    ) -> Self {
        let table = |name: &str, rows| Embedding::with(&scope.child(name), rows, sizes.width, NORMAL);
        let positions = [positions, sizes.width];
        Embeddings {
            words: table("word_embeddings", vocabulary),
            positions: scope.child("position_embeddings").parameter("weight", &positions, NORMAL, Role::Weight),
            first,
            segment: (segments > 0).then(|| {
                let segments = [segments, sizes.width];
                scope.child("token_type_embeddings").parameter("weight", &segments, NORMAL, Role::Weight)
            }),
            norm: LayerNorm::with(&scope.child("LayerNorm"), sizes.width, sizes.epsilon),
        }
    }

    pub(super) fn forward(&self, tokens: &Tensor, context: &Context) -> deepfit_nn::Result<Tensor> {
        let tracer = tokens.tracer();
        let mut x = self.words.forward(tokens)?;
        if let Some(segment) = &self.segment {
            let rows = segment.on(tracer)?;
            let row = |number| rows.slice(0, number, 1);
            let kind = match context.of_second()? {
                Some(of_second) if segment.shape[0] > 1 => of_second.select(&row(1)?, &row(0)?)?,
                _ => row(0)?,
            };
            x = x.add(&kind)?;
        }
        self.norm.forward(&x.add(&learned_positions(&self.positions, self.first, context)?)?)
    }
}
