//! Models pass between deepfit and PyTorch. The folders of `tests/interop/` are made by `scripts/interop.py`: `trained-*`
//! were trained here and loaded into the equivalent PyTorch module, `pytorch-*` hold weights that PyTorch wrote;
//! `pytorch.json` is what PyTorch predicts for the inputs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use deepfit::prelude::*;
use deepfit::zoo::{ModelConfig, Network, build};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::Value;

use crate::program::Place;

const TOLERANCE: f64 = 1e-4;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop").join(name)
}

fn inputs(folder: &Path) -> PathBuf {
    let found = ["inputs.csv", "inputs.zip"].map(|name| folder.join(name)).into_iter().find(|path| path.is_file());
    found.expect("a golden folder has inputs")
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).expect("is there")).expect("is JSON")
}

/// Compares `deepfit predict` with PyTorch, for each input and class or value.
#[track_caller]
fn agrees(place: &Place, name: &str, model: &Path) {
    let folder = golden(name);
    let inputs = inputs(&folder);
    let arguments = ["predict", model.to_str().unwrap(), inputs.to_str().unwrap(), "--json"];
    let told = place.run(&arguments).succeeded().json();
    let (told, expected) = (told.as_array().unwrap(), json(&folder.join("pytorch.json")));
    let expected = expected.as_array().unwrap();
    assert_eq!(told.len(), expected.len(), "{name}");
    let first = |prediction: &Value| match prediction.as_object() {
        Some(classes) => classes.values().next().and_then(Value::as_f64).unwrap(),
        None => prediction.as_f64().unwrap(),
    };
    let apart = expected.iter().any(|other| (first(other) - first(&expected[0])).abs() > 0.1);
    assert!(apart, "{name}: the goldens tell no inputs apart");
    let deviation = json(&folder.join("config.json"))["preprocessor"]["target_scale"]["deviation"].as_f64();
    for (ours, theirs) in told.iter().zip(expected) {
        if let Some(value) = theirs.as_f64() {
            let error = (ours["value"].as_f64().unwrap() - value).abs() / deviation.unwrap();
            assert!(error <= TOLERANCE, "{name}: {ours}, but PyTorch has {value}");
            continue;
        }
        let (ours, theirs) = (ours["probabilities"].as_object().unwrap(), theirs.as_object().unwrap());
        assert!(ours.keys().eq(theirs.keys()), "{name}");
        for (class, probability) in theirs {
            let error = (ours[class].as_f64().unwrap() - probability.as_f64().unwrap()).abs();
            assert!(error <= TOLERANCE, "{name}: {class} is off by {error:.1e}");
        }
    }
}

#[test]
fn what_was_trained_here_predicts_the_same_in_pytorch() {
    let place = Place::new();
    for name in ["trained-mlp", "trained-regression", "trained-cnn"] {
        agrees(&place, name, &golden(name));
    }
}

#[test]
fn what_pytorch_made_predicts_the_same_here() {
    let place = Place::new();
    for name in ["pytorch-mlp", "pytorch-cnn", "pytorch-resnet-basic", "pytorch-resnet-bottleneck", "pytorch-mobilenet"]
    {
        agrees(&place, name, &golden(name));
    }
}

