//! Intermediates on request.

use deepfit_graph::{DType, GraphError, Mode, OUTPUT, Result, Tensor, Tracer, gradients};

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
