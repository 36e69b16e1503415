//! Tables of features whose rows have any number of labels.

use serde_json::Value;

use crate::program::{Place, labels_of, metric};

/// The labels of a row: each follows a column of its own, and one both.
fn flags(i: usize) -> (f64, f64, [bool; 3]) {
    let number = |k: usize| ((i * k + i * i * 31) % 1009) as f64 / 1009.0;
    let (x, z) = (number(7919), number(104_729));
    (x, z, [x > 0.6, z > 0.5, x + z > 1.5])
}

/// Columns of 0 and 1; some cells are empty.
fn in_columns(rows: usize) -> String {
    let line = |i: usize| {
        let (x, z, of) = flags(i);
        let cell = |k: usize| match (i % 50, k) {
            (7, 1) => "",
            _ if of[k] => "1",
            _ => "0",
        };
        format!("{x:.4},{},{z:.4},{},{}\n", cell(0), cell(1), cell(2))
    };
    String::from("x,left,z,right,far\n") + &(0..rows).map(line).collect::<String>()
}

/// The same as lists in one column.
fn in_lists(rows: usize) -> String {
    let line = |i: usize| {
        let (x, z, of) = flags(i);
        let names = ["left", "right", "far"].iter().zip(of).filter(|(_, has)| *has).map(|(name, _)| *name);
        format!("{x:.4},{z:.4},{}\n", names.collect::<Vec<_>>().join("|"))
    };
    String::from("x,z,found\n") + &(0..rows).map(line).collect::<String>()
}

#[test]
fn columns_of_flags_and_lists_are_learned_alike() {
    let place = Place::new();
    place.write("columns.csv", in_columns(600));
    place.write("lists.csv", in_lists(600));
    let columns = ["train", "columns.csv", "--target", "left,right,far", "--out", "columns", "--json"];
    let ran = place.run(&columns).succeeded();
    assert!(ran.err.contains("12 rows without target are left out"), "{}", ran.err);
    assert!(metric(&ran.json(), "f1_macro") > 0.9, "{}", ran.out);
    let lists = place.run(&["train", "lists.csv", "task=multi_label", "--out", "lists", "--json", "--model", "mlp"]);
    let lists = lists.succeeded();
    assert!(metric(&lists.json(), "f1_macro") > 0.9, "{}", lists.out);

    let new = "z,x\n0.9,0.9\n0.1,0.9\n0.2,0.1\n0.9,0.1\n";
    place.write("new.csv", new);
    let expected = [&["left", "right", "far"][..], &["left"], &[], &["right"]];
    assert_eq!(labels_of(place.run(&["predict", "columns", "new.csv", "--json"])), expected);
    let mut of_lists = labels_of(place.run(&["predict", "lists", "new.csv", "--json"]));
    of_lists.iter_mut().for_each(|labels| labels.sort());
    assert_eq!(of_lists, [&["far", "left", "right"][..], &["left"], &[], &["right"]]);

    let evaluated = place.run(&["evaluate", "columns", "columns.csv", "--json"]).succeeded();
    assert!(evaluated.json()["metrics"]["f1_macro"].as_f64().unwrap() > 0.9, "{}", evaluated.out);
    assert_eq!(evaluated.json()["rows"], 588);
    let told = place.run(&["explain", "columns", "columns.csv", "--method", "permutation", "--json"]).succeeded();
    let told = told.json();
    let of = |column: &str| told[0]["attributions"][column].as_f64().unwrap();
    assert!(of("x") > 0.1 && of("z") > 0.1, "{told}");
}

