//! What is made of a network's outputs: calibrated probabilities, sets and intervals, costs of errors; rows that count
//! differently, and subgroups.

use std::fs;

use serde_json::Value;

use crate::program::{Place, digits, example, signal, wait_for_epoch};

/// A network that learns to be unsure.
const UNSURE: [&str; 7] = ["--model", "mlp", "--epochs", "30", "folds=1", "refit=false", "label_smoothing=0.5"];

/// A table with two classes that overlap, so that nobody can be sure.
fn overlapping(rows: usize) -> String {
    let line = |i: usize| {
        let x = |k: usize| ((i * k + i * i * 31) % 1009) as f64 / 100.0;
        let noise = ((i * 7907 + i * i * 17) % 1013) as f64 / 100.0;
        let ill = x(7919) + 0.5 * x(104_729) + noise > 12.5;
        let (site, weight) = (["north", "south", "west"][i % 17 % 3], 1 + i % 3);
        format!("{},{},{site},{weight},{}\n", x(7919), x(104_729), if ill { "ill" } else { "well" })
    };
    String::from("x,z,site,weight,y\n") + &(0..rows).map(line).collect::<String>()
}

fn trained(place: &Place, arguments: &[&str]) -> Value {
    place.run(&[&["train"], arguments, &["--json", "--quiet"]].concat()).succeeded().json()
}

