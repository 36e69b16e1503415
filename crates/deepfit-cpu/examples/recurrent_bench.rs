//! Time of a two-layer recurrent network, forward and backward, next to the processor's measured peak.
//!
//! `cargo run --release -p deepfit-cpu --example recurrent_bench [threads]`

use std::time::Instant;

use deepfit_cpu::pool::ThreadPool;
use deepfit_cpu::simd::Isa;
use deepfit_cpu::{Engine, View, peak};
use deepfit_graph::ops::RecurrentKind;
use deepfit_graph::{DType, Extents, Graph, Mode, Shape, Symbol, Tracer, gradients};

const INPUTS: usize = 64;
const HIDDEN: usize = 256;
const STEPS: usize = 64;
const BATCH: usize = 32;

/// Two layers, the gradients of all parameters and of the input; the number of multiplications and additions.
fn network(kind: RecurrentKind, batch_first: bool) -> deepfit_graph::Result<(Graph, f64)> {
    let tracer = Tracer::new(Mode::Train);
    let batch = Symbol::Batch.into();
    let first = if batch_first { [batch, STEPS.into()] } else { [STEPS.into(), batch] };
    let x = tracer.input("x", Shape::from([&first[..], &[INPUTS.into()]].concat()), DType::F32);
    let (mut sequence, mut wanted, mut work) = (x.clone(), vec![], 0.0);
    for (layer, inputs) in [INPUTS, HIDDEN].into_iter().enumerate() {
        let rows = kind.gates() * HIDDEN;
        let input = tracer.parameter(&format!("weight_ih_l{layer}"), [rows, inputs])?;
        let hidden = tracer.parameter(&format!("weight_hh_l{layer}"), [rows, HIDDEN])?;
        let bias_ih = tracer.parameter(&format!("bias_ih_l{layer}"), [rows])?;
        let bias_hh = tracer.parameter(&format!("bias_hh_l{layer}"), [rows])?;
        let projected = sequence.matmul_with(&input, false, true)?.add(&bias_ih)?;
        sequence = projected.recurrent(kind, (false, !batch_first, true), &hidden, Some(&bias_hh), None, None)?.output;
        wanted.extend([input, hidden, bias_ih, bias_hh]);
        work += (2 * BATCH * STEPS * rows * (inputs + HIDDEN)) as f64;
    }
    wanted.push(x);
    let loss = sequence.square()?.sum()?;
    for (i, gradient) in gradients(&loss, &wanted)?.iter().enumerate() {
        tracer.output(&format!("gradient{i}"), gradient);
    }
    Ok((tracer.graph(), 3.0 * work))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let threads = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(2);
    let isa = Isa::detect()?;
    let pool = ThreadPool::new(threads);
    let peak = peak(isa, &pool);
    drop(pool);
    println!("{isa}, {threads} threads: multiply-add peak {:.1} GFLOP/s", peak / 1e9);
    for kind in [RecurrentKind::Tanh, RecurrentKind::Lstm, RecurrentKind::Gru] {
        for batch_first in [false, true] {
            let (graph, work) = network(kind, batch_first)?;
            let mut engine = Engine::with_isa(threads, isa);
            let program = engine.compile(&graph, Extents::batch(BATCH))?;
            for name in engine.parameters().map(|(name, ..)| name.to_string()).collect::<Vec<_>>() {
                let values = engine.parameter_mut(&name).ok_or("a parameter is gone")?;
                values.iter_mut().enumerate().for_each(|(i, v)| *v = ((i * 7919) % 101) as f32 / 1000.0 - 0.05);
            }
            let x: Vec<f32> = (0..BATCH * STEPS * INPUTS).map(|i| ((i * 31) % 17) as f32 / 17.0 - 0.5).collect();
            let mut times = Vec::new();
            for _ in 0..40 {
                let start = Instant::now();
                engine.run(program, Extents::batch(BATCH), &[("x", View::F32(&x))])?;
                times.push(start.elapsed().as_secs_f64());
            }
            times.sort_by(f64::total_cmp);
            let (least, median) = (times[0], times[times.len() / 2]);
            println!(
                "{:9} {INPUTS} -> {HIDDEN} x 2, {STEPS} steps, batch {BATCH}, {}: {:.2} ms (median {:.2}), {:.0} % of peak",
                kind.name(),
                if batch_first { "batch first" } else { "steps first" },
                least * 1e3,
                median * 1e3,
                100.0 * work / least / peak
            );
        }
    }
    Ok(())
}
