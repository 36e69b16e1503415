//! Published architectures under the names of all implementations, against PyTorch.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use deepfit_cpu::{Engine, View};
use deepfit_graph::{Extents, Tensor};
use deepfit_nn::Scope;
use deepfit_nn::step::evaluation_graph;
use deepfit_zoo::{ImageConfig, Published, build};
use serde_json::Value;

use crate::drawn::{uniform, write};

/// How far outputs may lie from PyTorch's in f64, relative to the largest.
const TOLERANCE: f32 = 1e-4;

fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens")
}

/// A case, whose weights are drawn and not stored.
struct Golden {
    name: String,
    content: Value,
}

impl Golden {
    fn read(name: &str) -> Golden {
        let text = fs::read_to_string(goldens().join(format!("{name}.json"))).expect("a golden file");
        Golden { name: name.to_string(), content: serde_json::from_str(&text).expect("JSON") }
    }

    fn tensors(&self) -> BTreeMap<String, Vec<usize>> {
        serde_json::from_value(self.content["tensors"].clone()).expect("names and shapes")
    }

    /// Writes the model as it is published, perhaps with some tensors changed. Returns its folder or file.
    fn publish(&self, folder: &Path, change: impl FnOnce(&mut BTreeMap<String, Vec<usize>>)) -> PathBuf {
        let mut tensors = self.tensors();
        change(&mut tensors);
        write(&folder.join(format!("{}.safetensors", self.content["file"].as_str().expect("a name"))), &tensors);
        let settings = |name: &str, value: &Value| fs::write(folder.join(name), value.to_string()).expect("a file");
        settings("preprocessor_config.json", &self.content["preprocessor"]);
        if !self.content["config"].is_null() {
            settings("config.json", &self.content["config"]);
        }
        folder.to_path_buf()
    }

    fn load(&self) -> Published {
        let folder = tempfile::tempdir().expect("a folder");
        let path = self.publish(folder.path(), |_| {});
        Published::load(&path).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    /// Holds outputs against PyTorch's.
    fn check(&self) {
        let published = self.load();
        assert!(published.has_head() && published.report.left_over.is_empty(), "{}: {}", self.name, published.report);
        let image = published.config.image().expect("images").clone();
        let outputs = run(&published, &image, "logits");
        let expected: Vec<Vec<f32>> = serde_json::from_value(self.content["outputs"].clone()).expect("outputs");
        let expected = expected.concat();
        let largest = expected.iter().fold(0f32, |most, v| most.max(v.abs()));
        let error = outputs.iter().zip(&expected).fold(0f32, |most, (a, b)| most.max((a - b).abs())) / largest;
        assert_eq!(outputs.len(), expected.len());
        assert!(error <= TOLERANCE, "{}: {error:.1e} of {largest}\n{outputs:?}\n{expected:?}", self.name);
    }
}

/// Logits or features of two drawn images.
fn run(published: &Published, image: &ImageConfig, output: &str) -> Vec<f32> {
    let scope = Scope::root();
    let network = build(&published.config, &scope).expect("a network");
    let mut engine = Engine::new(2).expect("an engine");
    for (name, array) in &published.weights {
        engine.set_parameter(name, &array.shape, &array.values).expect("a parameter");
    }
    let graph = evaluation_graph(|tracer| {
        let inputs: Vec<Tensor> = network.inputs().iter().map(|slot| slot.on(tracer)).collect();
        let features = network.features(&inputs)?;
        let logits = network.head(&features)?;
        Ok(vec![("features".to_string(), features), ("logits".to_string(), logits)])
    });
    let program = engine.compile(&graph.expect("a graph"), Extents::batch(2)).expect("a program");
    let count = 2 * image.height * image.width * image.channels;
    let pixels: Vec<u8> = uniform("image", count).map(|u| (u * 256.0) as u8).collect();
    engine.run(program, Extents::batch(2), &[("image", View::U8(&pixels))]).expect("a run");
    engine.output(program, output).expect("an output").to_vec()
}

macro_rules! cases {
    ($($test:ident: $($name:literal),+;)+) => {
        $(
            #[test]
            fn $test() {
                for name in [$($name),+] {
                    Golden::read(name).check();
                }
            }
        )+

        const NAMES: &[&str] = &[$($($name),+),+];
    };
}

cases! {
    resnets_equal_pytorchs: "resnet-basic", "resnet-bottleneck", "resnet-timm", "resnet-basic-transformers",
        "resnet-bottleneck-transformers";
    mobilenets_v2_equal_pytorchs: "mobilenet-v2", "mobilenetv2-035-timm";
    mobilenets_v3_equal_pytorchs: "mobilenet-v3-small", "mobilenet-v3-large", "mobilenetv3-small-050-timm",
        "tf-mobilenetv3-small-075-timm";
    efficientnets_equal_pytorchs: "efficientnet-b0", "efficientnet-b0-timm", "tf-efficientnet-b0-timm",
        "efficientnet-b0-pytorch";
    efficientnets_lite_equal_pytorchs: "tf-efficientnet-lite0-timm", "efficientnet-lite1-timm",
        "efficientnet-lite0-pytorch", "efficientnet-lite2-pytorch";
    convnexts_equal_pytorchs: "convnext", "convnext-timm", "convnext-transformers";
    vision_transformers_equal_pytorchs: "vit", "vit-timm", "vit-transformers", "vit-transformers-memory";
    deits_equal_pytorchs: "deit-timm", "deit-transformers", "deit-transformers-memory", "deit-teacher-transformers",
        "deit-teacher-transformers-memory";
}

#[test]
fn no_golden_file_is_without_its_test() {
    let mut files: Vec<String> = fs::read_dir(goldens())
        .expect("a folder")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_suffix(".json").map(str::to_string))
        .collect();
    files.sort();
    let mut names = NAMES.to_vec();
    names.sort_unstable();
    assert_eq!(files, names);
}

