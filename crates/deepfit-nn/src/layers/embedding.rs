use deepfit_graph::Tensor;
use deepfit_graph::ops::EmbeddingGrad;

use crate::declaration::{Parameter, Role};
use crate::error::Result;
use crate::init::Init;
use crate::max_norm::MaxNorm;
use crate::module::Module;
use crate::scope::Scope;

/// Settings of an [`Embedding`]; the default is PyTorch's, a standard normal table without any of them.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct EmbeddingConfig {
    /// A row that stands for nothing: unless `init` says otherwise it begins as zeros, and it gets no gradient.
    pub padding_idx: Option<usize>,
    /// Limit to which the rows that are looked up are scaled down, as PyTorch's `max_norm` and `norm_type`.
    pub max_norm: Option<MaxNorm>,
    /// Whether the gradient of a row is divided by the number of times that it was looked up at once.
    pub scale_grad_by_freq: bool,
    /// How the first values are drawn, if not with PyTorch's default.
    pub init: Option<Init>,
}

/// A learned vector for each of a number of categories, as PyTorch's `Embedding`: i32 `[...]` becomes `[..., width]`.
///
/// A category out of range stops the run with an error. How the table is updated is a matter of training: densely, or
/// only in those rows that a batch has used ([`Training::rows_only`](crate::step::Training::rows_only)).
///
/// With [`EmbeddingConfig::max_norm`], rows looked up are scaled wherever the network runs, and the table itself, in
/// these rows, by the update of a training step, which begins where they are scaled: the numbers are PyTorch's, which
/// changes the table at each look-up. The optimiser must be SGD, Adam or AdamW, the table must be used for look-ups
/// alone, and gradients of several batches cannot be added up.
#[derive(Debug, Clone)]
pub struct Embedding {
    path: String,
    weight: Parameter,
    config: EmbeddingConfig,
}

impl Embedding {
    /// A table `weight [categories, width]`, standard normal at first.
    pub fn new(scope: &Scope, categories: usize, width: usize) -> Self {
        Self::configured(scope, categories, width, EmbeddingConfig::default())
    }

    /// A table `weight [categories, width]` with the given initialisation.
    pub fn with(scope: &Scope, categories: usize, width: usize, init: Init) -> Self {
        let config = EmbeddingConfig { init: Some(init), ..EmbeddingConfig::default() };
        Self::configured(scope, categories, width, config)
    }

    /// A table `weight [categories, width]` whose row `padding_idx` stands for nothing: it begins as zeros and gets no
    /// gradient. The others are standard normal at first.
    pub fn padded(scope: &Scope, categories: usize, width: usize, padding_idx: usize) -> Self {
        let config = EmbeddingConfig { padding_idx: Some(padding_idx), ..EmbeddingConfig::default() };
        Self::configured(scope, categories, width, config)
    }

    /// A table `weight [categories, width]` with the given settings, which are checked when the layer is traced.
    pub fn configured(scope: &Scope, categories: usize, width: usize, config: EmbeddingConfig) -> Self {
        let init = config.init.unwrap_or(match config.padding_idx {
            Some(row) => Init::NormalButRow { std: 1.0, row },
            None => Init::Normal { std: 1.0 },
        });
        let weight = scope.parameter("weight", &[categories, width], init, Role::Weight);
        if let Some(limit) = config.max_norm {
            scope.limit_rows(&weight, limit);
        }
        Embedding { path: scope.place("embedding"), weight, config }
    }

    /// Rows in which the gradient of each is divided by how often its number stands among all.
    fn by_frequency(&self, rows: &Tensor, numbers: &Tensor) -> Result<Tensor> {
        let (tracer, count) = (rows.tracer(), numbers.shape().elements());
        let flat = numbers.reshape(vec![count])?;
        let ones = tracer.scalar(1.0).broadcast_to(vec![count, 1.into()])?;
        let op = EmbeddingGrad { rows: self.weight.shape[0].into(), padding: None };
        let counts = tracer.apply_one(op, &[&flat, &ones])?.embedding(numbers)?;
        // The value is that of the row, and the gradient that of the factor.
        let fixed = rows.stop_gradient()?;
        Ok(fixed.add(&rows.sub(&fixed)?.mul(&counts.stop_gradient()?.recip()?)?)?)
    }
}

impl Module for Embedding {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let tracer = x.tracer();
        tracer.in_layer(&self.path, || {
            let table = self.weight.on(tracer)?;
            let mut rows = match self.config.padding_idx {
                Some(padding) => table.embedding_with_padding(x, padding)?,
                None => table.embedding(x)?,
            };
            if self.config.scale_grad_by_freq {
                rows = self.by_frequency(&rows, x)?;
            }
            if let Some(limit) = &self.config.max_norm {
                limit.validate(&self.path)?;
                // The value is that of the scaled row; the gradient is that of the table where it holds scaled rows.
                rows = limit.scaled(&rows)?.add(&rows.sub(&rows.stop_gradient()?)?)?;
            }
            Ok(rows)
        })
    }
}
