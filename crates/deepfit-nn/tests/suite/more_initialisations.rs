use deepfit_graph::{Mode, Tracer};
use deepfit_nn::init::{Fan, Init, Nonlinearity, gain};
use deepfit_nn::layers::{Embedding, Linear};
use deepfit_nn::{Module, Role, Scope};

use crate::golden::Golden;

fn named(name: &str) -> Init {
    match name {
        "uniform" => Init::UniformBetween { low: -1.0, high: 3.0 },
        "normal" => Init::NormalAround { mean: 2.0, std: 0.5 },
        "trunc_normal" => Init::TruncatedNormalBetween { mean: 0.5, std: 1.0, low: -0.5, high: 2.0 },
        "trunc_normal_tail" => Init::TruncatedNormalBetween { mean: 0.0, std: 1.0, low: 1.5, high: 4.0 },
        "xavier_uniform" => Init::XavierUniform { gain: gain(Nonlinearity::Tanh) },
        "xavier_normal" => Init::XavierNormal { gain: 0.5 },
        "kaiming_uniform" => Init::KaimingUniform { fan: Fan::Out, gain: gain(Nonlinearity::LeakyRelu(0.2)) },
        "kaiming_normal" => Init::KaimingNormal { fan: Fan::In, gain: gain(Nonlinearity::Relu) },
        "sparse" => Init::Sparse { sparsity: 0.3, std: 0.2 },
        "orthogonal" => Init::Orthogonal { gain: 2.0 },
        "dirac" => Init::Dirac { groups: 2 },
        "dirac_1d" => Init::Dirac { groups: 1 },
        "eye" => Init::Eye,
        "constant" => Init::Constant(0.25),
        other => panic!("no initialisation for {other}"),
    }
}

fn shape_of(golden: &Golden, name: &str) -> Vec<usize> {
    let lengths = golden.config["shapes"][name].as_array().expect("a shape");
    lengths.iter().map(|n| n.as_u64().expect("a length") as usize).collect()
}

#[test]
fn initialisations_have_the_distributions_of_pytorchs() {
    let golden = Golden::read("more-init");
    let random: Vec<_> = golden.config["shapes"].as_object().expect("shapes").keys().collect();
    let mut checked = 0;
    for name in random {
        let shape = shape_of(&golden, name);
        let init = named(name);
        init.validate(name, &shape).expect("the shape fits");
        if let Some((_, expected)) = golden.under(name).iter().find(|(rest, _)| rest.is_empty()) {
            let found: Vec<f64> = init.values(1, name, &shape).into_iter().map(f64::from).collect();
            assert_eq!(found, expected.data, "{name}");
            checked += 1;
            continue;
        }
        let mut pooled: Vec<f32> = (0..48).flat_map(|seed| init.values(seed, name, &shape)).collect();
        pooled.sort_by(f32::total_cmp);
        let spread = golden.get(&format!("{name}.deviation")).data[0];
        // Both are samples: each quantile is off by some standard errors.
        let allowed = 12.0 * spread / (pooled.len() as f64).sqrt();
        for (i, expected) in golden.get(&format!("{name}.quantiles")).data.iter().enumerate() {
            let position = ((i + 1) as f64 / 20.0 * (pooled.len() - 1) as f64).round() as usize;
            let error = (f64::from(pooled[position]) - expected).abs();
            assert!(error <= allowed, "{name} quantile {i}: {} instead of {expected}", pooled[position]);
        }
        checked += 1;
    }
    assert_eq!(checked, 14);
    let gains = &golden.config["gains"];
    for (name, nonlinearity) in [
        ("linear", Nonlinearity::Linear),
        ("tanh", Nonlinearity::Tanh),
        ("relu", Nonlinearity::Relu),
        ("leaky_relu_0.2", Nonlinearity::LeakyRelu(0.2)),
        ("selu", Nonlinearity::Selu),
    ] {
        assert!((f64::from(gain(nonlinearity)) - gains[name].as_f64().expect("a gain")).abs() < 1e-6, "{name}");
    }
}

#[test]
fn orthogonal_rows_or_columns_are_at_right_angles() {
    for shape in [vec![5, 12], vec![12, 5], vec![4, 3, 2, 2], vec![7, 7], vec![1, 1]] {
        let values = Init::Orthogonal { gain: 1.5 }.values(3, "w", &shape);
        let (rows, columns) = (shape[0], shape[1..].iter().product::<usize>());
        let at = |i: usize, k: usize| {
            f64::from(if rows <= columns { values[i * columns + k] } else { values[k * columns + i] })
        };
        for i in 0..rows.min(columns) {
            for j in 0..rows.min(columns) {
                let product: f64 = (0..rows.max(columns)).map(|k| at(i, k) * at(j, k)).sum();
                let expected = if i == j { 2.25 } else { 0.0 };
                assert!((product - expected).abs() < 1e-5, "{shape:?} {i} {j}: {product}");
            }
        }
    }
}

