//! The batch axis: a graph traced for any batch computes the same as one traced for this batch.

use deepfit_graph::{DType, Extents, Mode, Reference, Shape, Tensor, Tracer, gradients};

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
