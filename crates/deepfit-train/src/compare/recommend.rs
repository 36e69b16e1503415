//! One recommendation: the simplest way among those that are as good as the best.

use std::path::Path;

use super::clock::{asked, energy_in_words};
use super::contest::Contest;
use super::paired::versus;
use super::transfer_hint::Transferability;
use super::way::Way;
use super::{Comparison, NotRun, Ran, WayResult};
use crate::finish::shell_word;
use crate::repeats::student_quantile;

/// A point: of metrics that are shares or log losses.
const POINT: f64 = 0.01;

/// Compares what ran.
pub(super) fn recommend(
    contest: &Contest,
    ways: &[Way],
    ran: Vec<Ran>,
    not_run: Vec<NotRun>,
    budget: f64,
    folder: &Path,
) -> Comparison {
    let mut notes = contest.notes.clone();
    let effort = |name: &str| ways.iter().find(|way| way.name == name).map_or(u32::MAX, |way| way.effort);
    let (recommended, reason) = decide(contest, &ran, &not_run, budget, &effort);
    let of_recommended = recommended.as_ref().and_then(|name| ran.iter().position(|one| one.result.name == *name));
    let scores = of_recommended.map(|at| ran[at].rows.clone());
    let mut results: Vec<WayResult> = Vec::with_capacity(ran.len());
    for (at, Ran { mut result, rows }) in ran.into_iter().enumerate() {
        if let (Some(scores), true) = (&scores, of_recommended != Some(at)) {
            result.versus_recommended = versus(&rows, scores);
        }
        results.push(result);
    }
    let higher = contest.single_rises();
    for result in &results {
        if let Some(versus) = result.versus_recommended
            && versus.p_value < 0.05
            && (versus.difference > 0.0) == higher
        {
            notes.push(format!(
                "on the test rows, {} did better than what is recommended (p {:.3}): the test decides nothing, but look \
                 at both on new data",
                result.title, versus.p_value
            ));
        }
    }
    if recommended.is_some() && !not_run.is_empty() {
        let names: Vec<&str> = not_run.iter().map(|one| &one.title[..]).collect();
        notes.push(format!(
            "not compared: {}; with more time, such as --time {}, one of them may turn out better",
            names.join(", "),
            asked(5.0 * budget)
        ));
    }
    let mut comparison = Comparison {
        recommended,
        reason,
        data: contest.settings.data.clone(),
        task: contest.data.task().name().to_string(),
        metric: contest.metric.clone(),
        how: contest.how(),
        ways: results,
        not_run,
        transfer: None,
        notes,
        energy: energy_in_words(),
        budget_seconds: budget,
        seconds: 0.0,
        folder: folder.to_path_buf(),
        cached: false,
        next: Vec::new(),
    };
    comparison.next = next(&comparison);
    comparison
}

/// Adds what was found of the published network, and how the ways with it have turned out.
pub(super) fn add_transfer(
    contest: &Contest,
    ways: &[Way],
    found: Option<Transferability>,
    comparison: &mut Comparison,
) {
    let of_ways = of_ways(contest, ways, comparison);
    comparison.transfer = found.map(|found| Transferability { ways: of_ways, ..found });
}

/// Whether it helps to begin with a published network, in one sentence: by the best way with it and the best without, where
/// both were tried.
fn of_ways(contest: &Contest, ways: &[Way], comparison: &Comparison) -> Option<String> {
    let published = contest.published.as_ref()?;
    let sign = if contest.higher_is_better() { 1.0 } else { -1.0 };
    let best = |with: bool| {
        let uses = |name: &str| ways.iter().any(|way| way.name == name && way.begins_with_a_network() == with);
        let own = comparison.ways.iter().filter(|way| uses(&way.name) && !way.selection_values.is_empty());
        own.max_by(|a, b| (sign * a.selection_value).total_cmp(&(sign * b.selection_value)))
    };
    let (with, without) = (best(true)?, best(false)?);
    let gained = sign * (with.selection_value - without.selection_value);
    let limit = least_difference(contest, with, without);
    let shown = crate::text::words::number;
    let (metric, name) = (&contest.metric, published.name());
    let verdict = match gained {
        _ if gained > limit => "helps",
        _ if gained < -limit => "does not help",
        _ => "makes no difference that can be told",
    };
    Some(format!(
        "beginning with {name} {verdict}: {metric} {} with it at best ({}), {} without ({})",
        shown(with.selection_value),
        with.title,
        shown(without.selection_value),
        without.title
    ))
}

