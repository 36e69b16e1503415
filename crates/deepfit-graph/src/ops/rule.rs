//! Element-wise optimisers as one operation: a rule says which short program turns a parameter, its gradient and its
//! state into their new values, and one kernel runs all of these programs in one pass.

use super::elementwise::{BinaryKind, UnaryKind};
use super::fused::{Instruction, Operand, Program};
use super::{floating, same_shape};
use crate::host::{HostTensor, Reference};
use crate::op::{Operation, ReferenceContext};
use crate::sample::{Sample, uniform};
use crate::shape::{Extents, TensorType};

/// Which optimiser an [`Update`] is a step of. Settings are PyTorch's, in f64.
///
/// `weight_decay` is added to the gradient as a share of the parameter, unless `decoupled`: then it shrinks the parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// RMSprop (Hinton, 2012; centred: Graves, 2013). State: square average, gradient average if `centered`, buffer with
    /// momentum.
    RmsProp {
        /// Share of the averages that stays.
        alpha: f64,
        /// Added to the root.
        epsilon: f64,
        /// Share of the buffer that stays; 0 for none.
        momentum: f64,
        /// Whether the gradient's variance is estimated, not its second moment.
        centered: bool,
        /// Weight decay.
        weight_decay: f64,
    },
    /// Adagrad (Duchi et al., 2011). State: sum of squares.
    Adagrad {
        /// The rate is divided by 1 plus this times the number of earlier steps.
        lr_decay: f64,
        /// What the sum of squares begins with.
        initial: f64,
        /// Added to the root.
        epsilon: f64,
        /// Weight decay.
        weight_decay: f64,
    },
    /// Adadelta (Zeiler, 2012). State: averages of squared gradients and of squared changes.
    Adadelta {
        /// Share of the averages that stays.
        rho: f64,
        /// Added within both roots.
        epsilon: f64,
        /// Weight decay.
        weight_decay: f64,
    },
    /// Adamax (Kingma and Ba, 2015). State: first moment, infinity norm.
    Adamax {
        /// Shares that stay.
        betas: (f64, f64),
        /// Added to each absolute gradient.
        epsilon: f64,
        /// Weight decay.
        weight_decay: f64,
    },
    /// NAdam (Dozat, 2016). State: both moments.
    NAdam {
        /// Shares that stay.
        betas: (f64, f64),
        /// Added to the root.
        epsilon: f64,
        /// How fast the momentum grows towards its final share.
        momentum_decay: f64,
        /// Weight decay.
        weight_decay: f64,
        /// Whether the decay shrinks the parameter itself.
        decoupled: bool,
    },
    /// RAdam (Liu et al., 2020). State: both moments.
    RAdam {
        /// Shares that stay.
        betas: (f64, f64),
        /// Added to the root.
        epsilon: f64,
        /// Weight decay.
        weight_decay: f64,
        /// Whether the decay shrinks the parameter itself.
        decoupled: bool,
    },
    /// Lion (Chen et al., 2023). State: first moment.
    Lion {
        /// Share of the moment in the direction, and share of it that stays.
        betas: (f64, f64),
        /// Weight decay, always decoupled.
        weight_decay: f64,
    },
    /// The direction of a step of LAMB (You et al., 2020). It changes both moments, but not the parameter: the length of
    /// the step depends on the norms of parameter and direction.
    LambDirection {
        /// Shares that stay.
        betas: (f64, f64),
        /// Added to the root.
        epsilon: f64,
        /// Share of the parameter in the direction.
        weight_decay: f64,
    },
}

/// Most numbers of a rule that depend on learning rate and step.
const COEFFICIENTS: usize = 4;

