//! Predictions for any number of rows, and losses over examples.

use deepfit_cpu::{Error, View};
use deepfit_graph::{Dim, Extents, Shape, Symbol};

use super::extents::length;
use super::outputs::output_name;
use super::{Examples, Session, Values};
use crate::error::{Result, TrainError};

impl Session {
    /// What the network makes of some rows, its first output if it has several. More rows than a batch may have are
    /// predicted in parts. A network that draws random numbers in use draws others at each call, and in each part.
    ///
    /// # Errors
    /// If an input is missing, unknown or does not fit, or if there are more rows than a batch may have and the output is
    /// not one for each row.
    pub fn predict(&mut self, batch: &[(&str, View<'_>)]) -> Result<Values> {
        Ok(self.predict_all(batch)?.swap_remove(0))
    }

    /// All outputs of the network, as [`Session::predict`] gives the first.
    ///
    /// # Errors
    /// As [`Session::predict`].
    pub fn predict_all(&mut self, batch: &[(&str, View<'_>)]) -> Result<Vec<Values>> {
        let program = self.predicting()?;
        self.check_names(batch)?;
        let extents = self.extents(batch)?;
        let most = self.options.batch;
        let outputs = self.engine.plan(program).graph.outputs();
        let count = (0..).take_while(|&i| outputs.iter().any(|(name, _)| *name == output_name(i))).count();
        let mut all: Vec<Values> = Vec::new();
        if extents.batch <= most {
            self.check_extents(extents)?;
            let place = self.place_aside();
            self.run_with(program, extents, batch, place)?;
            for index in 0..count {
                all.push(self.values_of(program, &output_name(index))?);
            }
            return Ok(all);
        }
        self.check_rows(program, extents, count)?;
        for first in (0..extents.batch).step_by(most) {
            let rows = most.min(extents.batch - first);
            let part: Vec<(&str, View<'_>)> =
                batch.iter().map(|&(name, view)| (name, self.rows_of(name, view, extents, first, rows))).collect();
            let part_extents = Extents { batch: rows, ..extents };
            self.check_extents(part_extents)?;
            let place = self.place_aside();
            self.run_with(program, part_extents, &part, place)?;
            for index in 0..count {
                let values = self.values_of(program, &output_name(index))?;
                match all.get_mut(index) {
                    Some(known) => {
                        known.shape[0] += values.shape[0];
                        known.values.extend(values.values);
                    }
                    None => all.push(values),
                }
            }
        }
        // The last part is not the whole.
        self.last = None;
        Ok(all)
    }

    fn values_of(&self, program: deepfit_cpu::ProgramId, name: &str) -> Result<Values> {
        let shape = self.engine.output_shape(program, name).unwrap_or_default();
        Ok(Values { shape, values: self.engine.output_view(program, name)?.to_f32() })
    }

    /// Refuses to cut what is not made of rows.
    fn check_rows(&self, program: deepfit_cpu::ProgramId, extents: Extents, outputs: usize) -> Result<()> {
        let plan = self.engine.plan(program);
        let asked = plan.inputs.iter().filter(|(name, _)| !super::is_given(name)).map(|(_, ty)| &ty.shape);
        let given = (0..outputs).filter_map(|index| plan.graph.output(&output_name(index)));
        let given = given.map(|value| &plan.graph.type_of(value).shape);
        let grows = |dim: &Dim| dim.length(&Extents::batch(2)) != dim.length(&Extents::batch(1));
        // Rows one after another; an input may also be the same for all.
        let in_rows = |shape: &Shape| {
            let dims = shape.dims();
            dims.first() == Some(&Dim::symbol(Symbol::Batch)) && !dims[1..].iter().any(grows)
        };
        let mut cut = asked.filter(|shape| shape.dims().iter().any(grows)).chain(given);
        match cut.find(|shape| !in_rows(shape)) {
            None => Ok(()),
            Some(shape) => {
                let (rows, most) = (extents.batch, self.options.batch);
                let problem = format!(
                    "has {rows} examples, and the session was made for {most}: `SessionOptions::batch` sets how many; they \
                     cannot be predicted in parts, since {shape} does not begin with the batch"
                );
                Err(TrainError::setting("batch", problem))
            }
        }
    }

    /// Some rows of an input; one that has no rows as it is.
    fn rows_of<'a>(&self, name: &str, view: View<'a>, extents: Extents, first: usize, rows: usize) -> View<'a> {
        let Some(ty) = self.inputs.get(name) else { return view };
        let whole = ty.shape.count(&extents);
        if whole == ty.shape.count(&Extents { batch: 1, ..extents }) || whole != length(&view) {
            return view;
        }
        let width = whole / extents.batch;
        let range = first * width..(first + rows) * width;
        match view {
            View::F32(values) => View::F32(&values[range]),
            View::U8(values) => View::U8(&values[range]),
            View::I32(values) => View::I32(&values[range]),
        }
    }

    /// The mean loss over examples, with the network in use: that of [`Session::loss`] in batches, each counted by its rows.
    ///
    /// # Errors
    /// As [`Session::loss`], or if there are no examples.
    pub fn mean_loss(&mut self, examples: &Examples) -> Result<f64> {
        if examples.is_empty() {
            return Err(TrainError::setting("examples", "are none"));
        }
        let mut sum = 0.0;
        for first in (0..examples.len()).step_by(self.options.batch) {
            let rows: Vec<usize> = (first..examples.len().min(first + self.options.batch)).collect();
            sum += self.loss(&examples.rows(&rows).views())? * rows.len() as f64;
        }
        Ok(sum / examples.len() as f64)
    }

    /// Refuses a batch, or a sequence, larger than the session was made for.
    pub(super) fn check_extents(&self, asked: Extents) -> Result<()> {
        let most = self.options.maximum();
        for (key, what, asked, most) in [
            ("batch", "a batch of", asked.batch, most.batch),
            ("sequence", "sequences of", asked.sequence, most.sequence),
        ] {
            if asked > most {
                let problem =
                    format!("is {most}, and {what} {asked} is given: set `SessionOptions::{key}` to the most");
                return Err(TrainError::setting(key, problem));
            }
        }
        Ok(())
    }

    /// Refuses names that nobody asks for, and names that are given twice.
    pub(super) fn check_names(&self, batch: &[(&str, View<'_>)]) -> Result<()> {
        let wrong = |name: &str, problem| Err(Error::Input { name: name.to_string(), problem }.into());
        for (i, (name, _)) in batch.iter().enumerate() {
            if super::is_given(name) {
                return wrong(name, "belongs to the training step, which gives it itself".to_string());
            }
            if !self.inputs.contains_key(*name) {
                let known: Vec<&str> = self.inputs.keys().map(String::as_str).collect();
                return wrong(name, format!("is asked for by nobody; there are {}", known.join(", ")));
            }
            if batch[..i].iter().any(|(before, _)| before == name) {
                return wrong(name, "is given twice".to_string());
            }
        }
        Ok(())
    }
}
