//! Smooth convex functions minimised by limited-memory BFGS (Liu and Nocedal, 1989) with a backtracking line search.

use crate::error::Result;

/// Pairs of steps and changes of the gradient that are remembered.
const MEMORY: usize = 10;
/// A step must lower the value by this share of what the slope promises (Armijo, 1966).
const ENOUGH: f64 = 1e-4;

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Gives the value at a place, and writes the gradient there.
type Function<'a> = dyn FnMut(&[f64], &mut [f64]) -> Result<f64> + 'a;

/// Moves `x` to where `function` is smallest: until the largest part of the gradient is below
/// `tolerance`, nothing gets better, or after so many steps.
///
/// # Errors
/// Those of the function.
pub(crate) fn minimise(x: &mut Vec<f64>, tolerance: f64, most: usize, function: &mut Function<'_>) -> Result<()> {
    let mut gradient = vec![0.0; x.len()];
    let mut value = function(x, &mut gradient)?;
    let mut memory: Vec<(Vec<f64>, Vec<f64>)> = Vec::new();
    let (mut tried, mut tried_gradient) = (x.clone(), gradient.clone());
    for step in 0..most {
        if gradient.iter().all(|g| g.abs() < tolerance) {
            break;
        }
        let mut direction = two_loops(&gradient, &memory);
        let mut slope = dot(&direction, &gradient);
        if slope >= 0.0 {
            memory.clear();
            direction = gradient.iter().map(|g| -g).collect();
            slope = -dot(&gradient, &gradient);
        }
        // Without a memory, nothing says how long a step is.
        let mut length = if memory.is_empty() { 1.0 / dot(&gradient, &gradient).sqrt().max(1.0) } else { 1.0 };
        if step == 0 {
            length = length.min(1.0);
        }
        let found = loop {
            tried.iter_mut().zip(x.iter().zip(&direction)).for_each(|(t, (x, d))| *t = x + length * d);
            let new = function(&tried, &mut tried_gradient)?;
            if new <= value + ENOUGH * length * slope {
                break Some(new);
            }
            length *= 0.5;
            if length < 1e-12 {
                break None;
            }
        };
        let Some(new) = found else { break };
        let moved: Vec<f64> = tried.iter().zip(x.iter()).map(|(t, x)| t - x).collect();
        let changed: Vec<f64> = tried_gradient.iter().zip(&gradient).map(|(t, g)| t - g).collect();
        if dot(&moved, &changed) > 1e-12 * dot(&changed, &changed) {
            if memory.len() == MEMORY {
                memory.remove(0);
            }
            memory.push((moved, changed));
        }
        let better = value - new;
        value = new;
        std::mem::swap(x, &mut tried);
        std::mem::swap(&mut gradient, &mut tried_gradient);
        if better <= 1e-14 * value.abs().max(1e-14) {
            break;
        }
    }
    Ok(())
}

/// The direction that the remembered curvature makes of the gradient.
fn two_loops(gradient: &[f64], memory: &[(Vec<f64>, Vec<f64>)]) -> Vec<f64> {
    let mut q: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut shares = vec![0.0; memory.len()];
    for (share, (moved, changed)) in shares.iter_mut().zip(memory).rev() {
        *share = dot(moved, &q) / dot(moved, changed);
        q.iter_mut().zip(changed).for_each(|(q, c)| *q -= *share * c);
    }
    if let Some((moved, changed)) = memory.last() {
        let scale = dot(moved, changed) / dot(changed, changed);
        q.iter_mut().for_each(|q| *q *= scale);
    }
    for (share, (moved, changed)) in shares.iter().zip(memory) {
        let other = dot(changed, &q) / dot(moved, changed);
        q.iter_mut().zip(moved).for_each(|(q, m)| *q += (share - other) * m);
    }
    q
}

#[cfg(test)]
mod tests {
    use super::minimise;

    #[test]
    fn a_narrow_valley_is_followed_to_its_end() {
        // Rosenbrock's function, 1960.
        let mut x = vec![-1.2, 1.0];
        minimise(&mut x, 1e-9, 500, &mut |x, gradient| {
            let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
            gradient.copy_from_slice(&[-2.0 * a - 400.0 * x[0] * b, 200.0 * b]);
            Ok(a * a + 100.0 * b * b)
        })
        .unwrap();
        assert!((x[0] - 1.0).abs() < 1e-6 && (x[1] - 1.0).abs() < 1e-6, "{x:?}");
    }
}
