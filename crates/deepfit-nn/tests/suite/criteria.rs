//! Losses with several inputs against PyTorch, and what must be an error.

use std::collections::BTreeMap;

use deepfit_graph::interpret::Environment;
use deepfit_graph::ops::CtcTargets;
use deepfit_graph::{DType, Extents, Mode, Reference, Shape, Tensor, Tracer, gradients, interpret};
use deepfit_nn::Result;
use deepfit_nn::losses::{self, *};

use crate::golden::{Golden, batch_shape};

/// Of the largest element: the expected values are rounded to f32.
const TOLERANCE: f64 = 1e-6;

/// The loss that a golden file describes, of its inputs by name.
fn loss_of(golden: &Golden, tensors: &BTreeMap<String, Tensor>, reduction: Reduction) -> Result<Tensor> {
    let get = |name: &str| tensors.get(name).unwrap_or_else(|| panic!("{} has no `{name}`", golden.name));
    let some = |name: &str| tensors.get(name).cloned();
    let number = |key: &str| golden.number(key) as f32;
    let flag = |key: &str| golden.config[key] == true;
    match golden.config["loss"].as_str().expect("a name") {
        "cross_entropy" => {
            let (smoothing, ignore_index) = (number("label_smoothing"), number("ignore_index") as i32);
            let settings = CrossEntropy { smoothing, weights: some("weight"), ignore_index, reduction };
            cross_entropy(get("x"), get("target"), &settings)
        }
        "soft_cross_entropy" => {
            let smoothing = number("label_smoothing");
            let settings = CrossEntropy { smoothing, weights: some("weight"), reduction, ..CrossEntropy::default() };
            soft_cross_entropy(get("x"), get("target"), &settings)
        }
        "nll" => {
            let settings = Nll { weights: some("weight"), reduction, ..Nll::default() };
            nll(get("x"), get("target"), &settings)
        }
        "focal" => {
            let settings = Focal { gamma: number("gamma"), weights: some("weight"), reduction, ..Focal::default() };
            focal(get("x"), get("target"), &settings)
        }
        "multi_margin" => {
            let (p, margin) = (number("p") as u32, number("margin"));
            multi_margin(get("x"), get("target"), &MultiMargin { p, margin, weights: some("weight"), reduction })
        }
        "kl_divergence" => kl_divergence(get("x"), get("target"), flag("log_target"), reduction),
        "bce_with_logits" => {
            let settings = BceWithLogits { weights: some("weight"), pos_weight: some("pos_weight"), reduction };
            bce_with_logits(get("x"), get("target"), &settings)
        }
        "bce" => bce(get("x"), get("target"), &Bce { weights: some("weight"), reduction }),
        "sigmoid_focal" => {
            let settings = SigmoidFocal { alpha: number("alpha"), gamma: number("gamma"), reduction };
            sigmoid_focal(get("x"), get("target"), &settings)
        }
        "soft_margin" => soft_margin(get("x"), get("target"), reduction),
        "multi_label_soft_margin" => multi_label_soft_margin(get("x"), get("target"), tensors.get("weight"), reduction),
        "poisson_nll" => {
            let (log_input, full) = (flag("log_input"), flag("full"));
            poisson_nll(get("x"), get("target"), &PoissonNll { log_input, full, reduction, ..PoissonNll::default() })
        }
        "gaussian_nll" => {
            let eps = golden.config["eps"].as_f64().unwrap_or(1e-6) as f32;
            let settings = GaussianNll { full: flag("full"), eps, reduction };
            gaussian_nll(get("x"), get("target"), get("variance"), &settings)
        }
        "cosine_similarity" => {
            let similarity = losses::cosine_similarity(get("a"), get("b"), number("eps"))?;
            match reduction {
                Reduction::Mean => Ok(similarity.mean()?),
                Reduction::Sum => Ok(similarity.sum()?),
                _ => Ok(similarity),
            }
        }
        "cosine_embedding" => cosine_embedding(get("a"), get("b"), get("target"), number("margin"), reduction),
        "triplet_margin" => {
            let (margin, p, swap) = (number("margin"), number("p"), flag("swap"));
            let settings = TripletMargin { margin, p, swap, reduction, ..TripletMargin::default() };
            triplet_margin(get("a"), get("b"), get("c"), &settings)
        }
        "margin_ranking" => margin_ranking(get("a"), get("b"), get("target"), number("margin"), reduction),
        "hinge_embedding" => hinge_embedding(get("a"), get("target"), number("margin"), reduction),
        "contrastive" => losses::contrastive(get("a"), get("b"), get("target"), number("margin"), reduction),
        "info_nce" => info_nce(get("a"), get("b"), number("temperature"), reduction),
        "nt_xent" => nt_xent(get("a"), get("b"), number("temperature"), reduction),
        "ctc" => {
            let (blank, zero_infinity) = (number("blank") as usize, flag("zero_infinity"));
            let targets = CtcTargets {
                labels: get("target"),
                input_lengths: tensors.get("input_lengths"),
                target_lengths: tensors.get("target_lengths"),
            };
            ctc(&get("x").log_softmax()?, targets, &losses::Ctc { blank, zero_infinity, reduction })
        }
        "in_batch_negatives" => losses::in_batch_negatives(get("a"), get("b"), get("texts"), number("scale")),
        "similarity_ranking" => losses::similarity_ranking(get("x"), get("scores"), number("scale")),
        other => panic!("no loss for {other}"),
    }
}

