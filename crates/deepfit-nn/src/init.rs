//! First values of parameters.

use deepfit_graph::ops::UnaryKind;
use deepfit_graph::philox::Stream;

use crate::declaration::{check_size, product};
use crate::error::{Result, require};

/// Which side of a weight its scale is fitted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fan {
    /// Number of inputs of each output: the forward values keep their size.
    In,
    /// Number of outputs that each input reaches: the gradients keep their size.
    Out,
}

/// How the first values of a parameter are drawn.
///
/// Weights are `[out, in]` or `[out, in / groups, height, width]`; their fan is counted as PyTorch counts it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// Zero.
    Zeros,
    /// One.
    Ones,
    /// One value everywhere.
    Constant(f32),
    /// Uniform in `-bound..bound`.
    Uniform {
        /// Largest absolute value.
        bound: f32,
    },
    /// Normal with mean 0.
    Normal {
        /// Standard deviation.
        std: f32,
    },
    /// Normal with mean 0, but one row of zeros: a table with a padding row.
    NormalButRow {
        /// Standard deviation.
        std: f32,
        /// The row of zeros; none if it does not exist.
        row: usize,
    },
    /// Normal with mean 0, drawn again while further than two standard deviations away.
    TruncatedNormal {
        /// Standard deviation before the cut.
        std: f32,
    },
    /// Uniform with standard deviation `gain / sqrt(fan)` (He et al., 2015).
    KaimingUniform {
        /// Which fan.
        fan: Fan,
        /// Gain of the activation that follows: `sqrt(2)` for rectifiers.
        gain: f32,
    },
    /// Normal with standard deviation `gain / sqrt(fan)` (He et al., 2015).
    KaimingNormal {
        /// Which fan.
        fan: Fan,
        /// Gain of the activation that follows: `sqrt(2)` for rectifiers.
        gain: f32,
    },
    /// Uniform with standard deviation `gain * sqrt(2 / (fan in + fan out))` (Glorot and Bengio, 2010).
    XavierUniform {
        /// Gain of the activation that follows: 1 for none.
        gain: f32,
    },
    /// Normal with standard deviation `gain * sqrt(2 / (fan in + fan out))` (Glorot and Bengio, 2010).
    XavierNormal {
        /// Gain of the activation that follows: 1 for none.
        gain: f32,
    },
    /// Uniform between two numbers.
    UniformBetween {
        /// The smallest value.
        low: f32,
        /// What every value is below.
        high: f32,
    },
    /// Normal around a mean.
    NormalAround {
        /// The mean.
        mean: f32,
        /// Standard deviation.
        std: f32,
    },
    /// Normal around a mean, cut at two numbers, as PyTorch's `trunc_normal_`.
    TruncatedNormalBetween {
        /// The mean before the cut.
        mean: f32,
        /// Standard deviation before the cut.
        std: f32,
        /// The smallest value.
        low: f32,
        /// The largest value.
        high: f32,
    },
    /// Rows, or if there are more rows than columns columns, of length `gain` at right angles (Saxe et al., 2014); axes
    /// after the first count as columns.
    Orthogonal {
        /// Length of each row or column.
        gain: f32,
    },
    /// Normal with mean 0, but in each column a share of zeros (Martens, 2010). Two axes.
    Sparse {
        /// Share of zeros in each column, 0 to 1, rounded up to whole elements.
        sparsity: f32,
        /// Standard deviation of the others.
        std: f32,
    },
    /// A convolution that passes its input on: output channel `i` of each group is input channel `i`. Three to five axes.
    Dirac {
        /// Number of groups, which divides the first axis.
        groups: usize,
    },
    /// The identity. Two axes.
    Eye,
}

/// Gain of a rectifier.
pub const RELU_GAIN: f32 = std::f32::consts::SQRT_2;

/// What follows a weight, for its gain.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Nonlinearity {
    /// Nothing, or a sigmoid.
    Linear,
    /// Hyperbolic tangent.
    Tanh,
    /// A rectifier.
    Relu,
    /// A rectifier with this slope below 0.
    LeakyRelu(f32),
    /// SELU.
    Selu,
}

