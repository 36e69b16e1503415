//! Speed of matrix product, convolution and attention next to the processor's measured peak.
//!
//! `cargo run --release -p deepfit-cpu --example kernel_bench [threads] [products|convolutions|tiles|attention] [f32|bf16]`
//! for all instruction sets, or the one that `DEEPFIT_ISA` names, and for all that multiply in bf16, whose products and
//! convolutions are held against the peak of f32.
//!
//! `tiles` compares the algorithms of a convolution of three by three taps: time, and error against f64.

use std::time::Instant;

use deepfit_cpu::kernels::attention::*;
use deepfit_cpu::kernels::conv::*;
use deepfit_cpu::kernels::gemm::bf16::Unit;
use deepfit_cpu::kernels::gemm::{Gemm, Matrix};
use deepfit_cpu::kernels::{Caches, Compute, Products};
use deepfit_cpu::pool::{SharedMut, ThreadPool};
use deepfit_cpu::simd::Isa;

/// The shortest of several runs, in seconds.
fn best(mut run: impl FnMut()) -> f64 {
    run();
    let start = Instant::now();
    let mut best = f64::INFINITY;
    let mut rounds = 0;
    while rounds < 3 || (start.elapsed().as_secs_f64() < 0.25 && rounds < 1000) {
        let start = Instant::now();
        run();
        best = best.min(start.elapsed().as_secs_f64());
        rounds += 1;
    }
    best
}

fn main() {
    let threads = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(1);
    let (section, precision) = (std::env::args().nth(2), std::env::args().nth(3));
    let wanted = |name: &str| section.as_ref().is_none_or(|section| section == name);
    let pool = ThreadPool::new(threads);
    let forced = std::env::var_os("DEEPFIT_ISA").map(|_| Isa::detect().expect("an instruction set of this processor"));
    let in_f32 = precision.as_ref().is_none_or(|name| name == "f32");
    let isas = Isa::available().iter().filter(|&&isa| in_f32 && forced.is_none_or(|forced| forced == isa));
    let (caches, convolution) = (Caches::detect(), Algorithms::default());
    for &isa in isas {
        let cx = Compute { pool: &pool, isa, caches, convolution, products: Products::F32 };
        let peak = deepfit_cpu::peak(isa, &pool) / 1e9;
        println!("{isa}, {threads} threads: multiply-add peak {peak:.1} GFLOP/s");
        if wanted("products") {
            products(&cx, peak);
        }
        if wanted("convolutions") {
            convolutions(&cx, peak);
        }
        if wanted("tiles") {
            tiles(&cx, peak);
        }
        if wanted("attention") {
            attentions(&cx, peak);
        }
    }
    if precision.is_none_or(|name| name == "bf16") {
        for &unit in Unit::available().iter().filter(|&&unit| unit != Unit::PLAIN) {
            let cx = Compute { pool: &pool, isa: Isa::Avx512, caches, convolution, products: Products::Bf16(unit) };
            let peak = deepfit_cpu::peak(Isa::Avx512, &pool) / 1e9;
            println!("{}, {threads} threads: multiply-add peak of f32 {peak:.1} GFLOP/s", unit.name());
            if wanted("products") {
                products(&cx, peak);
            }
            if wanted("convolutions") {
                convolutions(&cx, peak);
            }
        }
    }
}

fn products(cx: &Compute, peak: f64) {
    for (m, n, k, how) in [
        (64, 64, 64, "nn"),
        (256, 256, 256, "nn"),
        (512, 512, 512, "nn"),
        (512, 512, 512, "nt"),
        (512, 512, 512, "tn"),
        (1024, 1024, 1024, "nn"),
        (2048, 2048, 2048, "nn"),
        (100_352, 64, 64, "nn"),
        (64, 576, 25_088, "tn"),
        (32, 32, 50_000, "tn"),
        (1, 1024, 1024, "nn"),
        (1, 1024, 1024, "nt"),
        (8, 1024, 1024, "nt"),
        (64, 1024, 1024, "nt"),
        // Forward pass and gradients of the layers of a transformer of width 384.
        (2048, 384, 384, "nt"),
        (2048, 384, 384, "nn"),
        (384, 384, 2048, "tn"),
        (2048, 1536, 384, "nt"),
        (2048, 384, 1536, "nn"),
        (1536, 384, 2048, "tn"),
        (2048, 384, 1536, "nt"),
        (2048, 1536, 384, "nn"),
        (384, 1536, 2048, "tn"),
    ] {
        let (a, b) = (vec![0.5f32; m * k], vec![0.25f32; k * n]);
        let mut c = vec![0.0f32; m * n];
        let left = if how.starts_with('t') { Matrix::new(&a, 1, m) } else { Matrix::new(&a, k, 1) };
        let right = if how.ends_with('t') { Matrix::new(&b, 1, k) } else { Matrix::new(&b, n, 1) };
        let gemm = Gemm::new(m, n, k);
        let mut scratch = vec![0.0f32; gemm.scratch(cx)];
        let seconds = best(|| gemm.run(cx, &left, &right, &mut c, n, &mut scratch));
        let speed = 2.0 * (m * n * k) as f64 / seconds / 1e9;
        println!(
            "  product {how} {m:>6} x {n:>4} x {k:>5}: {speed:7.1} GFLOP/s, {:3.0} % of peak",
            100.0 * speed / peak
        );
    }
}