#[test]
fn sparse_columns_have_their_share_of_zeros() {
    let values = Init::Sparse { sparsity: 0.25, std: 1.0 }.values(3, "w", &[10, 6]);
    for column in 0..6 {
        assert_eq!((0..10).filter(|row| values[row * 6 + column] == 0.0).count(), 3);
    }
}

#[test]
fn impossible_initialisations_are_refused_with_the_shape() {
    for (init, shape, words) in [
        (Init::Eye, vec![3], "[3]"),
        (Init::Dirac { groups: 2 }, vec![3, 2, 1], "[3, 2, 1]"),
        (Init::Dirac { groups: 1 }, vec![3, 2], "[3, 2]"),
        (Init::Orthogonal { gain: 1.0 }, vec![8], "[8]"),
        (Init::Sparse { sparsity: 1.5, std: 1.0 }, vec![3, 3], "1.5"),
        (Init::Normal { std: f32::NAN }, vec![2], "NaN"),
        (Init::UniformBetween { low: 1.0, high: 0.0 }, vec![2], "at most 0"),
        (Init::TruncatedNormalBetween { mean: 0.0, std: 1.0, low: 1.0, high: 1.0 }, vec![2], "below 1"),
    ] {
        let message = init.validate("fc.weight", &shape).expect_err(words).to_string();
        assert!(message.contains("fc.weight") && message.contains(words), "{message}");
        // Values are drawn all the same, without panic.
        assert_eq!(init.values(1, "fc.weight", &shape).len(), shape.iter().product::<usize>());
    }
}

#[test]
fn tied_parameters_are_one() {
    let scope = Scope::root();
    scope.tie("head.weight", "words.weight").expect("in time");
    let words = Embedding::new(&scope.child("words"), 7, 4);
    let head = Linear::without_bias(&scope.child("head"), 4, 7, Init::default_weight());
    let names: Vec<String> = scope.declarations().into_iter().map(|d| d.name).collect();
    assert_eq!(names, ["words.weight"]);
    assert_eq!(scope.aliases()["head.weight"], "words.weight");

    let tracer = Tracer::new(Mode::Train);
    let tokens = tracer.input("tokens", [3], deepfit_graph::DType::I32);
    let logits = head.forward(&words.forward(&tokens).expect("fits")).expect("fits");
    assert_eq!(logits.shape().to_string(), "[3, 7]");
    let weight = scope.declarations()[0].parameter().on(&tracer).expect("one shape");
    deepfit_graph::gradients(&logits.sum().expect("a sum"), &[weight]).expect("both uses add up");

    assert!(scope.tie("head.weight", "words.weight").is_err(), "twice");
    assert!(scope.tie("words.weight", "other").is_err(), "declared already");
    let wrong = Scope::root();
    wrong.tie("head.weight", "words.weight").expect("in time");
    let words = Embedding::new(&wrong.child("words"), 7, 4);
    let head = Linear::without_bias(&wrong.child("head"), 4, 6, Init::default_weight());
    let tracer = Tracer::new(Mode::Train);
    let tokens = tracer.input("tokens", [3], deepfit_graph::DType::I32);
    let message = head.forward(&words.forward(&tokens).expect("fits")).expect_err("other shape").to_string();
    assert!(message.contains("[7, 4]") && message.contains("[6, 4]"), "{message}");
    let chain = Scope::root();
    chain.tie("b", "a").expect("in time");
    chain.tie("c", "b").expect("to what b stands for");
    assert_eq!(chain.parameter("c", &[1], Init::Zeros, Role::Weight).name, "a");
}

#[test]
fn no_gradient_passes_a_stop() {
    let tracer = Tracer::new(Mode::Train);
    let x = tracer.parameter("x", [3]).expect("new");
    let y = tracer.parameter("y", [3]).expect("new");
    let loss = x.mul(&y.stop_gradient().expect("f32")).and_then(|p| p.sum()).expect("fits");
    assert!(deepfit_graph::gradients(&loss, std::slice::from_ref(&x)).is_ok());
    let message = deepfit_graph::gradients(&loss, &[y]).expect_err("cut off").to_string();
    assert!(message.contains("`y`"), "{message}");
}
