//! Optimiser updates, in place and in one pass over parameter, gradient and state, equal to PyTorch's.
//!
//! Every update first looks whether all gradients are finite and writes nothing if not. Errors: a few roundings of each
//! operand.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::Compute;
use super::context::ELEMENTS_PER_TASK;
use crate::pool::SharedMut;
use crate::simd::Simd;

/// Whether no number is infinite or NaN.
pub fn all_finite(cx: &Compute, x: &[f32]) -> bool {
    let fine = AtomicBool::new(true);
    cx.pool.run(x.len().div_ceil(ELEMENTS_PER_TASK), &|task, _| {
        let part = &x[task * ELEMENTS_PER_TASK..x.len().min((task + 1) * ELEMENTS_PER_TASK)];
        if fine.load(Relaxed) && !finite_part(cx.isa, part) {
            fine.store(false, Relaxed);
        }
    });
    fine.into_inner()
}

#[inline(always)]
fn finite_body<S: Simd>(s: S, x: &[f32]) -> bool {
    let mut bad = s.lt(s.zero(), s.zero());
    let mut i = 0;
    while i < x.len() {
        let fine = s.le(s.abs(s.load_at(x, i)), s.splat(f32::MAX));
        bad = s.mask_or(bad, s.mask_not(fine));
        i += S::LANES;
    }
    !s.any(bad)
}
crate::simd_kernel! {
    fn finite_part(x: &[f32]) -> bool = finite_body;
}

/// Settings of stochastic gradient descent (PyTorch's `SGD`, dampening 0), in f64 as PyTorch keeps them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sgd {
    /// Factor of the step.
    pub learning_rate: f64,
    /// 0: none, and the buffer may be empty.
    pub momentum: f64,
    /// Whether the step looks ahead by the momentum (Nesterov's).
    pub nesterov: bool,
    /// L2: added to the gradient as `weight_decay * parameter`.
    pub weight_decay: f64,
}

/// One step of stochastic gradient descent. `buffer` holds the momentum, zeros before the first step, and may be empty
/// if there is none. Returns false, with nothing written, if a gradient is infinite or NaN.
pub fn sgd(cx: &Compute, settings: &Sgd, parameter: &mut [f32], gradient: &[f32], buffer: &mut [f32]) -> bool {
    let n = parameter.len();
    let with_buffer = settings.momentum != 0.0;
    assert!(gradient.len() == n && (buffer.len() == n || !with_buffer), "sgd: operands of different lengths");
    if !all_finite(cx, gradient) {
        return false;
    }
    let (parameter, buffer) = (SharedMut::new(parameter), SharedMut::new(buffer));
    cx.pool.run(n.div_ceil(ELEMENTS_PER_TASK), &|task, _| {
        let first = task * ELEMENTS_PER_TASK;
        let len = ELEMENTS_PER_TASK.min(n - first);
        // SAFETY: tasks have different elements.
        let (p, b) =
            unsafe { (parameter.slice(first, len), if with_buffer { buffer.slice(first, len) } else { &mut [] }) };
        sgd_part(cx.isa, settings, p, &gradient[first..][..len], b);
    });
    true
}

#[inline(always)]
fn sgd_body<S: Simd>(s: S, settings: &Sgd, parameter: &mut [f32], gradient: &[f32], buffer: &mut [f32]) {
    let momentum = s.splat(settings.momentum as f32);
    let mut i = 0;
    while i < parameter.len() {
        let p = s.load_at(parameter, i);
        let mut g = s.load_at(gradient, i);
        if settings.weight_decay != 0.0 {
            g = s.mul_add(s.splat(settings.weight_decay as f32), p, g);
        }
        if settings.momentum != 0.0 {
            let b = s.mul_add(momentum, s.load_at(buffer, i), g);
            s.store_at(buffer, i, b);
            g = if settings.nesterov { s.mul_add(momentum, b, g) } else { b };
        }
        s.store_at(parameter, i, s.mul_add(s.splat(-settings.learning_rate as f32), g, p));
        i += S::LANES;
    }
}
crate::simd_kernel! {
    fn sgd_part(settings: &Sgd, parameter: &mut [f32], gradient: &[f32], buffer: &mut [f32]) = sgd_body;
}