/// A copy of a golden model folder whose weights are changed.
fn changed(place: &Place, name: &str, change: impl Fn(&mut BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>)) {
    let bytes = fs::read(golden(name).join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let owned = |view: TensorView<'_>| (view.dtype(), view.shape().to_vec(), view.data().to_vec());
    let mut tensors = file.iter().map(|(name, view)| (name.to_string(), owned(view))).collect();
    change(&mut tensors);
    let views = tensors.iter().map(|(name, (dtype, shape, data))| {
        (name, TensorView::new(*dtype, shape.clone(), data).expect("the data fills the shape"))
    });
    place.write("model/model.safetensors", safetensors::serialize(views, None).unwrap());
    place.write("model/config.json", fs::read(golden(name).join("config.json")).unwrap());
}

#[test]
fn weights_that_do_not_fit_are_told_with_layer_and_shapes() {
    let place = Place::new();
    let refused = |words: &[&str]| {
        let pictures = inputs(&golden("pytorch-cnn"));
        let arguments = ["predict", "model", pictures.to_str().unwrap()];
        place.run(&arguments).is_refusal(&[&["model.safetensors"], words].concat());
        place.run(&["inspect", "model"]).is_refusal(words);
    };
    changed(&place, "pytorch-cnn", |_| {});
    agrees(&place, "pytorch-cnn", &place.path("model"));
    changed(&place, "pytorch-cnn", |tensors| {
        tensors.get_mut("hidden.weight").unwrap().1.reverse();
        let bias = tensors.remove("fc.bias").unwrap();
        tensors.insert("fc2.bias".to_string(), bias);
    });
    refused(&[
        "`hidden.weight` is [8, 5] there, but [5, 8] here",
        "`fc.bias` [3] is missing there",
        "`fc2.bias` [3] is not part of this network",
    ]);
    // As a module that is wrapped for several devices writes them.
    changed(&place, "pytorch-cnn", |tensors| {
        *tensors = std::mem::take(tensors).into_iter().map(|(name, t)| (format!("module.{name}"), t)).collect();
    });
    refused(&["`bn1.bias` [4] is missing there", "and 13 more are missing there", "without the beginning `module.`"]);
    changed(&place, "pytorch-cnn", |tensors| {
        tensors.get_mut("fc.bias").unwrap().0 = Dtype::I32;
    });
    refused(&["`fc.bias`", "I32", "F16"]);
}

#[test]
fn files_of_this_program_stay_checked() {
    let place = Place::new();
    let name = "trained-regression";
    let mut bytes = fs::read(golden(name).join("model.safetensors")).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    place.write("model/model.safetensors", bytes);
    place.write("model/config.json", fs::read(golden(name).join("config.json")).unwrap());
    let table = inputs(&golden(name));
    place.run(&["predict", "model", table.to_str().unwrap()]).is_refusal(&["model.safetensors", "checksum"]);
}

/// A session around the network of a golden folder.
fn session(name: &str) -> Session {
    let config: ModelConfig = serde_json::from_value(json(&golden(name).join("config.json"))["model"].clone()).unwrap();
    let scope = Scope::root();
    let network: Box<dyn Network> = build(&config, &scope).unwrap();
    Session::new(
        &scope,
        SessionOptions { threads: 1, ..SessionOptions::new(Optimizer::adamw()) },
        move |t| network.forward(&network.inputs().iter().map(|slot| slot.on(t)).collect::<Vec<_>>()),
        |t, y| losses::cross_entropy(y, &t.batch("class", &[], DType::I32), &losses::CrossEntropy::default()),
    )
    .unwrap()
}

#[test]
fn sessions_load_what_pytorch_wrote_and_write_what_it_loads() {
    let place = Place::new();
    for name in ["pytorch-resnet-basic", "pytorch-mobilenet"] {
        let weights = golden(name).join("model.safetensors");
        let mut session = session(name);
        session.load(&weights).unwrap();
        // Saved again and put beside the same description, they predict the same.
        fs::create_dir_all(place.path(name)).unwrap();
        let saved = place.path(name).join("model.safetensors");
        session.save(&saved).unwrap();
        fs::copy(golden(name).join("config.json"), place.path(name).join("config.json")).unwrap();
        agrees(&place, name, &place.path(name));
        // Names and shapes are those that PyTorch asks for; it makes counters itself.
        let (theirs, ours) = (fs::read(&weights).unwrap(), fs::read(&saved).unwrap());
        let (theirs, ours) = (SafeTensors::deserialize(&theirs).unwrap(), SafeTensors::deserialize(&ours).unwrap());
        let shapes = |file: &SafeTensors<'_>| -> BTreeMap<String, Vec<usize>> {
            let wanted = file.iter().filter(|(name, _)| !name.ends_with("num_batches_tracked"));
            wanted.map(|(name, view)| (name.to_string(), view.shape().to_vec())).collect()
        };
        assert_eq!(shapes(&ours), shapes(&theirs), "{name}");
        let error = self::session("pytorch-cnn").load(&weights).expect_err("another network").to_string();
        for word in ["model.safetensors", "`conv1.weight`", "is missing there", "is not part of this network"] {
            assert!(error.contains(word), "`{word}` is not in {error}");
        }
    }
}
