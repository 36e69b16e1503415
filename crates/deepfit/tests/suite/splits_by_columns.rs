//! Runs whose rows are divided by a column: groups, times, named parts; resumed, and refused where that cannot be.

use std::collections::HashSet;
use std::fs;

use serde_json::Value;

use crate::program::{Place, signal, wait_for_epoch};

/// Visits of patients: `rows` of them, 12 of each, one after the other in time.
fn visits(rows: usize) -> String {
    let line = |i: usize| {
        let (x, z) = ((i * 7919 % 1009) as f64 / 100.0, (i * 104_729 % 997) as f64 / 100.0);
        let y = if x + z > 10.0 { "ill" } else { "well" };
        format!("{x},{z},p{},2024-{:02}-{:02},{y}\n", i / 12, 1 + i * 12 / rows, 1 + (i * 336 / rows) % 28)
    };
    String::from("x,z,patient,day,y\n") + &(0..rows).map(line).collect::<String>()
}

fn parts(place: &Place, run: &str) -> [Vec<usize>; 3] {
    let split: Value = serde_json::from_str(&fs::read_to_string(place.path(run).join("split.json")).unwrap()).unwrap();
    ["train", "validation", "test"].map(|part| serde_json::from_value(split[part].clone()).unwrap())
}

#[test]
fn a_run_keeps_groups_whole_and_ends_with_the_same_bits_when_resumed() {
    let place = Place::new();
    place.write("visits.csv", visits(6000));
    let options = ["--group", "patient", "--epochs", "60", "folds=3", "refit=true"];
    place.trained("visits.csv", "whole", &options);
    let patients = |rows: &Vec<usize>| rows.iter().map(|row| row / 12).collect::<HashSet<usize>>();
    let sets = parts(&place, "whole").map(|rows| patients(&rows));
    assert_eq!(sets.iter().map(HashSet::len).sum::<usize>(), 500, "no patient is on two sides");
    assert!(sets.iter().all(|set| set.len() > 40));
    let arguments = [&["train", "visits.csv", "--out", "run"][..], &options].concat();
    let mut child = place.start(&arguments);
    let rest = wait_for_epoch(&mut child);
    signal(&child, "INT");
    let told = rest();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{told}");
    place.run(&["train", "--resume", "run", "--quiet"]).succeeded();
    let weights = |run: &str| fs::read(place.path(run).join("model/model.safetensors")).unwrap();
    assert!(weights("run") == weights("whole"), "the resumed run gives another model");
    // Neither the column of groups nor that of times is needed of new rows.
    place.write("new.csv", "x,z,day\n9,9,2024-02-03\n1,1,2024-02-03\n");
    let rows = place.run(&["predict", "run", "new.csv", "--json"]).succeeded().json();
    assert!(rows[0]["prediction"] == "ill" && rows[1]["prediction"] == "well", "{rows}");
}

#[test]
fn the_later_rows_are_tested_on_and_folds_follow_each_other() {
    let place = Place::new();
    place.write("visits.csv", visits(336));
    let ran = place.run(&["train", "visits.csv", "--time-split", "day", "--epochs", "3", "--out", "run"]).succeeded();
    assert!(ran.err.contains("divided by 'day'"), "{}", ran.err);
    let [train, validation, test] = parts(&place, "run");
    assert!(train.iter().max() < validation.iter().min() && validation.iter().max() < test.iter().min());
    assert!(test.len().abs_diff(67) <= 2 && validation.len().abs_diff(34) <= 2);
}

#[test]
fn a_column_of_parts_decides_and_what_cannot_divide_is_refused() {
    let place = Place::new();
    let text = visits(300).replace("x,z,patient", "x,z,part");
    let named: String = text
        .lines()
        .enumerate()
        .map(|(i, line)| match i {
            0 => format!("{line}\n"),
            _ => {
                let (begin, end) = (line.split(",p").next().unwrap(), line.split(",2024").nth(1).unwrap());
                format!("{begin},{},2024{end}\n", ["train", "train", "train", "val", "test"][i % 5])
            }
        })
        .collect();
    place.write("parts.csv", named);
    place.run(&["train", "parts.csv", "--split", "part", "--epochs", "3", "--out", "run"]).succeeded();
    let [train, validation, test] = parts(&place, "run");
    assert_eq!((train.len(), validation.len(), test.len()), (180, 60, 60));
    place.write("visits.csv", visits(120));
    place.refuses(&["visits.csv", "--group", "patiant"], &["did you mean 'patient'"]);
    place.refuses(&["visits.csv", "--group", "patient", "folds=40"], &["40 folds", "groups"]);
    place.refuses(&["visits.csv", "--group", "patient", "--time-split", "day"], &["give one of them"]);
    place.refuses(&["visits.csv", "--time-split", "patient"], &["'patient'", "is no time"]);
    place.refuses(&["visits.csv", "--split", "patient"], &["neither train, validation nor test"]);
}

#[test]
fn groups_of_one_and_equal_times_are_told() {
    let place = Place::new();
    let row = |i: usize| format!("{i},{},2024-05-01,{}\n", i * 7 % 19, if i.is_multiple_of(2) { "a" } else { "b" });
    let rows: String = (0..40).map(row).collect();
    place.write("visits.csv", format!("patient,x,day,kind\n{rows}"));
    let words = ["visits.csv", "--group", "patient", "--epochs", "1", "hidden=[4]", "--out", "run"];
    let told = place.run(&[&["train"], &words[..]].concat()).succeeded().err;
    assert!(told.contains("each row is a group of its own by 'patient'"), "{told}");
    let words = ["1 different time(s), and 3 are needed", "name another column by `time_split`"];
    place.refuses(&["visits.csv", "--time-split", "day"], &words);
    let one: String = (0..40).map(|i| format!("same,{i},{}\n", i % 2)).collect();
    place.write("one.csv", format!("patient,x,kind\n{one}"));
    place.refuses(&["one.csv", "--group", "patient"], &["one value in the column 'patient'", "leave `group` away"]);
    place.refuses(&["visits.csv", "folds=50"], &["`folds`", "50 folds of", "use at most"]);
}
