//! The innermost loops: a tile of C in registers, one column of A and one row of B at a time.

use crate::simd::Simd;

/// A block of packed A times panels of packed B, into a tile of C.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    /// Packed panel of A: `kc` columns of the panel's rows.
    pub a: *const f32,
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

/// Adds a column of A times a row of B.
///
/// # Safety
/// `a` must be valid for `MR` numbers, and `b` for `NV` vectors.
#[inline(always)]
unsafe fn step<S: Simd, const MR: usize, const NV: usize>(
    s: S,
    sums: &mut [[S::F; NV]; MR],
    a: *const f32,
    b: *const f32,
) {
    let mut row = [s.zero(); NV];
    // SAFETY: the caller's promise.
    unsafe {
        for j in 0..NV {
            row[j] = s.load(b.add(j * S::LANES));
        }
        for i in 0..MR {
            let x = s.splat(*a.add(i));
            for j in 0..NV {
                sums[i][j] = s.mul_add(x, row[j], sums[i][j]);
            }
        }
    }
}

/// # Safety
/// The panels must be readable as [`Tile`] says (`MR` numbers a column of A, `NV` vectors a row of B), and C's tile
/// of `rows` x `cols` writable and used by nobody else.
#[inline(always)]
unsafe fn multiply<S: Simd, const MR: usize, const NV: usize>(s: S, t: Tile) {
    let mut sums = [[s.zero(); NV]; MR];
    let (mut a, mut b) = (t.a, t.b);
    // Where C lies in memory that was not used lately, it comes while the sums are made.
    for i in 0..MR {
        for j in 0..NV {
            prefetch(t.c.wrapping_add(i * t.ldc + j * S::LANES));
        }
    }
    let mut next = t.next;
    // SAFETY: each of the kc steps reads one column of A's panel and one row of B's.
    unsafe {
        for _ in 0..t.kc / STEPS {
            for line in 0..t.next_lines {
                prefetch_second(next.wrapping_add(16 * line));
            }
            next = next.wrapping_add(16 * t.next_lines);
            for _ in 0..STEPS {
                step(s, &mut sums, a, b);
                (a, b) = (a.add(MR), b.wrapping_add(t.b_stride));
            }
        }
        for _ in 0..t.kc % STEPS {
            step(s, &mut sums, a, b);
            (a, b) = (a.add(MR), b.wrapping_add(t.b_stride));
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
unsafe fn tile_body<S: Simd>(s: S, mr: usize, vectors: usize, t: Tile) {
    let wide = S::LANES == 16;
    // SAFETY: the caller's promise is that of the kernel chosen.
    unsafe {
        match (mr, vectors) {
            (12, 2) if wide => multiply::<S, 12, 2>(s, t),
            (12, 1) if wide => multiply::<S, 12, 1>(s, t),
            (8, 2) if wide => multiply::<S, 8, 2>(s, t),
            (8, 1) if wide => multiply::<S, 8, 1>(s, t),
            (6, 2) if !wide => multiply::<S, 6, 2>(s, t),
            (6, 1) if !wide => multiply::<S, 6, 1>(s, t),
            (4, 2) => multiply::<S, 4, 2>(s, t),
            (4, 1) => multiply::<S, 4, 1>(s, t),
            (2, 2) => multiply::<S, 2, 2>(s, t),
            (2, 1) => multiply::<S, 2, 1>(s, t),
            (1, 8) => multiply::<S, 1, 8>(s, t),
            (1, 2) => multiply::<S, 1, 2>(s, t),
            (1, 1) => multiply::<S, 1, 1>(s, t),
            _ => unreachable!("no tile of {mr} rows and {vectors} vectors"),
        }
    }
}

#[inline(always)]
fn safe_body<S: Simd>(s: S, mr: usize, vectors: usize, t: Tile) {
    // SAFETY: `tile` is the only caller, and its caller makes the promise.
    unsafe { tile_body(s, mr, vectors, t) }
}

crate::simd_kernel! {
    fn dispatched(mr: usize, vectors: usize, t: Tile) = safe_body;
}

/// Multiplies one panel of A by one panel of B.
///
/// # Safety
/// The panels of `mr` rows and `vectors` vectors must be readable as [`Tile`] says, and C's tile writable and used by
/// nobody else meanwhile.
pub(super) unsafe fn tile(isa: crate::simd::Isa, mr: usize, vectors: usize, t: Tile) {
    dispatched(isa, mr, vectors, t);
}
