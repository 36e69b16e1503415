//! Gradients that are read, not used.

use std::collections::BTreeMap;

use deepfit_cpu::{ProgramId, View};
use deepfit_graph::{Mode, Tracer, gradients};
use deepfit_nn::step::{self, gradient_name};
use deepfit_nn::{NnError, Role};

use super::{Session, Values};
use crate::error::Result;
use crate::stepper::{Place, compile};

impl Session {
    /// The gradient of one batch's loss for each trained parameter, by name, as a step from here would see it before
    /// clipping. Nothing changes.
    ///
    /// # Errors
    /// As [`Session::step`].
    pub fn gradients(&mut self, batch: &[(&str, View<'_>)]) -> Result<BTreeMap<String, Values>> {
        Ok(self.loss_and_gradients(batch)?.1)
    }

    pub(super) fn loss_and_gradients(&mut self, batch: &[(&str, View<'_>)]) -> Result<(f64, BTreeMap<String, Values>)> {
        let program = self.differentiating()?;
        let statistics = self.copy_of(|d| d.role == Role::Buffer);
        let run = self.run_at(program, batch, Place::alone(self.options.learning_rate, self.steps + 1));
        self.put_back(&statistics);
        run?;
        let mut found = BTreeMap::new();
        for parameter in self.trained() {
            let values = self.engine.output(program, &gradient_name(&parameter.name))?.to_vec();
            found.insert(parameter.name, Values { shape: parameter.shape, values });
        }
        Ok((self.scalar(program, step::LOSS)?, found))
    }

    fn differentiating(&mut self) -> Result<ProgramId> {
        let learning = self.learning()?;
        if let Some(program) = learning.differentiating {
            return Ok(program);
        }
        let tracer = Tracer::new(Mode::Train);
        let loss = (learning.loss)(&tracer)?;
        tracer.output(step::LOSS, &loss);
        tracer.guard(&loss).map_err(NnError::from)?;
        let parameters = learning.stepper.trained();
        let values = parameters.iter().map(|p| p.on(&tracer)).collect::<deepfit_nn::Result<Vec<_>>>()?;
        let found = gradients(&loss, &values).map_err(NnError::from)?;
        for (parameter, gradient) in parameters.iter().zip(&found) {
            tracer.output(&gradient_name(&parameter.name), gradient);
        }
        let (maximum, limit) = (self.options.maximum(), self.options.memory_limit);
        let program = compile(&mut self.engine, &tracer.graph(), maximum, limit)?;
        self.learning.as_mut().map(|learning| learning.differentiating.insert(program));
        Ok(program)
    }
}