fn convolutions(cx: &Compute, peak: f64) {
    for (n, size, c, o, kernel, stride, groups) in [
        (64, 8, 1, 32, 3, 1, 1),
        (64, 8, 32, 64, 3, 1, 1),
        (32, 28, 16, 16, 3, 1, 1),
        (8, 224, 3, 64, 7, 2, 1),
        (8, 56, 64, 64, 3, 1, 1),
        (8, 56, 64, 256, 1, 1, 1),
        (8, 28, 128, 128, 3, 1, 1),
        (8, 28, 128, 256, 3, 2, 1),
        (8, 14, 256, 256, 3, 1, 1),
        (8, 7, 512, 512, 3, 1, 1),
        (8, 56, 128, 128, 3, 1, 128),
    ] {
        let s = Conv2dShape {
            n,
            h: size,
            w: size,
            c,
            o,
            kh: kernel,
            kw: kernel,
            stride: [stride; 2],
            padding: [kernel / 2; 4],
            dilation: [1, 1],
            groups,
        };
        let (sx, sw, sy) = s.sizes();
        let (mut x, mut w, mut y) = (vec![0.5; sx], vec![0.25; sw], vec![0.0; sy]);
        let need = conv2d_scratch(cx, &s)
            .max(conv2d_input_gradient_scratch(cx, &s))
            .max(conv2d_weight_gradient_scratch(cx, &s));
        let mut scratch = vec![0.0; need];
        let work = 2.0 * (sy * kernel * kernel * c / groups) as f64 / 1e9;
        let forward = work / best(|| conv2d(cx, &s, &x, w[..].into(), &mut y, None, &mut scratch));
        let input = work / best(|| conv2d_input_gradient(cx, &s, &y, &w, &mut x, &mut scratch));
        let weight = work / best(|| conv2d_weight_gradient(cx, &s, &x, &y, &mut w, &mut scratch));
        println!(
            "  convolution {n:>2} x {size:>3}^2 x {c:>3} -> {o:>3}, {kernel}^2 / {stride}, {groups:>3} groups: forward \
             {forward:6.1}, input gradient {input:6.1}, weight gradient {weight:6.1} GFLOP/s ({:.0}, {:.0}, {:.0} % of peak)",
            100.0 * forward / peak,
            100.0 * input / peak,
            100.0 * weight / peak
        );
    }
}

/// Sizes of the convolutions of ResNet-18 on small and on large images, and of LeNet.
const TILED: [(usize, usize, usize, usize); 17] = [
    (8, 32, 64, 64),
    (32, 32, 64, 64),
    (8, 16, 128, 128),
    (32, 16, 128, 128),
    (8, 8, 256, 256),
    (32, 8, 256, 256),
    (32, 4, 512, 512),
    (128, 4, 512, 512),
    (8, 56, 64, 64),
    (8, 28, 128, 128),
    (8, 14, 256, 256),
    (32, 14, 256, 256),
    (8, 7, 512, 512),
    (32, 7, 512, 512),
    (64, 28, 32, 64),
    (32, 28, 16, 16),
    (1, 56, 64, 64),
];

fn tiles(cx: &Compute, peak: f64) {
    let with = |convolution, products| Compute { convolution, products, ..*cx };
    let always = |size| with(Algorithms::Always(size), Products::F32);
    let mut ways = vec![with(Algorithms::Exact, Products::F32), always(TileSize::Two), always(TileSize::Four)];
    let mut names = vec!["patches", "tiles of 2", "tiles of 4"];
    if cx.isa == Isa::Avx512 {
        for &unit in Unit::available().iter().filter(|&&unit| unit != Unit::PLAIN) {
            ways.push(with(Algorithms::Exact, Products::Bf16(unit)));
            names.push(unit.name());
        }
    }
    println!("  convolution, pass: ms of {} (% of peak); relative error of each", names.join(", "));
    for (n, size, c, o) in TILED {
        let s = |n| Conv2dShape {
            n,
            h: size,
            w: size,
            c,
            o,
            kh: 3,
            kw: 3,
            stride: [1; 2],
            padding: [1; 4],
            dilation: [1; 2],
            groups: 1,
        };
        let work = 18.0 * (n * size * size * c * o) as f64 / 1e9;
        for (pass, name) in ["forward", "input", "weights"].into_iter().enumerate() {
            let mut problem = Problem3x3::new(s(n), pass);
            let mut seconds = vec![f64::INFINITY; ways.len()];
            let start = Instant::now();
            let mut rounds = 0;
            while rounds < 4 || (start.elapsed().as_secs_f64() < 0.4 && rounds < 300) {
                for (seconds, way) in seconds.iter_mut().zip(&ways) {
                    let start = Instant::now();
                    problem.run(way);
                    *seconds = seconds.min(start.elapsed().as_secs_f64());
                }
                rounds += 1;
            }
            let mut small = Problem3x3::new(s(n.min(2)), pass);
            let expected = small.reference();
            let error = |way: &Compute| {
                small.run(way);
                let off: f64 = small.result.iter().zip(&expected).map(|(&x, y)| (f64::from(x) - y).powi(2)).sum();
                format!("{:.0e}", (off / expected.iter().map(|y| y * y).sum::<f64>()).sqrt())
            };
            let errors: Vec<String> = ways.iter().map(error).collect();
            let share = |t: &f64| format!("{:8.3} ({:3.0} %)", 1e3 * t, 100.0 * work / t / peak);
            let told: Vec<String> = seconds.iter().map(share).collect();
            println!("  {n:>3} x {size:>2}^2 x {c:>3} -> {o:>3} {name:<8} {}   {}", told.join(" "), errors.join(" "));
        }
    }
}

