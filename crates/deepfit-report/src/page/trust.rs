//! How far what the network says can be trusted: probabilities before and after calibration, sets and intervals that hold what
//! is true, what errors cost, and rows that are unlike those of training.

use deepfit_train::text::words;
use deepfit_train::{CalibrationReport, Compared, ConformalReport, CostReport, FamiliarityReport, Report};
use maud::{Markup, html};

use super::facts::Facts;
use super::figures;
use super::metrics::number;
use super::table::{Row, Table};
use crate::clean::clean;
use crate::judgement::Judgement;
use crate::meaning::meaning;
use crate::plot::Plot;
use crate::plots::percent;

/// The heading of the section, and what stands in it; nothing of runs that say nothing that could be trusted or not.
pub(super) fn section(
    report: &Report,
    judgement: Option<&Judgement>,
    facts: &Facts,
    plots: &[Plot],
) -> Option<(&'static str, Markup)> {
    let Report { calibration, conformal, costs, familiarity, .. } = report;
    let any = calibration.is_some() || conformal.is_some() || costs.is_some() || familiarity.is_some();
    if !any && plots.is_empty() {
        return None;
    }
    let of_numbers = report.task == "regression";
    let title = if of_numbers { "How far to trust its numbers" } else { "How far to trust its probabilities" };
    // The plot of reliability says it beside itself.
    let drawn = plots.iter().any(|plot| plot.name == "reliability");
    let judgement = judgement.filter(|_| !drawn);
    let body = html! {
        @if let Some(judgement) = judgement { p { (judgement.sentence()) } }
        (figures(plots))
        @if let Some(found) = calibration { (self::calibration(found, facts)) }
        @if let Some(found) = conformal { (self::conformal(found, facts)) }
        @if let Some(found) = costs { (self::costs(found, report.positive.as_deref(), facts)) }
        @if let Some(found) = familiarity { (self::familiarity(found, facts)) }
    };
    Some((title, body))
}

/// Rows that were predicted by a network which had not learned from them, and what they are.
fn validation_rows(rows: usize, facts: &Facts) -> String {
    let unit = if rows == 1 { facts.one } else { facts.many };
    let what = match facts.folds {
        Some(folds) => format!(
            "each {} for training and validation, predicted by that of {folds} trainings (folds) which had not learned from it",
            facts.one
        ),
        None => format!("held out from training, so that the {} had not learned from them", facts.learner),
    };
    format!("{} validation {unit} ({what})", words::count(rows as u64))
}

fn calibration(found: &CalibrationReport, facts: &Facts) -> Markup {
    let rows = validation_rows(found.rows, facts);
    let learner = facts.learner;
    let how = match (&found.method[..], found.temperature) {
        ("temperature", Some(temperature)) => {
            let what = if temperature > 1.0 { "had been too sure of itself" } else { "could be surer of itself" };
            format!(
                "What the {learner} says before it becomes a probability is divided by a temperature of {}, since it {what} on {rows}.",
                words::number(temperature)
            )
        }
        ("isotonic", _) => format!(
            "The {learner}'s probabilities are put right by a rising curve (isotonic regression), which was fitted to {rows}."
        ),
        _ => match &found.reason {
            Some(why) => format!("There is none, and probabilities are the {learner}'s own: {why}."),
            None => format!("It was switched off, and probabilities are the {learner}'s own."),
        },
    };
    let (part, compared) = match (&found.measured, &found.validation) {
        (Some(measured), _) => ("test", Some(measured)),
        (None, other) => ("validation", other.as_ref()),
    };
    let compared = compared.filter(|_| found.method != "none");
    // Another way was asked for than the one that there are enough rows for.
    let instead = found.reason.as_ref().filter(|_| found.method != "none");
    html! {
        h3 { "Calibration" }
        p { (clean(&how)) @if let Some(why) = instead { " Another way was asked for, but " (clean(why)) "." } }
        @if let Some(compared) = compared { (before_and_after(compared, part, facts)) }
    }
}

