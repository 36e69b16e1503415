//! Speed of attention, forward and backward, next to the processor's peak as `kernel_bench` measures it.
//!
//! `cargo run --release -p deepfit-cpu --example attention_bench [threads]`

use std::time::Instant;

use deepfit_cpu::kernels::attention::*;
use deepfit_cpu::kernels::{Caches, Compute};
use deepfit_cpu::pool::{SharedMut, ThreadPool};
use deepfit_cpu::simd::Isa;

/// Median of several runs, in milliseconds.
fn median(mut run: impl FnMut()) -> f64 {
    run();
    let mut times: Vec<f64> = (0..41)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() {
    let threads = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(1);
    let pool = ThreadPool::new(threads);
    for &isa in Isa::available() {
        let cx = Compute { pool: &pool, isa, caches: Caches::detect() };
        for (batch, length, heads, d, causal) in
            [(16, 128, 12, 32, false), (8, 256, 8, 32, true), (8, 256, 8, 64, false), (1, 2048, 8, 64, true)]
        {
            let all = 3 * heads;
            let x: Vec<f32> = (0..batch * length * all * d).map(|i| (i * 37 % 101) as f32 / 101.0 - 0.5).collect();
            let whole = Layout::contiguous(length, all, d);
            let from = |head: usize| Layout { start: head * d, ..whole };
            let problem = Problem {
                batch,
                queries: length,
                keys: length,
                heads,
                kv_heads: heads,
                d,
                e: d,
                scale: 1.0 / (d as f32).sqrt(),
                causal,
                query: (&x, whole),
                key: (&x, from(heads)),
                value: (&x, from(2 * heads)),
                bias: None,
                masks: [None; MAX_MASKS],
                lengths: None,
                dropout: None,
            };
            let mut result = vec![0.0; batch * length * heads * d];
            let mut log_sums = vec![0.0; batch * heads * length];
            let mut scratch = vec![0.0; attention_scratch(threads, d)];
            let forward = median(|| attention(&cx, &problem, &mut result, &mut log_sums, &mut scratch));
            let up: Vec<f32> = (0..result.len()).map(|i| (i * 53 % 103) as f32 / 103.0 - 0.5).collect();
            let mut gradient = vec![0.0; x.len()];
            let mut scratch = vec![0.0; attention_backward_scratch(threads, d, d)];
            let backward = median(|| {
                let target = SharedMut::new(&mut gradient);
                let targets =
                    Targets { query: (target, whole), key: (target, from(heads)), value: (target, from(2 * heads)) };
                let upstream = Upstream { result: &result, log_sums: &log_sums, up: &up };
                attention_backward(&cx, &problem, upstream, targets, None, &mut scratch);
            });
            let seen = if causal { length * (length + 1) / 2 } else { length * length };
            // Two products forward, five backward.
            let work = |products: usize| (2 * products * batch * heads * seen * d) as f64 / 1e6;
            println!(
                "{isa}, {threads} threads, {batch} x {length}, {heads} heads of {d}{}: forward {forward:.3} ms \
                 ({:.1} GFLOP/s), backward {backward:.3} ms ({:.1} GFLOP/s), both {:.3} ms",
                if causal { ", causal" } else { "" },
                work(2) / forward,
                work(5) / backward,
                forward + backward
            );
        }
    }
}
