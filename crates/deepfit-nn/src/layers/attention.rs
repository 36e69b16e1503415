use deepfit_graph::ops::AttentionOptions;
use deepfit_graph::{Dim, Mode, Tensor};

use super::attention_mask::{AttentionMask, ExtraKeys};
use crate::declaration::{Parameter, Role};
use crate::error::{Result, require};
use crate::init::Init;
use crate::layers::Linear;
use crate::low_rank::Adapter;
use crate::module::Module;
use crate::scope::Scope;

/// Sizes and options of a [`MultiheadAttention`].
#[derive(Debug, Clone, PartialEq)]
pub struct MultiheadAttentionConfig {
    /// Width of query and result, a multiple of the number of heads.
    pub embed_dim: usize,
    /// Number of heads.
    pub num_heads: usize,
    /// Number of heads of key and value, which divides the number of heads; the same number, as in PyTorch, unless
    /// queries share keys in groups (Ainslie et al., 2023).
    pub kv_heads: usize,
    /// Probability, 0 to 1, that a weight is dropped in training; 0 by default.
    pub dropout: f32,
    /// Whether the projections have biases; they have by default.
    pub bias: bool,
    /// Whether a learned key and value stand behind those given, seen by every query; their number must then be fixed. By
    /// default they do not.
    pub add_bias_kv: bool,
    /// Whether a key and a value of zeros stand behind those given, seen by every query; their number must then be
    /// fixed. By default they do not.
    pub add_zero_attn: bool,
    /// Width of the key's input; that of the query by default.
    pub kdim: usize,
    /// Width of the value's input; that of the query by default.
    pub vdim: usize,
    /// Whether query, key, value and result are `[batch, length, width]`, as by default; else they are
    /// `[length, batch, width]`, PyTorch's default.
    pub batch_first: bool,
}

impl MultiheadAttentionConfig {
    /// PyTorch's defaults, but with the batch first: everything `embed_dim` wide, with biases of the projections, without
    /// dropout and other keys.
    pub fn new(embed_dim: usize, num_heads: usize) -> Self {
        MultiheadAttentionConfig {
            embed_dim,
            num_heads,
            kv_heads: num_heads,
            dropout: 0.0,
            bias: true,
            add_bias_kv: false,
            add_zero_attn: false,
            kdim: embed_dim,
            vdim: embed_dim,
            batch_first: true,
        }
    }
}

/// Attention of several heads between projections (Vaswani et al., 2017), as PyTorch's `nn.MultiheadAttention`; its
/// default is `batch_first=True`.
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
    /// The learned key and value behind those given.
    bias_kv: Option<[Parameter; 2]>,
}

#[derive(Debug, Clone)]
enum Projections {
    Packed(Parameter, Option<Adapter>),
    Separate([Parameter; 3]),
}

