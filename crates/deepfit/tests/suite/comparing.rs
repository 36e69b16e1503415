//! Ways to learn the same data, compared within a limit of time.

use std::fs;
use std::time::Instant;

use serde_json::Value;

use crate::program::{Place, digits, example, listing};

/// Quick networks: what is tested is the comparison.
const QUICK: [&str; 2] = ["epochs=3", "members=2"];

fn compared(place: &Place, arguments: &[&str]) -> Value {
    // `members` is for tables alone.
    let quick = if arguments.contains(&"epochs=1") || arguments.contains(&"--text") { &[][..] } else { &QUICK };
    place.run(&[&["compare"], arguments, quick, &["--json", "--quiet"]].concat()).succeeded().json()
}

fn way<'a>(found: &'a Value, name: &str) -> &'a Value {
    let ways = found["ways"].as_array().unwrap();
    ways.iter().find(|way| way["name"] == name).unwrap_or_else(|| panic!("{name} is not in {found:#}"))
}

/// Rows of two numbers, a category with gaps and a class that depends on the product of the numbers.
fn crossed(rows: usize) -> String {
    let line = |i: usize| {
        let (a, b) = ((i * 7919 % 1009) as f64 / 504.5 - 1.0, (i * 104_729 % 997) as f64 / 498.5 - 1.0);
        let town = ["york", "bath", "", "ely"][i % 4];
        format!("{a:.4},{b:.4},{town},{}\n", if a * b > 0.0 { "same" } else { "other" })
    };
    String::from("a,b,town,sign\n") + &(0..rows).map(line).collect::<String>()
}

