//! What `train` finds in data: a planted case of each kind is found, and data as it is raises no alarm.

use std::fs;
use std::io::Cursor;

use serde_json::Value;

use crate::program::{Place, digits, example, zipped};

/// Where training itself does not matter.
const QUICK: [&str; 5] = ["epochs=1", "folds=1", "refit=false", "hidden=[8]", "model=mlp"];
const BRIEF: [&str; 3] = ["epochs=1", "folds=1", "refit=false"];

/// Names and rows of an example, whose last column is the target.
fn read(name: &str) -> (String, Vec<Vec<String>>) {
    let text = fs::read_to_string(example(name)).unwrap();
    let mut lines = text.lines();
    let names = lines.next().unwrap().to_string();
    (names, lines.map(|line| line.split(',').map(str::to_string).collect()).collect())
}

fn written(names: &str, rows: &[Vec<String>]) -> String {
    let rows = rows.iter().map(|row| row.join(",") + "\n");
    format!("{names}\n{}", rows.collect::<String>())
}

fn with_column(names: &str, rows: &[Vec<String>], name: &str, value: impl Fn(usize) -> String) -> String {
    let rows: Vec<Vec<String>> =
        rows.iter().enumerate().map(|(i, row)| [vec![value(i)], row.clone()].concat()).collect();
    written(&format!("{name},{names}"), &rows)
}

fn found(place: &Place, data: &str, out: &str, more: &[&str]) -> Vec<Value> {
    let arguments = [&["train", data, "--out", out, "--json", "--quiet"], more].concat();
    let report = place.run(&arguments).succeeded().json();
    report.get("findings").map_or_else(Vec::new, |found| found.as_array().unwrap().clone())
}

fn of_kind<'a>(findings: &'a [Value], kind: &str) -> Option<&'a Value> {
    findings.iter().find(|finding| finding["kind"] == kind)
}

#[track_caller]
fn one<'a>(findings: &'a [Value], kind: &str) -> &'a Value {
    of_kind(findings, kind).unwrap_or_else(|| panic!("no {kind} in {findings:#?}"))
}

#[test]
fn data_as_it_is_raises_no_alarm() {
    let place = Place::new();
    for (name, out) in [("breast-cancer.csv", "cancer"), ("diabetes.csv", "diabetes")] {
        assert_eq!(found(&place, &example(name), out, &[]), [Value::Null; 0], "{name}");
    }
    assert_eq!(found(&place, &example("digits.zip"), "digits", &["epochs=3"]), [Value::Null; 0]);
}

#[test]
fn a_column_made_of_the_target_is_named_and_checks_can_be_switched_off() {
    let place = Place::new();
    let (names, rows) = read("breast-cancer.csv");
    let code = |i: usize| format!("{}.{}", if rows[i].last().unwrap() == "benign" { 4 } else { 7 }, i * 7 % 10);
    place.write("leak.csv", with_column(&names, &rows, "settled", code));
    let findings = found(&place, "leak.csv", "leak", &QUICK);
    let leak = one(&findings, "leakage");
    assert_eq!(leak["evidence"]["columns"], serde_json::json!(["settled"]));
    assert!(leak["severity"] == "warning" && leak["what"].as_str().unwrap().contains("'settled' by itself"), "{leak}");
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert_eq!(found(&place, "leak.csv", "off", &[&QUICK[..], &["checks=false"]].concat()), [Value::Null; 0]);
    let (names, rows) = read("diabetes.csv");
    let paid = |i: usize| format!("{}", rows[i].last().unwrap().parse::<f64>().unwrap() * 1.19 + (i % 3) as f64);
    place.write("paid.csv", with_column(&names, &rows, "paid", paid));
    let findings = found(&place, "paid.csv", "paid", &QUICK);
    assert_eq!(one(&findings, "leakage")["evidence"]["columns"], serde_json::json!(["paid"]));
}

#[test]
fn a_column_that_numbers_the_rows_is_named_on_the_way_and_in_the_report() {
    let place = Place::new();
    let (names, rows) = read("diabetes.csv");
    place.write("cases.csv", with_column(&names, &rows, "case", |i| (10_000 + 3 * i + i % 2).to_string()));
    let ran = place.run(&[&["train", "cases.csv", "--out", "run"], &QUICK[..]].concat()).succeeded();
    for text in [&ran.err, &ran.out] {
        assert!(text.contains("'case' is a whole number that rises from row to row"), "{text}");
    }
    assert!(ran.out.contains("Found in the data"), "{}", ran.out);
    let page = fs::read_to_string(place.path("run/report.html")).unwrap();
    assert!(page.contains("What was found in the data") && page.contains("An identifier among the features"));
    // The result of a run that has ended keeps them.
    let resumed = place.run(&["train", "--resume", "run", "--json", "--quiet"]).succeeded().json();
    one(resumed["findings"].as_array().unwrap(), "identifier");
}