impl MultiheadAttention {
    /// A layer with PyTorch's names, shapes and default initialisation: `in_proj_weight [3 * embed_dim, embed_dim]` or
    /// `q_proj_weight [embed_dim, embed_dim]`, `k_proj_weight [embed_dim, kdim]` and `v_proj_weight [embed_dim, vdim]`,
    /// `in_proj_bias [3 * embed_dim]`, `out_proj.weight [embed_dim, embed_dim]`, `out_proj.bias [embed_dim]`, `bias_k`
    /// and `bias_v` `[1, 1, embed_dim]`. Key and value are narrower where there are fewer key heads.
    ///
    /// # Errors
    /// If the heads do not divide the width or the heads of the key do not divide them.
    pub fn new(scope: &Scope, config: MultiheadAttentionConfig) -> Result<Self> {
        let MultiheadAttentionConfig { embed_dim, num_heads, kv_heads, dropout, bias, kdim, vdim, .. } = config;
        let place = &scope.place("multihead_attention");
        require(num_heads > 0 && embed_dim % num_heads == 0 && embed_dim > 0, place, "num_heads", || {
            format!("is {num_heads}, which must divide the width {embed_dim}")
        })?;
        require(kv_heads > 0 && num_heads % kv_heads == 0, place, "kv_heads", || {
            format!("is {kv_heads}, which must divide the {num_heads} heads")
        })?;
        require((0.0..=1.0).contains(&dropout), place, "dropout", || format!("is {dropout}, not between 0 and 1"))?;
        let kv_width = embed_dim / num_heads * kv_heads;
        let all = kv_width.saturating_mul(2).saturating_add(embed_dim);
        let xavier = Init::XavierUniform { gain: 1.0 };
        let weight = |name: &str, rows, columns| scope.parameter(name, &[rows, columns], xavier, Role::Weight);
        let projections = if kdim == embed_dim && vdim == embed_dim {
            let packed = weight("in_proj_weight", all, embed_dim);
            Projections::Packed(packed, Adapter::new(scope, "in_proj_weight", all, embed_dim))
        } else {
            let query = weight("q_proj_weight", embed_dim, embed_dim);
            Projections::Separate([
                query,
                weight("k_proj_weight", kv_width, kdim),
                weight("v_proj_weight", kv_width, vdim),
            ])
        };
        let in_proj_bias = bias.then(|| scope.parameter("in_proj_bias", &[all], Init::Zeros, Role::NoDecay));
        let out = scope.child("out_proj");
        let out_proj = if bias {
            // Declared first: a bias that starts at zero, unlike other linear layers'.
            out.parameter("weight", &[embed_dim, embed_dim], Init::default_weight(), Role::Weight);
            out.parameter("bias", &[embed_dim], Init::Zeros, Role::NoDecay);
            Linear::new(&out, embed_dim, embed_dim)
        } else {
            Linear::without_bias(&out, embed_dim, embed_dim, Init::default_weight())
        };
        let normal = Init::XavierNormal { gain: 1.0 };
        let beside = |name| scope.parameter(name, &[1, 1, kv_width], normal, Role::NoDecay);
        let bias_kv = config.add_bias_kv.then(|| [beside("bias_k"), beside("bias_v")]);
        Ok(MultiheadAttention { path: place.clone(), config, projections, in_proj_bias, out_proj, bias_kv })
    }

    /// Attention of `query` `[batch, T, embed_dim]` over `key` `[batch, S, kdim]` and `value` `[batch, S, vdim]`; gives
    /// `[batch, T, embed_dim]`. Without [`MultiheadAttentionConfig::batch_first`] the first two axes are exchanged.
    ///
    /// # Errors
    /// If shapes or types do not fit, naming the layer.
    pub fn attend(&self, query: &Tensor, key: &Tensor, value: &Tensor, mask: &AttentionMask) -> Result<Tensor> {
        query.tracer().in_layer(&self.path, || {
            let given = self.arranged([query, key, value])?;
            let options = self.options(&given, mask)?;
            let result = match self.project(&given)? {
                Projected::Packed(all) => all.self_attention(self.config.kv_heads, &options)?,
                Projected::Separate([q, k, v]) => q.attention(&k, &v, &options)?,
            };
            self.finish(&given[0], &result)
        })
    }

