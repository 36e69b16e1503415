//! What is learned.

use crate::error::{ClassicalError, Result};

/// The target of each row.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// A class of so many.
    Classes {
        /// Number of classes, at least 1.
        classes: usize,
        /// Of each row, below that.
        of: Vec<u32>,
    },
    /// A finite number.
    Values(Vec<f64>),
}

impl Target {
    /// Number of rows.
    pub fn len(&self) -> usize {
        match self {
            Target::Classes { of, .. } => of.len(),
            Target::Values(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Numbers that a prediction has: a probability for each class, or one value.
    pub fn outputs(&self) -> usize {
        match self {
            Target::Classes { classes, .. } => *classes,
            Target::Values(_) => 1,
        }
    }

    /// Those of some rows.
    #[must_use]
    pub fn select(&self, rows: &[u32]) -> Target {
        match self {
            Target::Classes { classes, of } => {
                Target::Classes { classes: *classes, of: rows.iter().map(|&row| of[row as usize]).collect() }
            }
            Target::Values(values) => Target::Values(rows.iter().map(|&row| values[row as usize]).collect()),
        }
    }

    /// Rows of each class; none of values.
    pub(crate) fn counts(&self) -> Vec<usize> {
        match self {
            Target::Classes { classes, of } => {
                let mut counts = vec![0; *classes];
                of.iter().for_each(|&class| counts[class as usize] += 1);
                counts
            }
            Target::Values(_) => Vec::new(),
        }
    }

    /// How good predictions are: the mean log loss, or the mean squared error.
    pub(crate) fn loss(&self, predictions: &[f32]) -> f64 {
        let sum: f64 = match self {
            Target::Classes { classes, of } => {
                let of = of.iter().zip(predictions.chunks_exact(*classes));
                of.map(|(&class, p)| -f64::from(p[class as usize]).max(1e-15).ln()).sum()
            }
            Target::Values(values) => values.iter().zip(predictions).map(|(y, p)| (y - f64::from(*p)).powi(2)).sum(),
        };
        sum / self.len().max(1) as f64
    }

    /// Finds targets that nothing can be learned of.
    ///
    /// # Errors
    /// If there are no rows, a class is out of range, or a value is not finite.
    pub(crate) fn check(&self, rows: usize) -> Result<()> {
        let problem = match self {
            _ if rows == 0 => "there are no rows to learn from".to_string(),
            _ if self.len() != rows => format!("there are {rows} rows and {} targets", self.len()),
            Target::Classes { classes, of } if of.iter().any(|&class| class as usize >= *classes) => {
                format!("a class is not among the {classes} that there are")
            }
            Target::Values(values) if !values.iter().all(|value| value.is_finite()) => {
                "a target is not finite".to_string()
            }
            _ => return Ok(()),
        };
        Err(ClassicalError::Rows(problem))
    }
}
