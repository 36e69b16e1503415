//! `deepfit predict`.

use std::fs;

use crate::program::{Place, digits, example};

#[test]
fn rows_from_standard_input_become_classes_with_probabilities() {
    let place = Place::new();
    place.trained(&example("breast-cancer.csv"), "run", &[]);
    let text = fs::read_to_string(example("breast-cancer.csv")).unwrap();
    // The target may be absent: it is what is asked for.
    let rows: Vec<&str> = text.lines().take(71).map(|line| line.rsplit_once(',').unwrap().0).collect();
    let input = rows.join("\n") + "\n";
    let ran = place.feed(&["predict", "run", "-", "--json"], input.as_bytes()).succeeded();
    let predictions = ran.json();
    let predictions = predictions.as_array().unwrap();
    assert_eq!(predictions.len(), 70);
    for prediction in predictions {
        let probabilities = prediction["probabilities"].as_object().unwrap();
        let sum: f64 = probabilities.values().map(|p| p.as_f64().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-5 && probabilities.len() == 2, "{prediction}");
        let chosen = probabilities[prediction["prediction"].as_str().unwrap()].as_f64().unwrap();
        assert!(chosen >= 0.5 && prediction["input"].is_string(), "{prediction}");
    }
    assert_eq!(ran.out, place.feed(&["predict", "run", "-", "--format", "json"], input.as_bytes()).succeeded().out);

    let csv = place.feed(&["predict", "run", "-", "--format", "csv"], input.as_bytes()).succeeded().out;
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(
        (lines[0], lines.len()),
        ("input,prediction,probability_benign,probability_malignant,set,unlike_training", 71)
    );
    let first = lines[1].split(',').nth(1).unwrap();
    assert_eq!(predictions[0]["prediction"], first);

    let shown = place.feed(&["predict", "run", "-"], input.as_bytes()).succeeded().out;
    assert_eq!(shown.lines().count(), 71, "{shown}");
    let column = |line: &str| line.find(".").unwrap();
    assert!(shown.lines().skip(1).all(|line| column(line) == column(shown.lines().nth(1).unwrap())), "{shown}");
}

#[test]
fn a_regression_gives_values() {
    let place = Place::new();
    place.trained(&example("diabetes.csv"), "run", &[]);
    let predictions = place.run(&["predict", "run", &example("diabetes.csv"), "--json"]).succeeded().json();
    let predictions = predictions.as_array().unwrap();
    assert_eq!(predictions.len(), 442);
    assert!(predictions.iter().all(|p| p["value"].as_f64().unwrap() > 0.0 && p["prediction"] == p["value"]));
    assert!(predictions[0].get("probabilities").is_none());
}

#[test]
fn pictures_in_folders_and_archives_are_predicted_and_bad_ones_reported() {
    let place = Place::new();
    place.trained(&example("digits.zip"), "run", &["--epochs", "4"]);
    let pictures = digits(&["0", "6"], 10);
    for (name, png) in &pictures {
        place.write(&format!("new/{name}"), png);
    }
    let ran = place.run(&["predict", "run", "new", "--json"]).succeeded();
    let predictions = ran.json();
    let predictions = predictions.as_array().unwrap();
    assert_eq!((predictions.len(), ran.err.as_str()), (20, ""));
    let right = predictions
        .iter()
        .filter(|p| p["input"].as_str().unwrap().contains(&format!("{}/", p["prediction"].as_str().unwrap())))
        .count();
    assert!(right >= 15, "{right} of 20 digits");

    place.write("new/6/torn.png", &pictures[0].1[..50]);
    let misnamed = place.write("notes.png", "these are words");
    let misnamed = misnamed.to_str().unwrap();
    let ran = place.run(&["predict", "run", "new", misnamed, "--format", "csv"]);
    assert_eq!((ran.code, ran.out.lines().count()), (Some(2), 21), "{ran:#?}");
    for word in ["torn.png", "notes.png", "2 inputs"] {
        assert!(ran.err.contains(word), "`{word}` is not in {}", ran.err);
    }
}

