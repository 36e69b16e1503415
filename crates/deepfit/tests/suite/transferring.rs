//! Training that begins with a published network.

use std::fs;
use std::path::Path;

use deepfit::prelude::*;
use deepfit::zoo::{ImageConfig, ModelConfig, VitConfig};
use serde_json::Value;

use crate::program::{Place, example, signal};

/// Pictures of stripes, checks and rings in colours of no meaning, as a folder of classes.
fn patterns(place: &Place, folder: &str, each: u32) {
    type Pattern = fn(f32, f32) -> bool;
    let kinds: [(&str, Pattern); 3] = [
        ("checks", |x, y| ((x / 7.0) as i32 + (y / 7.0) as i32) % 2 == 0),
        ("rings", |x, y| ((x - 24.0).hypot(y - 24.0) / 5.0) as i32 % 2 == 0),
        ("stripes", |x, _| (x / 6.0) as i32 % 2 == 0),
    ];
    for (kind, pattern) in kinds {
        for number in 0..each {
            let random = |n: u32| (number * 7919 + n * 104_729 + kind.len() as u32 * 31) % 251;
            let (moved, turned) = (random(1) as f32 / 16.0, random(2) as f32 / 80.0);
            let picture = image::RgbImage::from_fn(48, 48, |x, y| {
                let (x, y) = (x as f32 + moved, y as f32 + moved);
                let light = if pattern(x + turned * y / 8.0, y) { 3 } else { 6 };
                image::Rgb([light, light + 1, light + 2].map(|n| random(n) as u8))
            });
            let path = place.path(&format!("{folder}/{kind}/{number}.png"));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            picture.save(path).unwrap();
        }
    }
}

fn test_metric(report: &Value, name: &str) -> f64 {
    report["metrics"]["test"][name].as_f64().unwrap()
}

#[test]
fn few_pictures_begin_with_the_network_that_is_part_of_the_program_and_its_features_are_kept() {
    let place = Place::new();
    patterns(&place, "pictures", 14);
    let first = place.run(&["train", "pictures", "--out", "one", "--json"]).succeeded();
    for words in
        ["begins with the published network efficientnet-lite0", "from=scratch", "of the features of 42 samples"]
    {
        assert!(first.err.contains(words), "`{words}` is not in {}", first.err);
    }
    let report = first.json();
    assert!(test_metric(&report, "accuracy") >= 0.85, "{report}");
    assert!(report["notes"].to_string().contains("validation chose"), "{report}");
    let settings = fs::read_to_string(place.path("one/settings.toml")).unwrap();
    assert!(settings.contains("from = \"efficientnet-lite0\""), "{settings}");

    // The second run finds its features, and comes to the same weights.
    let second = place.run(&["train", "pictures", "--out", "two"]).succeeded();
    assert!(!second.err.contains("features of"), "{}", second.err);
    assert!(place.weights("one") == place.weights("two"));
    // Those that are plain sums of products are others.
    let exact = place.run(&["train", "pictures", "--out", "exact", "exact=true"]).succeeded();
    assert!(exact.err.contains("of the features of 42 samples"), "{}", exact.err);

    // A damaged cache, or one that cannot be written, costs time and nothing else.
    for entry in fs::read_dir(place.cache()).unwrap() {
        fs::write(entry.unwrap().path(), "damaged").unwrap();
    }
    let third = place.run(&["train", "pictures", "--out", "three"]).succeeded();
    assert!(third.err.contains("of the features of 42 samples"), "{}", third.err);
    assert!(place.weights("one") == place.weights("three"));
    fs::remove_dir_all(place.cache()).unwrap();
    fs::write(place.cache(), "a file where a folder should be").unwrap();
    let fourth = place.run(&["train", "pictures", "--out", "four"]).succeeded();
    assert!(fourth.err.contains("features are not kept for the next run"), "{}", fourth.err);

    // The whole network that was saved does what the last layer did on features.
    let evaluated = place.run(&["evaluate", "one", "pictures", "--json"]).succeeded().json();
    let predicted = place.run(&["predict", "one", "pictures/rings", "--json"]).succeeded().json();
    assert_eq!(predicted.as_array().unwrap().len(), 14);
    assert!(evaluated["metrics"]["accuracy"].as_f64().unwrap() >= 0.9, "{evaluated}");
}

