//! What a run's settings reach with fewer rows, and what more of them would give.

use deepfit_train::Diagnosis;
use deepfit_train::metrics::higher_is_better;
use deepfit_train::text::words;

use crate::meaning::meaning;
use crate::plot::{Axis, Chart, Data, Mark, Plot, Series, Xy};

/// Points of the fitted line.
const DRAWN: usize = 40;

/// The learning curve over sizes of the data, of a run that was diagnosed.
pub fn sizes(found: &Diagnosis) -> Option<Plot> {
    let curve = found.curve.as_ref()?;
    let title = meaning(&curve.metric).title;
    let up = higher_is_better(&curve.metric);
    let turned = |error: f64| if up { 1.0 - error } else { error };
    let mut measured = Series::new(
        "mean of trainings",
        Mark::Points,
        0,
        curve.points.iter().map(|point| [point.rows as f64, point.mean]).collect(),
    );
    measured.intervals = curve.points.iter().map(|p| [p.mean - 1.96 * p.error, p.mean + 1.96 * p.error]).collect();
    let mut series = Vec::new();
    if let (Some(law), Some(first), Some(last)) = (&curve.law, curve.points.first(), curve.points.last()) {
        let end = curve.extrapolated.last().map_or(last.rows as f64, |(rows, _, _)| *rows as f64);
        let start = first.rows as f64;
        let at = |step: usize| start * (end / start).powf(step as f64 / DRAWN as f64);
        let line = (0..=DRAWN).map(|step| [at(step), turned(law.at(at(step)))]).collect();
        series.push(Series::new("fitted curve, and beyond the data", Mark::Line, 1, line));
        let mut beyond = Series::new(
            "foretold, with its 95 % interval",
            Mark::Points,
            2,
            curve.extrapolated.iter().skip(1).map(|(rows, value, _)| [*rows as f64, *value]).collect(),
        );
        beyond.intervals = curve.extrapolated.iter().skip(1).map(|(_, _, interval)| *interval).collect();
        series.push(beyond);
    }
    series.push(measured);
    let points = || series.iter().flat_map(|one| &one.points);
    let ends = || series.iter().flat_map(|one| one.intervals.iter().flatten().copied());
    let better = if up { "larger is better" } else { "smaller is better" };
    let x = Axis::over(&format!("{} for training and validation", found.unit), points().map(|p| p[0])).whole();
    let y = Axis::over(&format!("{title} on the test, {better}"), points().map(|p| p[1]).chain(ends()));
    let mut table = Data::new(&[&found.unit, &title, "standard error", "trainings"]);
    for point in &curve.points {
        table.row(vec![
            words::count(point.rows as u64),
            words::number(point.mean),
            words::number(point.error),
            point.values.len().to_string(),
        ]);
    }
    Some(Plot {
        name: "data-curve",
        title: "What more data would give".to_string(),
        reading: format!(
            "Each point is what trainings on so many {} reached on the same test rows. A line that still rises (of an error: falls) \
             at its end says that more data would help; a flat one, that it would not.",
            found.unit
        ),
        finding: curve.sentences.join(". ") + ".",
        chart: Chart::Xy(Xy { x, y, series }),
        table,
    })
}
