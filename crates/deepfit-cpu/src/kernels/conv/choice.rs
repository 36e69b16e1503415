//! Which algorithm computes a convolution: chosen by its shape, never by a timing.

use super::Conv2dShape;
use super::winograd::{TileSize, suits};
use crate::kernels::{Compute, Products};

/// Which algorithms a program's convolutions may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Algorithms {
    /// Products of patches and weights alone, rounded as sums are.
    Exact,
    /// Tiles of 2 x 2 for outputs, whose rounding decides on which side of a corner an activation lands, and of 4 x 4 for
    /// gradients if there are many.
    #[default]
    Training,
    /// Tiles of 4 x 4 if an image has many, else of 2 x 2.
    Inference,
    /// Tiles of one size for every convolution that they suit, however slow: to test and to measure.
    Always(TileSize),
}

/// What is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    Forward,
    InputGradient,
    WeightGradient,
}

/// Fewer channels than this leave most of a vector empty.
const FEWEST_CHANNELS: usize = 8;

/// Smaller images leave most of a tile empty.
const SMALLEST_IMAGE: usize = 4;

/// Tiles of 4 x 4 in one image from which on they are worth transforming filters to 36 points instead of 16. What becomes
/// of an image in use is decided by the image alone, not by how many others go with it.
const MANY_OF_IMAGE: usize = 12;

/// The same in all images together, for the gradient of the input.
const MANY: usize = 192;

/// Tiles of 4 x 4 in all images from which on they are worth transforming sums at 36 points back instead of 16.
const MANY_FOR_SUMS: usize = 48;

/// The size of tiles, or `None` for a product of patches.
pub(super) fn tile_size(cx: &Compute, pass: Pass, s: &Conv2dShape) -> Option<TileSize> {
    if !suits(s) {
        return None;
    }
    let fastest = || {
        // The gradient of the input has tiles of the input's size.
        let (h, w) = if pass == Pass::InputGradient { (s.h, s.w) } else { (s.out_h(), s.out_w()) };
        let of_image = h.div_ceil(TileSize::Four.outputs()) * w.div_ceil(TileSize::Four.outputs());
        let many = match pass {
            Pass::Forward => of_image >= MANY_OF_IMAGE,
            Pass::InputGradient => s.n * of_image >= MANY,
            Pass::WeightGradient => s.n * of_image >= MANY_FOR_SUMS,
        };
        let fits = s.c.min(s.o) >= FEWEST_CHANNELS && h.min(w) >= SMALLEST_IMAGE;
        fits.then_some(if many { TileSize::Four } else { TileSize::Two })
    };
    match (cx.convolution, pass) {
        (Algorithms::Exact, _) => None,
        (Algorithms::Always(size), _) => Some(size),
        _ if in_bf16(cx, pass, s) => None,
        (Algorithms::Training, Pass::Forward) => fastest().map(|_| TileSize::Two),
        (Algorithms::Training | Algorithms::Inference, _) => fastest(),
    }
}

/// Channels from which on all products in bf16 take less time than the fewer ones of tiles, which are in f32: of 2 x 2 in the
/// forward pass of training, and where sums over pixels make up for transforming them; and of 4 x 4.
const CHANNELS_IN_BF16: usize = 64;
const MANY_CHANNELS_IN_BF16: usize = 128;

/// Whether products in bf16 are faster than tiles in f32: those by vectors, twice as fast as in f32 at best, are not.
fn in_bf16(cx: &Compute, pass: Pass, s: &Conv2dShape) -> bool {
    let Products::Bf16(unit) = cx.products else { return false };
    let least = match (cx.convolution, pass) {
        (Algorithms::Training, Pass::Forward) | (_, Pass::WeightGradient) => CHANNELS_IN_BF16,
        _ => MANY_CHANNELS_IN_BF16,
    };
    unit.multiplies_tiles() && s.c.min(s.o) >= least
}
