//! Recurrent layers whose steps are known only when they run.

use deepfit_cpu::{Engine, Error, View};
use deepfit_graph::interpret::{self, Environment};
use deepfit_graph::ops::{RecurrentKind, RecurrentState};
use deepfit_graph::{
    DType, Dim, Extents, Graph, HostTensor, Mode, Result, Shape, Symbol, Tracer, gradients, sample::uniform,
};

const KINDS: [RecurrentKind; 4] = [RecurrentKind::Tanh, RecurrentKind::Relu, RecurrentKind::Lstm, RecurrentKind::Gru];
const INPUTS: usize = 5;
const HIDDEN: usize = 19;
const MAXIMUM: Extents = Extents { batch: 37, sequence: 70 };

/// Both directions over a projected input, the last states, and gradients of everything.
fn network(kind: RecurrentKind) -> Result<Graph> {
    let tracer = Tracer::new(Mode::Train);
    let (b, s) = (Dim::symbol(Symbol::Batch), Dim::symbol(Symbol::Sequence));
    let x = tracer.input("x", vec![b, s, Dim::fixed(INPUTS)], DType::F32);
    let lengths = tracer.input("lengths", vec![b], DType::I32);
    let first = tracer.input("first", Shape::from(vec![b, Dim::fixed(HIDDEN)]), DType::F32);
    let cell = kind.has_cell().then(|| first.clone());
    let (mut wanted, mut total) = (vec![x.clone(), first.clone()], tracer.scalar(0.0));
    for (name, reverse) in [("forward", false), ("reverse", true)] {
        let rows = kind.gates() * HIDDEN;
        let parameter = |part: &str, shape: &[usize]| tracer.parameter(&format!("{name}.{part}"), shape);
        let (input, weight) = (parameter("input", &[rows, INPUTS])?, parameter("weight", &[rows, HIDDEN])?);
        let bias = parameter("bias", &[rows])?;
        let state = RecurrentState { hidden: first.clone(), cell: cell.clone() };
        let found = tracer.in_layer(name, || {
            x.matmul_with(&input, false, true)?.recurrent(
                kind,
                (reverse, false, true),
                &weight,
                Some(&bias),
                Some(&lengths),
                Some(&state),
            )
        })?;
        total = total.add(&found.output.square()?.sum()?)?.add(&found.last.hidden.sum()?)?;
        if let Some(cell) = found.last.cell {
            total = total.add(&cell.square()?.sum()?)?;
        }
        tracer.output(&format!("{name}.output"), &found.output);
        tracer.output(&format!("{name}.last"), &found.last.hidden);
        wanted.extend([input, weight, bias]);
    }
    tracer.output("loss", &total);
    for (i, gradient) in gradients(&total, &wanted)?.iter().enumerate() {
        tracer.output(&format!("gradient{i}"), gradient);
    }
    Ok(tracer.graph())
}

/// An engine with the network's parameters, which are also returned.
fn compiled(graph: &Graph, threads: usize) -> (Engine, deepfit_cpu::ProgramId, Environment) {
    let mut engine = Engine::new(threads).unwrap();
    let program = engine.compile(graph, MAXIMUM).unwrap();
    let mut given = Environment::new();
    let shapes: Vec<(String, Vec<usize>)> =
        engine.parameters().map(|(name, shape, _)| (name.to_string(), shape.to_vec())).collect();
    for (i, (name, shape)) in shapes.iter().enumerate() {
        let values = uniform(shape, -0.3, 0.3, i as u64);
        let deepfit_graph::HostData::F32(numbers) = values.data() else { unreachable!("made as numbers") };
        engine.set_parameter(name, shape, numbers).unwrap();
        given.insert(name.clone(), values.to_reference());
    }
    (engine, program, given)
}

fn numbers(tensor: &HostTensor) -> &[f32] {
    let deepfit_graph::HostData::F32(numbers) = tensor.data() else { unreachable!("made as numbers") };
    numbers
}

