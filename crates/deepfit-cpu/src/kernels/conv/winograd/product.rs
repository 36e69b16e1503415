//! The innermost loops: for one point, tiles by filters, and the sum over tiles of gradients by inputs.

use crate::kernels::gemm::prefetch_row;
use crate::simd::{Isa, Simd};

/// Vectors in a panel of filters.
pub(super) fn panel_vectors(isa: Isa) -> usize {
    match isa {
        Isa::Portable => 1,
        Isa::Avx2 | Isa::Avx512 => 2,
    }
}

/// Tiles that are multiplied together.
pub(super) fn tiles_together(isa: Isa) -> usize {
    match isa {
        Isa::Portable => 4,
        Isa::Avx2 => 6,
        Isa::Avx512 => 12,
    }
}

/// Channels of the gradient that are multiplied together.
fn channels_together(isa: Isa) -> usize {
    match isa {
        Isa::Portable | Isa::Avx2 => 4,
        Isa::Avx512 => 8,
    }
}

/// One point of some tiles times one panel of filters.
#[derive(Clone, Copy)]
pub(super) struct ByFilters {
    /// Channel `c` of tile `t` at `c / LANES * block_stride + t * LANES + c % LANES`.
    pub inputs: *const f32,
    pub block_stride: usize,
    pub channels: usize,
    /// A row of `vectors` vectors for each channel.
    pub filters: *const f32,
    pub vectors: usize,
    /// A row of `vectors` vectors for each tile, `sum_stride` apart.
    pub sums: *mut f32,
    pub sum_stride: usize,
    pub tiles: usize,
}

/// # Safety
/// As [`by_filters`], for `T` tiles and `NV` vectors.
#[inline(always)]
unsafe fn tiles_by_panel<S: Simd, const T: usize, const NV: usize>(s: S, p: &ByFilters, first_tile: usize) {
    let mut sums = [[s.zero(); NV]; T];
    // SAFETY: reads the channels of T tiles and as many rows of the panel, and writes T rows of sums, all of which the
    // caller promised.
    unsafe {
        let (mut block, mut filters) = (p.inputs.add(first_tile * S::LANES), p.filters);
        let mut left = p.channels;
        while left > 0 {
            let n = left.min(S::LANES);
            for lane in 0..n {
                let mut row = [s.zero(); NV];
                prefetch_row::<S, NV>(filters, NV * S::LANES);
                for j in 0..NV {
                    row[j] = s.load(filters.add(j * S::LANES));
                }
                for i in 0..T {
                    let x = s.splat(*block.add(i * S::LANES + lane));
                    for j in 0..NV {
                        sums[i][j] = s.mul_add(x, row[j], sums[i][j]);
                    }
                }
                filters = filters.add(NV * S::LANES);
            }
            left -= n;
            block = block.wrapping_add(p.block_stride);
        }
        for i in 0..T {
            for j in 0..NV {
                s.store(p.sums.add((first_tile + i) * p.sum_stride + j * S::LANES), sums[i][j]);
            }
        }
    }
}

/// # Safety
/// As [`by_filters`].
#[inline(always)]
unsafe fn tiles_by_vectors<S: Simd, const NV: usize>(s: S, together: usize, p: &ByFilters) {
    let mut t = 0;
    while t < p.tiles {
        let left = (p.tiles - t).min(together);
        // SAFETY: the tiles from t on that exist.
        t += unsafe {
            match left {
                12.. if S::LANES == 16 => {
                    tiles_by_panel::<S, 12, NV>(s, p, t);
                    12
                }
                8.. if S::LANES == 16 => {
                    tiles_by_panel::<S, 8, NV>(s, p, t);
                    8
                }
                6.. if S::LANES == 8 => {
                    tiles_by_panel::<S, 6, NV>(s, p, t);
                    6
                }
                4.. => {
                    tiles_by_panel::<S, 4, NV>(s, p, t);
                    4
                }
                2.. => {
                    tiles_by_panel::<S, 2, NV>(s, p, t);
                    2
                }
                _ => {
                    tiles_by_panel::<S, 1, NV>(s, p, t);
                    1
                }
            }
        };
    }
}

