//! Features of rows.

use crate::scale::Scale;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Numbers; NaN is a missing one, which trees alone understand.
    Number,
    /// Numbers of categories from 0, so many of them; of which trees alone make use.
    Category(u32),
}

/// Features of rows, dense or sparse, row by row.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    rows: usize,
    width: usize,
    kinds: Vec<Kind>,
    values: Vec<f32>,
    /// Of sparse ones, where each row begins among the values, and the column of each value.
    sparse: Option<(Vec<usize>, Vec<u32>)>,
}

impl Matrix {
    /// Dense numbers, `[rows, width]`.
    ///
    /// # Panics
    /// If the values are not whole rows.
    pub fn dense(width: usize, values: Vec<f32>) -> Matrix {
        let kinds = vec![Kind::Number; width];
        Matrix::of_columns(kinds, values)
    }

    /// Dense columns of given kinds, `[rows, kinds]`.
    ///
    /// # Panics
    /// If the values are not whole rows.
    pub fn of_columns(kinds: Vec<Kind>, values: Vec<f32>) -> Matrix {
        let width = kinds.len();
        let rows = values.len().checked_div(width).unwrap_or(0);
        assert_eq!(rows * width, values.len(), "values are whole rows");
        Matrix { rows, width, kinds, values, sparse: None }
    }

    /// An empty sparse matrix of so many columns, to which rows are added.
    pub fn sparse(width: usize) -> Matrix {
        let sparse = Some((vec![0], Vec::new()));
        Matrix { rows: 0, width, kinds: vec![Kind::Number; width], values: Vec::new(), sparse }
    }

