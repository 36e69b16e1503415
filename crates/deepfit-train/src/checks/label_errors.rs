//! Labels that are probably wrong, by confident learning (C. Northcutt, L. Jiang and I. Chuang, "Confident learning: estimating
//! uncertainty in dataset labels", 2021): a row is suspected if a class other than its own has at least the probability that
//! this class has on average among the rows that bear its label. Probabilities are of models that have not learned from the row.
//!
//! A suspected row is a wrong label or a hard example, and by itself nobody can tell which. So it is looked first whether labels
//! are wrong at all. Hard examples become rare where a model is sure, wrong labels do not: of the quarter of rows that it is
//! surest of, more must be wrong than [`CLEAN`] allows, at the level, and in no less than half the share in which all are. A model
//! that has hardly learned anything is sure of nothing and says nothing here.

use deepfit_data::{Dataset, Part, Task};

use super::confident;
use super::statistics::binomial_tail;
use super::{Evidence, Finding, FindingKind, LEVEL, Place, Severity, Suspect};
use crate::decision::HeldOut;
use crate::predictions::{Predictions, first_largest};

/// Share of the rows that a model is surest of which may be wrong in data without wrong labels.
const CLEAN: f64 = 0.02;
/// Share of rows that a model is surest of.
const SUREST: f64 = 0.25;
/// Fewest of these.
const FEWEST: usize = 20;
/// Errors, as a share of those of always naming the most frequent class, with which a model has learned something.
const LEARNED: f64 = 0.5;
/// Most rows that are listed.
const MOST_LISTED: usize = 200;

/// Rows that were predicted by a model which has not learned from them.
struct Rows<'a> {
    part: Part,
    probabilities: &'a [f32],
    given: Vec<usize>,
    place: Box<dyn Fn(usize) -> Place + 'a>,
}

pub(super) fn find(data: &Dataset, held: Option<&HeldOut>, test: &Predictions) -> Option<Finding> {
    let Task::Classification { classes } = data.task() else { return None };
    let labels = |targets: &[f32]| targets.iter().map(|&class| class as usize).collect::<Vec<usize>>();
    let mut all = Vec::new();
    if let Some(held) = held {
        all.push(Rows {
            part: Part::Validation,
            probabilities: &held.values,
            given: labels(&held.targets),
            place: Box::new(|at| Place::of(data, held.rows[at])),
        });
    }
    all.push(Rows {
        part: Part::Test,
        probabilities: &test.predicted,
        given: labels(&test.truths),
        place: Box::new(|at| Place { id: test.ids[at].clone(), file: None }),
    });
    all.retain(|rows| !rows.given.is_empty() && rows.probabilities.len() == rows.given.len() * classes.len());
    let count: usize = all.iter().map(|rows| rows.given.len()).sum();
    let sure = Sure::of(&all, classes.len())?;
    if !sure.says_so() {
        return None;
    }
    let mut suspects: Vec<(f64, Suspect)> = all.iter().flat_map(|rows| suspected(rows, classes)).collect();
    // Those whose own class is least probable beside another come first.
    suspects.sort_by(|a, b| b.0.total_cmp(&a.0));
    if suspects.is_empty() {
        return None;
    }
    let found = suspects.len();
    let figures = [
        ("suspected", found as f64),
        ("rows", count as f64),
        ("surest_rows", sure.surest as f64),
        ("wrong_of_the_surest", sure.wrong_of_surest as f64),
        ("chance", sure.chance()),
    ];
    let suspects = suspects.into_iter().take(MOST_LISTED).map(|(_, suspect)| suspect).collect();
    Some(Finding {
        kind: FindingKind::LabelErrors,
        severity: Severity::Warning,
        what: format!(
            "{found} of {count} rows that were predicted without having been learned from probably have a wrong label: even of the \
             {} that the model is surest of, {} have another label than it says",
            sure.surest, sure.wrong_of_surest
        ),
        advice:
            "nothing was changed; look at these rows, the likeliest first, and correct their labels or take them out"
                .to_string(),
        evidence: Evidence { suspects, ..Evidence::figures(figures) },
    })
}

/// How often a model is wrong, and how often where it is surest.
struct Sure {
    rows: usize,
    wrong: usize,
    /// Errors of always naming the most frequent class.
    wrong_always: usize,
    surest: usize,
    wrong_of_surest: usize,
}

