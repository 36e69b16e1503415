//! The innermost loops: a tile of C in registers, one column of A and one row of B at a time.

use crate::simd::Simd;

/// A block of A times a panel of B, into a tile of C.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    /// Packed panel of A: `kc` columns of the panel's rows. Or A where it lies.
    pub a: *const f32,
    /// From row to row of A, if it is read where it lies.
    pub a_rows: Option<usize>,
    /// Panel of B: `kc` rows, `b_stride` apart.
    pub b: *const f32,
    pub b_stride: usize,
    pub kc: usize,
    pub c: *mut f32,
    pub ldc: usize,
    /// Rows and columns of C that exist; the others are computed and dropped.
    pub rows: usize,
    pub cols: usize,
    /// Whether C already holds the sum of earlier blocks.
    pub accumulate: bool,
    /// What will be read next and may lie in a far cache: so many lines from here on, for each [`STEPS`] columns of A, are
    /// brought into the second-level cache meanwhile.
    pub next: *const f32,
    pub next_lines: usize,
}

/// Columns of A between two requests for what will be read next.
pub(super) const STEPS: usize = 4;

/// Rows of B that are asked for before they are used: a panel is larger than the first-level cache, or than what another
/// program on the same core leaves of it.
const AHEAD: usize = 8;

/// Asks for the cache line of `p`, which need not be a valid address.
#[inline(always)]
pub(super) fn prefetch(p: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads and writes nothing and ignores addresses that are not valid; SSE is part of x86-64.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(p.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = p;
}

/// Asks for the row of `NV` vectors that is used [`AHEAD`] rows after `row`.
#[inline(always)]
pub(crate) fn prefetch_row<S: Simd, const NV: usize>(row: *const f32, stride: usize) {
    for line in 0..(NV * S::LANES).div_ceil(16) {
        prefetch(row.wrapping_add(AHEAD * stride + 16 * line));
    }
}

/// Asks for the cache line of `p`, which need not be a valid address, in the second-level cache.
#[inline(always)]
fn prefetch_second(p: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: as for `prefetch`.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T1 }>(p.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = p;
}

/// Adds a column of A, whose numbers are `a_step` apart, times a row of B, whose rows are `b_stride` apart.
///
/// # Safety
/// `a` must be valid for `MR` numbers, and `b` for `NV` vectors.
#[inline(always)]
unsafe fn step<S: Simd, const MR: usize, const NV: usize>(
    s: S,
    sums: &mut [[S::F; NV]; MR],
    a: *const f32,
    a_step: usize,
    b: *const f32,
    b_stride: usize,
) {
    let mut row = [s.zero(); NV];
    prefetch_row::<S, NV>(b, b_stride);
    // SAFETY: the caller's promise.
    unsafe {
        for j in 0..NV {
            row[j] = s.load(b.add(j * S::LANES));
        }
        for i in 0..MR {
            let x = s.splat(*a.add(i * a_step));
            for j in 0..NV {
                sums[i][j] = s.mul_add(x, row[j], sums[i][j]);
            }
        }
    }
}

/// # Safety
/// The panels must be readable as [`Tile`] says (`MR` rows of A, all of which exist unless it is packed, and `NV` vectors a
/// row of B), and C's tile of `rows` x `cols` writable and used by nobody else.
#[inline(always)]
unsafe fn multiply<S: Simd, const MR: usize, const NV: usize, const PACKED: bool>(s: S, t: Tile) {
    let mut sums = [[s.zero(); NV]; MR];
    let (mut a, mut b) = (t.a, t.b);
    // Where C lies in memory that was not used lately, it comes while the sums are made.
    for i in 0..MR {
        for j in 0..NV {
            prefetch(t.c.wrapping_add(i * t.ldc + j * S::LANES));
        }
    }
    let mut next = t.next;
    // Distances of the numbers of a column of A, and of its columns.
    let (a_step, a_column) = if PACKED { (1, MR) } else { (t.a_rows.unwrap_or(0), 1) };
    // SAFETY: each of the kc steps reads one column of A's panel and one row of B's.
    unsafe {
        for _ in 0..t.kc / STEPS {
            for line in 0..t.next_lines {
                prefetch_second(next.wrapping_add(16 * line));
            }
            next = next.wrapping_add(16 * t.next_lines);
            for column in 0..STEPS {
                step(s, &mut sums, a.add(column * a_column), a_step, b, t.b_stride);
                b = b.wrapping_add(t.b_stride);
            }
            a = a.wrapping_add(STEPS * a_column);
        }
        for _ in 0..t.kc % STEPS {
            step(s, &mut sums, a, a_step, b, t.b_stride);
            (a, b) = (a.wrapping_add(a_column), b.wrapping_add(t.b_stride));
        }
    }
    // SAFETY: rows and columns outside of the tile are masked.
    unsafe {
        if t.cols == NV * S::LANES {
            for i in 0..MR {
                if i < t.rows {
                    for j in 0..NV {
                        let p = t.c.add(i * t.ldc + j * S::LANES);
                        let v = if t.accumulate { s.add(s.load(p), sums[i][j]) } else { sums[i][j] };
                        s.store(p, v);
                    }
                }
            }
        } else {
            for i in 0..MR {
                if i < t.rows {
                    for j in 0..NV {
                        let n = t.cols.saturating_sub(j * S::LANES);
                        if n > 0 {
                            let p = t.c.add(i * t.ldc + j * S::LANES);
                            let v = if t.accumulate { s.add(s.load_partial(p, n), sums[i][j]) } else { sums[i][j] };
                            s.store_partial(p, n, v);
                        }
                    }
                }
            }
        }
    }
}

/// # Safety
/// As [`multiply`], with `mr` rows and `vectors` vectors.
#[inline(always)]
unsafe fn tile_body<S: Simd, const PACKED: bool>(s: S, mr: usize, vectors: usize, t: Tile) {
    let wide = S::LANES == 16;
    // SAFETY: the caller's promise is that of the kernel chosen.
    unsafe {
        match (mr, vectors) {
            (12, 2) if wide && PACKED => multiply::<S, 12, 2, PACKED>(s, t),
            (12, 1) if wide && PACKED => multiply::<S, 12, 1, PACKED>(s, t),
            (8, 3) if wide => multiply::<S, 8, 3, PACKED>(s, t),
            (8, 2) if wide => multiply::<S, 8, 2, PACKED>(s, t),
            (8, 1) if wide => multiply::<S, 8, 1, PACKED>(s, t),
            (6, 2) if !wide => multiply::<S, 6, 2, PACKED>(s, t),
            (6, 1) if !wide => multiply::<S, 6, 1, PACKED>(s, t),
            (4, 3) if wide => multiply::<S, 4, 3, PACKED>(s, t),
            (4, 2) => multiply::<S, 4, 2, PACKED>(s, t),
            (4, 1) => multiply::<S, 4, 1, PACKED>(s, t),
            (2, 3) if wide => multiply::<S, 2, 3, PACKED>(s, t),
            (2, 2) => multiply::<S, 2, 2, PACKED>(s, t),
            (2, 1) => multiply::<S, 2, 1, PACKED>(s, t),
            (1, 9) if wide => multiply::<S, 1, 9, PACKED>(s, t),
            (1, 8) => multiply::<S, 1, 8, PACKED>(s, t),
            (1, 3) if wide => multiply::<S, 1, 3, PACKED>(s, t),
            (1, 2) => multiply::<S, 1, 2, PACKED>(s, t),
            (1, 1) => multiply::<S, 1, 1, PACKED>(s, t),
            _ => unreachable!("no tile of {mr} rows and {vectors} vectors"),
        }
    }
}

#[inline(always)]
fn packed_body<S: Simd>(s: S, mr: usize, vectors: usize, t: Tile) {
    // SAFETY: `tile` is the only caller, and its caller makes the promise.
    unsafe { tile_body::<S, true>(s, mr, vectors, t) }
}

#[inline(always)]
fn unpacked_body<S: Simd>(s: S, mr: usize, vectors: usize, t: Tile) {
    // SAFETY: as for `packed_body`.
    unsafe { tile_body::<S, false>(s, mr, vectors, t) }
}

crate::simd_kernel! {
    fn packed(mr: usize, vectors: usize, t: Tile) = packed_body;
}
crate::simd_kernel! {
    fn unpacked(mr: usize, vectors: usize, t: Tile) = unpacked_body;
}

/// Multiplies one panel of A by one panel of B.
///
/// # Safety
/// The panels of `mr` rows and `vectors` vectors must be readable as [`Tile`] says, and C's tile writable and used by
/// nobody else meanwhile.
pub(super) unsafe fn tile(isa: crate::simd::Isa, mr: usize, vectors: usize, t: Tile) {
    match t.a_rows {
        None => packed(isa, mr, vectors, t),
        Some(_) => unpacked(isa, mr, vectors, t),
    }
}
