//! Kernels against plain loops in f64, on each instruction set, with 1, 2 and 7 threads.

mod bf16;
mod conv;
mod copy;
mod embedding;
mod gemm;
mod math;
mod norm;
mod optim;
mod pool;
mod pool2d;
mod random;
mod reduce;
mod simd;
mod softmax;
mod support;
mod winograd;