fn check(golden: &Golden) {
    let reductions = [
        ("mean", Reduction::Mean),
        ("sum", Reduction::Sum),
        ("batchmean", Reduction::BatchMean),
        ("none", Reduction::None),
    ];
    let known = golden.under("loss.");
    for (name, reduction) in reductions.into_iter().filter(|(name, _)| known.iter().any(|(n, _)| n == name)) {
        let tracer = Tracer::new(Mode::Train);
        let (mut tensors, mut given) = (BTreeMap::new(), Environment::new());
        for (prefix, trained) in [("in.", true), ("fixed.", false)] {
            for (key, array) in golden.under(prefix) {
                // Classes and lengths are integers, targets of other losses are not.
                let integer = !trained && golden.is_integer(&format!("{prefix}{key}"));
                let dtype = if integer { DType::I32 } else { DType::F32 };
                let by_class = key == "weight" || key == "pos_weight";
                let shape = if by_class { Shape::from(&array.shape[..]) } else { batch_shape(array) };
                tensors.insert(key.clone(), tracer.input(&key, shape, dtype));
                given.insert(key, array.clone());
            }
        }
        let loss = loss_of(golden, &tensors, reduction).unwrap_or_else(|e| panic!("{}: {e}", golden.name));
        let scalar = if reduction == Reduction::None {
            let upstream = golden.get("upstream.none");
            given.insert("upstream".to_string(), upstream.clone());
            let upstream = tracer.input("upstream", batch_shape(upstream), DType::F32);
            loss.mul(&upstream).and_then(|l| l.sum()).expect("a scalar")
        } else {
            loss.clone()
        };
        let inputs = golden.under("in.");
        let wanted: Vec<Tensor> = inputs.iter().map(|(key, _)| tensors[key].clone()).collect();
        let found = gradients(&scalar, &wanted).expect("gradients");
        let extents = Extents::batch(inputs[0].1.shape[0]);
        let values = interpret::run(&tracer.graph(), extents, &given, &mut Environment::new()).expect("the graph runs");
        golden.compare(&format!("loss.{name}"), values.get(loss.value()), TOLERANCE);
        for ((key, _), gradient) in inputs.iter().zip(&found) {
            golden.compare(&format!("grad.{name}.{key}"), values.get(gradient.value()), TOLERANCE);
        }
    }
}

fn check_all(prefix: &str, count: usize) {
    let goldens = Golden::all(&format!("criterion-{prefix}"));
    assert_eq!(goldens.len(), count, "cases of {prefix}");
    goldens.iter().for_each(check);
}

#[test]
fn cross_entropies_equal_pytorchs() {
    check_all("cross-entropy", 3);
    check_all("soft-cross-entropy", 2);
    check_all("nll", 2);
    check_all("kl", 2);
}

#[test]
fn focal_losses_equal_their_definition() {
    check_all("focal", 3);
    check_all("sigmoid-focal", 2);
}

#[test]
fn binary_losses_equal_pytorchs() {
    check_all("bce-with-logits", 3);
    check(&Golden::read("criterion-bce"));
    check(&Golden::read("criterion-bce-limits"));
    check_all("soft-margin", 1);
    check_all("multi-label", 1);
}

#[test]
fn margins_equal_pytorchs() {
    check_all("multi-margin", 2);
    check_all("margin-ranking", 1);
    check_all("hinge-embedding", 1);
    check_all("cosine-embedding", 3);
    check_all("cosine-similarity", 1);
    check_all("triplet-margin", 4);
}

#[test]
fn contrastive_losses_equal_their_definition() {
    check_all("contrastive", 1);
    check_all("info-nce", 1);
    check_all("nt-xent", 1);
}

#[test]
fn losses_of_pairs_of_embeddings_equal_their_definition() {
    check_all("in-batch-negatives", 1);
    check_all("similarity-ranking", 1);
}

#[test]
fn likelihoods_equal_pytorchs() {
    check_all("poisson-nll", 3);
    check_all("gaussian-nll", 3);
}

#[test]
fn ctc_equals_pytorchs() {
    check_all("ctc", 4);
}

