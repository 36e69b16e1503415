use deepfit_graph::ops::AttentionOptions;
use deepfit_graph::{DType, Dim, Mode, Tensor};

use crate::error::{Result, require};
use crate::init::Init;
use crate::layers::Linear;
use crate::module::Module;
use crate::scope::{Parameter, Role, Scope};

/// Sizes and options of a [`MultiheadAttention`].
#[derive(Debug, Clone, PartialEq)]
pub struct MultiheadAttentionConfig {
    /// Width of query and result, a multiple of the number of heads.
    pub embed_dim: usize,
    /// Number of heads.
    pub num_heads: usize,
    /// Number of heads of key and value, which divides the number of heads; the same number, as in PyTorch, unless queries
    /// share keys in groups (Ainslie et al., 2023).
    pub kv_heads: usize,
    /// Probability, 0 to 1, that a weight is dropped in training.
    pub dropout: f32,
    /// Whether the projections have biases.
    pub bias: bool,
    /// Width of the key's input.
    pub kdim: usize,
    /// Width of the value's input.
    pub vdim: usize,
}

impl MultiheadAttentionConfig {
    /// PyTorch's defaults: everything `embed_dim` wide, with biases, without dropout.
    pub fn new(embed_dim: usize, num_heads: usize) -> Self {
        MultiheadAttentionConfig {
            embed_dim,
            num_heads,
            kv_heads: num_heads,
            dropout: 0.0,
            bias: true,
            kdim: embed_dim,
            vdim: embed_dim,
        }
    }
}

/// Which keys a query sees, and what is added to its scores. By default it sees all.
///
/// A query that sees no key is an error, unless [`AttentionMask::allow_hidden`] is set: then it gets zeros from the
/// attention, so that the layer gives the bias of its output projection. PyTorch gives NaN.
#[derive(Debug, Clone, Default)]
pub struct AttentionMask {
    /// Whether query `i` sees keys `0..=i` alone.
    pub causal: bool,
    /// u8, not 0 where a key is hidden, or f32, which is added: `[T, S]`, `[batch * heads, T, S]` as in PyTorch, or
    /// whatever broadcasts to `[batch, heads, T, S]`.
    pub attn_mask: Option<Tensor>,
    /// u8 `[batch, S]`, not 0 where a key is padding, or f32, which is added.
    pub key_padding_mask: Option<Tensor>,
    /// Number of keys of each example, i32 `[batch]`, at least 1: cheaper than a mask where the padding is at the end.
    pub lengths: Option<Tensor>,
    /// Whether a query may see no key, and an example have none.
    pub allow_hidden: bool,
    /// Added to the scores, such as relative positions; broadcasts to `[batch, heads, T, S]`.
    pub bias: Option<Tensor>,
}

impl AttentionMask {
    /// Query `i` sees keys `0..=i`.
    pub fn causal() -> Self {
        AttentionMask { causal: true, ..Self::default() }
    }

    /// Keys are hidden where `key_padding_mask`, u8 `[batch, S]`, is not 0.
    pub fn padding(key_padding_mask: &Tensor) -> Self {
        AttentionMask { key_padding_mask: Some(key_padding_mask.clone()), ..Self::default() }
    }

    fn options(&self, batch: Dim, heads: usize, dropout: f32) -> Result<AttentionOptions> {
        let (causal, allow_hidden) = (self.causal, self.allow_hidden);
        let mut options =
            AttentionOptions { causal, lengths: self.lengths.clone(), allow_hidden, dropout, ..Default::default() };
        let mut biases: Vec<Tensor> = self.bias.iter().cloned().collect();
        let mut given = Vec::new();
        if let Some(mask) = &self.attn_mask {
            given.push(match *mask.shape().dims() {
                [all, t, s] if all == batch * Dim::fixed(heads) && heads > 1 => {
                    mask.reshape(vec![batch, Dim::fixed(heads), t, s])?
                }
                _ => mask.clone(),
            });
        }
        if let Some(mask) = &self.key_padding_mask {
            let &[batch, keys] = mask.shape().dims() else {
                let problem = format!("the key padding mask must be [batch, keys], not {}", mask.shape());
                return Err(mask.error("attention", problem).into());
            };
            given.push(mask.reshape(vec![batch, Dim::fixed(1), Dim::fixed(1), keys])?);
        }
        for mask in given {
            if mask.dtype() == DType::F32 { biases.push(mask) } else { options.masks.push(mask) }
        }
        let mut biases = biases.into_iter();
        if let Some(first) = biases.next() {
            options.bias = Some(biases.try_fold(first, |sum, bias| sum.add(&bias))?);
        }
        Ok(options)
    }
}

