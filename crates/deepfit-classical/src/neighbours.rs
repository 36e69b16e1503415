//! Nearest neighbours (Fix and Hodges, 1951): the classes or the mean of the most similar training rows.

use crate::bytes::{Reader, Writer};
use crate::constant::shares;
use crate::error::{ClassicalError, Result};
use crate::folds::folds;
use crate::matrix::Matrix;
use crate::parallel;
use crate::scale::Scale;
use crate::target::Target;
use crate::work::Work;

/// Numbers of neighbours among which rows that are left out choose, where none is asked for.
const COUNTS: [usize; 9] = [1, 3, 5, 9, 15, 25, 40, 60, 100];
/// Rows that are left out, one at a time, for that choice.
const LEFT_OUT: usize = 1_000;
/// Rows that one task compares with all others.
const PIECE: usize = 32;

/// How nearest neighbours are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NeighboursOptions {
    /// How many; chosen where it is not given.
    pub count: Option<usize>,
}

/// The training rows, standardised, with their targets. Sparse rows are compared by the cosine of their angle.
#[derive(Debug, Clone, PartialEq)]
pub struct Neighbours {
    scale: Scale,
    rows: Matrix,
    target: Target,
    count: usize,
}

impl Neighbours {
    /// Keeps rows, and finds out how many of them to ask.
    ///
    /// # Errors
    /// If a value is not finite, or it was asked to stop.
    pub(crate) fn fit(
        matrix: &Matrix,
        target: &Target,
        options: NeighboursOptions,
        work: Work<'_>,
    ) -> Result<Neighbours> {
        if !matrix.is_finite() {
            return Err(ClassicalError::Rows("neighbours need numbers in all columns of all rows".to_string()));
        }
        let scale = Scale::fit(matrix);
        let rows = scaled(&scale, matrix);
        let mut found = Neighbours { scale, rows, target: rounded(target), count: 1 };
        found.count = match options.count {
            Some(count) => count.clamp(1, matrix.rows()),
            None => found.choose(work)?,
        };
        Ok(found)
    }

    /// How many neighbours are asked.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The number of neighbours that foretells rows best that are left out, one at a time.
    fn choose(&self, work: Work<'_>) -> Result<usize> {
        let rows = self.rows.rows();
        // A fold of a stratified division is like all rows.
        let parts = folds(&self.target, rows.div_ceil(LEFT_OUT).max(1), work.seed);
        let Some((_, left_out)) = parts.first() else { return Ok(1) };
        let most = COUNTS[COUNTS.len() - 1].min(rows - 1);
        if most == 0 {
            return Ok(1);
        }
        let queries = self.rows.select(left_out);
        let nearest = self.nearest(&queries, Some(left_out), most, work)?;
        let own = self.target.select(left_out);
        let counts: Vec<usize> = COUNTS.into_iter().filter(|&count| count <= most).collect();
        let loss = |&count: &usize| {
            let predictions: Vec<f32> =
                nearest.iter().flat_map(|found| self.vote(&found[..count.min(found.len())])).collect();
            own.loss(&predictions)
        };
        Ok(counts.into_iter().min_by(|a, b| loss(a).total_cmp(&loss(b))).unwrap_or(1))
    }

    /// The nearest rows of each query, nearest first; of equally near ones the first. A query may be a row itself, which is
    /// then left out.
    fn nearest(&self, queries: &Matrix, own: Option<&[u32]>, count: usize, work: Work<'_>) -> Result<Vec<Vec<u32>>> {
        let pieces = parallel::pieces(queries.rows(), PIECE);
        let found = parallel::map(work.threads, pieces.len(), |piece| {
            work.go_on()?;
            let mut whole = vec![0.0; queries.width()];
            let mut distances: Vec<(f32, u32)> = Vec::with_capacity(self.rows.rows());
            let mut found = Vec::with_capacity(pieces[piece].len());
            for query in pieces[piece].clone() {
                queries.copy_row(query, &mut whole);
                distances.clear();
                let left_out = own.map(|own| own[query]);
                let others = (0..self.rows.rows() as u32).filter(|row| Some(*row) != left_out);
                distances.extend(others.map(|row| (self.distance(&whole, row as usize), row)));
                let order = |a: &(f32, u32), b: &(f32, u32)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
                let count = count.min(distances.len());
                if count < distances.len() && count > 0 {
                    distances.select_nth_unstable_by(count - 1, order);
                }
                distances.truncate(count);
                distances.sort_unstable_by(order);
                found.push(distances.iter().map(|(_, row)| *row).collect());
            }
            Ok(found)
        });
        Ok(found.into_iter().collect::<Result<Vec<_>>>()?.concat())
    }

    fn distance(&self, query: &[f32], row: usize) -> f32 {
        if self.rows.is_sparse() {
            let (columns, values) = self.rows.entries(row);
            return -columns.iter().zip(values).map(|(&c, &v)| query[c as usize] * v).sum::<f32>();
        }
        squared_distance(query, self.rows.row(row))
    }

