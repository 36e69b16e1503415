//! Chains of element-wise operations as one: a short list of instructions that runs over cache-sized tiles.

use super::elementwise::{BinaryKind, UnaryKind};
use crate::error::Result;
use crate::host::Reference;
use crate::op::{Operation, ReferenceContext};
use crate::sample::{Sample, bytes, distinct, uniform};
use crate::shape::{DType, Extents, Shape, TensorType};
use crate::trace::Tensor;

/// Where an instruction reads from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operand {
    /// An input of the program, converted to f32 and broadcast to the output's shape.
    Input(usize),
    /// The result of an earlier instruction.
    Result(usize),
}

/// One element-wise operation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Instruction {
    /// A function of one operand.
    Unary(UnaryKind, Operand),
    /// A function of two operands.
    Binary(BinaryKind, Operand, Operand),
    /// The second operand where the first is not 0, else the third.
    Select(Operand, Operand, Operand),
}

impl Instruction {
    /// What the instruction reads.
    pub fn operands(&self) -> Vec<Operand> {
        match *self {
            Instruction::Unary(_, a) => vec![a],
            Instruction::Binary(_, a, b) => vec![a, b],
            Instruction::Select(a, b, c) => vec![a, b, c],
        }
    }

    /// The same instruction with other operands.
    pub fn map(&self, mut f: impl FnMut(Operand) -> Operand) -> Instruction {
        match *self {
            Instruction::Unary(kind, a) => Instruction::Unary(kind, f(a)),
            Instruction::Binary(kind, a, b) => Instruction::Binary(kind, f(a), f(b)),
            Instruction::Select(a, b, c) => Instruction::Select(f(a), f(b), f(c)),
        }
    }
}

/// Instructions in order; the last one's result is the program's. Without instructions, input 0 is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Program {
    /// The instructions.
    pub instructions: Vec<Instruction>,
}

impl Program {
    /// A longer program would not keep its intermediate results in the first-level cache.
    pub const MOST_INSTRUCTIONS: usize = 24;
    /// Most inputs of a program.
    pub const MOST_INPUTS: usize = 8;

    /// Checks the limits, and that every operand exists, for a program that is given `inputs` values.
    pub(crate) fn check(&self, inputs: usize) -> Result<(), String> {
        if self.instructions.len() > Self::MOST_INSTRUCTIONS || inputs > Self::MOST_INPUTS || inputs == 0 {
            return Err(format!(
                "a program has at most {} instructions and 1 to {} inputs, not {} and {inputs}",
                Self::MOST_INSTRUCTIONS,
                Self::MOST_INPUTS,
                self.instructions.len()
            ));
        }
        for (i, instruction) in self.instructions.iter().enumerate() {
            for operand in instruction.operands() {
                let exists = match operand {
                    Operand::Input(input) => input < inputs,
                    Operand::Result(result) => result < i,
                };
                if !exists {
                    return Err(format!("instruction {i} reads {operand:?}, which does not exist yet"));
                }
            }
        }
        Ok(())
    }

    /// The result for one element's inputs, in f64.
    pub fn eval(&self, inputs: &[f64]) -> f64 {
        self.eval_each(inputs).last().copied().unwrap_or_else(|| inputs[0])
    }

    /// The result of each instruction for one element's inputs, in f64.
    pub fn eval_each(&self, inputs: &[f64]) -> Vec<f64> {
        let mut results: Vec<f64> = Vec::with_capacity(self.instructions.len());
        for instruction in &self.instructions {
            let value = |operand| match operand {
                Operand::Input(i) => inputs[i],
                Operand::Result(i) => results[i],
            };
            let result = match *instruction {
                Instruction::Unary(kind, a) => kind.eval(value(a)),
                Instruction::Binary(kind, a, b) => kind.eval(value(a), value(b)),
                Instruction::Select(a, b, c) => value(if value(a) != 0.0 { b } else { c }),
            };
            results.push(result);
        }
        results
    }

    /// The program as single operations on tensors, one for each input.
    ///
    /// # Errors
    /// If the inputs do not broadcast.
    pub fn apply(&self, inputs: &[Tensor]) -> Result<Tensor> {
        let inputs = inputs.iter().map(Tensor::to_f32).collect::<Result<Vec<_>>>()?;
        let mut results: Vec<Tensor> = Vec::with_capacity(self.instructions.len());
        for instruction in &self.instructions {
            let value = |operand| match operand {
                Operand::Input(i) => &inputs[i],
                Operand::Result(i) => &results[i],
            };
            let result = match *instruction {
                Instruction::Unary(kind, a) => value(a).unary(kind)?,
                Instruction::Binary(kind, a, b) => value(a).binary(kind, value(b))?,
                Instruction::Select(a, b, c) => value(a).select(value(b), value(c))?,
            };
            results.push(result);
        }
        Ok(results.pop().unwrap_or_else(|| inputs[0].clone()))
    }

    /// Names of the instructions, for display.
    pub fn names(&self) -> String {
        let name = |i: &Instruction| match i {
            Instruction::Unary(kind, _) => kind.name(),
            Instruction::Binary(kind, ..) => kind.name(),
            Instruction::Select(..) => "select".to_string(),
        };
        self.instructions.iter().map(name).collect::<Vec<_>>().join("+")
    }
}