#[test]
fn near_copies_of_rows_on_two_sides_are_listed() {
    let place = Place::new();
    let (names, mut rows) = read("breast-cancer.csv");
    for i in 0..40 {
        let mut copy = rows[i * 13].clone();
        copy[i % 30] = rows[i * 7 + 3][i % 30].clone();
        rows.push(copy);
    }
    place.write("copies.csv", written(&names, &rows));
    let findings = found(&place, "copies.csv", "run", &QUICK);
    let copies = one(&findings, "near_duplicates");
    let twins = copies["evidence"]["twins"].as_array().unwrap();
    assert!(twins.len() >= 5, "{copies:#}");
    for twins in twins {
        let mut pair = ["held_out", "learned"].map(|side| twins[side]["id"].as_u64().unwrap());
        pair.sort_unstable();
        assert_eq!(pair[0], (pair[1] - 569) * 13, "{copies:#}");
    }
    assert!(copies["advice"].as_str().unwrap().contains("--group"), "{copies}");
}

#[test]
fn exact_copies_are_left_out_or_told_where_a_column_divides() {
    let place = Place::new();
    let (names, rows) = read("diabetes.csv");
    let part = |i: usize| ["train", "train", "train", "test"][i % 4].to_string();
    let mut divided: Vec<Vec<String>> =
        rows.iter().enumerate().map(|(i, row)| [vec![part(i)], row.clone()].concat()).collect();
    divided.extend((0..9).map(|i| [vec!["train".to_string()], rows[i * 8 + 3].clone()].concat()));
    place.write("parts.csv", written(&format!("part,{names}"), &divided));
    let findings = found(&place, "parts.csv", "parts", &[&QUICK[..], &["--split", "part"]].concat());
    let copies = one(&findings, "duplicates");
    assert_eq!((&copies["severity"], &copies["evidence"]["figures"]["rows"]), (&"note".into(), &9.0.into()));
    assert!(copies["advice"].as_str().unwrap().contains("left out"), "{copies}");
    assert!(of_kind(&findings, "shift").is_none(), "{findings:#?}");
    // The same rows of other groups.
    let group = |i: usize| format!("g{}", i / 2 % 130);
    let mut grouped: Vec<Vec<String>> =
        rows.iter().enumerate().map(|(i, row)| [vec![group(i)], row.clone()].concat()).collect();
    grouped.extend((0..60).map(|i| [vec![format!("g{}", 129 - i)], rows[i * 2].clone()].concat()));
    place.write("groups.csv", written(&format!("group,{names}"), &grouped));
    let findings = found(&place, "groups.csv", "groups", &[&QUICK[..], &["--group", "group"]].concat());
    let copies = one(&findings, "duplicates");
    assert!(copies["severity"] == "warning" && copies["advice"].as_str().unwrap().contains("group=group"), "{copies}");
}

#[test]
fn a_test_of_another_distribution_is_told_with_the_columns_that_differ() {
    let place = Place::new();
    let (names, mut rows) = read("breast-cancer.csv");
    let part = |i: usize| ["train", "test", "train", "validation", "train"][i * 7 % 5].to_string();
    for (i, row) in rows.iter_mut().enumerate() {
        if part(i) == "test" {
            row[1] = format!("{:.2}", row[1].parse::<f64>().unwrap() + 5.0);
        }
    }
    place.write("shifted.csv", with_column(&names, &rows, "part", part));
    let findings = found(&place, "shifted.csv", "run", &[&QUICK[..], &["--split", "part"]].concat());
    let shift = one(&findings, "shift");
    assert_eq!(shift["evidence"]["columns"][0], "mean_texture", "{shift:#}");
    assert!(shift["evidence"]["figures"]["roc_auc"].as_f64().unwrap() > 0.6, "{shift:#}");
}

#[test]
fn wrong_labels_are_listed_with_the_likely_ones() {
    let place = Place::new();
    let (names, mut rows) = read("breast-cancer.csv");
    let turned: Vec<u64> = (0..569).filter(|i| i % 10 == 3).collect();
    for &row in &turned {
        let label = rows[row as usize].last_mut().unwrap();
        *label = if label == "benign" { "malignant" } else { "benign" }.to_string();
    }
    place.write("labels.csv", written(&names, &rows));
    let findings = found(&place, "labels.csv", "run", &[]);
    let errors = one(&findings, "label_errors");
    let suspects = errors["evidence"]["suspects"].as_array().unwrap();
    let right = suspects.iter().filter(|one| turned.contains(&one["row"]["id"].as_u64().unwrap())).count();
    assert!(right * 10 > suspects.len() * 6 && right * 10 > turned.len() * 6, "{right} of {}", suspects.len());
    // The likeliest come first.
    let first = suspects.iter().take(10).filter(|one| turned.contains(&one["row"]["id"].as_u64().unwrap())).count();
    assert!(first >= 8, "{errors:#}");
}