#[test]
fn every_picture_that_cannot_be_read_is_named_by_its_path() {
    let place = Place::new();
    place.trained(&example("digits.zip"), "run", &["--epochs", "1"]);
    let png = &digits(&["0"], 1)[0].1;
    // Its header is whole: only decoding finds the damage.
    let cut = &png[..60];
    for name in ["cut.png", "folder/one.png", "folder/deeper/two.png"] {
        place.write(name, cut);
    }
    place.write("words.png", "these are words");
    place.write("good.png", png);
    for (inputs, named, predicted) in [
        (&["cut.png"][..], &["cut.png: "][..], 0),
        (&["folder"], &["folder/one.png: ", "folder/deeper/two.png: "], 0),
        (&["words.png", "nowhere.png", "cut.png"], &["words.png: ", "nowhere.png: does not exist", "cut.png: "], 0),
        (&["words.png", "nowhere.png"], &["words.png: ", "nowhere.png: does not exist"], 0),
        (&["good.png", "nowhere.png"], &["nowhere.png: does not exist"], 1),
    ] {
        let ran = place.run(&[&["predict", "run", "--json"], inputs].concat());
        assert_eq!((ran.code, ran.json().as_array().unwrap().len()), (Some(2), predicted), "{ran:#?}");
        let count = format!(
            "{} could not be read, {predicted} predicted",
            ["", "1 input", "2 inputs", "3 inputs"][named.len()]
        );
        for line in named.iter().copied().chain([count.as_str()]) {
            assert!(ran.err.lines().any(|l| l.starts_with(line) || l.ends_with(line)), "`{line}`: {ran:#?}");
        }
    }
    place.write("empty/notes.txt", "");
    place.run(&["predict", "run", "empty"]).is_refusal(&["'empty' holds no images", "give image files"]);
    place.feed(&["predict", "run", "-"], b"a,b\n").is_refusal(&["'standard input'", "trained on images"]);
}

#[test]
fn wrong_columns_and_inputs_are_refused() {
    let place = Place::new();
    place.trained(&example("diabetes.csv"), "run", &[]);
    let wrong = fs::read_to_string(example("diabetes.csv")).unwrap().replacen("bmi", "mass", 1);
    place.feed(&["predict", "run", "-"], wrong.as_bytes()).is_refusal(&["standard input", "'bmi'", "mass"]);
    place.feed(&["predict", "run", "-", "--json"], b"").is_refusal(&["standard input"]);
    place.run(&["predict", "run", "nowhere.csv"]).is_refusal(&["nowhere.csv"]);
    place.run(&["predict", "run", "-", "-"]).is_refusal(&["more than once"]);
    let table = example("diabetes.csv");
    place.run(&["predict", "run", "-", &table]).is_refusal(&["one table at a time"]);
    place.run(&["predict", "run", &table, &table]).is_refusal(&["2 inputs", "one table at a time"]);
    place.run(&["predict", "run", &example("digits.zip")]).is_refusal(&[
        "digits.zip",
        "zip archive",
        "trained on a table",
    ]);
    place.run(&["predict", "nowhere", "-"]).is_refusal(&["nowhere", "does not exist"]);
    place.write("empty/x", "");
    place.run(&["predict", "empty", "-"]).is_refusal(&[
        "empty",
        "neither a run folder nor a model folder",
        "deepfit train",
    ]);
    let ragged = "age,sex,bmi,bp,s1,s2,s3,s4,s5,s6\n59,2,32.1,101,157,93.2,38,4,4.8598,87\n59,2,32.1\n";
    let ran = place.feed(&["predict", "run", "-", "--json"], ragged.as_bytes());
    assert_eq!(ran.code, Some(2), "{ran:#?}");
    assert!(ran.err.contains("row 2"), "{}", ran.err);
}
