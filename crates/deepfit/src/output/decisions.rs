//! What is made of a network's outputs: calibration, sets and intervals, costs.

use deepfit_train::text::{Style, Table, words};
use deepfit_train::{CalibrationReport, ConformalReport, CostReport, FamiliarityReport};

/// What was found, each where there is some.
pub type Found<'a> = (Option<&'a CalibrationReport>, Option<&'a ConformalReport>, Option<&'a CostReport>);

/// How many rows are unlike those of training.
pub fn familiarity(report: &FamiliarityReport, part: &str, style: Style) -> String {
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    let [low, high] = report.interval.map(percent);
    format!(
        "\n{}: {} of the rows of {part} are flagged (95 % interval {low} to {high}); of rows like those of training {} are, by false \
         alarm\n",
        style.bold("Unlike the training data"),
        percent(report.flagged),
        percent(report.wanted)
    )
}

/// All of it, in sections, on a part of the data.
pub fn text((calibration, conformal, costs): Found<'_>, positive: Option<&str>, part: &str, style: Style) -> String {
    let mut text = String::new();
    if let Some(report) = calibration {
        text.push_str(&self::calibration(report, part, style));
    }
    if let Some(report) = conformal {
        text.push_str(&self::conformal(report, part, style));
    }
    if let Some(report) = costs {
        text.push_str(&self::costs(report, positive, part, style));
    }
    text
}

fn calibration(report: &CalibrationReport, part: &str, style: Style) -> String {
    let rows = words::plural(report.rows as u64, "validation row");
    let how = match (&report.method[..], report.temperature) {
        ("temperature", Some(t)) => format!("temperature {} by {rows}", words::number(t)),
        ("isotonic", _) => format!("isotonic regression by {rows}"),
        _ => "none".to_string(),
    };
    let why = report.reason.as_ref().map_or(String::new(), |why| format!("; {why}"));
    let mut text = format!("\n{}: {}\n", style.bold("Calibration"), words::printable(&format!("{how}{why}")));
    if report.method == "none" {
        return text;
    }
    let mut table = Table::new(1, &["", "log_loss", "brier", "ece"]);
    for (name, compared) in [("validation", report.validation), (part, report.measured)] {
        let Some(compared) = compared else { continue };
        for (when, quality) in [("before", compared.before), ("after", compared.after)] {
            let ece = quality.ece.map_or("-".to_string(), words::number);
            let row = [format!("{name}, {when}"), words::number(quality.log_loss), words::number(quality.brier), ece];
            table.row(row.to_vec());
        }
    }
    text.push_str(&table.render(style));
    text
}

fn conformal(report: &ConformalReport, part: &str, style: Style) -> String {
    let (heading, what, size) = match &report.form[..] {
        "sets" => ("Sets of classes", "sets hold the true class", "classes in a set on average"),
        "adaptive sets" => ("Adaptive sets of classes", "sets hold the true class", "classes in a set on average"),
        _ => ("Intervals", "intervals hold the true value", "is their mean width"),
    };
    let heading = style.bold(heading);
    if let Some(why) = &report.reason {
        return format!("\n{heading}: none; {}\n", words::printable(why));
    }
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    let wanted = format!("for {} by {}", percent(report.wanted), words::plural(report.rows as u64, "validation row"));
    let Some(measured) = report.measured else { return format!("\n{heading} {wanted}\n") };
    let [low, high] = measured.interval.map(percent);
    format!(
        "\n{heading} {wanted}\n  on {part} {} of the {what} (95 % interval {low} to {high}); {} {size}\n",
        percent(measured.coverage),
        words::number(measured.mean_size),
    )
}

/// Most labels whose thresholds are told.
const MOST_LABELS: usize = 8;

fn costs(report: &CostReport, positive: Option<&str>, part: &str, style: Style) -> String {
    let mut text = format!("\n{}", style.bold("Costs of errors"));
    if let (Some(threshold), Some(positive)) = (report.threshold, positive) {
        let chosen = report.chosen.as_ref().map_or(String::new(), |chosen| format!(", chosen {chosen}"));
        let told = format!(": '{positive}' is predicted from a probability of {} on{chosen}", words::number(threshold));
        text.push_str(&words::printable(&told));
    }
    if !report.thresholds.is_empty() {
        let told = |(label, threshold): (&String, &f64)| format!("'{label}' from {}", words::number(*threshold));
        let mut each: Vec<String> = report.thresholds.iter().take(MOST_LABELS).map(told).collect();
        each.extend((report.thresholds.len() > MOST_LABELS).then(|| "...".to_string()));
        text.push_str(&words::printable(&format!(": a label is predicted by its probability, {}", each.join(", "))));
    }
    text.push('\n');
    if let Some(measured) = report.measured {
        let usual = if report.false_alarm.is_some() {
            "each label is predicted from 0.5 on"
        } else {
            "the most probable class is predicted"
        };
        let interval = measured.interval.map_or(String::new(), |[low, high]| {
            format!(" (95 % interval {} to {})", words::number(low), words::number(high))
        });
        text.push_str(&format!(
            "  on {part} a row costs {} on average{interval}, and {} if {usual}\n",
            words::number(measured.after),
            words::number(measured.before)
        ));
    }
    text
}
