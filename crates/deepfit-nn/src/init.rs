//! First values of parameters.

use deepfit_graph::philox::Stream;

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
}

/// Gain of a rectifier.
pub const RELU_GAIN: f32 = std::f32::consts::SQRT_2;

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

    /// The values of a parameter: a function of seed and name alone.
    pub fn values(&self, seed: u64, name: &str, shape: &[usize]) -> Vec<f32> {
        let n = shape.iter().product();
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
        }
    }
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
    let window: usize = shape.iter().skip(2).product();
    let fan = |axis: usize| (shape.get(axis).copied().unwrap_or(1) * window).max(1) as f32;
    (fan(1), fan(0))
}