impl Rule {
    /// The optimiser's name in lower case.
    pub fn name(&self) -> &'static str {
        match self {
            Rule::RmsProp { .. } => "rmsprop",
            Rule::Adagrad { .. } => "adagrad",
            Rule::Adadelta { .. } => "adadelta",
            Rule::Adamax { .. } => "adamax",
            Rule::NAdam { .. } => "nadam",
            Rule::RAdam { .. } => "radam",
            Rule::Lion { .. } => "lion",
            Rule::LambDirection { .. } => "lamb_direction",
        }
    }

    /// Number of arrays of state, which begin as zeros.
    pub fn states(&self) -> usize {
        match *self {
            Rule::RmsProp { momentum, centered, .. } => 1 + usize::from(centered) + usize::from(momentum != 0.0),
            Rule::Adagrad { .. } | Rule::Lion { .. } => 1,
            _ => 2,
        }
    }

    /// The numbers that depend on learning rate and step: inputs of the program after the arrays.
    pub fn coefficients(&self, rate: f64, step: f64) -> [f64; COEFFICIENTS] {
        let correction = |beta: f64| 1.0 - beta.powf(step);
        match *self {
            Rule::RmsProp { .. } | Rule::Adadelta { .. } => [rate, 0.0, 0.0, 0.0],
            Rule::Adagrad { lr_decay, initial, .. } => {
                let first = if step <= 1.0 { initial } else { 0.0 };
                [rate / (1.0 + (step - 1.0) * lr_decay), first, 0.0, 0.0]
            }
            Rule::Adamax { betas, .. } => [rate / correction(betas.0), 0.0, 0.0, 0.0],
            Rule::NAdam { betas, momentum_decay, weight_decay, .. } => {
                let (mu, product) = nadam_momentum(betas.0, momentum_decay, step);
                let next = betas.0 * (1.0 - 0.5 * 0.96f64.powf((step + 1.0) * momentum_decay));
                let gradient = rate * (1.0 - mu) / (1.0 - product);
                let moment = rate * next / (1.0 - product * next);
                [gradient, moment, 1.0 / correction(betas.1), 1.0 - rate * weight_decay]
            }
            Rule::RAdam { betas, weight_decay, .. } => {
                let (first, second) = (correction(betas.0), correction(betas.1));
                let longest = 2.0 / (1.0 - betas.1) - 1.0;
                let length = longest - 2.0 * step * betas.1.powf(step) / second;
                let shrink = 1.0 - rate * weight_decay;
                if length > 5.0 {
                    let rectified = (length - 4.0) * (length - 2.0) * longest;
                    let rectified = rectified / ((longest - 4.0) * (longest - 2.0) * length);
                    [rate / first * (rectified * second).sqrt(), 1.0, shrink, 0.0]
                } else {
                    [rate / first, 0.0, shrink, 0.0]
                }
            }
            Rule::Lion { weight_decay, .. } => [rate, 1.0 - rate * weight_decay, 0.0, 0.0],
            Rule::LambDirection { betas, .. } => [1.0 / correction(betas.0), 1.0 / correction(betas.1), 0.0, 0.0],
        }
    }

    /// The program, and where in it the outputs are. Inputs: parameter, gradient, state, coefficients.
    pub fn program(&self) -> (Program, Vec<Operand>) {
        let mut w = Writer::default();
        let (p, g) = (Operand::Input(0), Operand::Input(1));
        let (first, second) = (Operand::Input(2), Operand::Input(3));
        let coefficient = |i: usize| Operand::Input(2 + self.states() + i);
        let results = match *self {
            Rule::RmsProp { alpha, epsilon, momentum, centered, weight_decay } => {
                let g = w.with_decay(g, p, weight_decay);
                let square = w.average_of_square(first, g, alpha);
                let mut results = vec![p, square];
                let mut variance = square;
                if centered {
                    let mean = w.average(second, g, alpha);
                    results.push(mean);
                    let squared = w.unary(UnaryKind::Square, mean);
                    let difference = w.binary(BinaryKind::Sub, square, squared);
                    // Rounding may leave less than nothing.
                    variance = w.unary(UnaryKind::Relu, difference);
                }
                let root = w.unary(UnaryKind::Sqrt, variance);
                let root = w.unary(UnaryKind::AddScalar(epsilon as f32), root);
                let mut change = w.binary(BinaryKind::Div, g, root);
                if momentum != 0.0 {
                    let kept = w.scaled(Operand::Input(1 + self.states()), momentum);
                    change = w.binary(BinaryKind::Add, kept, change);
                    results.push(change);
                }
                results[0] = w.minus_scaled(p, coefficient(0), change);
                results
            }
            Rule::Adagrad { epsilon, weight_decay, .. } => {
                let g = w.with_decay(g, p, weight_decay);
                let sum = w.binary(BinaryKind::Add, first, coefficient(1));
                let square = w.unary(UnaryKind::Square, g);
                let sum = w.binary(BinaryKind::Add, sum, square);
                let root = w.unary(UnaryKind::Sqrt, sum);
                let root = w.unary(UnaryKind::AddScalar(epsilon as f32), root);
                let change = w.binary(BinaryKind::Div, g, root);
                vec![w.minus_scaled(p, coefficient(0), change), sum]
            }
            Rule::Adadelta { rho, epsilon, weight_decay } => {
                let g = w.with_decay(g, p, weight_decay);
                let square = w.average_of_square(first, g, rho);
                let within = w.unary(UnaryKind::AddScalar(epsilon as f32), square);
                let deviation = w.unary(UnaryKind::Sqrt, within);
                let within = w.unary(UnaryKind::AddScalar(epsilon as f32), second);
                let size = w.unary(UnaryKind::Sqrt, within);
                let ratio = w.binary(BinaryKind::Div, size, deviation);
                let change = w.binary(BinaryKind::Mul, ratio, g);
                let changes = w.average_of_square(second, change, rho);
                vec![w.minus_scaled(p, coefficient(0), change), square, changes]
            }
            Rule::Adamax { betas, epsilon, weight_decay } => {
                let g = w.with_decay(g, p, weight_decay);
                let moment = w.average(first, g, betas.0);
                let kept = w.scaled(second, betas.1);
                let size = w.unary(UnaryKind::Abs, g);
                let size = w.unary(UnaryKind::AddScalar(epsilon as f32), size);
                let norm = w.binary(BinaryKind::Maximum, kept, size);
                let change = w.binary(BinaryKind::Div, moment, norm);
                vec![w.minus_scaled(p, coefficient(0), change), moment, norm]
            }
            Rule::NAdam { betas, epsilon, weight_decay, decoupled, .. } => {
                let (p, g) = w.decayed(p, g, weight_decay, decoupled, coefficient(3));
                let moment = w.average(first, g, betas.0);
                let square = w.average_of_square(second, g, betas.1);
                let corrected = w.binary(BinaryKind::Mul, square, coefficient(2));
                let root = w.unary(UnaryKind::Sqrt, corrected);
                let root = w.unary(UnaryKind::AddScalar(epsilon as f32), root);
                let from_gradient = w.binary(BinaryKind::Mul, g, coefficient(0));
                let from_moment = w.binary(BinaryKind::Mul, moment, coefficient(1));
                let sum = w.binary(BinaryKind::Add, from_gradient, from_moment);
                let change = w.binary(BinaryKind::Div, sum, root);
                vec![w.binary(BinaryKind::Sub, p, change), moment, square]
            }
            Rule::RAdam { betas, epsilon, weight_decay, decoupled } => {
                let (p, g) = w.decayed(p, g, weight_decay, decoupled, coefficient(2));
                let moment = w.average(first, g, betas.0);
                let square = w.average_of_square(second, g, betas.1);
                let root = w.unary(UnaryKind::Sqrt, square);
                let root = w.unary(UnaryKind::AddScalar(epsilon as f32), root);
                let adapted = w.binary(BinaryKind::Div, moment, root);
                let change = w.push(Instruction::Select(coefficient(1), adapted, moment));
                vec![w.minus_scaled(p, coefficient(0), change), moment, square]
            }
            Rule::Lion { betas, .. } => {
                let p = w.binary(BinaryKind::Mul, p, coefficient(1));
                let direction = w.average(first, g, betas.0);
                let sign = w.unary(UnaryKind::Sign, direction);
                let moment = w.average(first, g, betas.1);
                vec![w.minus_scaled(p, coefficient(0), sign), moment]
            }
            Rule::LambDirection { betas, epsilon, weight_decay } => {
                let moment = w.average(first, g, betas.0);
                let square = w.average_of_square(second, g, betas.1);
                let corrected = w.binary(BinaryKind::Mul, square, coefficient(1));
                let root = w.unary(UnaryKind::Sqrt, corrected);
                let root = w.unary(UnaryKind::AddScalar(epsilon as f32), root);
                let corrected = w.binary(BinaryKind::Mul, moment, coefficient(0));
                let adapted = w.binary(BinaryKind::Div, corrected, root);
                vec![w.with_decay(adapted, p, weight_decay), moment, square]
            }
        };
        (Program { instructions: w.instructions }, results)
    }

    /// Whether the first output is the parameter's new value, and not a direction.
    fn moves(&self) -> bool {
        !matches!(self, Rule::LambDirection { .. })
    }
}

