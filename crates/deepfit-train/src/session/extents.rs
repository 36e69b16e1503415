//! How many examples, and steps of a sequence, a batch has.

use deepfit_cpu::{Error, View};
use deepfit_graph::{Extents, TensorType};

use super::Session;
use crate::error::Result;

impl Session {
    /// The number of examples, and of steps of a sequence, that make the given lengths. What no input tells is the maximum.
    pub(super) fn extents(&self, batch: &[(&str, View<'_>)]) -> Result<Extents> {
        let mut given: Vec<(&str, &TensorType, usize)> = Vec::new();
        for (name, view) in batch {
            let Some(ty) = self.inputs.get(*name) else { continue };
            if length(view) == 0 {
                let problem = format!("has no values: a batch of {} without examples teaches nothing", ty.shape);
                return Err(Error::Input { name: name.to_string(), problem }.into());
            }
            given.push((name, ty, length(view)));
        }
        let grows = |ty: &TensorType| {
            let count = |batch, sequence| ty.shape.count(&Extents { batch, sequence });
            (count(2, 1) != count(1, 1), count(1, 2) != count(1, 1))
        };
        let divided = |&(name, ty, length): &(&str, &TensorType, usize), by: Extents| {
            let one = ty.shape.count(&by);
            if one == 0 || !length.is_multiple_of(one) {
                let known = if by.sequence > 1 { format!(" with {} steps", by.sequence) } else { String::new() };
                let problem =
                    format!("has {length} values, which do not make a whole number of rows of {}{known}", ty.shape);
                return Err(Error::Input { name: name.to_string(), problem });
            }
            Ok(length / one)
        };
        // Each axis from an input that has no other one.
        let one = Extents { batch: 1, sequence: 1 };
        let alone = |wanted: (bool, bool)| given.iter().find(|(_, ty, _)| grows(ty) == wanted);
        let rows = alone((true, false)).map(|input| divided(input, one)).transpose()?;
        let steps = alone((false, true)).map(|input| divided(input, one)).transpose()?;
        let Extents { batch: most_rows, sequence: most_steps } = self.options.maximum();
        let Some(both) = alone((true, true)) else {
            return Ok(Extents { batch: rows.unwrap_or(most_rows), sequence: steps.unwrap_or(most_steps) });
        };
        // Then the other axis from one that has both.
        let steps = steps.or(self.sequence).or((most_steps == 1).then_some(1));
        match (rows.or((most_rows == 1).then_some(1)), steps) {
            (Some(batch), _) if rows.is_some() || self.sequence.is_none() => {
                Ok(Extents { batch, sequence: divided(both, Extents { batch, sequence: 1 })? })
            }
            (_, Some(sequence)) => Ok(Extents { batch: divided(both, Extents { batch: 1, sequence })?, sequence }),
            _ => {
                let (name, ty, length) = both;
                let problem = format!(
                    "has {length} values for {}, which do not tell its rows from its steps: `Session::set_sequence` says how \
                     many steps there are, or another input with rows alone",
                    ty.shape
                );
                Err(Error::Input { name: name.to_string(), problem }.into())
            }
        }
    }
}

/// Number of values.
pub(super) fn length(view: &View<'_>) -> usize {
    match view {
        View::F32(values) => values.len(),
        View::U8(values) => values.len(),
        View::I32(values) => values.len(),
    }
}