impl Sure {
    fn of(all: &[Rows<'_>], classes: usize) -> Option<Sure> {
        let mut sure = Sure { rows: 0, wrong: 0, wrong_always: 0, surest: 0, wrong_of_surest: 0 };
        for rows in all {
            let mut found: Vec<(f32, bool)> = rows
                .probabilities
                .chunks_exact(classes)
                .zip(&rows.given)
                .map(|(probabilities, &given)| {
                    let said = first_largest(probabilities);
                    (probabilities[said], said != given)
                })
                .collect();
            // Equal probabilities stay in the order of the rows.
            found.sort_by(|a, b| b.0.total_cmp(&a.0));
            let surest = (found.len() as f64 * SUREST) as usize;
            let wrong = |found: &[(f32, bool)]| found.iter().filter(|(_, wrong)| *wrong).count();
            let mut counts = vec![0; classes];
            rows.given.iter().for_each(|&class| counts[class] += 1);
            sure.rows += found.len();
            sure.wrong += wrong(&found);
            sure.wrong_always += found.len() - counts.iter().max().copied().unwrap_or(0);
            sure.surest += surest;
            sure.wrong_of_surest += wrong(&found[..surest]);
        }
        (sure.surest >= FEWEST).then_some(sure)
    }

    /// The chance of so many errors where the model is surest, if labels are right.
    fn chance(&self) -> f64 {
        binomial_tail(self.wrong_of_surest, self.surest, CLEAN)
    }

    fn says_so(&self) -> bool {
        let share = self.wrong as f64 / self.rows as f64;
        let of_surest = self.wrong_of_surest as f64 / self.surest as f64;
        (self.wrong as f64) <= LEARNED * self.wrong_always as f64 && of_surest >= 0.5 * share && self.chance() < LEVEL
    }
}

/// The rows off the diagonal of the confident joint, each with how much more probable the likely class is than the given one.
fn suspected(rows: &Rows<'_>, classes: &[String]) -> Vec<(f64, Suspect)> {
    let told = |one: confident::Suspect| {
        let of = |class: usize, probability: f32| (classes[class].clone(), f64::from(probability));
        let (given, likely) = (of(rows.given[one.at], one.given), of(one.suggested, one.probability));
        let margin = likely.1 - given.1;
        (margin, Suspect { row: (rows.place)(one.at), part: rows.part, given, likely })
    };
    confident::suspects(rows.probabilities, classes.len(), &rows.given).into_iter().map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use deepfit_data::RowId;

    /// Rows of two classes whose model is right but for labels that were turned; `hardness` is how unsure it is of every fourth.
    fn rows(turned: &[usize], hard: bool) -> (Vec<f32>, Vec<usize>) {
        let (mut probabilities, mut given) = (Vec::new(), Vec::new());
        for row in 0..400 {
            let class = row % 2;
            let unsure = hard && row % 4 < 2;
            let own = if unsure { 0.55 } else { 0.97 };
            let of = if class == 0 { [own, 1.0 - own] } else { [1.0 - own, own] };
            probabilities.extend(of);
            // Of those that it is unsure of, nearly half are of the other class.
            let other = if hard { unsure && row % 5 < 2 } else { turned.contains(&row) };
            given.push(if other { 1 - class } else { class });
        }
        (probabilities, given)
    }

    fn of<'a>((probabilities, given): &'a (Vec<f32>, Vec<usize>)) -> Rows<'a> {
        let place = Box::new(|at| Place { id: RowId::Row(at as u64), file: None });
        Rows { part: Part::Test, probabilities, given: given.clone(), place }
    }

    #[test]
    fn turned_labels_are_found_and_hard_rows_are_not() {
        let classes = ["a".to_string(), "b".to_string()];
        let turned: Vec<usize> = (0..400).filter(|row| row % 13 == 0).collect();
        let planted = rows(&turned, false);
        let planted = [of(&planted)];
        let sure = Sure::of(&planted, 2).unwrap();
        assert!(sure.says_so(), "{} of {}", sure.wrong_of_surest, sure.surest);
        let found: Vec<RowId> = suspected(&planted[0], &classes).into_iter().map(|(_, s)| s.row.id).collect();
        let wanted: Vec<RowId> = turned.iter().map(|&row| RowId::Row(row as u64)).collect();
        assert_eq!(found, wanted);
        let hard = rows(&[], true);
        let sure = Sure::of(&[of(&hard)], 2).unwrap();
        assert!(sure.wrong > 60 && !sure.says_so(), "{} of {}", sure.wrong_of_surest, sure.surest);
        assert!(!Sure::of(&[of(&rows(&[], false))], 2).unwrap().says_so());
    }

    #[test]
    fn a_model_that_has_learned_nothing_suspects_nobody() {
        let given: Vec<usize> = (0..400).map(|row| usize::from(row % 10 == 0)).collect();
        let nothing = ([0.9, 0.1].repeat(400), given);
        assert!(!Sure::of(&[of(&nothing)], 2).unwrap().says_so());
    }
}
