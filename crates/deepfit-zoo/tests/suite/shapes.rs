use deepfit_graph::{Cost, Extents, Mode, Shape, Tracer};
use deepfit_nn::{Declaration, Role, Scope};
use deepfit_zoo::{
    CnnConfig, EmbeddingConfig, ImageConfig, InputSlot, MlpConfig, MobilenetV2Config, ModelConfig, ResnetConfig, build,
};

use crate::ensembles::tabm;

/// Traces a network in both modes; returns what it declares and the cost of using it on one example.
fn traced(config: &ModelConfig) -> (Vec<Declaration>, Cost) {
    let scope = Scope::root();
    let network = build(config, &scope).unwrap_or_else(|e| panic!("{config:?}: {e}"));
    assert_eq!(network.outputs(), config.outputs());
    let mut cost = Cost::default();
    for mode in [Mode::Train, Mode::Evaluate] {
        let tracer = Tracer::new(mode);
        let inputs: Vec<_> = network.inputs().iter().map(|slot| slot.on(&tracer)).collect();
        let logits = network.forward(&inputs).unwrap_or_else(|e| panic!("{config:?}: {e}"));
        assert_eq!(logits.shape(), &Shape::batch_of(&[config.outputs()]));
        tracer.output("logits", &logits);
        cost = tracer.graph().cost(&Extents::batch(1));
    }
    (scope.declarations(), cost)
}

fn trained(declarations: &[Declaration]) -> usize {
    declarations.iter().filter(|d| d.role.is_trained()).map(Declaration::elements).sum()
}

#[test]
fn resnets_have_torchvisions_parameters() {
    let image = || ImageConfig::new(224, 224, 3);
    for (config, parameters) in [
        (ResnetConfig::resnet18(image(), 1000), 11_689_512),
        (ResnetConfig::resnet34(image(), 1000), 21_797_672),
        (ResnetConfig::resnet50(image(), 1000), 25_557_032),
    ] {
        assert!(!config.small_stem);
        let (declarations, _) = traced(&ModelConfig::Resnet(config));
        assert_eq!(trained(&declarations), parameters);
    }
    let (declarations, cost) = traced(&ModelConfig::Resnet(ResnetConfig::resnet50(image(), 1000)));
    let shape = |name: &str| declarations.iter().find(|d| d.name == name).map(|d| d.shape.clone());
    assert_eq!(shape("conv1.weight"), Some(vec![64, 3, 7, 7]));
    assert_eq!(shape("layer1.0.downsample.0.weight"), Some(vec![256, 64, 1, 1]));
    assert_eq!(shape("layer4.2.conv3.weight"), Some(vec![2048, 512, 1, 1]));
    assert_eq!(shape("layer4.2.bn3.running_var"), Some(vec![2048]));
    assert_eq!(shape("fc.weight"), Some(vec![1000, 2048]));
    // 4.09 billion multiplications and additions, and a little for the rest.
    let billions = cost.operations as f64 / 1e9;
    assert!((8.1..8.4).contains(&billions), "{billions}");
}

#[test]
fn the_mobilenet_has_torchvisions_parameters() {
    let config = MobilenetV2Config::standard(ImageConfig::new(224, 224, 3), 1000);
    let (declarations, cost) = traced(&ModelConfig::MobilenetV2(config));
    assert_eq!(trained(&declarations), 3_504_872);
    let shape = |name: &str| declarations.iter().find(|d| d.name == name).map(|d| d.shape.clone());
    assert_eq!(shape("features.0.0.weight"), Some(vec![32, 3, 3, 3]));
    assert_eq!(shape("features.1.conv.0.0.weight"), Some(vec![32, 1, 3, 3]));
    assert_eq!(shape("features.1.conv.2.running_mean"), Some(vec![16]));
    assert_eq!(shape("features.2.conv.1.0.weight"), Some(vec![96, 1, 3, 3]));
    assert_eq!(shape("features.17.conv.3.weight"), Some(vec![320]));
    assert_eq!(shape("features.18.0.weight"), Some(vec![1280, 320, 1, 1]));
    assert_eq!(shape("classifier.1.weight"), Some(vec![1000, 1280]));
    // 0.30 billion multiplications and additions in the convolutions.
    let billions = cost.operations as f64 / 1e9;
    assert!((0.6..0.68).contains(&billions), "{billions}");
}

#[test]
fn small_images_keep_their_resolution_in_the_stem() {
    let config = ResnetConfig::resnet18(ImageConfig::new(32, 32, 3), 10);
    assert!(config.small_stem);
    let (declarations, _) = traced(&ModelConfig::Resnet(config));
    assert_eq!(declarations[0].shape, [64, 3, 3, 3]);
}

#[test]
fn the_small_network_for_8x8_images_is_small() {
    let (declarations, cost) = traced(&ModelConfig::Cnn(CnnConfig::for_images(ImageConfig::new(8, 8, 1), 10)));
    assert!(trained(&declarations) < 50_000, "{} parameters", trained(&declarations));
    assert!(cost.operations < 1_500_000, "{} operations", cost.operations);
}

