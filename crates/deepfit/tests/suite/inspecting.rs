//! `deepfit inspect`.

use crate::program::{Place, example};

#[test]
fn layers_and_memory_of_a_run_its_model_and_data_agree() {
    let place = Place::new();
    place.trained(&example("diabetes.csv"), "run", &[]);
    let run = place.run(&["inspect", "run", "--json"]).succeeded().json();
    let model = place.run(&["inspect", "run/model", "--json"]).succeeded().json();
    let data = place.run(&["inspect", &example("diabetes.csv"), "--json"]).succeeded().json();
    for inspection in [&run, &model, &data] {
        let layers = inspection["layers"].as_array().unwrap();
        let sum: u64 = layers.iter().map(|layer| layer["parameters"].as_u64().unwrap()).sum();
        assert_eq!(sum, inspection["parameters"].as_u64().unwrap(), "{inspection}");
        assert!(inspection["operations"].as_u64().unwrap() > sum, "{inspection}");
    }
    assert_eq!((&run["layers"], &run["layers"]), (&model["layers"], &data["layers"]));
    let text = place.run(&["inspect", "run"]).succeeded().out;
    for word in ["layer", "output", "parameters", "operations", "bytes", "Memory", "matmul"] {
        assert!(text.contains(word), "`{word}` is not in {text}");
    }
    assert!(!text.contains("Passes"), "{text}");
}

#[test]
fn passes_tell_what_they_save() {
    let place = Place::new();
    let arguments = ["inspect", &example("digits.zip"), "--passes", "--batch", "16"];
    let text = place.run(&arguments).succeeded().out;
    assert!(text.contains("Passes") && text.contains("fuse-elementwise"), "{text}");
    let inspection = place.run(&[&arguments[..], &["--json"]].concat()).succeeded().json();
    let passes = inspection["passes"].as_array().unwrap();
    let fusion = passes.iter().find(|p| p["pass"] == "fuse-elementwise").unwrap();
    assert!(fusion["nodes"][1].as_u64() < fusion["nodes"][0].as_u64(), "{fusion}");
}

#[test]
fn other_models_can_be_looked_at_and_wrong_subjects_are_refused() {
    let place = Place::new();
    let digits = example("digits.zip");
    let inspection = place.run(&["inspect", &digits, "--model", "resnet18", "--json"]).succeeded().json();
    assert!(inspection["parameters"].as_u64().unwrap() > 1_000_000, "{inspection}");
    place.run(&["inspect", "nowhere"]).is_refusal(&["nowhere", "does not exist"]);
    place.run(&["inspect", &digits, "--model", "resnet81"]).is_refusal(&["resnet81", "resnet18"]);
    place.run(&["inspect", &digits, "--batch", "0"]).is_refusal(&["batch"]);
    place.write("empty/x", "");
    place.run(&["inspect", "empty"]).is_refusal(&["empty"]);
}

#[test]
fn options_for_data_are_noted_where_a_run_is_inspected() {
    let place = Place::new();
    place.trained(&example("diabetes.csv"), "run", &[]);
    let ran = place.run(&["inspect", "run", "--model", "cnn", "--target", "age"]).succeeded();
    assert!(ran.err.contains("`model` has no effect") && ran.err.contains("`target` has no effect"), "{}", ran.err);
    let ran = place.run(&["inspect", &example("diabetes.csv"), "--target", "age"]).succeeded();
    assert_eq!(ran.err, "");
}

#[test]
fn texts_are_looked_at_with_the_settings_of_a_training() {
    let place = Place::new();
    let sentences = example("sentences.tsv");
    let whole = place.run(&["inspect", &sentences, "--json"]).succeeded().json();
    let layer = |inspection: &serde_json::Value, name: &str| {
        inspection["layers"].as_array().unwrap().iter().find(|layer| layer["layer"] == name).cloned()
    };
    // The words of the texts are inputs of the last layer, too, as in the run.
    place.trained(&sentences, "run", &["epochs=1"]);
    let run = place.run(&["inspect", "run", "--json"]).succeeded().json();
    assert!(layer(&run, "terms").is_some() && layer(&whole, "terms").is_some(), "{whole}");
    let settings = ["--from", "scratch", "--model", "lstm", "vocabulary=500", "max_tokens=30", "--json"];
    let lstm = place.run(&[&["inspect", &sentences][..], &settings].concat()).succeeded().json();
    assert_eq!(layer(&lstm, "tokens").unwrap()["output"], "i32 [batch, sequence]");
    assert!(layer(&lstm, "terms").is_none() && lstm["parameters"].as_u64() < whole["parameters"].as_u64(), "{lstm}");
    place.run(&["inspect", &sentences, "vocabulery=500"]).is_refusal(&["vocabulery", "vocabulary"]);
    place.run(&["inspect", &sentences, "more.tsv"]).is_refusal(&["more.tsv", "KEY=VALUE"]);
}