/// One pass of a convolution of three by three taps on random numbers.
struct Problem3x3 {
    shape: Conv2dShape,
    pass: usize,
    /// The two operands.
    left: Vec<f32>,
    right: Vec<f32>,
    result: Vec<f32>,
    scratch: Vec<f32>,
}

impl Problem3x3 {
    fn new(shape: Conv2dShape, pass: usize) -> Problem3x3 {
        let mut state = 1u64;
        let mut numbers = |count: usize| -> Vec<f32> {
            let mut next = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 40) as f32 / (1 << 23) as f32 - 1.0
            };
            (0..count).map(|_| next()).collect()
        };
        let (x, w, y) = shape.sizes();
        let (left, right, result) = [(x, w, y), (y, w, x), (x, y, w)][pass];
        let (left, right) = (numbers(left), numbers(right));
        Problem3x3 { shape, pass, left, right, result: vec![0.0; result], scratch: Vec::new() }
    }

    fn run(&mut self, cx: &Compute) {
        let (s, left, right, result) = (&self.shape, &self.left, &self.right, &mut self.result);
        let need = [conv2d_scratch, conv2d_input_gradient_scratch, conv2d_weight_gradient_scratch][self.pass](cx, s);
        self.scratch.resize(need.max(self.scratch.len()), 0.0);
        match self.pass {
            0 => conv2d(cx, s, left, right[..].into(), result, None, &mut self.scratch),
            1 => conv2d_input_gradient(cx, s, left, right, result, &mut self.scratch),
            _ => conv2d_weight_gradient(cx, s, left, right, result, &mut self.scratch),
        }
    }

    /// The result in f64.
    fn reference(&self) -> Vec<f64> {
        let s = &self.shape;
        let mut result = vec![0.0; self.result.len()];
        for (pixel, at) in (0..s.n * s.h * s.w).map(|p| (p, [p / s.w / s.h, p / s.w % s.h, p % s.w])) {
            for tap in 0..9 {
                let (y, x) = (at[1] + tap / 3, at[2] + tap % 3);
                if y < 1 || x < 1 || y > s.h || x > s.w {
                    continue;
                }
                let seen = (at[0] * s.h + y - 1) * s.w + x - 1;
                for o in 0..s.o {
                    for c in 0..s.c {
                        let (x, w, y) = (seen * s.c + c, (o * s.c + c) * 9 + tap, pixel * s.o + o);
                        let (left, right, to) = [(x, w, y), (y, w, x), (x, y, w)][self.pass];
                        result[to] += f64::from(self.left[left]) * f64::from(self.right[right]);
                    }
                }
            }
        }
        result
    }
}

fn attentions(cx: &Compute, peak: f64) {
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
        let mut scratch = vec![0.0; attention_scratch(cx.pool.threads(), d, d)];
        let forward = 1e3 * best(|| attention(cx, &problem, &mut result, &mut log_sums, &mut scratch));
        let up: Vec<f32> = (0..result.len()).map(|i| (i * 53 % 103) as f32 / 103.0 - 0.5).collect();
        let mut gradient = vec![0.0; x.len()];
        let mut scratch = vec![0.0; attention_backward_scratch(cx.pool.threads(), d, d)];
        let backward = 1e3
            * best(|| {
                let target = SharedMut::new(&mut gradient);
                let targets =
                    Targets { query: (target, whole), key: (target, from(heads)), value: (target, from(2 * heads)) };
                let upstream = Upstream { result: &result, log_sums: &log_sums, up: &up };
                attention_backward(cx, &problem, upstream, targets, None, &mut scratch);
            });
        let seen = if causal { length * (length + 1) / 2 } else { length * length };
        // Two products forward, five backward.
        let work = |products: usize| (2 * products * batch * heads * seen * d) as f64 / 1e6;
        let share = |products: usize, ms: f64| 100.0 * work(products) / ms / peak;
        println!(
            "  attention {batch:>2} x {length:>4}, {heads:>2} heads of {d}{}: forward {forward:.2} ms, backward \
                 {backward:.2} ms, both {:.2} ms ({:.0}, {:.0}, {:.0} % of peak)",
            if causal { ", causal" } else { "" },
            forward + backward,
            share(2, forward),
            share(5, backward),
            share(7, forward + backward)
        );
    }
}
