//! How many examples, and steps of a sequence, a batch has.

use deepfit_cpu::{ProgramId, View};
use deepfit_graph::Extents;

use super::Session;
use crate::error::Result;

impl Session {
    /// The number of examples, and of steps of a sequence, that make the given lengths.
    pub(super) fn extents(&self, program: ProgramId, batch: &[(&str, View<'_>)]) -> Result<Extents> {
        let mut found: [Option<usize>; 2] = [None, None];
        let known = |found: [Option<usize>; 2]| Extents {
            batch: found[0].unwrap_or(self.options.batch),
            sequence: found[1].unwrap_or(self.sequence),
        };
        // The batch from inputs that have no sequence axis, then the sequence from the others.
        for axis in [0, 1] {
            for (name, ty) in &self.engine.plan(program).inputs {
                let Some((_, view)) = batch.iter().find(|(given, _)| given == name) else { continue };
                let length = |batch, sequence| ty.shape.count(&Extents { batch, sequence });
                let grows = [length(2, 1) != length(1, 1), length(1, 2) != length(1, 1)];
                if !grows[axis] || (axis == 0 && grows[1]) || found[axis].is_some() {
                    continue;
                }
                // Where no input is without a sequence axis, the steps are what they were set to; but where there can be
                // one example only, they are what is given.
                if axis == 1 && found[0].is_none() && grows[0] {
                    if self.options.batch == 1 {
                        found[0] = Some(1);
                    } else {
                        found[1] = Some(self.sequence);
                    }
                }
                let (axis, one) = match found {
                    [Some(batch), _] => (axis, length(batch, 1)),
                    [None, Some(sequence)] => (0, length(1, sequence)),
                    [None, None] => (axis, length(1, 1)),
                };
                let len = view_length(view);
                if len == 0 {
                    let problem = format!("has no values: a batch of {} without examples teaches nothing", ty.shape);
                    return Err(deepfit_cpu::Error::Input { name: name.clone(), problem }.into());
                }
                if one == 0 || !len.is_multiple_of(one) {
                    let problem = format!("has {len} values, which do not make a whole number of rows of {}", ty.shape);
                    return Err(deepfit_cpu::Error::Input { name: name.clone(), problem }.into());
                }
                found[axis] = Some(len / one);
            }
        }
        Ok(known(found))
    }
}

fn view_length(view: &View<'_>) -> usize {
    match view {
        View::F32(values) => values.len(),
        View::U8(values) => values.len(),
        View::I32(values) => values.len(),
    }
}
