//! The kernel of all element-wise optimisers: the rule's program over tiles of parameter, gradient and state.

use deepfit_graph::ops::{Operand, Rule, Update};

use super::super::Bind;
use super::TILES_PER_TASK;
use super::tiles::{MOST_INPUTS, Registers, TILE, TileProgram};
use crate::executor::{Call, Fault, Kernel};
use crate::kernels::optim;
use crate::pool::SharedMut;

impl Bind for Update {
    fn bind(&self) -> Box<dyn Kernel> {
        let (program, results) = self.rule.program();
        Box::new(UpdateKernel { rule: self.rule, program: TileProgram::keeping(&program, &results), results })
    }
}

struct UpdateKernel {
    rule: Rule,
    program: TileProgram,
    /// Where in the program each output is.
    results: Vec<Operand>,
}

/// Most outputs: a parameter with three arrays of state.
const MOST_OUTPUTS: usize = 4;

impl Kernel for UpdateKernel {
    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        if !optim::all_finite(call.compute(), call.input(1)) {
            return Err(Fault::NonFinite);
        }
        let arrays = 2 + self.rule.states();
        let (rate, step) = (call.input(arrays)[0], call.input(arrays + 1)[0]);
        let coefficients = self.rule.coefficients(f64::from(rate), f64::from(step)).map(|c| [c as f32; TILE]);
        let mut targets: [Option<SharedMut<'_, f32>>; MOST_OUTPUTS] = [const { None }; MOST_OUTPUTS];
        for (i, target) in targets.iter_mut().enumerate().take(call.output_count()) {
            *target = Some(SharedMut::new(call.output(i)));
        }
        let length: usize = call.shapes().output(0).iter().product();
        let task_length = TILE * TILES_PER_TASK;
        call.compute().pool.run(length.div_ceil(task_length), &|task, _| {
            let mut registers = Registers::new();
            let end = length.min((task + 1) * task_length);
            for at in (task * task_length..end).step_by(TILE) {
                let n = TILE.min(end - at);
                let mut sources = [std::ptr::null(); MOST_INPUTS];
                for (i, source) in sources.iter_mut().enumerate() {
                    *source = match i.checked_sub(arrays) {
                        // SAFETY: every array has the output's shape, so `at` lies inside of it.
                        None => unsafe { call.input_pointer(i).cast::<f32>().add(at) },
                        Some(i) => coefficients.get(i).map_or(std::ptr::null(), |c| c.as_ptr()),
                    };
                }
                let results = self.results.iter().zip(&targets).filter_map(|(&result, target)| {
                    // SAFETY: `at` lies inside of the output.
                    target.as_ref().map(|t| (result, unsafe { t.as_mut_ptr().add(at) }))
                });
                // SAFETY: every source that the program reads holds `n` numbers from `at`, and every target is this
                // task's own part of an output; a source is such a part itself or apart from all of them.
                unsafe { self.program.run_to(call.compute().isa, &sources, results, n, &mut registers) };
            }
        });
        Ok(())
    }
}
