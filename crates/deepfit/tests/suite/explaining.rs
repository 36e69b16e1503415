//! Explanations: what was planted in the data is found, in pictures, tables and texts; and what cannot be explained says why.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use image::{Rgb, RgbImage};
use serde_json::Value;

use crate::program::{Place, example};

const SIDE: u32 = 24;
const PATCH: u32 = 6;

/// A number that looks as if it were drawn.
fn drawn(i: u64) -> u64 {
    let mut x = i.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x2545_F491_4F6C_DD1D;
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x ^ (x >> 31)
}

/// A picture of faint noise with a patch of a colour in its upper left corner.
fn with_patch(seed: u64, colour: [u8; 3]) -> RgbImage {
    RgbImage::from_fn(SIDE, SIDE, |x, y| {
        if x < PATCH && y < PATCH {
            return Rgb(colour);
        }
        let noise = |c: u64| 90 + (drawn(seed * 100_003 + u64::from(y * SIDE + x) * 3 + c) % 80) as u8;
        Rgb([noise(0), noise(1), noise(2)])
    })
}

/// Pictures whose class is the colour of their corner, a network that was trained on them, and one of each that is new.
fn patches(place: &Place) -> (PathBuf, [PathBuf; 2]) {
    let write = |path: PathBuf, seed: u64, colour: [u8; 3]| {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        with_patch(seed, colour).save(&path).unwrap();
        path
    };
    let (red, green) = ([220, 40, 40], [40, 200, 60]);
    for i in 0..60 {
        write(place.path(&format!("pictures/red/{i}.png")), i, red);
        write(place.path(&format!("pictures/green/{i}.png")), 1000 + i, green);
    }
    let run =
        place.trained("pictures", "run", &["--from", "scratch", "--epochs", "12", "--seed", "5", "augment.shift=0"]);
    (run, [write(place.path("new-red.png"), 2001, red), write(place.path("new-green.png"), 2002, green)])
}

fn explained(place: &Place, run: &Path, input: &str, more: &[&str]) -> Value {
    let ran = place.run(&[&["explain", run.to_str().unwrap(), input, "--json"], more].concat()).succeeded();
    let all = ran.json();
    assert!(!all.as_array().unwrap().is_empty(), "{all}");
    all
}

/// Share of the strongest pixels, as many as the patch has, that lie in it.
fn share_in_patch(explanation: &Value) -> f64 {
    let rows: Vec<Vec<f64>> = serde_json::from_value(explanation["attributions"].clone()).unwrap();
    assert!(rows.len() == SIDE as usize && rows.iter().all(|row| row.len() == SIDE as usize));
    let all = rows.iter().enumerate().flat_map(|(y, row)| row.iter().enumerate().map(move |(x, value)| (*value, x, y)));
    let mut all: Vec<(f64, usize, usize)> = all.collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    let most = (PATCH * PATCH) as usize;
    let side = PATCH as usize;
    all[..most].iter().filter(|(_, x, y)| *x < side && *y < side).count() as f64 / most as f64
}

#[track_caller]
fn holds(explanation: &Value) {
    let test = &explanation["faithfulness"];
    let number = |value: &Value| value.as_f64().unwrap();
    assert!(number(&test["deletion"]) < number(&test["random"]["deletion"]), "{test}");
    assert!(number(&test["insertion"]) > number(&test["random"]["insertion"]), "{test}");
    assert!(explanation["warning"].is_null(), "{}", explanation["warning"]);
}

fn named(explanation: &Value) -> BTreeMap<String, f64> {
    serde_json::from_value(explanation["attributions"].clone()).unwrap()
}

/// Fails unless the whole report says so.
#[track_caller]
fn names_in_the_report(place: &Place, run: &Path, told: &str) {
    place.run(&["report", run.to_str().unwrap(), "--full"]).succeeded();
    let page = std::fs::read_to_string(run.join("report.html")).unwrap();
    assert!(page.contains(told), "{told}");
}

