//! What the machine can do at most, to hold workloads against.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use deepfit_cpu::pool::ThreadPool;
use deepfit_cpu::{Engine, View};
use deepfit_graph::{DType, Extents, Mode, Tracer, sample};
use serde::Serialize;

use super::run::median;

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
    /// From a call of the threads, in the middle of work, until the last of them has begun and all have been heard of,
    /// microseconds; 0 with one thread.
    pub hand_over_us: f64,
    /// How many processors the waiting threads keep busy between one piece of work and the next.
    pub idle_cores: f64,
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
            hand_over_us: hand_over(&pool) * 1e6,
            idle_cores: idle(&pool),
            threads,
            isa: isa.to_string(),
        })
    }
}

/// Calls of all threads whose median is told, and how many come before.
const HAND_OVERS: usize = 10_000;
/// How long threads wait for work that does not come.
const IDLE: Duration = Duration::from_millis(300);

/// Seconds from a call until all threads take part, and have been seen to leave.
fn hand_over(pool: &ThreadPool) -> f64 {
    let threads = pool.threads();
    if threads < 2 {
        return 0.0;
    }
    let arrived = AtomicUsize::new(0);
    let times: Vec<f64> = (0..2 * HAND_OVERS)
        .map(|_| {
            arrived.store(0, Ordering::SeqCst);
            let start = Instant::now();
            pool.run(threads, &|_, _| {
                arrived.fetch_add(1, Ordering::SeqCst);
                // Nobody takes two tasks: each waits until all have begun. On a busy machine one may be late.
                let mut looks = 0_u32;
                while arrived.load(Ordering::SeqCst) < threads {
                    looks += 1;
                    if looks < 10_000 { std::hint::spin_loop() } else { std::thread::yield_now() }
                }
            });
            start.elapsed().as_secs_f64()
        })
        .skip(HAND_OVERS)
        .collect();
    median(times)
}

/// Processors that are busy while the threads wait for work, from the end of the last on.
fn idle(pool: &ThreadPool) -> f64 {
    pool.run(pool.threads(), &|_, _| {});
    let (worked, start) = (deepfit_train::cpu_seconds(), Instant::now());
    std::thread::sleep(IDLE);
    (deepfit_train::cpu_seconds() - worked) / start.elapsed().as_secs_f64()
}

/// Product of two square matrices that is timed beside a workload: its side, and seconds that it is repeated for.
const BESIDE: (usize, f64) = (768, 0.25);

/// Operations that a processor makes in a second of its work on products of matrices: the median of many.
///
/// # Errors
/// If there is no memory for it.
pub fn product_beside(threads: usize) -> Result<f64> {
    let mut engine = Engine::new(threads)?;
    let (side, seconds) = BESIDE;
    let mut times = Vec::new();
    let (clock, mut warm) = (Instant::now(), false);
    let operations = products(&mut engine, side, |run| {
        while times.len() < ROUNDS || clock.elapsed().as_secs_f64() < seconds {
            let worked = deepfit_train::cpu_seconds();
            run()?;
            if std::mem::replace(&mut warm, true) {
                times.push(deepfit_train::cpu_seconds() - worked);
            }
        }
        Ok(())
    })?;
    Ok(operations / median(times))
}

/// Operations a second of the best product of two square matrices.
fn product(engine: &mut Engine, side: usize, seconds: f64) -> Result<f64> {
    let mut best = f64::INFINITY;
    let operations = products(engine, side, |run| {
        best = best_of(seconds, run)?;
        Ok(())
    })?;
    Ok(operations / best)
}

/// Gives `times` a product of two square matrices to run as often as it likes; returns the operations of each.
fn products(
    engine: &mut Engine,
    side: usize,
    times: impl FnOnce(&mut dyn FnMut() -> Result<()>) -> Result<()>,
) -> Result<f64> {
    let tracer = Tracer::new(Mode::Evaluate);
    let input = |name: &str| tracer.input(name, vec![side.into(), side.into()], DType::F32);
    tracer.output("product", &input("left").matmul(&input("right"))?);
    let extents = Extents::batch(1);
    let program = engine.compile(&tracer.graph(), extents)?;
    let values = |seed| sample::uniform(&[side, side], -1.0, 1.0, seed).into_data();
    let (left, right) = (values(1), values(2));
    let inputs = [("left", View::from(&left)), ("right", View::from(&right))];
    times(&mut || Ok(engine.run(program, extents, &inputs)?))?;
    Ok(2.0 * (side as f64).powi(3))
}

/// Seconds of the shortest of several runs.
fn best_of(seconds: f64, run: &mut dyn FnMut() -> Result<()>) -> Result<f64> {
    let (clock, mut best, mut rounds) = (Instant::now(), f64::INFINITY, 0);
    while rounds < ROUNDS || clock.elapsed().as_secs_f64() < seconds {
        let start = Instant::now();
        run()?;
        best = best.min(start.elapsed().as_secs_f64());
        rounds += 1;
    }
    Ok(best)
}
