//! L-BFGS for small problems: a driver that calls whatever computes a loss and its gradient.
//!
//! The method of Nocedal and Wright (*Numerical Optimization*, 2006, chapters 3 and 7) with the choices of PyTorch's
//! `LBFGS`: the first step is scaled by the gradient's sum of absolute values, pairs of too little curvature are left out,
//! and the line search brackets and then zooms with cubic interpolation until the strong Wolfe conditions hold.

use std::collections::VecDeque;

use crate::error::{Result, require};

/// Settings of L-BFGS, with PyTorch's names and defaults, and a strong Wolfe line search.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lbfgs {
    /// First step that the line search tries, above 0; 1 by default.
    pub lr: f64,
    /// Most iterations of one call, at least 1; 20 by default.
    pub max_iter: usize,
    /// Most evaluations of the loss of one call; `None`, the default: `max_iter * 5 / 4`.
    pub max_eval: Option<usize>,
    /// Ends where the largest absolute element of the gradient is at most this; 1e-7 by default.
    pub tolerance_grad: f64,
    /// Ends where a step, or what it gains, is at most this; 1e-9 by default.
    pub tolerance_change: f64,
    /// Pairs of changes that are remembered, at least 1; 100 by default.
    pub history_size: usize,
    /// Whether each step is searched for, as by default; otherwise it is `lr` times the direction.
    pub strong_wolfe: bool,
}

impl Default for Lbfgs {
    fn default() -> Self {
        Lbfgs {
            lr: 1.0,
            max_iter: 20,
            max_eval: None,
            tolerance_grad: 1e-7,
            tolerance_change: 1e-9,
            history_size: 100,
            strong_wolfe: true,
        }
    }
}

/// The memory of a run of L-BFGS, which goes on from call to call.
///
/// For `n` parameters it holds `(2 history_size + 3) n` numbers of 8 bytes, and five more arrays of `n` during a call.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// Changes of the gradient and of the position, oldest first, with the inverse of their product.
    pairs: VecDeque<(Vec<f64>, Vec<f64>, f64)>,
    direction: Vec<f64>,
    previous_gradient: Vec<f64>,
    previous_loss: f64,
    step: f64,
    /// Scale of the inverse Hessian before any pair is applied.
    scale: f64,
    iterations: usize,
}

/// What one call did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// The loss where the call began.
    pub first_loss: f64,
    /// The loss where it ended.
    pub loss: f64,
    /// Iterations of this call.
    pub iterations: usize,
    /// Evaluations of loss and gradient in this call.
    pub evaluations: usize,
    /// Whether a tolerance was met; otherwise more iterations may help.
    pub converged: bool,
}

/// A point on the line of a search: step, loss, gradient, slope along the line.
#[derive(Debug, Clone)]
struct Point {
    step: f64,
    loss: f64,
    gradient: Vec<f64>,
    slope: f64,
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |m: f64, v| m.max(v.abs()))
}

impl Lbfgs {
    /// Checks the settings.
    ///
    /// # Errors
    /// If one is out of range, naming it.
    pub fn validate(&self) -> Result<()> {
        require(self.lr.is_finite() && self.lr > 0.0, "lbfgs", "lr", || {
            format!("is {}, but must be above 0", self.lr)
        })?;
        for (setting, value) in [("max_iter", self.max_iter), ("history_size", self.history_size)] {
            require(value > 0, "lbfgs", setting, || "is 0, but must be at least 1".to_string())?;
        }
        for (setting, value) in [("tolerance_grad", self.tolerance_grad), ("tolerance_change", self.tolerance_change)] {
            require(value >= 0.0, "lbfgs", setting, || format!("is {value}, but must not be negative"))?;
        }
        Ok(())
    }