/// The name with the largest attribution.
fn strongest(explanation: &Value) -> String {
    let all = named(explanation);
    all.iter()
        .fold(None::<(&String, f64)>, |best, (name, &value)| match best {
            Some((_, most)) if most >= value => best,
            _ => Some((name, value)),
        })
        .unwrap()
        .0
        .clone()
}

#[test]
fn every_method_for_pictures_finds_the_patch_that_decides() {
    let place = Place::new();
    let (run, [red, green]) = patches(&place);
    for (input, class) in [(&red, "red"), (&green, "green")] {
        for method in ["grad-cam", "integrated-gradients", "smoothgrad", "occlusion"] {
            let all = explained(&place, &run, input.to_str().unwrap(), &["--method", method]);
            let found = &all[0];
            assert_eq!(found["prediction"], class, "{method}");
            assert_eq!(found["method"], method);
            let share = share_in_patch(found);
            assert!(share >= 0.6, "{method} of {class}: {share}");
            holds(found);
            assert_eq!(found["completeness_error"].is_number(), method == "integrated-gradients");
        }
    }
    // This network makes a row of numbers of its pixels at its end.
    let found = explained(&place, &run, red.to_str().unwrap(), &[]);
    assert_eq!(found[0]["method"], "integrated-gradients");
    let told =
        place.run(&["explain", run.to_str().unwrap(), red.to_str().unwrap(), "--method", "grad-cam"]).succeeded();
    assert!(told.err.contains("each place is weighted by its own gradient"), "{told:?}");
    let nearest = explained(&place, &run, red.to_str().unwrap(), &["--method", "neighbours"]);
    let nearest = nearest[0]["neighbours"].as_array().unwrap().clone();
    assert!(nearest.len() == 5 && nearest.iter().all(|one| one["target"] == "red"), "{nearest:?}");
    names_in_the_report(&place, &run, "What counts most: the upper left of the picture");
}

#[test]
fn a_picture_is_written_beside_what_counts_in_it_and_several_runs_agree() {
    let place = Place::new();
    let (run, [red, green]) = patches(&place);
    let (run, red, green) = (run.to_str().unwrap(), red.to_str().unwrap(), green.to_str().unwrap());
    let ran = place.run(&["explain", run, red, green, "--out", "explained"]).succeeded();
    assert!(ran.out.contains("new-red.png: red") && ran.out.contains("by integrated-gradients"), "{ran:?}");
    for name in ["new-red", "new-green"] {
        let picture = image::open(place.path(&format!("explained/{name}-integrated-gradients.png"))).unwrap().to_rgb8();
        assert!(picture.height() >= 256 && picture.width() > 2 * picture.height(), "{:?}", picture.dimensions());
        // The right half has strong colours where the patch is, and is nearly grey elsewhere.
        let scale = picture.height() / SIDE;
        let colour = |x: u32, y: u32| {
            let Rgb([red, _, blue]) = *picture.get_pixel(picture.height() + 8 + x * scale, y * scale);
            u32::from(red.abs_diff(blue))
        };
        let mean = |from: u32, to: u32| {
            let all = (from..to).flat_map(|y| (from..to).map(move |x| (x, y)));
            all.map(|(x, y)| colour(x, y)).sum::<u32>() / ((to - from) * (to - from))
        };
        assert!(mean(0, PATCH) > 2 * mean(PATCH + 2, SIDE), "{} {}", mean(0, PATCH), mean(PATCH + 2, SIDE));
    }
    let json = |threads: &str| {
        place.run(&["explain", run, red, "--json", "--method", "smoothgrad", "--threads", threads]).succeeded().out
    };
    assert_eq!(json("1"), json("3"));
    // The other class is explained, too, if it is asked for.
    let other = explained(&place, &place.path("run"), red, &["--class", "green", "--method", "integrated-gradients"]);
    assert_eq!((&other[0]["prediction"], &other[0]["class"]), (&"red".into(), &"green".into()));
}

