//! What is predicted by the value of a column.

use deepfit_explain::{Dependence, DependenceCurve, DependencePoint, Value};
use deepfit_train::text::words;

use crate::plot::{Axis, Chart, Data, Mark, Plot, Series, Xy};

/// The mean prediction by the value of each column, on axes side by side; `target` is what is predicted. Nothing where no column
/// has values to compare.
pub fn dependence(found: &Dependence, target: &str) -> Option<Plot> {
    let range = |curve: &DependenceCurve| {
        let means = || curve.points.iter().map(|point| point.mean);
        means().fold(f64::NEG_INFINITY, f64::max) - means().fold(f64::INFINITY, f64::min)
    };
    let widest = found.curves.iter().max_by(|a, b| range(a).total_cmp(&range(b)))?;
    let what = match &found.class {
        Some(class) => format!("probability of {class}"),
        None => target.to_string(),
    };
    let mut table = Data::new(&["column", "value", "mean prediction", "10 % below", "10 % above"]);
    for curve in &found.curves {
        for DependencePoint { value, mean, low, high } in &curve.points {
            let [mean, low, high] = [mean, low, high].map(|number| words::number(*number));
            table.row(vec![curve.column.clone(), value.to_string(), mean, low, high]);
        }
    }
    let ends =
        found.curves.iter().flat_map(|curve| &curve.points).flat_map(|point| [point.low, point.high, point.mean]);
    // The same for all, so that a flat one looks flat.
    let y = Axis::over(&what, ends);
    let mut means: Vec<&DependencePoint> = widest.points.iter().collect();
    means.sort_by(|a, b| a.mean.total_cmp(&b.mean));
    let (least, most) = (means.first()?, means.last()?);
    let finding = format!(
        "With {}, the mean prediction ({what}) moves most: from {} with {} to {} with {}.",
        named(&widest.column),
        words::number(least.mean),
        shown(&least.value),
        words::number(most.mean),
        shown(&most.value)
    );
    Some(Plot {
        name: "partial-dependence",
        title: "What is predicted by the value of a column".to_string(),
        reading: format!(
            "One value of a column is put into each of {}, all other columns stay as they are, and the predictions are averaged: \
             the line, or a point for each word. Four fifths of single rows lie between the thin lines (or the ends of the bar). \
             Where they are far apart, other columns have more to say. Values that hardly occur together with what else stands \
             in a row make predictions of rows that are not there.",
            words::plural(found.rows as u64, "test row")
        ),
        finding,
        chart: Chart::Several(found.curves.iter().map(|curve| drawn(curve, &y)).collect()),
        table,
    })
}

fn named(column: &str) -> String {
    format!("'{column}'")
}

/// A value as it is read.
fn shown(value: &Value) -> String {
    match value {
        Value::Number(number) => words::number(*number),
        Value::Word(_) => named(&value.to_string()),
    }
}

fn drawn(curve: &DependenceCurve, y: &Axis) -> Xy {
    let points = || curve.points.iter();
    if !curve.numeric {
        let x = Axis::named(&curve.column, points().map(|point| point.value.to_string()).collect());
        let means = points().enumerate().map(|(at, point)| [at as f64, point.mean]).collect();
        let intervals = points().map(|point| [point.low, point.high]).collect();
        let series =
            Series { intervals, ..Series::new("mean, and four fifths of single rows", Mark::Points, 0, means) };
        return Xy { x, y: y.clone(), series: vec![series] };
    }
    let at = |point: &DependencePoint| if let Value::Number(number) = point.value { number } else { f64::NAN };
    let line = |of: &dyn Fn(&DependencePoint) -> f64| points().map(|point| [at(point), of(point)]).collect::<Vec<_>>();
    let series = vec![
        Series::new("four fifths of single rows", Mark::Faint, 0, line(&|point| point.low)),
        Series::new("", Mark::Faint, 0, line(&|point| point.high)),
        Series::new("mean", Mark::Line, 0, line(&|point| point.mean)),
    ];
    Xy { x: Axis::over(&curve.column, points().map(at)), y: y.clone(), series }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_lines_and_words_are_points_on_one_scale() {
        let point = |value: Value, mean: f64| DependencePoint { value, mean, low: mean - 0.1, high: mean + 0.1 };
        let word = |word: &str| Value::Word(Some(word.to_string()));
        let curve = |column: &str, numeric: bool, points: Vec<DependencePoint>| DependenceCurve {
            column: column.to_string(),
            numeric,
            points,
        };
        let age = vec![point(Value::Number(20.0), 0.2), point(Value::Number(60.0), 0.8)];
        let town = vec![point(word("york"), 0.5), point(word("hull"), 0.4)];
        let curves = vec![curve("age", true, age), curve("town", false, town)];
        let found = Dependence { class: Some("ill".to_string()), rows: 50, curves };
        let plot = dependence(&found, "health").unwrap();
        assert!(plot.finding.contains("'age'") && plot.finding.contains("0.8000 with 60"), "{}", plot.finding);
        assert_eq!(plot.table.rows.len(), 4);
        let Chart::Several(several) = &plot.chart else { panic!("{:?}", plot.chart) };
        assert_eq!(several[0].y, several[1].y);
        assert_eq!(several[0].series[2].points, [[20.0, 0.2], [60.0, 0.8]]);
        assert_eq!((several[1].x.names.len(), several[1].series[0].mark), (2, Mark::Points));
        let text = crate::svg::file(&plot, false);
        assert!(text.contains("translate(420 0)") && text.contains("york"), "{text}");
        let told = crate::terminal::text(&plot, 80, deepfit_train::text::Style::PLAIN);
        assert!(told.contains("age") && told.contains("hull"), "{told}");
        assert!(dependence(&Dependence { class: None, rows: 0, curves: Vec::new() }, "").is_none());
    }
}