    /// Up to `max_iter` iterations from `x`, which is moved.
    ///
    /// `evaluate` is given a position and an array of the same length, which it fills with the gradient there; it returns
    /// the loss. It is called again and again at different positions, so it must be a function of the position alone:
    /// the whole data, no dropout.
    ///
    /// # Errors
    /// Those of `evaluate`, and a setting that is out of range; `x` is then where the last iteration began.
    pub fn minimise<E: From<crate::error::NnError>>(
        &self,
        memory: &mut Memory,
        x: &mut [f64],
        mut evaluate: impl FnMut(&[f64], &mut [f64]) -> Result<f64, E>,
    ) -> Result<Progress, E> {
        self.validate()?;
        let most_evaluations = self.max_eval.unwrap_or(self.max_iter * 5 / 4);
        let mut gradient = vec![0.0; x.len()];
        let mut loss = evaluate(x, &mut gradient)?;
        let mut progress = Progress { first_loss: loss, loss, iterations: 0, evaluations: 1, converged: false };
        if largest(&gradient) <= self.tolerance_grad {
            progress.converged = true;
            return Ok(progress);
        }
        let mut moved = vec![0.0; x.len()];
        while progress.iterations < self.max_iter {
            progress.iterations += 1;
            memory.iterations += 1;
            memory.turn(self, &gradient);
            let norm: f64 = gradient.iter().map(|g| g.abs()).sum();
            let first = if memory.iterations == 1 { (1.0 / norm).min(1.0) * self.lr } else { self.lr };
            let slope = dot(&gradient, &memory.direction);
            memory.previous_gradient.clone_from(&gradient);
            memory.previous_loss = loss;
            memory.step = first;
            if slope > -self.tolerance_change {
                progress.converged = true;
                break;
            }
            let at = |step: f64, moved: &mut Vec<f64>, x: &[f64], direction: &[f64]| {
                moved.clear();
                moved.extend(x.iter().zip(direction).map(|(x, d)| x + step * d));
            };
            let mut last = false;
            if self.strong_wolfe {
                let direction = &memory.direction;
                let start = Point { step: 0.0, loss, gradient: gradient.clone(), slope };
                let mut evaluations = 0;
                let left = most_evaluations.saturating_sub(progress.evaluations);
                let found = search(start, first, largest(direction), self.tolerance_change, left, |step| {
                    at(step, &mut moved, x, direction);
                    evaluations += 1;
                    let mut gradient = vec![0.0; x.len()];
                    let loss = evaluate(&moved, &mut gradient)?;
                    let slope = dot(&gradient, direction);
                    Ok::<_, E>(Point { step, loss, gradient, slope })
                })?;
                progress.evaluations += evaluations;
                (memory.step, loss, gradient) = (found.step, found.loss, found.gradient);
                at(memory.step, &mut moved, x, &memory.direction);
                x.copy_from_slice(&moved);
            } else {
                at(first, &mut moved, x, &memory.direction);
                last = progress.iterations == self.max_iter;
                if !last {
                    loss = evaluate(&moved, &mut gradient)?;
                    progress.evaluations += 1;
                }
                x.copy_from_slice(&moved);
            }
            progress.loss = loss;
            progress.converged = !last
                && (largest(&gradient) <= self.tolerance_grad
                    || largest(&memory.direction) * memory.step <= self.tolerance_change
                    || (loss - memory.previous_loss).abs() < self.tolerance_change);
            if progress.converged || progress.evaluations >= most_evaluations {
                break;
            }
        }
        Ok(progress)
    }
}

impl Memory {
    /// The next direction: the remembered pairs applied to the negative gradient (the two-loop recursion).
    fn turn(&mut self, settings: &Lbfgs, gradient: &[f64]) {
        if self.iterations == 1 {
            self.direction = gradient.iter().map(|g| -g).collect();
            self.scale = 1.0;
            return;
        }
        let change: Vec<f64> = gradient.iter().zip(&self.previous_gradient).map(|(g, p)| g - p).collect();
        let moved: Vec<f64> = self.direction.iter().map(|d| d * self.step).collect();
        let curvature = dot(&change, &moved);
        if curvature > 1e-10 {
            if self.pairs.len() == settings.history_size {
                self.pairs.pop_front();
            }
            self.scale = curvature / dot(&change, &change);
            self.pairs.push_back((change, moved, 1.0 / curvature));
        }
        let mut q: Vec<f64> = gradient.iter().map(|g| -g).collect();
        let mut shares = Vec::with_capacity(self.pairs.len());
        for (change, moved, inverse) in self.pairs.iter().rev() {
            let share = dot(moved, &q) * inverse;
            q.iter_mut().zip(change).for_each(|(q, c)| *q -= share * c);
            shares.push(share);
        }
        q.iter_mut().for_each(|q| *q *= self.scale);
        for ((change, moved, inverse), share) in self.pairs.iter().zip(shares.iter().rev()) {
            let correction = share - dot(change, &q) * inverse;
            q.iter_mut().zip(moved).for_each(|(q, m)| *q += correction * m);
        }
        self.direction = q;
    }
}