/// A table of six columns and a category, of which one column alone decides: `c` above 50.
fn one_column(place: &Place) -> PathBuf {
    let mut table = String::from("a,b,c,d,e,kind,class\n");
    for i in 0..400 {
        let number = |column: u64| drawn(i * 7 + column) % 1000;
        let c = number(2) as f64 / 10.0;
        let class = if c > 50.0 { "high" } else { "low" };
        let kind = ["x", "y", "z"][(drawn(i + 90_000) % 3) as usize];
        let (a, b, d, e) = (number(0), number(1), number(3), number(4));
        writeln!(table, "{a},{b},{c},{d},{e},{kind},{class}").unwrap();
    }
    place.write("table.csv", table);
    place.write("new.csv", "a,b,c,d,e,kind\n500,400,81.5,300,200,x\n500,400,12.25,300,200,z\n");
    place.trained("table.csv", "run", &["--target", "class", "--epochs", "30"])
}

#[test]
fn every_method_for_tables_finds_the_column_that_decides() {
    let place = Place::new();
    let run = one_column(&place);
    for method in ["shapley", "integrated-gradients", "counterfactual"] {
        let all = explained(&place, &run, "new.csv", &["--method", method]);
        for (found, class) in all.as_array().unwrap().iter().zip(["high", "low"]) {
            assert_eq!(found["prediction"], class, "{method}");
            assert_eq!(strongest(found), "c", "{method}: {}", found["attributions"]);
            if method != "counterfactual" {
                holds(found);
            }
        }
    }
    let shapley = explained(&place, &run, "new.csv", &[]);
    for found in shapley.as_array().unwrap() {
        assert_eq!(found["method"], "shapley");
        let sum: f64 = named(found).values().sum();
        let whole = found["probability"].as_f64().unwrap() - found["expectation"].as_f64().unwrap();
        assert!((sum - whole).abs() < 1e-5, "{sum} {whole}");
        assert_eq!(found["background"], "100 training rows");
    }
    let permutation = explained(&place, &run, "table.csv", &["--method", "permutation"]);
    assert_eq!(strongest(&permutation[0]), "c");
    assert!(permutation[0]["accuracy"].as_f64().unwrap() > 0.9 && named(&permutation[0])["c"] > 0.3);
    holds(&permutation[0]);
    let nearest = explained(&place, &run, "new.csv", &["--method", "neighbours"]);
    assert!(nearest[0]["neighbours"].as_array().unwrap().iter().all(|one| one["target"] == "high"), "{nearest}");
    let shown = nearest[0]["neighbours"][0]["shown"].as_str().unwrap();
    assert!(shown.starts_with("a = ") && shown.contains(", c = "), "{shown}");
    // What was learned by heart counts in rows that were learned from.
    let told = place.run(&["explain", "run", "table.csv", "--method", "permutation"]).succeeded();
    assert!(told.err.contains("has learned from") && told.err.contains("400 rows"), "{told:?}");
    let told = place.run(&["explain", "run", "new.csv"]).succeeded();
    assert!(told.out.contains("in this row") && told.out.contains("adds to the probability"), "{told:?}");
    names_in_the_report(&place, &run, "What counts most: the column 'c'");
}

#[test]
fn dates_are_shown_as_dates_and_what_is_missing_is_told() {
    let place = Place::new();
    let row = |i: u64| {
        let (day, size) = (1 + drawn(i) % 28, drawn(i + 700) % 100);
        let size = if i.is_multiple_of(9) { String::new() } else { size.to_string() };
        format!("2024-{:02}-{day:02},{size},{}\n", 1 + i % 12, if i % 12 > 5 { "late" } else { "early" })
    };
    place.write("visits.csv", format!("visit,size,class\n{}", (0..240).map(row).collect::<String>()));
    place.write("new.csv", "visit,size\n2024-03-09,\n");
    place.trained("visits.csv", "run", &["--target", "class", "--epochs", "5"]);
    let told = place.run(&["explain", "run", "new.csv"]).succeeded();
    assert!(told.out.contains("2024-03-09") && told.out.contains("missing"), "{told:?}");
    place.run(&["report", "run", "--full"]).succeeded();
    let page = std::fs::read_to_string(place.path("run/report.html")).unwrap();
    assert!(page.contains("visit = 2024-"), "{page}");
}