#[test]
fn rare_classes_and_predictions_that_are_all_the_same_are_told() {
    let place = Place::new();
    let row = |i: usize| {
        format!("{},{},{}\n", i * 7919 % 1009, i * 104_729 % 997, if i.is_multiple_of(12) { "ill" } else { "well" })
    };
    place.write("noise.csv", String::from("a,b,state\n") + &(0..300).map(row).collect::<String>());
    let findings = found(&place, "noise.csv", "run", &["epochs=3"]);
    let rare = one(&findings, "imbalance");
    assert!(rare["what"].as_str().unwrap().contains("classes are unequal"), "{rare}");
    let same = one(&findings, "same_predictions");
    assert!(same["what"].as_str().unwrap().contains("'well'"), "{same}");
}

#[test]
fn copies_of_pictures_and_wrong_folders_are_found() {
    let place = Place::new();
    let classes = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    let mut entries = digits(&classes, 60);
    let copies: Vec<(String, Vec<u8>)> = (0..60)
        .map(|i| {
            let (name, png) = &entries[i * 10 + i % 10];
            let mut picture = image::load_from_memory(png).unwrap().to_luma8();
            picture.pixels_mut().enumerate().for_each(|(at, pixel)| {
                pixel.0[0] = pixel.0[0].saturating_add(3 + (at * 7 % 5) as u8);
            });
            let mut bytes = Cursor::new(Vec::new());
            picture.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
            (name.replace('/', "/copy-"), bytes.into_inner())
        })
        .collect();
    entries.extend(copies);
    place.write("copies.zip", zipped(&entries));
    let findings = found(&place, "copies.zip", "copies", &BRIEF);
    let copies = one(&findings, "near_duplicates");
    let twins = copies["evidence"]["twins"].as_array().unwrap();
    assert!(twins.len() >= 8, "{copies:#}");
    for twins in twins {
        let [a, b] = ["held_out", "learned"].map(|side| twins[side]["id"].as_str().unwrap().replace("copy-", ""));
        assert_eq!(a, b, "{copies:#}");
    }
}

#[test]
fn copies_of_texts_are_found() {
    let place = Place::new();
    let subjects =
        ["the harbour", "a violin", "our neighbour", "this recipe", "the old bridge", "her garden", "a comet"];
    let verbs =
        ["opens", "returns", "waits", "changes", "sleeps", "rises", "answers", "travels", "begins", "ends", "sings"];
    let places = ["in spring", "before noon", "near the sea", "after rain", "on sundays", "without warning", "at dusk"];
    let mut state = 1_u64;
    let mut draw = |of: &[&str]| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        of[(state >> 33) as usize % of.len()].to_string()
    };
    let mut text = || {
        (0..6)
            .map(|_| format!("{} {} {}", draw(&subjects), draw(&verbs), draw(&places)))
            .collect::<Vec<_>>()
            .join(" and ")
    };
    let mut rows: Vec<String> = (0..300).map(|_| text()).collect();
    let copies: Vec<String> = (0..60).map(|i| format!("{} again", rows[i * 5])).collect();
    rows.extend(copies);
    let table = |rows: &[String]| {
        let lines = rows.iter().enumerate().map(|(i, text)| format!("{text},{}\n", ["old", "new"][i % 2]));
        String::from("text,kind\n") + &lines.collect::<String>()
    };
    place.write("texts.csv", table(&rows));
    let findings = found(&place, "texts.csv", "run", &BRIEF);
    let copies = one(&findings, "near_duplicates");
    for twins in copies["evidence"]["twins"].as_array().unwrap() {
        let mut pair = ["held_out", "learned"].map(|side| twins[side]["id"].as_u64().unwrap());
        pair.sort_unstable();
        assert_eq!(pair[0], (pair[1] - 300) * 5, "{copies:#}");
    }
    place.write("clean.csv", table(&rows[..300]));
    let findings = found(&place, "clean.csv", "clean", &BRIEF);
    assert!(of_kind(&findings, "near_duplicates").is_none(), "{findings:#?}");
}

#[test]
fn few_rows_and_columns_that_are_all_the_same_are_told_and_the_rest_is_done() {
    let place = Place::new();
    let row = |i: usize| format!("{}.5,7,{}\n", i * 7 % 12, if i.is_multiple_of(2) { "a" } else { "b" });
    place.write("few.csv", String::from("x,same,kind\n") + &(0..12).map(row).collect::<String>());
    let ran = place.run(&["train", "few.csv", "--out", "few", "--epochs", "2"]).succeeded();
    assert!(ran.err.contains("'same' (is always '7')"), "{}", ran.err);
    let only = |i: usize| format!("7,{}\n", if i.is_multiple_of(2) { "a" } else { "b" });
    place.write("same.csv", String::from("same,kind\n") + &(0..12).map(only).collect::<String>());
    place.refuses(&["same.csv"], &["same.csv", "'same'", "always"]);
}