#[test]
fn one_plan_serves_every_number_of_rows_and_steps() {
    for kind in KINDS {
        let graph = network(kind).unwrap();
        let (mut engine, program, parameters) = compiled(&graph, 3);
        for (batch, steps) in [(37, 70), (1, 1), (2, 70), (37, 3), (33, 41), (16, 8)] {
            let extents = Extents { batch, sequence: steps };
            let x = uniform(&[batch, steps, INPUTS], -1.0, 1.0, 1);
            let first = uniform(&[batch, HIDDEN], -1.0, 1.0, 2);
            let lengths: Vec<i32> = (0..batch).map(|row| ((row * 7 + 2) % steps + 1) as i32).collect();
            let views = [
                ("x", View::F32(numbers(&x))),
                ("first", View::F32(numbers(&first))),
                ("lengths", View::I32(&lengths)),
            ];
            engine.run(program, extents, &views).unwrap();
            let host = HostTensor::i32(&[batch], lengths.clone());
            let mut given = parameters.clone();
            for (name, tensor) in [("x", &x), ("first", &first), ("lengths", &host)] {
                given.insert(name.to_string(), tensor.to_reference());
            }
            let expected = interpret::run(&graph, extents, &given, &mut given.clone()).unwrap();
            for (name, value) in graph.outputs() {
                let (expected, found) = (expected.get(*value), engine.output(program, name).unwrap());
                let largest = expected.data.iter().fold(1.0f64, |m, v| m.max(v.abs()));
                assert_eq!(expected.data.len(), found.len());
                for (e, f) in expected.data.iter().zip(found) {
                    let error = (e - f64::from(*f)).abs() / largest;
                    assert!(error < 2e-5, "{kind:?} {batch} x {steps}, {name}: {f} instead of {e}");
                }
            }
        }
    }
}

#[test]
fn a_length_that_is_not_among_the_steps_names_layer_and_row() {
    let graph = network(RecurrentKind::Gru).unwrap();
    let (mut engine, program, _) = compiled(&graph, 2);
    let (x, first) = (vec![0.1; 3 * 4 * INPUTS], vec![0.0; 3 * HIDDEN]);
    for (lengths, wrong, row) in [([4, 1, 0], 0, 2), ([4, 5, 1], 5, 1), ([-1, 1, 1], -1, 0)] {
        let views = [("x", View::F32(&x)), ("first", View::F32(&first)), ("lengths", View::I32(&lengths))];
        let error = engine.run(program, Extents { batch: 3, sequence: 4 }, &views).expect_err("a wrong length");
        let Error::Index { layer, source, .. } = &error else { panic!("{error}") };
        assert_eq!(layer, "forward");
        assert_eq!(**source, Error::SequenceLength { length: wrong, row, steps: 4 });
        let message = error.to_string();
        assert!(message.contains("`forward`") && message.contains(&format!("row {row}")), "{message}");
    }
}

#[test]
fn what_lies_behind_the_end_of_a_row_changes_nothing() {
    let graph = network(RecurrentKind::Lstm).unwrap();
    let (mut engine, program, _) = compiled(&graph, 2);
    let (batch, steps) = (4, 6);
    let (first, lengths) = (vec![0.2; batch * HIDDEN], [6, 2, 4, 1]);
    let mut run = |padding: f32| {
        let mut x = numbers(&uniform(&[batch, steps, INPUTS], -1.0, 1.0, 1)).to_vec();
        for (row, &length) in lengths.iter().enumerate() {
            x[(row * steps + length as usize) * INPUTS..(row + 1) * steps * INPUTS].fill(padding);
        }
        let views = [("x", View::F32(&x)), ("first", View::F32(&first)), ("lengths", View::I32(&lengths))];
        engine.run(program, Extents { batch, sequence: steps }, &views).unwrap();
        let names = graph.outputs().iter().map(|(name, _)| name);
        names.map(|name| engine.output(program, name).unwrap().to_vec()).collect::<Vec<_>>()
    };
    assert_eq!(run(0.0), run(9.0));
}

#[test]
fn scratch_memory_suffices_for_every_number_of_steps() {
    // The gradient of the weights is a product whose depth is the number of steps, and how it is cut depends on it.
    let tracer = Tracer::new(Mode::Train);
    let axes = [Symbol::Batch.into(), Symbol::Sequence.into(), Dim::fixed(40)];
    let x = tracer.input("x", axes.to_vec(), DType::F32);
    let weight = tracer.parameter("weight", [30, 40]).unwrap();
    let loss = x.matmul_with(&weight, false, true).unwrap().square().unwrap().sum().unwrap();
    tracer.output("gradient", &gradients(&loss, &[weight]).unwrap()[0]);
    for threads in [1, 7] {
        let maximum = Extents { batch: 2, sequence: 5000 };
        let mut engine = Engine::new(threads).unwrap();
        let program = engine.compile(&tracer.graph(), maximum).unwrap();
        for batch in [1, 2] {
            for steps in (1..60).chain((60..=5000).step_by(149)).chain([511, 512, 1023, 1024, 2047, 2048, 4095, 4096]) {
                let x = vec![0.01; batch * steps * 40];
                engine.run(program, Extents { batch, sequence: steps }, &[("x", View::F32(&x))]).unwrap();
            }
        }
    }
}