/// The rows of a table that a run has kept for its test, as a table.
fn test_rows(place: &Place, table: &str, run: &str) -> String {
    let split: Value = serde_json::from_str(&fs::read_to_string(place.path(run).join("split.json")).unwrap()).unwrap();
    let rows: Vec<usize> = serde_json::from_value(split["test"].clone()).unwrap();
    let mut lines = table.lines();
    let header = lines.next().unwrap();
    let all: Vec<&str> = lines.collect();
    rows.into_iter().fold(format!("{header}\n"), |text, row| text + all[row] + "\n")
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn a_temperature_makes_probabilities_honest_and_changes_no_decision() {
    let place = Place::new();
    let table = overlapping(1500);
    place.write("data.csv", &table);
    let with = trained(&place, &[&["data.csv", "--out", "with", "calibration=temperature"][..], &UNSURE].concat());
    let without = trained(&place, &[&["data.csv", "--out", "without", "calibration=none"][..], &UNSURE].concat());
    assert!(place.weights("with") == place.weights("without"), "the network itself is the same");
    let [of_with, of_without] = [&with, &without].map(|report| &report["metrics"]["test"]);
    for same in ["accuracy", "f1", "sensitivity", "specificity", "balanced_accuracy"] {
        assert_eq!(of_with[same], of_without[same], "{same}");
    }
    assert!((number(&of_with["roc_auc"]) - number(&of_without["roc_auc"])).abs() < 1e-6);
    let report = &with["calibration"];
    assert_eq!((&report["method"], &report["rows"]), (&"temperature".into(), &150.into()));
    assert!(number(&report["temperature"]) < 0.8, "{report}");
    assert!((number(&report["measured"]["before"]["ece"]) - number(&of_without["ece"])).abs() < 1e-12);
    assert!((number(&report["measured"]["after"]["ece"]) - number(&of_with["ece"])).abs() < 1e-12);
    for part in ["validation", "measured"] {
        for metric in ["log_loss", "brier"] {
            let [before, after] = ["before", "after"].map(|when| number(&report[part][when][metric]));
            assert!(after < before, "{part} {metric}: {report}");
        }
    }
    let rows: u64 = report["reliability"].as_array().unwrap().iter().map(|bin| bin["count"].as_u64().unwrap()).sum();
    assert_eq!(rows, 300);
    // Predictions are made by the same temperature, and are what evaluation measures.
    place.write("test.csv", test_rows(&place, &table, "with"));
    let predicted = place.run(&["predict", "with", "test.csv", "--json"]).succeeded().json();
    for row in predicted.as_array().unwrap() {
        let logits: Vec<f64> = row["logits"].as_array().unwrap().iter().map(number).collect();
        let powers: Vec<f64> =
            logits.iter().map(|l| ((l - logits[0]) / number(&report["temperature"])).exp()).collect();
        let expected = powers[0] / powers.iter().sum::<f64>();
        assert!((number(&row["probabilities"]["ill"]) - expected).abs() < 1e-4, "{row}");
    }
    let evaluated = place.run(&["evaluate", "with", "test.csv", "--json"]).succeeded().json();
    assert_eq!(evaluated["metrics"], *of_with);
    assert_eq!(evaluated["intervals"], with["metrics"]["test_intervals"], "intervals are those of training");
    assert_eq!(evaluated["calibration"]["measured"], report["measured"]);
    assert_eq!(evaluated["conformal"]["measured"], with["conformal"]["measured"]);
    // What explains a decision knows the same probability.
    let explained = place.run(&["explain", "with", "test.csv", "--json", "--method", "shapley"]).succeeded().json();
    let first = explained.as_array().map_or(&explained, |all| &all[0]);
    let class = first["class"].as_str().unwrap();
    assert!((number(&first["probability"]) - number(&predicted[0]["probabilities"][class])).abs() < 1e-5, "{first}");
    let shown = place.run(&["evaluate", "with", "test.csv"]).succeeded().out;
    for word in ["Calibration: temperature", "data, before", "data, after", "Sets of classes for 90.0 %", "brier"] {
        assert!(shown.contains(word), "`{word}` is not in {shown}");
    }
}

#[test]
fn sets_and_intervals_hold_what_they_promise_on_rows_that_nothing_was_chosen_by() {
    let place = Place::new();
    place.write("data.csv", overlapping(2500));
    let report = trained(&place, &["data.csv", "--out", "sets", "--epochs", "8", "coverage=0.8"]);
    let conformal = &report["conformal"];
    assert_eq!((number(&conformal["wanted"]), &conformal["form"]), (0.8, &"sets".into()));
    assert_eq!(conformal["rows"], 2000, "out-of-fold predictions of all rows but the test's");
    let measured = &conformal["measured"];
    let interval: Vec<f64> = measured["interval"].as_array().unwrap().iter().map(number).collect();
    assert!(interval[1] >= 0.8 && number(&measured["coverage"]) < 0.9, "{measured}");
    assert!((1.0..2.0).contains(&number(&measured["mean_size"])));
    place.write("new.csv", "x,z,site,weight\n0.1,0.1,north,1\n9.9,9.9,south,1\n7.5,5,west,2\n");
    let rows = place.run(&["predict", "sets", "new.csv", "--json"]).succeeded().json();
    assert_eq!(rows[0]["set"], serde_json::json!(["well"]), "{rows}");
    assert_eq!(rows[1]["set"], serde_json::json!(["ill"]), "{rows}");
    let csv = place.run(&["predict", "sets", "new.csv", "--format", "csv"]).succeeded().out;
    assert!(csv.starts_with("input,prediction,probability_ill,probability_well,set,unlike_training\n"), "{csv}");
    let report = trained(&place, &[&example("diabetes.csv"), "--out", "intervals", "--epochs", "5"]);
    let conformal = &report["conformal"];
    assert_eq!((number(&conformal["wanted"]), &conformal["form"]), (0.9, &"intervals".into()));
    let measured = &conformal["measured"];
    assert!((0.8..0.98).contains(&number(&measured["coverage"])), "{measured}");
    let arguments = ["predict", "intervals", &example("diabetes.csv"), "--json"];
    for row in place.run(&arguments).succeeded().json().as_array().unwrap() {
        let interval: Vec<f64> = row["interval"].as_array().unwrap().iter().map(number).collect();
        assert!(interval[0] < number(&row["value"]) && number(&row["value"]) < interval[1], "{row}");
    }
    let csv = place.run(&["predict", "intervals", &example("diabetes.csv"), "--format", "csv"]).succeeded().out;
    assert!(csv.starts_with("input,prediction,interval_low,interval_high,unlike_training\n"), "{csv}");
    // Too few rows for the level give nothing, and say so.
    let arguments = ["train", &example("diabetes.csv"), "--epochs", "2", "folds=1", "coverage=0.99", "--out", "few"];
    let ran = place.run(&arguments).succeeded();
    assert!(ran.out.contains("Intervals: none; 44 validation rows are too few for coverage=0.99"), "{}", ran.out);
    let rows = place.run(&["predict", "few", &example("diabetes.csv"), "--json"]).succeeded().json();
    assert!(rows[0].get("interval").is_none(), "{}", rows[0]);
    let report = trained(&place, &[&example("diabetes.csv"), "--epochs", "2", "coverage=0"]);
    assert!(report.get("conformal").is_none());
}

#[test]
fn a_run_that_was_interrupted_ends_with_the_decision_of_one_that_was_not() {
    let place = Place::new();
    place.write("data.csv", overlapping(2800));
    let options = ["--epochs", "40", "folds=3", "cost.false_negative=7"];
    trained(&place, &[&["data.csv", "--out", "whole"], &options[..]].concat());
    let mut child = place.start(&[&["train", "data.csv", "--out", "run"], &options[..]].concat());
    let rest = wait_for_epoch(&mut child);
    signal(&child, "KILL");
    rest();
    child.wait().unwrap();
    place.run(&["train", "--resume", "run", "--quiet"]).succeeded();
    let described = |run: &str| -> Value {
        serde_json::from_str(&fs::read_to_string(place.path(run).join("model/config.json")).unwrap()).unwrap()
    };
    assert!(described("whole")["decision"]["costs"]["threshold"].is_f64(), "{}", described("whole")["decision"]);
    assert_eq!(described("run")["decision"], described("whole")["decision"]);
}

#[test]
fn costs_of_errors_move_the_threshold_and_make_decisions_cheaper() {
    let place = Place::new();
    let table = overlapping(2500);
    place.write("data.csv", &table);
    let options = ["--epochs", "8", "--target", "y", "positive=ill"];
    let plain = trained(&place, &[&["data.csv", "--out", "plain"], &options[..]].concat());
    let costs = ["--out", "dear", "cost.false_negative=10", "cost.false_positive=1"];
    let dear = trained(&place, &[&["data.csv"], &costs[..], &options].concat());
    let report = &dear["costs"];
    assert!(number(&report["threshold"]) < 0.25, "{report}");
    assert_eq!(report["missed"], serde_json::json!({"ill": 10.0, "well": 1.0}));
    let [before, after] = ["before", "after"].map(|when| number(&report["measured"][when]));
    assert!(after < before, "{report}");
    // By the confusion of the test rows, whose first class is 'ill'.
    let cost = |report: &Value| {
        let count = |truth: usize, predicted: usize| number(&report["confusion"][truth][predicted]);
        (10.0 * count(0, 1) + count(1, 0)) / 500.0
    };
    assert!((cost(&dear) - after).abs() < 1e-9 && (cost(&plain) - before).abs() < 1e-9, "{report}");
    let sensitivity = |report: &Value| number(&report["metrics"]["test"]["sensitivity"]);
    assert!(sensitivity(&dear) > sensitivity(&plain));
    assert_eq!(dear["metrics"]["test"]["log_loss"], plain["metrics"]["test"]["log_loss"]);
    // The model decides so, too.
    place.write("test.csv", test_rows(&place, &table, "dear"));
    let rows = place.run(&["predict", "dear", "test.csv", "--json"]).succeeded().json();
    let threshold = number(&report["threshold"]);
    for row in rows.as_array().unwrap() {
        let is_ill = number(&row["probabilities"]["ill"]) >= threshold;
        assert_eq!(row["prediction"], if is_ill { "ill" } else { "well" }, "{row}");
    }
    let shown = place.run(&["evaluate", "dear", "test.csv"]).succeeded().out;
    assert!(shown.contains("Costs of errors") && shown.contains("'ill' is predicted from a probability"), "{shown}");
    let page = std::fs::read_to_string(place.path("dear/report.html")).unwrap();
    let told = [
        "What errors cost",
        "of the costs.",
        "Sets of classes that hold the truth",
        "Unlike the training data",
        "Calibration",
    ];
    told.into_iter().for_each(|told| assert!(page.contains(told), "{told}"));
}

#[test]
fn rows_count_by_their_weights_and_subgroups_are_measured_by_themselves() {
    let place = Place::new();
    let table = overlapping(1500);
    place.write("data.csv", &table);
    let arguments = ["data.csv", "--out", "run", "--epochs", "6", "--weight", "weight", "--by", "site"];
    let report = trained(&place, &arguments);
    // From single predictions, by hand.
    let test = test_rows(&place, &table, "run");
    place.write("test.csv", &test);
    let rows = place.run(&["predict", "run", "test.csv", "--json"]).succeeded().json();
    let cells: Vec<Vec<&str>> = test.lines().skip(1).map(|line| line.split(',').collect()).collect();
    let accuracy = |of: &dyn Fn(&[&str]) -> bool| {
        let (mut right, mut all) = (0.0, 0.0);
        for (cells, row) in cells.iter().zip(rows.as_array().unwrap()).filter(|(cells, _)| of(cells)) {
            let weight: f64 = cells[3].parse().unwrap();
            all += weight;
            right += if row["prediction"] == cells[4] { weight } else { 0.0 };
        }
        right / all
    };
    assert!((number(&report["metrics"]["test"]["accuracy"]) - accuracy(&|_| true)).abs() < 1e-9);
    let groups = report["subgroups"]["groups"].as_array().unwrap();
    assert_eq!(
        groups.iter().map(|group| group["name"].as_str().unwrap()).collect::<Vec<_>>(),
        ["north", "south", "west"]
    );
    for group in groups {
        let expected = accuracy(&|cells| cells[2] == group["name"]);
        assert!((number(&group["metrics"]["accuracy"]) - expected).abs() < 1e-9, "{group}");
        assert_eq!(group["intervals"]["accuracy"].as_array().unwrap().len(), 2);
    }
    let evaluated = place.run(&["evaluate", "run", "test.csv", "--by", "site", "--json"]).succeeded().json();
    assert_eq!(evaluated["metrics"], report["metrics"]["test"]);
    assert_eq!(evaluated["subgroups"], report["subgroups"]);
    let page = std::fs::read_to_string(place.path("run/report.html")).unwrap();
    assert!(page.contains("How good is it for each group?") && page.contains(">north</th>"));
    assert!(evaluated["notes"].to_string().contains("rows count by 'weight'"), "{evaluated}");
    // Neither column is needed of new rows; a subgroup of few rows says so.
    let few: String = test.lines().take(25).map(|line| format!("{line}\n")).collect();
    place.write("few.csv", few);
    let shown = place.run(&["evaluate", "run", "few.csv", "--by", "site"]).succeeded().out;
    assert!(
        shown.contains("By subgroup") && shown.contains("(few)") && shown.contains("fewer than 30 rows"),
        "{shown}"
    );
    let bare = test.lines().map(|line| {
        let cells: Vec<&str> = line.split(',').collect();
        format!("{},{},{},{}\n", cells[0], cells[1], cells[2], cells[4])
    });
    place.write("bare.csv", bare.collect::<String>());
    let ran = place.run(&["evaluate", "run", "bare.csv"]).succeeded();
    assert!(ran.err.contains("there is no column 'weight'"), "{}", ran.err);
    // Rows of no weight are as if they were not there: of the loss, so that the weights of the network are the same.
    let zeros: String = table
        .lines()
        .enumerate()
        .map(|(i, line)| match line.rsplit_once(',') {
            Some((start, class)) if i > 0 && i % 5 == 0 => {
                let start = &start[..start.rfind(',').unwrap()];
                format!("{start},0,{}\n", if class == "ill" { "well" } else { "ill" })
            }
            _ => format!("{line}\n"),
        })
        .collect();
    place.write("zeros.csv", zeros);
    let report = trained(&place, &["zeros.csv", "--epochs", "10", "--weight", "weight", "--out", "zeros"]);
    assert!(number(&report["metrics"]["test"]["accuracy"]) > 0.7, "wrong rows without weight do no harm: {report}");
    let report = trained(&place, &[&example("diabetes.csv"), "--epochs", "3", "--weight", "age", "--out", "numbers"]);
    assert!(report["metrics"]["test"]["r2"].is_f64());
}

#[test]
fn what_cannot_be_is_told_with_the_row_or_the_setting() {
    let place = Place::new();
    let table = overlapping(400);
    place.write("data.csv", &table);
    place.refuses(&["data.csv", "calibration=platt"], &["calibration", "`platt`", "temperature, isotonic"]);
    place.refuses(&["data.csv", "coverage=1"], &["coverage", "0.999", "not `1"]);
    place.refuses(&["data.csv", "calibration=isotonic", "folds=1"], &["isotonic needs at least 50", "temperature"]);
    place.refuses(&["data.csv", "cost.false_negatve=10"], &["cost.false_negatve", "did you mean `false_negative`?"]);
    place.refuses(&["data.csv", "cost.sick=10"], &["there is no class 'sick'", "ill, well"]);
    place.refuses(&["data.csv", "cost.ill=-1"], &["cost.ill", "0 to 1e12", "not `-1`"]);
    place.refuses(&["data.csv", "cost.ill=2", "cost.well=much"], &["cost.well", "much"]);
    place.refuses(&["data.csv", "positive=ill", "cost.ill=2", "cost.false_negative=3"], &["as another setting does"]);
    place.refuses(&["data.csv", "cost.ill=0", "cost.well=0"], &["all errors cost 0"]);
    place.refuses(&["data.csv", "--weight", "wieght"], &["wieght", "weight", "data.csv"]);
    place.refuses(&["data.csv", "--weight", "y", "--target", "y"], &["weight", "also the target"]);
    place.refuses(&["data.csv", "--weight", "weight", "--group", "weight"], &["weight", "another setting"]);
    place.refuses(&["data.csv", "--by", "sit"], &["sit", "site"]);
    place.refuses(&["data.csv", "--by", "x"], &["by", "more than 100 different values"]);
    place.refuses(&["data.csv", "--metric", "rocauc"], &["metric", "did you mean `roc_auc`?"]);
    place.refuses(&["data.csv", "--metric", "r2"], &["metric", "`r2` is none of this task", "sensitivity"]);
    place.refuses(&["data.csv", "--repeats", "0"], &["repeats", "from 1 to 1000", "not `0`"]);
    place.refuses(&["data.csv", "--repeats", "3", "--test", "data.csv"], &["repeats", "`test` says which rows"]);
    place.refuses(&[&example("digits.zip"), "--weight", "w"], &["weight", "names a column of a table"]);
    for (weight, words) in
        [("-2", "is negative"), ("heavy", "is no number"), ("", "is missing"), ("inf", "is no number")]
    {
        let mut lines: Vec<String> = table.lines().map(str::to_string).collect();
        lines[7] = format!("1.5,2.5,north,{weight},ill");
        place.write("bad.csv", lines.join("\n") + "\n");
        place.refuses(&["bad.csv", "--weight", "weight"], &["bad.csv", "line 8", "weight", words]);
    }
    let zeros = table.lines().skip(1).map(|line| {
        let cells: Vec<&str> = line.split(',').collect();
        format!("{},{},{},0,{}\n", cells[0], cells[1], cells[2], cells[4])
    });
    place.write("zeros.csv", String::from("x,z,site,weight,y\n") + &zeros.collect::<String>());
    place.refuses(&["zeros.csv", "--weight", "weight"], &["weight", "0 in all rows"]);
    place.trained("data.csv", "run", &["--weight", "weight"]);
    place.run(&["evaluate", "run", "data.csv", "--by", "sit"]).is_refusal(&["sit", "site"]);
    place.run(&["evaluate", "run", "zeros.csv"]).is_refusal(&["weight", "0 in all rows"]);
    // What has no effect is noted.
    let notes = |arguments: &[&str]| trained(&place, arguments)["notes"].to_string();
    let diabetes = example("diabetes.csv");
    let told = notes(&[&diabetes, "--epochs", "1", "calibration=temperature", "cost.x=3"]);
    assert!(told.contains("`calibration` has no effect") && told.contains("`cost` has no effect"), "{told}");
    // A damaged decision is told.
    let config = place.path("run/model/config.json");
    let text = fs::read_to_string(&config).unwrap();
    assert!(text.contains("\"least\""), "{text}");
    let damaged = text.replacen("\"coverage\": 0.9", "\"coverage\": 9", 1);
    fs::write(&config, damaged).unwrap();
    place.run(&["predict", "run", "data.csv"]).is_refusal(&["config.json", "damaged", "conformal"]);
}

#[test]
fn epochs_are_chosen_by_the_metric_that_is_asked_for() {
    let place = Place::new();
    place.write("data.csv", overlapping(1200));
    let options = ["--epochs", "12", "folds=1", "refit=false", "patience=0", "lr=0.02"];
    let run = |out: &str, metric: &str| {
        let report = trained(&place, &[&["data.csv", "--out", out, "--metric", metric], &options[..]].concat());
        let text = fs::read_to_string(place.path(out).join("metrics.jsonl")).unwrap();
        let epochs: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let curve: Vec<f64> = epochs.iter().map(|epoch| number(&epoch["validation"][metric])).collect();
        assert_eq!(
            number(&report["metrics"]["validation"][metric]),
            curve[report["best_epoch"].as_u64().unwrap() as usize - 1]
        );
        (report["best_epoch"].as_u64().unwrap() as usize - 1, curve)
    };
    let (best, curve) = run("area", "roc_auc");
    assert!(curve.iter().all(|&area| area <= curve[best]), "{best}: {curve:?}");
    let (best, curve) = run("brier", "brier");
    assert!(curve.iter().all(|&brier| brier >= curve[best]), "{best}: {curve:?}");
}

#[test]
fn repeats_tell_what_other_splits_reach_and_go_on_where_they_were_interrupted() {
    let place = Place::new();
    place.write("data.csv", overlapping(1500));
    let options = ["--epochs", "6", "--seed", "4"];
    let once = trained(&place, &[&["data.csv", "--out", "once"], &options[..]].concat());
    let report = trained(&place, &[&["data.csv", "--out", "run", "--repeats", "3"], &options[..]].concat());
    assert!(place.weights("run") == place.weights("once"), "the model is that of the first split");
    assert_eq!(report["metrics"]["test"], once["metrics"]["test"]);
    let repeats = &report["repeats"];
    assert_eq!((&repeats["runs"], &repeats["seeds"]), (&3.into(), &serde_json::json!([4, 5, 6])));
    let accuracy = &repeats["metrics"]["accuracy"];
    let values: Vec<f64> = accuracy["values"].as_array().unwrap().iter().map(number).collect();
    assert_eq!(values[0], number(&once["metrics"]["test"]["accuracy"]));
    let second = trained(&place, &["data.csv", "--epochs", "6", "--seed", "5", "--out", "second"]);
    assert_eq!(values[1], number(&second["metrics"]["test"]["accuracy"]));
    let mean = values.iter().sum::<f64>() / 3.0;
    let deviation = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 2.0).sqrt();
    assert!((number(&accuracy["mean"]) - mean).abs() < 1e-12);
    assert!((number(&accuracy["deviation"]) - deviation).abs() < 1e-12);
    // Student's 97.5 % point with 2 degrees of freedom, and a test of 300 rows beside 1200.
    let half = 4.302_653 * deviation * (1.0f64 / 3.0 + 0.25).sqrt();
    assert!((number(&accuracy["interval"][1]) - mean - half).abs() < 1e-5, "{accuracy}");
    let written: Value = serde_json::from_str(&fs::read_to_string(place.path("run/result.json")).unwrap()).unwrap();
    assert_eq!(written["repeats"], *repeats);
    assert!(place.path("run/repeats/3/result.json").is_file() && !place.path("run/repeats/3/model").exists());
    let shown = place.run(&["train", "--resume", "run"]).succeeded();
    assert!(shown.out.contains("Repeated") && shown.out.contains("seeds 4, 5, 6"), "{}", shown.out);
    // Stopped in the second split.
    let mut child =
        place.start(&["train", "data.csv", "--out", "cut", "--repeats", "3", "--epochs", "6", "--seed", "4"]);
    let begun = || place.path("cut/repeats/2/settings.toml").is_file();
    while !begun() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    signal(&child, "KILL");
    child.wait().unwrap();
    let resumed = place.run(&["train", "--resume", "cut", "--json", "--quiet"]).succeeded().json();
    assert_eq!(resumed["repeats"], *repeats);
}

