//! The batch axis: a graph traced for any batch computes the same as one traced for this batch.

use deepfit_graph::{DType, Dim, Extents, Mode, Reference, Shape, Symbol, Tensor, Tracer, gradients};

use super::setup::{Case, assert_close, interpret, samples};

#[test]
fn operations_on_a_batch_equal_those_on_fixed_shapes() {
    let mut tested = std::collections::BTreeSet::new();
    for (name, kind, sample) in samples() {
        let Some(first) = sample.batched.iter().position(|&b| b) else { continue };
        tested.insert(kind);
        assert_eq!(sample.batched.len(), sample.inputs.len(), "{name}");
        let batch = sample.inputs[first].shape()[0];
        for (input, batched) in sample.inputs.iter().zip(&sample.batched) {
            assert!(!batched || input.shape()[0] == batch, "{name}: batches of different size");
        }
        let extents = Extents::batch(batch);
        let results: Vec<(Vec<Reference>, Vec<Reference>)> = [Case::fixed(&sample), Case::batched(&sample)]
            .into_iter()
            .map(|case| {
                let mut case = case.unwrap_or_else(|e| panic!("{name}: {e}"));
                let wanted: Vec<Tensor> =
                    case.inputs.iter().filter(|x| sample.gradient && x.dtype() == DType::F32).cloned().collect();
                let output = case.outputs[0].to_f32().unwrap();
                let lengths = output.shape().resolve(&extents);
                let loss = case.weighted_sum("weights", &output, &lengths).unwrap();
                let found: Vec<Tensor> = wanted
                    .iter()
                    .filter_map(|x| Some(gradients(&loss, std::slice::from_ref(x)).ok()?.swap_remove(0)))
                    .collect();
                let (values, _) = interpret(&case.tracer.graph(), extents, &case.environment);
                let read = |list: &[Tensor]| list.iter().map(|t| values.get(t.value()).clone()).collect();
                (read(&case.outputs), read(&found))
            })
            .collect();
        let [(fixed, fixed_gradients), (batched, batched_gradients)] = &results[..] else { unreachable!() };
        assert_eq!(fixed_gradients.len(), batched_gradients.len(), "{name}");
        for (a, b) in batched.iter().zip(fixed).chain(batched_gradients.iter().zip(fixed_gradients)) {
            assert_close(&name, a, b, 1e-12);
        }
    }
    // Most of what a network is made of knows a batch; a list that shrinks is a mistake.
    assert!(tested.len() >= 20, "{tested:?}");
}

#[test]
fn a_mean_over_the_batch_divides_by_what_the_run_was_given() {
    let tracer = Tracer::new(Mode::Train);
    let x = tracer.input("x", Shape::batch_of(&[2]), DType::F32);
    let w = tracer.parameter("w", [2]).unwrap();
    let loss = x.mul(&w).unwrap().mean().unwrap();
    let gradient = gradients(&loss, &[w]).unwrap().swap_remove(0);
    for batch in [1, 3, 8] {
        let x = Reference::from_fn(&[batch, 2], |i| (i[0] + i[1]) as f64);
        let given = [("x".to_string(), x), ("w".to_string(), Reference::new(&[2], vec![1.0, 2.0]))].into();
        let (values, _) = interpret(&tracer.graph(), Extents::batch(batch), &given);
        // Half of the mean of each column.
        let mean = (batch - 1) as f64 / 2.0;
        assert_close(
            "gradient",
            values.get(gradient.value()),
            &Reference::new(&[2], vec![mean / 2.0, (mean + 1.0) / 2.0]),
            1e-12,
        );
    }
}

#[test]
fn tensors_joined_along_a_symbolic_axis_each_get_their_part_of_the_gradient() {
    let tracer = Tracer::new(Mode::Train);
    let steps = Dim::symbol(Symbol::Sequence);
    let of = |name: &str, length: Dim| tracer.input(name, vec![Dim::fixed(2), length, Dim::fixed(1)], DType::F32);
    let (a, b, c) = (of("a", steps), of("b", steps * Dim::fixed(2)), of("c", steps));
    let joined = a.concat(&[&b, &c], 1).unwrap();
    assert_eq!(joined.shape().to_string(), "[2, 4*sequence, 1]");
    let up = of("up", steps * Dim::fixed(4));
    let loss = joined.mul(&up).unwrap().sum().unwrap();
    let found = gradients(&loss, &[a, b, c]).unwrap();
    // A gradient of these is one of the parts again.
    let squares = found[1].square().unwrap().sum().unwrap();
    let second = gradients(&squares, &[up]).unwrap().swap_remove(0);
    for sequence in [1, 3] {
        let array = |n: usize| Reference::from_fn(&[2, n, 1], |i| (10 * i[0] + i[1]) as f64);
        let lengths = [("a", 1), ("b", 2), ("c", 1), ("up", 4)];
        let given = lengths.map(|(name, n)| (name.to_string(), array(n * sequence))).into();
        let (values, _) = interpret(&tracer.graph(), Extents { batch: 1, sequence }, &given);
        for (gradient, (start, n)) in found.iter().zip([(0, 1), (1, 2), (3, 1)]) {
            let expected = Reference::from_fn(&[2, n * sequence, 1], |i| (10 * i[0] + start * sequence + i[1]) as f64);
            assert_eq!(values.get(gradient.value()), &expected);
        }
        let expected = Reference::from_fn(&[2, 4 * sequence, 1], |i| {
            let inside = (sequence..3 * sequence).contains(&i[1]);
            if inside { 2.0 * (10 * i[0] + i[1]) as f64 } else { 0.0 }
        });
        assert_eq!(values.get(second.value()), &expected);
    }
}
