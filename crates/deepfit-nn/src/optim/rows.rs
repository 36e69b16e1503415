use deepfit_graph::ops::RowGradient;
use deepfit_graph::{Tensor, ops};

use super::composed::{correction, first_of_each};
use super::{Adam, Optimizer};
use crate::declaration::Parameter;
use crate::error::{Result, require};
use crate::max_norm::MaxNorm;

impl Optimizer {
    /// Whether the rows of a table can be updated by themselves: by SGD without momentum, by Adam and by AdamW.
    ///
    /// # Errors
    /// If they cannot.
    pub fn validate_rows_only(&self) -> Result<()> {
        let can = match self {
            Optimizer::Sgd(sgd) => sgd.momentum == 0.0,
            Optimizer::Adam(adam) | Optimizer::AdamW(adam) => !adam.amsgrad,
            _ => false,
        };
        require(can, self.name(), "rows_only", || {
            "needs Adam or AdamW without AMSGrad, or SGD without momentum: others change rows that have no gradient, too"
                .to_string()
        })
    }

    /// Adds one update of those rows of a table that have a gradient to the graph, and returns the table's new value.
    /// Other rows, and their state, stay as they are: Adam and AdamW become PyTorch's `SparseAdam`.
    ///
    /// Weight decay shrinks the rows that have a gradient, once in a step, and no others: a row that is seldom used
    /// shrinks seldom. It is added to the gradient by SGD and Adam and shrinks the rows themselves in AdamW. PyTorch's
    /// optimisers of sparse gradients know no weight decay.
    ///
    /// # Errors
    /// If the optimiser cannot update single rows, a setting is out of range, or a shape does not fit.
    pub fn update_rows(
        &self,
        parameter: &Parameter,
        gradient: &RowGradient,
        rate: &Tensor,
        step: &Tensor,
    ) -> Result<Tensor> {
        self.update_limited_rows(parameter, None, gradient, rate, step)
    }

    /// As [`Optimizer::update_rows`], of a table whose rows perhaps are scaled down when they are looked up: the update
    /// begins where these rows are scaled.
    pub(crate) fn update_limited_rows(
        &self,
        parameter: &Parameter,
        limit: Option<MaxNorm>,
        gradient: &RowGradient,
        rate: &Tensor,
        step: &Tensor,
    ) -> Result<Tensor> {
        self.validate()?;
        self.validate_rows_only()?;
        let tracer = rate.tracer();
        let (table, states) = (parameter.on(tracer)?, self.states(parameter, tracer)?);
        let decay = self.decay_of(parameter) as f32;
        if decay == 0.0 && limit.is_none() {
            return self.plain_rows(&table, &states, gradient, rate, step);
        }
        let decoupled = matches!(self, Optimizer::AdamW(_));
        let rows = UsedRows::new(gradient)?;
        let stored = table.embedding(&rows.gradient.numbers)?;
        let begin = limit.map_or(Ok(stored.clone()), |limit| limit.scaled(&stored))?;
        let mut along = rows.gradient.rows.clone();
        if decay != 0.0 && !decoupled {
            along = along.add(&begin.mul_scalar(decay)?)?;
        }
        let mut change = match self {
            Optimizer::Adam(settings) | Optimizer::AdamW(settings) => {
                rows.adam(settings, &states, &along, step)?.mul(rate)?
            }
            _ => along.mul(rate)?,
        };
        if decay != 0.0 && decoupled {
            change = change.add(&begin.mul(&rate.mul_scalar(decay)?)?)?;
        }
        if limit.is_some() {
            change = change.add(&stored.sub(&begin)?)?;
        }
        rows.subtract(&table, &change)
    }

    /// The update by the one operation that there is for it.
    fn plain_rows(
        &self,
        table: &Tensor,
        states: &[Tensor],
        gradient: &RowGradient,
        rate: &Tensor,
        step: &Tensor,
    ) -> Result<Tensor> {
        let RowGradient { numbers, rows, padding } = gradient;
        let (tracer, padding) = (rate.tracer(), *padding);
        if let (Optimizer::Adam(settings) | Optimizer::AdamW(settings), [first, second, ..]) = (self, states) {
            let op = ops::AdamRows { betas: settings.betas, epsilon: settings.eps, padding };
            return Ok(tracer.apply_one(op, &[table, numbers, rows, first, second, rate, step])?);
        }
        Ok(tracer.apply_one(ops::SgdRows { padding }, &[table, numbers, rows, rate])?)
    }
}

/// The rows of a table that a batch has used.
struct UsedRows {
    /// Their gradients: the sum where a number stands for the first time.
    gradient: RowGradient,
    /// 1 there, else 0.
    first: Tensor,
}

impl UsedRows {
    fn new(gradient: &RowGradient) -> Result<Self> {
        let gradient = gradient.coalesced()?;
        Ok(UsedRows { first: first_of_each(&gradient)?, gradient })
    }

    /// Subtracts what stands in the rows of first numbers from a table, and returns its new value.
    fn subtract(&self, table: &Tensor, change: &Tensor) -> Result<Tensor> {
        let RowGradient { numbers, padding, .. } = &self.gradient;
        let tracer = table.tracer();
        // Selected, not multiplied: elsewhere the change may not be finite.
        let change = self.first.select(change, &tracer.scalar(0.0))?;
        let op = ops::SgdRows { padding: *padding };
        Ok(tracer.apply_one(op, &[table, numbers, &change, &tracer.scalar(1.0)])?)
    }

    /// Moves both moments of these rows along a gradient, and returns the direction of their step. As in PyTorch's
    /// `SparseAdam`, what is added to the root is not corrected.
    fn adam(&self, settings: &Adam, states: &[Tensor], gradient: &Tensor, step: &Tensor) -> Result<Tensor> {
        let average = |state: &Tensor, new: &Tensor, beta: f64| -> Result<Tensor> {
            let old = state.embedding(&self.gradient.numbers)?;
            let moved = old.mul_scalar(beta as f32)?.add(&new.mul_scalar((1.0 - beta) as f32)?)?;
            self.subtract(state, &old.sub(&moved)?)?;
            Ok(moved)
        };
        let [first, second, ..] = states else { unreachable!("Adam has two moments") };
        let moment = average(first, gradient, settings.betas.0)?;
        let square = average(second, &gradient.square()?, settings.betas.1)?;
        let size = correction(settings.betas.1, step)?.sqrt()?.div(&correction(settings.betas.0, step)?)?;
        Ok(moment.mul(&size)?.div(&square.sqrt()?.add_scalar(settings.eps as f32)?)?)
    }
}