#[test]
fn rows_that_were_learned_from_and_rows_unlike_all_of_them_are_told() {
    let place = Place::new();
    let table = overlapping(1500);
    place.write("data.csv", &table);
    let report = trained(&place, &["data.csv", "--out", "run", "--epochs", "4"]);
    let evaluate = |data: &str| place.run(&["evaluate", "run", data, "--json"]).succeeded().json();
    let notes = evaluate("data.csv")["notes"].to_string();
    assert!(notes.contains("has learned from 1200 of these 1500 rows"), "{notes}");
    place.write("test.csv", test_rows(&place, &table, "run"));
    let evaluated = evaluate("test.csv");
    assert!(!evaluated["notes"].to_string().contains("learned from"), "{}", evaluated["notes"]);
    // Few rows like those of training are unlike them, as many as was said.
    let found = &report["familiarity"];
    assert_eq!((number(&found["wanted"]), &evaluated["familiarity"]), (0.01, found));
    assert!(number(&found["flagged"]) < 0.04 && number(&found["interval"][0]) <= 0.01, "{found}");
    place.write("new.csv", "x,z,site,weight\n5,5,north,2\n500,-300,south,1\n5,5,north,70\n");
    let rows = place.run(&["predict", "run", "new.csv", "--json"]).succeeded().json();
    let flags: Vec<bool> =
        rows.as_array().unwrap().iter().map(|row| row["unlike_training"].as_bool().unwrap()).collect();
    assert_eq!(flags, [false, true, true], "{rows}");
    let shown = place.run(&["predict", "run", "new.csv"]).succeeded().out;
    assert!(shown.contains("unlike training") && shown.matches("yes").count() == 2, "{shown}");
    let csv = place.run(&["predict", "run", "new.csv", "--format", "csv"]).succeeded().out;
    assert!(csv.lines().next().unwrap().ends_with(",set,unlike_training") && csv.contains(",true"), "{csv}");
    // A damaged file is told, a missing one is not needed.
    let path = place.path("run/model/familiar-rows.safetensors");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    place.run(&["predict", "run", "new.csv"]).is_refusal(&["familiar-rows.safetensors", "damaged"]);
    fs::remove_file(&path).unwrap();
    let rows = place.run(&["predict", "run", "new.csv", "--json"]).succeeded().json();
    assert!(rows[0].get("unlike_training").is_none());
}

