//! Searches that call the network many times: for a learning rate, and by L-BFGS for a minimum.

use deepfit_cpu::View;
use deepfit_nn::optim::lbfgs::{Lbfgs, Memory, Progress};
use deepfit_nn::schedule::{RateCurve, RateSearch};

use super::{Examples, Session};
use crate::error::{Result, TrainError};

impl Session {
    /// Tries rising learning rates on batches of the examples, and tells how the loss followed (Smith, 2017).
    ///
    /// The search works on a copy: parameters, statistics, optimiser and counters are afterwards what they were, to the
    /// bit, also if it fails.
    ///
    /// # Errors
    /// If a setting is out of range, there are no examples, or an input does not fit.
    pub fn find_rate(&mut self, examples: &Examples, search: &RateSearch) -> Result<RateCurve> {
        search.validate()?;
        if examples.is_empty() {
            return Err(TrainError::setting("examples", "are none"));
        }
        let state: Vec<(String, Vec<f32>)> =
            self.engine.parameters().map(|(name, _, values)| (name.to_string(), values.to_vec())).collect();
        let (steps, rate) = (self.steps, self.learning_rate());
        let curve = self.try_rates(examples, search);
        self.put_back(&state);
        self.steps = steps;
        self.set_learning_rate(rate);
        curve
    }

    fn try_rates(&mut self, examples: &Examples, search: &RateSearch) -> Result<RateCurve> {
        let mut curve = RateCurve::default();
        for epoch in 1.. {
            for batch in examples.batches(self.options.seed, epoch, self.options.batch) {
                self.set_learning_rate(search.rate(curve.rates.len() as u64));
                let loss = match self.step(&batch.views()) {
                    // Where the numbers end, the search ends.
                    Err(TrainError::Step { .. }) if !curve.rates.is_empty() => f64::NAN,
                    loss => loss?,
                };
                if !search.observe(&mut curve, loss) {
                    return Ok(curve);
                }
            }
        }
        Ok(curve)
    }

    /// Moves the trained parameters by L-BFGS towards a minimum of one batch's loss: for small problems whose data fits
    /// into a batch. Dropout, if there is some, drops the same elements in every evaluation of a call. Of the settings of the
    /// training, what is frozen counts alone: it is a minimum that is searched for, whatever `maximize` says.
    ///
    /// # Errors
    /// If a setting is out of range, or as [`Session::step`] where the search begins; elsewhere a loss that is not finite
    /// counts as one that is too high.
    pub fn minimise(&mut self, lbfgs: &Lbfgs, memory: &mut Memory, batch: &[(&str, View<'_>)]) -> Result<Progress> {
        let trained = self.trained();
        let mut x: Vec<f64> = Vec::new();
        for parameter in &trained {
            x.extend(self.engine.parameter(&parameter.name).unwrap_or_default().iter().map(|&v| f64::from(v)));
        }
        let mut first = true;
        let result = lbfgs.minimise(memory, &mut x, |x, gradient| {
            self.set_trained(x);
            match self.loss_and_gradients(batch) {
                Err(TrainError::Step { .. }) if !first => {
                    gradient.fill(0.0);
                    Ok(f64::INFINITY)
                }
                found => {
                    first = false;
                    let (loss, found) = found?;
                    let values = trained.iter().filter_map(|p| found.get(&p.name)).flat_map(|g| &g.values);
                    gradient.iter_mut().zip(values).for_each(|(to, &from)| *to = f64::from(from));
                    Ok::<f64, TrainError>(loss)
                }
            }
        });
        self.set_trained(&x);
        result
    }

    fn set_trained(&mut self, mut x: &[f64]) {
        for parameter in self.trained() {
            if let Some(values) = self.engine.parameter_mut(&parameter.name) {
                let (own, rest) = x.split_at(values.len());
                values.iter_mut().zip(own).for_each(|(to, &from)| *to = from as f32);
                x = rest;
            }
        }
    }
}