    /// Adds a row to a sparse matrix: columns, ascending, with their values.
    ///
    /// # Panics
    /// If it is dense, or a column is out of range.
    pub fn push(&mut self, row: impl IntoIterator<Item = (u32, f32)>) {
        let Some((starts, columns)) = &mut self.sparse else { panic!("rows are added to sparse matrices") };
        for (column, value) in row {
            assert!((column as usize) < self.width, "a column is out of range");
            columns.push(column);
            self.values.push(value);
        }
        starts.push(columns.len());
        self.rows += 1;
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// What each column holds.
    pub fn kinds(&self) -> &[Kind] {
        &self.kinds
    }

    /// Whether most values are 0 and not stored.
    pub fn is_sparse(&self) -> bool {
        self.sparse.is_some()
    }

    /// Bytes that it holds.
    pub fn bytes(&self) -> usize {
        let sparse = self.sparse.as_ref().map_or(0, |(starts, columns)| 8 * starts.len() + 4 * columns.len());
        4 * self.values.len() + sparse + self.kinds.len() * size_of::<Kind>()
    }

    /// The values of a dense row.
    pub fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.width..][..self.width]
    }

    /// The columns and values of a sparse row.
    pub(crate) fn entries(&self, row: usize) -> (&[u32], &[f32]) {
        match &self.sparse {
            Some((starts, columns)) => {
                let range = starts[row]..starts[row + 1];
                (&columns[range.clone()], &self.values[range])
            }
            None => (&[], &[]),
        }
    }

    /// All values that are stored, in the order of the rows.
    pub(crate) fn stored(&self) -> &[f32] {
        &self.values
    }

    /// Writes a row, dense or sparse, into a buffer of the matrix's width.
    pub(crate) fn copy_row(&self, row: usize, out: &mut [f32]) {
        if self.is_sparse() {
            out.fill(0.0);
            let (columns, values) = self.entries(row);
            columns.iter().zip(values).for_each(|(&column, &value)| out[column as usize] = value);
        } else {
            out.copy_from_slice(self.row(row));
        }
    }

    /// Some rows.
    #[must_use]
    pub fn select(&self, rows: &[u32]) -> Matrix {
        if self.is_sparse() {
            let mut selected = Matrix::sparse(self.width);
            for &row in rows {
                let (columns, values) = self.entries(row as usize);
                selected.push(columns.iter().copied().zip(values.iter().copied()));
            }
            return selected;
        }
        // Exactly as large as it has to be: it may be most of what a process needs.
        let mut values = Vec::with_capacity(rows.len() * self.width);
        rows.iter().for_each(|&row| values.extend_from_slice(self.row(row as usize)));
        Matrix { rows: rows.len(), width: self.width, kinds: self.kinds.clone(), values, sparse: None }
    }

    /// Matrices of the same columns, one below the other.
    ///
    /// # Panics
    /// If they differ in their columns.
    pub fn concat(parts: Vec<Matrix>) -> Matrix {
        let count: usize = parts.iter().map(|part| part.values.len()).sum();
        let mut parts = parts.into_iter();
        let Some(mut all) = parts.next() else { return Matrix::dense(0, Vec::new()) };
        all.values.reserve_exact(count - all.values.len());
        for part in parts {
            assert!(part.kinds == all.kinds && part.is_sparse() == all.is_sparse(), "columns are the same");
            all.rows += part.rows;
            if let (Some((starts, columns)), Some((of_starts, of_columns))) = (&mut all.sparse, &part.sparse) {
                let before = columns.len();
                columns.extend_from_slice(of_columns);
                starts.extend(of_starts[1..].iter().map(|start| before + start));
            }
            all.values.extend_from_slice(&part.values);
        }
        all
    }

    /// The columns of a dense matrix with those of a sparse one beside them, sparse. The dense ones are standardised and made
    /// smaller, so that they are of length one together, as rows of weighted words are: neither drowns the other in a
    /// penalised model.
    ///
    /// # Panics
    /// If they have not as many rows, or the first is sparse.
    #[must_use]
    pub fn beside(&self, words: &Matrix) -> Matrix {
        assert!(self.rows == words.rows && !self.is_sparse(), "rows are the same, and the first are dense");
        let scaled = Scale::fit(self).apply(self);
        let smaller = 1.0 / (self.width.max(1) as f32).sqrt();
        let mut all = Matrix::sparse(self.width + words.width);
        for row in 0..self.rows {
            let (columns, values) = words.entries(row);
            let dense = (0..).zip(scaled.row(row).iter().map(|value| value * smaller));
            let sparse = columns.iter().map(|column| column + self.width as u32).zip(values.iter().copied());
            all.push(dense.chain(sparse));
        }
        all
    }

    /// Some columns as a dense matrix, for learners that look at columns one by one.
    #[must_use]
    pub fn columns(&self, wanted: &[u32]) -> Matrix {
        let mut values = Vec::with_capacity(self.rows * wanted.len());
        let mut whole = vec![0.0; self.width];
        for row in 0..self.rows {
            self.copy_row(row, &mut whole);
            values.extend(wanted.iter().map(|&column| whole[column as usize]));
        }
        let kinds = wanted.iter().map(|&column| self.kinds[column as usize]).collect();
        Matrix { rows: self.rows, width: wanted.len(), kinds, values, sparse: None }
    }

    /// Whether all values are finite, which every learner but trees needs.
    pub(crate) fn is_finite(&self) -> bool {
        self.values.iter().all(|value| value.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::Matrix;

    #[test]
    fn dense_columns_stand_before_sparse_ones_and_are_as_large_together() {
        let dense = Matrix::dense(4, vec![10.0, -3.0, 5.0, 1.0, 30.0, -1.0, 5.0, 2.0]);
        let mut words = Matrix::sparse(3);
        words.push([(2, 1.0)]);
        words.push([]);
        let both = dense.beside(&words);
        assert_eq!((both.rows(), both.width(), both.is_sparse()), (2, 7, true));
        // Two rows are one deviation away from their mean each; the third column has none.
        let (columns, values) = both.entries(0);
        assert_eq!((columns, values), (&[0, 1, 2, 3, 6][..], &[-0.5, -0.5, 0.0, -0.5, 1.0][..]));
        assert_eq!(both.entries(1), (&[0, 1, 2, 3][..], &[0.5, 0.5, 0.0, 0.5][..]));
    }
}