    /// As [`MultiheadAttention::attend`], with the weights `[batch, heads, T, S]`, as PyTorch's `need_weights` with
    /// `average_attn_weights=False`; they are computed a second time and written. Keys behind those given come last.
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
            let given = self.arranged([query, key, value])?;
            let options = self.options(&given, mask)?;
            let (result, weights) = match self.project(&given)? {
                Projected::Packed(all) => all.self_attention_with_weights(self.config.kv_heads, &options)?,
                Projected::Separate([q, k, v]) => q.attention_with_weights(&k, &v, &options)?,
            };
            Ok((self.finish(&given[0], &result)?, weights))
        })
    }

    /// Query, key and value with the batch first, after a check of their axes. What is one tensor stays one.
    fn arranged(&self, given: [&Tensor; 3]) -> Result<[Tensor; 3]> {
        let MultiheadAttentionConfig { embed_dim, kdim, vdim, batch_first, .. } = self.config;
        for ((what, x), expected) in ["query", "key", "value"].iter().zip(given).zip([embed_dim, kdim, vdim]) {
            if x.shape().rank() != 3 || x.shape().fixed(2) != Some(expected) {
                let axes = if batch_first { "batch, length" } else { "length, batch" };
                let problem = format!("the {what} must be [{axes}, {expected}], not {}", x.shape());
                return Err(x.error("multihead_attention", problem).into());
            }
        }
        let [query, key, value] = given;
        if batch_first {
            return Ok([query.clone(), key.clone(), value.clone()]);
        }
        let turned = |x: &Tensor| x.permute(&[1, 0, 2]);
        let q = turned(query)?;
        let k = if key.value() == query.value() { q.clone() } else { turned(key)? };
        let v = if value.value() == query.value() {
            q.clone()
        } else if value.value() == key.value() {
            k.clone()
        } else {
            turned(value)?
        };
        Ok([q, k, v])
    }

    /// Number of keys behind those given.
    fn extra(&self) -> usize {
        usize::from(self.config.add_bias_kv) + usize::from(self.config.add_zero_attn)
    }

    fn options(&self, [query, key, _]: &[Tensor; 3], mask: &AttentionMask) -> Result<AttentionOptions> {
        let learns = query.tracer().mode() == Mode::Train;
        let dropout = if learns { self.config.dropout } else { 0.0 };
        let (dims, heads) = (query.shape().dims(), self.config.num_heads);
        match self.extra() {
            0 => mask.options(dims[0], heads, dropout),
            extra => {
                let Some(keys) = key.shape().fixed(1) else {
                    let problem = format!("needs a fixed number of keys for those behind them, not {}", key.shape());
                    return Err(key.error("multihead_attention", problem).into());
                };
                let beside = ExtraKeys { layer: &self.path, keys, extra };
                mask.options_with(query.tracer(), [dims[0], dims[1]], beside, heads, dropout)
            }
        }
    }

    fn project(&self, given: &[Tensor; 3]) -> Result<Projected> {
        let [query, key, value] = given;
        let tracer = query.tracer();
        let MultiheadAttentionConfig { embed_dim, num_heads, kv_heads, .. } = self.config;
        let width = embed_dim / num_heads;
        let bias = self.in_proj_bias.as_ref().map(|bias| bias.on(tracer)).transpose()?;
        let heads = |x: Tensor, heads: usize| {
            let dims = x.shape().dims();
            x.reshape(vec![dims[0], dims[1], Dim::fixed(heads), Dim::fixed(width)])
        };
        let same = query.value() == key.value() && query.value() == value.value() && self.extra() == 0;
        if let (Projections::Packed(weight, adapter), true) = (&self.projections, same) {
            let mut product = query.matmul_with(&weight.on(tracer)?, false, true)?;
            if let Some(adapter) = adapter {
                product = product.add(&adapter.on(query)?)?;
            }
            let all = bias.map_or(Ok(product.clone()), |bias| product.add(&bias))?;
            return Ok(Projected::Packed(heads(all, num_heads + 2 * kv_heads)?));
        }
        let mut start = 0;
        let mut found = Vec::new();
        for (i, (x, count)) in given.iter().zip([num_heads, kv_heads, kv_heads]).enumerate() {
            let rows = count * width;
            let weight = match &self.projections {
                Projections::Packed(weight, adapter) => {
                    let mut weight = weight.on(tracer)?;
                    if let Some(adapter) = adapter {
                        weight = weight.add(&adapter.weight(x)?)?;
                    }
                    weight.slice(0, start, rows)?
                }
                Projections::Separate(weights) => weights[i].on(tracer)?,
            };
            let mut y = x.matmul_with(&weight, false, true)?;
            if let Some(bias) = &bias {
                y = y.add(&bias.slice(0, start, rows)?)?;
            }
            if let Some(i) = i.checked_sub(1) {
                y = self.with_extra(&y, i)?;
            }
            found.push(heads(y, count)?);
            start += rows;
        }
        let [q, k, v] = <[Tensor; 3]>::try_from(found).unwrap_or_else(|_| unreachable!("three projections"));
        Ok(Projected::Separate([q, k, v]))
    }

    /// Projected keys (0) or values (1) `[batch, S, width]` with what stands behind them.
    fn with_extra(&self, given: &Tensor, which: usize) -> Result<Tensor> {
        let (tracer, dims) = (given.tracer(), given.shape().dims());
        let one = vec![dims[0], 1.into(), dims[2]];
        let mut all = given.clone();
        if let Some(learned) = &self.bias_kv {
            all = all.concat(&[&learned[which].on(tracer)?.broadcast_to(one.clone())?], 1)?;
        }
        if self.config.add_zero_attn {
            all = all.concat(&[&tracer.scalar(0.0).broadcast_to(one)?], 1)?;
        }
        Ok(all)
    }

    fn finish(&self, query: &Tensor, result: &Tensor) -> Result<Tensor> {
        let result = self.out_proj.forward(&result.reshape(query.shape().clone())?)?;
        Ok(if self.config.batch_first { result } else { result.permute(&[1, 0, 2])? })
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