#[test]
fn pictures_unlike_all_of_training_are_told() {
    let place = Place::new();
    let quick = ["--epochs", "2", "folds=1", "refit=false"];
    let report = trained(&place, &[&[&example("digits.zip")[..], "--out", "run"], &quick[..]].concat());
    let found = &report["familiarity"];
    assert!(number(&found["wanted"]) == 0.01 && number(&found["flagged"]) < 0.05, "{found}");
    let noise = image::RgbImage::from_fn(64, 64, |x, y| {
        let bits = (x * 7919 + y * 104_729 + x * x * y) ^ (y * 31);
        image::Rgb([bits as u8, (bits >> 5) as u8, (bits >> 9) as u8])
    });
    noise.save(place.path("noise.png")).unwrap();
    let (name, digit) = digits(&["3"], 1).remove(0);
    place.write("digit.png", digit);
    let rows = place.run(&["predict", "run", "digit.png", "noise.png", "--json"]).succeeded().json();
    let flags: Vec<bool> =
        rows.as_array().unwrap().iter().map(|row| row["unlike_training"].as_bool().unwrap()).collect();
    assert_eq!(flags, [false, true], "{name}: {rows}");
    let evaluated = place.run(&["evaluate", "run", &example("digits.zip"), "--json"]).succeeded().json();
    assert!(number(&evaluated["familiarity"]["flagged"]) < 0.05, "{evaluated}");
}

