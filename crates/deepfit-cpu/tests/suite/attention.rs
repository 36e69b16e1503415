//! Attention with axes whose lengths are known only when the plan runs.

use deepfit_cpu::{Engine, View};
use deepfit_graph::interpret::{self, Environment};
use deepfit_graph::ops::AttentionOptions;
use deepfit_graph::sample::{integers, uniform};
use deepfit_graph::{DType, Dim, Extents, Graph, HostData, HostTensor, Mode, Symbol, Tracer, gradients};

const HEADS: usize = 4;
const KV_HEADS: usize = 2;
const WIDTH: usize = 8;

/// Grouped causal self-attention with a bias, a mask, numbers of keys and dropout: loss, result and gradients.
fn graph() -> Graph {
    let tracer = Tracer::new(Mode::Train);
    let (batch, length): (Dim, Dim) = (Symbol::Batch.into(), Symbol::Sequence.into());
    let all = [batch, length, (HEADS + 2 * KV_HEADS).into(), WIDTH.into()];
    let x = tracer.input("x", all.to_vec(), DType::F32);
    let bias = tracer.parameter("bias", [HEADS, 1, 1]).expect("a new name");
    let options = AttentionOptions {
        causal: true,
        bias: Some(bias.mul(&x.slice(2, 0, 1).and_then(|x| x.mean()).expect("a scalar")).expect("it broadcasts")),
        masks: vec![tracer.input("mask", vec![length, length], DType::U8)],
        lengths: Some(tracer.input("lengths", vec![batch], DType::I32)),
        // Of one step, none is left.
        allow_hidden: true,
        dropout: 0.2,
        ..AttentionOptions::default()
    };
    let y = x.self_attention(KV_HEADS, &options).expect("shapes fit");
    let loss = y.square().and_then(|y| y.sum()).expect("a scalar");
    let found = gradients(&loss, &[x, bias]).expect("the loss depends on both");
    for (name, tensor) in [("y", &y), ("of_x", &found[0]), ("of_bias", &found[1])] {
        tracer.output(name, tensor);
    }
    tracer.graph()
}

fn view(host: &HostTensor) -> View<'_> {
    match &host.data() {
        HostData::F32(values) => View::F32(values),
        HostData::U8(values) => View::U8(values),
        HostData::I32(values) => View::I32(values),
    }
}

#[test]
fn one_plan_serves_shorter_sequences_and_smaller_batches() {
    let graph = graph();
    let maximum = Extents { batch: 3, sequence: 150 };
    for threads in [1, 3] {
        let mut engine = Engine::new(threads).expect("an instruction set");
        let bias = uniform(&[HEADS, 1, 1], -1.0, 1.0, 8);
        let HostData::F32(values) = bias.data() else { unreachable!("uniform values are f32") };
        engine.set_parameter("bias", &[HEADS, 1, 1], values).expect("a shape that fits");
        let program = engine.compile(&graph, maximum).expect("a plan");
        for (batch, sequence) in [(3, 150), (1, 1), (2, 67), (3, 129), (1, 150)] {
            let mut mask = integers(&[sequence, sequence], 4, 3);
            let HostData::I32(values) = mask.data() else { unreachable!("integers are i32") };
            mask = HostTensor::u8(mask.shape(), values.iter().map(|&v| u8::from(v == 0)).collect());
            let given = [
                ("x", uniform(&[batch, sequence, HEADS + 2 * KV_HEADS, WIDTH], -2.0, 2.0, 1)),
                ("mask", mask),
                ("lengths", HostTensor::i32(&[batch], vec![sequence as i32 - 1; batch])),
                ("random_key", HostTensor::i32(&[4], vec![1, 2, 3, 4])),
            ];
            let extents = Extents { batch, sequence };
            let views: Vec<(&str, View<'_>)> = given.iter().map(|(name, host)| (*name, view(host))).collect();
            engine.run(program, extents, &views).expect("the run fits the plan");
            let inputs: Environment = given.iter().map(|(n, host)| (n.to_string(), host.to_reference())).collect();
            let mut parameters = Environment::from([("bias".to_string(), bias.to_reference())]);
            let values = interpret::run(&graph, extents, &inputs, &mut parameters).expect("all is given");
            for name in ["y", "of_x", "of_bias"] {
                let expected = values.get(graph.output(name).expect("named above"));
                let found = engine.output(program, name).expect("named above");
                assert_eq!(found.len(), expected.data.len(), "{name} at {extents:?}");
                let largest = expected.data.iter().fold(1.0f64, |m, v| m.max(v.abs()));
                for (i, (&f, &e)) in found.iter().zip(&expected.data).enumerate() {
                    assert!((f64::from(f) - e).abs() <= 2e-5 * largest, "{name}[{i}] at {extents:?}: {f} and {e}");
                }
            }
        }
    }
}
