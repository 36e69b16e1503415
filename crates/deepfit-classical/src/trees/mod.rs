//! Gradient-boosted trees (Friedman, 2001) on histograms of binned columns, grown leaf by leaf (Ke et al., 2017: LightGBM).

mod bins;
mod boost;
mod grow;
mod tree;

use crate::bytes::{Reader, Writer};
use crate::error::Result;
use crate::folds::folds;
use crate::matrix::Matrix;
use crate::parallel;
use crate::target::Target;
use crate::work::Work;

use bins::Binned;
use boost::Booster;
use tree::Tree;

/// Most leaves of a tree among which rows that are held out choose, where nothing is asked for: of few rows small trees too.
const LEAVES: [usize; 2] = [6, 31];
/// With more rows, only the larger ones are tried, and on a single part that is held out.
const MANY: usize = 20_000;
/// With more rows times columns times outputs, trees of one size alone are tried.
const MUCH: usize = 5_000_000;
const MEDIUM_LEAVES: usize = 15;
/// Folds of that choice.
const FOLDS: usize = 3;
/// Most rounds, and how many without improvement end them.
const MOST_ROUNDS: usize = 400;
const PATIENCE: usize = 20;

/// How trees are grown; what is `None` is chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TreesOptions {
    /// Trees for each output.
    pub rounds: Option<usize>,
    /// Most leaves of a tree.
    pub leaves: Option<usize>,
    /// Fewest rows in a leaf.
    pub least_rows: Option<usize>,
    /// What each tree's values are multiplied by.
    pub rate: f64,
    /// Added to the sum of second derivatives in each leaf.
    pub penalty: f64,
    /// Share of the columns that a tree sees, drawn by the seed.
    pub columns: f64,
}

impl Default for TreesOptions {
    fn default() -> Self {
        TreesOptions { rounds: None, leaves: None, least_rows: None, rate: 0.1, penalty: 1.0, columns: 0.7 }
    }
}

/// How trees are grown, with nothing left open.
#[derive(Debug, Clone, Copy)]
struct Growth {
    leaves: usize,
    least_rows: usize,
    rate: f64,
    penalty: f64,
    columns: f64,
}

/// Trees that were grown one after the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Trees {
    width: usize,
    classes: usize,
    /// What is predicted before the first tree.
    start: Vec<f32>,
    /// Of each column of categories, the bin of each; nothing of numbers.
    maps: Vec<Vec<u8>>,
    /// One for each output, round after round.
    trees: Vec<Tree>,
}

/// Numbers that trees add up for a prediction: the logit of the second of two classes, one of each of several, or a value.
fn outputs(classes: usize) -> usize {
    if classes > 2 { classes } else { 1 }
}

impl Trees {
    /// Grows trees.
    ///
    /// # Errors
    /// If it was asked to stop.
    pub(crate) fn fit(matrix: &Matrix, target: &Target, options: TreesOptions, work: Work<'_>) -> Result<Trees> {
        let (growth, rounds) = choose(matrix, target, options, work)?;
        let binned = Binned::new(matrix, work.threads);
        let mut booster = Booster::new(&binned, target, growth, work.seed);
        for _ in 0..rounds {
            if !booster.round(work)? {
                break;
            }
        }
        let (start, trees) = booster.finish();
        let classes = if let Target::Classes { classes, .. } = target { *classes } else { 0 };
        Ok(Trees { width: matrix.width(), classes, start, maps: binned.maps(), trees })
    }

    /// Trees for each output.
    pub fn rounds(&self) -> usize {
        self.trees.len() / outputs(self.classes)
    }

    /// Of each column, how much its splits lowered the loss, altogether.
    pub(crate) fn importances(&self) -> Vec<f64> {
        let mut sums = vec![0.0; self.width];
        self.trees.iter().for_each(|tree| tree.add_gains(&mut sums));
        sums
    }

    pub(crate) fn predict(&self, matrix: &Matrix, threads: usize) -> Vec<f32> {
        let pieces = parallel::pieces(matrix.rows(), 256);
        let outputs = outputs(self.classes);
        let made = parallel::map(threads, pieces.len(), |piece| {
            let mut row_values = vec![0.0; self.width];
            let mut predictions = Vec::new();
            for row in pieces[piece].clone() {
                matrix.copy_row(row, &mut row_values);
                let mut sums: Vec<f64> = self.start.iter().map(|&start| f64::from(start)).collect();
                for (i, tree) in self.trees.iter().enumerate() {
                    sums[i % outputs] += f64::from(tree.value(&row_values, &self.maps));
                }
                boost::link(&sums, self.classes, &mut predictions);
            }
            predictions
        });
        made.concat()
    }

