//! Single plots.

use deepfit_report::{Chart, Plot, bins, of_run, svg_file, terminal, ways};
use deepfit_train::text::Style;
use roxmltree::Document;

use crate::run::{HOSTILE, classification, comparison, regression};

fn all() -> Vec<Plot> {
    let mut plots = of_run(&classification(&["cat", HOSTILE, "dog"], 300));
    plots.extend(of_run(&classification(&["no", HOSTILE], 300)));
    plots.extend(of_run(&classification(&(0..40).map(|_| "many").collect::<Vec<_>>(), 2000)));
    plots.extend(of_run(&regression(300, HOSTILE)));
    plots
        .push(ways(&comparison("accuracy", &["majority class", HOSTILE, "nearest neighbours on features", "network"])));
    plots
}

#[test]
fn every_plot_is_a_well_formed_drawing_with_words_for_those_who_cannot_see_it() {
    let plots = all();
    let names: Vec<&str> = plots.iter().map(|plot| plot.name).collect();
    for name in [
        "learning-curve",
        "validation",
        "learning-rate",
        "confusion",
        "classes",
        "reliability",
        "roc",
        "precision-recall",
        "predicted",
        "residuals",
        "residuals-by-value",
        "compare",
    ] {
        assert!(names.contains(&name), "{name} is missing: {names:?}");
    }
    for plot in plots {
        let text = svg_file(&plot, false);
        let document = Document::parse(&text).unwrap_or_else(|e| panic!("{}: {e}\n{text}", plot.name));
        let root = document.root_element();
        assert_eq!((root.tag_name().name(), root.attribute("role")), ("svg", Some("img")));
        let labels = root.attribute("aria-labelledby").unwrap();
        for id in labels.split(' ') {
            let named = document.descendants().find(|node| node.attribute("id") == Some(id)).unwrap();
            assert!(named.text().is_some_and(|text| text.len() > 5), "{}: {id}", plot.name);
        }
        assert!(document.descendants().all(|node| node.tag_name().name() != "script"), "{}", plot.name);
        assert!(!text.contains("NaN") && !text.contains("inf"), "{}", plot.name);
        assert!(!plot.reading.is_empty() && !plot.finding.is_empty() && !plot.table.rows.is_empty(), "{}", plot.name);
        let width = plot.table.header.len();
        assert!(plot.table.rows.iter().all(|row| row.len() == width), "{}: {:?}", plot.name, plot.table);
    }
}

#[test]
fn names_are_written_and_never_obeyed() {
    let plots = of_run(&classification(&["cat", HOSTILE, "dog"], 300));
    for plot in plots {
        let text = svg_file(&plot, false);
        assert!(!text.contains("<script") && !text.contains('\u{1b}') && !text.contains('\u{0}'), "{}", plot.name);
        let shown = terminal::text(&plot, 80, Style::PLAIN);
        assert!(!shown.contains('\u{1b}') && !shown.contains('\u{0}'), "{shown}");
    }
    let confusion =
        of_run(&classification(&["cat", HOSTILE, "dog"], 300)).into_iter().find(|p| p.name == "confusion").unwrap();
    assert!(svg_file(&confusion, false).contains("&lt;scr"), "the beginning of the name is there as text");
}

#[test]
fn a_matrix_holds_the_counts_of_the_result() {
    let run = classification(&["a", "b", "c"], 500);
    let confusion = of_run(&run).into_iter().find(|plot| plot.name == "confusion").unwrap();
    let Chart::Matrix(matrix) = &confusion.chart else { panic!("{confusion:?}") };
    assert_eq!(Some(&matrix.counts), run.report.as_ref().unwrap().confusion.as_ref());
    let cells: Vec<String> = confusion.table.rows.iter().flat_map(|row| row[1..].to_vec()).collect();
    let counts: Vec<String> = matrix.counts.iter().flatten().map(u64::to_string).collect();
    assert_eq!(cells, counts);
}

#[test]
fn the_bins_give_the_calibration_error_of_the_result() {
    for classes in [vec!["no", "yes"], vec!["a", "b", "c"]] {
        let run = classification(&classes, 700);
        let bins = bins(run.task.as_ref().unwrap(), run.predictions.as_ref().unwrap());
        let count: u64 = bins.iter().map(|bin| bin.count).sum();
        let error: f64 = bins.iter().map(|bin| (bin.right as f64 - bin.confidence).abs()).sum::<f64>() / count as f64;
        let told = run.report.unwrap().metrics.test.get("ece").unwrap();
        assert!((error - told).abs() < 1e-9 && count == 700, "{error} {told}");
    }
}

