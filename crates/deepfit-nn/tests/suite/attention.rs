//! Attention, transformers and encodings of position against PyTorch, and what they refuse.

use deepfit_graph::interpret::{self, Environment};
use deepfit_graph::ops::RelativeBuckets;
use deepfit_graph::{DType, Dim, Extents, HostTensor, Mode, Reference, Shape, Symbol, Tensor, Tracer, gradients};
use deepfit_nn::layers::*;
use deepfit_nn::step::evaluation_graph;
use deepfit_nn::{Init, Module, Result, Scope};

use crate::golden::Golden;

const TOLERANCE: f64 = 2e-6;

/// What a network is given.
struct Given<'a> {
    golden: &'a Golden,
    batch_first: bool,
    tracer: Tracer,
    inputs: Environment,
}

impl Given<'_> {
    fn tensor(&mut self, name: &str, shape: impl Into<Shape>, dtype: DType) -> Tensor {
        self.inputs.insert(name.to_string(), self.golden.get(name).clone());
        self.tracer.input(name, shape, dtype)
    }

    /// An input `[batch, length, width]`, its first two axes symbolic if its length is that of the run.
    fn sequence(&mut self, name: &str, length: usize) -> Tensor {
        let shape = self.golden.get(name).shape.clone();
        let steps = shape[usize::from(self.batch_first)];
        let axis = if steps == length { Symbol::Sequence.into() } else { Dim::fixed(steps) };
        let (first, second) =
            if self.batch_first { (Symbol::Batch.into(), axis) } else { (axis, Symbol::Batch.into()) };
        self.tensor(name, vec![first, second, Dim::fixed(shape[2])], DType::F32)
    }

    fn mask(&mut self, causal: bool, length: usize) -> AttentionMask {
        let mut mask = AttentionMask { causal, ..AttentionMask::default() };
        for (name, array) in self.golden.under("mask.") {
            let dtype = if array.data.iter().all(|&v| v == 0.0 || v == 1.0) { DType::U8 } else { DType::F32 };
            let dim = |n: usize| if n == length { Symbol::Sequence.into() } else { Dim::fixed(n) };
            let full = format!("mask.{name}");
            if name == "attn_mask" {
                mask.attn_mask = Some(self.tensor(&full, vec![dim(array.shape[0]), dim(array.shape[1])], dtype));
            } else {
                mask.key_padding_mask =
                    Some(self.tensor(&full, vec![Symbol::Batch.into(), dim(array.shape[1])], dtype));
            }
        }
        mask
    }
}

