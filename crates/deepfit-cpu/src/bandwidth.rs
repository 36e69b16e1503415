//! How many bytes a second the memory moves at most: the measure for operations that compute little.

use crate::peak::shortest;
use crate::pool::ThreadPool;

/// Bytes a second of copying `bytes` from one array to another, read and written ones both counted, on all threads of the
/// pool at once: the best of at least five runs, and of as many as begin in so many `seconds`. What is to be measured is
/// the memory if the arrays are larger than the caches.
pub fn bandwidth(pool: &ThreadPool, bytes: usize, seconds: f64) -> f64 {
    let numbers = (bytes / 4).max(1);
    let source = vec![1.0f32; numbers];
    let mut target = vec![2.0f32; numbers];
    let part = numbers.div_ceil(pool.threads());
    let best = shortest(5, seconds, || {
        pool.for_each_chunk(&mut target, part, |i, to| to.copy_from_slice(&source[i * part..][..to.len()]));
        std::hint::black_box(&mut target);
    });
    (2 * 4 * numbers) as f64 / best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_as_fast_as_memory_is() {
        let bandwidth = bandwidth(&ThreadPool::new(1), 16 << 20, 0.1);
        assert!((1e8..1e13).contains(&bandwidth), "{bandwidth:e}");
    }
}
