//! Whole pages.

use std::collections::HashSet;

use deepfit_report::{compared, page};
use deepfit_train::{RunRecord, State};
use scraper::{Html, Selector};
use serde_json::json;

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

#[test]
fn how_far_to_trust_it_is_told_with_a_sentence_for_every_number() {
    let mut run = classification(&["benign", HOSTILE], 300);
    let report = run.report.as_mut().unwrap();
    report.positive = Some(HOSTILE.to_string());
    report.calibration = serde_json::from_value(json!({
        "method": "temperature", "temperature": 1.75, "rows": 90,
        "measured": {"before": {"log_loss": 0.5125, "brier": 0.25, "ece": 0.125},
                     "after": {"log_loss": 0.4375, "brier": 0.1875, "ece": 0.0625}},
    }))
    .unwrap();
    report.conformal = serde_json::from_value(json!({
        "wanted": 0.9, "rows": 90, "form": "sets",
        "measured": {"coverage": 0.805, "interval": [0.75, 0.85], "mean_size": 1.125},
    }))
    .unwrap();
    report.costs = serde_json::from_value(json!({
        "missed": {"benign": 1.0, HOSTILE: 10.0}, "threshold": 0.0909, "chosen": "by the costs",
        "measured": {"before": 0.5, "after": 0.25, "interval": [0.2, 0.3]},
    }))
    .unwrap();
    report.familiarity =
        serde_json::from_value(json!({"wanted": 0.01, "flagged": 0.055, "interval": [0.03, 0.09]})).unwrap();
    let group = |name: &str, rows: u64, accuracy: f64| {
        json!({"name": name, "rows": rows, "few": rows < 30, "metrics": {"accuracy": accuracy},
               "intervals": {"accuracy": [accuracy - 0.05, accuracy + 0.05]}})
    };
    let groups = [group("ward 1", 150, 0.95), group(HOSTILE, 145, 0.75), group("ward 3", 5, 0.4)];
    report.subgroups = serde_json::from_value(json!({"column": "ward", "groups": groups})).unwrap();
    report.repeats = serde_json::from_value(json!({
        "runs": 3, "seeds": [1, 2, 3],
        "metrics": {"accuracy": {"mean": 0.875, "deviation": 0.03125, "interval": [0.8, 0.95], "values": [0.85, 0.875, 0.9]}},
    }))
    .unwrap();
    let document = parsed(&page(&run, None));
    let text: String = document.root_element().text().collect::<Vec<_>>().join(" ");
    for told in [
        "a temperature of 1.7500, since it had been too sure of itself on 90 validation rows",
        "calibration took the calibration error from 0.1250 to 0.0625: it helped",
        "less often than promised, by more than the chance of the test explains",
        "is predicted from this probability on, rather than from 0.5 on; chosen by the costs",
        "saves 50.0 % of the costs",
        "more than false alarms explain",
        "is predicted worse than 'ward 1' by more than chance would explain",
        "The same was done 3 times",
    ] {
        assert!(text.contains(told), "{told}");
    }
    let rows = |section: &str| -> Vec<String> {
        let wanted = select(&format!("section[aria-labelledby='{section}'] table.stack tbody tr"));
        document.select(&wanted).map(|row| row.text().collect::<Vec<_>>().join(" ")).collect()
    };
    assert_eq!((rows("trust").len(), rows("groups").len()), (21, 3), "{:?}", rows("trust"));
    // But for the parts of the reliability diagram, which has a sentence of its own.
    for row in rows("trust").iter().filter(|row| !row.ends_with('%')) {
        assert!(row.ends_with('.') && row.chars().any(|c| c.is_ascii_digit()), "{row}");
    }
    // A phone shows each number beside the heading of its column.
    let cells = select("table.stack td:not(.meaning)");
    assert!(document.select(&cells).all(|cell| cell.attr("data-label").is_some_and(|label| !label.is_empty())));
}

#[test]
fn a_run_without_probabilities_tells_its_intervals_or_why_there_are_none() {
    let mut run = regression(100, "price");
    let trusted = |run: &RunRecord| -> String {
        let document = parsed(&page(run, None));
        let section = document.select(&select("section[aria-labelledby='trust']")).next();
        section.map(|section| section.text().collect::<Vec<_>>().join(" ")).unwrap_or_default()
    };
    assert_eq!(trusted(&run), "", "nothing is known");
    run.report.as_mut().unwrap().conformal = serde_json::from_value(json!({
        "wanted": 0.9, "rows": 60, "form": "intervals",
        "measured": {"coverage": 0.91, "interval": [0.85, 0.95], "mean_size": 42.5},
    }))
    .unwrap();
    let told = trusted(&run);
    assert!(told.starts_with("How far to trust its numbers") && told.contains("42.50"), "{told}");
    assert!(told.contains("as promised, within what chance explains"), "{told}");
    run.report.as_mut().unwrap().conformal = serde_json::from_value(json!({
        "wanted": 0.9, "rows": 6, "form": "intervals", "reason": "6 validation rows are too few for coverage=0.9",
    }))
    .unwrap();
    assert!(trusted(&run).contains("There are none: 6 validation rows are too few"));
}