/// Probabilities before and after calibration.
fn before_and_after(compared: &Compared, part: &str, facts: &Facts) -> Markup {
    let (before, after) = (compared.before, compared.after);
    let errors = before.ece.zip(after.ece);
    let mut table = Table::new("Calibration", &format!("On {part} {}", facts.many), &["Before", "After"]);
    if let Some((before, after)) = errors {
        table.row(line("ece", before, after));
    }
    table.row(line("log_loss", before.log_loss, after.log_loss));
    table.row(line("brier", before.brier, after.brier));
    html! {
        (table.shown())
        p { (changed(before.log_loss, after.log_loss, errors, part, facts)) }
    }
}

fn line(metric: &str, before: f64, after: f64) -> Row {
    let known = meaning(metric);
    Row::new(known.title, vec![number(before), number(after)], known.sentence)
}

/// What calibration did.
fn changed(before: f64, after: f64, errors: Option<(f64, f64)>, part: &str, facts: &Facts) -> String {
    let (from, to, what) = match errors {
        Some((before, after)) => (before, after, "calibration error"),
        None => (before, after, "log loss"),
    };
    let helped = match (to < from, after < before) {
        (true, true) => "it helped",
        (false, false) => "it did not help here: the difference may be chance, since it was chosen by other rows",
        _ => "of both measures one became better and one worse, so that it made little difference",
    };
    format!(
        "On the {part} {} calibration took the {what} from {} to {}: {helped}.",
        facts.many,
        words::number(from),
        words::number(to)
    )
}

fn conformal(found: &ConformalReport, facts: &Facts) -> Markup {
    let sets = found.is_of_sets();
    let (title, article, each, truth) = match sets {
        true => ("Sets of classes that hold the truth", "a", "set of classes", "true class"),
        false => ("Intervals that hold the truth", "an", "interval", "true value"),
    };
    let (one, many, learner) = (facts.one, facts.many, facts.learner);
    let mut table = Table::new(title, "What", &["How much"]);
    table.row(Row::new(
        "Promised",
        vec![html! { (percent(found.wanted)) }],
        format!(
            "Share of new {many} whose {each} holds the {truth}, as long as they are like those that were learned from."
        ),
    ));
    if let Some(measured) = &found.measured {
        let [low, high] = measured.interval;
        let held = match found.wanted {
            wanted if wanted < low => "more often than promised, so that smaller ones would do".to_string(),
            // The interval is that of the test alone: the rows that they were made by have chance of their own.
            wanted if wanted > high => format!(
                "less often than promised, by more than the chance of the test explains: either the {} validation {} that their size \
                 was counted on are too few, or the test is of another kind",
                words::count(found.rows as u64),
                if found.rows == 1 { one } else { many }
            ),
            _ => "as promised, within what chance explains".to_string(),
        };
        table.row(Row::new(
            format!("Reached on test {many}"),
            vec![html! { (percent(measured.coverage)) br; span class="nothing" { (percent(low)) " to " (percent(high)) } }],
            format!("How often the {truth} is in it, with its 95 % interval: {held}."),
        ));
        let (name, sentence) = match sets {
            true => (
                "Classes in a set",
                match &found.form[..] {
                    "sets" => format!(
                        "On average; 1 is a single class. Where a set holds several, the {learner} hesitates between them."
                    ),
                    _ => format!(
                        "On average; 1 is a single class. Sets are larger where the {learner} hesitates, so that the truth is in \
                         those of hard rows about as often as in others."
                    ),
                },
            ),
            false => (
                "Width of an interval",
                "On average, from its lower end to its upper one, in the unit of the target.".to_string(),
            ),
        };
        table.row(Row::new(name, vec![number(measured.mean_size)], sentence));
    }
    html! {
        h3 { (title) }
        @if let Some(why) = &found.reason {
            p { "There are none: " (clean(why)) "." }
        } @else {
            p {
                "Beside its prediction the model gives " (article) " " (each) " for each " (one) " (`deepfit predict --json`). How large it has to be was counted on "
                (validation_rows(found.rows, facts)) ": large enough to hold the " (truth) " of as many of them as is promised \
                 (conformal prediction)."
            }
            (table.shown())
        }
    }
}