    pub(crate) fn write(&self, to: &mut Writer) {
        to.int(self.width);
        to.floats(&self.start);
        for map in &self.maps {
            to.ints(&map.iter().map(|&bin| u32::from(bin)).collect::<Vec<_>>());
        }
        to.int(self.trees.len());
        self.trees.iter().for_each(|tree| tree.write(to));
    }

    pub(crate) fn read(from: &mut Reader<'_>, width: usize, classes: usize) -> Result<Trees> {
        let own = from.int()?;
        from.require(own == width, "it has another number of columns")?;
        let start = from.floats()?;
        from.require(start.len() == outputs(classes), "it has another number of outputs")?;
        let mut maps = Vec::new();
        for _ in 0..width {
            let map = from.ints()?;
            from.require(map.iter().all(|&bin| bin < 256), "a bin is out of range")?;
            maps.push(map.into_iter().map(|bin| bin as u8).collect());
        }
        let count = from.count(1)?;
        let trees = (0..count).map(|_| Tree::read(from, width)).collect::<Result<Vec<_>>>()?;
        from.require(count % outputs(classes) == 0, "a round is not whole")?;
        Ok(Trees { width, classes, start, maps, trees })
    }
}

/// Number of leaves and rounds that foretell rows best that are held out.
fn choose(matrix: &Matrix, target: &Target, options: TreesOptions, work: Work<'_>) -> Result<(Growth, usize)> {
    let rows = matrix.rows();
    let growth = |leaves: usize| Growth {
        leaves: leaves.max(2),
        least_rows: options.least_rows.unwrap_or((rows / 100).clamp(3, 20)),
        rate: options.rate,
        penalty: options.penalty,
        columns: options.columns,
    };
    if let (Some(leaves), Some(rounds)) = (options.leaves, options.rounds) {
        return Ok((growth(leaves), rounds));
    }
    let many = rows > MANY;
    let candidates = match options.leaves {
        Some(leaves) => vec![leaves],
        None if many => vec![LEAVES[1]],
        None if rows * matrix.width() * target.outputs() > MUCH => vec![MEDIUM_LEAVES],
        None => LEAVES.to_vec(),
    };
    let most = options.rounds.unwrap_or(MOST_ROUNDS);
    let mut parts = folds(target, if many { 5 } else { FOLDS.min(rows.max(1)) }, work.seed);
    if many {
        parts.truncate(1);
    }
    parts.retain(|(train, held)| !train.is_empty() && !held.is_empty());
    let tasks: Vec<(usize, usize)> =
        candidates.iter().flat_map(|&leaves| (0..parts.len()).map(move |part| (leaves, part))).collect();
    let inner = work.on(work.threads / tasks.len().max(1));
    let curves = parallel::map(work.threads, tasks.len(), |task| {
        let (leaves, part) = tasks[task];
        let (train, held) = &parts[part];
        let (own, own_target) = (matrix.select(train), target.select(train));
        let (held, held_target) = (matrix.select(held), target.select(held));
        let binned = Binned::new(&own, inner.threads);
        let mut booster = Booster::new(&binned, &own_target, growth(leaves), work.seed);
        let mut watched = booster.watch(&held, &held_target);
        let mut curve = vec![watched.loss()];
        let mut best = (0, curve[0]);
        while curve.len() <= most && curve.len() <= best.0 + PATIENCE && booster.round(inner)? {
            watched.follow(&booster, &binned);
            let loss = watched.loss();
            if loss < best.1 {
                best = (curve.len(), loss);
            }
            curve.push(loss);
        }
        Ok((curve, held_target.len() as f64))
    });
    let curves = curves.into_iter().collect::<Result<Vec<_>>>()?;
    let mut best = (f64::INFINITY, candidates[0], 0);
    for (candidate, &leaves) in candidates.iter().enumerate() {
        let own = &curves[candidate * parts.len()..][..parts.len()];
        let longest = own.iter().map(|(curve, _)| curve.len()).max().unwrap_or(0);
        for round in 0..longest {
            // A fold that ended early stays at its last value.
            let at = |(curve, rows): &(Vec<f64>, f64)| rows * curve[round.min(curve.len() - 1)];
            let loss: f64 = own.iter().map(at).sum();
            if loss < best.0 {
                best = (loss, leaves, round);
            }
        }
    }
    let rounds = options.rounds.unwrap_or(best.2);
    Ok((growth(best.1), rounds))
}
