//! What can be watched inside of layers, by what path.

use deepfit_graph::interpret::{self, Environment};
use deepfit_graph::ops::RecurrentState;
use deepfit_graph::{DType, Extents, Mode, OUTPUT, Reference, Shape, Tensor, Tracer};
use deepfit_nn::layers::*;
use deepfit_nn::{Module, Result, Scope};

/// The values of what is watched, and of the result, of a network on an input `x` of sines.
fn watched(
    scope: &Scope,
    mode: Mode,
    shape: &[usize],
    watches: &[(&str, &str)],
    forward: &dyn Fn(&Tensor) -> Result<Tensor>,
) -> (Vec<(String, Reference)>, Reference) {
    let tracer = Tracer::new(mode);
    watches.iter().for_each(|(layer, name)| tracer.watch(layer, name));
    let y = forward(&tracer.input("x", shape, DType::F32)).expect("shapes fit");
    tracer.check_watches().expect("all are offered");
    let n: usize = shape.iter().product();
    let x = Reference::new(shape, (0..n).map(|i| (i as f64 * 1.7).sin()).collect());
    let declared = scope.declarations().into_iter();
    let mut parameters: Environment = declared
        .map(|d| (d.name.clone(), Reference::new(&d.shape, d.values(2).into_iter().map(f64::from).collect())))
        .collect();
    let mut given = Environment::from([("x".to_string(), x)]);
    given.insert("random_key".to_string(), Reference::new(&[4], vec![1.0, 2.0, 3.0, 0.0]));
    let values = interpret::run(&tracer.graph(), Extents::batch(1), &given, &mut parameters).expect("runs");
    let found = tracer.watched().into_iter().map(|(name, tensor)| (name, values.get(tensor.value()).clone()));
    (found.collect(), values.get(y.value()).clone())
}

#[test]
fn cells_of_an_lstm_after_each_step_can_be_watched() {
    for (mode, batch_first) in [(Mode::Train, true), (Mode::Evaluate, true), (Mode::Evaluate, false)] {
        let scope = Scope::root();
        let config = RecurrentConfig { batch_first, bidirectional: true, layers: 2, ..RecurrentConfig::default() };
        let lstm = Lstm::new(&scope.child("encoder"), 2, 3, config).expect("valid");
        let names = ["cells_l0", "gates_l0", "cells_l1_reverse", "gates_l1_reverse"];
        let watches = names.map(|name| ("encoder", name));
        let shape = if batch_first { [1, 4, 2] } else { [4, 1, 2] };
        let (found, output) = watched(&scope, mode, &shape, &watches, &|x| lstm.forward(x));
        let (cells, gates) = (&found[2].1, &found[3].1);
        assert_eq!(found[2].0, "encoder.cells_l1_reverse");
        assert_eq!((cells.data.len(), gates.data.len()), (4 * 3, 4 * 12));
        let mut cell = [0.0; 3];
        for step in (0..4).rev() {
            for unit in 0..3 {
                let gate = |g: usize| gates.data[step * 12 + g * 3 + unit];
                cell[unit] = gate(1) * cell[unit] + gate(0) * gate(2);
                assert!((cells.data[step * 3 + unit] - cell[unit]).abs() < 1e-12);
                let h = gate(3) * cell[unit].tanh();
                assert!((output.data[step * 6 + 3 + unit] - h).abs() < 1e-12);
            }
        }
    }
}

