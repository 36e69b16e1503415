//! Rows that become columns of a packed panel. Numbers are moved, not computed: all instruction sets give the same bits.

/// `dst[k * width + i] = src[i * across + k]` for `i < valid` and `k < kc`, and zero for the rest of `width`.
///
/// # Panics
/// If a slice is too short.
pub(crate) fn transpose(src: &[f32], across: usize, valid: usize, kc: usize, width: usize, dst: &mut [f32]) {
    if kc == 0 || width == 0 {
        return;
    }
    assert!(valid <= width && dst.len() >= kc * width, "the panel is too short");
    assert!(valid == 0 || src.len() >= (valid - 1) * across + kc, "a row of the operand is too short");
    #[cfg(target_arch = "x86_64")]
    if width >= 4 {
        if std::arch::is_x86_feature_detected!("avx512f") {
            // SAFETY: the instructions are there; the lengths were checked above.
            unsafe { sixteen(src.as_ptr(), across, valid, kc, width, dst.as_mut_ptr()) };
            return;
        }
        if (width.is_multiple_of(8) || width < 8) && std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: as above.
            let done = unsafe { eight(src.as_ptr(), across, valid, kc, width, dst.as_mut_ptr()) };
            return one_by_one(src, across, valid, done, kc, width, dst);
        }
    }
    one_by_one(src, across, valid, 0, kc, width, dst);
}

/// Columns `from..to`, a number at a time.
fn one_by_one(src: &[f32], across: usize, valid: usize, from: usize, to: usize, width: usize, dst: &mut [f32]) {
    for k in from..to {
        let column = &mut dst[k * width..(k + 1) * width];
        for (i, x) in column.iter_mut().enumerate() {
            *x = if i < valid { src[i * across + k] } else { 0.0 };
        }
    }
}

/// Blocks of 16 x 16 in registers.
///
/// # Safety
/// `src` must be valid for `valid` rows of `kc` numbers, `across` apart, and `dst` for `kc * width` numbers.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn sixteen(src: *const f32, across: usize, valid: usize, kc: usize, width: usize, dst: *mut f32) {
    use std::arch::x86_64::*;
    for k in (0..kc).step_by(16) {
        let columns = (kc - k).min(16);
        let loaded = (u32::MAX >> (32 - columns)) as u16;
        for i in (0..width).step_by(16) {
            let stored = (u32::MAX >> (32 - (width - i).min(16))) as u16;
            let mut rows = [_mm512_setzero_ps(); 16];
            for (lane, row) in rows.iter_mut().enumerate() {
                if i + lane < valid {
                    // SAFETY: the row exists, and the mask keeps the load inside of it; prefetches may go anywhere.
                    unsafe {
                        let from = src.add((i + lane) * across + k);
                        _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(32).cast());
                        *row = _mm512_maskz_loadu_ps(loaded, from);
                    }
                }
            }
            // Pairs of rows, then fours, are interleaved within parts of four numbers; then the parts are exchanged.
            let mut pairs = [_mm512_setzero_ps(); 16];
            for j in 0..8 {
                pairs[2 * j] = _mm512_unpacklo_ps(rows[2 * j], rows[2 * j + 1]);
                pairs[2 * j + 1] = _mm512_unpackhi_ps(rows[2 * j], rows[2 * j + 1]);
            }
            // `fours[4 * j + c]` holds, in its part p, column 4 * p + c of the rows 4 * j to 4 * j + 3.
            let mut fours = [_mm512_setzero_ps(); 16];
            for j in 0..4 {
                let [a, b, c, d] = [pairs[4 * j], pairs[4 * j + 1], pairs[4 * j + 2], pairs[4 * j + 3]];
                fours[4 * j] = _mm512_shuffle_ps::<0x44>(a, c);
                fours[4 * j + 1] = _mm512_shuffle_ps::<0xee>(a, c);
                fours[4 * j + 2] = _mm512_shuffle_ps::<0x44>(b, d);
                fours[4 * j + 3] = _mm512_shuffle_ps::<0xee>(b, d);
            }
            for c in 0..4 {
                let low = _mm512_shuffle_f32x4::<0x88>(fours[c], fours[4 + c]);
                let high = _mm512_shuffle_f32x4::<0xdd>(fours[c], fours[4 + c]);
                let low2 = _mm512_shuffle_f32x4::<0x88>(fours[8 + c], fours[12 + c]);
                let high2 = _mm512_shuffle_f32x4::<0xdd>(fours[8 + c], fours[12 + c]);
                let found = [
                    (c, _mm512_shuffle_f32x4::<0x88>(low, low2)),
                    (4 + c, _mm512_shuffle_f32x4::<0x88>(high, high2)),
                    (8 + c, _mm512_shuffle_f32x4::<0xdd>(low, low2)),
                    (12 + c, _mm512_shuffle_f32x4::<0xdd>(high, high2)),
                ];
                for (column, values) in found {
                    if column < columns {
                        // SAFETY: the column exists, and the mask keeps the store inside of it.
                        unsafe { _mm512_mask_storeu_ps(dst.add((k + column) * width + i), stored, values) };
                    }
                }
            }
        }
    }
}