#[test]
fn pictures_whose_edges_are_cut_away_are_told_once() {
    let place = Place::new();
    let (run, [red, _]) = patches(&place);
    let wide = |name: &str| {
        let path = place.path(name);
        RgbImage::from_fn(2 * SIDE, SIDE, |x, y| Rgb([(x * 5) as u8, (y * 9) as u8, 90])).save(&path).unwrap();
        path
    };
    let (one, other) = (wide("one.png"), wide("other.png"));
    let [run, red, one, other] = [&run, &red, &one, &other].map(|path| path.to_str().unwrap());
    let told = place.run(&["explain", run, one, other]).succeeded();
    assert_eq!(told.err.matches("edges along").count(), 1, "{told:?}");
    let told = place.run(&["explain", run, red]).succeeded();
    assert!(!told.err.contains("edges along"), "{told:?}");
    // Several pictures are explained in the report, and blue and red are those of pictures.
    place.run(&["report", run, "--full"]).succeeded();
    let page = std::fs::read_to_string(place.path("run/report.html")).unwrap();
    assert!(page.matches("Left the picture, right what counts in it").count() >= 4);
    assert!(page.contains("red places speak for") && !page.contains("blue and dashed"));
}

#[test]
fn a_counterfactual_is_true_and_in_the_units_of_the_data() {
    let place = Place::new();
    let run = one_column(&place);
    let all = explained(&place, &run, "new.csv", &["--method", "counterfactual"]);
    for (found, (other, a)) in all.as_array().unwrap().iter().zip([("low", "x"), ("high", "z")]) {
        let counterfactual = &found["counterfactual"];
        assert_eq!(counterfactual["prediction"], other);
        let changes = counterfactual["changes"].as_array().unwrap();
        assert!(changes.len() == 1 && changes[0]["column"] == "c", "{changes:?}");
        // It is held against changes of other columns, of which none decides.
        assert!(found["warning"].is_null() && found["faithfulness"]["orders"] == 5, "{found}");
        let to = changes[0]["to"].as_f64().unwrap();
        // The border is at 50, and a network learns it from rows near it.
        assert!((30.0..70.0).contains(&to), "{to}");
        let new = place.write("changed.csv", format!("a,b,c,d,e,kind\n500,400,{to},300,200,{a}\n"));
        let predicted =
            place.run(&["predict", run.to_str().unwrap(), new.to_str().unwrap(), "--json"]).succeeded().json();
        assert_eq!(predicted[0]["prediction"], other);
    }
    let ran = place.run(&["explain", run.to_str().unwrap(), "new.csv", "--method", "counterfactual"]).succeeded();
    assert!(ran.out.contains("would be low if c <= ") && ran.out.contains("would be high if c >= "), "{}", ran.out);
    let ran =
        place.run(&["explain", run.to_str().unwrap(), "new.csv", "--method", "counterfactual", "--class", "high"]);
    let out = ran.succeeded().out;
    assert!(out.contains("'high' is what is predicted already") && out.contains("would be high if c >= "), "{out}");
}

/// Texts of which one word decides.
fn one_word(place: &Place) -> PathBuf {
    const WORDS: [&str; 16] = [
        "table", "river", "seven", "cloud", "paper", "stone", "green", "walk", "north", "glass", "horse", "wheel",
        "bread", "night", "music", "garden",
    ];
    let mut table = String::from("text,class\n");
    for i in 0..300 {
        let mut words: Vec<&str> = (0..8).map(|k| WORDS[(drawn(i * 31 + k) % 16) as usize]).collect();
        let sad = i % 2 == 0;
        words[(drawn(i + 5_000) % 8) as usize] = if sad { "awful" } else { "lovely" };
        writeln!(table, "{},{}", words.join(" "), if sad { "bad" } else { "good" }).unwrap();
    }
    place.write("texts.csv", table);
    place.write("new.txt", "stone horse lovely river night\nmusic paper the awful glass and bread\n");
    place.path("texts.csv")
}

