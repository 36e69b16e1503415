//! Which rows of its file a table holds.

/// Data row in its file of each row, counted from 0.
#[derive(Clone, Debug)]
pub(crate) enum FileRows {
    /// All of one file, this many.
    All(usize),
    /// These.
    Of(Vec<u32>),
}

impl FileRows {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            FileRows::All(rows) => *rows,
            FileRows::Of(rows) => rows.len(),
        }
    }

    /// That of a row.
    ///
    /// # Panics
    /// If there is no such row.
    pub(crate) fn get(&self, row: usize) -> u32 {
        match self {
            FileRows::All(rows) => {
                assert!(row < *rows, "row {row} of {rows}");
                row as u32
            }
            FileRows::Of(rows) => rows[row],
        }
    }

    /// Those of all rows.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.len()).map(|row| self.get(row))
    }

    /// Appends others.
    pub(crate) fn extend(&mut self, more: impl ExactSizeIterator<Item = u32>) {
        if more.len() == 0 {
            return;
        }
        if let FileRows::All(_) = self {
            *self = FileRows::Of(self.iter().collect());
        }
        if let FileRows::Of(rows) = self {
            rows.extend(more);
        }
    }

    /// Bytes that they occupy.
    pub(crate) fn resident_bytes(&self) -> usize {
        match self {
            FileRows::All(_) => 0,
            FileRows::Of(rows) => 4 * rows.capacity(),
        }
    }
}
