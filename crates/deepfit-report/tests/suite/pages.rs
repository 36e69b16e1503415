//! Whole pages.

use std::collections::HashSet;

use deepfit_report::{compared, page};
use deepfit_train::{RunRecord, State};
use scraper::{Html, Selector};

use crate::run::{HOSTILE, classification, regression};

#[track_caller]
fn parsed(page: &str) -> Html {
    let document = Html::parse_document(page);
    assert!(document.errors.is_empty(), "{:?}", document.errors);
    document
}

fn select(css: &str) -> Selector {
    Selector::parse(css).unwrap()
}

fn runs() -> Vec<RunRecord> {
    let finished = classification(&["cat", HOSTILE, "dog"], 300);
    let unfinished =
        RunRecord { report: None, predictions: None, task: None, state: State::Stopped, ..finished.clone() };
    let begun = RunRecord { epochs: Vec::new(), state: State::Running, ..unfinished.clone() };
    let old = RunRecord { predictions: None, ..finished.clone() };
    let mut empty = finished.clone();
    if let Some(predictions) = &mut empty.predictions {
        (predictions.ids, predictions.predicted, predictions.truths) = (Vec::new(), Vec::new(), Vec::new());
        predictions.worst.clear();
    }
    vec![finished, unfinished, begun, old, empty, classification(&["no", "yes"], 200), regression(300, HOSTILE)]
}

#[test]
fn pages_are_well_formed_and_hold_no_scripts_whatever_was_read() {
    for run in runs() {
        let text = page(&run, None);
        let document = parsed(&text);
        for forbidden in ["script", "iframe", "link", "object", "base", "[onclick]", "[onload]", "img[src^='http']"] {
            assert!(document.select(&select(forbidden)).next().is_none(), "{forbidden}");
        }
        assert!(!text.contains('\u{1b}') && !text.contains('\u{0}'));
        let title: String = document.select(&select("h1")).next().unwrap().text().collect();
        assert!(title.contains("script> & \"quoted\""), "the name is there as text: {title}");
        let html = document.select(&select("html")).next().unwrap();
        assert_eq!(html.attr("lang"), Some("en"));
        for landmark in ["header", "nav[aria-label]", "main", "footer"] {
            assert_eq!(document.select(&select(landmark)).count(), 1, "{landmark}");
        }
        let ids: Vec<&str> = document.select(&select("[id]")).filter_map(|element| element.attr("id")).collect();
        let distinct: HashSet<&&str> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len(), "{ids:?}");
    }
}

#[test]
fn numbers_are_those_of_the_result() {
    for run in [classification(&["a", "b", "c"], 400), regression(100, "price")] {
        let text = page(&run, None);
        let document = parsed(&text);
        let report = run.report.unwrap();
        assert!(report.metrics.test.len() >= 3);
        for (name, value) in report.metrics.test.iter() {
            let cell = document.select(&select(&format!("#test-{name} data"))).next().unwrap();
            assert_eq!(cell.attr("value").unwrap().parse::<f64>().unwrap(), value, "{name}");
            let row: String = document
                .select(&select("table.metrics tr"))
                .find(|row| row.select(&select(&format!("#test-{name}"))).next().is_some())
                .unwrap()
                .text()
                .collect::<Vec<_>>()
                .join(" ");
            if let Some([low, high]) = report.metrics.test_intervals.get(name) {
                let number = deepfit_train::text::words::number;
                assert!(row.contains(&number(low)) && row.contains(&number(high)), "{row}");
            }
            // Each has its sentence.
            assert!(row.contains('.') && row.len() > 60, "{row}");
        }
    }
}

#[test]
fn a_run_that_is_no_better_than_a_simple_method_says_so() {
    let mut run = classification(&["a", "b", "c"], 400);
    if let (Some(predictions), Some(report)) = (&mut run.predictions, &mut run.report) {
        predictions.baseline.as_mut().unwrap().metrics.insert("accuracy", 1.0);
        report.metrics.test.insert("accuracy", 0.9);
    }
    assert!(page(&run, None).contains("no better than the simple method"));
    let better = classification(&["a", "b", "c"], 400);
    assert!(page(&better, None).contains("by more than chance would explain"));
}

#[test]
fn an_unfinished_run_shows_how_far_it_is() {
    let run = RunRecord { report: None, predictions: None, state: State::Stopped, ..classification(&["a", "b"], 50) };
    let text = page(&run, None);
    assert!(text.contains("has not ended") && text.contains("Learning curve") && !text.contains("How good is it?"));
    let running = RunRecord { state: State::Running, ..run };
    assert!(page(&running, None).contains("is being trained"));
}

#[test]
fn runs_stand_side_by_side_and_different_data_is_told() {
    let (first, mut second) = (classification(&["a", "b", "c"], 400), classification(&["a", "b", "c"], 400));
    second.report.as_mut().unwrap().metrics.test.insert("accuracy", 0.123_456);
    let text = compared(&[first.clone(), second]);
    let document = parsed(&text);
    let values: Vec<f64> =
        document.select(&select("main data")).map(|d| d.attr("value").unwrap().parse().unwrap()).collect();
    assert!(
        values.contains(&0.123_456)
            && values.contains(&first.report.as_ref().unwrap().metrics.test.get("accuracy").unwrap())
    );
    assert!(document.select(&select("svg")).count() >= 4);
    let ids: Vec<&str> = document.select(&select("[id]")).filter_map(|element| element.attr("id")).collect();
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
    assert!(!text.contains("different data or tasks"));
    assert!(compared(&[first, regression(50, "x")]).contains("different data or tasks"));
}

#[test]
fn ten_thousand_rows_make_a_page_of_less_than_two_megabytes() {
    let text = page(&regression(10_000, "price"), None);
    assert!(text.len() < 1_000_000, "{}", text.len());
    let classes: Vec<String> = (0..100).map(|c| format!("class {c}")).collect();
    let names: Vec<&str> = classes.iter().map(String::as_str).collect();
    let text = page(&classification(&names, 10_000), None);
    assert!(text.len() < 1_000_000, "{}", text.len());
}
