//! Ridge regression (Hoerl and Kennard, 1970) and logistic regression with a penalty of squared weights.

use crate::bytes::{Reader, Writer};
use crate::constant::{mean, shares};
use crate::error::{ClassicalError, Result};
use crate::folds::folds;
use crate::lbfgs::minimise;
use crate::matrix::Matrix;
use crate::parallel;
use crate::scale::Scale;
use crate::target::Target;
use crate::work::Work;

/// Penalties among which rows that are held out choose, where none is asked for: strong ones first, so that each begins with
/// the weights of the one before it.
const PENALTIES: [f64; 6] = [1000.0, 100.0, 10.0, 1.0, 0.1, 0.01];
const FEW_PENALTIES: [f64; 3] = [1000.0, 10.0, 0.1];
/// Folds of that choice.
const FOLDS: usize = 4;
/// Up to this many columns a ridge regression is solved by a factorisation, with more by steps.
const FACTORED: usize = 1_024;
/// Products of rows, columns and outputs that one task adds up.
const PIECE: usize = 1 << 20;
const MOST_PIECES: usize = 16;
/// Largest part of the mean loss's gradient where a logistic regression counts as solved, and most steps.
const EXACT: Effort = Effort { tolerance: 1e-6, most_steps: 500 };
/// To choose a penalty, it is enough to come near.
const NEAR: Effort = Effort { tolerance: 1e-4, most_steps: 60 };

/// How exactly steps solve.
#[derive(Clone, Copy)]
struct Effort {
    tolerance: f64,
    most_steps: usize,
}

/// How a linear model is fitted.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LinearOptions {
    /// What squared weights are multiplied by, beside the sum of squared errors or twice that of log losses (of
    /// scikit-learn, `alpha` and `1 / C`); chosen where it is not given.
    pub penalty: Option<f64>,
    /// Whether it is enough to come near: a penalty among few, chosen by one part of the rows, and early ends.
    pub rough: bool,
}

/// A linear model of standardised columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    scale: Scale,
    width: usize,
    sparse: bool,
    classes: usize,
    /// `[outputs, width]`, then a bias for each output. Two classes have one output, the logit of the second.
    weights: Vec<f32>,
    penalty: f64,
}

/// Outputs of the linear function.
fn columns(classes: usize) -> usize {
    if classes > 2 { classes } else { 1 }
}

impl Linear {
    /// Fits to rows.
    ///
    /// # Errors
    /// If a value is not finite, or it was asked to stop.
    pub(crate) fn fit(matrix: &Matrix, target: &Target, options: LinearOptions, work: Work<'_>) -> Result<Linear> {
        if !matrix.is_finite() {
            return Err(ClassicalError::Rows("a linear model needs numbers in all columns of all rows".to_string()));
        }
        let scale = Scale::fit(matrix);
        let scaled = scale.apply(matrix);
        let penalty = match options.penalty {
            Some(penalty) => penalty,
            None => choose(&scaled, target, options.rough, work)?,
        };
        let effort = if options.rough { NEAR } else { EXACT };
        let weights = path(&scaled, target, &[penalty], effort, work, &mut |_| true)?.pop().unwrap_or_default();
        let weights = weights.into_iter().map(|w| w as f32).collect();
        let classes = if let Target::Classes { classes, .. } = target { *classes } else { 0 };
        Ok(Linear { scale, width: matrix.width(), sparse: matrix.is_sparse(), classes, weights, penalty })
    }

    /// The penalty that was chosen or asked for.
    pub fn penalty(&self) -> f64 {
        self.penalty
    }

    /// Weights of standardised columns, `[outputs, width]`, then a bias for each output; of two classes for the second alone.
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// Of each column, the mean size of its weights.
    pub(crate) fn importances(&self) -> Vec<f64> {
        let outputs = columns(self.classes);
        let of = |column: usize| {
            let sum: f64 = (0..outputs).map(|o| f64::from(self.weights[o * self.width + column].abs())).sum();
            sum / outputs as f64
        };
        (0..self.width).map(of).collect()
    }

    pub(crate) fn predict(&self, matrix: &Matrix, threads: usize) -> Vec<f32> {
        let weights: Vec<f64> = self.weights.iter().map(|&w| f64::from(w)).collect();
        predict(&self.scale.apply(matrix), &weights, self.classes, threads)
    }

    pub(crate) fn write(&self, to: &mut Writer) {
        to.int(self.width);
        to.byte(u8::from(self.sparse));
        self.scale.write(to);
        to.float(self.penalty as f32);
        to.floats(&self.weights);
    }

