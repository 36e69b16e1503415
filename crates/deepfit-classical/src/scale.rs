//! Columns brought to mean 0 and deviation 1.

use crate::bytes::{Reader, Writer};
use crate::error::Result;
use crate::matrix::Matrix;

/// What is subtracted of each column, and what it is then multiplied by. A sparse matrix stays as it is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scale {
    pub(crate) mean: Vec<f32>,
    pub(crate) factor: Vec<f32>,
}

impl Scale {
    /// Of the rows of a dense matrix; a column without deviation becomes 0.
    pub(crate) fn fit(matrix: &Matrix) -> Scale {
        if matrix.is_sparse() {
            return Scale { mean: Vec::new(), factor: Vec::new() };
        }
        let (rows, width) = (matrix.rows(), matrix.width());
        let mut mean = vec![0.0_f64; width];
        for row in 0..rows {
            mean.iter_mut().zip(matrix.row(row)).for_each(|(sum, &x)| *sum += f64::from(x));
        }
        mean.iter_mut().for_each(|sum| *sum /= rows.max(1) as f64);
        let mut square = vec![0.0_f64; width];
        for row in 0..rows {
            let of = square.iter_mut().zip(&mean).zip(matrix.row(row));
            of.for_each(|((sum, mean), &x)| *sum += (f64::from(x) - mean).powi(2));
        }
        let factor = square.iter().zip(&mean).map(|(square, mean)| {
            let deviation = (square / rows.max(1) as f64).sqrt();
            // Rounding of equal values is no deviation.
            if deviation > 1e-6 * mean.abs().max(1e-30) { (1.0 / deviation) as f32 } else { 0.0 }
        });
        let factor: Vec<f32> = factor.map(|factor| if factor.is_finite() { factor } else { 0.0 }).collect();
        Scale { mean: mean.into_iter().map(|mean| mean as f32).collect(), factor }
    }

    /// The scaled rows.
    pub(crate) fn apply(&self, matrix: &Matrix) -> Matrix {
        if matrix.is_sparse() {
            return matrix.clone();
        }
        let mut values = Vec::with_capacity(matrix.stored().len());
        for row in 0..matrix.rows() {
            let of = matrix.row(row).iter().zip(&self.mean).zip(&self.factor);
            // What is far beyond all that was seen must not become infinite.
            values.extend(of.map(|((x, mean), factor)| ((x - mean) * factor).clamp(-1e6, 1e6)));
        }
        Matrix::dense(matrix.width(), values)
    }

    pub(crate) fn write(&self, to: &mut Writer) {
        to.floats(&self.mean);
        to.floats(&self.factor);
    }

    pub(crate) fn read(from: &mut Reader<'_>, width: usize, sparse: bool) -> Result<Scale> {
        let wanted = if sparse { 0 } else { width };
        let (mean, factor) = (from.floats()?, from.floats()?);
        from.require(mean.len() == wanted && factor.len() == wanted, "a scale has another width")?;
        Ok(Scale { mean, factor })
    }
}