/// The gain that keeps values at their size through a nonlinearity, as PyTorch's `calculate_gain`.
pub fn gain(nonlinearity: Nonlinearity) -> f32 {
    match nonlinearity {
        Nonlinearity::Linear => 1.0,
        Nonlinearity::Tanh => 5.0 / 3.0,
        Nonlinearity::Relu => RELU_GAIN,
        Nonlinearity::LeakyRelu(slope) => (2.0 / (1.0 + slope * slope)).sqrt(),
        Nonlinearity::Selu => 0.75,
    }
}

impl Init {
    /// PyTorch's default for weights of linear layers and convolutions: `kaiming_uniform` with `a = sqrt(5)`, which is
    /// uniform within `1 / sqrt(fan in)`.
    pub fn default_weight() -> Self {
        Init::KaimingUniform { fan: Fan::In, gain: (1.0f32 / 3.0).sqrt() }
    }

    /// PyTorch's default for biases of linear layers and convolutions: uniform within `1 / sqrt(fan in)` of the weight.
    pub fn default_bias(fan_in: usize) -> Self {
        Init::Uniform { bound: 1.0 / (fan_in.max(1) as f32).sqrt() }
    }

    /// Whether a parameter of this shape can be initialised so.
    ///
    /// # Errors
    /// If a setting is out of range, or the shape has the wrong number of axes: what depends on the numbers of inputs and
    /// outputs needs two. `name` is that of the parameter.
    pub fn validate(&self, name: &str, shape: &[usize]) -> Result<()> {
        let axes = |setting: &str, allowed: std::ops::RangeInclusive<usize>| {
            require(allowed.contains(&shape.len()), name, setting, || {
                format!("needs {} to {} axes, but the shape is {shape:?}", allowed.start(), allowed.end())
            })
        };
        let size = |setting: &str, value: f32| {
            require(value.is_finite() && value >= 0.0, name, setting, || {
                format!("is {value}, but must not be negative")
            })
        };
        match *self {
            Init::Zeros | Init::Ones | Init::Constant(_) => Ok(()),
            Init::Uniform { bound } => size("bound", bound),
            Init::Normal { std }
            | Init::NormalButRow { std, .. }
            | Init::TruncatedNormal { std }
            | Init::NormalAround { std, .. } => size("std", std),
            Init::KaimingUniform { gain, .. }
            | Init::KaimingNormal { gain, .. }
            | Init::XavierUniform { gain }
            | Init::XavierNormal { gain } => {
                size("gain", gain)?;
                require(shape.len() >= 2, name, "init", || {
                    format!("counts inputs and outputs, but a shape of {shape:?} has less than 2 axes")
                })
            }
            Init::UniformBetween { low, high } => {
                require(low <= high, name, "low", || format!("is {low}, but must be at most {high}"))
            }
            Init::TruncatedNormalBetween { std, low, high, .. } => {
                size("std", std)?;
                require(low < high, name, "low", || format!("is {low}, but must be below {high}"))
            }
            Init::Orthogonal { gain } => {
                size("gain", gain)?;
                require(shape.len() >= 2, name, "orthogonal", || {
                    format!("needs at least 2 axes, but the shape is {shape:?}")
                })
            }
            Init::Sparse { sparsity, std } => {
                size("std", std)?;
                require((0.0..=1.0).contains(&sparsity), name, "sparsity", || {
                    format!("is {sparsity}, but must be between 0 and 1")
                })?;
                axes("sparse", 2..=2)
            }
            Init::Dirac { groups } => {
                axes("dirac", 3..=5)?;
                require(groups > 0 && shape[0].is_multiple_of(groups), name, "groups", || {
                    format!("is {groups}, which does not divide the first axis of {shape:?}")
                })
            }
            Init::Eye => axes("eye", 2..=2),
        }
    }

