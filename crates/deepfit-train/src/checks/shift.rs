//! Whether test rows are of the same distribution as those that are learned from: a classifier two-sample test (D. Lopez-Paz
//! and M. Oquab, "Revisiting classifier two-sample tests", 2017).
//!
//! Trees learn from one half of the rows to tell both parts apart and are asked about the other half. If both parts are of one
//! distribution, what they say of it ranks the rows by chance, whatever they have learned: the test of Mann and Whitney gives
//! the chance. Classes are compared by their shares. Both tests share the level. A shift that is certain may still be too
//! small to matter, and then nothing is told.
//!
//! Of a split by chance both parts are of one distribution, so that a test could but raise false alarms: it is for data that
//! has its own parts, and for those that times divide. Rows that belong together (copies, groups) count once, since a
//! classifier knows them again.

use std::collections::HashSet;

use deepfit_classical::{Learner, Matrix, Target, TreesOptions, Work, fit};
use deepfit_data::{Batch, Part, Pass};

use super::columns::Columns;
use super::sample::{shuffled, told};
use super::statistics::{ranked_higher, same_distribution, same_shares};
use super::{Evidence, Finding, FindingKind, LEVEL, Severity, Subject, similar_texts};
use crate::classical::{Encoder, Features};
use crate::error::Result;

/// Most rows of each part; of images that must be decoded; and most numbers altogether.
const MOST_ROWS: usize = 1_500;
const MOST_DECODED: usize = 150;
const MOST_CELLS: usize = 600_000;
const FEWEST_ROWS: usize = 30;
/// The area under the ROC curve from which on a shift matters.
const LEAST_AREA: f64 = 0.6;
const ROUNDS: usize = 30;
const LEAVES: usize = 6;
/// Columns that are named.
const NAMED: usize = 5;

pub(super) fn find(subject: &Subject<'_>) -> Result<Vec<Finding>> {
    let (data, split) = (subject.data, subject.split);
    if !data.has_part(Part::Test) && subject.settings.time_split.is_none() {
        return Ok(Vec::new());
    }
    let width = match (data.is_images(), data.is_texts()) {
        (true, _) => 400,
        (_, true) => similar_texts::HASHED,
        _ => data.summary().columns.len().max(1),
    };
    let decoded = data.is_images() && !data.is_cached();
    let most = if decoded { MOST_DECODED } else { MOST_ROWS }.min((MOST_CELLS / width / 2).max(2 * FEWEST_ROWS));
    let seed = subject.settings.seed;
    let mut seen = HashSet::new();
    let mut drawn = |rows: &[u32]| -> Vec<u32> {
        let single = shuffled(rows, seed).into_iter().filter(|&row| seen.insert(data.unit_of(row)));
        single.take(most).collect()
    };
    let (test, learned) = (drawn(&split.test), drawn(&split.train));
    if test.len() < FEWEST_ROWS || learned.len() < FEWEST_ROWS {
        return Ok(Vec::new());
    }
    let sampled = told(learned.len() + test.len(), split.train.len() + split.test.len());
    let inputs = of_inputs(subject, &learned, &test)?;
    let by_time = subject.settings.time_split.is_some();
    let mut findings = Vec::new();
    let finding = |what: String, evidence: Evidence| {
        Finding {
        kind: FindingKind::Shift,
        severity: Severity::Warning,
        what,
        advice: match by_time {
            true => {
                "what was learned from the earlier rows holds less for the later ones, and the test says how much; expect more of it \
                 as time goes on, and train again on newer rows"
            }
            false => {
                "figures of this test tell how the model does on such rows, not on rows like those of training; look where the test \
                 data comes from, and learn from rows like those that will be predicted"
            }
        }
        .to_string(),
        evidence,
    }
    };
    if let Some(Inputs { area, chance, columns }) = inputs {
        let named = match &columns[..] {
            [] => String::new(),
            columns => {
                let shown: Vec<String> = columns.iter().take(NAMED).map(|name| format!("'{name}'")).collect();
                format!("; they differ most in {}", shown.join(", "))
            }
        };
        let what = format!(
            "test rows are of another distribution than those that are learned from: a classifier tells them apart with an area \
             under the ROC curve of {area:.2}, by chance 0.5 (p = {chance:.1e}){named}{sampled}"
        );
        let figures = [("roc_auc", area), ("chance", chance)];
        findings.push(finding(what, Evidence { columns, ..Evidence::figures(figures) }));
    }
    findings.extend(of_targets(subject, &learned, &test).map(|(what, evidence)| finding(what + &sampled, evidence)));
    Ok(findings)
}

/// A shift of the inputs.
struct Inputs {
    area: f64,
    chance: f64,
    columns: Vec<String>,
}

