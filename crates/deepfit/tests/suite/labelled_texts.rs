//! Texts that have any number of labels.

use serde_json::{Value, json};

use crate::drawn_texts;
use crate::program::{Place, labels_of, metric};

const TOPICS: [(&str, [&str; 4]); 3] = [
    ("money", ["bank", "market", "shares", "prices"]),
    ("music", ["concert", "orchestra", "singer", "guitar"]),
    ("sport", ["football", "match", "team", "stadium"]),
];

/// A text and which topics it tells of: each of them by itself, some by none.
fn text(i: usize) -> (String, [bool; 3]) {
    let drawn = |salt: usize, n: usize| {
        let x = ((i * 31 + salt) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        ((x ^ (x >> 29)) >> 11) as usize % n
    };
    let has = [0, 1, 2].map(|topic| drawn(topic, 5) < 2);
    let told: Vec<&str> =
        (0..3).filter(|&topic| has[topic]).map(|topic| TOPICS[topic].1[drawn(7 + topic, 4)]).collect();
    let about = if told.is_empty() { "nothing much".to_string() } else { format!("the {}", told.join(" and the ")) };
    let (when, end) =
        (["yesterday", "today", "tonight"][drawn(11, 3)], ["in town", "as ever", "at last"][drawn(12, 3)]);
    (format!("{when} they spoke of {about} {end} number {i}"), has)
}

fn labels(has: [bool; 3]) -> Vec<&'static str> {
    TOPICS.iter().zip(has).filter(|(_, has)| *has).map(|((name, _), _)| *name).collect()
}

/// Lists of labels in one column.
fn lists(rows: usize) -> String {
    let line = |i: usize| {
        let (text, has) = text(i);
        format!("{text},{}\n", labels(has).join("|"))
    };
    String::from("words,topics\n") + &(0..rows).map(line).collect::<String>()
}

/// The same as columns of 0 and 1, in which some cells are empty, with a number beside the text.
fn columns(rows: usize) -> String {
    let line = |i: usize| {
        let (text, has) = text(i);
        let cell = |topic: usize| match (i % 50, topic) {
            (7, 1) => "",
            _ if has[topic] => "1",
            _ => "0",
        };
        format!("{},{text},{},{},{}\n", i % 7, cell(0), cell(1), cell(2))
    };
    String::from("length,words,money,music,sport\n") + &(0..rows).map(line).collect::<String>()
}

/// The same as lists of JSON.
fn json_lines(rows: usize) -> String {
    let line = |i: usize| {
        let (text, has) = text(i);
        json!({"text": text, "labels": labels(has)}).to_string() + "\n"
    };
    (0..rows).map(line).collect()
}

const NEW: &str =
    "they spoke of the singer and the match today\ntoday they spoke of the bank at last\nthey spoke of nothing much\n";

