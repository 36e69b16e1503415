//! Intermediates on request.

use deepfit_graph::interpret::{Environment, run};
use deepfit_graph::{DType, Extents, GraphError, Mode, OUTPUT, Reference, Result, Tensor, Tracer, gradients};

fn layers(tracer: &Tracer, x: &Tensor) -> Result<Tensor> {
    let x = tracer.in_layer("first", || {
        tracer.offer("twice", || x.mul_scalar(2.0))?;
        x.exp()
    })?;
    let x = tracer.in_layer("second", || x.square())?;
    tracer.in_layer("second", || x.square())
}

#[test]
fn what_is_watched_becomes_an_output_and_nothing_else_is_paid() {
    let build = |watches: &[(&str, &str)]| {
        let tracer = Tracer::new(Mode::Evaluate);
        let x = tracer.input("x", [3], DType::F32);
        watches.iter().for_each(|(layer, name)| tracer.watch(layer, name));
        layers(&tracer, &x).expect("shapes fit");
        (tracer.check_watches(), tracer)
    };
    let (_, plain) = build(&[]);
    let (checked, all) = build(&[("first", "twice"), ("first", OUTPUT), ("second", OUTPUT)]);
    checked.expect("all are offered");
    let (plain, graph) = (plain.graph(), all.graph());
    assert_eq!(plain.outputs().len(), 0);
    assert_eq!(graph.nodes().len(), plain.nodes().len() + 1, "the product alone");
    let names: Vec<&str> = graph.outputs().iter().map(|(name, _)| &name[..]).collect();
    assert_eq!(names, ["first.twice", "first.output", "second.output", "second.output@2"]);
    let watched: Vec<String> = all.watched().into_iter().map(|(name, _)| name).collect();
    assert_eq!(watched, names);
}

#[test]
fn what_no_layer_offers_is_refused_with_what_there_is() {
    for (layer, name, told) in
        [("first", "weights", "offers twice, output"), ("third", OUTPUT, "layers are first, second")]
    {
        let tracer = Tracer::new(Mode::Evaluate);
        let x = tracer.input("x", [3], DType::F32);
        tracer.watch(layer, name);
        layers(&tracer, &x).expect("shapes fit");
        let error = tracer.check_watches().expect_err("is not offered");
        assert!(matches!(error, GraphError::Watch { .. }));
        assert!(error.to_string().contains(told), "{error}");
    }
}

#[test]
fn derivatives_are_no_layers_output() {
    let tracer = Tracer::new(Mode::Train);
    let x = tracer.parameter("x", [3]).expect("a new name");
    tracer.watch("first", OUTPUT);
    let loss = layers(&tracer, &x).and_then(|y| y.sum()).expect("shapes fit");
    gradients(&loss, &[x, tracer.watched()[0].1.clone()]).expect("the loss depends on both");
    assert_eq!(tracer.watched().len(), 1);
}

#[test]
fn what_replaces_a_layers_output_is_what_later_layers_and_watches_see() {
    let tracer = Tracer::new(Mode::Evaluate);
    let x = tracer.input("x", [3], DType::F32);
    tracer.watch("first", OUTPUT);
    tracer.replace("first", |output| output.mul_scalar(0.5));
    let y = layers(&tracer, &x).expect("shapes fit");
    tracer.check_watches().expect("there is such a layer");
    let replaced = tracer.watched()[0].1.clone();
    tracer.output("y", &y);
    let gradient = gradients(&y.sum().expect("a number"), &[replaced]).expect("it leads to the sum").swap_remove(0);
    tracer.output("gradient", &gradient);
    let given = Environment::from([("x".to_string(), Reference::new(&[3], vec![0.0, 1.0, -1.0]))]);
    let (graph, extents) = (tracer.graph(), Extents { batch: 1, sequence: 1 });
    let values = run(&graph, extents, &given, &mut Environment::new()).expect("the input is given");
    let output = |name: &str, i: usize| values.get(graph.output(name).expect("it was named")).data[i];
    for (i, x) in [0.0_f64, 1.0, -1.0].into_iter().enumerate() {
        let half = 0.5 * x.exp();
        assert!((output("first.output", i) - half).abs() < 1e-12);
        assert!((output("y", i) - half.powi(4)).abs() < 1e-12);
        assert!((output("gradient", i) - 4.0 * half.powi(3)).abs() < 1e-12);
    }
}

#[test]
fn replacements_that_are_wrong_or_of_no_layer_are_told() {
    let tracer = Tracer::new(Mode::Evaluate);
    let x = tracer.input("x", [3], DType::F32);
    tracer.replace("third", |output| Ok(output.clone()));
    layers(&tracer, &x).expect("shapes fit");
    let error = tracer.check_watches().expect_err("there is no such layer");
    assert!(error.to_string().contains("the layers are first, second"), "{error}");
    let tracer = Tracer::new(Mode::Evaluate);
    let x = tracer.input("x", [3], DType::F32);
    tracer.replace("first", |output| output.reshape([2]));
    let error = layers(&tracer, &x).expect_err("three numbers are not two");
    assert!(error.to_string().contains("reshape"), "{error}");
}
