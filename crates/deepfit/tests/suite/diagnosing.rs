//! `deepfit diagnose` on planted cases: wrong labels, a curve that still falls, networks that learn by heart.

use std::fs;

use serde_json::Value;

use crate::program::{Place, signal};

/// Rows of two numbers whose class is the quadrant's parity; of some rows the label is wrong. Returns their numbers.
fn planted(place: &Place, rows: usize) -> Vec<usize> {
    let mut text = String::from("a,b,sign\n");
    let mut wrong = Vec::new();
    for i in 0..rows {
        let (a, b) = ((i * 7919 % 1009) as f64 / 504.5 - 1.0, (i * 104_729 % 997) as f64 / 498.5 - 1.0);
        let (clear, flips) = ((a * b).abs() > 0.1, i % 25 == 3);
        let same = (a * b > 0.0) != (clear && flips);
        if clear && flips {
            wrong.push(i);
        }
        text += &format!("{a:.4},{b:.4},{}\n", if same { "same" } else { "other" });
    }
    place.write("planted.csv", text);
    wrong
}

const QUICK: [&str; 6] = ["members=2", "hidden=[16]", "epochs=12", "folds=1", "batch=16", "lr=0.02"];

#[test]
fn wrong_labels_the_gain_of_more_rows_and_memorising_are_found() {
    let place = Place::new();
    let wrong = planted(&place, 600);
    place.run(&[&["train", "planted.csv", "--out", "run", "--quiet"], &QUICK[..]].concat()).succeeded();
    let ran = place.run(&["diagnose", "run", "--goal", "0.97", "--json"]).succeeded();
    let found = ran.json();
    // The curve: sizes in rising order, each with what its trainings reached.
    let points = found["curve"]["points"].as_array().unwrap();
    let sizes: Vec<u64> = points.iter().map(|point| point["rows"].as_u64().unwrap()).collect();
    assert_eq!(sizes, [48, 96, 192, 336, 480]);
    assert_eq!(points[0]["values"].as_array().unwrap().len(), 3, "{found:#}");
    let mean = |at: usize| points[at]["mean"].as_f64().unwrap();
    assert!(mean(4) > mean(0), "{found:#}");
    assert!(
        found["curve"]["held_back"].as_array().unwrap().len() == 2
            && found["curve"]["law"]["c"].as_f64().unwrap() > 0.0
    );
    assert_eq!(found["curve"]["goal"]["goal"], 0.97);
    assert!(found["curve"]["goal"]["sentence"].as_str().unwrap().contains("accuracy 0.97"), "{found:#}");
    // Most of what is planted is among what is suspected, and most of what is suspected is planted.
    let table = fs::read_to_string(place.path("run/label-errors.csv")).unwrap();
    let suspected: Vec<usize> =
        table.lines().skip(1).map(|line| line.split(',').next().unwrap().parse().unwrap()).collect();
    assert_eq!(suspected.len() as u64, found["label_errors"]["suspected"].as_u64().unwrap());
    let hits = suspected.iter().filter(|row| wrong.contains(row)).count();
    assert!(2 * hits > wrong.len(), "{hits} of {} planted among {}", wrong.len(), suspected.len());
    let first = suspected.iter().take(10).filter(|row| wrong.contains(row)).count();
    assert!(first >= 6, "{first} of the ten most suspicious: {suspected:?} and {wrong:?}");
    // Shuffled labels are not foretold.
    assert_eq!(found["control"]["falls_to_chance"], true, "{found:#}");
    // Everything is kept: asked again, nothing is trained, and what was found is the same but for the time.
    let begun = fs::metadata(place.path("run/diagnosis/shuffled-labels.json")).unwrap().modified().unwrap();
    let again = place.run(&["diagnose", "run", "--goal", "0.97", "--json"]).succeeded().json();
    assert_eq!(again["curve"], found["curve"]);
    assert_eq!(fs::metadata(place.path("run/diagnosis/shuffled-labels.json")).unwrap().modified().unwrap(), begun);
    // People see it, too.
    let text = place.run(&["diagnose", "run"]).succeeded().out;
    for words in ["More data", "Labels", "Shuffled labels", "look wrong", "with twice as many rows"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    place.run(&["report", "run"]).succeeded();
    let page = fs::read_to_string(place.path("run/report.html")).unwrap();
    for words in ["What it could gain", "What more data would give", "Labels that may be wrong", "Does it overfit?"] {
        assert!(page.contains(words), "{words}");
    }
}

#[test]
fn what_cannot_be_diagnosed_is_refused_and_what_is_left_out_is_told() {
    let place = Place::new();
    planted(&place, 70);
    place.run(&[&["train", "planted.csv", "--out", "run", "--quiet"], &QUICK[..]].concat()).succeeded();
    place.run(&["diagnose", "run", "--goal", "1.5"]).is_refusal(&["goal", "below 1"]);
    place.run(&["diagnose", "nowhere"]).is_refusal(&["nowhere", "does not exist"]);
    // Few rows and no time: what can be done is done, and the rest is named.
    let found: Value = place.run(&["diagnose", "run", "--time", "0.0001s", "--json"]).succeeded().json();
    let notes = found["notes"].to_string();
    assert!(notes.contains("time is used up") && notes.contains("60 or more"), "{notes}");
    assert_eq!(found["curve"], Value::Null);
    fs::remove_file(place.path("planted.csv")).unwrap();
    place.run(&["diagnose", "run"]).is_refusal(&["planted.csv", "no longer there"]);
    place.write("text.txt", "the cat sat on the mat and the dog sat on the log. ".repeat(200));
    let small = ["epochs=1", "vocabulary=300", "max_tokens=16", "model=rnn"];
    place.run(&[&["train", "text.txt", "--out", "text", "--quiet"], &small[..]].concat()).succeeded();
    place.run(&["diagnose", "text"]).is_refusal(&["next_token", "pictures, texts or rows"]);
}

#[test]
fn a_diagnosis_that_was_stopped_goes_on() {
    let place = Place::new();
    planted(&place, 300);
    place.run(&[&["train", "planted.csv", "--out", "run", "--quiet"], &QUICK[..]].concat()).succeeded();
    let child = place.start(&["diagnose", "run", "--quiet"]);
    // As soon as something is kept.
    while !place.path("run/diagnosis").is_dir() || fs::read_dir(place.path("run/diagnosis")).unwrap().count() < 2 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    signal(&child, "INT");
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).to_string();
    if output.status.code() == Some(130) {
        assert!(told.contains("goes on from there") && !place.path("run/diagnosis.json").exists(), "{told}");
    }
    let found = place.run(&["diagnose", "run", "--json"]).succeeded().json();
    assert!(found["curve"]["points"].as_array().unwrap().len() >= 4 && found["control"].is_object(), "{found:#}");
}
