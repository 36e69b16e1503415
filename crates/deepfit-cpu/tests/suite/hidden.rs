//! Attention of queries that see no key: an error that names them, or zeros where that is allowed.

use deepfit_cpu::{Engine, Error, View};
use deepfit_graph::ops::AttentionOptions;
use deepfit_graph::{DType, Dim, Extents, HostTensor, Mode, Result, Symbol, Tensor, Tracer, gradients};

/// `[batch, 3 queries, 2 heads, 4]` over as many keys as the sequence.
fn attention(tracer: &Tracer, options: &AttentionOptions) -> Result<Tensor> {
    let of = |name: &str, length: Dim| {
        tracer.input(name, vec![Symbol::Batch.into(), length, Dim::fixed(2), Dim::fixed(4)], DType::F32)
    };
    let steps = Dim::symbol(Symbol::Sequence);
    let (q, k, v) = (of("q", Dim::fixed(3)), of("k", steps), of("v", steps));
    tracer.in_layer("attn", || q.attention(&k, &v, options))
}

/// What a run with two examples and `keys` keys gives.
fn run(
    options: impl FnOnce(&Tracer) -> AttentionOptions,
    keys: usize,
    extra: &[(&str, View<'_>)],
) -> std::result::Result<Vec<f32>, Error> {
    let tracer = Tracer::new(Mode::Train);
    let y = attention(&tracer, &options(&tracer)).expect("it fits");
    tracer.output("y", &y);
    let mut engine = Engine::new(2).unwrap();
    let program = engine.compile(&tracer.graph(), Extents { batch: 2, sequence: 5 }).unwrap();
    let (q, k) = (vec![0.5; 2 * 3 * 2 * 4], vec![0.25; 2 * keys * 2 * 4]);
    let mut inputs = vec![("q", View::F32(&q)), ("k", View::F32(&k)), ("v", View::F32(&k))];
    inputs.extend(extra);
    engine.run(program, Extents { batch: 2, sequence: keys }, &inputs)?;
    Ok(engine.output(program, "y").unwrap().to_vec())
}

fn mask(tracer: &Tracer) -> Tensor {
    let keys = Dim::symbol(Symbol::Sequence);
    tracer.input("mask", vec![Symbol::Batch.into(), Dim::fixed(1), Dim::fixed(3), keys], DType::U8)
}

#[test]
fn a_mask_that_hides_all_keys_stops_the_run_and_names_the_query() {
    let mut values = vec![0; 2 * 3 * 4];
    // Query 1 of example 1.
    values[3 * 4 + 4..3 * 4 + 8].fill(1);
    let masked = |allow_hidden| {
        let options = |t: &Tracer| AttentionOptions { masks: vec![mask(t)], allow_hidden, ..Default::default() };
        run(options, 4, &[("mask", View::U8(&values))])
    };
    let told = masked(false).unwrap_err().to_string();
    for part in ["`attention` of layer `attn`", "query 1 of example 1 ", "head 0", "allow_hidden"] {
        assert!(told.contains(part), "{told}");
    }
    let y = masked(true).unwrap();
    let zeros: Vec<usize> = (0..y.len()).filter(|&i| y[i] == 0.0).collect();
    assert_eq!(zeros, (32..40).collect::<Vec<_>>());
}

#[test]
fn a_bias_and_a_mask_that_hide_all_keys_together_stop_the_run() {
    let options = |t: &Tracer| AttentionOptions {
        bias: Some(t.input("bias", [2, 1, 1], DType::F32)),
        masks: vec![mask(t)],
        ..Default::default()
    };
    let inputs = [("mask", View::U8(&[0; 24])), ("bias", View::F32(&[0.0, f32::NEG_INFINITY]))];
    let told = run(options, 4, &inputs).unwrap_err().to_string();
    assert!(told.contains("query 0 of example 0 sees no key in head 1"), "{told}");
}

#[test]
fn numbers_of_keys_must_be_among_the_keys() {
    let with = |lengths: [i32; 2], allow_hidden| {
        let options = |t: &Tracer| AttentionOptions {
            lengths: Some(t.batch("lengths", &[], DType::I32)),
            allow_hidden,
            ..Default::default()
        };
        run(options, 4, &[("lengths", View::I32(&lengths))])
    };
    with([1, 4], false).unwrap();
    for (lengths, says) in [([4, 0], "example 1 is 0"), ([5, 4], "example 0 is 5"), ([4, -1], "example 1 is -1")] {
        let told = with(lengths, false).unwrap_err().to_string();
        assert!(told.contains("`attn`") && told.contains(says) && told.contains("1..=4"), "{told}");
    }
    assert!(with([4, 0], true).unwrap()[24..].iter().all(|&v| v == 0.0));
    assert!(with([4, 5], true).unwrap_err().to_string().contains("0..=4"));
}

#[test]
fn no_keys_at_all_are_refused_unless_allowed() {
    let told = run(|_| AttentionOptions::default(), 0, &[]).unwrap_err().to_string();
    assert!(told.contains("`sequence` is 0") && told.contains("`attn`"), "{told}");
    let allowed = |_: &Tracer| AttentionOptions { allow_hidden: true, ..Default::default() };
    assert!(run(allowed, 0, &[]).unwrap().iter().all(|&v| v == 0.0));
}

#[test]
fn what_constants_hide_is_known_when_the_graph_is_built() {
    let told = |options: &dyn Fn(&Tracer) -> AttentionOptions| {
        let tracer = Tracer::new(Mode::Train);
        let of = |name: &str, length| tracer.batch(name, &[length, 2, 4], DType::F32);
        let (q, k) = (of("q", 3), of("k", 4));
        let options = options(&tracer);
        tracer.in_layer("attn", || {
            q.attention(&k, &k, &AttentionOptions { allow_hidden: true, ..options.clone() }).expect("allowed");
            q.attention(&k, &k, &options).map(|_| ()).map_err(|e| e.to_string())
        })
    };
    let u8_mask = |t: &Tracer, shape: &[usize], hides: fn(usize) -> bool| {
        let n = shape.iter().product();
        t.constant(HostTensor::u8(shape, (0..n).map(|i| u8::from(hides(i))).collect()))
    };
    let f32_bias = |t: &Tracer, shape: &[usize], hides: fn(usize) -> bool| {
        let n = shape.iter().product();
        t.constant(HostTensor::f32(shape, (0..n).map(|i| if hides(i) { f32::NEG_INFINITY } else { 1.0 }).collect()))
    };
    let with = |masks: Vec<Tensor>, bias: Option<Tensor>, causal| AttentionOptions {
        masks,
        bias,
        causal,
        ..Default::default()
    };
    let hidden = |result: std::result::Result<(), String>, query: &str| {
        let told = result.expect_err("all keys are hidden");
        assert!(told.starts_with("attn: ") && told.contains(query) && told.contains("allow_hidden"), "{told}");
    };
    hidden(told(&|t| with(vec![u8_mask(t, &[3, 4], |i| i / 4 == 1)], None, false)), "query 1 ");
    hidden(told(&|t| with(vec![], Some(f32_bias(t, &[3, 4], |i| i / 4 == 2)), false)), "query 2 ");
    // In one head alone.
    hidden(told(&|t| with(vec![], Some(f32_bias(t, &[2, 3, 1], |i| i == 4)), false)), "query 1 in head 1");
    // Two masks, and a mask and a bias, that together leave nothing.
    let (even, odd) = (|i: usize| i.is_multiple_of(2), |i: usize| i % 2 == 1);
    hidden(told(&|t| with(vec![u8_mask(t, &[4], even), u8_mask(t, &[3, 4], odd)], None, false)), "query 0 ");
    hidden(told(&|t| with(vec![u8_mask(t, &[4], even)], Some(f32_bias(t, &[1, 4], odd)), false)), "query 0 ");
    // What comes first is all that the first query sees.
    hidden(told(&|t| with(vec![u8_mask(t, &[4], |i| i == 0)], None, true)), "query 0 ");
    // Behind operations on constants.
    let sum = |t: &Tracer| {
        let sum = f32_bias(t, &[4], |i| i < 2).add(&f32_bias(t, &[3, 4], |i| i % 4 > 1)).unwrap();
        with(vec![], Some(sum.mul_scalar(0.5).unwrap()), false)
    };
    hidden(told(&sum), "query 0 ");
    // A mask, and a number of keys.
    let few = |t: &Tracer, length: i32| AttentionOptions {
        lengths: Some(t.constant(HostTensor::i32(&[1], vec![length]))),
        ..with(vec![u8_mask(t, &[4], |i| i < 2)], None, false)
    };
    let of_one = |length: i32| {
        let tracer = Tracer::new(Mode::Train);
        let x = tracer.input("x", [1, 4, 2, 4], DType::F32);
        let options = few(&tracer, length);
        tracer.in_layer("attn", || x.attention(&x, &x, &options).map(|_| ()).map_err(|e| e.to_string()))
    };
    hidden(of_one(2), "query 0 ");
    of_one(3).unwrap();
    for length in [0, -1, 5] {
        let told = of_one(length).unwrap_err();
        assert!(told.contains(&format!("example 0 is {length}")) && told.contains("1..=4"), "{told}");
    }
    // One key is left.
    told(&|t| with(vec![u8_mask(t, &[4], even)], Some(f32_bias(t, &[4], |i| i == 1)), false)).unwrap();
    told(&|t| with(vec![u8_mask(t, &[4], |i| i == 1)], None, true)).unwrap();

    let tracer = Tracer::new(Mode::Train);
    let (q, none) = (tracer.batch("q", &[3, 2, 4], DType::F32), tracer.batch("none", &[0, 2, 4], DType::F32));
    let told = q.attention(&none, &none, &AttentionOptions::default()).unwrap_err().to_string();
    assert!(told.contains("3 queries see no key") && told.contains("[batch, 0, 2, 4]"), "{told}");
}

#[test]
fn a_query_that_sees_nothing_has_no_gradient() {
    let tracer = Tracer::new(Mode::Train);
    let x = tracer.parameter("x", [1, 2, 3, 4]).unwrap();
    let mask = tracer.constant(HostTensor::u8(&[2, 2], vec![1, 1, 0, 0]));
    let options = AttentionOptions { masks: vec![mask], allow_hidden: true, ..Default::default() };
    let y = x.self_attention(1, &options).unwrap();
    let first = y.slice(1, 0, 1).unwrap().sum().unwrap();
    tracer.output("g", &gradients(&first, &[x]).unwrap()[0]);
    let mut engine = Engine::new(1).unwrap();
    engine.set_parameter("x", &[1, 2, 3, 4], &[0.5; 24]).unwrap();
    let program = engine.compile(&tracer.graph(), Extents::batch(1)).unwrap();
    engine.run(program, Extents::batch(1), &[]).unwrap();
    assert!(engine.output(program, "g").unwrap().iter().all(|&g| g == 0.0));
}
