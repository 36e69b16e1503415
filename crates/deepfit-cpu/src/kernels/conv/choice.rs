//! Which algorithm computes a convolution: chosen by its shape, never by a timing.

use super::winograd::{TileSize, suits};
use super::Conv2dShape;
use crate::kernels::Compute;

/// Which algorithms a program's convolutions may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Algorithms {
    /// Products of patches and weights alone, rounded as sums are.
    Exact,
    /// Tiles of 2 x 2 for outputs, whose rounding decides on which side of a corner an activation lands, and of 4 x 4 for
    /// gradients.
    #[default]
    Training,
    /// Tiles of 4 x 4.
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

/// The size of tiles, or `None` for a product of patches.
///
/// What is chosen for a shape is chosen for every larger image and number of images as well, so that a plan made for the
/// largest has enough scratch memory for all.
pub(super) fn tile_size(cx: &Compute, pass: Pass, s: &Conv2dShape) -> Option<TileSize> {
    if !suits(s) {
        return None;
    }
    let size = match (cx.convolution, pass) {
        (Algorithms::Exact, _) => return None,
        (Algorithms::Always(size), _) => return Some(size),
        (Algorithms::Training, Pass::Forward) => TileSize::Two,
        (Algorithms::Training | Algorithms::Inference, _) => TileSize::Four,
    };
    let few_channels = s.c < 16 || s.o < 16;
    let small = s.out_h().min(s.out_w()) < 6;
    if few_channels || small { None } else { Some(size) }
}