#[test]
fn a_saved_network_has_the_metrics_that_training_measured() {
    let place = Place::new();
    patterns(&place, "data/train", 8);
    patterns(&place, "data/test", 3);
    for (out, more) in [("frozen", &[][..]), ("unfrozen", &["--unfreeze", "2", "folds=1", "--epochs", "3"])] {
        let report = place.run(&[&["train", "data", "--out", out, "--json"], more].concat()).succeeded().json();
        let evaluated = place.run(&["evaluate", out, "data", "--json"]).succeeded().json();
        let (trained, used) = (test_metric(&report, "log_loss"), evaluated["metrics"]["log_loss"].as_f64().unwrap());
        assert!((trained - used).abs() < 1e-4 * trained.max(0.1), "{out}: {trained} {used}");
    }
    // What was not trained is as it was published; of what was trained nothing is.
    let (frozen, unfrozen) = (place.weights("frozen"), place.weights("unfrozen"));
    assert_eq!(frozen.keys().collect::<Vec<_>>(), unfrozen.keys().collect::<Vec<_>>());
    let differs = |name: &str| frozen[name] != unfrozen[name];
    for name in ["conv_stem.weight", "blocks.0.0.conv_dw.weight", "blocks.5.3.conv_pwl.weight", "bn2.running_mean"] {
        assert!(!differs(name), "{name}");
    }
    for name in ["blocks.6.0.conv_dw.weight", "conv_head.weight", "bn2.weight", "probe.weight"] {
        assert!(differs(name), "{name}");
    }
}

#[test]
fn a_run_that_is_stopped_among_its_features_goes_on() {
    let place = Place::new();
    patterns(&place, "pictures", 20);
    let mut child = place.start(&["train", "pictures", "--out", "run"]);
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().unwrap()));
    assert!(lines.by_ref().map(Result::unwrap).any(|line| line.contains("of the features of")));
    signal(&child, "INT");
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{rest:?}");
    place.run(&["train", "--resume", "run"]).succeeded();
    place.run(&["train", "pictures", "--out", "whole"]).succeeded();
    assert!(place.weights("run") == place.weights("whole"));
}

/// A small vision transformer with random weights, as torchvision would publish it.
fn transformer(place: &Place) -> String {
    let image = ImageConfig::new(32, 32, 3);
    let config = VitConfig {
        image,
        outputs: 7,
        patch: 8,
        width: 64,
        depth: 2,
        heads: 1,
        hidden: 128,
        epsilon: 1e-6,
        distillation: Default::default(),
    };
    let scope = Scope::root();
    let network = deepfit::zoo::build(&ModelConfig::Vit(config), &scope).unwrap();
    let forward = move |t: &Tracer| {
        let inputs: Vec<Tensor> = network.inputs().iter().map(|slot| slot.on(t)).collect();
        network.forward(&inputs)
    };
    let session = Session::inference(&scope, SessionOptions::default(), forward).unwrap();
    let path = place.path("vit.safetensors");
    session.save(&path).unwrap();
    path.to_str().unwrap().to_string()
}

#[test]
fn changes_of_low_rank_are_merged_and_change_no_prediction() {
    let place = Place::new();
    patterns(&place, "data/train", 8);
    patterns(&place, "data/test", 3);
    let vit = transformer(&place);
    let before = deepfit::train::read_weights(Path::new(&vit)).unwrap().0;
    let arguments =
        ["train", "data", "--from", &vit, "--lora", "4", "folds=1", "--epochs", "4", "--out", "run", "--json"];
    let ran = place.run(&arguments).succeeded();
    let report = ran.json();
    let evaluated = place.run(&["evaluate", "run", "data", "--json"]).succeeded().json();
    let (trained, used) = (test_metric(&report, "log_loss"), evaluated["metrics"]["log_loss"].as_f64().unwrap());
    assert!((trained - used).abs() < 1e-4 * trained.max(0.1), "{trained} {used}");
    let after = place.weights("run");
    assert!(!after.keys().any(|name| name.contains("lora")), "{:?}", after.keys());
    for (name, values) in &after {
        let adapted = name.ends_with("weight") && (name.contains("self_attention") || name.contains("mlp"));
        if !name.starts_with("heads") {
            assert_eq!(before[name].values != *values, adapted, "{name}");
        }
    }
    // Of each layer of 64 inputs four rows and columns are trained, not the weights.
    let parameters = report["parameters"].as_u64().unwrap();
    assert_eq!(parameters, 2 * 4 * ((64 + 192) + (64 + 64) + (64 + 128) + (128 + 64)) + 3 * 65, "{report}");
}