/// Attention of several heads between projections (Vaswani et al., 2017), as PyTorch's `nn.MultiheadAttention` with
/// `batch_first=True` and without `add_bias_kv` and `add_zero_attn`.
///
/// `in_proj_weight` holds the projections of query, key and value one below the other; where `kdim` or `vdim` differ from
/// `embed_dim`, they are `q_proj_weight`, `k_proj_weight`, `v_proj_weight`. Query, key and value that are the same tensor
/// are projected by one product, whose result is used in place. The intermediate `weights` `[batch, heads, T, S]`
/// can be [watched](deepfit_graph::Tracer::watch).
#[derive(Debug, Clone)]
pub struct MultiheadAttention {
    path: String,
    config: MultiheadAttentionConfig,
    projections: Projections,
    in_proj_bias: Option<Parameter>,
    out_proj: Linear,
}

#[derive(Debug, Clone)]
enum Projections {
    Packed(Parameter),
    Separate([Parameter; 3]),
}

impl MultiheadAttention {
    /// A layer with PyTorch's default initialisation.
    ///
    /// # Errors
    /// If the heads do not divide the width or the heads of the key do not divide them.
    pub fn new(scope: &Scope, config: MultiheadAttentionConfig) -> Result<Self> {
        let MultiheadAttentionConfig { embed_dim, num_heads, kv_heads, dropout, bias, kdim, vdim } = config;
        let place = scope.path();
        require(num_heads > 0 && embed_dim % num_heads == 0 && embed_dim > 0, place, "num_heads", || {
            format!("is {num_heads}, which must divide the width {embed_dim}")
        })?;
        require(kv_heads > 0 && num_heads % kv_heads == 0, place, "kv_heads", || {
            format!("is {kv_heads}, which must divide the {num_heads} heads")
        })?;
        require((0.0..=1.0).contains(&dropout), place, "dropout", || format!("is {dropout}, not between 0 and 1"))?;
        let kv_width = embed_dim / num_heads * kv_heads;
        let xavier = Init::XavierUniform { gain: 1.0 };
        let weight = |name: &str, rows, columns| scope.parameter(name, &[rows, columns], xavier, Role::Weight);
        let projections = if kdim == embed_dim && vdim == embed_dim {
            Projections::Packed(weight("in_proj_weight", embed_dim + 2 * kv_width, embed_dim))
        } else {
            let query = weight("q_proj_weight", embed_dim, embed_dim);
            Projections::Separate([
                query,
                weight("k_proj_weight", kv_width, kdim),
                weight("v_proj_weight", kv_width, vdim),
            ])
        };
        let in_proj_bias =
            bias.then(|| scope.parameter("in_proj_bias", &[embed_dim + 2 * kv_width], Init::Zeros, Role::NoDecay));
        let out = scope.child("out_proj");
        let out_proj = if bias {
            // Declared first: a bias that starts at zero, unlike other linear layers'.
            out.parameter("weight", &[embed_dim, embed_dim], Init::default_weight(), Role::Weight);
            out.parameter("bias", &[embed_dim], Init::Zeros, Role::NoDecay);
            Linear::new(&out, embed_dim, embed_dim)
        } else {
            Linear::without_bias(&out, embed_dim, embed_dim, Init::default_weight())
        };
        Ok(MultiheadAttention { path: scope.path().to_string(), config, projections, in_proj_bias, out_proj })
    }

    /// Attention of `query` `[batch, T, embed_dim]` over `key` `[batch, S, kdim]` and `value` `[batch, S, vdim]`; gives
    /// `[batch, T, embed_dim]`.
    ///
    /// # Errors
    /// If shapes or types do not fit, naming the layer.
    pub fn attend(&self, query: &Tensor, key: &Tensor, value: &Tensor, mask: &AttentionMask) -> Result<Tensor> {
        query.tracer().in_layer(&self.path, || {
            let result = match self.project(query, key, value)? {
                Projected::Packed(all) => all.self_attention(self.config.kv_heads, &self.options(query, mask)?)?,
                Projected::Separate([q, k, v]) => q.attention(&k, &v, &self.options(query, mask)?)?,
            };
            self.finish(query, &result)
        })
    }