/// A [`Program`] over broadcast inputs.
#[derive(Debug, Clone, PartialEq)]
pub struct Fused {
    /// What is computed for each element.
    pub program: Program,
}

impl Operation for Fused {
    fn name(&self) -> String {
        format!("fused({})", self.program.names())
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        self.program.check(inputs.len())?;
        let mut shape = Shape::scalar();
        for input in inputs {
            shape =
                shape.broadcast(&input.shape).ok_or_else(|| format!("{shape} and {} do not broadcast", input.shape))?;
        }
        Ok(vec![TensorType::f32(shape)])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let mut values = vec![0.0; cx.inputs.len()];
        vec![Reference::from_fn(&cx.shapes[0], |index| {
            for (value, input) in values.iter_mut().zip(cx.inputs) {
                *value = input.at_broadcast(index);
            }
            self.program.eval(&values)
        })]
    }

    fn decompose(&self, inputs: &[Tensor]) -> Result<Option<Vec<Tensor>>> {
        Ok(Some(vec![self.program.apply(inputs)?]))
    }

    fn operations(&self, _: &[&TensorType], outputs: &[TensorType], extents: &Extents) -> u64 {
        (outputs[0].shape.count(extents) * self.program.instructions.len()) as u64
    }

    fn in_place(&self) -> bool {
        true
    }

    fn samples() -> Vec<Sample> {
        use Operand::{Input, Result};
        // tanh(a * b + c) with every kind of broadcast.
        let chain = Fused {
            program: Program {
                instructions: vec![
                    Instruction::Binary(BinaryKind::Mul, Input(0), Input(1)),
                    Instruction::Binary(BinaryKind::Add, Result(0), Input(2)),
                    Instruction::Unary(UnaryKind::Tanh, Result(1)),
                ],
            },
        };
        // The second instruction uses the first twice, and its first operand again later.
        let diamond = Fused {
            program: Program {
                instructions: vec![
                    Instruction::Unary(UnaryKind::Sigmoid, Input(0)),
                    Instruction::Binary(BinaryKind::Mul, Result(0), Result(0)),
                    Instruction::Binary(BinaryKind::Sub, Result(1), Input(0)),
                    Instruction::Select(Input(1), Result(2), Result(0)),
                ],
            },
        };
        let image = Fused {
            program: Program {
                instructions: vec![
                    Instruction::Unary(UnaryKind::MulScalar(1.0 / 255.0), Input(0)),
                    Instruction::Binary(BinaryKind::Sub, Result(0), Input(1)),
                ],
            },
        };
        let u = |shape: &[usize], seed| uniform(shape, -1.0, 1.0, seed);
        let mut samples = Vec::new();
        let shapes: [[&[usize]; 3]; 6] = [
            [&[4, 6], &[4, 6], &[4, 6]],
            [&[4, 6], &[6], &[4, 1]],
            [&[2, 3, 5], &[3, 1], &[]],
            [&[2, 1, 5], &[3, 1], &[1, 3, 5]],
            [&[0, 6], &[6], &[]],
            [&[], &[], &[]],
        ];
        for [a, b, c] in shapes {
            samples.push(Sample::new(chain.clone(), vec![u(a, 1), u(b, 2), u(c, 3)]));
        }
        for n in [1, 15, 16, 17, 255, 256, 257, 1025] {
            let inputs = vec![u(&[3, n], 1), u(&[n], 2), u(&[3, 1], 3)];
            samples.push(Sample::new(chain.clone(), inputs).without_gradient().batched(&[true, false, true]));
        }
        samples.push(Sample::new(diamond, vec![u(&[3, 7], 1), distinct(&[3, 7], 0.3, 2)]).batched(&[true, true]));
        samples.push(Sample::new(image, vec![bytes(&[2, 3, 3, 3], 1), u(&[3], 2)]).batched(&[true, false]));
        samples
    }
}

/// Checks the inputs of an epilogue: each is added to or combined with a result of the given shape.
pub(crate) fn check_epilogue(program: Option<&Program>, result: &Shape, inputs: &[&TensorType]) -> Result<(), String> {
    let Some(program) = program else { return Ok(()) };
    program.check(inputs.len() + 1)?;
    for input in inputs {
        if input.dtype != DType::F32 || !suits_epilogue(result, &input.shape) {
            return Err(format!(
                "the epilogue's input {input} must be a scalar, a row or a whole of the result {result}"
            ));
        }
    }
    Ok(())
}

/// Whether an epilogue can read a value: one for all, one a column, or one an element.
pub(crate) fn suits_epilogue(result: &Shape, input: &Shape) -> bool {
    let columns = result.dims().last();
    input == result || input.rank() == 0 || (input.rank() == 1 && input.dims().last() == columns)
}

/// Applies an epilogue in f64: input 0 of the program is the result so far.
pub(crate) fn reference_epilogue(program: Option<&Program>, result: Reference, inputs: &[&Reference]) -> Reference {
    let Some(program) = program else { return result };
    let mut values = vec![0.0; inputs.len() + 1];
    Reference::from_fn(&result.shape, |index| {
        values[0] = result.at(index);
        for (value, input) in values[1..].iter_mut().zip(inputs) {
            *value = input.at_broadcast(index);
        }
        program.eval(&values)
    })
}