    /// What some rows say: the share of each class, as if one more row had spoken for what is usual, or the mean.
    fn vote(&self, rows: &[u32]) -> Vec<f32> {
        match &self.target {
            Target::Values(values) => {
                let sum: f64 = rows.iter().map(|&row| values[row as usize]).sum();
                vec![(sum / rows.len().max(1) as f64) as f32]
            }
            Target::Classes { of, .. } => {
                let mut votes = shares(&self.target.counts());
                rows.iter().for_each(|&row| votes[of[row as usize] as usize] += 1.0);
                votes.into_iter().map(|vote| (vote / (rows.len() + 1) as f64) as f32).collect()
            }
        }
    }

    /// Probabilities or values.
    ///
    /// # Errors
    /// If it was asked to stop.
    pub(crate) fn predict(&self, matrix: &Matrix, work: Work<'_>) -> Result<Vec<f32>> {
        let queries = scaled(&self.scale, matrix);
        let nearest = self.nearest(&queries, None, self.count, work)?;
        Ok(nearest.iter().flat_map(|found| self.vote(found)).collect())
    }

    pub(crate) fn write(&self, to: &mut Writer) {
        to.int(self.rows.width());
        to.byte(u8::from(self.rows.is_sparse()));
        self.scale.write(to);
        to.int(self.count);
        to.int(self.rows.rows());
        if self.rows.is_sparse() {
            for row in 0..self.rows.rows() {
                let (columns, values) = self.rows.entries(row);
                to.ints(columns);
                to.floats(values);
            }
        } else {
            to.floats(self.rows.stored());
        }
        match &self.target {
            Target::Classes { of, .. } => to.ints(of),
            Target::Values(values) => to.floats(&values.iter().map(|&value| value as f32).collect::<Vec<_>>()),
        }
    }

    pub(crate) fn read(from: &mut Reader<'_>, width: usize, classes: usize) -> Result<Neighbours> {
        let (own, sparse) = (from.int()?, from.byte()? != 0);
        from.require(own == width, "it has another number of columns")?;
        let scale = Scale::read(from, width, sparse)?;
        let count = from.int()?;
        let rows = from.count(4)?;
        let matrix = if sparse {
            let mut matrix = Matrix::sparse(width);
            for _ in 0..rows {
                let (columns, values) = (from.ints()?, from.floats()?);
                let ascending = columns.windows(2).all(|pair| pair[0] < pair[1]);
                let fits = columns.last().is_none_or(|&last| (last as usize) < width);
                from.require(columns.len() == values.len() && ascending && fits, "a row is not in order")?;
                matrix.push(columns.into_iter().zip(values));
            }
            matrix
        } else {
            let values = from.floats()?;
            from.require(Some(values.len()) == rows.checked_mul(width), "it has another number of values")?;
            Matrix::dense(width, values)
        };
        let target = if classes > 0 {
            let of = from.ints()?;
            from.require(of.iter().all(|&class| (class as usize) < classes), "a class is out of range")?;
            Target::Classes { classes, of }
        } else {
            Target::Values(from.floats()?.into_iter().map(f64::from).collect())
        };
        from.require(target.len() == matrix.rows() && (1..=rows).contains(&count), "its rows do not fit together")?;
        Ok(Neighbours { scale, rows: matrix, target, count })
    }

    pub(crate) fn is_sparse(&self) -> bool {
        self.rows.is_sparse()
    }
}

/// Sum of squared differences, each of at most `most`, in eight sums that a processor keeps side by side.
pub fn squared_distance_within(a: &[f32], b: &[f32], most: f32) -> f32 {
    let square = |a: f32, b: f32| {
        let difference = (a - b).clamp(-most, most);
        difference * difference
    };
    let mut sums = [0.0_f32; 8];
    let (a8, b8) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = a8.remainder().iter().zip(b8.remainder()).map(|(&a, &b)| square(a, b)).sum();
    for (a, b) in a8.zip(b8) {
        for i in 0..8 {
            sums[i] += square(a[i], b[i]);
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// Sum of squared differences, in eight sums that a processor keeps side by side.
fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 8];
    let (a8, b8) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = a8.remainder().iter().zip(b8.remainder()).map(|(a, b)| (a - b) * (a - b)).sum();
    for (a, b) in a8.zip(b8) {
        for i in 0..8 {
            let d = a[i] - b[i];
            sums[i] += d * d;
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// Values as they are when they have been written and read.
fn rounded(target: &Target) -> Target {
    match target {
        Target::Values(values) => Target::Values(values.iter().map(|&value| f64::from(value as f32)).collect()),
        classes => classes.clone(),
    }
}

/// Standardised rows; sparse ones of length 1.
fn scaled(scale: &Scale, matrix: &Matrix) -> Matrix {
    if !matrix.is_sparse() {
        return scale.apply(matrix);
    }
    let mut unit = Matrix::sparse(matrix.width());
    for row in 0..matrix.rows() {
        let (columns, values) = matrix.entries(row);
        let length = values.iter().map(|v| v * v).sum::<f32>().sqrt().max(1e-12);
        unit.push(columns.iter().copied().zip(values.iter().map(|v| v / length)));
    }
    unit
}
