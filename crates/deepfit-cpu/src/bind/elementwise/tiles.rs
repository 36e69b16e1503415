//! A program of element-wise instructions over one tile at a time, with its intermediate results in registers: pieces
//! of the stack that stay in the first-level cache.

use std::mem::MaybeUninit;

use deepfit_graph::ops::{Instruction, Operand, Program};

use super::instructions;
use crate::simd::Isa;

/// Numbers in a tile: a handful of tiles fit into 32 KiB.
pub(super) const TILE: usize = 512;
/// Most inputs of a program.
pub(super) const MOST_INPUTS: usize = Program::MOST_INPUTS;
/// Most intermediate results alive at once; few programs need more than four, and what is not touched costs nothing.
const MOST_RESULTS: usize = Program::MOST_INSTRUCTIONS;

/// Memory for the inputs that are not read in place and for intermediate results.
pub(super) struct Registers([MaybeUninit<[f32; TILE]>; MOST_INPUTS + MOST_RESULTS]);

impl Registers {
    pub(super) fn new() -> Self {
        Registers([const { MaybeUninit::uninit() }; MOST_INPUTS + MOST_RESULTS])
    }

    /// The tile of an input, to be filled.
    pub(super) fn input(&mut self, i: usize) -> &mut [f32; TILE] {
        // Zeroing costs one store a vector, far less than the gathering that follows.
        self.0[i].write([0.0; TILE])
    }

    fn result(&mut self, i: usize) -> *mut f32 {
        self.0[MOST_INPUTS + i].as_mut_ptr().cast()
    }
}

/// An instruction whose result goes to a register, or to the output if it is the last.
#[derive(Debug, Clone, Copy)]
struct Step {
    instruction: Instruction,
    register: usize,
}

/// A program with registers assigned.
#[derive(Debug)]
pub(super) struct TileProgram {
    steps: Vec<Step>,
    /// Register of each instruction's result.
    registers: Vec<usize>,
    inputs: usize,
}

impl TileProgram {
    /// Assigns registers: one is free again after the last use of what it holds.
    pub(super) fn new(program: &Program) -> Self {
        Self::keeping(program, &[])
    }

    /// Assigns registers so that those of the given results still hold them when the program has ended.
    pub(super) fn keeping(program: &Program, results: &[Operand]) -> Self {
        let instructions = &program.instructions;
        let mut last_use = vec![0; instructions.len()];
        let mut inputs = 0;
        for (i, instruction) in instructions.iter().enumerate() {
            for operand in instruction.operands() {
                match operand {
                    Operand::Input(input) => inputs = inputs.max(input + 1),
                    Operand::Result(result) => last_use[result] = i,
                }
            }
        }
        for result in results {
            if let Operand::Result(result) = *result {
                last_use[result] = instructions.len();
            }
        }
        let mut free: Vec<usize> = (0..MOST_RESULTS).rev().collect();
        let mut registers = Vec::with_capacity(instructions.len());
        let mut steps = Vec::with_capacity(instructions.len());
        for (i, &instruction) in instructions.iter().enumerate() {
            // An instruction may write over what it reads for the last time: it works element by element.
            for operand in instruction.operands() {
                if let Operand::Result(result) = operand
                    && last_use[result] == i
                    && !free.contains(&registers[result])
                {
                    free.push(registers[result]);
                }
            }
            let register =
                free.pop().expect("at least as many registers as instructions: checked when the graph was built");
            registers.push(register);
            steps.push(Step { instruction, register });
        }
        TileProgram { steps, registers, inputs }
    }

    /// Number of inputs that the program reads.
    pub(super) fn inputs(&self) -> usize {
        self.inputs
    }

    /// Computes `n <= TILE` elements.
    ///
    /// # Safety
    /// Every source must hold `n` numbers, and `target` must be valid for `n`. A source may equal `target`, but not
    /// overlap it otherwise.
    pub(super) unsafe fn run(
        &self,
        isa: Isa,
        sources: &[*const f32],
        target: *mut f32,
        n: usize,
        registers: &mut Registers,
    ) {
        let Some((last, before)) = self.steps.split_last() else {
            // SAFETY: both are valid for `n` numbers by the caller's promise.
            unsafe { std::ptr::copy(sources[0], target, n) };
            return;
        };
        self.run_steps(isa, before, sources, None, n, registers);
        self.run_steps(isa, std::slice::from_ref(last), sources, Some(target), n, registers);
    }

    /// Computes `n <= TILE` elements of several results and copies each to its target, when everything has been read.
    ///
    /// # Safety
    /// Every source must hold `n` numbers, every target must be valid for `n`, and the targets must not overlap each
    /// other. A source may equal a target, but not overlap it otherwise. The program must have been made by
    /// [`TileProgram::keeping`] with these results.
    pub(super) unsafe fn run_to(
        &self,
        isa: Isa,
        sources: &[*const f32],
        results: impl Iterator<Item = (Operand, *mut f32)>,
        n: usize,
        registers: &mut Registers,
    ) {
        self.run_steps(isa, &self.steps, sources, None, n, registers);
        for (result, target) in results {
            let from = match result {
                Operand::Input(input) => sources[input],
                Operand::Result(result) => registers.result(self.registers[result]).cast_const(),
            };
            // SAFETY: both are valid for `n` numbers by the caller's promise; they may be the same memory.
            unsafe { std::ptr::copy(from, target, n) };
        }
    }

    /// Runs instructions; each result goes to its register, or to `target`.
    fn run_steps(
        &self,
        isa: Isa,
        steps: &[Step],
        sources: &[*const f32],
        target: Option<*mut f32>,
        n: usize,
        registers: &mut Registers,
    ) {
        for step in steps {
            let mut read = |operand| match operand {
                Operand::Input(input) => sources[input],
                Operand::Result(result) => registers.result(self.registers[result]).cast_const(),
            };
            let mut pointers = [std::ptr::null(); 3];
            match step.instruction {
                Instruction::Unary(_, x) => pointers[0] = read(x),
                Instruction::Binary(_, x, y) => pointers = [read(x), read(y), std::ptr::null()],
                Instruction::Select(x, y, z) => pointers = [read(x), read(y), read(z)],
            }
            let [a, b, c] = pointers;
            let out = target.unwrap_or_else(|| registers.result(step.register));
            match step.instruction {
                Instruction::Unary(kind, _) => instructions::unary(isa, kind, a, out, n),
                Instruction::Binary(kind, ..) => instructions::binary(isa, kind, a, b, out, n),
                Instruction::Select(..) => instructions::select(isa, a, b, c, out, n),
            }
        }
    }
}
