use std::f64::consts::LN_2;

use deepfit_graph::ops::RelativeBuckets;
use deepfit_graph::{Dim, HostTensor, Tensor, Tracer};

use crate::declaration::{Parameter, Role, check_table};
use crate::error::{Result, require};
use crate::init::Init;
use crate::layers::Dropout;
use crate::module::Module;
use crate::scope::Scope;

/// Rows of a table `[positions, width]` for the positions along an axis: `[length, width]`.
fn rows_for(table: &Tensor, length: Dim) -> Result<Tensor> {
    let most = table.shape().fixed(0).unwrap_or(usize::MAX);
    if let Some(length) = length.as_fixed().filter(|&length| length > most) {
        let problem = format!("the sequence has {length} positions, but the table {most}");
        return Err(table.error("positions", problem).into());
    }
    Ok(table.embedding(&table.tracer().arange(length)?)?)
}

/// The length of a sequence `[batch, length, ...]`.
fn length_of(x: &Tensor) -> Result<Dim> {
    match x.shape().dims() {
        &[_, length, _, ..] => Ok(length),
        _ => Err(x.error("positions", format!("needs [batch, length, ...], not {}", x.shape())).into()),
    }
}

/// Checks that a sequence is `[batch, length, width]`: anything else would be repeated, not added to.
fn check_width(x: &Tensor, width: usize) -> Result<()> {
    if x.shape().rank() == 3 && x.shape().fixed(2) == Some(width) {
        return Ok(());
    }
    let problem = format!("positions of width {width} need sequences [batch, length, {width}], not {}", x.shape());
    Err(x.error("positions", problem).into())
}

/// A learned vector for each position, added to the sequence: `weight [positions, width]`, normal with deviation 0.02 at
/// first.
///
/// `[batch, T, width]` with `T` up to the number of positions keeps its shape; a longer one is an error.
#[derive(Debug, Clone)]
pub struct LearnedPositions {
    path: String,
    weight: Parameter,
}

impl LearnedPositions {
    /// A table `weight [positions, width]` for so many positions.
    pub fn new(scope: &Scope, positions: usize, width: usize) -> Self {
        let weight = scope.parameter("weight", &[positions, width], Init::Normal { std: 0.02 }, Role::Weight);
        LearnedPositions { path: scope.place("learned_positions"), weight }
    }
}

impl Module for LearnedPositions {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.tracer().in_layer(&self.path, || {
            check_width(x, self.weight.shape[1])?;
            Ok(x.add(&rows_for(&self.weight.on(x.tracer())?, length_of(x)?)?)?)
        })
    }
}

/// Sines and cosines of the position, added to the sequence, then dropout (Vaswani et al., 2017): column `2 i` is
/// `sin(position / 10000^(2 i / width))` and column `2 i + 1` the cosine.
///
/// `[batch, T, width]` with `T` up to the number of positions keeps its shape; a longer one is an error.
#[derive(Debug, Clone)]
pub struct SinusoidalPositions {
    path: String,
    positions: usize,
    width: usize,
    dropout: Dropout,
}

impl SinusoidalPositions {
    /// An encoding of up to so many positions, with dropout of the sum, a probability from 0 to 1, in training.
    pub fn new(scope: &Scope, positions: usize, width: usize, dropout: f32) -> Self {
        let dropout = Dropout::new(&scope.child("dropout"), dropout);
        SinusoidalPositions { path: scope.place("sinusoidal_positions"), positions, width, dropout }
    }

    /// The table `[positions, width]`, row by row. Of more than 4 GB there is none.
    pub fn table(&self) -> Vec<f32> {
        if check_table(&self.path, &[self.positions, self.width]).is_err() {
            return Vec::new();
        }
        let value = |position: usize, column: usize| {
            let angle = angle(position, column / 2, self.width, 10_000.0);
            if column.is_multiple_of(2) { angle.sin() } else { angle.cos() }
        };
        let row = |position| (0..self.width).map(move |column| value(position, column) as f32);
        (0..self.positions).flat_map(row).collect()
    }
}

/// How far pair `pair` of a vector of the given width has turned at a position.
fn angle(position: usize, pair: usize, width: usize, base: f64) -> f64 {
    position as f64 * base.powf(-2.0 * pair as f64 / width as f64)
}

impl Module for SinusoidalPositions {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let tracer = x.tracer();
        tracer.in_layer(&self.path, || {
            check_width(x, self.width)?;
            check_table(&self.path, &[self.positions, self.width])?;
            let table = tracer.constant(HostTensor::f32(&[self.positions, self.width], self.table()));
            self.dropout.forward(&x.add(&rows_for(&table, length_of(x)?)?)?)
        })
    }
}

/// Which elements of a vector [`RotaryPositions`] turns together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RotaryPairs {
    /// Neighbours `2 i` and `2 i + 1`, as in the paper.
    Interleaved,
    /// `i` and `i + width / 2`, as GPT-NeoX and LLaMA store their weights.
    Halves,
}

