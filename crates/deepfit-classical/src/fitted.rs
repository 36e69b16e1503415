//! All learners as one.

use crate::bytes::{Reader, Writer};
use crate::constant::Constant;
use crate::error::{ClassicalError, Result};
use crate::linear::{Linear, LinearOptions};
use crate::matrix::Matrix;
use crate::neighbours::{Neighbours, NeighboursOptions};
use crate::target::Target;
use crate::trees::{Trees, TreesOptions};
use crate::work::Work;

/// More columns than any features have, and more classes: what says otherwise is damaged.
const MOST: usize = 1 << 24;

/// A way to learn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Learner {
    /// How frequent each class is, or the mean.
    Constant,
    /// Logistic or ridge regression.
    Linear(LinearOptions),
    /// Nearest neighbours.
    Neighbours(NeighboursOptions),
    /// Gradient-boosted trees.
    Trees(TreesOptions),
}

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Constant(Constant),
    Linear(Linear),
    Neighbours(Neighbours),
    Trees(Trees),
}

/// A learner that has learned.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    width: usize,
    /// Number of classes; 0 for values.
    classes: usize,
    kind: Kind,
}

/// Trains a learner.
///
/// # Errors
/// If there are no rows, values are missing that it needs, or it was asked to stop.
pub fn fit(learner: Learner, matrix: &Matrix, target: &Target, work: Work<'_>) -> Result<Fitted> {
    target.check(matrix.rows())?;
    work.go_on()?;
    let kind = match learner {
        Learner::Constant => Kind::Constant(Constant::fit(target)),
        Learner::Linear(options) => Kind::Linear(Linear::fit(matrix, target, options, work)?),
        Learner::Neighbours(options) => Kind::Neighbours(Neighbours::fit(matrix, target, options, work)?),
        Learner::Trees(options) => {
            if matrix.is_sparse() {
                let problem = "trees look at whole columns, and need dense ones".to_string();
                return Err(ClassicalError::Rows(problem));
            }
            Kind::Trees(Trees::fit(matrix, target, options, work)?)
        }
    };
    let classes = if let Target::Classes { classes, .. } = target { *classes } else { 0 };
    Ok(Fitted { width: matrix.width(), classes, kind })
}

impl Fitted {
    /// Number of columns that it takes.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Numbers of a prediction: a probability for each class, or one value.
    pub fn outputs(&self) -> usize {
        self.classes.max(1)
    }

    /// Probabilities of the classes, or values, `[rows, outputs]`.
    ///
    /// # Errors
    /// If the rows are not like those that it was trained on.
    pub fn predict(&self, matrix: &Matrix, threads: usize) -> Result<Vec<f32>> {
        self.predict_within(matrix, Work::unlimited(threads, 0))
    }

    /// As [`predict`](Self::predict), until it is told to stop.
    ///
    /// # Errors
    /// As there, or if it was asked to stop.
    pub fn predict_within(&self, matrix: &Matrix, work: Work<'_>) -> Result<Vec<f32>> {
        let threads = work.threads;
        let (sparse, needs_numbers) = match &self.kind {
            Kind::Constant(_) => (matrix.is_sparse(), false),
            Kind::Linear(linear) => (linear.is_sparse(), true),
            Kind::Neighbours(neighbours) => (neighbours.is_sparse(), true),
            Kind::Trees(_) => (false, false),
        };
        if matrix.width() != self.width || matrix.is_sparse() != sparse {
            let problem = format!("rows of {} columns were learned, and these have {}", self.width, matrix.width());
            return Err(ClassicalError::Rows(problem));
        }
        if needs_numbers && !matrix.is_finite() {
            return Err(ClassicalError::Rows("a value is missing or not finite".to_string()));
        }
        match &self.kind {
            Kind::Constant(constant) => Ok(constant.predict(matrix.rows())),
            Kind::Linear(linear) => Ok(linear.predict(matrix, threads)),
            Kind::Neighbours(neighbours) => neighbours.predict(matrix, work),
            Kind::Trees(trees) => Ok(trees.predict(matrix, threads)),
        }
    }

    /// How much it goes by each column: the size of weights of standardised columns, or what splits gained; nothing where
    /// columns have no weights.
    pub fn importances(&self) -> Option<Vec<f64>> {
        match &self.kind {
            Kind::Constant(_) | Kind::Neighbours(_) => None,
            Kind::Linear(linear) => Some(linear.importances()),
            Kind::Trees(trees) => Some(trees.importances()),
        }
    }

    /// In words, what was chosen inside of the training rows.
    pub fn describe(&self) -> String {
        match &self.kind {
            Kind::Constant(_) => "the same prediction for every row".to_string(),
            Kind::Linear(linear) => format!("penalty {}", linear.penalty()),
            Kind::Neighbours(neighbours) => format!("{} neighbours", neighbours.count()),
            Kind::Trees(trees) => format!("{} rounds of trees", trees.rounds()),
        }
    }

    /// The linear model, if it is one.
    pub fn linear(&self) -> Option<&Linear> {
        if let Kind::Linear(linear) = &self.kind { Some(linear) } else { None }
    }

    /// The bytes of a file: mark, version, length, content and checksum.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut to = Writer::default();
        to.int(self.width);
        to.int(self.classes);
        match &self.kind {
            Kind::Constant(constant) => {
                to.byte(0);
                constant.write(&mut to);
            }
            Kind::Linear(linear) => {
                to.byte(1);
                linear.write(&mut to);
            }
            Kind::Neighbours(neighbours) => {
                to.byte(2);
                neighbours.write(&mut to);
            }
            Kind::Trees(trees) => {
                to.byte(3);
                trees.write(&mut to);
            }
        }
        to.finish()
    }

    /// Reads what [`to_bytes`](Self::to_bytes) gave.
    ///
    /// # Errors
    /// If the bytes are damaged, or of a newer version.
    pub fn from_bytes(file: &[u8]) -> Result<Fitted> {
        let mut from = Reader::open(file)?;
        let (width, classes) = (from.int()?, from.int()?);
        from.require(width < MOST && classes < MOST, "it has too many columns or classes")?;
        let kind = match from.byte()? {
            0 => Kind::Constant(Constant::read(&mut from, classes.max(1))?),
            1 => Kind::Linear(Linear::read(&mut from, width, classes)?),
            2 => Kind::Neighbours(Neighbours::read(&mut from, width, classes)?),
            3 => Kind::Trees(Trees::read(&mut from, width, classes)?),
            other => return Err(ClassicalError::Damaged(format!("there is no learner number {other}"))),
        };
        from.end()?;
        Ok(Fitted { width, classes, kind })
    }
}