#[test]
fn a_run_goes_on_with_the_network_that_it_began_with_alone() {
    let place = Place::new();
    patterns(&place, "pictures", 8);
    let vit = transformer(&place);
    place.run(&["train", "pictures", "--from", &vit, "--out", "run"]).succeeded();
    let whole = fs::read(&vit).unwrap();
    let mut changed = whole.clone();
    // Somewhere among the weights, in the mantissa of a number.
    let at = changed.len() - 40;
    changed[at] ^= 1;
    fs::write(&vit, changed).unwrap();
    let ran = place.run(&["train", "--resume", "run"]);
    ran.is_refusal(&["vit.safetensors", "other weights than when the run began"]);
    fs::remove_file(&vit).unwrap();
    place.run(&["train", "--resume", "run"]).is_refusal(&["vit.safetensors"]);
    fs::write(&vit, whole).unwrap();
    place.run(&["train", "--resume", "run"]).succeeded();
}

#[test]
fn blocks_that_stay_as_they_are_have_no_gradients_and_no_optimiser() {
    let place = Place::new();
    patterns(&place, "pictures", 12);
    // Both see changed images, so that both run the whole network in each step.
    let bytes = |blocks: &str| {
        let mut settings = Settings::new(place.path("pictures"));
        let chosen = [("from", "efficientnet-lite0"), ("unfreeze", blocks), ("augment.flip", "true"), ("folds", "1")];
        for (key, value) in chosen.into_iter().chain([("image_size", "96")]) {
            settings.set(key, value).unwrap();
        }
        let job = deepfit::train::prepare(settings, Some(place.path("run"))).unwrap();
        let memory = &job.description().memory;
        ["arena", "parameters"].map(|part| memory.iter().find(|(what, _)| what.starts_with(part)).unwrap().1)
    };
    let ([some_arena, some_parameters], [all_arena, all_parameters]) = (bytes("2"), bytes("all"));
    // Of few blocks, predictions for validation, of 64 images at a time, take the most.
    assert!(some_arena * 3 < all_arena * 2, "{some_arena} {all_arena}");
    // Published weights, 13.5 MB, lie in both; averages of gradients are kept of what is trained.
    assert!(some_parameters * 3 < all_parameters * 2, "{some_parameters} {all_parameters}");
}

#[test]
fn what_cannot_be_transferred_is_refused_in_words() {
    let place = Place::new();
    patterns(&place, "pictures", 6);
    let vit = transformer(&place);
    let table = example("breast-cancer.csv");
    place.refuses(&[&table, "--from", "efficientnet-lite0"], &["from", "for images", "a table"]);
    let looked_for = place.path("nowhere").display().to_string();
    let named = ["`from`", "no such file or folder", &looked_for, "efficientnet-lite0", "deepfit models pull"];
    place.refuses(&["pictures", "--from", "nowhere"], &named);
    place.refuses(&["pictures", "--from", "minilm-statik"], &["did you mean `minilm-static`?"]);
    place.refuses(&["pictures", "--from", "pictures"], &["pictures"]);
    place.refuses(&["pictures", "--from", "efficientnet-lite0", "--model", "cnn"], &["from", "model", "scratch"]);
    place.refuses(&["pictures", "--unfreeze", "99"], &["unfreeze", "99", "18 blocks"]);
    place.refuses(&["pictures", "unfreeze=some"], &["unfreeze", "some", "none, all"]);
    place.refuses(&["pictures", "--lora", "8"], &["lora", "transformers", "unfreeze"]);
    place.refuses(&["pictures", "--lora", "0"], &["lora", "1 to 256"]);
    place.refuses(&["pictures", "--from", &vit, "--lora", "8", "--freeze"], &["lora", "unfreeze"]);
    place.refuses(&["pictures", "--from", &vit, "image_size=64"], &["image_size", "32 pixels"]);
    let ran = place.run(&["train", "pictures", "--from", "scratch", "--unfreeze", "2", "--epochs", "1"]).succeeded();
    assert!(ran.err.contains("`unfreeze` has no effect"), "{}", ran.err);
}
