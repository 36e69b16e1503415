//! What the machine can do at most, to hold workloads against.

use std::time::Instant;

use anyhow::Result;
use deepfit_cpu::pool::ThreadPool;
use deepfit_cpu::{Engine, View};
use deepfit_graph::{DType, Extents, Mode, Tracer, sample};
use serde::Serialize;

/// Sides of the square matrices that are multiplied.
const SIDES: [usize; 4] = [512, 1024, 1536, 2048];
/// Bytes that each thread copies: far more than a share of the caches.
const COPIED: usize = 128 << 20;
/// Rounds of each measurement at least; the best counts.
const ROUNDS: usize = 5;

/// Figures of the machine on some threads.
#[derive(Debug, Serialize)]
pub struct Machine {
    /// Multiply-adds that stay in registers, thousand millions of floating-point operations a second.
    pub fma_gflops: f64,
    /// The best of some products of square matrices, likewise.
    pub matmul_gflops: f64,
    /// Memory read and written by copying, thousand millions of bytes a second; a byte copied counts as two.
    pub copy_gb_s: f64,
    pub threads: usize,
    pub isa: String,
}

impl Machine {
    /// Measures for about as long as given, in seconds.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub fn measure(threads: usize, seconds: f64) -> Result<Machine> {
        let mut engine = Engine::new(threads)?;
        let isa = engine.isa();
        let mut matmul: f64 = 0.0;
        for side in SIDES {
            matmul = matmul.max(product(&mut engine, side, seconds / 2.0 / SIDES.len() as f64)?);
        }
        let pool = ThreadPool::new(threads);
        Ok(Machine {
            fma_gflops: deepfit_cpu::peak(isa, &pool) / 1e9,
            matmul_gflops: matmul / 1e9,
            copy_gb_s: deepfit_cpu::bandwidth(&pool, threads * COPIED, seconds / 2.0) / 1e9,
            threads,
            isa: isa.to_string(),
        })
    }
}

/// Operations a second of the best product of two square matrices.
fn product(engine: &mut Engine, side: usize, seconds: f64) -> Result<f64> {
    let tracer = Tracer::new(Mode::Evaluate);
    let input = |name: &str| tracer.input(name, vec![side.into(), side.into()], DType::F32);
    tracer.output("product", &input("left").matmul(&input("right"))?);
    let extents = Extents::batch(1);
    let program = engine.compile(&tracer.graph(), extents)?;
    let values = |seed| sample::uniform(&[side, side], -1.0, 1.0, seed).into_data();
    let (left, right) = (values(1), values(2));
    let inputs = [("left", View::from(&left)), ("right", View::from(&right))];
    let best = best_of(seconds, || Ok(engine.run(program, extents, &inputs)?))?;
    Ok(2.0 * (side as f64).powi(3) / best)
}

/// Seconds of the shortest of several runs.
fn best_of(seconds: f64, mut run: impl FnMut() -> Result<()>) -> Result<f64> {
    let (clock, mut best, mut rounds) = (Instant::now(), f64::INFINITY, 0);
    while rounds < ROUNDS || clock.elapsed().as_secs_f64() < seconds {
        let start = Instant::now();
        run()?;
        best = best.min(start.elapsed().as_secs_f64());
        rounds += 1;
    }
    Ok(best)
}
