//! Inputs, pools and comparisons that all kernel tests share.

use std::sync::OnceLock;

use deepfit_cpu::kernels::conv::Algorithms;
use deepfit_cpu::kernels::gemm::bf16::Unit;
use deepfit_cpu::kernels::{Caches, Compute, Products};
use deepfit_cpu::pool::ThreadPool;
use deepfit_cpu::simd::Isa;

/// Reproducible numbers in [-1, 1) (a linear congruential generator, high bits).
pub fn numbers(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
    (0..n)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
        .collect()
}

/// Pools of 1, 2 and 7 threads, started once.
pub fn pools() -> &'static [ThreadPool] {
    static POOLS: OnceLock<Vec<ThreadPool>> = OnceLock::new();
    POOLS.get_or_init(|| [1, 2, 7].map(ThreadPool::new).into())
}

pub fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|v| v.to_bits()).collect()
}

/// Runs `kernel` on each instruction set with 1, 2 and 7 threads, insists that the threads make no difference in
/// any bit, and hands each instruction set's result to `check`.
pub fn everywhere(kernel: impl Fn(&Compute) -> Vec<f32>, check: impl Fn(&str, &[f32])) {
    everywhere_as(Algorithms::default(), Caches::detect(), kernel, check);
}

/// As [`everywhere`], with these algorithms of convolutions and as if the caches were of these sizes.
pub fn everywhere_as(
    convolution: Algorithms,
    caches: Caches,
    kernel: impl Fn(&Compute) -> Vec<f32>,
    check: impl Fn(&str, &[f32]),
) {
    for &isa in Isa::available() {
        let products = Products::F32;
        let result = on_all_pools(isa.name(), |pool| kernel(&Compute { pool, isa, caches, convolution, products }));
        check(isa.name(), &result);
    }
}

/// As [`everywhere`], with products in bf16 by each part of this processor that can, and in plain Rust; convolutions are
/// products.
pub fn everywhere_in_bf16(caches: Caches, kernel: impl Fn(&Compute) -> Vec<f32>, check: impl Fn(&str, &[f32])) {
    for &unit in Unit::available() {
        let isa = *Isa::available().last().unwrap();
        let (convolution, products) = (Algorithms::Exact, Products::Bf16(unit));
        let result = on_all_pools(unit.name(), |pool| kernel(&Compute { pool, isa, caches, convolution, products }));
        check(unit.name(), &result);
    }
}

/// The result with one thread, which must be that with any number to the last bit.
fn on_all_pools(what: &str, kernel: impl Fn(&'static ThreadPool) -> Vec<f32>) -> Vec<f32> {
    let mut results: Vec<Vec<f32>> = pools().iter().map(kernel).collect();
    for (result, pool) in results.iter().zip(pools()) {
        let at = bits(result).iter().zip(bits(&results[0])).position(|(a, b)| *a != b);
        assert!(at.is_none(), "{what}: {} threads differ from one at element {at:?}", pool.threads());
    }
    results.swap_remove(0)
}

/// Insists that `got` is within `tolerance * (1 + |want|)` of `want` everywhere; NaN must meet NaN, and infinity
/// itself.
pub fn assert_close(what: &str, got: &[f32], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len(), "{what}: length");
    for (i, (&g, &w)) in got.iter().zip(want).enumerate() {
        let fine = match w {
            w if w.is_nan() => g.is_nan(),
            w if w.is_infinite() => g as f64 == w,
            w => (g as f64 - w).abs() <= tolerance * (1.0 + w.abs()),
        };
        assert!(fine, "{what}: element {i} is {g}, should be {w}");
    }
}