/// The momentum of a step of NAdam, and the product of it over all steps so far.
fn nadam_momentum(beta: f64, decay: f64, step: f64) -> (f64, f64) {
    let shrink = 0.96f64.powf(decay);
    let (mut power, mut mu, mut product) = (1.0, beta, 1.0);
    let mut i = 0.0;
    // Each factor is below `beta`: what is this small is nothing beside 1, and later steps need no longer loop.
    while i < step && product > 1e-20 {
        power *= shrink;
        mu = beta * (1.0 - 0.5 * power);
        product *= mu;
        i += 1.0;
    }
    if i < step {
        mu = beta * (1.0 - 0.5 * 0.96f64.powf(step * decay));
    }
    (mu, product)
}

/// A program under construction.
#[derive(Default)]
struct Writer {
    instructions: Vec<Instruction>,
}

impl Writer {
    fn push(&mut self, instruction: Instruction) -> Operand {
        self.instructions.push(instruction);
        Operand::Result(self.instructions.len() - 1)
    }

    fn unary(&mut self, kind: UnaryKind, x: Operand) -> Operand {
        self.push(Instruction::Unary(kind, x))
    }

    fn binary(&mut self, kind: BinaryKind, a: Operand, b: Operand) -> Operand {
        self.push(Instruction::Binary(kind, a, b))
    }