    pub(crate) fn read(from: &mut Reader<'_>, width: usize, classes: usize) -> Result<Linear> {
        let (own, sparse) = (from.int()?, from.byte()? != 0);
        from.require(own == width, "it has another number of columns")?;
        let scale = Scale::read(from, width, sparse)?;
        let penalty = f64::from(from.float()?);
        let weights = from.floats()?;
        let wanted = columns(classes).checked_mul(width + 1);
        from.require(Some(weights.len()) == wanted, "it has another number of weights")?;
        Ok(Linear { scale, width, sparse, classes, weights, penalty })
    }

    pub(crate) fn is_sparse(&self) -> bool {
        self.sparse
    }
}

/// The penalty that predicts rows best that were held out.
fn choose(scaled: &Matrix, target: &Target, rough: bool, work: Work<'_>) -> Result<f64> {
    let count = FOLDS.min(target.len() / 2);
    if count < 2 {
        return Ok(1.0);
    }
    let parts = folds(target, count, work.seed);
    let (penalties, count) = if rough { (&FEW_PENALTIES[..], 1) } else { (&PENALTIES[..], count) };
    let inner = work.on(work.threads / count);
    let losses = parallel::map(work.threads, count, |fold| {
        let (train, held) = &parts[fold];
        let (matrix, own) = (scaled.select(train), target.select(train));
        let (held_matrix, held_target) = (scaled.select(held), target.select(held));
        let classes = if let Target::Classes { classes, .. } = target { *classes } else { 0 };
        let mut losses: Vec<f64> = Vec::new();
        path(&matrix, &own, penalties, NEAR, inner, &mut |weights| {
            let loss = held_target.loss(&predict(&held_matrix, weights, classes, inner.threads));
            losses.push(loss * held.len() as f64);
            // Once it grows twice in a row, weaker penalties make it no smaller again.
            !matches!(losses[..], [.., a, b, c] if a < b && b < c)
        })?;
        let last = losses.last().copied().unwrap_or(f64::INFINITY);
        losses.resize(penalties.len(), last);
        Ok(losses)
    });
    let losses = losses.into_iter().collect::<Result<Vec<_>>>()?;
    let of = |penalty: &usize| losses.iter().map(|fold| fold[*penalty]).sum::<f64>();
    let best = (0..penalties.len()).min_by(|a, b| of(a).total_cmp(&of(b))).unwrap_or(0);
    Ok(penalties[best])
}

/// Weights for each of the penalties, strong ones first, until `goes_on`, which is given each, says no.
fn path(
    scaled: &Matrix,
    target: &Target,
    penalties: &[f64],
    effort: Effort,
    work: Work<'_>,
    goes_on: &mut dyn FnMut(&[f64]) -> bool,
) -> Result<Vec<Vec<f64>>> {
    match target {
        Target::Values(values) if !scaled.is_sparse() && scaled.width() <= FACTORED => {
            let all = factored(scaled, values, penalties, work)?;
            let kept = all.iter().position(|weights| !goes_on(weights)).map_or(all.len(), |last| last + 1);
            Ok(all.into_iter().take(kept).collect())
        }
        _ => stepped(scaled, target, penalties, effort, work, goes_on),
    }
}

/// Ridge regressions by the Cholesky factor of the columns' products.
fn factored(scaled: &Matrix, values: &[f64], penalties: &[f64], work: Work<'_>) -> Result<Vec<Vec<f64>>> {
    let (rows, width) = (scaled.rows(), scaled.width());
    let centre = mean(values);
    // Of a part of the rows that the columns were standardised on, the means are not 0.
    let mut means = vec![0.0; width];
    for row in 0..rows {
        means.iter_mut().zip(scaled.row(row)).for_each(|(sum, &x)| *sum += f64::from(x));
    }
    means.iter_mut().for_each(|sum| *sum /= rows as f64);
    let pieces = pieces(rows, width * width);
    let sums = parallel::map(work.threads, pieces.len(), |piece| {
        let (mut products, mut with_target) = (vec![0.0; width * width], vec![0.0; width]);
        let mut x = vec![0.0; width];
        for row in pieces[piece].clone() {
            x.iter_mut().zip(scaled.row(row)).zip(&means).for_each(|((x, &v), mean)| *x = f64::from(v) - mean);
            for (a, &of_a) in x.iter().enumerate() {
                let out = &mut products[a * width..][..=a];
                out.iter_mut().zip(&x).for_each(|(sum, of_b)| *sum += of_a * of_b);
                with_target[a] += of_a * (values[row] - centre);
            }
        }
        (products, with_target)
    });
    work.go_on()?;
    let (mut products, mut with_target) = (vec![0.0; width * width], vec![0.0; width]);
    for (of_piece, target_of_piece) in sums {
        products.iter_mut().zip(of_piece).for_each(|(sum, x)| *sum += x);
        with_target.iter_mut().zip(target_of_piece).for_each(|(sum, x)| *sum += x);
    }
    let mut all = Vec::with_capacity(penalties.len());
    for &penalty in penalties {
        work.go_on()?;
        let mut weights = solve(products.clone(), &with_target, width, penalty.max(1e-9 * rows as f64));
        let bias = centre - weights.iter().zip(&means).map(|(w, mean)| w * mean).sum::<f64>();
        weights.push(bias);
        all.push(weights);
    }
    Ok(all)
}

