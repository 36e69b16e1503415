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
/// The number by which learners of labels are known in files.
const LABELS: u8 = 4;

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
    /// Of labels of which a row may have several, a learner of two classes for each: without and with it.
    Labels(Vec<Fitted>),
}

/// A learner that has learned.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    width: usize,
    /// Number of classes or labels; 0 for values.
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

/// Trains a learner for each of some labels, of which a row may have any number. Those that all rows have, or none, have
/// nothing to be learned of but how frequent they are.
///
/// # Errors
/// As for [`fit`], and if there are no labels.
pub fn fit_labels(learner: Learner, matrix: &Matrix, labels: &[Vec<bool>], work: Work<'_>) -> Result<Fitted> {
    let one = |has: &Vec<bool>| {
        let differ = has.iter().any(|&has| has) && has.iter().any(|&has| !has);
        let target = Target::Classes { classes: 2, of: has.iter().map(|&has| u32::from(has)).collect() };
        fit(if differ { learner } else { Learner::Constant }, matrix, &target, work)
    };
    if labels.is_empty() {
        return Err(ClassicalError::Rows("there are no labels to learn".to_string()));
    }
    let each = labels.iter().map(one).collect::<Result<Vec<Fitted>>>()?;
    Ok(Fitted { width: matrix.width(), classes: labels.len(), kind: Kind::Labels(each) })
}

impl Fitted {
    /// Number of columns that it takes.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Numbers of a prediction: a probability for each class or label, or one value.
    pub fn outputs(&self) -> usize {
        self.classes.max(1)
    }

    /// Probabilities of the classes or labels, or values, `[rows, outputs]`.
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
        if let Kind::Labels(each) = &self.kind {
            let mut predictions = vec![0.0; matrix.rows() * each.len()];
            for (label, fitted) in each.iter().enumerate() {
                work.go_on()?;
                let own = fitted.predict_within(matrix, work)?;
                let places = predictions.iter_mut().skip(label).step_by(each.len());
                places.zip(own.chunks_exact(2)).for_each(|(place, own)| *place = own[1]);
            }
            return Ok(predictions);
        }
        let (sparse, needs_numbers) = match &self.kind {
            Kind::Constant(_) => (matrix.is_sparse(), false),
            Kind::Linear(linear) => (linear.is_sparse(), true),
            Kind::Neighbours(neighbours) => (neighbours.is_sparse(), true),
            Kind::Trees(_) | Kind::Labels(_) => (false, false),
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
            // Told label by label above.
            Kind::Labels(_) => Ok(Vec::new()),
        }
    }

    /// Whether it predicts the same for every row.
    pub fn is_constant(&self) -> bool {
        match &self.kind {
            Kind::Constant(_) => true,
            Kind::Linear(_) | Kind::Neighbours(_) | Kind::Trees(_) => false,
            Kind::Labels(labels) => labels.iter().all(Fitted::is_constant),
        }
    }

    /// How much it goes by each column: the size of weights of standardised columns, or what splits gained; nothing where
    /// columns have no weights. Of labels, the mean over all of them.
    pub fn importances(&self) -> Option<Vec<f64>> {
        match &self.kind {
            Kind::Constant(_) | Kind::Neighbours(_) => None,
            Kind::Linear(linear) => Some(linear.importances()),
            Kind::Trees(trees) => Some(trees.importances()),
            Kind::Labels(each) => {
                let known: Vec<Vec<f64>> = each.iter().filter_map(Fitted::importances).collect();
                let mean = |column: usize| known.iter().map(|own| own[column]).sum::<f64>() / each.len() as f64;
                (!known.is_empty()).then(|| (0..self.width).map(mean).collect())
            }
        }
    }

    /// In words, what was chosen inside of the training rows.
    pub fn describe(&self) -> String {
        match &self.kind {
            Kind::Constant(_) => "the same prediction for every row".to_string(),
            Kind::Linear(linear) => format!("penalty {}", linear.penalty()),
            Kind::Neighbours(neighbours) => format!("{} neighbours", neighbours.count()),
            Kind::Trees(trees) => format!("{} rounds of trees", trees.rounds()),
            Kind::Labels(each) => {
                let of = each.iter().filter(|own| !matches!(own.kind, Kind::Constant(_)));
                let mut told: Vec<String> = of.map(Fitted::describe).collect();
                told.dedup();
                match &told[..] {
                    [] => "the same prediction for every row".to_string(),
                    [same] => format!("{same}, for each label"),
                    _ => "chosen for each label by itself".to_string(),
                }
            }
        }
    }

    /// The linear model, if it is one.
    pub fn linear(&self) -> Option<&Linear> {
        if let Kind::Linear(linear) = &self.kind { Some(linear) } else { None }
    }

    /// The bytes of a file: mark, version, length, content and checksum.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut to = Writer::default();
        self.write(&mut to);
        to.finish()
    }

    fn write(&self, to: &mut Writer) {
        to.int(self.width);
        to.int(self.classes);
        match &self.kind {
            Kind::Constant(constant) => {
                to.byte(0);
                constant.write(to);
            }
            Kind::Linear(linear) => {
                to.byte(1);
                linear.write(to);
            }
            Kind::Neighbours(neighbours) => {
                to.byte(2);
                neighbours.write(to);
            }
            Kind::Trees(trees) => {
                to.byte(3);
                trees.write(to);
            }
            Kind::Labels(each) => {
                to.byte(LABELS);
                each.iter().for_each(|own| own.write(to));
            }
        }
    }

    /// Reads what [`to_bytes`](Self::to_bytes) gave.
    ///
    /// # Errors
    /// If the bytes are damaged, or of a newer version.
    pub fn from_bytes(file: &[u8]) -> Result<Fitted> {
        let mut from = Reader::open(file)?;
        let fitted = Fitted::read(&mut from, true)?;
        from.end()?;
        Ok(fitted)
    }

    /// `whole` says that it is not that of a label, which has no labels itself.
    fn read(from: &mut Reader<'_>, whole: bool) -> Result<Fitted> {
        let (width, classes) = (from.int()?, from.int()?);
        from.require(width < MOST && classes < MOST, "it has too many columns or classes")?;
        let kind = match from.byte()? {
            0 => Kind::Constant(Constant::read(from, classes.max(1))?),
            1 => Kind::Linear(Linear::read(from, width, classes)?),
            2 => Kind::Neighbours(Neighbours::read(from, width, classes)?),
            3 => Kind::Trees(Trees::read(from, width, classes)?),
            LABELS if whole && classes > 0 => {
                let each = (0..classes).map(|_| {
                    let own = Fitted::read(from, false)?;
                    from.require((own.width, own.classes) == (width, 2), "a label has another number of columns")?;
                    Ok(own)
                });
                Kind::Labels(each.collect::<Result<_>>()?)
            }
            other => return Err(ClassicalError::Damaged(format!("there is no learner number {other}"))),
        };
        Ok(Fitted { width, classes, kind })
    }
}