#[test]
fn architectures_and_classes_are_told() {
    let report = Golden::read("efficientnet-lite0-pytorch").load().report;
    assert_eq!((&report.architecture[..], &report.naming[..]), ("EfficientNet-Lite0", "efficientnet-pytorch"));
    assert_eq!((report.matched, report.notes.len()), (247, 0), "{report}");
    let published = Golden::read("vit-transformers").load();
    assert_eq!(published.classes[6], "class 6");
    assert_eq!(Golden::read("resnet-basic").load().classes[6], "6");
    // Whose borders a network has cannot be seen, and is told.
    let folder = tempfile::tempdir().expect("a folder");
    let golden = Golden::read("efficientnet-b0-timm");
    golden.publish(folder.path(), |_| {});
    fs::remove_file(folder.path().join("config.json")).expect("a file");
    let report = Published::load(folder.path()).expect("a model").report;
    assert!(report.notes.iter().any(|note| note.contains("tf_")), "{:?}", report.notes);
}

#[test]
fn a_model_without_its_last_layer_has_features() {
    for (name, head, width) in [
        ("resnet-basic", "fc.", 512),
        ("mobilenet-v3-small", "classifier.3.", 1024),
        ("efficientnet-lite0-pytorch", "_fc.", 1280),
        ("convnext-timm", "head.fc.", 48),
        ("vit-transformers", "classifier.", 48),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let golden = Golden::read(name);
        golden.publish(folder.path(), |tensors| tensors.retain(|name, _| !name.starts_with(head)));
        let published = Published::load(folder.path()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(!published.has_head() && published.report.new.len() == 2, "{name}: {:?}", published.report.new);
        let image = published.config.image().expect("images").clone();
        let features = run(&published, &image, "features");
        assert_eq!(features.len(), 2 * width, "{name}");
        assert_eq!(features, run(&golden.load(), &image, "features"), "{name}");
    }
}

#[test]
fn names_within_a_wrapper_are_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let golden = Golden::read("vit");
    golden.publish(folder.path(), |tensors| {
        *tensors = std::mem::take(tensors).into_iter().map(|(name, shape)| (format!("module.{name}"), shape)).collect();
    });
    let report = Published::load(folder.path()).expect("a model").report;
    assert_eq!((report.matched, report.new.len()), (golden.tensors().len(), 0));
}

/// The error for a model of which some tensors are changed.
fn refused(name: &str, change: impl FnOnce(&mut BTreeMap<String, Vec<usize>>)) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    Golden::read(name).publish(folder.path(), change);
    Published::load(folder.path()).expect_err("an error").to_string()
}

#[test]
fn tensors_that_do_not_fit_are_named() {
    let told = refused("resnet-basic", |t| _ = t.insert("layer2.0.bn1.bias".into(), vec![5]));
    assert!(told.contains("`layer2.0.bn1.bias` is [5] in the file, but must be [128]"), "{told}");
    let told = refused("resnet-basic", |t| _ = t.remove("layer2.0.bn1.bias"));
    assert!(told.contains("what becomes `layer2.0.bn1.bias` [128] is missing"), "{told}");
    let told = refused("resnet-basic", |t| _ = t.insert("layer2.0.se.fc1.weight".into(), vec![4, 128, 1, 1]));
    assert!(told.contains("`layer2.0.se.fc1.weight` [4, 128, 1, 1] has no place in it"), "{told}");
    let told = refused("resnet-bottleneck", |t| _ = t.insert("layer1.0.conv2.weight".into(), vec![64, 2, 3, 3]));
    assert!(told.contains("ResNeXt"), "{told}");
    let told = refused("vit-transformers", |t| {
        t.insert("vit.embeddings.position_embeddings".into(), vec![1, 16, 48]);
    });
    assert!(told.contains("no square"), "{told}");
    let told = refused("vit", |t| *t = BTreeMap::from([("transformer.wte.weight".into(), vec![7, 3])]));
    assert!(told.contains("`transformer.wte.weight`") && told.contains("known are ResNet"), "{told}");
}