#[test]
fn texts_unlike_all_of_training_are_told() {
    let place = Place::new();
    let report = trained(&place, &[&example("sentences.tsv"), "--out", "run", "--epochs", "2"]);
    let found = &report["familiarity"];
    assert!(number(&found["wanted"]) == 0.01 && number(&found["flagged"]) < 0.05, "{found}");
    let new = "Returns the list of all rows that have the given value\n\
               Вчера вечером мы долго гуляли по набережной и говорили о погоде\n\
               Kesäisin järven rannalla paistetaan makkaraa ja uidaan myöhään yöhön\n";
    place.write("new.txt", new);
    let rows = place.run(&["predict", "run", "new.txt", "--json"]).succeeded().json();
    let flags: Vec<bool> =
        rows.as_array().unwrap().iter().map(|row| row["unlike_training"].as_bool().unwrap()).collect();
    assert_eq!(flags, [false, true, true], "{rows}");
    // A model of another kind of data has none of these rows.
    let table = place.trained(&example("breast-cancer.csv"), "table", &["--epochs", "1", "folds=1", "refit=false"]);
    let file = "model/familiar-rows.safetensors";
    fs::copy(table.join(file), place.path("run").join(file)).unwrap();
    place.run(&["predict", "run", "new.txt"]).is_refusal(&["familiar-rows.safetensors", "not those of this model"]);
}