/// Turns pairs of elements of queries and keys by an angle that grows with the position, so that their product depends on
/// the distance alone (Su et al., *RoFormer*, 2021).
///
/// `[batch, T, heads, d]` with `T` up to the number of positions keeps its shape; a longer one is an error. The first
/// `width` of the `d` elements turn, the others stay.
#[derive(Debug, Clone)]
pub struct RotaryPositions {
    path: String,
    positions: usize,
    /// By how much each pair turns from one position to the next.
    frequencies: Vec<f64>,
    pairs: RotaryPairs,
}

/// Cosines and sines for some positions, made once for all layers that turn by them.
#[derive(Debug, Clone)]
pub struct RotaryTurns {
    cos: Tensor,
    sin: Tensor,
}

impl RotaryPositions {
    /// An encoding of up to so many positions; `base` is 10000 in the paper.
    ///
    /// # Errors
    /// If the width is odd or the base not above 1.
    pub fn new(scope: &Scope, positions: usize, width: usize, base: f64, pairs: RotaryPairs) -> Result<Self> {
        let path = scope.place("rotary_positions");
        require(width.is_multiple_of(2) && width > 0, &path, "width", || {
            format!("is {width}, but pairs need an even number")
        })?;
        require(base > 1.0 && base.is_finite(), &path, "base", || format!("is {base}, but must be above 1"))?;
        Self::with_frequencies(scope, positions, Self::frequencies(width, base), pairs)
    }

    /// By how much each pair of a vector of the given width turns from one position to the next, in the paper.
    pub fn frequencies(width: usize, base: f64) -> Vec<f64> {
        (0..width / 2).map(|pair| angle(1, pair, width, base)).collect()
    }

    /// An encoding of up to so many positions in which pair `i` turns by `frequencies[i]` from one position to the next:
    /// what extends a model to longer texts changes these.
    ///
    /// # Errors
    /// If there are no frequencies, or some are not finite.
    pub fn with_frequencies(
        scope: &Scope,
        positions: usize,
        frequencies: Vec<f64>,
        pairs: RotaryPairs,
    ) -> Result<Self> {
        let path = scope.place("rotary_positions");
        require(!frequencies.is_empty(), &path, "frequencies", || {
            "are none, but there must be at least 1".to_string()
        })?;
        let bad = frequencies.iter().find(|frequency| !frequency.is_finite());
        require(bad.is_none(), &path, "frequencies", || format!("hold {}", bad.copied().unwrap_or_default()))?;
        Ok(RotaryPositions { path, positions, frequencies, pairs })
    }

    /// Number of elements that turn.
    fn width(&self) -> usize {
        2 * self.frequencies.len()
    }

    /// Cosines and sines for the given positions, i32 `[T]`, or `[batch, T]` where they differ.
    ///
    /// # Errors
    /// If the positions have other axes. One that is not below the number of positions stops the run with an error.
    pub fn turns(&self, positions: &Tensor) -> Result<RotaryTurns> {
        let tracer = positions.tracer();
        let table_of = |function: fn(f64) -> f64| -> Result<Tensor> {
            let mut dims = positions.shape().dims().to_vec();
            if !(1..=2).contains(&dims.len()) {
                let problem = format!("positions must be [T] or [batch, T], not {}", positions.shape());
                return Err(positions.error("rotary", problem).into());
            }
            let half = self.frequencies.len();
            check_table(&self.path, &[self.positions, half])?;
            let row = |position: usize| self.frequencies.iter().map(move |f| function(position as f64 * f) as f32);
            let table = HostTensor::f32(&[self.positions, half], (0..self.positions).flat_map(row).collect());
            let rows = tracer.constant(table).embedding(positions)?;
            dims.extend([Dim::fixed(1), Dim::fixed(half)]);
            Ok(rows.reshape(dims)?)
        };
        let rows_of = |function| tracer.in_layer(&self.path, || table_of(function));
        Ok(RotaryTurns { cos: rows_of(f64::cos)?, sin: rows_of(f64::sin)? })
    }