    /// The values of a parameter: a function of seed and name alone.
    ///
    /// For a shape that [`Init::validate`] refuses, they are those of the nearest shape that it takes; for more than
    /// [`MOST_BYTES`](crate::MOST_BYTES) there are none.
    pub fn values(&self, seed: u64, name: &str, shape: &[usize]) -> Vec<f32> {
        if check_size(name, shape).is_err() {
            return Vec::new();
        }
        let n = product(shape);
        let mut stream = Stream::new(seed, name);
        let (fan_in, fan_out) = fans(shape);
        let of = |fan| if fan == Fan::In { fan_in } else { fan_out };
        let uniform = |mut stream: Stream, bound: f32| (0..n).map(|_| bound * (2.0 * stream.uniform() - 1.0)).collect();
        let normal = |mut stream: Stream, std: f32| (0..n).map(|_| std * stream.normal()).collect();
        let root3 = 3f32.sqrt();
        match *self {
            Init::Zeros => vec![0.0; n],
            Init::Ones => vec![1.0; n],
            Init::Constant(value) => vec![value; n],
            Init::Uniform { bound } => uniform(stream, bound),
            Init::Normal { std } => normal(stream, std),
            Init::NormalButRow { std, row } => {
                let mut values: Vec<f32> = normal(stream, std);
                let width = shape.iter().skip(1).product();
                values.iter_mut().skip(row.saturating_mul(width)).take(width).for_each(|v| *v = 0.0);
                values
            }
            Init::TruncatedNormal { std } => (0..n).map(|_| std * within_two(&mut stream)).collect(),
            Init::KaimingUniform { fan, gain } => uniform(stream, root3 * gain / of(fan).sqrt()),
            Init::KaimingNormal { fan, gain } => normal(stream, gain / of(fan).sqrt()),
            Init::XavierUniform { gain } => uniform(stream, root3 * gain * (2.0 / (fan_in + fan_out)).sqrt()),
            Init::XavierNormal { gain } => normal(stream, gain * (2.0 / (fan_in + fan_out)).sqrt()),
            Init::UniformBetween { low, high } => (0..n).map(|_| low + (high - low) * stream.uniform()).collect(),
            Init::NormalAround { mean, std } => (0..n).map(|_| mean + std * stream.normal()).collect(),
            Init::TruncatedNormalBetween { mean, std, low, high } => {
                let cut = Cut::new(f64::from(mean), f64::from(std), f64::from(low), f64::from(high));
                (0..n).map(|_| cut.draw(&mut stream)).collect()
            }
            Init::Orthogonal { gain } => orthogonal(&mut stream, shape, gain),
            Init::Sparse { sparsity, std } => sparse(&mut stream, shape, sparsity, std),
            Init::Dirac { groups } => dirac(shape, groups),
            Init::Eye => {
                let columns = shape.get(1).copied().unwrap_or(1).max(1);
                (0..n).map(|i| if i / columns == i % columns { 1.0 } else { 0.0 }).collect()
            }
        }
    }
}

/// A normal distribution between two numbers, drawn from by its inverse: one draw does, however much is cut off.
struct Cut {
    mean: f64,
    std: f64,
    low: f64,
    high: f64,
    /// The distribution function at both ends.
    share: (f64, f64),
}

impl Cut {
    fn new(mean: f64, std: f64, low: f64, high: f64) -> Self {
        let share = |x: f64| 0.5 * (1.0 + UnaryKind::Erf.eval((x - mean) / std.max(f64::MIN_POSITIVE) / 2f64.sqrt()));
        Cut { mean, std, low, high, share: (share(low), share(high)) }
    }

    fn draw(&self, stream: &mut Stream) -> f32 {
        let p = self.share.0 + f64::from(stream.uniform()) * (self.share.1 - self.share.0);
        (self.mean + self.std * normal_quantile(p)).clamp(self.low, self.high) as f32
    }
}