#[test]
fn ways_are_compared_and_what_is_recommended_is_used_like_any_run() {
    let place = Place::new();
    let data = place.write("cells.csv", fs::read(example("breast-cancer.csv")).unwrap());
    let found = compared(&place, &["cells.csv", "--time", "2m"]);
    let names: Vec<&str> = found["ways"].as_array().unwrap().iter().map(|way| way["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["majority-class", "logistic-regression", "nearest-neighbours", "boosted-trees", "network"]);
    for way in found["ways"].as_array().unwrap() {
        for key in ["selection_value", "value", "train_seconds", "predict_seconds", "memory_bytes", "size_bytes"] {
            assert!(way[key].as_f64().is_some_and(|x| x >= 0.0 && x.is_finite()), "{key} of {way:#}");
        }
        let [low, high] = [0, 1].map(|end| way["interval"][end].as_f64().unwrap());
        assert!(low <= way["value"].as_f64().unwrap() && way["value"].as_f64().unwrap() <= high);
        assert_eq!(way["metric"], "accuracy");
        let folds: Vec<f64> = serde_json::from_value(way["selection_values"].clone()).unwrap();
        assert_eq!(folds.len(), 5);
        let mean = folds.iter().sum::<f64>() / 5.0;
        assert!((mean - way["selection_value"].as_f64().unwrap()).abs() < 1e-9);
        // Every way is a run that measures what the comparison says, on the rows that it was measured on.
        let run = way["run"].as_str().unwrap();
        let split: Value =
            serde_json::from_str(&fs::read_to_string(place.path(run).join("split.json")).unwrap()).unwrap();
        let text = fs::read_to_string(&data).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let test = split["test"].as_array().unwrap().iter().map(|row| lines[row.as_u64().unwrap() as usize + 1]);
        let rows: Vec<&str> = std::iter::once(lines[0]).chain(test).collect();
        place.write("test.csv", rows.join("\n"));
        let measured = place.run(&["evaluate", run, "test.csv", "--json"]).succeeded().json();
        let again = measured["metrics"]["accuracy"].as_f64().unwrap();
        assert!((again - way["value"].as_f64().unwrap()).abs() < 1e-6, "{run}: {again}");
        let predicted = place.run(&["predict", run, "test.csv", "--format", "json"]).succeeded();
        assert_eq!(predicted.out.matches("\"probabilities\"").count(), rows.len() - 1);
    }
    let best = found["recommended"].as_str().unwrap();
    assert!(way(&found, best)["selection_value"].as_f64().unwrap() > 0.94 && best != "majority-class", "{found:#}");
    assert!(found["reason"].as_str().unwrap().contains("accuracy"), "{}", found["reason"]);
    let p = way(&found, "majority-class")["versus_recommended"]["p_value"].as_f64().unwrap();
    assert!(p < 1e-6 && way(&found, best)["versus_recommended"].is_null(), "{p}");

    // Asked again, it costs nothing and says the same.
    let begun = Instant::now();
    let again = compared(&place, &["cells.csv", "--time", "2m"]);
    assert!(begun.elapsed().as_secs_f64() < 2.0);
    assert_eq!(
        (&again["ways"], &again["recommended"], &again["cached"]),
        (&found["ways"], &found["recommended"], &Value::Bool(true))
    );
    let shown = place.run(&["compare", "cells.csv", "--time", "2m", QUICK[0], QUICK[1]]).succeeded();
    for word in ["Recommended", "boosted trees", "log loss", "energy", "deepfit", "predict"] {
        assert!(shown.out.contains(word), "{word}: {}", shown.out);
    }
    // A way whose run has gone is made again, the others are not.
    let kept = place.path(way(&found, "boosted-trees")["run"].as_str().unwrap()).join("result.json");
    let before = fs::metadata(&kept).unwrap().modified().unwrap();
    fs::remove_dir_all(place.path(way(&found, "logistic-regression")["run"].as_str().unwrap())).unwrap();
    let repaired = compared(&place, &["cells.csv", "--time", "2m"]);
    assert_eq!(way(&repaired, "logistic-regression")["value"], way(&found, "logistic-regression")["value"]);
    assert_eq!(fs::metadata(&kept).unwrap().modified().unwrap(), before);
}

#[test]
fn what_no_line_can_tell_apart_is_left_to_trees_or_networks() {
    let place = Place::new();
    place.write("crossed.csv", crossed(500));
    let found = compared(&place, &["crossed.csv", "--metric", "log_loss"]);
    let of = |name: &str| way(&found, name)["selection_value"].as_f64().unwrap();
    assert!(of("boosted-trees") < 0.35 && of("logistic-regression") > 0.6, "{found:#}");
    assert_eq!(found["recommended"], "boosted-trees", "{}", found["reason"]);
    let trees = way(&found, "boosted-trees")["run"].as_str().unwrap();
    let told = place.run(&["explain", trees]).succeeded();
    let (a, town) = (told.out.find("\n  a ").unwrap(), told.out.find("\n  town").unwrap());
    assert!(a < town, "{}", told.out);
    // Rows are looked at, each by itself.
    place.write("rows.csv", "a,b,town\n0.9,0.9,york\n0.9,-0.9,\n,0.9,york\n");
    let rows = place.run(&["explain", trees, "rows.csv", "--json"]).succeeded().json();
    for (row, class) in rows.as_array().unwrap().iter().zip(["same", "other"]) {
        assert_eq!((&row["prediction"], &row["method"]), (&class.into(), &"shapley".into()), "{row}");
        let named: std::collections::BTreeMap<String, f64> =
            serde_json::from_value(row["attributions"].clone()).unwrap();
        assert!(named["a"].max(named["b"]) > named["town"].abs(), "{row}");
        let whole = row["probability"].as_f64().unwrap() - row["expectation"].as_f64().unwrap();
        assert!((named.values().sum::<f64>() - whole).abs() < 1e-4, "{row}");
    }
    let told = place.run(&["explain", trees, "rows.csv"]).succeeded().out;
    assert!(told.lines().any(|line| line.starts_with("  a ") && line.contains("missing")), "{told}");
    let told = place.run(&["explain", trees, "crossed.csv", "--method", "permutation"]).succeeded();
    assert!(told.err.contains("has learned from"), "{told:?}");
    place
        .run(&["explain", trees, "rows.csv", "--method", "integrated-gradients"])
        .is_refusal(&["no gradients", "shapley"]);
    // What is offered of it works.
    let list = place.run(&["plot", trees]).succeeded().out;
    assert!(list.contains("importance") && !list.contains("features"), "{list}");
    assert!(place.run(&["plot", trees, "importance"]).succeeded().out.contains("town"));
    let told = place.run(&["plot", trees, "partial-dependence"]).succeeded().out;
    assert!(told.contains("york") && told.contains("probability of"), "{told}");
    place.run(&["report", trees, "--full"]).succeeded();
    let page = fs::read_to_string(place.path(trees).join("report.html")).unwrap();
    assert!(page.contains("Which columns it goes by") && page.contains("Explained by shapley"), "{page}");
    assert!(!page.contains(">0 B<"), "{page}");
}

#[test]
fn numbers_are_compared_by_their_errors_on_any_number_of_threads() {
    let place = Place::new();
    let data = example("diabetes.csv");
    let found = compared(&place, &[&data, "--metric", "mae", "--threads", "1", "--out", "one"]);
    let mean = way(&found, "mean")["selection_value"].as_f64().unwrap();
    let ridge = way(&found, "ridge-regression")["selection_value"].as_f64().unwrap();
    assert!(ridge < 0.75 * mean, "{ridge} and {mean}");
    assert_ne!(found["recommended"], "mean");
    let other = compared(&place, &[&data, "--metric", "mae", "--threads", "3", "--out", "three"]);
    for name in ["mean", "ridge-regression", "nearest-neighbours", "boosted-trees", "network"] {
        for key in ["selection_values", "value", "interval"] {
            assert_eq!(way(&found, name)[key], way(&other, name)[key], "{name}");
        }
    }
    let run = way(&found, "boosted-trees")["run"].as_str().unwrap();
    let predicted = place.run(&["predict", run, &data, "--format", "json"]).succeeded();
    assert!(predicted.out.contains("\"value\""));
}

#[test]
fn ways_that_no_longer_fit_the_time_are_listed_with_the_reason() {
    let place = Place::new();
    place.write("crossed.csv", crossed(3000));
    let begun = Instant::now();
    let ran = place.run(&["compare", "crossed.csv", "--time", "1s", "--json", "--quiet"]).succeeded();
    assert!(begun.elapsed().as_secs_f64() < 5.0, "{} s", begun.elapsed().as_secs_f64());
    let found = ran.json();
    let not_run = found["not_run"].as_array().unwrap();
    assert!(not_run.iter().any(|one| one["name"] == "network"), "{found:#}");
    assert!(not_run.iter().all(|one| one["why"].as_str().is_some_and(|why| why.len() > 20)));
    let ran = place.run(&["compare", "crossed.csv", "--time", "0.001s"]);
    ran.is_refusal(&["time", "reading the data alone took", "--time"]);
}

#[test]
fn few_rows_constant_columns_and_classes_of_one_row_are_told() {
    let place = Place::new();
    let few: String = (0..14)
        .map(|i| format!("7,{},{}\n", i % 5, ["x", "y", "z"][usize::from(i > 6) + usize::from(i == 13)]))
        .collect();
    place.write("few.csv", String::from("same,a,kind\n") + &few);
    let found = compared(&place, &["few.csv", "--time", "60s"]);
    let notes = found["notes"].to_string();
    assert!(notes.contains("the test has") && notes.contains("rows"), "{notes}");
    assert!(!found["ways"].as_array().unwrap().is_empty());
}

#[test]
fn a_classical_model_is_checked_when_it_is_read_and_is_no_network() {
    let place = Place::new();
    place.write("crossed.csv", crossed(200));
    let found = compared(&place, &["crossed.csv", "--out", "ways"]);
    let run = way(&found, "nearest-neighbours")["run"].as_str().unwrap().to_string();
    for (command, more) in [("inspect", &[][..]), ("embed", &["crossed.csv"]), ("train", &["--resume"])] {
        let arguments =
            if command == "train" { vec!["train", "--resume", &run] } else { [&[command, &run[..]], more].concat() };
        place.run(&arguments).is_refusal(&["nearest neighbours", "no layers"]);
    }
    place.run(&["explain", &run]).is_refusal(&["nearest neighbours", "no weights", "give inputs"]);
    place.run(&["explain", &run, "--method", "shapley"]).is_refusal(&["give inputs"]);
    let able = "tables: shapley, permutation, counterfactual";
    place.run(&["explain", &run, "crossed.csv", "--method", "grad-cam"]).is_refusal(&["no layers", able]);
    place
        .run(&["explain", &run, "crossed.csv", "--method", "occlusion"])
        .is_refusal(&["occlusion is not for", "shapley"]);
    let refused = place.run(&["explain", &run, "crossed.csv", "--method", "neighbours"]);
    refused.is_refusal(&["not which rows they were", "shapley, permutation, counterfactual"]);
    // One that looks at nothing has nothing to explain.
    let constant = way(&found, "majority-class")["run"].as_str().unwrap().to_string();
    for more in [&["crossed.csv"][..], &["crossed.csv", "--method", "counterfactual"], &[]] {
        place.run(&[&["explain", &constant], more].concat()).is_refusal(&["looks at nothing"]);
    }
    // Importances are an array as other explanations are, and are not drawn.
    let trees = way(&found, "boosted-trees")["run"].as_str().unwrap().to_string();
    let told = place.run(&["explain", &trees, "--json"]).succeeded().json();
    assert!(told.as_array().is_some_and(|all| all.len() == 1 && all[0]["method"] == "importances"), "{told}");
    place.run(&["explain", &trees, "--out", "drawn"]).is_refusal(&["--out", "give inputs"]);
    // The folder of the comparison is no run, and says which are.
    for arguments in [&["explain", "ways", "crossed.csv"][..], &["report", "ways"], &["predict", "ways", "crossed.csv"]]
    {
        place.run(arguments).is_refusal(&["'ways': is a comparison", "nearest-neighbours"]);
    }
    place.write("row.csv", "a,b,town\n0.9,0.9,york\n");
    assert_eq!(place.run(&["explain", &run, "row.csv", "--json"]).succeeded().json()[0]["method"], "shapley");
    let file = place.path(&run).join("model/classical.bin");
    let whole = fs::read(&file).unwrap();
    for (bytes, told) in [
        (whole[..whole.len() / 2].to_vec(), "longer or shorter"),
        (b"deepfit".to_vec(), "ends too early"),
        ([&whole[..100], &[whole[100] ^ 1], &whole[101..]].concat(), "checksum"),
        ([&whole[..8], &[9, 0, 0, 0], &whole[12..]].concat(), "version 9"),
    ] {
        fs::write(&file, bytes).unwrap();
        place.run(&["predict", &run, "crossed.csv"]).is_refusal(&["classical.bin", told]);
    }
    // The learner of another model.
    let other = place.path(way(&found, "boosted-trees")["run"].as_str().unwrap()).join("model/classical.bin");
    fs::copy(&other, &file).unwrap();
    place.run(&["evaluate", &run, "crossed.csv"]).is_refusal(&["classical.bin", "is damaged", "features"]);
    // A table without one of the columns.
    fs::write(&file, &whole).unwrap();
    place.write("other.csv", "a,town\n1,york\n");
    place.run(&["predict", &run, "other.csv"]).is_refusal(&["'b'"]);
}

#[test]
fn what_cannot_be_compared_is_refused_and_nothing_is_written() {
    let place = Place::new();
    place.write("crossed.csv", crossed(100));
    place.write("book.txt", "Once upon a time there was a network. ".repeat(200));
    place.write("full/of.txt", "something else");
    let before = listing(&place.path("."));
    for (arguments, words) in [
        (&["book.txt"][..], &["next token", "deepfit train"][..]),
        (&["crossed.csv", "--metric", "rmse"], &["metric", "accuracy, balanced_accuracy"]),
        (&["crossed.csv", "--metric", "speed"], &["metric", "speed"]),
        (&["crossed.csv", "--target", "c"], &["'c'"]),
        (&["missing.csv"], &["missing.csv"]),
        (&["crossed.csv", "--time", "soon"], &["time", "2m"]),
        (&["crossed.csv", "--out", "full"], &["full", "holds no comparison"]),
        (&["crossed.csv", "positive=blue"], &["blue", "other and same"]),
        (&["crossed.csv", "weight=a"], &["weight", "would count alike"]),
        (&["crossed.csv", "repeats=3"], &["repeats", "one split"]),
    ] {
        place.run(&[&["compare"], arguments].concat()).is_refusal(words);
    }
    assert_eq!(listing(&place.path(".")), before);
    compared(&place, &["crossed.csv", "--out", "ways"]);
    place.run(&["compare", "crossed.csv", "--seed", "2", "--out", "ways"]).is_refusal(&["ways", "other settings"]);
}

#[test]
fn a_comparison_is_drawn_with_what_is_recommended() {
    let place = Place::new();
    place.write("crossed.csv", crossed(200));
    let found = compared(&place, &["crossed.csv", "--out", "ways"]);
    assert!(found["next"].to_string().contains("deepfit plot ways compare"), "{}", found["next"]);
    let list = place.run(&["plot", "ways"]).succeeded().out;
    assert!(list.contains("compare") && list.contains("Ways to learn crossed, by accuracy"), "{list}");
    let shown = place.run(&["plot", "ways", "compare"]).succeeded().out;
    for way in found["ways"].as_array().unwrap() {
        assert!(shown.contains(way["title"].as_str().unwrap()), "{shown}");
    }
    for word in ["◆", "●", "recommended", "95 % interval", "training", "memory", "model"] {
        assert!(shown.contains(word), "{word}: {shown}");
    }
    let marked: Vec<&str> = shown.lines().filter(|line| line.starts_with("  * ")).collect();
    let best = way(&found, found["recommended"].as_str().unwrap())["title"].as_str().unwrap();
    assert!(marked.len() == 1 && marked[0].contains(best), "{marked:?}");
    // A folder that was moved is drawn, too.
    fs::rename(place.path("ways"), place.path("moved")).unwrap();
    place.run(&["plot", "moved", "compare", "--out", "ways.svg"]).succeeded();
    let svg = fs::read_to_string(place.path("ways.svg")).unwrap();
    assert!(svg.contains("boosted trees") && svg.contains("prefers-color-scheme"), "{svg}");
    place.run(&["plot", "moved", "roc"]).is_refusal(&["no plot 'roc'", "compare", "moved/ways"]);
    place.run(&["plot", "moved/ways/boosted-trees"]).succeeded();
    place.run(&["plot", "moved/ways/boosted-trees", "compare"]).is_refusal(&["is a run", "deepfit compare"]);
    fs::write(place.path("moved/result.json"), "{").unwrap();
    place.run(&["plot", "moved", "compare"]).is_refusal(&["result.json", "is damaged"]);
    fs::remove_file(place.path("moved/result.json")).unwrap();
    place.run(&["plot", "moved", "compare"]).is_refusal(&["has not ended", "deepfit compare"]);
}

#[test]
fn images_are_compared_by_their_edges_and_by_what_a_published_network_sees() {
    let place = Place::new();
    for (name, bytes) in digits(&["0", "1"], 30) {
        place.write(&format!("digits/{name}"), bytes);
    }
    let found = compared(&place, &["digits", "--time", "50s", "epochs=1"]);
    for name in
        ["logistic-regression", "boosted-trees", "logistic-regression-on-features", "nearest-neighbours-on-features"]
    {
        let way = way(&found, name);
        assert!(way["selection_value"].as_f64().unwrap() > 0.8, "{way:#}");
        // The network that makes the features is part of the run, and makes the same of files as it did of the data.
        let run = way["run"].as_str().unwrap();
        let measured = place.run(&["evaluate", run, "digits", "--json"]).succeeded().json();
        assert!(measured["metrics"]["accuracy"].as_f64().unwrap() > 0.9, "{name}: {measured:#}");
        let shown = place.run(&["predict", run, "digits/1/0.png", "--format", "json"]).succeeded();
        assert!(shown.out.contains("\"1\""), "{}", shown.out);
    }
    let transfer = &found["transfer"];
    let told = transfer["ways"].as_str().unwrap();
    assert!(told.contains("efficientnet-lite0") && told.contains("accuracy"), "{told}");
    for hint in ["logme", "h_score", "leep", "frechet"] {
        assert!(transfer["hints"][hint].as_f64().is_some_and(f64::is_finite), "{hint}: {transfer:#}");
    }
    let probe = transfer["probes"].as_array().and_then(|probes| probes.last()).unwrap();
    assert!(probe["published"].as_f64().unwrap() > probe["nothing"].as_f64().unwrap(), "{transfer:#}");
    // Weights that are damaged are told.
    let run = way(&found, "logistic-regression-on-features")["run"].as_str().unwrap();
    let file = place.path(run).join("model/model.safetensors");
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    fs::write(&file, bytes).unwrap();
    place.run(&["predict", run, "digits/1/0.png"]).is_refusal(&["model.safetensors", "checksum"]);
}

#[test]
fn texts_are_compared_by_their_words_and_by_a_published_table_of_words() {
    let place = Place::new();
    let line = |i: usize| {
        let (about, class) =
            [("a red apple and a ripe pear", "fruit"), ("an old engine and a new brake", "car")][i % 2];
        format!("number {i} tells of {about} in the year {},{class}\n", 1900 + i * 7 % 90)
    };
    place.write("texts.csv", String::from("text,kind\n") + &(0..80).map(line).collect::<String>());
    let found = compared(&place, &["texts.csv", "--text", "text", "--time", "40s"]);
    for name in ["logistic-regression", "nearest-neighbours-on-features", "last-layer"] {
        let way = way(&found, name);
        assert!(way["selection_value"].as_f64().unwrap() > 0.9, "{way:#}");
        let run = way["run"].as_str().unwrap();
        place.write("new.txt", "a pear and an apple\nthe brake of an engine\n");
        let shown = place.run(&["predict", run, "new.txt", "--format", "csv"]).succeeded();
        let classes: Vec<&str> = shown.out.lines().skip(1).map(|line| line.split(',').nth(1).unwrap()).collect();
        assert_eq!(classes, ["fruit", "car"], "{name}: {}", shown.out);
    }
    let run = way(&found, "logistic-regression")["run"].as_str().unwrap();
    let told = place.run(&["explain", run, "new.txt"]).succeeded();
    assert!(told.out.contains("0: fruit") && told.out.contains("by occlusion"), "{}", told.out);
    let told = place.run(&["explain", run]).succeeded();
    assert!(["apple", "pear", "engine", "brake"].iter().any(|word| told.out.contains(word)), "{}", told.out);
}

#[test]
fn texts_that_a_published_table_of_words_cannot_know_are_warned_of() {
    let place = Place::new();
    let line = |i: usize| {
        let class = ["one", "two"][i * 7 % 11 % 2];
        // Ethiopic, of which the table has no letter, in years after it was made.
        let word = |from: usize| ["ሰላም", "ዓለም", "ጤና", "ይስጥልኝ", "ውሃ", "ቤት", "ፀሐይ", "ልጅ", "መጽሐፍ"][i / from % 9];
        format!("{} {} {} {} {},{class}\n", word(1), word(9), word(2), 2023 + i % 3, word(4))
    };
    place.write("texts.csv", String::from("text,kind\n") + &(0..80).map(line).collect::<String>());
    let found = compared(&place, &["texts.csv", "--text", "text", "--time", "20s"]);
    let transfer = &found["transfer"];
    assert!(transfer["hints"]["unknown_tokens"].as_f64().unwrap() > 0.3, "{transfer:#}");
    assert_eq!(transfer["hints"]["later_years"], 1.0, "{transfer:#}");
    assert_ne!(transfer["helps"], true, "{transfer:#}");
    let warnings = transfer["warnings"].to_string();
    assert!(warnings.contains("does not know") && warnings.contains("outdated"), "{warnings}");
}

#[test]
fn dates_beside_texts_and_pictures_are_held_against_the_age_of_the_published_network() {
    let place = Place::new();
    let line = |i: usize| {
        let about = ["a red apple and a ripe pear", "an old engine and a new brake"][i % 2];
        format!("number {i} tells of {about},2024-03-{:02},{}\n", 1 + i % 28, ["fruit", "car"][i % 2])
    };
    place.write("texts.csv", String::from("text,published,kind\n") + &(0..80).map(line).collect::<String>());
    let found = compared(&place, &["texts.csv", "--text", "text", "--time", "20s"]);
    let transfer = &found["transfer"];
    assert_eq!((&transfer["hints"]["later_years"], &transfer["hints"]["model_year"]), (&1.0.into(), &2021.into()));
    let warnings = transfer["warnings"].to_string();
    assert!(warnings.contains("their dates in 'published'") && warnings.contains("up to 2024"), "{warnings}");

    let mut labels = String::from("picture,taken,digit\n");
    for (i, (name, bytes)) in digits(&["0", "1"], 30).into_iter().enumerate() {
        place.write(&format!("digits/{i}.png"), bytes);
        labels += &format!("digits/{i}.png,{}-05-01,d{}\n", if i % 3 == 0 { 2023 } else { 2015 }, &name[..1]);
    }
    place.write("labels.csv", labels);
    let found = compared(&place, &["labels.csv", "--time", "20s", "epochs=1"]);
    let transfer = &found["transfer"];
    assert_eq!(transfer["hints"]["model_year"], 2020, "{transfer:#}");
    let share = transfer["hints"]["later_years"].as_f64().unwrap();
    assert!((0.2..0.5).contains(&share), "{share}");
    let warnings = transfer["warnings"].to_string();
    assert!(warnings.contains("images are by their dates in 'taken' of years after 2020"), "{warnings}");
}

#[test]
fn a_run_tells_what_needs_no_network_and_when_that_is_better() {
    let place = Place::new();
    place.write("crossed.csv", crossed(200));
    let told = place.run(&["train", "crossed.csv", "--out", "run", QUICK[0], QUICK[1]]).succeeded();
    for word in ["without a network, always says", "without a network, logistic regression: accuracy"] {
        assert!(told.out.contains(word), "{word}: {}", told.out);
    }
    // Most values are next to nothing and a few are large: the mean, which a network that learns nothing foretells, is far
    // from most, and the median is not.
    let line = |i: usize| {
        format!("{},{}\n", i * 7919 % 1009, if i.is_multiple_of(12) { 500.0 } else { (i % 5) as f64 / 10.0 })
    };
    place.write("skewed.csv", String::from("a,value\n") + &(0..240).map(line).collect::<String>());
    let arguments = ["train", "skewed.csv", "--out", "worse", "--epochs", "1", "--lr", "0.000001", "folds=1"];
    let told = place.run(&arguments).succeeded();
    assert!(told.out.contains("worse on the test rows than a way that needs none (the median"), "{}", told.out);
    let result: Value = serde_json::from_str(&fs::read_to_string(place.path("worse/result.json")).unwrap()).unwrap();
    let of_median = result["baselines"][0]["metrics"]["mae"].as_f64().unwrap();
    assert!(of_median < result["metrics"]["test"]["mae"].as_f64().unwrap(), "{of_median}");
}