#[test]
fn every_method_for_texts_finds_the_word_that_decides() {
    let place = Place::new();
    one_word(&place);
    // Calibrated probabilities of texts that are all told apart are almost 1 or 0: five words then hardly tell orders apart.
    let begun = place.trained("texts.csv", "begun", &["--target", "class", "calibration=none"]);
    let gru = place.trained(
        "texts.csv",
        "gru",
        &["--target", "class", "--from", "scratch", "--model", "gru", "--epochs", "12"],
    );
    for run in [&begun, &gru] {
        for method in ["occlusion", "integrated-gradients"] {
            let all = explained(&place, run, "new.txt", &["--method", method]);
            for (found, (class, word)) in all.as_array().unwrap().iter().zip([("good", "lovely"), ("bad", "awful")]) {
                assert_eq!(found["prediction"], class, "{method}");
                assert_eq!(strongest(found), word, "{} {method}: {}", run.display(), found["attributions"]);
                holds(found);
            }
        }
    }
    let ran = place.run(&["explain", begun.to_str().unwrap(), "new.txt", "--out", "pages"]).succeeded();
    assert!(ran.out.contains("lovely") && ran.out.contains(" of 5 random orders"), "{}", ran.out);
    let page = std::fs::read_to_string(place.path("pages/row-0-occlusion.html")).unwrap();
    assert!(page.contains(">lovely</span>") && page.contains("rgba(220,30,40,0.850)"), "{page}");
    let piped = place.feed(&["explain", begun.to_str().unwrap(), "-", "--json"], b"river lovely stone\n").succeeded();
    assert_eq!(strongest(&piped.json()[0]), "lovely");
}

#[test]
fn an_explanation_that_is_no_better_than_chance_says_so() {
    let place = Place::new();
    let run = one_column(&place);
    // All rows are far on one side of the border, so that nothing depends on any column.
    let row =
        |i: u64| format!("{},{},95,{},{},x,high\n", drawn(i) % 1000, drawn(i + 70) % 1000, drawn(i + 140) % 1000, i);
    place.write("alike.csv", format!("a,b,c,d,e,kind,class\n{}", (100..140).map(row).collect::<String>()));
    let ran = place.run(&["explain", run.to_str().unwrap(), "alike.csv", "--method", "permutation"]).succeeded();
    assert!(ran.out.contains("warning: no better than chance on this input"), "{}", ran.out);
    let found = explained(&place, &run, "alike.csv", &["--method", "permutation"]);
    assert!(found[0]["warning"].as_str().unwrap().contains("Do not rely on it"), "{found}");
}