/// All sentences of a page that begin in a way.
fn sentences(text: &str, begin: &str) -> HashSet<String> {
    text.match_indices(begin)
        .map(|(at, _)| text[at..].split(". ").next().unwrap_or_default().trim_end_matches('.').trim().to_string())
        .collect()
}

#[test]
fn whether_probabilities_can_be_trusted_is_judged_once() {
    for error in [0.01, 0.05, 0.2] {
        let mut run = classification(&["a", "b", "c"], 400);
        let report = run.report.as_mut().unwrap();
        report.metrics.test.insert("ece", error);
        report.calibration = serde_json::from_value(json!({
            "method": "temperature", "temperature": 1.5, "rows": 90,
            "validation": {"before": {"log_loss": 0.8765, "brier": 0.3, "ece": 0.2},
                           "after": {"log_loss": 0.4375, "brier": 0.1875, "ece": 0.015625}},
        }))
        .unwrap();
        report.metrics.validation.insert("log_loss", 0.8765);
        let document = parsed(&page(&run, None));
        let text: String = document
            .select(&select("main p, main figcaption, main li"))
            .fold(String::new(), |all, element| all + &element.text().collect::<String>() + " ");
        let told = sentences(&text, "Stated probabilities are off");
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(!text.contains("label_smoothing"), "{text}");
        let is_advised = text.contains("They are calibrated already");
        assert_eq!(is_advised, error > 0.08, "{text}");
        // Figures on validation are comparable to those on the test.
        let values: Vec<f64> =
            document.select(&select("table.metrics data")).map(|d| d.attr("value").unwrap().parse().unwrap()).collect();
        assert!(values.contains(&0.4375) && !values.contains(&0.8765), "{values:?}");
        assert!(text.contains("after a calibration by the other four fifths"), "{text}");
    }
}

#[test]
fn a_run_without_mistakes_is_not_told_of_any() {
    let mut run = classification(&["a", "b", "c"], 300);
    run.predictions.as_mut().unwrap().worst.clear();
    let report = run.report.as_mut().unwrap();
    report.confusion = Some(vec![vec![100, 0, 0], vec![0, 100, 0], vec![0, 0, 100]]);
    let text = page(&run, None);
    assert!(text.contains("There is no mistake among the 300 test") && !text.contains("worst mistakes"));
    assert!(text.contains("Each class is recognised equally often") && !text.contains("told wrongly usually helps"));
}

#[test]
fn what_rows_were_for_is_told_and_nothing_of_no_size() {
    let mut run = regression(100, "price");
    run.rows = Some([800, 100, 200]);
    assert!(page(&run, None).contains("100 rows for validation, which means that by them it was decided how long"));
    run.settings.folds = Some(5);
    assert!(page(&run, None).contains("they were cut into 5 parts (folds)"));
    run.settings.folds = Some(1);
    run.model_bytes = 0;
    let report = run.report.as_mut().unwrap();
    (report.planned_memory_bytes, report.peak_memory_bytes) = (0, 5_000_000);
    report.fit = Some(serde_json::from_value(json!({"verdict": "fits", "sentence": "fits well", "rows": 90})).unwrap());
    report.notes =
        ["fits well", "fits well: trying stronger regularisation (dropout=0.3) in 4"].map(String::from).into();
    if let Some(predictions) = &mut run.predictions {
        predictions.worst[0].sample =
            Some(deepfit_data::Sample::Cells { cells: vec![("size".to_string(), String::new())] });
    }
    let text = page(&run, None);
    assert!(!text.contains(">0 B<") && !text.contains("; 0 B") && text.contains(">missing<"), "{text}");
    assert_eq!(text.matches("fits well").count(), 1, "what the fit tells stands there once");
}

#[test]
fn false_alarms_are_told_in_plain_words() {
    let mut run = classification(&["a", "b"], 100);
    run.report.as_mut().unwrap().familiarity =
        serde_json::from_value(json!({"wanted": 0.01, "flagged": 0.055, "interval": [0.03, 0.09]})).unwrap();
    assert!(page(&run, None).contains("are flagged by mistake, of such as are no different from those of training"));
}
