//! Updates made of several operations: what no single one computes, and what begins elsewhere than at the parameter.

use deepfit_graph::Tensor;
use deepfit_graph::ops::{EmbeddingGrad, RowGradient, Rule, Update};

use super::{Adam, Optimizer, Sgd};
use crate::declaration::Parameter;
use crate::error::{NnError, Result, require};
use crate::max_norm::MaxNorm;

impl Optimizer {
    /// Whether an ordinary update is one of these.
    pub(super) fn is_composed(&self) -> bool {
        match self {
            Optimizer::Sgd(s) => s.momentum != 0.0 && s.dampening != 0.0,
            Optimizer::Adam(s) | Optimizer::AdamW(s) => s.amsgrad,
            _ => false,
        }
    }

    /// Whether tables with a limit of their rows' norms can be updated: by SGD, Adam and AdamW.
    pub(crate) fn validate_limited(&self, table: &str) -> Result<()> {
        let can = matches!(self, Optimizer::Sgd(_) | Optimizer::Adam(_) | Optimizer::AdamW(_));
        require(can, table, "max_norm", || format!("needs SGD, Adam or AdamW, not {}", self.name()))
    }

    /// Adds an update that begins at `from`, not at the parameter's value, and returns the new value.
    pub(super) fn update_from(
        &self,
        parameter: &Parameter,
        from: &Tensor,
        gradient: &Tensor,
        rate: &Tensor,
        step: &Tensor,
    ) -> Result<Tensor> {
        let tracer = gradient.tracer();
        let decay = self.decay_of(parameter) as f32;
        let decayed = |gradient: &Tensor| -> Result<Tensor> {
            Ok(if decay == 0.0 { gradient.clone() } else { gradient.add(&from.mul_scalar(decay)?)? })
        };
        let states = self.states(parameter, tracer)?;
        let new = match self {
            Optimizer::Sgd(s) => {
                // Kernels of updates refuse gradients that are not finite; here nothing else does.
                tracer.guard(gradient)?;
                from.sub(&velocity(s, states.first(), &decayed(gradient)?, step)?.mul(rate)?)?
            }
            Optimizer::Adam(s) => {
                let gradient = decayed(gradient)?;
                from.sub(&direction(s, &states, from, &gradient, rate, step)?.mul(rate)?)?
            }
            Optimizer::AdamW(s) => {
                let change = direction(s, &states, from, gradient, rate, step)?.mul(rate)?;
                let kept =
                    if decay == 0.0 { from.clone() } else { from.mul(&rate.mul_scalar(-decay)?.add_scalar(1.0)?)? };
                kept.sub(&change)?
            }
            other => {
                return Err(NnError::Setting {
                    place: parameter.name.clone(),
                    setting: "optimizer".to_string(),
                    problem: format!("{} changes a parameter from its own value alone", other.name()),
                });
            }
        };
        Ok(parameter.on(tracer)?.assign(&new)?)
    }

    /// Adds one update of a table whose rows are scaled down when they are looked up, as PyTorch's `max_norm`: it begins
    /// where these rows are scaled. `used` are the rows looked up.
    pub(crate) fn update_limited(
        &self,
        table: &Parameter,
        limit: MaxNorm,
        used: &RowGradient,
        gradient: &Tensor,
        rate: &Tensor,
        step: &Tensor,
    ) -> Result<Tensor> {
        self.validate()?;
        self.validate_limited(&table.name)?;
        let tracer = gradient.tracer();
        let value = table.on(tracer)?;
        let rows = value.embedding(&used.numbers)?;
        let all = RowGradient { padding: None, ..used.clone() };
        let excess = rows.sub(&limit.scaled(&rows)?)?.mul(&first_of_each(&all)?)?;
        let op = EmbeddingGrad { rows: value.shape().dims()[0], padding: None };
        let from = value.sub(&tracer.apply_one(op, &[&used.numbers, &excess])?)?;
        self.update_from(table, &from, gradient, rate, step)
    }
}

/// 1 in each row whose number stands there for the first time, else 0: f32 `[count, 1]`. 0 also for padding.
pub(super) fn first_of_each(rows: &RowGradient) -> Result<Tensor> {
    let tracer = rows.rows.tracer();
    let count = rows.numbers.shape().dims()[0];
    let ones = tracer.scalar(1.0).broadcast_to(vec![count, 1.into()])?;
    let counts = RowGradient { rows: ones, ..rows.clone() }.coalesced()?.rows;
    Ok(counts.greater(&tracer.scalar(0.0))?)
}

/// `1 - beta ^ step` as `2 t / (1 + t)` with `t = tanh(-step ln(beta) / 2)`, which loses no digits near 0.
pub(super) fn correction(beta: f64, step: &Tensor) -> Result<Tensor> {
    if beta == 0.0 {
        return Ok(step.tracer().scalar(1.0));
    }
    let t = step.mul_scalar((-0.5 * beta.ln()) as f32)?.tanh()?;
    Ok(t.mul_scalar(2.0)?.div(&t.add_scalar(1.0)?)?)
}

/// What a step of SGD goes along.
fn velocity(settings: &Sgd, before: Option<&Tensor>, gradient: &Tensor, step: &Tensor) -> Result<Tensor> {
    let Sgd { momentum, dampening, nesterov, .. } = *settings;
    let Some(before) = before else { return Ok(gradient.clone()) };
    let mut entering = gradient.clone();
    if dampening != 0.0 {
        let later = step.greater(&step.tracer().scalar(1.5))?.mul_scalar(-dampening as f32)?.add_scalar(1.0)?;
        entering = entering.mul(&later)?;
    }
    let velocity = before.assign(&before.mul_scalar(momentum as f32)?.add(&entering)?)?;
    if nesterov { Ok(gradient.add(&velocity.mul_scalar(momentum as f32)?)?) } else { Ok(velocity) }
}

/// What a step of Adam goes along: the corrected first moment over the root of the corrected second one.
fn direction(
    settings: &Adam,
    states: &[Tensor],
    value: &Tensor,
    gradient: &Tensor,
    rate: &Tensor,
    step: &Tensor,
) -> Result<Tensor> {
    let Adam { betas, eps: epsilon, .. } = *settings;
    let (tracer, rule) = (gradient.tracer(), Rule::LambDirection { betas, epsilon, weight_decay: 0.0 });
    let [first, second, largest @ ..] = states else { unreachable!("Adam has two moments") };
    let found = tracer.apply(Update { rule }, &[value, gradient, first, second, rate, step])?;
    let Some(largest) = largest.first() else { return Ok(found[0].clone()) };
    let largest = largest.assign(&largest.maximum(&found[2])?)?;
    let moment = found[1].div(&correction(betas.0, step)?)?;
    let root = largest.div(&correction(betas.1, step)?)?.sqrt()?.add_scalar(epsilon as f32)?;
    Ok(moment.div(&root)?)
}
