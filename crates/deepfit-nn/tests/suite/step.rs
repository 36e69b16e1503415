use std::collections::BTreeMap;

use deepfit_graph::interpret::Environment;
use deepfit_graph::{DType, Graph, Op, Reference, Shape, Tracer};
use deepfit_nn::layers::{BatchNorm, Linear};
use deepfit_nn::losses::{self, Reduction};
use deepfit_nn::optim::{Adam, Optimizer, Sgd};
use deepfit_nn::step::{GRADIENT_NORM, KEEP, LEARNING_RATE, LOSS, LOSS_SCALE, STEP};
use deepfit_nn::step::{StepKind, Traced, Training, evaluation_graph, step_graph};
use deepfit_nn::{Clip, Declaration, Module, MovingAverage, Result, Scope};

use crate::golden::{close, run};

/// A linear network for regression, with or without normalisation.
struct Network {
    norm: Option<BatchNorm>,
    hidden: Linear,
    output: Linear,
    declarations: Vec<Declaration>,
}

fn network(normalised: bool) -> Network {
    let root = Scope::root();
    let norm = normalised.then(|| BatchNorm::new(&root.child("norm"), 3));
    let hidden = Linear::new(&root.child("hidden"), 3, 4);
    let output = Linear::new(&root.child("output"), 4, 1);
    Network { norm, hidden, output, declarations: root.declarations() }
}

impl Network {
    fn trace(&self, tracer: &Tracer) -> Result<Traced> {
        let x = tracer.input("x", Shape::batch_of(&[3]), DType::F32);
        let target = tracer.input("target", Shape::batch_of(&[1]), DType::F32);
        let x = self.norm.as_ref().map_or(Ok(x.clone()), |n| n.forward(&x))?;
        let y = self.output.forward(&self.hidden.forward(&x)?.tanh()?)?;
        let loss = losses::mse(&y, &target, Reduction::Mean)?;
        Ok(Traced { loss, outputs: vec![("prediction".to_string(), y)] })
    }

    fn step(&self, training: &Training, kind: StepKind) -> Graph {
        step_graph(&self.declarations, training, kind, |tracer| self.trace(tracer)).expect("the step is built")
    }

    /// First values of the network's parameters, and zeros for all others of the graphs.
    fn parameters(&self, graphs: &[&Graph]) -> Environment {
        let mut all = Environment::new();
        for d in &self.declarations {
            let data = d.values(1).into_iter().map(f64::from).collect();
            all.insert(d.name.clone(), Reference::new(&d.shape, data));
        }
        for node in graphs.iter().flat_map(|g| g.nodes()) {
            if let Op::Parameter(p) = &node.op {
                let shape: Vec<usize> = p.ty.shape.dims().iter().map(|d| d.as_fixed().expect("fixed")).collect();
                all.entry(p.name.clone()).or_insert_with(|| Reference::full(&shape, 0.0));
            }
        }
        all
    }
}

/// Rows `from..to` of a small data set, with the scalars of a step.
fn batch(from: usize, to: usize, scalars: &[(&str, f64)]) -> Environment {
    let value = |i: usize| ((i * 37 % 19) as f64 - 9.0) / 7.0;
    let n = to - from;
    let x = (from * 3..to * 3).map(value).collect();
    let target = (from..to).map(|i| value(i + 5) * 0.5).collect();
    let mut inputs = Environment::from([
        ("x".to_string(), Reference::new(&[n, 3], x)),
        ("target".to_string(), Reference::new(&[n, 1], target)),
    ]);
    inputs.extend(scalars.iter().map(|&(name, v)| (name.to_string(), Reference::full(&[], v))));
    inputs
}

fn sgd() -> Training {
    Training::new(Optimizer::Sgd(Sgd::default()))
}

#[test]
fn a_plain_step_learns_and_reports() {
    let network = network(true);
    let mut training = Training::new(Optimizer::AdamW(Adam::default()));
    training.clip = Some(Clip::Norm(10.0));
    training.moving_average = Some(MovingAverage { decay: 0.5, warmup: false });
    let graph = network.step(&training, StepKind::Plain);
    let mut parameters = network.parameters(&[&graph]);
    let mut losses = Vec::new();
    for step in 1..=30 {
        let inputs = batch(0, 8, &[(LEARNING_RATE, 0.03), (STEP, f64::from(step))]);
        let outputs = run(&graph, 8, &inputs, &mut parameters);
        losses.push(outputs[LOSS].data[0]);
        assert_eq!(outputs["prediction"].shape, [8, 1]);
        assert!(outputs[GRADIENT_NORM].data[0] > 0.0);
        if step == 1 {
            assert_eq!(parameters["average.hidden.weight"], parameters["hidden.weight"]);
        }
    }
    assert!(losses[29] < 0.4 * losses[0], "{losses:?}");
    assert_ne!(parameters["average.hidden.weight"], parameters["hidden.weight"]);
    assert!(!parameters.contains_key("average.norm.running_mean"));
}