#[test]
fn the_area_that_is_drawn_is_that_of_the_result() {
    let run = classification(&["no", "yes"], 900);
    let told = run.report.as_ref().unwrap().metrics.test.get("roc_auc").unwrap();
    let roc = of_run(&run).into_iter().find(|plot| plot.name == "roc").unwrap();
    // The metric is from a histogram of probabilities.
    let written: f64 = roc.finding.split("The area is ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!((written - told).abs() < 2e-3, "{written} {told}");
}

#[test]
fn ten_thousand_points_are_one_short_path() {
    let plots = of_run(&regression(10_000, "price"));
    let predicted = plots.iter().find(|plot| plot.name == "predicted").unwrap();
    let text = svg_file(predicted, false);
    assert!(text.len() < 250_000, "{}", text.len());
    assert!(text.matches("<path").count() < 10);
}

#[test]
fn a_terminal_shows_lines_bars_and_counts_within_its_width() {
    for plot in all() {
        let shown = terminal::text(&plot, 70, Style::PLAIN);
        let widest = shown.lines().map(|line| line.chars().count()).max().unwrap();
        // A matrix is as wide as its names make it.
        assert!(widest <= 100 || matches!(plot.chart, Chart::Matrix(_)), "{}: {widest}\n{shown}", plot.name);
        assert!(shown.lines().count() > 4, "{shown}");
    }
}

#[cfg(feature = "png")]
#[test]
fn a_png_shows_what_the_svg_does() {
    let residuals = of_run(&regression(300, "price")).into_iter().find(|plot| plot.name == "residuals").unwrap();
    for plot in [residuals, ways(&comparison("accuracy", &["majority class", "logistic regression", "network"]))] {
        match deepfit_report::png(&plot) {
            Ok(bytes) => assert!(bytes.starts_with(b"\x89PNG") && bytes.len() > 5_000, "{}", bytes.len()),
            // A system without fonts.
            Err(error) => assert!(error.to_string().contains(".svg instead"), "{error}"),
        }
    }
}

#[test]
fn the_ways_of_a_comparison_stand_in_rows_with_the_recommended_one_marked() {
    let titles = ["majority class", "logistic regression", "boosted trees", "network"];
    let found = comparison("accuracy", &titles);
    let plot = ways(&found);
    let Chart::Lanes(lanes) = &plot.chart else { panic!("{plot:?}") };
    // The best above, and that of which nothing is known below.
    assert_eq!(lanes.names, ["boosted trees", "logistic regression", "majority class", "network"]);
    assert_eq!(lanes.marked, Some(1));
    let quality = &lanes.panels[0].cells;
    assert_eq!((quality[0].point, quality[0].second, quality[3].point), (found.ways[2].value, Some(0.7), None));
    assert_eq!(quality[0].interval, found.ways[2].interval);
    // Costs of nothing have a place, too.
    for panel in &lanes.panels[1..] {
        let mut places = panel.cells.iter().map(|cell| panel.axis.share(cell.point.unwrap()).unwrap());
        assert!(places.all(|place| (0.0..=1.0).contains(&place)), "{panel:?}");
    }
    let logarithmic: Vec<bool> = lanes.panels.iter().map(|panel| panel.axis.logarithmic).collect();
    assert_eq!(logarithmic, [false, false, true, false, true, true]);
    for column in ["ece", "energy", "95 % interval", "memory", "size"] {
        assert!(plot.table.header.iter().any(|name| name == column), "{:?}", plot.table.header);
    }
    assert_eq!(plot.table.rows[1].last().map(String::as_str), Some("12.50 J"), "{:?}", plot.table.rows);
    let text = svg_file(&plot, false);
    for word in titles
        .iter()
        .copied()
        .chain(["what is recommended", "training, s (log)", "memory, MB", "model, MB (log)"])
        .chain(["energy, J (log)", "ece, calibration"])
    {
        assert!(text.contains(word), "{word}");
    }
    // Of errors the least is the best.
    let Chart::Lanes(lanes) = ways(&comparison("rmse", &titles)).chart else { panic!() };
    assert_eq!(lanes.names[0], "majority class");
    // Where there is place for all axes, each has its points; where there is not, its values are written.
    let dots = |width: usize| terminal::text(&plot, width, Style::PLAIN).matches('●').count();
    assert_eq!((dots(160), dots(60)), (2 + 5 * 3 + 1, 2 + 1));
    let marked = terminal::text(&plot, 100, Style::PLAIN);
    assert!(marked.lines().any(|line| line.starts_with("  * logistic regression") && line.contains('◆')), "{marked}");
}

#[test]
fn a_class_has_the_same_colour_in_every_plot_and_run() {
    let names = ["a", "b", "c", "d", "e"];
    for name in ["roc", "precision-recall"] {
        let plot = of_run(&classification(&names, 400)).into_iter().find(|plot| plot.name == name).unwrap();
        let Chart::Xy(xy) = &plot.chart else { panic!("{plot:?}") };
        let lines = xy.series.iter().filter(|series| series.mark == deepfit_report::Mark::Line);
        let mut drawn = 0;
        for series in lines {
            let class = names.iter().position(|class| series.name.starts_with(&format!("{class} ("))).unwrap();
            assert_eq!(series.look, class, "{}", series.name);
            drawn += 1;
        }
        assert_eq!(drawn, names.len());
    }
}