#[inline(always)]
fn by_filters_body<S: Simd>(s: S, together: usize, p: &ByFilters) {
    // SAFETY: `by_filters` is the only caller, and its caller makes the promise.
    unsafe {
        match p.vectors {
            1 => tiles_by_vectors::<S, 1>(s, together, p),
            2 => tiles_by_vectors::<S, 2>(s, together, p),
            n => unreachable!("no panel of {n} vectors"),
        }
    }
}
crate::simd_kernel! {
    fn dispatched_by_filters(together: usize, p: &ByFilters) = by_filters_body;
}

/// Multiplies tiles by a panel of filters.
///
/// # Safety
/// All operands must be as long as [`ByFilters`] says, and the rows of sums used by nobody else.
pub(super) unsafe fn by_filters(isa: Isa, p: &ByFilters) {
    dispatched_by_filters(isa, tiles_together(isa), p);
}

/// One point: sums over tiles of a vector's number of channels of the gradient times some channels of the input.
#[derive(Clone, Copy)]
pub(super) struct OverTiles {
    /// A vector of channels for each tile.
    pub gradients: *const f32,
    /// A vector of channels for each tile, and as many `block_stride` further on for each further vector.
    pub inputs: *const f32,
    pub block_stride: usize,
    pub vectors: usize,
    pub tiles: usize,
    /// A row of `vectors` vectors for each channel of the gradient, `sum_stride` apart.
    pub sums: *mut f32,
    pub sum_stride: usize,
    /// Whether the sums hold what earlier tiles gave.
    pub accumulate: bool,
}

/// # Safety
/// As [`over_tiles`], for `R` channels of the gradient and `NV` vectors.
#[inline(always)]
unsafe fn channels_by_vectors<S: Simd, const R: usize, const NV: usize>(s: S, p: &OverTiles, first: usize) {
    let mut sums = [[s.zero(); NV]; R];
    // SAFETY: reads R channels of the gradient and NV vectors of the input of each tile, and changes R rows of sums, all of
    // which the caller promised.
    unsafe {
        let rows = p.sums.add(first * p.sum_stride);
        if p.accumulate {
            for i in 0..R {
                for j in 0..NV {
                    sums[i][j] = s.load(rows.add(i * p.sum_stride + j * S::LANES));
                }
            }
        }
        let (mut gradients, mut inputs) = (p.gradients.add(first), p.inputs);
        for _ in 0..p.tiles {
            let mut row = [s.zero(); NV];
            for j in 0..NV {
                row[j] = s.load(inputs.add(j * p.block_stride));
            }
            for i in 0..R {
                let x = s.splat(*gradients.add(i));
                for j in 0..NV {
                    sums[i][j] = s.mul_add(x, row[j], sums[i][j]);
                }
            }
            gradients = gradients.wrapping_add(S::LANES);
            inputs = inputs.wrapping_add(S::LANES);
        }
        for i in 0..R {
            for j in 0..NV {
                s.store(rows.add(i * p.sum_stride + j * S::LANES), sums[i][j]);
            }
        }
    }
}

#[inline(always)]
fn over_tiles_body<S: Simd>(s: S, together: usize, p: &OverTiles) {
    let mut first = 0;
    while first < S::LANES {
        // SAFETY: `over_tiles` is the only caller, and its caller makes the promise.
        unsafe {
            match (together, p.vectors) {
                (8, 2) => channels_by_vectors::<S, 8, 2>(s, p, first),
                (8, 1) => channels_by_vectors::<S, 8, 1>(s, p, first),
                (4, 2) => channels_by_vectors::<S, 4, 2>(s, p, first),
                (4, 1) => channels_by_vectors::<S, 4, 1>(s, p, first),
                (rows, vectors) => unreachable!("no product of {rows} channels by {vectors} vectors"),
            }
        }
        first += together;
    }
}
crate::simd_kernel! {
    fn dispatched_over_tiles(together: usize, p: &OverTiles) = over_tiles_body;
}

/// Sums over tiles.
///
/// # Safety
/// All operands must be as long as [`OverTiles`] says, and the rows of sums used by nobody else.
pub(super) unsafe fn over_tiles(isa: Isa, p: &OverTiles) {
    dispatched_over_tiles(isa, channels_together(isa), p);
}