    fn scaled(&mut self, x: Operand, factor: f64) -> Operand {
        self.unary(UnaryKind::MulScalar(factor as f32), x)
    }

    /// `x - factor * change`
    fn minus_scaled(&mut self, x: Operand, factor: Operand, change: Operand) -> Operand {
        let scaled = self.binary(BinaryKind::Mul, change, factor);
        self.binary(BinaryKind::Sub, x, scaled)
    }

    /// `gradient + share * parameter`
    fn with_decay(&mut self, gradient: Operand, parameter: Operand, share: f64) -> Operand {
        if share == 0.0 {
            return gradient;
        }
        let decay = self.scaled(parameter, share);
        self.binary(BinaryKind::Add, gradient, decay)
    }

    /// Parameter and gradient after weight decay of either kind.
    fn decayed(&mut self, p: Operand, g: Operand, share: f64, decoupled: bool, shrink: Operand) -> (Operand, Operand) {
        if decoupled { (self.binary(BinaryKind::Mul, p, shrink), g) } else { (p, self.with_decay(g, p, share)) }
    }

    /// `beta * old + (1 - beta) * new`; the second share is rounded by itself, since 1 - 0.999 in f32 loses digits.
    fn average(&mut self, old: Operand, new: Operand, beta: f64) -> Operand {
        let old = self.scaled(old, beta);
        let new = self.scaled(new, 1.0 - beta);
        self.binary(BinaryKind::Add, old, new)
    }

    fn average_of_square(&mut self, old: Operand, new: Operand, beta: f64) -> Operand {
        let square = self.unary(UnaryKind::Square, new);
        self.average(old, square, beta)
    }
}

/// A step of an element-wise optimiser.
///
/// Inputs: parameter, gradient, state as [`Rule::states`] says, learning rate, number of this step from 1. Outputs: the
/// parameter's new value (of [`Rule::LambDirection`]: the direction), the new state. A gradient that is not finite stops
/// the run before anything of this parameter is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    /// Which optimiser, with its settings.
    pub rule: Rule,
}

impl Operation for Update {
    fn name(&self) -> String {
        self.rule.name().to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        let tensors = 2 + self.rule.states();
        super::arity(inputs, tensors + 2)?;
        floating(inputs)?;
        for tensor in &inputs[1..tensors] {
            same_shape("the parameter and its gradient or state", inputs[0], tensor)?;
        }
        match inputs[tensors..].iter().find(|t| t.shape.rank() != 0) {
            Some(t) => Err(format!("learning rate and step must be scalars, not {t}")),
            None => Ok(vec![inputs[0].clone(); tensors - 1]),
        }
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let (program, results) = self.rule.program();
        let tensors = 2 + self.rule.states();
        let coefficients = self.rule.coefficients(cx.inputs[tensors].data[0], cx.inputs[tensors + 1].data[0]);
        let mut outputs = vec![Reference::full(&cx.shapes[0], 0.0); results.len()];
        for i in 0..cx.inputs[0].data.len() {
            let arrays = cx.inputs[..tensors].iter().map(|input| input.data[i]);
            let inputs: Vec<f64> = arrays.chain(coefficients).collect();
            let values = program.eval_each(&inputs);
            for (output, result) in outputs.iter_mut().zip(&results) {
                output.data[i] = match *result {
                    Operand::Input(input) => inputs[input],
                    Operand::Result(result) => values[result],
                };
            }
        }
        outputs
    }