fn costs(found: &CostReport, positive: Option<&str>, facts: &Facts) -> Markup {
    let mut table = Table::new("Costs of errors", "What", &["How much"]);
    for (class, cost) in &found.missed {
        let meaning = "What it costs not to recognise it, as the settings say.";
        table.row(Row::new(format!("A missed '{class}'"), vec![number(*cost)], meaning));
    }
    if let Some(alarm) = found.false_alarm {
        let meaning = "What it costs to tell a label that is not there.";
        table.row(Row::new("A false alarm", vec![number(alarm)], meaning));
    }
    for (label, threshold) in &found.thresholds {
        let meaning = "It is predicted from this probability on, rather than from 0.5 on; that follows from the costs.";
        table.row(Row::new(format!("Threshold of '{label}'"), vec![number(*threshold)], meaning));
    }
    if let Some(threshold) = found.threshold {
        let what = positive.map_or("The positive class".to_string(), |name| format!("'{name}'"));
        let how = found.chosen.as_ref().map_or(String::new(), |chosen| format!("; chosen {chosen}"));
        let meaning = format!("{what} is predicted from this probability on, rather than from 0.5 on{how}.");
        table.row(Row::new("Threshold", vec![number(threshold)], meaning));
    }
    let (part, costs) = match (&found.measured, &found.validation) {
        (Some(measured), _) => ("test", Some(measured)),
        (None, other) => ("validation", other.as_ref()),
    };
    if let Some(costs) = costs {
        let before = match found.false_alarm {
            Some(_) => "What a row costs on average if each label is predicted from 0.5 on.",
            None => "What a row costs on average if the most probable class is predicted.",
        };
        table.row(Row::new(format!("Before, on {part} {}", facts.many), vec![number(costs.before)], before));
        let cell = html! {
            (number(costs.after))
            @if let Some([low, high]) = costs.interval { br; span class="nothing" { (words::number(low)) " to " (words::number(high)) } }
        };
        let after = "What a row costs on average as it is decided now, with its 95 % interval.";
        table.row(Row::new(format!("After, on {part} {}", facts.many), vec![cell], after));
    }
    html! {
        h3 { "What errors cost" }
        p { "Errors cost differently much, and what is predicted is what costs least by the probabilities." }
        (table.shown())
        @if let Some(costs) = costs { p { (saved(costs.before, costs.after, part, facts)) } }
    }
}

/// What deciding by costs is worth.
fn saved(before: f64, after: f64, part: &str, facts: &Facts) -> String {
    let many = facts.many;
    match before - after {
        saved if saved > 0.0 => format!("On the {part} {many} that saves {} of the costs.", percent(saved / before)),
        saved if saved < 0.0 => format!(
            "On the {part} {many} that costs {} more: look whether there are enough of them to tell.",
            percent(if before > 0.0 { -saved / before } else { 1.0 })
        ),
        _ => format!("On the {part} {many} that changes nothing."),
    }
}

fn familiarity(found: &FamiliarityReport, facts: &Facts) -> Markup {
    let many = facts.many;
    let [low, high] = found.interval;
    let mut table = Table::new("Rows unlike the training data", "What", &["Share"]);
    let verdict = match found.wanted {
        wanted if wanted < low => "more than false alarms explain, so that part of the test is of another kind",
        _ => "no more than false alarms explain",
    };
    table.row(Row::new(
        format!("Flagged test {many}"),
        vec![html! { (percent(found.flagged)) br; span class="nothing" { (percent(low)) " to " (percent(high)) } }],
        format!(
            "Share of the test {many} that are flagged as unlike those of training, with its 95 % interval: {verdict}."
        ),
    ));
    table.row(Row::new(
        "False alarms",
        vec![html! { (percent(found.wanted)) }],
        format!("So many {many} are flagged by mistake, of such as are no different from those of training."),
    ));
    let unusual = match many {
        "pictures" => "whose colours, brightness and edges are more unusual than those of nearly all training pictures",
        "texts" => "whose words are rarer than those of nearly all training texts",
        _ => "that are farther from the training rows than nearly all of these are from each other",
    };
    html! {
        h3 { "Unlike the training data" }
        p {
            "Of such " (many) " the " (facts.learner) " may say anything, and be sure of it: those are flagged " (unusual) " (`deepfit predict` says so \
             of new ones)."
        }
        (table.shown())
    }
}