#[test]
fn what_cannot_be_explained_says_why() {
    let place = Place::new();
    let run = one_column(&place);
    let run = run.to_str().unwrap();
    let refuses = |arguments: &[&str], words: &[&str]| place.run(&[&["explain"], arguments].concat()).is_refusal(words);
    refuses(&[run, "new.csv", "--class", "hihg"], &["knows no class 'hihg'", "high, low", "did you mean 'high'?"]);
    refuses(&[run, "new.csv", "--method", "grad-cam"], &["grad-cam is not for a model of tables", "shapley"]);
    refuses(&[run, "new.csv", "--layer", "conv1"], &["--layer 'conv1' is for grad-cam"]);
    refuses(&[run, "new.csv", "--method", "permutation"], &["class"]);
    refuses(&[run, "missing.csv"], &["missing.csv", "does not exist"]);
    with_patch(1, [1, 2, 3]).save(place.path("picture.png")).unwrap();
    refuses(&[run, "picture.png"], &["picture.png", "the model was trained on a table"]);
    refuses(&["efficientnet-lite0", "new.csv"], &["new.csv", "not an image"]);
    refuses(&["efficientnet-lite0", "picture.png", "--layer", "head.none"], &["head.none", "there is no such layer"]);
    refuses(&["efficientnet-lite0", "picture.png", "--method", "neighbours"], &["only a run folder"]);
    refuses(&["minilm-static", "new.csv"], &["new.csv", "two columns of texts"]);
    refuses(&["no-run", "new.csv"], &["no-run", "does not exist"]);
    // A run that has not ended, and one that is damaged.
    std::fs::create_dir_all(place.path("running/checkpoint")).unwrap();
    std::fs::copy(place.path("run/settings.toml"), place.path("running/settings.toml")).unwrap();
    refuses(&["running", "new.csv"], &["its training has not ended"]);
    // As a process that trains holds it.
    let settings = std::fs::File::open(place.path("running/settings.toml")).unwrap();
    settings.lock().unwrap();
    refuses(&["running", "new.csv"], &["it is being trained by another process", "wait"]);
    settings.unlock().unwrap();
    refuses(&[run, "new.csv", "--out", "new.csv"], &["--out 'new.csv' is a file"]);
    std::fs::write(place.path("run/model/model.safetensors"), b"nonsense").unwrap();
    refuses(&[run, "new.csv"], &["model.safetensors", "is damaged"]);
}

#[test]
fn a_regression_is_explained_in_its_unit_and_training_data_that_is_gone_is_told() {
    let place = Place::new();
    std::fs::copy(example("diabetes.csv"), place.path("diabetes.csv")).unwrap();
    let run = place.trained("diabetes.csv", "run", &["--epochs", "20"]);
    let rows: Vec<String> =
        std::fs::read_to_string(place.path("diabetes.csv")).unwrap().lines().map(str::to_string).collect();
    place.write("some.csv", rows[..4].join("\n"));
    let all = explained(&place, &run, "some.csv", &[]);
    for found in all.as_array().unwrap() {
        assert_eq!(found["unit"], "value");
        let sum: f64 = named(found).values().sum();
        let whole = found["prediction"].as_f64().unwrap() - found["expectation"].as_f64().unwrap();
        assert!((sum - whole).abs() < 1e-2, "{sum} {whole}");
    }
    let refused = place.run(&["explain", run.to_str().unwrap(), "some.csv", "--method", "counterfactual"]);
    refused.is_refusal(&["the model predicts a number"]);
    let refused = place.run(&["explain", run.to_str().unwrap(), "some.csv", "--class", "yes"]);
    refused.is_refusal(&["the model predicts a number"]);
    // Other data in the same place is not what was learned from.
    place.write("diabetes.csv", rows[..rows.len() - 1].join("\n") + "\n");
    let changed = "diabetes.csv': has changed since the run";
    let ran = place.run(&["explain", run.to_str().unwrap(), "some.csv"]).succeeded();
    assert!(ran.err.contains(changed) && ran.err.contains("rows of the input stand in"), "{ran:?}");
    place.run(&["explain", run.to_str().unwrap(), "some.csv", "--method", "neighbours"]).is_refusal(&[changed]);
    let ran = place.run(&["report", run.to_str().unwrap(), "--full"]).succeeded();
    assert!(ran.err.contains("the test rows cannot be looked at again") && ran.err.contains(changed), "{ran:?}");
    let ran = place.run(&["evaluate", run.to_str().unwrap(), "diabetes.csv"]).succeeded();
    assert!(ran.err.contains("is what the run has learned from, and has changed since"), "{ran:?}");
    std::fs::remove_file(place.path("diabetes.csv")).unwrap();
    let ran = place.run(&["explain", run.to_str().unwrap(), "some.csv"]).succeeded();
    assert!(ran.err.contains("diabetes.csv', which is no longer there"), "{ran:?}");
    let refused = place.run(&["explain", run.to_str().unwrap(), "some.csv", "--method", "neighbours"]);
    refused.is_refusal(&["which is no longer there"]);
}
