//! Rounds of trees, each grown on what those before it have left.

use super::Growth;
use super::bins::Binned;
use super::grow::{Grower, Grown};
use super::outputs;
use super::tree::Tree;
use crate::constant::mean;
use crate::error::Result;
use crate::matrix::Matrix;
use crate::parallel;
use crate::random::Random;
use crate::target::Target;
use crate::work::Work;

/// Trees on their way.
pub(super) struct Booster<'a> {
    binned: &'a Binned,
    target: &'a Target,
    growth: Growth,
    start: Vec<f32>,
    /// What the trees so far add up to, output by output `[outputs, rows]`.
    sums: Vec<Vec<f32>>,
    trees: Vec<Tree>,
    random: Random,
}

/// Rows that trees are not grown on, with what these add up to for them.
pub(super) struct Watched<'a> {
    rows: &'a Matrix,
    target: &'a Target,
    sums: Vec<Vec<f64>>,
    classes: usize,
    seen: usize,
}

fn classes(target: &Target) -> usize {
    if let Target::Classes { classes, .. } = target { *classes } else { 0 }
}

/// What is predicted before the first tree: the logarithms of the classes' shares, or the mean.
fn start(target: &Target) -> Vec<f32> {
    let logarithms = |counts: Vec<usize>| -> Vec<f32> {
        // A class without rows is as one with half a row.
        counts.iter().map(|&count| (count as f32).max(0.5).ln() - (target.len() as f32).ln()).collect()
    };
    match target {
        Target::Values(values) => vec![mean(values) as f32],
        Target::Classes { classes, .. } if *classes > 2 => logarithms(target.counts()),
        Target::Classes { .. } => {
            let of = logarithms(target.counts());
            vec![of.get(1).map_or(0.0, |second| second - of[0])]
        }
    }
}

/// Appends the probabilities or the value that sums stand for.
pub(super) fn link(sums: &[f64], classes: usize, out: &mut Vec<f32>) {
    match classes {
        0 => out.push(sums[0] as f32),
        1 => out.push(1.0),
        2 => {
            let second = 1.0 / (1.0 + (-sums[0]).exp());
            out.extend([(1.0 - second) as f32, second as f32]);
        }
        _ => {
            let most = sums.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let all: f64 = sums.iter().map(|sum| (sum - most).exp()).sum();
            out.extend(sums.iter().map(|sum| ((sum - most).exp() / all) as f32));
        }
    }
}

impl<'a> Booster<'a> {
    pub(super) fn new(binned: &'a Binned, target: &'a Target, growth: Growth, seed: u64) -> Booster<'a> {
        let start = start(target);
        let sums = start.iter().map(|&start| vec![start; target.len()]).collect();
        Booster { binned, target, growth, start, sums, trees: Vec::new(), random: Random::new(seed, 2) }
    }

    /// Slopes and curvatures of the loss by each output's sums.
    fn derivatives(&self) -> Vec<(Vec<f32>, Vec<f32>)> {
        let rows = self.target.len();
        match self.target {
            Target::Values(values) => {
                let slopes = self.sums[0].iter().zip(values).map(|(sum, y)| (f64::from(*sum) - y) as f32).collect();
                vec![(slopes, vec![1.0; rows])]
            }
            Target::Classes { of, .. } if self.sums.len() == 1 => {
                let p = self.sums[0].iter().map(|sum| 1.0 / (1.0 + (-sum).exp()));
                let both = p.zip(of).map(|(p, &class)| (p - class.min(1) as f32, (p * (1.0 - p)).max(1e-6)));
                vec![both.unzip()]
            }
            Target::Classes { of, .. } => {
                let outputs = self.sums.len();
                let mut all = vec![(vec![0.0; rows], vec![0.0; rows]); outputs];
                let mut p = vec![0.0_f32; outputs];
                for row in 0..rows {
                    p.iter_mut().zip(&self.sums).for_each(|(p, sums)| *p = sums[row]);
                    let most = p.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                    p.iter_mut().for_each(|p| *p = (*p - most).exp());
                    let sum: f32 = p.iter().sum();
                    for (output, p) in p.iter().enumerate() {
                        let p = p / sum;
                        all[output].0[row] = p - f32::from(u8::from(of[row] as usize == output));
                        all[output].1[row] = (p * (1.0 - p)).max(1e-6);
                    }
                }
                all
            }
        }
    }

    /// One tree for each output. Tells whether any of them has found a split: if none has, none ever will.
    pub(super) fn round(&mut self, work: Work<'_>) -> Result<bool> {
        let width = self.binned.columns.len();
        let seen = ((width as f64 * self.growth.columns).ceil() as usize).clamp(1, width.max(1));
        let outputs = self.sums.len();
        let columns: Vec<Vec<usize>> = (0..outputs)
            .map(|_| {
                let mut columns: Vec<usize> = (0..width).collect();
                if seen < width {
                    self.random.shuffle(&mut columns);
                    columns.truncate(seen);
                    columns.sort_unstable();
                }
                columns
            })
            .collect();
        let derivatives = self.derivatives();
        let inner = work.on(work.threads / outputs);
        let grown = parallel::map(work.threads, outputs, |output| {
            let (slopes, curvatures) = &derivatives[output];
            let (binned, growth) = (self.binned, self.growth);
            Grower { binned, columns: &columns[output], growth, slopes, curvatures }.grow(inner)
        });
        let mut any = false;
        for (output, grown) in grown.into_iter().enumerate() {
            let Grown { tree, values } = grown?;
            any |= tree.nodes.len() > 1;
            self.sums[output].iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
            self.trees.push(tree);
        }
        // With other columns, there may be a split yet.
        Ok(any || seen < width)
    }

    /// Watches how well other rows are predicted.
    pub(super) fn watch<'b>(&self, rows: &'b Matrix, target: &'b Target) -> Watched<'b> {
        let start: Vec<f64> = self.start.iter().map(|&start| f64::from(start)).collect();
        Watched { rows, target, sums: vec![start; rows.rows()], classes: classes(self.target), seen: 0 }
    }

    pub(super) fn finish(self) -> (Vec<f32>, Vec<Tree>) {
        (self.start, self.trees)
    }
}

impl Watched<'_> {
    /// Adds the trees that have been grown since.
    pub(super) fn follow(&mut self, booster: &Booster<'_>, binned: &Binned) {
        let (maps, outputs) = (binned.maps(), outputs(self.classes));
        for (row, sums) in self.sums.iter_mut().enumerate() {
            let values = self.rows.row(row);
            for (i, tree) in booster.trees.iter().enumerate().skip(self.seen) {
                sums[i % outputs] += f64::from(tree.value(values, &maps));
            }
        }
        self.seen = booster.trees.len();
    }

    pub(super) fn loss(&self) -> f64 {
        let mut predictions = Vec::new();
        self.sums.iter().for_each(|sums| link(sums, self.classes, &mut predictions));
        self.target.loss(&predictions)
    }
}