/// Solves `(products + penalty) x = right`, of which the lower half is given.
fn solve(mut l: Vec<f64>, right: &[f64], width: usize, penalty: f64) -> Vec<f64> {
    for i in 0..width {
        l[i * width + i] += penalty;
        for j in 0..=i {
            let (of_i, of_j) = (&l[i * width..][..j], &l[j * width..][..j]);
            let rest = l[i * width + j] - of_i.iter().zip(of_j).map(|(a, b)| a * b).sum::<f64>();
            l[i * width + j] = if i == j { rest.max(1e-12).sqrt() } else { rest / l[j * width + j] };
        }
    }
    let mut x = right.to_vec();
    for i in 0..width {
        let before: f64 = (0..i).map(|j| l[i * width + j] * x[j]).sum();
        x[i] = (x[i] - before) / l[i * width + i];
    }
    for i in (0..width).rev() {
        let after: f64 = (i + 1..width).map(|j| l[j * width + i] * x[j]).sum();
        x[i] = (x[i] - after) / l[i * width + i];
    }
    x
}

/// Rows cut into pieces by how much work they are, and by nothing else.
fn pieces(rows: usize, each: usize) -> Vec<std::ops::Range<usize>> {
    let count = (rows.saturating_mul(each) / PIECE).clamp(1, MOST_PIECES);
    parallel::pieces(rows, rows.div_ceil(count).max(1))
}

/// What the linear function makes of a row.
fn outputs_of(scaled: &Matrix, row: usize, weights: &[f64], out: &mut [f64]) {
    let width = scaled.width();
    let (matrix, bias) = weights.split_at(width * out.len());
    if scaled.is_sparse() {
        let (columns, values) = scaled.entries(row);
        for (o, out) in out.iter_mut().enumerate() {
            let of = &matrix[o * width..][..width];
            *out = bias[o] + columns.iter().zip(values).map(|(&c, &v)| of[c as usize] * f64::from(v)).sum::<f64>();
        }
    } else {
        let x = scaled.row(row);
        for (o, out) in out.iter_mut().enumerate() {
            let of = &matrix[o * width..][..width];
            *out = bias[o] + product(of, x);
        }
    }
}

/// The inner product of weights and a row, in eight sums that a processor keeps side by side.
fn product(weights: &[f64], row: &[f32]) -> f64 {
    let mut sums = [0.0; 8];
    let (w8, x8) = (weights.chunks_exact(8), row.chunks_exact(8));
    let rest: f64 = w8.remainder().iter().zip(x8.remainder()).map(|(w, &x)| w * f64::from(x)).sum();
    for (w, x) in w8.zip(x8) {
        for i in 0..8 {
            sums[i] += w[i] * f64::from(x[i]);
        }
    }
    sums.iter().sum::<f64>() + rest
}

/// Adds `by` times a row to the gradients of the weights of an output.
fn add_row(scaled: &Matrix, row: usize, by: f64, gradient: &mut [f64]) {
    if scaled.is_sparse() {
        let (columns, values) = scaled.entries(row);
        columns.iter().zip(values).for_each(|(&c, &v)| gradient[c as usize] += by * f64::from(v));
    } else {
        gradient.iter_mut().zip(scaled.row(row)).for_each(|(g, &v)| *g += by * f64::from(v));
    }
}

