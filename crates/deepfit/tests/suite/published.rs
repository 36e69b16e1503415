//! Published models in place of a run: the one that is part of the program, and files as others publish them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::program::{Place, example};

/// Name of the bundled network.
const BUNDLED: &str = "efficientnet-lite0";
const PICTURES: [&str; 5] = ["astronaut", "chelsea", "coffee", "retina", "rocket"];

fn photographs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/photographs")
}

fn backbone() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deepfit-backbone-efficientnet-lite0")
}

fn paths() -> Vec<String> {
    PICTURES.iter().map(|name| photographs().join(format!("{name}.jpg")).to_str().unwrap().to_string()).collect()
}

/// Class names in the order of the outputs.
fn classes() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deepfit-zoo/data/imagenet-classes.txt");
    fs::read_to_string(path).unwrap().lines().map(str::to_string).collect()
}

fn arguments<'a>(first: &[&'a str], pictures: &'a [String], last: &[&'a str]) -> Vec<&'a str> {
    first.iter().copied().chain(pictures.iter().map(String::as_str)).chain(last.iter().copied()).collect()
}

#[test]
fn photographs_get_the_classes_that_pytorch_gives_them() {
    let expected: Value =
        serde_json::from_str(&fs::read_to_string(photographs().join("expected.json")).unwrap()).unwrap();
    let (place, pictures, names) = (Place::new(), paths(), classes());
    let ran = place.run(&arguments(&["embed", BUNDLED], &pictures, &["--logits", "--json"])).succeeded();
    let found = ran.json();
    for (row, picture) in found.as_array().unwrap().iter().zip(PICTURES) {
        let logits: Vec<f64> = serde_json::from_value(row["logits"].clone()).unwrap();
        let mut order: Vec<usize> = (0..logits.len()).collect();
        order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
        let best: Vec<(String, f64)> =
            serde_json::from_value(expected[format!("{picture}.jpg")].clone()).expect("classes and logits");
        let mut same: Vec<&String> = order.iter().take(5).map(|&i| &names[i]).collect();
        let mut known: Vec<&String> = best.iter().map(|(name, _)| name).collect();
        assert_eq!(same[0], known[0], "{picture}");
        same.sort();
        known.sort();
        assert_eq!(same, known, "{picture}");
        for (name, logit) in &best {
            // Half precision, and a decoder of JPEG that rounds in another way: two that are as close may change places.
            let found = logits[names.iter().position(|known| known == name).unwrap()];
            assert!((found - logit).abs() < 0.1, "{picture} {name}: {found} {logit}");
        }
    }
    let predicted = place.run(&arguments(&["predict", BUNDLED], &pictures, &["--json"])).succeeded();
    assert!(predicted.err.contains("EfficientNet-Lite0") && predicted.err.contains("0 new, 0 left over"));
    let predicted = predicted.json();
    for (row, picture) in predicted.as_array().unwrap().iter().zip(PICTURES) {
        assert_eq!(row["prediction"], expected[format!("{picture}.jpg")][0][0], "{picture}");
        assert_eq!(row["probabilities"].as_object().unwrap().len(), 1000);
    }
}

#[test]
fn a_folder_or_a_file_stands_for_a_model() {
    let (place, pictures) = (Place::new(), paths());
    let embed =
        |model: &str, last: &[&str]| place.run(&arguments(&["embed", model], &pictures[..2], last)).succeeded().out;
    for name in ["model.safetensors", "config.json", "preprocessor_config.json"] {
        place.write(&format!("model/{name}"), fs::read(backbone().join(name)).unwrap());
    }
    let bundled = embed(BUNDLED, &[]);
    assert_eq!(embed("model", &[]), bundled);
    assert_eq!(embed("model/model.safetensors", &[]), bundled);
    let lines: Vec<&str> = bundled.lines().collect();
    assert!(lines[0].starts_with("input,embedding_0,embedding_1,") && lines.len() == 3, "{}", lines[0]);
    assert!(lines.iter().all(|line| line.split(',').count() == 1281));
    // By the same network the same numbers, whatever the number of threads.
    assert_eq!(embed(BUNDLED, &["--threads", "1"]), bundled);
    let inspected = place.run(&["inspect", "model"]).succeeded().out;
    assert!(inspected.contains("blocks") && inspected.contains("classifier"), "{inspected}");
}

#[test]
fn what_a_run_sees_before_its_last_layer_is_embedded() {
    let place = Place::new();
    place.trained(&example("breast-cancer.csv"), "run", &["--epochs", "2"]);
    let table = example("breast-cancer.csv");
    let rows = place.run(&["embed", "run", &table, "--json"]).succeeded().json();
    let widths: Vec<usize> =
        rows.as_array().unwrap().iter().map(|r| r["embedding"].as_array().unwrap().len()).collect();
    assert!(widths.len() == 569 && widths.iter().all(|&w| w == widths[0] && w > 2), "{}", widths[0]);
    let rows = place.run(&["embed", "run", &table, "--json", "--logits"]).succeeded().json();
    assert_eq!(rows[0]["logits"].as_array().unwrap().len(), 2);
}

#[test]
fn what_is_no_model_is_refused() {
    let place = Place::new();
    let picture = &paths()[0];
    place.run(&["predict", picture, picture]).is_refusal(&["astronaut.jpg", "neither safetensors"]);
    place.write("weights.pth", b"\x80\x02cposix\nsystem\nq\x00X\x04\x00\x00\x00harm\x85R.");
    place.run(&["embed", "weights.pth", picture]).is_refusal(&["weights.pth", "posix.system"]);
    place.write("unknown/config.json", "{\"model_type\": \"bert\"}");
    place.run(&["embed", "unknown", picture]).is_refusal(&["unknown", "holds no weights"]);
    place.run(&["embed", BUNDLED, "-", picture]).is_refusal(&["'-'"]);
    let ran = place.run(&["embed", BUNDLED, picture, "nowhere.jpg", "--json"]);
    assert!(ran.code == Some(2) && ran.err.contains("nowhere.jpg"), "{ran:#?}");
    assert_eq!(ran.json().as_array().unwrap().len(), 1);
}
