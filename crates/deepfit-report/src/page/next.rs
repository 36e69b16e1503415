//! What may help, by what the numbers say, and the commands that use the model.

use deepfit_train::metrics::higher_is_better;
use deepfit_train::text::words;
use deepfit_train::{FindingKind, Report, RunRecord, Verdict};
use maud::{Markup, html};

use super::facts::Facts;
use crate::clean::clean;
use crate::judgement::{Judgement, Trust};
use crate::meaning::meaning;

/// `full`: whether the page tells already what the command for a fuller page adds.
pub(super) fn section(
    run: &RunRecord,
    report: &Report,
    judgement: Option<&Judgement>,
    facts: &Facts,
    full: bool,
) -> Markup {
    let advice = advice(run, report, judgement, facts);
    let mistakes = mistakes(run, report);
    let is_done = |command: &str| full && command.starts_with("deepfit report ") && command.ends_with(" --full");
    let next = report.next.iter().filter(|command| !is_done(command.as_str()));
    html! {
        @if advice.is_empty() {
            p {
                "Nothing in the numbers asks for a change. "
                @if mistakes { "More data of the kind that is told wrongly usually helps most." } @else {
                    "There is no mistake to learn from: look whether new " (facts.many) " are like these, and whether a column or a \
                     detail gives the answer away."
                }
            }
        } @else {
            ul { @for one in &advice { li { (clean(one)) } } }
        }
        h3 { "Use it" }
        ul class="commands" { @for command in next { li { code { (clean(command)) } } } }
    }
}

/// Whether there may be mistakes among the test rows.
fn mistakes(run: &RunRecord, report: &Report) -> bool {
    // Of classical runs single mistakes are not always kept.
    let all_right = ["accuracy", "subset_accuracy"]
        .iter()
        .any(|name| report.metrics.test.get(name).is_some_and(|share| share >= 1.0));
    !all_right && run.predictions.as_ref().is_none_or(|predictions| !predictions.worst.is_empty())
}