/// The value of a graph without inputs.
fn value(build: impl FnOnce(&Tracer) -> Result<Tensor>) -> Result<Reference> {
    let tracer = Tracer::new(Mode::Train);
    let tensor = build(&tracer)?;
    let none = &mut Environment::new();
    let values = interpret::run(&tracer.graph(), Extents::batch(1), &Environment::new(), none).expect("the graph runs");
    Ok(values.get(tensor.value()).clone())
}

fn array(tracer: &Tracer, shape: &[usize], data: &[f32]) -> Tensor {
    tracer.constant(deepfit_graph::HostTensor::f32(shape, data.to_vec()))
}

fn integers(tracer: &Tracer, shape: &[usize], data: &[i32]) -> Tensor {
    let data = deepfit_graph::HostData::I32(data.to_vec());
    tracer.constant(deepfit_graph::HostTensor::new(shape, data).expect("fits"))
}

#[test]
fn a_sequence_that_cannot_fit_has_an_infinite_loss() {
    let loss = |zero_infinity| {
        value(|tracer| {
            let scores = array(tracer, &[1, 2, 3], &[-1.0; 6]);
            // Two equal labels need a blank between them: three frames.
            let labels = integers(tracer, &[1, 2], &[1, 1]);
            let targets = CtcTargets { labels: &labels, input_lengths: None, target_lengths: None };
            ctc(&scores, targets, &losses::Ctc { zero_infinity, ..losses::Ctc::default() })
        })
    };
    assert_eq!(loss(false).unwrap().data, [f64::INFINITY]);
    assert_eq!(loss(true).unwrap().data, [0.0]);
}

#[test]
fn what_is_no_probability_has_no_binary_cross_entropy() {
    let loss = |p: f32| {
        value(|tracer| {
            let (p, target) = (array(tracer, &[2], &[0.5, p]), array(tracer, &[2], &[1.0, 0.0]));
            bce(&p, &target, &Bce { reduction: Reduction::None, ..Bce::default() })
        })
        .unwrap()
        .data
    };
    for p in [-0.5, 1.5, -1e-6, 1.000_001] {
        assert!(loss(p)[1].is_nan() && loss(p)[0].is_finite(), "{p}");
    }
    for p in [0.0, 1.0, 1e-30] {
        assert!(loss(p).iter().all(|x| x.is_finite()), "{p}");
    }
}

#[test]
fn more_labels_than_frames_are_an_error_of_the_graph() {
    let told = value(|tracer| {
        let scores = array(tracer, &[1, 2, 3], &[-1.0; 6]);
        let labels = integers(tracer, &[1, 3], &[1, 2, 1]);
        let targets = CtcTargets { labels: &labels, input_lengths: None, target_lengths: None };
        ctc(&scores, targets, &losses::Ctc::default())
    })
    .expect_err("3 labels, 2 frames")
    .to_string();
    assert!(told.contains("loss: ctc") && told.contains("3 labels") && told.contains("2 frames"), "{told}");
}

#[test]
fn a_batch_of_which_all_is_ignored_has_no_mean() {
    let loss = value(|tracer| {
        let (x, t) = (array(tracer, &[2, 2], &[1.0; 4]), integers(tracer, &[2], &[-100, -100]));
        cross_entropy(&x, &t, &CrossEntropy::default())
    });
    assert!(loss.unwrap().data[0].is_nan());
}

#[test]
fn impossible_settings_and_shapes_are_named() {
    let told = |build: &dyn Fn(&Tracer) -> Result<Tensor>| value(build).expect_err("impossible").to_string();
    let x = |t: &Tracer| array(t, &[2, 3], &[0.5; 6]);
    let classes = |t: &Tracer| integers(t, &[2], &[0, 2]);
    let mean = Reduction::Mean;
    for (part, message) in [
        ("gamma", told(&|t| focal(&x(t), &classes(t), &Focal { gamma: -1.0, ..Focal::default() }))),
        ("`p` is 3", told(&|t| multi_margin(&x(t), &classes(t), &MultiMargin { p: 3, ..MultiMargin::default() }))),
        ("temperature", told(&|t| info_nce(&x(t), &x(t), 0.0, mean))),
        ("margin", told(&|t| losses::contrastive(&x(t), &x(t), &classes(t), 0.0, mean))),
        ("[2] and [2, 3]", told(&|t| cosine_embedding(&x(t), &x(t), &x(t), 0.0, mean))),
        ("[2, 3]", told(&|t| nll(&x(t), &integers(t, &[3], &[0; 3]), &Nll::default()))),
        (
            "smoothing",
            told(&|t| soft_cross_entropy(&x(t), &x(t), &CrossEntropy { smoothing: 2.0, ..Default::default() })),
        ),
    ] {
        assert!(message.contains(part), "{message} does not tell {part}");
    }
}
