//! Scratch memory as numbers of another type.

/// How many `f32` of scratch memory hold `count` `f64`, wherever it begins.
pub fn f64_in_f32(count: usize) -> usize {
    2 * count + 1
}

/// The `f64` in scratch memory; their values are arbitrary.
pub fn as_f64(memory: &mut [f32]) -> &mut [f64] {
    // SAFETY: any bits are an `f64` and any bits are an `f32`; the middle part is aligned.
    unsafe { memory.align_to_mut::<f64>().1 }
}

/// The integers in scratch memory; their values are arbitrary.
pub fn as_u32(memory: &mut [f32]) -> &mut [u32] {
    // SAFETY: any bits are a `u32` and any bits are an `f32`; both have the same size and alignment.
    unsafe { memory.align_to_mut::<u32>().1 }
}
