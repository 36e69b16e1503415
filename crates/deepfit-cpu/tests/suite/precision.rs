//! Programs that multiply in bf16.

use deepfit_cpu::kernels::gemm::bf16::Unit;
use deepfit_cpu::simd::Isa;
use deepfit_cpu::{Engine, Error, Precision, View};
use deepfit_graph::ops::RecurrentKind;
use deepfit_graph::{DType, Extents, Graph, Mode, Shape, Symbol, Tracer, gradients};

const STEPS: usize = 6;
const INPUTS: usize = 40;
const HIDDEN: usize = 32;
const BATCH: usize = 20;

/// A recurrent layer on projected inputs, with the gradients of its weights and of the input.
fn network(kind: RecurrentKind) -> Graph {
    let tracer = Tracer::new(Mode::Train);
    let x = tracer.input("x", Shape::from(vec![Symbol::Batch.into(), STEPS.into(), INPUTS.into()]), DType::F32);
    let rows = kind.gates() * HIDDEN;
    let of_input = tracer.parameter("input", [rows, INPUTS]).unwrap();
    let of_hidden = tracer.parameter("hidden", [rows, HIDDEN]).unwrap();
    let bias = tracer.parameter("bias", [rows]).unwrap();
    let projected = x.matmul_with(&of_input, false, true).unwrap();
    let result = projected.recurrent(kind, (false, false, true), &of_hidden, Some(&bias), None, None).unwrap().output;
    let loss = result.square().unwrap().sum().unwrap();
    tracer.output("result", &result);
    for (name, gradient) in
        ["input", "hidden", "bias", "x"].iter().zip(gradients(&loss, &[of_input, of_hidden, bias, x]).unwrap())
    {
        tracer.output(&format!("of {name}"), &gradient);
    }
    tracer.graph()
}

const OUTPUTS: [&str; 5] = ["result", "of input", "of hidden", "of bias", "of x"];

fn values(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 7919 + seed) % 211) as f32 / 211.0 - 0.5).collect()
}

/// The outputs for each of some batches, all of which are run in memory planned for the largest.
fn outputs(kind: RecurrentKind, engine: Engine, batches: &[usize]) -> Vec<Vec<f32>> {
    let mut engine = engine;
    let program = engine.compile(&network(kind), Extents::batch(BATCH)).unwrap();
    for (seed, name) in ["input", "hidden", "bias"].into_iter().enumerate() {
        let parameter = engine.parameter_mut(name).unwrap();
        parameter.copy_from_slice(&values(parameter.len(), seed));
    }
    let mut found = Vec::new();
    for &batch in batches {
        let x = values(batch * STEPS * INPUTS, 5);
        engine.run(program, Extents::batch(batch), &[("x", View::F32(&x))]).unwrap();
        found.extend(OUTPUTS.map(|name| engine.output(program, name).unwrap().to_vec()));
    }
    found
}

fn in_bf16(threads: usize) -> Option<Engine> {
    let engine = Engine::with_isa(threads, *Isa::available().last().unwrap());
    match engine.precision(Precision::Bf16) {
        Ok(engine) => Some(engine),
        Err(error) => {
            assert_eq!(Unit::available().len(), 1, "{error}");
            assert!(error.to_string().contains("this processor lacks"), "{error}");
            None
        }
    }
}

#[test]
fn recurrences_and_their_gradients_are_those_of_f32_but_for_rounding() {
    let batches = [BATCH, 3, 1];
    for kind in [RecurrentKind::Tanh, RecurrentKind::Lstm, RecurrentKind::Gru] {
        let Some(engine) = in_bf16(1) else { return };
        let rounded = outputs(kind, engine, &batches);
        let plain = outputs(kind, Engine::with_isa(1, *Isa::available().last().unwrap()), &batches);
        for (i, (rounded, plain)) in rounded.iter().zip(&plain).enumerate() {
            let what = format!("{} of {}, batch {}", OUTPUTS[i % 5], kind.name(), batches[i / 5]);
            let size = plain.iter().map(|x| x * x).sum::<f32>().sqrt();
            let off = rounded.iter().zip(plain).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt();
            assert!(off < 0.02 * size, "{what}: {off} of {size}");
            // Of a single row nothing is worth rounding.
            assert!(off > 0.0 || batches[i / 5] == 1, "{what}: nothing was rounded");
        }
        for threads in [2, 7] {
            let again = outputs(kind, in_bf16(threads).unwrap(), &batches);
            assert!(again == rounded, "{}: {threads} threads give other results", kind.name());
        }
    }
}

#[test]
fn bf16_is_refused_with_what_is_missing() {
    let refused = Engine::with_isa(1, Isa::Portable).precision(Precision::Bf16).err();
    assert!(matches!(refused, Some(Error::NoBf16 { .. })), "{refused:?}");
    assert!(Engine::with_isa(1, Isa::Portable).precision(Precision::F32).is_ok());
}

#[test]
fn precisions_have_names() {
    assert_eq!(Precision::NAMES.map(|name| Precision::named(name).unwrap().name()), Precision::NAMES);
    assert_eq!(Precision::named("f16"), None);
}