#[test]
fn accumulated_micro_batches_equal_one_batch() {
    let network = network(false);
    let mut training = sgd();
    training.clip = Some(Clip::Norm(0.1));
    let whole = network.step(&training, StepKind::Plain);
    let first = network.step(&training, StepKind::Accumulate);
    let last = network.step(&training, StepKind::AccumulateAndUpdate);
    let mut expected = network.parameters(&[&whole]);
    let full = run(&whole, 8, &batch(0, 8, &[(LEARNING_RATE, 0.5), (STEP, 1.0)]), &mut expected);

    let mut parameters = network.parameters(&[&first, &last]);
    // What an earlier, failed batch left must not leak, not even NaN.
    for (name, array) in parameters.iter_mut().filter(|(n, _)| n.starts_with("accumulated.")) {
        assert!(
            ["hidden.weight", "hidden.bias", "output.weight", "output.bias"].contains(&&name["accumulated.".len()..])
        );
        array.data.fill(f64::NAN);
    }
    let a = run(&first, 3, &batch(0, 3, &[(LOSS_SCALE, 3.0 / 8.0), (KEEP, 0.0)]), &mut parameters);
    let b = run(&first, 3, &batch(3, 6, &[(LOSS_SCALE, 3.0 / 8.0), (KEEP, 1.0)]), &mut parameters);
    let scalars = [(LOSS_SCALE, 2.0 / 8.0), (KEEP, 1.0), (LEARNING_RATE, 0.5), (STEP, 1.0)];
    let c = run(&last, 2, &batch(6, 8, &scalars), &mut parameters);

    let loss = |outputs: &BTreeMap<String, Reference>| outputs[LOSS].data[0];
    let mean = (3.0 * loss(&a) + 3.0 * loss(&b) + 2.0 * loss(&c)) / 8.0;
    assert!((mean - loss(&full)).abs() < 1e-12);
    assert!(full[GRADIENT_NORM].data[0] > 0.1, "the case must clip");
    close("norm", &c[GRADIENT_NORM], &full[GRADIENT_NORM], 1e-12);
    for d in &network.declarations {
        close(&d.name, &parameters[&d.name], &expected[&d.name], 1e-12);
    }
}

#[test]
fn frozen_parameters_stay_and_get_no_gradient_nodes() {
    let network = network(false);
    let mut training = sgd();
    let all = network.step(&training, StepKind::Plain);
    training.frozen = ["hidden.weight", "hidden.bias"].map(String::from).into();
    let graph = network.step(&training, StepKind::Plain);
    let products = |g: &Graph| g.nodes().iter().filter(|n| matches!(n.op, Op::MatMul(_))).count();
    // Gradients of both weights and of the hidden values go; that of the output's weight stays.
    assert_eq!((products(&all), products(&graph)), (5, 3));
    let mut parameters = network.parameters(&[&graph]);
    let before = parameters.clone();
    run(&graph, 8, &batch(0, 8, &[(LEARNING_RATE, 0.5), (STEP, 1.0)]), &mut parameters);
    assert_eq!(parameters["hidden.weight"], before["hidden.weight"]);
    assert_ne!(parameters["output.weight"], before["output.weight"]);
}

#[test]
fn every_effect_waits_for_all_guards() {
    let network = network(true);
    let clipped = Training { clip: Some(Clip::Norm(1.0)), ..sgd() };
    for (training, kind, guards) in [
        (sgd(), StepKind::Plain, 1),
        (sgd(), StepKind::Accumulate, 1),
        (sgd(), StepKind::AccumulateAndUpdate, 1),
        (clipped.clone(), StepKind::Plain, 2),
        (clipped, StepKind::AccumulateAndUpdate, 2),
    ] {
        let graph = network.step(&training, kind);
        let nodes = graph.nodes();
        let found: Vec<usize> = (0..nodes.len()).filter(|&i| matches!(nodes[i].op, Op::Guard(_))).collect();
        assert_eq!(found.len(), guards, "{kind:?}");
        let updates: Vec<usize> = (0..nodes.len()).filter(|&i| !nodes[i].op.updates().is_empty()).collect();
        // Two running statistics and six trained parameters.
        assert_eq!(updates.len(), 8, "{kind:?}");
        assert!(updates.iter().all(|u| found.iter().all(|g| u > g)), "{kind:?}");
        for (i, node) in nodes.iter().enumerate() {
            assert!(node.inputs.iter().all(|v| v.node < i), "{kind:?}: inputs come first");
        }
    }
}

#[test]
fn impossible_trainings_are_refused() {
    let network = network(false);
    let build = |training: &Training| {
        step_graph(&network.declarations, training, StepKind::Plain, |t| network.trace(t))
            .expect_err("refused")
            .to_string()
    };
    let mut training = sgd();
    training.frozen = ["hiden.weight".to_string()].into();
    assert!(build(&training).contains("hiden.weight"));
    training.frozen = network.declarations.iter().map(|d| d.name.clone()).collect();
    assert!(build(&training).contains("no parameter to train"));
    let unused = Scope::root();
    Linear::new(&unused.child("unused"), 2, 2);
    let mut declarations = network.declarations.clone();
    declarations.extend(unused.declarations());
    let message =
        step_graph(&declarations, &sgd(), StepKind::Plain, |t| network.trace(t)).expect_err("unused").to_string();
    assert!(message.contains("unused."), "{message}");
}

#[test]
fn an_evaluation_graph_names_its_outputs_and_changes_nothing() {
    let network = network(true);
    let graph = evaluation_graph(|tracer| Ok(network.trace(tracer)?.outputs)).expect("the graph is built");
    assert_eq!(graph.outputs().len(), 1);
    assert!(graph.nodes().iter().all(|n| !n.op.has_effect()));
    let mut parameters = network.parameters(&[&graph]);
    let before = parameters.clone();
    let outputs = run(&graph, 4, &batch(0, 4, &[]), &mut parameters);
    assert_eq!(outputs["prediction"].shape, [4, 1]);
    assert_eq!(parameters, before);
}