    /// As [`MultiheadAttention::attend`], with the weights `[batch, heads, T, S]`, as PyTorch's `need_weights` with
    /// `average_attn_weights=False`; they are computed a second time and written.
    ///
    /// # Errors
    /// As [`MultiheadAttention::attend`].
    pub fn attend_with_weights(
        &self,
        query: &Tensor,
        key: &Tensor,
        value: &Tensor,
        mask: &AttentionMask,
    ) -> Result<(Tensor, Tensor)> {
        query.tracer().in_layer(&self.path, || {
            let projected = self.project(query, key, value)?;
            let options = self.options(query, mask)?;
            let (result, weights) = match projected {
                Projected::Packed(all) => all.self_attention_with_weights(self.config.kv_heads, &options)?,
                Projected::Separate([q, k, v]) => q.attention_with_weights(&k, &v, &options)?,
            };
            Ok((self.finish(query, &result)?, weights))
        })
    }

    fn options(&self, query: &Tensor, mask: &AttentionMask) -> Result<AttentionOptions> {
        let learns = query.tracer().mode() == Mode::Train;
        mask.options(query.shape().dims()[0], self.config.num_heads, if learns { self.config.dropout } else { 0.0 })
    }

    fn project(&self, query: &Tensor, key: &Tensor, value: &Tensor) -> Result<Projected> {
        let tracer = query.tracer();
        let MultiheadAttentionConfig { embed_dim, num_heads, kv_heads, kdim, vdim, .. } = self.config;
        let width = embed_dim / num_heads;
        for (what, x, expected) in [("query", query, embed_dim), ("key", key, kdim), ("value", value, vdim)] {
            if x.shape().rank() != 3 || x.shape().fixed(2) != Some(expected) {
                let problem = format!("the {what} must be [batch, length, {expected}], not {}", x.shape());
                return Err(x.error("multihead_attention", problem).into());
            }
        }
        let bias = self.in_proj_bias.as_ref().map(|bias| bias.on(tracer)).transpose()?;
        let heads = |x: Tensor, heads: usize| {
            let dims = x.shape().dims();
            x.reshape(vec![dims[0], dims[1], Dim::fixed(heads), Dim::fixed(width)])
        };
        let same = query.value() == key.value() && query.value() == value.value();
        if let (Projections::Packed(weight), true) = (&self.projections, same) {
            let product = query.matmul_with(&weight.on(tracer)?, false, true)?;
            let all = bias.map_or(Ok(product.clone()), |bias| product.add(&bias))?;
            return Ok(Projected::Packed(heads(all, num_heads + 2 * kv_heads)?));
        }
        let mut start = 0;
        let mut found = Vec::new();
        for (i, (x, count)) in [(query, num_heads), (key, kv_heads), (value, kv_heads)].into_iter().enumerate() {
            let rows = count * width;
            let weight = match &self.projections {
                Projections::Packed(weight) => weight.on(tracer)?.slice(0, start, rows)?,
                Projections::Separate(weights) => weights[i].on(tracer)?,
            };
            let mut y = x.matmul_with(&weight, false, true)?;
            if let Some(bias) = &bias {
                y = y.add(&bias.slice(0, start, rows)?)?;
            }
            found.push(heads(y, count)?);
            start += rows;
        }
        let [q, k, v] = <[Tensor; 3]>::try_from(found).unwrap_or_else(|_| unreachable!("three projections"));
        Ok(Projected::Separate([q, k, v]))
    }

    fn finish(&self, query: &Tensor, result: &Tensor) -> Result<Tensor> {
        self.out_proj.forward(&result.reshape(query.shape().clone())?)
    }
}

enum Projected {
    Packed(Tensor),
    Separate([Tensor; 3]),
}

/// Attention of a sequence within itself, without masks.
impl Module for MultiheadAttention {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.attend(x, x, x, &AttentionMask::default())
    }
}
