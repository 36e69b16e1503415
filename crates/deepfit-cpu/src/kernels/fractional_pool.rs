//! Maximum pooling of images `[n, h, w, c]` over windows that lie at distances of their own in each channel. Exact.

use super::Compute;
use crate::pool::SharedMut;

/// Sizes of a pooling.
#[derive(Debug, Clone, Copy)]
pub struct FractionalPool {
    /// Images, height, width, channels.
    pub image: [usize; 4],
    /// Height and width of the output.
    pub output: [usize; 2],
    /// Height and width of a window.
    pub size: [usize; 2],
    /// Where a window begins: of a sample, the window's number, the length of the axis, the number of windows, their size.
    pub start: fn(f32, usize, usize, usize, usize) -> usize,
}

/// Largest number of each window into `y` `[n, out_h, out_w, c]`, and which pixel it came from (`row * w + column`) into
/// `winner`, the first of equal ones. A NaN wins, the last one of several, as in PyTorch. `samples` `[n, c, 2]` are those
/// of the columns and of the rows.
///
/// # Panics
/// If a slice has another length than the shape says, or a window reaches out of the image.
pub fn max_pool(cx: &Compute, p: &FractionalPool, x: &[f32], samples: &[f32], y: &mut [f32], winner: &mut [i32]) {
    let ([n, h, w, c], [oh, ow], [kh, kw]) = (p.image, p.output, p.size);
    assert!(x.len() == n * h * w * c && samples.len() == n * c * 2, "fractional max_pool: inputs do not match {p:?}");
    assert!(y.len() == n * oh * ow * c && winner.len() == y.len(), "fractional max_pool: outputs do not match {p:?}");
    let line = ow * c;
    let (y, winner) = (SharedMut::new(y), SharedMut::new(winner));
    cx.pool.run(n * oh, &|task, _| {
        // SAFETY: each task writes its own line.
        let (y, winner) = unsafe { (y.slice(task * line, line), winner.slice(task * line, line)) };
        let (example, oy) = (task / oh, task % oh);
        let image = &x[example * h * w * c..][..h * w * c];
        for channel in 0..c {
            let [across, down] = [0, 1].map(|which| samples[(example * c + channel) * 2 + which]);
            let top = (p.start)(down, oy, h, oh, kh);
            for ox in 0..ow {
                let left = (p.start)(across, ox, w, ow, kw);
                let (mut best, mut from) = (f32::NEG_INFINITY, top * w + left);
                for row in top..top + kh {
                    for column in left..left + kw {
                        let value = image[(row * w + column) * c + channel];
                        if value > best || value.is_nan() {
                            (best, from) = (value, row * w + column);
                        }
                    }
                }
                (y[ox * c + channel], winner[ox * c + channel]) = (best, from as i32);
            }
        }
    });
}