    /// Turns `x` `[batch, T, heads, d]`, whose steps are those of the positions.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn turn(&self, x: &Tensor, turns: &RotaryTurns) -> Result<Tensor> {
        x.tracer().in_layer(&self.path, || {
            let (&[batch, length, heads, d], half) = (x.shape().dims(), self.frequencies.len()) else {
                return Err(x.error("rotary", format!("needs [batch, length, heads, d], not {}", x.shape())).into());
            };
            let Some(rest) = d.as_fixed().and_then(|d| d.checked_sub(self.width())) else {
                return Err(x
                    .error("rotary", format!("cannot turn {} elements of {}", self.width(), x.shape()))
                    .into());
            };
            let turned = if rest == 0 { x.clone() } else { x.slice(3, 0, self.width())? };
            let RotaryTurns { cos, sin } = turns;
            let shape = |last: [usize; 2]| vec![batch, length, heads, last[0].into(), last[1].into()];
            let (split, axis) = match self.pairs {
                RotaryPairs::Interleaved => (shape([half, 2]), 4),
                RotaryPairs::Halves => (shape([2, half]), 3),
            };
            let pairs = turned.reshape(split)?;
            let part = |i| pairs.slice(axis, i, 1)?.reshape(vec![batch, length, heads, half.into()]);
            let (a, b) = (part(0)?, part(1)?);
            let first = a.mul(cos)?.sub(&b.mul(sin)?)?;
            let second = b.mul(cos)?.add(&a.mul(sin)?)?;
            let one = if axis == 4 { shape([half, 1]) } else { shape([1, half]) };
            let both = first.reshape(one.clone())?.concat(&[&second.reshape(one)?], axis)?;
            let both = both.reshape(vec![batch, length, heads, self.width().into()])?;
            if rest == 0 { Ok(both) } else { Ok(both.concat(&[&x.slice(3, self.width(), rest)?], 3)?) }
        })
    }
}

impl Module for RotaryPositions {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let length = length_of(x)?;
        if let Some(length) = length.as_fixed().filter(|&length| length > self.positions) {
            let problem = format!("the sequence has {length} positions, but the table {}", self.positions);
            return Err(x.error("positions", problem).into());
        }
        let positions = x.tracer().in_layer(&self.path, || x.tracer().arange(length))?;
        self.turn(x, &self.turns(&positions)?)
    }
}

/// A learned number for each head and bucket of distances, the bias of T5's attention (Raffel et al., 2020):
/// `weight [buckets, heads]`.
#[derive(Debug, Clone)]
pub struct RelativePositionBias {
    path: String,
    weight: Parameter,
    buckets: usize,
    max_distance: usize,
    bidirectional: bool,
}

impl RelativePositionBias {
    /// T5's 32 buckets up to distance 128, standard normal at first; `bidirectional` in encoders, where keys behind the
    /// query are seen.
    pub fn new(scope: &Scope, heads: usize, bidirectional: bool) -> Self {
        Self::with(scope, heads, 32, 128, bidirectional)
    }

    /// With other buckets; see [`RelativeBuckets`] for what is possible.
    pub fn with(scope: &Scope, heads: usize, buckets: usize, max_distance: usize, bidirectional: bool) -> Self {
        let weight = scope.parameter("weight", &[buckets, heads], Init::Normal { std: 1.0 }, Role::NoDecay);
        RelativePositionBias {
            path: scope.place("relative_position_bias"),
            weight,
            buckets,
            max_distance,
            bidirectional,
        }
    }

    /// The bias `[heads, queries, keys]`, for [`AttentionMask::bias`](crate::layers::AttentionMask::bias).
    ///
    /// # Errors
    /// If the buckets are impossible.
    pub fn bias(&self, tracer: &Tracer, queries: Dim, keys: Dim) -> Result<Tensor> {
        tracer.in_layer(&self.path, || {
            let heads = self.weight.shape[1];
            require(heads > 0, &self.path, "heads", || "is 0, but must be at least 1".to_string())?;
            let (buckets, max_distance, bidirectional) = (self.buckets, self.max_distance, self.bidirectional);
            let op = RelativeBuckets { queries, keys, buckets, max_distance, bidirectional };
            let numbers = tracer.apply_one(op, &[])?;
            Ok(self.weight.on(tracer)?.embedding(&numbers)?.permute(&[2, 0, 1])?)
        })
    }
}

/// A penalty of distance with a slope for each head (Press, Smith and Lewis, *ALiBi*, 2022): the bias `[heads, T, S]`
/// that subtracts `slope |i - j|`.
///
/// The slopes of `n` heads, a power of two, are `2^(-8 / n)`, its square, its cube, ...; other numbers take the missing
/// ones from twice as many heads, every second one.
///
/// # Errors
/// If there are no heads.
pub fn alibi_bias(tracer: &Tracer, heads: usize, queries: Dim, keys: Dim) -> Result<Tensor> {
    require(heads > 0, "alibi", "heads", || "is 0, but must be at least 1".to_string())?;
    check_table("alibi", &[heads])?;
    let slopes = alibi_slopes(heads);
    let slopes = tracer.constant(HostTensor::f32(&[heads, 1, 1], slopes.iter().map(|s| -s).collect()));
    let rows = tracer.arange(queries)?.to_f32()?.reshape(vec![queries, Dim::fixed(1)])?;
    let distance = tracer.arange(keys)?.to_f32()?.sub(&rows)?.abs()?;
    Ok(slopes.mul(&distance)?)
}

/// The slope of each head.
fn alibi_slopes(heads: usize) -> Vec<f32> {
    let of_power = |n: usize| (1..=n).map(move |i| (-8.0 * i as f64 / n as f64 * LN_2).exp() as f32);
    let power = 1 << heads.ilog2();
    of_power(power).chain(of_power(2 * power).step_by(2)).take(heads).collect()
}