    fn operations(&self, _: &[&TensorType], outputs: &[TensorType], extents: &Extents) -> u64 {
        (outputs[0].shape.count(extents) * self.rule.program().0.instructions.len()) as u64
    }

    fn updates(&self) -> Vec<(usize, usize)> {
        let states = (0..self.rule.states()).map(|i| (2 + i, 1 + i));
        self.rule.moves().then_some((0, 0)).into_iter().chain(states).collect()
    }

    fn samples() -> Vec<Sample> {
        let (betas, epsilon) = ((0.9, 0.99), 1e-6);
        let rms =
            |momentum, centered, weight_decay| Rule::RmsProp { alpha: 0.9, epsilon, momentum, centered, weight_decay };
        let nadam =
            |weight_decay, decoupled| Rule::NAdam { betas, epsilon, momentum_decay: 4e-3, weight_decay, decoupled };
        let radam = |weight_decay, decoupled| Rule::RAdam { betas, epsilon, weight_decay, decoupled };
        let rules = [
            (rms(0.0, false, 0.0), 1.0),
            (rms(0.9, false, 0.1), 3.0),
            (rms(0.8, true, 0.0), 3.0),
            (Rule::Adagrad { lr_decay: 0.1, initial: 0.5, epsilon, weight_decay: 0.01 }, 1.0),
            (Rule::Adagrad { lr_decay: 0.1, initial: 0.5, epsilon, weight_decay: 0.0 }, 4.0),
            (Rule::Adadelta { rho: 0.9, epsilon, weight_decay: 0.1 }, 2.0),
            (Rule::Adamax { betas, epsilon, weight_decay: 0.1 }, 5.0),
            (nadam(0.1, false), 1.0),
            (nadam(0.1, true), 700.0),
            (radam(0.1, false), 2.0),
            (radam(0.1, true), 40.0),
            (Rule::Lion { betas, weight_decay: 0.1 }, 3.0),
            (Rule::LambDirection { betas, epsilon, weight_decay: 0.1 }, 3.0),
        ];
        let mut samples = Vec::new();
        for (i, (rule, step)) in rules.into_iter().enumerate() {
            // Every rule around a tile; the first also where nothing is left of one, and over several tasks.
            let lengths: &[usize] = if i == 0 { &[0, 1, 17, 511, 512, 513, 9000] } else { &[17, 513] };
            for &n in lengths {
                let mut inputs = vec![uniform(&[n], -1.0, 1.0, 1), uniform(&[n], 0.3, 1.0, 2)];
                // State that a run could have: squares not smaller than the square of the mean.
                inputs.extend((0..rule.states()).map(|s| match s {
                    0 => uniform(&[n], 0.5, 1.0, 3),
                    s => uniform(&[n], 0.1, 0.4, 3 + s as u64),
                }));
                inputs.push(uniform(&[], 0.1, 0.2, 7));
                inputs.push(HostTensor::f32(&[], vec![step]));
                samples.push(Sample::new(Update { rule }, inputs).without_gradient().tolerance(4e-6));
            }
        }
        samples
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_keeps_within_its_limits() {
        for sample in Update::samples() {
            let crate::op::Op::Update(Update { rule }) = sample.op else { panic!("a sample of another operation") };
            let (program, results) = rule.program();
            let reads = program.instructions.iter().flat_map(Instruction::operands);
            let inputs = reads.map(|o| if let Operand::Input(i) = o { i + 1 } else { 0 }).max().unwrap_or(0);
            assert_eq!(program.check(inputs), Ok(()), "{rule:?}");
            assert_eq!(results.len(), 1 + rule.states(), "{rule:?}");
        }
    }

    #[test]
    fn the_momentum_of_nadam_is_a_function_of_the_step() {
        for (beta, step) in [(0.9, 1), (0.9, 7), (0.9, 5000), (0.99, 300)] {
            let mu = |i: i32| beta * (1.0 - 0.5 * 0.96f64.powf(f64::from(i) * 4e-3));
            let product: f64 = (1..=step).map(mu).product();
            let found = nadam_momentum(beta, 4e-3, f64::from(step));
            assert!((found.0 - mu(step)).abs() < 1e-12 && (found.1 - product).abs() < 1e-12, "{beta} {step}");
        }
    }
}