#[test]
fn lists_of_labels_are_recognised_learned_and_used() {
    let place = Place::new();
    place.write("texts.csv", lists(400));
    let ran = place.run(&["train", "texts.csv", "--out", "run", "--json"]).succeeded();
    let found = "multi-label classification of 'topics', any of 3 labels: money";
    assert!(ran.err.contains(found) && ran.err.contains("task=classification takes each cell"), "{}", ran.err);
    assert!(ran.err.contains("none of the labels") && ran.err.contains("minilm-static"), "{}", ran.err);
    let report = ran.json();
    assert_eq!(report["task"], "multi_label");
    assert!(metric(&report, "f1_macro") > 0.9 && metric(&report, "subset_accuracy") > 0.8, "{report}");
    assert_eq!(report["labels"][2]["label"], "sport");
    assert!(report["calibration"]["rows"].as_u64().unwrap() > 300, "{report}");

    place.write("new.txt", NEW);
    let expected = [&["music", "sport"][..], &["money"], &[]];
    assert_eq!(labels_of(place.run(&["predict", "run", "new.txt", "--json"])), expected);
    let evaluated = place.run(&["evaluate", "run", "texts.csv", "--json"]).succeeded().json();
    assert!(evaluated["metrics"]["f1_micro"].as_f64().unwrap() > 0.9 && evaluated["rows"] == 400, "{evaluated}");
    // Rows that count differently, and by a column.
    let lines = lists(90);
    let with = |(i, line): (usize, &str)| match i {
        0 => format!("{line},count,where\n"),
        _ => format!("{line},{},{}\n", i % 3, ["north", "south"][i % 2]),
    };
    place.write("counted.csv", lines.lines().enumerate().map(with).collect::<String>());
    let evaluate = ["evaluate", "run", "counted.csv", "--weight", "count", "--by", "where", "--json"];
    let evaluated = place.run(&evaluate).succeeded().json();
    assert_eq!(evaluated["subgroups"]["groups"][1]["name"], "south", "{evaluated}");
    assert!(evaluated["notes"].to_string().contains("rows count by 'count'"), "{evaluated}");

    // Errors that cost differently much; what nobody may miss is told from a smaller probability on.
    let train = ["train", "texts.csv", "--out", "costs", "--json", "cost.sport=19", "cost.false_positive=1"];
    let report = place.run(&train).succeeded().json();
    let thresholds = &report["costs"]["thresholds"];
    assert!((thresholds["sport"].as_f64().unwrap() - 0.05).abs() < 1e-6, "{report}");
    assert_eq!(thresholds["music"], 0.5);
    let rows = place.run(&["predict", "costs", "texts.csv", "--json"]).succeeded().json();
    for row in rows.as_array().unwrap() {
        let told = row["labels"].as_array().unwrap().contains(&json!("sport"));
        assert_eq!(told, row["probabilities"]["sport"].as_f64().unwrap() >= 0.05, "{row}");
    }
    let told = place.run(&["evaluate", "costs", "texts.csv"]).succeeded().out;
    assert!(told.contains("'sport' from 0.05") && told.contains("each label is predicted from 0.5 on"), "{told}");
    place.run(&["train", "texts.csv", "cost.chess=2"]).is_refusal(&["cost.chess", "no label 'chess'"]);

    place.write("other.csv", lists(30).replace("music", "chess"));
    place.run(&["evaluate", "run", "other.csv"]).is_refusal(&["other.csv", "chess", "music"]);
    place.write("letters/music/1.txt", "the singer");
    place.run(&["evaluate", "run", "letters"]).is_refusal(&["letters", "labels", "table"]);
    place.run(&["report", "run"]).succeeded();
    let page = std::fs::read_to_string(place.path("run/report.html")).unwrap();
    assert!(page.contains("sport") && page.contains("music"), "the page names the labels");
    // Each cell is a class where that is asked for.
    let classes = ["train", "texts.csv", "task=classification", "--out", "classes", "--json", "--epochs", "2"];
    assert_eq!(place.run(&classes).succeeded().json()["task"], "classification");
}

#[test]
fn columns_of_flags_and_lists_of_json_are_learned_from_nothing() {
    let place = Place::new();
    place.write("columns.csv", columns(300));
    let train = ["train", "columns.csv", "--target", "money,music,sport", "--from", "scratch", "--model", "gru"];
    let ran = place.run(&[&train[..], &["--out", "columns", "--json", "--epochs", "20"]].concat()).succeeded();
    assert!(ran.err.contains("6 rows without target are left out"), "{}", ran.err);
    assert!(ran.err.contains("and beside them 'length'"), "{}", ran.err);
    assert!(metric(&ran.json(), "f1_macro") > 0.8, "{}", ran.out);
    let evaluated = place.run(&["evaluate", "columns", "columns.csv", "--json"]).succeeded().json();
    assert_eq!(evaluated["rows"], 294);
    assert!(evaluated["metrics"]["f1_micro"].as_f64().unwrap() > 0.8, "{evaluated}");
    let predicted = labels_of(place.run(&["predict", "columns", "columns.csv", "--json"]));
    let right = (0..300).filter(|&i| predicted[i] == labels(text(i).1)).count();
    assert!(predicted.len() == 300 && right > 200, "{right}");

    place.write("texts.jsonl", json_lines(300));
    let train = ["train", "texts.jsonl", "--target", "labels", "--out", "json", "--json"];
    let ran = place.run(&train).succeeded();
    assert!(ran.err.contains("cells of 'labels' are lists of labels"), "{}", ran.err);
    assert!(metric(&ran.json(), "f1_macro") > 0.9, "{}", ran.out);
    let evaluated = place.run(&["evaluate", "json", "texts.jsonl", "--json"]).succeeded().json();
    assert!(evaluated["metrics"]["f1_micro"].as_f64().unwrap() > 0.9, "{evaluated}");
}