fn of_inputs(subject: &Subject<'_>, learned: &[u32], test: &[u32]) -> Result<Option<Inputs>> {
    let rows: Vec<u32> = learned.iter().chain(test).copied().collect();
    let columns = Columns::read(&**subject.source, subject.preprocessor, &rows);
    let (matrix, found) = match &columns {
        Some(columns) => (columns.matrix(&(0..columns.width()).collect::<Vec<_>>()), rows.clone()),
        None => features(subject, &rows)?,
    };
    // Pictures that cannot be read are missing.
    let of_test: HashSet<u32> = test.iter().copied().collect();
    let is_test: Vec<u32> = found.iter().map(|row| u32::from(of_test.contains(row))).collect();
    let half = |part: usize| -> Vec<u32> {
        let mut places = Vec::new();
        // Rows of each part come in the order of a hash, so that every second one is half of them by chance.
        for wanted in [0, 1] {
            let own = (0..found.len() as u32).filter(|&place| is_test[place as usize] == wanted);
            places.extend(own.enumerate().filter(|(number, _)| number % 2 == part).map(|(_, place)| place));
        }
        places
    };
    let (seen, asked) = (half(0), half(1));
    let target = Target::Classes { classes: 2, of: is_test.clone() };
    let options = TreesOptions { rounds: Some(ROUNDS), leaves: Some(LEAVES), ..TreesOptions::default() };
    let (threads, seed) = (subject.settings.threads, subject.settings.seed);
    let work = Work::unlimited(threads, seed);
    let fitted = fit(Learner::Trees(options), &matrix.select(&seen), &target.select(&seen), work)?;
    let outputs = fitted.predict(&matrix.select(&asked), threads)?;
    let scores = |wanted: u32| -> Vec<f32> {
        let of_part =
            asked.iter().zip(outputs.chunks_exact(2)).filter(|(place, _)| is_test[**place as usize] == wanted);
        of_part.map(|(_, said)| said[1]).collect()
    };
    let (area, chance) = ranked_higher(&scores(0), &scores(1));
    if chance >= LEVEL / 2.0 || area < LEAST_AREA {
        return Ok(None);
    }
    let columns = columns.map_or_else(Vec::new, |columns| different(&columns, learned.len()));
    Ok(Some(Inputs { area, chance, columns }))
}

/// Features of pictures or texts, and the rows that have some.
fn features(subject: &Subject<'_>, rows: &[u32]) -> Result<(Matrix, Vec<u32>)> {
    if subject.data.is_texts() {
        return Ok((similar_texts::hashed(&**subject.source, rows)?, rows.to_vec()));
    }
    let encoder = Encoder::new(Features::Histograms, subject.preprocessor)?;
    let (mut parts, mut found, mut batch) = (Vec::new(), Vec::new(), Batch::new());
    for rows in rows.chunks(encoder.batch()) {
        subject.source.fill(rows, Pass::Evaluate, &mut batch)?;
        parts.push(encoder.encode(&batch)?);
        found.extend_from_slice(&batch.rows);
    }
    Ok((Matrix::concat(parts), found))
}

/// Columns that differ by themselves, at the level shared out among all of them, those first that differ most.
fn different(columns: &Columns, learned: usize) -> Vec<String> {
    let chance = |column: usize| {
        let (first, second) = columns.values[column].split_at(learned);
        let missing = |values: &[f64]| values.iter().filter(|value| value.is_nan()).count();
        let gaps = [[first.len() - missing(first), missing(first)], [second.len() - missing(second), missing(second)]];
        let values = match columns.categories[column] {
            Some(count) => {
                let counts = |values: &[f64]| {
                    let mut counts = vec![0; count];
                    values.iter().filter(|value| !value.is_nan()).for_each(|&value| counts[value as usize] += 1);
                    counts
                };
                same_shares(&counts(first), &counts(second))
            }
            None => {
                let known = |values: &[f64]| values.iter().copied().filter(|v| !v.is_nan()).collect::<Vec<f64>>();
                same_distribution(&mut known(first), &mut known(second))
            }
        };
        values.min(same_shares(&gaps[0], &gaps[1]))
    };
    let mut found: Vec<(f64, usize)> = (0..columns.width()).map(|column| (chance(column), column)).collect();
    found.retain(|(chance, _)| chance * 2.0 * (columns.width() as f64) < LEVEL);
    found.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    found.into_iter().map(|(_, column)| columns.names[column].clone()).collect()
}

/// A shift of the target: of the shares of classes, or of values.
fn of_targets(subject: &Subject<'_>, learned: &[u32], test: &[u32]) -> Option<(String, Evidence)> {
    let (mut first, mut second) = (subject.targets(learned)?, subject.targets(test)?);
    let Some(classes) = subject.classes() else {
        let chance = same_distribution(&mut first, &mut second);
        let middle = |values: &[f64]| values[values.len() / 2];
        // Half of a deviation, as the area of 0.6 is of two normal distributions.
        let mean = first.iter().sum::<f64>() / first.len() as f64;
        let deviation = (first.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / first.len() as f64).sqrt();
        let apart = (middle(&second) - middle(&first)) / deviation.max(f64::MIN_POSITIVE);
        if chance >= LEVEL / 2.0 || apart.abs() < 0.25 {
            return None;
        }
        let what = format!(
            "targets of the test are of another distribution than those that are learned from: half of them are {} by {:.2} \
             deviations or more (p = {chance:.1e})",
            if apart > 0.0 { "above the middle of these" } else { "below the middle of these" },
            apart.abs()
        );
        return Some((what, Evidence::figures([("chance", chance), ("deviations", apart)])));
    };
    let counts = |targets: &[f64]| {
        let mut counts = vec![0; classes];
        targets.iter().for_each(|&class| counts[class as usize] += 1);
        counts
    };
    let (first, second) = (counts(&first), counts(&second));
    let chance = same_shares(&first, &second);
    let share = |counts: &[usize], class: usize| counts[class] as f64 / counts.iter().sum::<usize>().max(1) as f64;
    let apart = |class: usize| (share(&second, class) - share(&first, class)).abs();
    let most = (0..classes).max_by(|&a, &b| apart(a).total_cmp(&apart(b)))?;
    if chance >= LEVEL / 2.0 || apart(most) < 0.05 {
        return None;
    }
    let name = &subject.data.task().classes()[most];
    let what = format!(
        "classes of the test are of other shares than those that are learned from: '{name}' has {:.0} % of the test, and {:.0} % \
         of training (p = {chance:.1e})",
        100.0 * share(&second, most),
        100.0 * share(&first, most)
    );
    let evidence = Evidence::figures([
        ("chance", chance),
        ("share_in_test", share(&second, most)),
        ("share_in_training", share(&first, most)),
    ]);
    Some((what, evidence))
}