#[test]
fn gates_of_single_cells_can_be_watched() {
    for mode in [Mode::Train, Mode::Evaluate] {
        let scope = Scope::root();
        let lstm = LstmCell::new(&scope.child("lstm"), 2, 3, true).expect("valid");
        let gru = GruCell::new(&scope.child("gru"), 3, 3, true).expect("valid");
        let watches = [("lstm", "gates"), ("lstm", "cells"), ("gru", "gates")];
        let (found, output) = watched(&scope, mode, &[2, 2], &watches, &|x| {
            let hidden = x.tracer().scalar(0.5).broadcast_to([2, 3])?;
            let state = RecurrentState { hidden: hidden.clone(), cell: Some(hidden.clone()) };
            let first = lstm.step(x, Some(&state))?;
            gru.step(&first.hidden, Some(&first.hidden))
        });
        let [(_, gates), (_, cells), (name, of_gru)] = &found[..] else { panic!("three are watched") };
        assert_eq!((&gates.shape[..], &cells.shape[..], &name[..]), (&[2, 1, 12][..], &[2, 1, 3][..], "gru.gates"));
        for row in 0..2 {
            for unit in 0..3 {
                let gate = |g: usize| gates.data[row * 12 + g * 3 + unit];
                let cell = gate(1) * 0.5 + gate(0) * gate(2);
                assert!((cells.data[row * 3 + unit] - cell).abs() < 1e-12);
                let h = gate(3) * cell.tanh();
                let of_gru = |g: usize| of_gru.data[row * 12 + g * 3 + unit];
                let next = of_gru(2) + of_gru(1) * (h - of_gru(2));
                assert!((output.data[row * 3 + unit] - next).abs() < 1e-12);
            }
        }
    }
}

#[test]
fn a_transformer_shows_the_encoders_memory_and_its_output() {
    let scope = Scope::root();
    let config = TransformerConfig { dim_feedforward: 6, ..TransformerConfig::new(4, 2) };
    let network = Transformer::new(&scope.child("translate"), &config, 1, 1).expect("valid");
    let watches =
        [("translate", "memory"), ("translate", OUTPUT), ("translate.encoder", OUTPUT), ("translate.decoder", OUTPUT)];
    let (found, output) =
        watched(&scope, Mode::Train, &[1, 3, 4], &watches, &|x| network.transform(x, x, &TransformerMasks::default()));
    let of = |name: &str| &found.iter().find(|(n, _)| n == name).expect("watched").1;
    assert_eq!(of("translate.memory"), of("translate.encoder.output"));
    assert_eq!(of("translate.output"), of("translate.decoder.output"));
    assert_eq!(of("translate.output"), &output);
}

#[test]
fn layers_at_the_root_are_watched_and_named_by_their_kind() {
    let scope = Scope::root();
    let lstm = Lstm::new(&scope, 2, 3, RecurrentConfig::default()).expect("valid");
    let (found, output) =
        watched(&scope, Mode::Evaluate, &[4, 1, 2], &[("lstm", OUTPUT), ("lstm", "gates_l0")], &|x| lstm.forward(x));
    assert_eq!((&found[0].0[..], &found[0].1), ("lstm.output", &output));
    assert_eq!(found[1].0, "lstm.gates_l0");
    assert_eq!(scope.declarations()[0].name, "weight_ih_l0", "parameters have no path");

    let scope = Scope::root();
    let transformer = Transformer::new(&scope, &TransformerConfig::new(4, 2), 1, 1).expect("valid");
    let (found, _) = watched(&scope, Mode::Evaluate, &[1, 3, 4], &[("transformer", "memory")], &|x| {
        transformer.transform(x, x, &TransformerMasks::default())
    });
    assert_eq!(found[0].0, "transformer.memory");

    for (kind, layer) in [
        ("linear: ", Box::new(Linear::new(&Scope::root(), 5, 3)) as Box<dyn Module>),
        ("batch_norm: ", Box::new(BatchNorm::new(&Scope::root(), 5))),
        ("conv1d: ", Box::new(Conv1d::new(&Scope::root(), 5, 3, Conv1dConfig::of(3)))),
        ("max_pool1d: ", Box::new(MaxPool1d::new(&Scope::root(), deepfit_graph::ops::Window1d::of(2)))),
    ] {
        let x = Tracer::new(Mode::Train).input("x", Shape::batch_of(&[4]), DType::F32);
        let told = layer.forward(&x).expect_err("does not fit").to_string();
        assert!(told.starts_with(kind) && told.contains("[batch, 4]"), "{told}");
    }
}