/// Output and gradients of what `build` traces; `length` is the extent of the sequence axis.
fn check(
    golden: &Golden,
    length: usize,
    build: impl FnOnce(&Scope, &mut Given) -> Result<(Tensor, Vec<(&'static str, Tensor)>)>,
) {
    let mode = if golden.config["training"] == false { Mode::Evaluate } else { Mode::Train };
    let scope = Scope::root();
    let mut given = Given { golden, batch_first: true, tracer: Tracer::new(mode), inputs: Environment::new() };
    let (output, others) = build(&scope, &mut given).unwrap_or_else(|e| panic!("{}: {e}", golden.name));
    let mut parameters: Environment = golden.under("param.").into_iter().map(|(n, a)| (n, a.clone())).collect();
    let mut declared: Vec<(String, Vec<usize>)> = scope.declarations().into_iter().map(|d| (d.name, d.shape)).collect();
    declared.sort();
    let mut expected: Vec<(String, Vec<usize>)> =
        parameters.iter().map(|(n, a)| (n.clone(), a.shape.clone())).collect();
    expected.sort();
    assert_eq!(declared, expected, "{}: names and shapes of parameters", golden.name);

    let upstream = given.tracer.input("upstream", output.shape().clone(), DType::F32);
    given.inputs.insert("upstream".to_string(), golden.get("upstream").clone());
    let loss = output.mul(&upstream).and_then(|p| p.sum()).expect("a loss");
    let (mut names, mut wanted) = (Vec::new(), Vec::new());
    for declaration in scope.declarations() {
        names.push(format!("grad.param.{}", declaration.name));
        wanted.push(declaration.parameter().on(&given.tracer).expect("declared"));
    }
    for (name, input) in others.iter().filter(|(name, _)| name.starts_with("input")) {
        names.push(format!("grad.{name}"));
        wanted.push(input.clone());
    }
    assert_eq!(names.len(), golden.under("grad.").len(), "{}: gradients", golden.name);
    let found = gradients(&loss, &wanted).unwrap_or_else(|e| panic!("{}: {e}", golden.name));
    let batch = golden.get("output").shape[usize::from(!given.batch_first)];
    let extents = Extents { batch, sequence: length };
    let values =
        interpret::run(&given.tracer.graph(), extents, &given.inputs, &mut parameters).expect("the graph runs");
    golden.compare("output", values.get(output.value()), TOLERANCE);
    for (name, other) in others.iter().filter(|(name, _)| !name.starts_with("input")) {
        golden.compare(name, values.get(other.value()), TOLERANCE);
    }
    for (name, gradient) in names.iter().zip(&found) {
        // The bias of the key moves all scores of a row alike: its gradient is zero but for rounding.
        // Learned keys have no bias of the projection.
        if name.ends_with("in_proj_bias")
            && golden.config["add_bias_kv"] != true
            && golden.config["add_zero_attn"] != true
        {
            let (a, e) = (values.get(gradient.value()), golden.get(name));
            let third = e.data.len() / 3;
            for part in [0..third, 2 * third..3 * third] {
                let slice = |r: &Reference| Reference::new(&[third], r.data[part.clone()].to_vec());
                crate::golden::close(name, &slice(a), &slice(e), TOLERANCE);
            }
            assert!(a.data[third..2 * third].iter().all(|v| v.abs() < 1e-6), "{}: {name}", golden.name);
            continue;
        }
        golden.compare(name, values.get(gradient.value()), TOLERANCE);
    }
}

#[test]
fn multihead_attention_equals_pytorchs() {
    let goldens = Golden::all("attention-");
    assert_eq!(goldens.len(), 13);
    for golden in &goldens {
        let number = |key: &str| golden.number(key) as usize;
        let flag = |key: &str| golden.config[key] == true;
        // Keys behind those given need a fixed number of these; no axis is as long as the other length here.
        let length = if flag("add_bias_kv") || flag("add_zero_attn") { 0 } else { 5 };
        let config = MultiheadAttentionConfig {
            add_bias_kv: flag("add_bias_kv"),
            add_zero_attn: flag("add_zero_attn"),
            batch_first: golden.config["batch_first"] != false,
            kdim: number("kdim"),
            vdim: number("vdim"),
            bias: golden.config["bias"] == true,
            ..MultiheadAttentionConfig::new(number("embed_dim"), number("num_heads"))
        };
        for weights in [false, true] {
            check(golden, 5, |scope, given| {
                let layer = MultiheadAttention::new(scope, config.clone())?;
                given.batch_first = config.batch_first;
                let query = given.sequence("input.query", length);
                let mut others = vec![("input.query", query.clone())];
                let (key, value) = if golden.config["cross"] == true {
                    let both = (given.sequence("input.key", length), given.sequence("input.value", length));
                    others.extend([("input.key", both.0.clone()), ("input.value", both.1.clone())]);
                    both
                } else {
                    (query.clone(), query.clone())
                };
                let mask = given.mask(golden.config["causal"] == true, length);
                if !weights {
                    return Ok((layer.attend(&query, &key, &value, &mask)?, others));
                }
                let (output, weights) = layer.attend_with_weights(&query, &key, &value, &mask)?;
                others.push(("weights", weights));
                Ok((output, others))
            });
        }
    }
}

fn config(golden: &Golden) -> TransformerConfig {
    let gelu = golden.config["activation"] == "gelu";
    TransformerConfig {
        dim_feedforward: 12,
        dropout: 0.0,
        activation: if gelu { Activation::Gelu } else { Activation::Relu },
        bias: !golden.name.starts_with("transformer-plain"),
        norm_first: golden.config["norm_first"] == true,
        ..TransformerConfig::new(8, 2)
    }
}

#[test]
fn encoder_and_decoder_layers_equal_pytorchs() {
    for name in ["post", "pre"] {
        let golden = Golden::read(&format!("transformer-encoder-layer-{name}"));
        check(&golden, 5, |scope, given| {
            let layer = TransformerEncoderLayer::new(scope, &config(&golden))?;
            let (src, mask) = (given.sequence("input.src", 5), given.mask(false, 5));
            Ok((layer.encode(&src, &mask)?, vec![("input.src", src)]))
        });
        let golden = Golden::read(&format!("transformer-decoder-layer-{name}"));
        check(&golden, 4, |scope, given| {
            let layer = TransformerDecoderLayer::new(scope, &config(&golden))?;
            let (tgt, memory) = (given.sequence("input.tgt", 4), given.sequence("input.memory", 4));
            let mask = given.mask(false, 4);
            let output = layer.decode(&tgt, &memory, &AttentionMask::causal(), &mask)?;
            Ok((output, vec![("input.tgt", tgt), ("input.memory", memory)]))
        });
    }
}

#[test]
fn a_whole_transformer_equals_pytorchs_learning_and_in_use() {
    for (name, dropout) in [("train", 0.0), ("eval", 0.5)] {
        let golden = Golden::read(&format!("transformer-whole-{name}"));
        check(&golden, 4, |scope, given| {
            let network = Transformer::new(scope, &TransformerConfig { dropout, ..config(&golden) }, 2, 2)?;
            let (src, tgt) = (given.sequence("input.src", 4), given.sequence("input.tgt", 4));
            let masks = TransformerMasks { tgt: AttentionMask::causal(), ..Default::default() };
            Ok((network.transform(&src, &tgt, &masks)?, vec![("input.src", src), ("input.tgt", tgt)]))
        });
    }
}

#[test]
fn transformers_without_biases_equal_pytorchs() {
    let golden = Golden::read("transformer-plain-encoder");
    check(&golden, 5, |scope, given| {
        let layer = TransformerEncoderLayer::new(scope, &config(&golden))?;
        let src = given.sequence("input.src", 5);
        Ok((layer.forward(&src)?, vec![("input.src", src)]))
    });
    let golden = Golden::read("transformer-plain-decoder");
    check(&golden, 4, |scope, given| {
        let layer = TransformerDecoderLayer::new(scope, &config(&golden))?;
        let (tgt, memory) = (given.sequence("input.tgt", 4), given.sequence("input.memory", 4));
        let output = layer.decode(&tgt, &memory, &AttentionMask::default(), &AttentionMask::default())?;
        Ok((output, vec![("input.tgt", tgt), ("input.memory", memory)]))
    });
    let golden = Golden::read("transformer-plain-whole");
    check(&golden, 4, |scope, given| {
        let network = Transformer::new(scope, &config(&golden), 1, 1)?;
        let (src, tgt) = (given.sequence("input.src", 4), given.sequence("input.tgt", 4));
        let output = network.transform(&src, &tgt, &TransformerMasks::default())?;
        Ok((output, vec![("input.src", src), ("input.tgt", tgt)]))
    });
}

#[test]
fn rotary_positions_turn_pairs_as_complex_numbers() {
    for (name, pairs) in [("interleaved", RotaryPairs::Interleaved), ("half", RotaryPairs::Halves)] {
        let golden = Golden::read(&format!("positions-rotary-{name}"));
        let tracer = Tracer::new(Mode::Train);
        let shape = vec![Symbol::Batch.into(), Symbol::Sequence.into(), Dim::fixed(3), Dim::fixed(6)];
        let (x, upstream) = (tracer.input("x", shape.clone(), DType::F32), tracer.input("upstream", shape, DType::F32));
        let layer = RotaryPositions::new(&Scope::root(), 9, 6, 10_000.0, pairs).unwrap();
        let y = layer.forward(&x).unwrap();
        let found = gradients(&y.mul(&upstream).and_then(|p| p.sum()).unwrap(), &[x]).unwrap();
        let inputs = Environment::from([
            ("x".to_string(), golden.get("input").clone()),
            ("upstream".to_string(), golden.get("upstream").clone()),
        ]);
        let extents = Extents { batch: 2, sequence: 7 };
        let values = interpret::run(&tracer.graph(), extents, &inputs, &mut Environment::new()).unwrap();
        golden.compare("output", values.get(y.value()), TOLERANCE);
        golden.compare("grad.input", values.get(found[0].value()), TOLERANCE);
    }
}

#[test]
fn the_sinusoidal_table_and_the_buckets_follow_their_formulas() {
    let golden = Golden::read("positions-sinusoidal");
    let table = SinusoidalPositions::new(&Scope::root(), 9, 6, 0.0).table();
    golden.compare("table", &Reference::new(&[9, 6], table.into_iter().map(f64::from).collect()), TOLERANCE);
    for (name, bidirectional) in [("both", true), ("one", false)] {
        let golden = Golden::read(&format!("positions-buckets-{name}"));
        let (queries, keys) = (Dim::fixed(150), Dim::fixed(180));
        let op = RelativeBuckets { queries, keys, buckets: 32, max_distance: 128, bidirectional };
        let found = Reference::from_fn(&[150, 180], |index| op.bucket(index[0], index[1]) as f64);
        golden.compare("buckets", &found, 0.0);
    }
}

/// Runs one layer on a graph without parameters.
fn evaluate(tracer: &Tracer, output: &Tensor, inputs: &Environment, extents: Extents) -> Reference {
    let values = interpret::run(&tracer.graph(), extents, inputs, &mut Environment::new()).expect("the graph runs");
    values.get(output.value()).clone()
}

#[test]
fn positions_are_added_along_a_sequence_of_any_length() {
    let tracer = Tracer::new(Mode::Evaluate);
    let shape = vec![Symbol::Batch.into(), Symbol::Sequence.into(), Dim::fixed(4)];
    let x = tracer.input("x", shape, DType::F32);
    let sinusoidal = SinusoidalPositions::new(&Scope::root(), 6, 4, 0.5);
    let y = sinusoidal.forward(&x).unwrap();
    let inputs = Environment::from([("x".to_string(), Reference::full(&[2, 3, 4], 1.0))]);
    let found = evaluate(&tracer, &y, &inputs, Extents { batch: 2, sequence: 3 });
    for (i, value) in found.data.iter().enumerate() {
        assert!((value - 1.0 - f64::from(sinusoidal.table()[i % 12])).abs() < 1e-6);
    }
    let scope = Scope::root();
    let learned = LearnedPositions::new(&scope, 6, 4);
    let too_long = learned
        .forward(&Tracer::new(Mode::Evaluate).input("x", [2, 7, 4], DType::F32))
        .expect_err("longer than the table");
    assert!(too_long.to_string().contains("7 positions"), "{too_long}");
    let y = learned.forward(&x).unwrap();
    let table = Reference::from_fn(&[6, 4], |index| (10 * index[0] + index[1]) as f64);
    let mut parameters = Environment::from([("weight".to_string(), table)]);
    let values = interpret::run(&tracer.graph(), Extents { batch: 2, sequence: 3 }, &inputs, &mut parameters);
    let values = values.expect("the graph runs");
    assert_eq!(values.get(y.value()).at(&[1, 2, 3]), 1.0 + 23.0);
}

#[test]
fn alibi_subtracts_a_slope_for_each_step_away() {
    for (heads, slopes) in [(4, vec![0.25, 0.0625, 0.015625, 0.00390625]), (3, vec![0.0625, 0.00390625, 0.25])] {
        let tracer = Tracer::new(Mode::Evaluate);
        let bias = alibi_bias(&tracer, heads, Symbol::Sequence.into(), Dim::fixed(5)).unwrap();
        let found = evaluate(&tracer, &bias, &Environment::new(), Extents { batch: 1, sequence: 3 });
        let expected = Reference::from_fn(&[heads, 3, 5], |i| -slopes[i[0]] * i[1].abs_diff(i[2]) as f64);
        crate::golden::close("alibi", &found, &expected, 1e-7);
    }
}

#[test]
fn relative_positions_are_a_learned_bias_of_the_attention() {
    let scope = Scope::root();
    let relative = RelativePositionBias::with(&scope, 2, 4, 3, true);
    let tracer = Tracer::new(Mode::Train);
    let x = tracer.input("x", vec![Symbol::Batch.into(), Symbol::Sequence.into(), Dim::fixed(4)], DType::F32);
    let layer = MultiheadAttention::new(&scope.child("attention"), MultiheadAttentionConfig::new(4, 2)).unwrap();
    let bias = relative.bias(&tracer, Symbol::Sequence.into(), Symbol::Sequence.into()).unwrap();
    let mask = AttentionMask { bias: Some(bias), ..AttentionMask::default() };
    let loss = layer.attend(&x, &x, &x, &mask).and_then(|y| Ok(y.square()?.sum()?)).unwrap();
    let weight = scope.declarations()[0].parameter().on(&tracer).unwrap();
    let gradient = gradients(&loss, &[weight]).unwrap().swap_remove(0);
    let graph = tracer.graph();
    let values = |changed: Option<(usize, f64)>| {
        let mut parameters: Environment = scope
            .declarations()
            .into_iter()
            .map(|d| {
                let values = d.values(3).into_iter().map(f64::from).collect();
                (d.name.clone(), Reference::new(&d.shape, values))
            })
            .collect();
        if let Some((i, h)) = changed {
            parameters.get_mut("weight").unwrap().data[i] += h;
        }
        let x = Reference::from_fn(&[2, 5, 4], |i| ((7 * i[0] + 3 * i[1] + 5 * i[2]) % 11) as f64 / 5.0 - 1.0);
        let inputs = Environment::from([("x".to_string(), x)]);
        let extents = Extents { batch: 2, sequence: 5 };
        let values = interpret::run(&graph, extents, &inputs, &mut parameters).expect("the graph runs");
        (values.get(loss.value()).data[0], values.get(gradient.value()).clone())
    };
    let (_, analytic) = values(None);
    for i in 0..8 {
        let numeric = (values(Some((i, 1e-5))).0 - values(Some((i, -1e-5))).0) / 2e-5;
        assert!((numeric - analytic.data[i]).abs() < 1e-7, "bucket {i}: {} instead of {numeric}", analytic.data[i]);
    }
    assert!(analytic.data.iter().any(|v| v.abs() > 1e-4));
}

#[test]
fn grouped_heads_share_the_projections_of_key_and_value() {
    // One key head of width 4 for both query heads: as if its rows stood twice in the projection.
    let random = |name: &str, n: usize| Init::Normal { std: 0.5 }.values(4, name, &[n]).into_iter().map(f64::from);
    let (weight, bias): (Vec<f64>, Vec<f64>) = (random("weight", 16 * 8).collect(), random("bias", 16).collect());
    let repeated = |values: &[f64], width: usize| {
        let part = |rows: std::ops::Range<usize>| values[rows.start * width..rows.end * width].to_vec();
        [part(0..8), part(8..12), part(8..12), part(12..16), part(12..16)].concat()
    };
    let result = |kv_heads: usize, weight: Vec<f64>, bias: Vec<f64>| {
        let config = MultiheadAttentionConfig { kv_heads, ..MultiheadAttentionConfig::new(8, 2) };
        let layer = MultiheadAttention::new(&Scope::root(), config).unwrap();
        let tracer = Tracer::new(Mode::Evaluate);
        let x = tracer.input("x", [2, 5, 8], DType::F32);
        let y = layer.attend(&x, &x, &x, &AttentionMask::causal()).unwrap();
        let mut parameters = Environment::from([
            ("in_proj_weight".to_string(), Reference::new(&[bias.len(), 8], weight)),
            ("in_proj_bias".to_string(), Reference::new(&[bias.len()], bias)),
            ("out_proj.weight".to_string(), Reference::new(&[8, 8], random("out", 64).collect())),
            ("out_proj.bias".to_string(), Reference::full(&[8], 0.0)),
        ]);
        let inputs = Environment::from([("x".to_string(), Reference::new(&[2, 5, 8], random("x", 80).collect()))]);
        let values = interpret::run(&tracer.graph(), Extents::batch(1), &inputs, &mut parameters).unwrap();
        values.get(y.value()).clone()
    };
    let full = result(2, repeated(&weight, 8), repeated(&bias, 1));
    crate::golden::close("grouped", &result(1, weight, bias), &full, 1e-12);
}

#[test]
fn matrices_start_as_in_pytorch() {
    let init = |scope: &Scope, name: &str| scope.declarations().into_iter().find(|d| d.name == name).unwrap().init;
    let xavier = Init::XavierUniform { gain: 1.0 };
    let scope = Scope::root();
    Transformer::new(&scope, &TransformerConfig::new(8, 2), 1, 1).unwrap();
    for declaration in scope.declarations().iter().filter(|d| d.shape.len() == 2) {
        assert_eq!(declaration.init, xavier, "{}", declaration.name);
    }
    assert_eq!(init(&scope, "decoder.layers.0.linear1.bias"), Init::default_bias(8));
    let scope = Scope::root();
    TransformerEncoderLayer::new(&scope, &TransformerConfig::new(8, 2)).unwrap();
    assert_eq!(init(&scope, "self_attn.in_proj_weight"), xavier);
    assert_eq!(init(&scope, "self_attn.out_proj.weight"), Init::default_weight());
    assert_eq!(init(&scope, "self_attn.out_proj.bias"), Init::Zeros);
    assert_eq!(init(&scope, "linear2.weight"), Init::default_weight());
}

#[test]
fn weights_and_outputs_of_inner_layers_can_be_watched() {
    let golden = Golden::read("attention-self");
    let scope = Scope::root();
    let layer = MultiheadAttention::new(&scope.child("encoder"), MultiheadAttentionConfig::new(8, 2)).unwrap();
    let build = |watch: bool| {
        evaluation_graph(|tracer| {
            if watch {
                tracer.watch("encoder", "weights");
                tracer.watch("encoder.out_proj", deepfit_graph::OUTPUT);
            }
            let x = tracer.input("x", [2, 5, 8], DType::F32);
            Ok(vec![("y".to_string(), layer.forward(&x)?)])
        })
        .expect("shapes fit")
    };
    let (plain, watched) = (build(false), build(true));
    assert_eq!(plain.outputs().len(), 1);
    assert!(!plain.nodes().iter().any(|node| matches!(node.op, deepfit_graph::Op::Softmax(_))));
    let parameters = golden.under("param.").into_iter().map(|(n, a)| (format!("encoder.{n}"), a.clone()));
    let inputs = Environment::from([("x".to_string(), golden.get("input.query").clone())]);
    let found = crate::golden::run(&watched, 2, &inputs, &mut parameters.collect());
    golden.compare("weights", &found["encoder.weights"], TOLERANCE);
    assert_eq!(found["encoder.out_proj.output"], found["y"]);
}

#[test]
fn what_cannot_be_is_refused_with_layer_and_shapes() {
    let scope = Scope::root();
    let told = |config| MultiheadAttention::new(&scope.child("self_attn"), config).expect_err("impossible").to_string();
    assert!(told(MultiheadAttentionConfig::new(8, 3)).contains("self_attn: `num_heads` is 3"));
    let grouped = MultiheadAttentionConfig { kv_heads: 3, ..MultiheadAttentionConfig::new(8, 4) };
    assert!(told(grouped).contains("`kv_heads` is 3"));

    let layer = MultiheadAttention::new(&scope.child("attention"), MultiheadAttentionConfig::new(8, 2)).unwrap();
    let tracer = Tracer::new(Mode::Evaluate);
    let x = tracer.input("x", [2, 5, 8], DType::F32);
    let told = |mask: &AttentionMask| layer.attend(&x, &x, &x, mask).expect_err("does not fit").to_string();
    let short = tracer.input("short", [2, 4], DType::U8);
    let error = told(&AttentionMask::padding(&short));
    assert!(
        error.starts_with("attention: ") && error.contains("[2, 1, 1, 4]") && error.contains("[2, 2, 5, 5]"),
        "{error}"
    );
    // Query 2 sees nothing, which is known before any run.
    let values = (0..25).map(|i| u8::from(i / 5 == 2)).collect();
    let all = tracer.constant(HostTensor::u8(&[5, 5], values));
    let mask = AttentionMask { attn_mask: Some(all), ..AttentionMask::default() };
    assert!(told(&mask).contains("hide all keys from query 2"), "{}", told(&mask));
    // Unless that is allowed.
    layer.attend(&x, &x, &x, &AttentionMask { allow_hidden: true, ..mask }).expect("allowed");
    let narrow = tracer.input("narrow", [2, 5, 7], DType::F32);
    let error = layer.forward(&narrow).expect_err("another width").to_string();
    assert!(error.contains("[batch, length, 8]") && error.contains("[2, 5, 7]"), "{error}");
}