/// Advice, the most important first.
fn advice(run: &RunRecord, report: &Report, judgement: Option<&Judgement>, facts: &Facts) -> Vec<String> {
    let mut advice = Vec::new();
    let (metrics, many) = (&report.metrics, facts.many);
    let verdict = report.fit.as_ref().map(|fit| fit.verdict);
    // A classical learner has no epochs, and a network that overfits becomes worse in more of them.
    let longer = !run.is_classical() && verdict != Some(Verdict::Overfits);
    let main = facts.main.and_then(|name| Some((name, metrics.test.get(name)?)));
    if let Some((name, value)) = main {
        let up = higher_is_better(name);
        let title = meaning(name).title;
        let baseline = run.predictions.as_ref().and_then(|p| p.baseline.as_ref()?.metrics.get(name));
        if baseline.is_some_and(|other| if up { value <= other } else { value >= other }) {
            let train = if longer { ", or a longer training (epochs=N, --time)" } else { "" };
            advice.push(format!(
                "It is no better than a simple method. Look whether the inputs can tell what is asked for, whether the truth in the data \
                 is right, and at the worst mistakes above; then try more {many}{train}."
            ));
        }
        if let Some(on_training) = metrics.train.get(name) {
            let gap = if up { on_training - value } else { value - on_training };
            let scale = if up { 1.0 - value } else { value };
            if gap > 0.05 && gap > 0.5 * scale.abs() {
                let both = format!(
                    "{title} is {} on training {many} and {} on new ones",
                    words::number(on_training),
                    words::number(value)
                );
                // What the run has found out about its fit stands on the page, too.
                let may = match verdict {
                    Some(Verdict::Fits | Verdict::Underfits) => None,
                    Some(Verdict::ValidationTooSmall | Verdict::Unknown) => Some("may be"),
                    Some(Verdict::Overfits) | None => Some("is"),
                };
                advice.push(match may {
                    None => format!(
                        "{both}: it is better on those that it has learned from. More {many} bring both nearer together."
                    ),
                    Some(is) if run.is_classical() => format!(
                        "{both}: part of what was learned {is} the training {many} by heart. More {many} help most."
                    ),
                    Some(is) => format!(
                        "{both}: part of what was learned {is} the training {many} by heart. More {many} help most; so do stronger \
                         regularisation (weight_decay=0.1 keeps weights small, dropout=0.3 leaves parts out by chance) and, for pictures, \
                         augmentation (changed copies of them)."
                    ),
                });
            }
        }
        if let Some([low, high]) = metrics.test_intervals.get(name).filter(|[low, high]| up && high - low > 0.1) {
            advice.push(format!(
                "The interval of the test is wide ({} to {}): with more test {many} one would know better how good it is (--test PATH, \
                 or test_share=0.3).",
                words::number(low),
                words::number(high)
            ));
        }
    }
    let last = run.epochs.iter().map(|epoch| epoch.epoch).max().unwrap_or(0);
    if longer && report.best_epoch > 0 && report.best_epoch == last && last > 1 {
        let stopped = report.notes.iter().any(|note| note.contains("early stop"));
        if !stopped {
            advice.push(format!(
                "The last epoch was the best: the network may still have been learning. Try --epochs {}.",
                2 * last
            ));
        }
    }
    let others = report.simpler_ways();
    if !others.is_empty() {
        let how = if others.iter().all(|other| other.by_chance) {
            "is simpler, and does as well here within what chance explains"
        } else {
            "does better here"
        };
        let told = format!(
            "A way that needs no network {how} (see the top). `deepfit compare DATA` measures all ways on the same rows and \
             recommends one."
        );
        advice.insert(0, told);
    }
    if let Some(leaking) = leaking(report) {
        advice.insert(0, leaking);
    }
    if let Some(judgement) = judgement.filter(|judgement| judgement.trust == Trust::Not && !run.is_classical()) {
        advice.push(format!("{} {}", judgement.sentence(), nearer(report, facts)));
    }
    if let Some(counts) = &report.confusion {
        let sizes: Vec<u64> = counts.iter().map(|row| row.iter().sum()).collect();
        let (least, most) = (sizes.iter().min().copied().unwrap_or(0), sizes.iter().max().copied().unwrap_or(0));
        if least * 10 < most {
            advice.push(format!(
                "Classes are very unequal ({} to {} test {many}). class_weights=true makes rare ones count more.",
                words::count(least),
                words::count(most)
            ));
        }
        if let Some((truth, predicted, n)) = most_confused(counts).filter(|(.., n)| *n >= 3) {
            let name = |at: usize| report.classes.get(at).cloned().unwrap_or_else(|| at.to_string());
            advice.push(format!(
                "'{}' is taken for '{}' {} times. More {many} of both classes, above all such as are hard to tell apart, or a look at \
                 whether they are labelled rightly.",
                name(truth),
                name(predicted),
                words::count(n)
            ));
        }
    }
    // Results of earlier versions do not tell what was learned from, but their models do.
    let input = Some(&report.input[..]).filter(|input| !input.is_empty()).or(run.input.as_deref());
    if let Some(waits) = report.data.advice(input.unwrap_or_default()) {
        let (first, rest) = waits.split_at(1);
        advice.push(format!("{}{rest}.", first.to_uppercase()));
    }
    advice
}

/// What to do about columns that give the target away: as long as they do, no other number tells much.
fn leaking(report: &Report) -> Option<String> {
    let found = report.findings.iter().filter(|finding| finding.kind == FindingKind::Leakage);
    let columns: Vec<String> =
        found.flat_map(|finding| &finding.evidence.columns).map(|name| format!("'{name}'")).collect();
    let (noun, each, is) = match columns.len() {
        0 => return None,
        1 => ("column", "it", "it is"),
        _ => ("columns", "each", "they are"),
    };
    Some(format!(
        "Look at the {noun} {} first: by itself {each} tells the target better than all others together (see what was found in the \
         data). If {is} known only together with the target, the numbers of this page say nothing of new rows: take the {noun} out of \
         the table and train again.",
        columns.join(", ")
    ))
}

/// What brings probabilities nearer to the truth.
fn nearer(report: &Report, facts: &Facts) -> String {
    let many = facts.many;
    match &report.calibration {
        Some(found) if found.method != "none" => format!(
            "They are calibrated already, by {} validation {many}: with more of these, of the same kind as the test, that can be done \
             better.",
            words::count(found.rows as u64)
        ),
        Some(found) => match &found.reason {
            Some(why) => format!("They are not calibrated: {why}. More {many} make that possible."),
            None => "Calibration was switched off: leave calibration=none away.".to_string(),
        },
        None => format!("More {many} to learn from bring them nearer to the truth."),
    }
}

fn most_confused(counts: &[Vec<u64>]) -> Option<(usize, usize, u64)> {
    let cells = counts.iter().enumerate().flat_map(|(t, row)| row.iter().enumerate().map(move |(p, &n)| (t, p, n)));
    cells.filter(|(truth, predicted, _)| truth != predicted).max_by_key(|&(t, p, n)| (n, std::cmp::Reverse((t, p))))
}