/// Blocks of 8 x 8 in registers; `width` is a multiple of 8, or smaller. Returns how many columns are done; the others are
/// left for [`one_by_one`].
///
/// # Safety
/// `src` must be valid for `valid` rows of `kc` numbers, `across` apart, and `dst` for `kc * width` numbers.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn eight(src: *const f32, across: usize, valid: usize, kc: usize, width: usize, dst: *mut f32) -> usize {
    use std::arch::x86_64::*;
    // A store of eight may go beyond a narrow column, into those after it, which are written later; not so the last.
    let whole = if width < 8 { kc.saturating_sub(8) / 8 * 8 } else { kc / 8 * 8 };
    for k in (0..whole).step_by(8) {
        for i in (0..width).step_by(8) {
            let mut rows = [_mm256_setzero_ps(); 8];
            for (lane, row) in rows.iter_mut().enumerate() {
                if i + lane < valid {
                    // SAFETY: the row exists and has eight more numbers.
                    *row = unsafe { _mm256_loadu_ps(src.add((i + lane) * across + k)) };
                }
            }
            let mut pairs = [_mm256_setzero_ps(); 8];
            for j in 0..4 {
                pairs[2 * j] = _mm256_unpacklo_ps(rows[2 * j], rows[2 * j + 1]);
                pairs[2 * j + 1] = _mm256_unpackhi_ps(rows[2 * j], rows[2 * j + 1]);
            }
            let mut fours = [_mm256_setzero_ps(); 8];
            for j in 0..2 {
                let [a, b, c, d] = [pairs[4 * j], pairs[4 * j + 1], pairs[4 * j + 2], pairs[4 * j + 3]];
                fours[4 * j] = _mm256_shuffle_ps::<0x44>(a, c);
                fours[4 * j + 1] = _mm256_shuffle_ps::<0xee>(a, c);
                fours[4 * j + 2] = _mm256_shuffle_ps::<0x44>(b, d);
                fours[4 * j + 3] = _mm256_shuffle_ps::<0xee>(b, d);
            }
            let halves = [
                _mm256_permute2f128_ps::<0x20>(fours[0], fours[4]),
                _mm256_permute2f128_ps::<0x20>(fours[1], fours[5]),
                _mm256_permute2f128_ps::<0x20>(fours[2], fours[6]),
                _mm256_permute2f128_ps::<0x20>(fours[3], fours[7]),
                _mm256_permute2f128_ps::<0x31>(fours[0], fours[4]),
                _mm256_permute2f128_ps::<0x31>(fours[1], fours[5]),
                _mm256_permute2f128_ps::<0x31>(fours[2], fours[6]),
                _mm256_permute2f128_ps::<0x31>(fours[3], fours[7]),
            ];
            for (column, values) in halves.into_iter().enumerate() {
                // SAFETY: inside of the panel, of which at least eight columns are left where they are narrow.
                unsafe { _mm256_storeu_ps(dst.add((k + column) * width + i), values) };
            }
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a transposition into a longer panel and checks every number of it.
    fn check(valid: usize, kc: usize, width: usize, run: impl Fn(&[f32], usize, &mut [f32])) {
        let across = kc + 3;
        let src: Vec<f32> = (0..valid * across).map(|i| i as f32 + 1.0).collect();
        let mut dst = vec![-7.0; kc * width + 20];
        run(&src, across, &mut dst);
        for k in 0..kc {
            for i in 0..width {
                let want = if i < valid { src[i * across + k] } else { 0.0 };
                assert_eq!(dst[k * width + i], want, "width {width}, kc {kc}, valid {valid}");
            }
        }
        assert!(dst[kc * width..].iter().all(|&x| x == -7.0), "width {width}, kc {kc}: written beyond the panel");
    }

    #[test]
    fn every_size_is_moved_to_its_place_and_nothing_else_is_written() {
        for width in [1, 2, 4, 6, 8, 12, 16, 24, 32] {
            for kc in [0, 1, 3, 7, 8, 9, 15, 16, 17, 40] {
                for valid in [0, 1, width / 2, width] {
                    check(valid, kc, width, |src, across, dst| transpose(src, across, valid, kc, width, dst));
                    #[cfg(target_arch = "x86_64")]
                    if (width == 6 || width % 8 == 0) && std::arch::is_x86_feature_detected!("avx2") {
                        check(valid, kc, width, |src, across, dst| {
                            // SAFETY: the instructions are there, and the lengths are as `check` makes them.
                            let done = unsafe { eight(src.as_ptr(), across, valid, kc, width, dst.as_mut_ptr()) };
                            one_by_one(src, across, valid, done, kc, width, dst);
                        });
                    }
                }
            }
        }
    }
}
