//! How many floating-point operations a second the processor can do at most: the measure that kernels are held against.

use std::time::Instant;

use crate::pool::ThreadPool;
use crate::simd::{Isa, Simd};
use crate::simd_kernel;

/// Enough independent chains of multiply-adds to hide the latency of each.
const CHAINS: usize = 12;

#[inline(always)]
fn chains_body<S: Simd>(s: S, rounds: usize) -> f32 {
    let (x, y) = (s.splat(1.000_001), s.splat(1e-9));
    let mut sums = [s.splat(1.0); CHAINS];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = s.mul_add(*sum, x, y);
        }
    }
    let mut total = s.zero();
    for sum in sums {
        total = s.add(total, sum);
    }
    s.sum(total)
}
simd_kernel! {
    fn chains(rounds: usize) -> f32 = chains_body;
}

/// Floating-point operations a second of multiply-adds that stay in registers, on all threads of the pool at once: the
/// best of some runs that take about a third of a second together. A multiply-add counts as two.
pub fn peak(isa: Isa, pool: &ThreadPool) -> f64 {
    const ROUNDS: usize = 500_000;
    let threads = pool.threads();
    let operations = (threads * ROUNDS * CHAINS * isa.lanes() * 2) as f64;
    let best = shortest(3, 0.35, || {
        pool.run(threads, &|_, _| {
            std::hint::black_box(chains(isa, ROUNDS));
        });
    });
    operations / best
}

/// Seconds of the shortest of at least so many runs, and of as many as begin in so many seconds.
pub(crate) fn shortest(rounds: usize, seconds: f64, mut run: impl FnMut()) -> f64 {
    let clock = Instant::now();
    let mut best = f64::INFINITY;
    for round in 0.. {
        if round >= rounds && clock.elapsed().as_secs_f64() > seconds {
            break;
        }
        let start = Instant::now();
        run();
        best = best.min(start.elapsed().as_secs_f64());
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_one_of_a_real_processor() {
        let pool = ThreadPool::new(1);
        for &isa in Isa::available() {
            let peak = peak(isa, &pool);
            // A processor of the last twenty years, and none that exists.
            assert!((1e8..1e14).contains(&peak), "{isa}: {peak:e}");
        }
    }
}