/// The commands that use the recommended way, and that which draws all of them.
pub(super) fn next(comparison: &Comparison) -> Vec<String> {
    let named = comparison.ways.iter().find(|way| Some(&way.name) == comparison.recommended.as_ref());
    let Some(way) = named else { return Vec::new() };
    let run = shell_word(&way.run.to_string_lossy());
    vec![
        format!("deepfit predict {run} NEW-DATA"),
        format!("deepfit evaluate {run} OTHER-DATA"),
        format!("deepfit explain {run} NEW-DATA"),
        format!("deepfit plot {} compare", shell_word(&comparison.folder.to_string_lossy())),
    ]
}

/// The name of the recommended way, and why.
fn decide(
    contest: &Contest,
    ran: &[Ran],
    not_run: &[NotRun],
    budget: f64,
    effort: &dyn Fn(&str) -> u32,
) -> (Option<String>, String) {
    let candidates: Vec<&WayResult> =
        ran.iter().map(|one| &one.result).filter(|one| !one.selection_values.is_empty()).collect();
    let sign = if contest.higher_is_better() { 1.0 } else { -1.0 };
    let good = |way: &WayResult| sign * way.selection_value;
    let Some(best) = candidates.iter().max_by(|a, b| good(a).total_cmp(&good(b))) else {
        let metric = &contest.metric;
        return (None, format!("{metric} is not defined on the rows that were held out; compare by another metric"));
    };
    if candidates.len() == 1 && !not_run.is_empty() {
        let reason = format!(
            "the time of {budget} s allowed nothing but the {}; allow more, such as --time {}",
            best.title,
            asked(10.0 * budget)
        );
        return (None, reason);
    }
    let error = standard_error(contest, best);
    let limit = error.min(point(contest, &candidates));
    let chosen = candidates
        .iter()
        .filter(|way| good(best) - good(way) <= limit + 1e-12)
        .min_by(|a, b| effort(&a.name).cmp(&effort(&b.name)).then(good(b).total_cmp(&good(a))))
        .unwrap_or(best);
    let (metric, shown) = (&contest.metric, crate::text::words::number);
    let reason = if chosen.name == best.name {
        let others = candidates.len() - 1;
        let simpler = candidates.iter().any(|way| effort(&way.name) < effort(&best.name));
        match (others, simpler) {
            (0, _) => format!("{}: the only way that was tried", best.title),
            (_, true) => format!(
                "{} has the best {metric} ({}), and no simpler way is within one standard error and one point of it",
                best.title,
                shown(best.selection_value)
            ),
            (_, false) => format!(
                "{} has the best {metric} ({}), and is the simplest way of all",
                best.title,
                shown(best.selection_value)
            ),
        }
    } else {
        format!(
            "{} has {metric} {}, as good as the best ({}, {}) within one standard error ({}) and one point, and is simpler",
            chosen.title,
            shown(chosen.selection_value),
            best.title,
            shown(best.selection_value),
            shown(error)
        )
    };
    (Some(chosen.name.clone()), reason)
}

/// By how much two ways must differ, so that chance does not explain it: the half of a 95 % interval of their difference in the
/// same folds (Student's t), or, of one part, two standard errors of both.
fn least_difference(contest: &Contest, one: &WayResult, other: &WayResult) -> f64 {
    let (of_one, of_other) = (&one.selection_values, &other.selection_values);
    let count = of_one.len();
    if count < 2 || of_other.len() != count {
        return 2.0 * standard_error(contest, one).hypot(standard_error(contest, other));
    }
    let mean = one.selection_value - other.selection_value;
    let variance = of_one.iter().zip(of_other).map(|(a, b)| (a - b - mean).powi(2)).sum::<f64>() / (count - 1) as f64;
    student_quantile(count - 1) * (variance / count as f64).sqrt()
}

/// How far the mean over other folds would be from that over these.
fn standard_error(contest: &Contest, best: &WayResult) -> f64 {
    let values = &best.selection_values;
    if values.len() > 1 {
        let count = values.len() as f64;
        let variance = values.iter().map(|v| (v - best.selection_value).powi(2)).sum::<f64>() / (count - 1.0);
        return (variance / count).sqrt();
    }
    let rows = contest.folds[0].1.len().max(1) as f64;
    let value = best.selection_value;
    match &contest.metric[..] {
        // Errors that are normally distributed.
        "rmse" | "mae" => value / (2.0 * rows).sqrt(),
        "log_loss" => value / rows.sqrt(),
        _ => (value * (1.0 - value)).max(0.0).sqrt() / rows.sqrt(),
    }
}

/// A point of the metric: a hundredth, of errors in the target's unit a hundredth of that of the mean.
fn point(contest: &Contest, candidates: &[&WayResult]) -> f64 {
    match &contest.metric[..] {
        "rmse" | "mae" => {
            let worst = candidates.iter().map(|way| way.selection_value).fold(0.0, f64::max);
            let of_mean = candidates.iter().find(|way| way.name == "mean").map_or(worst, |way| way.selection_value);
            POINT * of_mean
        }
        _ => POINT,
    }
}