#[test]
fn a_small_network_fits_images_of_every_size() {
    for (height, width) in
        [(1, 1), (1, 9), (3, 3), (4, 5), (7, 8), (8, 8), (16, 12), (28, 28), (33, 32), (64, 64), (100, 80)]
    {
        for channels in [1, 3] {
            let image = ImageConfig::new(height, width, channels);
            traced(&ModelConfig::Cnn(CnnConfig::for_images(image.clone(), 5)));
            traced(&ModelConfig::Resnet(ResnetConfig::resnet18(image, 5)));
        }
    }
}

#[test]
fn tables_may_have_numbers_or_categories_or_both() {
    let both = MlpConfig { embeddings: vec![EmbeddingConfig::of(9); 2], ..MlpConfig::new(3, 4) };
    let names = |config: &MlpConfig| -> Vec<String> {
        let network = build(&ModelConfig::Mlp(config.clone()), &Scope::root()).expect("possible");
        network.inputs().into_iter().map(|InputSlot { name, .. }| name).collect()
    };
    for (config, expected) in [
        (both.clone(), vec!["numeric", "categories"]),
        (MlpConfig { numeric: 0, ..both.clone() }, vec!["categories"]),
        (MlpConfig { embeddings: vec![], ..both.clone() }, vec!["numeric"]),
    ] {
        for (skip, batch_norm, hidden) in [(false, false, vec![]), (true, false, vec![5]), (true, true, vec![6, 5])] {
            let config = MlpConfig { skip, batch_norm, hidden, dropout: 0.1, ..config.clone() };
            assert_eq!(names(&config), expected);
            let (declarations, _) = traced(&ModelConfig::Mlp(config.clone()));
            let has = |name: &str| declarations.iter().any(|d| d.name == name);
            assert_eq!(has("skip.weight"), skip && !config.hidden.is_empty());
            assert_eq!(has("norm1.weight"), batch_norm);
            assert!(has("output.bias"));
        }
    }
}

#[test]
fn biases_and_norms_do_not_decay() {
    let (declarations, _) = traced(&ModelConfig::Cnn(CnnConfig::for_images(ImageConfig::new(8, 8, 1), 10)));
    for d in declarations {
        let expected = match d.name.rsplit('.').next() {
            Some("weight") if !d.name.starts_with("bn") => Role::Weight,
            Some("weight" | "bias") => Role::NoDecay,
            _ => Role::Buffer,
        };
        assert_eq!(d.role, expected, "{}", d.name);
    }
}

#[test]
fn wrong_inputs_are_told() {
    let network = build(&ModelConfig::Mlp(MlpConfig::new(3, 2)), &Scope::root()).expect("possible");
    let message = network.forward(&[]).expect_err("no input").to_string();
    assert!(message.contains("numeric"), "{message}");
    let image = ModelConfig::Cnn(CnnConfig::for_images(ImageConfig::new(8, 8, 1), 2));
    let network = build(&image, &Scope::root()).expect("possible");
    let message = network.forward(&[]).expect_err("no input").to_string();
    assert!(message.contains("image"), "{message}");
}

#[test]
fn every_operation_of_a_network_names_its_layer() {
    let mlp = MlpConfig { skip: true, embeddings: vec![EmbeddingConfig::of(9)], ..MlpConfig::new(3, 4) };
    let image = || ImageConfig::new(16, 16, 3).normalised(vec![0.1, 0.2, 0.3], vec![1.0; 3]);
    for config in [
        ModelConfig::Mlp(mlp),
        ModelConfig::Tabm(tabm()),
        ModelConfig::Cnn(CnnConfig::for_images(image(), 10)),
        ModelConfig::Resnet(ResnetConfig::resnet50(image(), 10)),
        ModelConfig::MobilenetV2(MobilenetV2Config::standard(image(), 10)),
    ] {
        let network = build(&config, &Scope::root()).expect("possible");
        let tracer = Tracer::new(Mode::Train);
        let inputs: Vec<_> = network.inputs().iter().map(|slot| slot.on(&tracer)).collect();
        network.forward(&inputs).expect("the network is traced");
        for node in tracer.graph().nodes() {
            assert!(
                node.op.is_leaf() || !node.layer.is_empty(),
                "{}: {} has no layer",
                config.model_type(),
                node.op.name()
            );
        }
    }
}

#[test]
fn in_use_normalisation_and_activation_are_part_of_the_convolutions() {
    let config = ModelConfig::Resnet(ResnetConfig::resnet18(ImageConfig::new(32, 32, 3), 10));
    let network = build(&config, &Scope::root()).expect("possible");
    let tracer = Tracer::new(Mode::Evaluate);
    let inputs: Vec<_> = network.inputs().iter().map(|slot| slot.on(&tracer)).collect();
    tracer.output("logits", &network.forward(&inputs).expect("the network is traced"));
    let graph = deepfit_graph::passes::optimise(&tracer.graph());
    // What is left of image size: 20 convolutions and the conversion of the pixels.
    let images = graph.nodes().iter().filter(|n| !n.op.is_leaf() && n.outputs[0].shape.rank() == 4);
    let kinds: Vec<&str> = images.map(|n| n.op.kind()).collect();
    assert_eq!(kinds.iter().filter(|k| **k == "Conv2d").count(), 20);
    assert_eq!(kinds.len(), 21, "{kinds:?}");
}