/// Sufficient decrease, and how flat the slope must become.
const DECREASE: f64 = 1e-4;
const FLATNESS: f64 = 0.9;

/// A step that meets the strong Wolfe conditions, or the best that was found with `most_tries` evaluations after the
/// first.
fn search<E>(
    start: Point,
    first: f64,
    size: f64,
    smallest: f64,
    most_tries: usize,
    mut evaluate: impl FnMut(f64) -> Result<Point, E>,
) -> Result<Point, E> {
    let fits = |p: &Point| p.slope.abs() <= -FLATNESS * start.slope;
    // Written so that a loss that is not a number is too high.
    let low_enough = |p: &Point| p.loss <= start.loss + DECREASE * p.step * start.slope;
    let mut previous = start.clone();
    let mut point = evaluate(first)?;
    let mut tries = 0;
    let mut bracket: Option<[Point; 2]> = None;
    while tries < most_tries {
        if !low_enough(&point) || (tries > 1 && point.loss >= previous.loss) {
            bracket = Some([previous.clone(), point.clone()]);
            break;
        }
        if fits(&point) {
            return Ok(point);
        }
        if point.slope >= 0.0 {
            bracket = Some([previous.clone(), point.clone()]);
            break;
        }
        let bounds = (point.step + 0.01 * (point.step - previous.step), point.step * 10.0);
        let next = cubic(&previous, &point, Some(bounds));
        previous = std::mem::replace(&mut point, evaluate(next)?);
        tries += 1;
    }
    let mut bracket = bracket.unwrap_or_else(|| [start.clone(), point.clone()]);
    // Zoom: the bracket shrinks around a step that fits; `low` is its better end.
    let mut stalled = false;
    let mut low = usize::from(bracket[0].loss > bracket[bracket.len() - 1].loss);
    while tries < most_tries {
        let [a, b] = &bracket;
        if (b.step - a.step).abs() * size < smallest {
            break;
        }
        let (left, right) = (a.step.min(b.step), a.step.max(b.step));
        let mut next = cubic(a, b, None);
        // A step close to an end twice in a row makes no progress: then it is moved inside.
        let margin = 0.1 * (right - left);
        if (right - next).min(next - left) < margin {
            if stalled || next >= right || next <= left {
                next = if (next - right).abs() < (next - left).abs() { right - margin } else { left + margin };
                stalled = false;
            } else {
                stalled = true;
            }
        } else {
            stalled = false;
        }
        let point = evaluate(next)?;
        tries += 1;
        let high = 1 - low;
        if !low_enough(&point) || point.loss >= bracket[low].loss {
            bracket[high] = point;
            low = usize::from(bracket[0].loss > bracket[1].loss);
        } else {
            let done = fits(&point);
            if !done && point.slope * (bracket[high].step - bracket[low].step) >= 0.0 {
                bracket[high] = bracket[low].clone();
            }
            bracket[low] = point;
            if done {
                break;
            }
        }
    }
    let [a, b] = bracket;
    Ok(if low == 0 { a } else { b })
}

/// Where the cubic through two points with their slopes is lowest, within bounds: by default the points themselves.
fn cubic(a: &Point, b: &Point, bounds: Option<(f64, f64)>) -> f64 {
    let (low, high) = bounds.unwrap_or((a.step.min(b.step), a.step.max(b.step)));
    let d1 = a.slope + b.slope - 3.0 * (a.loss - b.loss) / (a.step - b.step);
    let square = d1 * d1 - a.slope * b.slope;
    if square < 0.0 || square.is_nan() {
        return f64::midpoint(low, high);
    }
    let d2 = square.sqrt();
    let (left, right) = if a.step <= b.step { (a, b) } else { (b, a) };
    let lowest =
        right.step - (right.step - left.step) * ((right.slope + d2 - d1) / (right.slope - left.slope + 2.0 * d2));
    // NaN is no place at all.
    lowest.min(high).max(low)
}
