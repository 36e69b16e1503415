//! Dropout: what its masks depend on, and that forward and backward agree.

use deepfit_graph::ops::Dropout;
use deepfit_graph::{Extents, Mode, RANDOM_KEY, Reference, Tensor, Tracer, gradients};

use super::setup::interpret;

/// The masks of some operations on 2,000 ones, for a key.
fn masks(key: [i32; 4], operations: impl FnOnce(&Tracer, &Tensor) -> Vec<Tensor>) -> Vec<Vec<bool>> {
    let tracer = Tracer::new(Mode::Train);
    let x = tracer.parameter("x", [2000]).unwrap();
    let outputs = operations(&tracer, &x);
    let key = Reference::new(&[4], key.map(f64::from).to_vec());
    let given = [("x".to_string(), Reference::full(&[2000], 1.0)), (RANDOM_KEY.to_string(), key)].into();
    let (values, _) = interpret(&tracer.graph(), Extents::batch(1), &given);
    outputs.iter().map(|o| values.get(o.value()).data.iter().map(|&v| v != 0.0).collect()).collect()
}

fn share_of_equals(a: &[bool], b: &[bool]) -> f64 {
    a.iter().zip(b).filter(|(a, b)| a == b).count() as f64 / a.len() as f64
}

#[test]
fn masks_differ_by_layer_step_and_seed_and_by_nothing_else() {
    let two = |key| masks(key, |_, x| vec![x.dropout(0.5).unwrap(), x.dropout(0.5).unwrap()]);
    let first = two([1, 2, 3, 4]);
    assert_eq!(first, two([1, 2, 3, 4]));
    let mut all = first;
    for i in 0..4 {
        let mut key = [1, 2, 3, 4];
        key[i] += 1 + i as i32;
        all.extend(two(key));
    }
    for (i, a) in all.iter().enumerate() {
        for b in &all[..i] {
            let equal = share_of_equals(a, b);
            assert!((equal - 0.5).abs() < 0.06, "{equal}: masks are not independent");
        }
    }
}

#[test]
fn the_rate_is_as_asked_and_the_mean_is_kept() {
    for probability in [0.0, 0.1, 0.5, 0.9, 1.0] {
        let tracer = Tracer::new(Mode::Train);
        let x = tracer.parameter("x", [40_000]).unwrap();
        let y = x.dropout(probability).unwrap();
        let key = Reference::new(&[4], vec![5.0, 0.0, 17.0, 0.0]);
        let given = [("x".to_string(), Reference::full(&[40_000], 1.0)), (RANDOM_KEY.to_string(), key)].into();
        let (values, _) = interpret(&tracer.graph(), Extents::batch(1), &given);
        let data = &values.get(y.value()).data;
        let n = data.len() as f64;
        let dropped = data.iter().filter(|&&v| v == 0.0).count() as f64 / n;
        let probability = f64::from(probability);
        assert!((dropped - probability).abs() <= 4.0 * (probability * (1.0 - probability) / n).sqrt(), "{dropped}");
        if probability < 1.0 {
            let scale = 1.0 / (1.0 - probability);
            assert!(data.iter().all(|&v| v == 0.0 || (v - scale).abs() < 1e-5));
        }
    }
}

#[test]
fn backward_drops_what_forward_dropped() {
    let tracer = Tracer::new(Mode::Train);
    let x = tracer.parameter("x", [500]).unwrap();
    let once = x.dropout(0.3).unwrap();
    let y = once.dropout(0.4).unwrap();
    let gradient = gradients(&y.sum().unwrap(), &[x]).unwrap().swap_remove(0);
    let key = Reference::new(&[4], vec![9.0, 9.0, 9.0, 0.0]);
    let given = [("x".to_string(), Reference::full(&[500], 1.0)), (RANDOM_KEY.to_string(), key)].into();
    let (values, _) = interpret(&tracer.graph(), Extents::batch(1), &given);
    // With ones as input, each element of the result is its own derivative.
    assert_eq!(values.get(y.value()).data, values.get(gradient.value()).data);
    assert_ne!(values.get(y.value()).data, values.get(once.value()).data);
}

#[test]
fn each_use_in_a_graph_has_a_stream_of_its_own() {
    let tracer = Tracer::new(Mode::Train);
    let x = tracer.parameter("x", [4]).unwrap();
    for _ in 0..3 {
        x.dropout(0.5).unwrap();
    }
    let graph = tracer.graph();
    let streams: Vec<u32> = graph
        .nodes()
        .iter()
        .filter_map(|n| match &n.op {
            deepfit_graph::Op::Dropout(Dropout { stream, .. }) => Some(*stream),
            _ => None,
        })
        .collect();
    assert_eq!(streams, [0, 1, 2]);
}