/// From the outputs to what the loss falls with, in place; gives the loss.
fn descend(target: &Target, row: usize, out: &mut [f64]) -> f64 {
    match target {
        Target::Values(values) => {
            let off = out[0] - values[row];
            out[0] = off;
            0.5 * off * off
        }
        Target::Classes { of, .. } if out.len() == 1 => {
            let (z, y) = (out[0], f64::from(of[row].min(1)));
            out[0] = 1.0 / (1.0 + (-z).exp()) - y;
            z.max(0.0) - z * y + (-z.abs()).exp().ln_1p()
        }
        Target::Classes { of, .. } => {
            let class = of[row] as usize;
            let most = out.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let own = out[class] - most;
            let sum: f64 = out.iter().map(|z| (z - most).exp()).sum();
            out.iter_mut().for_each(|z| *z = (*z - most).exp() / sum);
            out[class] -= 1.0;
            sum.ln() - own
        }
    }
}

/// Weights that steps lead to.
fn stepped(
    scaled: &Matrix,
    target: &Target,
    penalties: &[f64],
    effort: Effort,
    work: Work<'_>,
    goes_on: &mut dyn FnMut(&[f64]) -> bool,
) -> Result<Vec<Vec<f64>>> {
    let (rows, width) = (scaled.rows(), scaled.width());
    let outputs = match target {
        Target::Classes { classes, .. } => columns(*classes),
        Target::Values(_) => 1,
    };
    let mut x = vec![0.0; outputs * (width + 1)];
    // Begins with what is right without columns.
    match target {
        Target::Values(values) => x[width] = mean(values),
        Target::Classes { .. } => {
            let shares = shares(&target.counts());
            match outputs {
                1 => x[width] = (shares.get(1).copied().unwrap_or(0.5) / shares[0]).ln(),
                _ => (0..outputs).for_each(|o| x[outputs * width + o] = shares[o].ln()),
            }
        }
    }
    let per_row = if scaled.is_sparse() { scaled.stored().len() / rows.max(1) } else { width };
    let pieces = pieces(rows, per_row * outputs);
    let mut all = Vec::with_capacity(penalties.len());
    for &penalty in penalties {
        let share = penalty / rows as f64;
        minimise(&mut x, effort.tolerance, effort.most_steps, &mut |x, gradient| {
            work.go_on()?;
            let sums = parallel::map(work.threads, pieces.len(), |piece| {
                let (mut loss, mut sum, mut out) = (0.0, vec![0.0; x.len()], vec![0.0; outputs]);
                let (of_weights, of_bias) = sum.split_at_mut(outputs * width);
                for row in pieces[piece].clone() {
                    outputs_of(scaled, row, x, &mut out);
                    loss += descend(target, row, &mut out);
                    for (o, &by) in out.iter().enumerate() {
                        add_row(scaled, row, by, &mut of_weights[o * width..][..width]);
                        of_bias[o] += by;
                    }
                }
                (loss, sum)
            });
            gradient.fill(0.0);
            let mut loss = 0.0;
            for (of_piece, sum) in sums {
                loss += of_piece;
                gradient.iter_mut().zip(sum).for_each(|(g, s)| *g += s);
            }
            gradient.iter_mut().for_each(|g| *g /= rows as f64);
            let weights = outputs * width;
            gradient[..weights].iter_mut().zip(&x[..weights]).for_each(|(g, w)| *g += share * w);
            Ok(loss / rows as f64 + 0.5 * share * x[..weights].iter().map(|w| w * w).sum::<f64>())
        })?;
        all.push(x.clone());
        if !goes_on(&x) {
            break;
        }
    }
    Ok(all)
}

/// Probabilities or values of scaled rows.
fn predict(scaled: &Matrix, weights: &[f64], classes: usize, threads: usize) -> Vec<f32> {
    let outputs = columns(classes);
    let pieces = pieces(scaled.rows(), scaled.width().max(1) * outputs);
    let made = parallel::map(threads, pieces.len(), |piece| {
        let (mut predictions, mut out) = (Vec::new(), vec![0.0; outputs]);
        for row in pieces[piece].clone() {
            outputs_of(scaled, row, weights, &mut out);
            match classes {
                0 => predictions.push(out[0] as f32),
                1 => predictions.push(1.0),
                2 => {
                    let second = 1.0 / (1.0 + (-out[0]).exp());
                    predictions.extend([(1.0 - second) as f32, second as f32]);
                }
                _ => {
                    let most = out.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    let sum: f64 = out.iter().map(|z| (z - most).exp()).sum();
                    predictions.extend(out.iter().map(|z| ((z - most).exp() / sum) as f32));
                }
            }
        }
        predictions
    });
    made.concat()
}