/// Where the standard normal distribution function is `p`, to nine digits: the rational functions of Acklam (2003).
fn normal_quantile(p: f64) -> f64 {
    const CENTRE: [f64; 6] = [
        -3.969_683_028_665_376e1,
        2.209_460_984_245_205e2,
        -2.759_285_104_469_687e2,
        1.383_577_518_672_69e2,
        -3.066_479_806_614_716e1,
        2.506_628_277_459_239,
    ];
    const CENTRE_BELOW: [f64; 6] = [
        -5.447_609_879_822_406e1,
        1.615_858_368_580_409e2,
        -1.556_989_798_598_866e2,
        6.680_131_188_771_972e1,
        -1.328_068_155_288_572e1,
        1.0,
    ];
    const TAIL: [f64; 6] = [
        -7.784_894_002_430_293e-3,
        -3.223_964_580_411_365e-1,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const TAIL_BELOW: [f64; 5] =
        [7.784_695_709_041_462e-3, 3.224_671_290_700_398e-1, 2.445_134_137_142_996, 3.754_408_661_907_416, 1.0];
    let polynomial = |coefficients: &[f64], x: f64| coefficients.iter().fold(0.0, |sum, c| sum * x + c);
    let p = p.clamp(1e-16, 1.0 - 1e-16);
    let tail = |p: f64| {
        let q = (-2.0 * p.ln()).sqrt();
        polynomial(&TAIL, q) / polynomial(&TAIL_BELOW, q)
    };
    if p < 0.02425 {
        tail(p)
    } else if p > 1.0 - 0.02425 {
        -tail(1.0 - p)
    } else {
        let q = p - 0.5;
        q * polynomial(&CENTRE, q * q) / polynomial(&CENTRE_BELOW, q * q)
    }
}

/// Normal rows made orthogonal by subtracting what they share, twice, since once leaves rounding errors.
fn orthogonal(stream: &mut Stream, shape: &[usize], gain: f32) -> Vec<f32> {
    let rows = shape.first().copied().unwrap_or(1);
    let columns = shape.iter().skip(1).product::<usize>();
    let (count, length) = (rows.min(columns), rows.max(columns));
    let mut basis: Vec<Vec<f64>> = Vec::with_capacity(count);
    while basis.len() < count {
        let mut vector: Vec<f64> = (0..length).map(|_| f64::from(stream.normal())).collect();
        for _ in 0..2 {
            for other in &basis {
                let share: f64 = vector.iter().zip(other).map(|(a, b)| a * b).sum();
                vector.iter_mut().zip(other).for_each(|(a, b)| *a -= share * b);
            }
        }
        let norm = vector.iter().map(|a| a * a).sum::<f64>().sqrt();
        // A vector within the space of the others is drawn again; that has no probability, but rounding has.
        if norm > 1e-6 {
            vector.iter_mut().for_each(|a| *a /= norm);
            basis.push(vector);
        }
    }
    let at = |row: usize, column: usize| if rows <= columns { basis[row][column] } else { basis[column][row] };
    let gain = f64::from(gain);
    (0..rows)
        .flat_map(|row| (0..columns).map(move |column| (row, column)))
        .map(|(r, c)| (gain * at(r, c)) as f32)
        .collect()
}

/// Normal values with the same number of zeros in each column, at places drawn for each.
fn sparse(stream: &mut Stream, shape: &[usize], sparsity: f32, std: f32) -> Vec<f32> {
    let columns = shape.get(1).copied().unwrap_or(1);
    let rows = shape.iter().product::<usize>() / columns.max(1);
    let zeros = ((f64::from(sparsity) * rows as f64).ceil() as usize).min(rows);
    let mut values: Vec<f32> = (0..rows * columns).map(|_| std * stream.normal()).collect();
    let mut order: Vec<usize> = (0..rows).collect();
    for column in 0..columns {
        for i in 0..zeros {
            let other = i + (stream.next_u32() as usize) % (rows - i);
            order.swap(i, other);
            values[order[i] * columns + column] = 0.0;
        }
    }
    values
}

/// One at the centre of the window where output and input channel are the same.
fn dirac(shape: &[usize], groups: usize) -> Vec<f32> {
    let inputs = shape.get(1).copied().unwrap_or(1);
    let window = shape.get(2..).unwrap_or_default();
    let size: usize = window.iter().product();
    let centre = window.iter().fold(0, |at, &length| at * length + length / 2);
    let outputs = shape.first().copied().unwrap_or(1);
    let mut values = vec![0.0; outputs * inputs * size];
    let in_group = (outputs / groups.max(1)).max(1);
    for output in 0..outputs {
        let channel = output % in_group;
        if channel < inputs && size > 0 {
            values[(output * inputs + channel) * size + centre] = 1.0;
        }
    }
    values
}

/// A standard normal number of absolute value at most 2.
fn within_two(stream: &mut Stream) -> f32 {
    loop {
        let value = stream.normal();
        if value.abs() <= 2.0 {
            return value;
        }
    }
}

/// Inputs of each output and outputs of each input, at least 1, as PyTorch counts them: the axes after the second are
/// places of a window.
fn fans(shape: &[usize]) -> (f32, f32) {
    let window = product(shape.get(2..).unwrap_or_default());
    let fan = |axis: usize| shape.get(axis).copied().unwrap_or(1).saturating_mul(window).max(1) as f32;
    (fan(1), fan(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quantile_inverts_the_distribution_function() {
        for i in 1..1000 {
            let p = f64::from(i) / 1000.0;
            let back = 0.5 * (1.0 + UnaryKind::Erf.eval(normal_quantile(p) / 2f64.sqrt()));
            assert!((back - p).abs() < 1e-9, "{p}: {back}");
        }
    }
}
