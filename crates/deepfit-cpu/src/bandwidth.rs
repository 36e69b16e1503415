//! How many bytes a second the memory moves at most: the measure for operations that compute little.

use std::time::Instant;

use crate::kernels::Caches;
use crate::pool::ThreadPool;

/// Bytes a second of copying, read and written ones both counted, between arrays larger than a core's own caches, on all
/// threads of the pool at once: the best of some runs that take about a third of a second together.
pub fn bandwidth(pool: &ThreadPool) -> f64 {
    // Beyond a core's share of the last level, but no more than a small machine can spare.
    let numbers = Caches::detect().l3.clamp(16 << 20, 32 << 20) / 4;
    let source = vec![1.0f32; numbers];
    let mut target = vec![0.0f32; numbers];
    let part = numbers.div_ceil(pool.threads());
    let start = Instant::now();
    let mut best = f64::INFINITY;
    for round in 0.. {
        if round >= 3 && start.elapsed().as_secs_f64() > 0.35 {
            break;
        }
        let start = Instant::now();
        pool.for_each_chunk(&mut target, part, |i, to| to.copy_from_slice(&source[i * part..][..to.len()]));
        std::hint::black_box(&mut target);
        best = best.min(start.elapsed().as_secs_f64());
    }
    (2 * 4 * numbers) as f64 / best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_as_fast_as_memory_is() {
        let bandwidth = bandwidth(&ThreadPool::new(1));
        assert!((1e8..1e13).contains(&bandwidth), "{bandwidth:e}");
    }
}