#[test]
fn a_published_network_learns_labels_too() {
    let place = Place::new();
    // The numbers of the texts are no words of it, which has only few.
    let texts: Vec<String> = (0..150).map(|i| text(i).0).collect();
    let words = texts.iter().flat_map(|text| text.split(' ')).filter(|word| !word.starts_with(char::is_numeric));
    drawn_texts::publish(&place, "bert", words);
    place.write("texts.csv", lists(150));
    for unfreeze in ["none", "all"] {
        let train = ["train", "texts.csv", "--from", "bert", "--unfreeze", unfreeze, "--out", unfreeze, "--json"];
        let report = place.run(&[&train[..], &["--epochs", "3"]].concat()).succeeded().json();
        assert_eq!(report["task"], "multi_label", "{report}");
        assert!(metric(&report, "log_loss").is_finite());
        let evaluated = place.run(&["evaluate", unfreeze, "texts.csv", "--json"]).succeeded().json();
        assert_eq!(evaluated["labels"].as_array().unwrap().len(), 3);
    }
}

#[test]
fn what_cannot_be_learned_of_texts_is_told() {
    let place = Place::new();
    place.write("columns.csv", columns(40).replace(",0,0\n", ",0,perhaps\n"));
    let train = |more: &[&str]| place.run(&[&["train", "columns.csv"][..], more].concat());
    train(&["--target", "money,music,sport"]).is_refusal(&["columns.csv", "sport", "perhaps", "neither 0 nor 1"]);
    train(&["--target", "money,music", "task=regression"]).is_refusal(&["task", "one target column"]);
    train(&["--target", "money,words", "--text", "words"]).is_refusal(&["text", "words", "target"]);
    place.write("letters/good/1.txt", "a text");
    place.write("letters/bad/1.txt", "another text");
    place.run(&["train", "letters", "task=multi_label"]).is_refusal(&["task", "folder"]);
}

#[test]
fn ways_to_learn_labels_of_texts_are_compared() {
    let place = Place::new();
    place.write("texts.csv", lists(240));
    let compare = ["compare", "texts.csv", "--time", "2m", "folds=2", "epochs=2", "--json", "--quiet"];
    let found = place.run(&compare).succeeded().json();
    assert_eq!((&found["task"], &found["metric"]), (&json!("multi_label"), &json!("f1_micro")), "{found:#}");
    let ways: Vec<&Value> = found["ways"].as_array().unwrap().iter().collect();
    let names: Vec<&str> = ways.iter().map(|way| way["name"].as_str().unwrap()).collect();
    for name in ["label-shares", "logistic-regression", "last-layer", "logistic-regression-on-features"] {
        assert!(names.contains(&name), "{name} is not in {names:?}: {found:#}");
    }
    assert!(!names.iter().any(|name| name.contains("neighbours")), "{names:?}");
    let value = |name: &str| ways.iter().find(|way| way["name"] == name).unwrap()["value"].as_f64().unwrap();
    assert!(value("logistic-regression") > value("label-shares") + 0.2, "{found:#}");
    assert_ne!(found["recommended"], "label-shares");
    place.write("new.txt", NEW);
    for way in &ways {
        let run = way["run"].as_str().unwrap();
        assert_eq!(labels_of(place.run(&["predict", run, "new.txt", "--json"])).len(), 3, "{run}");
    }
    place.run(&["compare", "texts.csv", "--metric", "accuracy"]).is_refusal(&["metric", "f1_micro"]);
}
