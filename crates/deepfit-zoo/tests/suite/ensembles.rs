use deepfit_graph::interpret::Environment;
use deepfit_graph::{Extents, Mode, Reference, Tensor, Tracer, interpret};
use deepfit_nn::Scope;
use deepfit_zoo::{EmbeddingConfig, ModelConfig, Network, PeriodicConfig, TabmConfig, build};

/// An ensemble on numbers and a category.
pub fn tabm() -> TabmConfig {
    TabmConfig {
        numeric: 3,
        embeddings: vec![EmbeddingConfig::of(9)],
        periodic: PeriodicConfig::default(),
        members: 4,
        hidden: vec![6, 5],
        outputs: 3,
        classification: true,
        dropout: 0.0,
    }
}

/// What a network makes of five rows, in f64, traced in one of two modes by `forward`.
fn values(config: &TabmConfig, mode: Mode, forward: impl Fn(&dyn Network, &[Tensor]) -> Tensor) -> Reference {
    let scope = Scope::root();
    let network = build(&ModelConfig::Tabm(config.clone()), &scope).expect("possible");
    let tracer = Tracer::new(mode);
    let inputs: Vec<Tensor> = network.inputs().iter().map(|slot| slot.on(&tracer)).collect();
    let output = forward(&*network, &inputs);
    let numbers = (0..15).map(|i| f64::from(i * 7 % 11) / 4.0 - 1.0).collect();
    let given = Environment::from([
        ("numeric".to_string(), Reference::new(&[5, 3], numbers)),
        ("categories".to_string(), Reference::new(&[5, 1], vec![0.0, 8.0, 3.0, 3.0, 1.0])),
    ]);
    let drawn = scope.declarations().into_iter().map(|declaration| {
        let values = declaration.values(7).into_iter().map(f64::from).collect();
        let values = Reference::new(&declaration.shape, values);
        (declaration.name, values)
    });
    let mut parameters: Environment = drawn.collect();
    let found = interpret::run(&tracer.graph(), Extents::batch(5), &given, &mut parameters).expect("the graph runs");
    found.get(output.value()).clone()
}

fn forward(network: &dyn Network, inputs: &[Tensor]) -> Tensor {
    network.forward(inputs).expect("fits")
}

#[test]
fn members_differ_in_training_and_agree_on_their_mean_in_use() {
    let softmax = |logits: &[f64]| -> Vec<f64> {
        let sum: f64 = logits.iter().map(|x| x.exp()).sum();
        logits.iter().map(|x| x.exp() / sum).collect()
    };
    for classification in [true, false] {
        let config = TabmConfig { classification, ..tabm() };
        let members = values(&config, Mode::Train, forward);
        let together = values(&config, Mode::Evaluate, forward);
        assert_eq!((&members.shape[..], &together.shape[..]), (&[5, 4, 3][..], &[5, 3][..]));
        for row in 0..5 {
            let of = |member: usize| {
                let said = &members.data[(row * 4 + member) * 3..][..3];
                if classification { softmax(said) } else { said.to_vec() }
            };
            assert!((of(0)[0] - of(1)[0]).abs() > 1e-4, "members say the same");
            let said = &together.data[row * 3..][..3];
            let said = if classification { softmax(said) } else { said.to_vec() };
            for (output, said) in said.iter().enumerate() {
                let mean = (0..4).map(|member| of(member)[output]).sum::<f64>() / 4.0;
                assert!((said - mean).abs() < 1e-9, "row {row}: {said} is not {mean}");
            }
        }
    }
}

#[test]
fn an_ensemble_is_its_head_on_its_features() {
    let parts = values(&tabm(), Mode::Evaluate, |network, inputs| {
        network.head(&network.features(inputs).expect("fits")).expect("fits")
    });
    let whole = values(&tabm(), Mode::Evaluate, forward);
    assert!(parts.data.iter().zip(&whole.data).all(|(a, b)| (a - b).abs() < 1e-12));
}

#[test]
fn numbers_or_categories_alone_are_enough() {
    let categories =
        TabmConfig { numeric: 0, embeddings: vec![EmbeddingConfig::of(9), EmbeddingConfig::of(4)], ..tabm() };
    let numbers = TabmConfig { embeddings: Vec::new(), ..tabm() };
    for config in [categories, numbers] {
        let scope = Scope::root();
        let network = build(&ModelConfig::Tabm(config), &scope).expect("possible");
        let tracer = Tracer::new(Mode::Evaluate);
        let inputs: Vec<Tensor> = network.inputs().iter().map(|slot| slot.on(&tracer)).collect();
        let logits = network.forward(&inputs).expect("fits");
        assert_eq!((inputs.len(), logits.shape().fixed(1)), (1, Some(3)));
    }
}