/// Settings of Adam and AdamW as in PyTorch, in f64: `1 - 0.999` loses four digits in f32.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adam {
    /// Factor of the step.
    pub learning_rate: f64,
    /// What is kept of the mean of gradients in a step, in 0..1.
    pub beta1: f64,
    /// What is kept of the mean of their squares in a step, in 0..1.
    pub beta2: f64,
    /// Is added to the root of the second mean, so that nothing is divided by 0.
    pub eps: f64,
    /// How much parameters shrink: see `decoupled`.
    pub weight_decay: f64,
    /// True: AdamW, the parameter shrinks by `learning_rate * weight_decay`. False: Adam, L2 added to the gradient.
    pub decoupled: bool,
}

/// One step of Adam or AdamW; `step` counts from 1. `first` and `second` are the moments, zeros before the first step.
/// Returns false, with nothing written, if a gradient is infinite or NaN.
pub fn adam(
    cx: &Compute,
    settings: &Adam,
    step: i32,
    parameter: &mut [f32],
    gradient: &[f32],
    first: &mut [f32],
    second: &mut [f32],
) -> bool {
    let n = parameter.len();
    assert!(gradient.len() == n && first.len() == n && second.len() == n, "adam: operands of different lengths");
    if !all_finite(cx, gradient) {
        return false;
    }
    let correction = |beta: f64| 1.0 - beta.powi(step.max(1));
    let rates = Rates {
        step_size: (settings.learning_rate / correction(settings.beta1)) as f32,
        inverse_root: (1.0 / correction(settings.beta2).sqrt()) as f32,
        keep: (1.0 - settings.learning_rate * settings.weight_decay) as f32,
    };
    let (parameter, first, second) = (SharedMut::new(parameter), SharedMut::new(first), SharedMut::new(second));
    cx.pool.run(n.div_ceil(ELEMENTS_PER_TASK), &|task, _| {
        let start = task * ELEMENTS_PER_TASK;
        let len = ELEMENTS_PER_TASK.min(n - start);
        // SAFETY: tasks have different elements.
        let (p, m, v) = unsafe { (parameter.slice(start, len), first.slice(start, len), second.slice(start, len)) };
        adam_part(cx.isa, settings, rates, p, &gradient[start..][..len], m, v);
    });
    true
}

/// What depends on the step alone.
#[derive(Clone, Copy)]
struct Rates {
    step_size: f32,
    inverse_root: f32,
    keep: f32,
}

#[inline(always)]
fn adam_body<S: Simd>(
    s: S,
    settings: &Adam,
    rates: Rates,
    parameter: &mut [f32],
    gradient: &[f32],
    first: &mut [f32],
    second: &mut [f32],
) {
    let (rest1, rest2) = (s.splat((1.0 - settings.beta1) as f32), s.splat((1.0 - settings.beta2) as f32));
    let mut i = 0;
    while i < parameter.len() {
        let mut p = s.load_at(parameter, i);
        let mut g = s.load_at(gradient, i);
        if settings.decoupled {
            p = s.mul(p, s.splat(rates.keep));
        } else if settings.weight_decay != 0.0 {
            g = s.mul_add(s.splat(settings.weight_decay as f32), p, g);
        }
        let m = s.load_at(first, i);
        let m = s.mul_add(rest1, s.sub(g, m), m);
        let v = s.mul_add(s.mul(rest2, g), g, s.mul(s.splat(settings.beta2 as f32), s.load_at(second, i)));
        s.store_at(first, i, m);
        s.store_at(second, i, v);
        let denominator = s.mul_add(s.sqrt(v), s.splat(rates.inverse_root), s.splat(settings.eps as f32));
        let p = s.mul_add(s.splat(-rates.step_size), s.div(m, denominator), p);
        s.store_at(parameter, i, p);
        i += S::LANES;
    }
}
crate::simd_kernel! {
    fn adam_part(
        settings: &Adam, rates: Rates, parameter: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32],
    ) = adam_body;
}
