//! Kernels of the element-wise operations: each is a program of vector instructions that runs over cache-sized tiles.

mod broadcast;
mod epilogue;
mod instructions;
mod tiles;
mod update;

pub(super) use epilogue::EpilogueProgram;

use deepfit_graph::DType;
use deepfit_graph::ops::{Binary, Convert, Fused, Instruction, Operand, Program, Select, Unary};

use super::Bind;
use crate::executor::{Call, Fault, Kernel};
use crate::pool::SharedMut;
use broadcast::Pattern;
use tiles::{Registers, TILE, TileProgram};

macro_rules! single_instruction {
    ($($op:ident => $instruction:expr),* $(,)?) => {
        $(impl Bind for $op {
            fn bind(&self) -> Box<dyn Kernel> {
                let build: fn(&$op) -> Vec<Instruction> = $instruction;
                Box::new(Elementwise::new(&Program { instructions: build(self) }))
            }
        })*
    };
}
single_instruction! {
    Unary => |op| vec![Instruction::Unary(op.kind, Operand::Input(0))],
    Binary => |op| vec![Instruction::Binary(op.kind, Operand::Input(0), Operand::Input(1))],
    Select => |_| vec![Instruction::Select(Operand::Input(0), Operand::Input(1), Operand::Input(2))],
    Convert => |_| Vec::new(),
    Fused => |op| op.program.instructions.clone(),
}

struct Elementwise {
    program: TileProgram,
}

impl Elementwise {
    fn new(program: &Program) -> Self {
        Elementwise { program: TileProgram::new(program) }
    }
}

/// Tiles that one task computes: enough work to be worth handing out.
const TILES_PER_TASK: usize = 16;

impl Kernel for Elementwise {
    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let inputs = self.program.inputs().max(1);
        let mut patterns = [Pattern::Same; tiles::MOST_INPUTS];
        for (i, pattern) in patterns.iter_mut().enumerate().take(inputs) {
            *pattern = Pattern::new(call.shapes().input(i), call.shapes().output(0));
        }
        let out = SharedMut::new(call.output(0));
        let task_length = TILE * TILES_PER_TASK;
        let isa = call.compute().isa;
        call.compute().pool.run(out.len().div_ceil(task_length), &|task, _| {
            let mut registers = Registers::new();
            let end = out.len().min((task + 1) * task_length);
            let mut at = task * task_length;
            while at < end {
                let n = TILE.min(end - at);
                let mut sources = [std::ptr::null(); tiles::MOST_INPUTS];
                for i in 0..inputs {
                    let start = call.input_pointer(i);
                    sources[i] = match (patterns[i], call.input_dtype(i)) {
                        // SAFETY: the input has the output's shape, so `at` lies inside of it.
                        (Pattern::Same, DType::F32) => unsafe { start.cast::<f32>().add(at) },
                        (pattern, dtype) => {
                            let tile = registers.input(i);
                            // SAFETY: `start` is an input of this type and of the shape the pattern was made from; it
                            // is not written meanwhile: only an input of the output's own shape and type can be.
                            unsafe { pattern.gather(start, dtype, at, &mut tile[..n]) };
                            tile.as_ptr()
                        }
                    };
                }
                // SAFETY: every source holds `n` numbers from `at`; the target is this task's own part of the output.
                // A source may be that part itself: each instruction reads an element before it is written.
                unsafe { self.program.run(isa, &sources[..inputs], out.as_mut_ptr().add(at), n, &mut registers) };
                at += n;
            }
        });
        Ok(())
    }
}