#[test]
fn rows_that_count_differently_and_tables_of_their_own_have_labels_too() {
    let place = Place::new();
    let weighted = |rows: std::ops::Range<usize>| {
        let all = in_columns(rows.end);
        let mut lines = all.lines();
        let header = format!("{},weight\n", lines.next().unwrap());
        let of = |(i, line): (usize, &str)| format!("{line},{}\n", 1 + i % 3);
        header + &lines.enumerate().skip(rows.start).map(of).collect::<String>()
    };
    place.write("train.csv", weighted(0..300));
    place.write("test.csv", weighted(300..400));
    let ran = place.run(&[
        "train",
        "train.csv",
        "--target",
        "left,right,far",
        "--weight",
        "weight",
        "--test",
        "test.csv",
        "--out",
        "run",
        "--json",
        "class_weights=true",
    ]);
    let ran = ran.succeeded();
    assert!(metric(&ran.json(), "f1_macro") > 0.8, "{}", ran.out);
}

#[test]
fn what_is_no_label_is_told() {
    let place = Place::new();
    place.write("data.csv", in_columns(60).replace("0,0\n", "0,maybe\n"));
    let train = |more: &[&str]| place.run(&[&["train", "data.csv"][..], more].concat());
    train(&["--target", "left,right,far"]).is_refusal(&["data.csv", "far", "maybe", "neither 0 nor 1"]);
    train(&["--target", "left,nowhere"]).is_refusal(&["nowhere"]);
    train(&["--target", "left,left"]).is_refusal(&["left", "twice"]);
    train(&["--target", "left,right", "task=regression"]).is_refusal(&["task", "one target column"]);
    place.write(
        "same.csv",
        "x,a,b\n1,1,0\n2,1,0\n3,1,0\n4,1,0\n5,1,0\n6,1,0\n7,1,0\n8,1,0\n9,1,0\n10,1,0\n11,1,0\n12,1,0\n",
    );
    place.run(&["train", "same.csv", "--target", "a,b"]).is_refusal(&["same.csv", "a, b"]);
    place.write("few.csv", "x,a,b\n1,1,0\n2,,0\n3,1,\n");
    place.run(&["train", "few.csv", "--target", "a,b"]).is_refusal(&["few.csv", "row"]);
    let metric = ["compare", "data.csv", "--target", "left,right", "--metric", "accuracy"];
    place.run(&metric).is_refusal(&["metric", "multi_label", "f1_micro"]);
}

#[test]
fn ways_to_learn_labels_are_compared() {
    let place = Place::new();
    place.write("columns.csv", in_columns(300));
    let data = ["compare", "columns.csv", "--target", "left,right,far", "--time", "1m"];
    let found = place.run(&[&data[..], &["folds=2", "epochs=3", "members=2", "--json", "--quiet"]].concat());
    let found = found.succeeded().json();
    let ways: Vec<&Value> = found["ways"].as_array().unwrap().iter().collect();
    let names: Vec<&str> = ways.iter().map(|way| way["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["label-shares", "logistic-regression", "boosted-trees", "network"], "{found:#}");
    assert_eq!(found["metric"], "f1_micro");
    let value = |at: usize| ways[at]["value"].as_f64().unwrap();
    assert!(value(1) > 0.8 && value(2) > 0.9 && value(0) < 0.6, "{found:#}");
    assert!(["logistic-regression", "boosted-trees"].contains(&found["recommended"].as_str().unwrap()), "{found:#}");
    place.write("new.csv", "z,x\n0.9,0.9\n0.1,0.9\n0.2,0.1\n0.9,0.1\n");
    let expected = [&["left", "right", "far"][..], &["left"], &[], &["right"]];
    let trees = ways[2]["run"].as_str().unwrap();
    assert_eq!(labels_of(place.run(&["predict", trees, "new.csv", "--json"])), expected);
    let evaluated = place.run(&["evaluate", trees, "columns.csv", "--json"]).succeeded().json();
    assert!(evaluated["metrics"]["f1_macro"].as_f64().unwrap() > 0.9, "{evaluated}");
    let told = place.run(&["explain", trees, "new.csv"]).succeeded().out;
    assert!(told.contains('x') && told.contains('z'), "{told}");
}
