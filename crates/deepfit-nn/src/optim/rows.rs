use deepfit_graph::ops::RowGradient;
use deepfit_graph::{Tensor, ops};

use super::{Optimizer, STATE};
use crate::declaration::Parameter;
use crate::error::{Result, require};

impl Optimizer {
    /// Whether the rows of a table can be updated by themselves: by SGD without momentum, by Adam and by AdamW.
    ///
    /// # Errors
    /// If they cannot.
    pub fn validate_rows_only(&self) -> Result<()> {
        let can = match self {
            Optimizer::Sgd(sgd) => sgd.momentum == 0.0,
            other => matches!(other, Optimizer::Adam(_) | Optimizer::AdamW(_)),
        };
        require(can, self.name(), "rows_only", || {
            "needs Adam, AdamW or SGD without momentum: others change rows that have no gradient, too".to_string()
        })
    }

    /// Adds one update of those rows of a table that have a gradient to the graph, and returns the table's new value. Other
    /// rows, and their state, stay as they are: Adam and AdamW become PyTorch's `SparseAdam`, which knows no weight decay.
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
        self.validate()?;
        self.validate_rows_only()?;
        let tracer = rate.tracer();
        let RowGradient { numbers, rows, padding } = gradient;
        let (table, padding) = (parameter.on(tracer)?, *padding);
        if let Optimizer::Adam(settings) | Optimizer::AdamW(settings) = self {
            let state =
                |kind: &str| tracer.parameter(&format!("{STATE}.{kind}.{}", parameter.name), &parameter.shape[..]);
            let (first, second) = (state("exp_avg")?, state("exp_avg_sq")?);
            let op = ops::AdamRows { betas: settings.betas, epsilon: settings.eps, padding };
            return Ok(tracer.apply_one(op, &[&table, numbers, rows, &first, &second, rate, step])?);
        }
        Ok(tracer.apply_one(ops::SgdRows { padding }, &[&table, numbers, rows, rate])?)
    }
}
