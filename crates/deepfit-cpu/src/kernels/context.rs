//! What every kernel is given beside its operands.

use super::conv::Algorithms;
use super::gemm::bf16::Unit;
use crate::error::Error;
use crate::pool::ThreadPool;
use crate::simd::Isa;

/// Sizes of the processor's data caches in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caches {
    /// First level, of one core.
    pub l1: usize,
    /// Second level, of one core.
    pub l2: usize,
    /// Last level, shared.
    pub l3: usize,
}

impl Default for Caches {
    /// Sizes that suit most processors of the last ten years.
    fn default() -> Caches {
        Caches { l1: 32 << 10, l2: 512 << 10, l3: 8 << 20 }
    }
}

impl Caches {
    /// The sizes that the processor reports (Linux: `/sys/devices/system/cpu/cpu0/cache`); a level that is not
    /// reported, or not credible, keeps its default. Read once a process.
    pub fn detect() -> Caches {
        static FOUND: std::sync::OnceLock<Caches> = std::sync::OnceLock::new();
        *FOUND.get_or_init(|| Caches::read(std::path::Path::new("/sys/devices/system/cpu/cpu0/cache")))
    }

    fn read(folder: &std::path::Path) -> Caches {
        let mut caches = Caches::default();
        for index in 0..8 {
            let field =
                |name: &str| std::fs::read_to_string(folder.join(format!("index{index}/{name}"))).unwrap_or_default();
            if field("type").trim() == "Instruction" {
                continue;
            }
            let size = parse_size(field("size").trim());
            let slot = match field("level").trim() {
                "1" => (&mut caches.l1, 8 << 10..=1 << 20),
                "2" => (&mut caches.l2, 64 << 10..=64 << 20),
                "3" => (&mut caches.l3, 512 << 10..=4 << 30),
                _ => continue,
            };
            if slot.1.contains(&size) {
                *slot.0 = size;
            }
        }
        caches
    }
}

/// Bytes from a text such as `32K` or `8M`; 0 if it is none.
fn parse_size(text: &str) -> usize {
    let digits = text.trim_end_matches(['K', 'M', 'G']);
    let unit = match text.as_bytes().last() {
        Some(b'K') => 1 << 10,
        Some(b'M') => 1 << 20,
        Some(b'G') => 1 << 30,
        _ => 1,
    };
    digits.parse::<usize>().map_or(0, |n| n.saturating_mul(unit))
}

/// In which precision matrices are multiplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// Single precision, as numbers are kept.
    #[default]
    F32,
    /// bfloat16, added up in single precision.
    Bf16,
}

impl Precision {
    /// What they are called.
    pub const NAMES: [&'static str; 2] = ["f32", "bf16"];

    /// The precision of that name.
    pub fn named(name: &str) -> Option<Precision> {
        [Precision::F32, Precision::Bf16].into_iter().find(|precision| precision.name() == name)
    }

    /// What it is called.
    pub fn name(self) -> &'static str {
        Precision::NAMES[self as usize]
    }
}

/// How products of matrices are multiplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Products {
    /// As they are.
    #[default]
    F32,
    /// Rounded to bfloat16, by this part of the processor, and added up in f32; products of few rows or columns as they are.
    Bf16(Unit),
}

impl Products {
    /// The fastest of this processor in a precision, beside kernels of an instruction set.
    ///
    /// # Errors
    /// [`Error::NoBf16`] if there is none in bf16.
    pub fn of(precision: Precision, isa: Isa) -> Result<Products, Error> {
        match precision {
            Precision::F32 => Ok(Products::F32),
            Precision::Bf16 => Ok(Products::Bf16(Unit::detect(isa)?)),
        }
    }
}

/// The threads, the instruction set, the caches and the algorithms that a kernel runs on.
///
/// Results depend on `isa`, `caches`, `convolution` and `products`, never on the number of threads.
#[derive(Clone, Copy)]
pub struct Compute<'a> {
    /// The threads.
    pub pool: &'a ThreadPool,
    /// The instruction set.
    pub isa: Isa,
    /// Sizes of the caches, by which work is cut into blocks.
    pub caches: Caches,
    /// How convolutions are computed.
    pub convolution: Algorithms,
    /// How products are multiplied.
    pub products: Products,
}

impl<'a> Compute<'a> {
    /// The instruction set and the caches of this processor, for training.
    ///
    /// # Errors
    /// Those of [`Isa::detect`].
    pub fn new(pool: &'a ThreadPool) -> Result<Compute<'a>, Error> {
        let (isa, caches) = (Isa::detect()?, Caches::detect());
        Ok(Compute { pool, isa, caches, convolution: Algorithms::default(), products: Products::F32 })
    }

    /// The same with products in f32.
    pub(crate) fn in_f32(&self) -> Compute<'a> {
        Compute { products: Products::F32, ..*self }
    }
}

/// Rows of `cols` numbers that one task of a row-wise kernel takes: enough work to be worth handing out.
pub(crate) fn rows_per_task(cols: usize) -> usize {
    (1usize << 14).div_ceil(cols.max(1))
}

/// Numbers that one task of an element-wise kernel takes.
pub(crate) const ELEMENTS_PER_TASK: usize = 1 << 14;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_unit() {
        assert_eq!(parse_size("32K"), 32 << 10);
        assert_eq!(parse_size("8M"), 8 << 20);
        assert_eq!(parse_size(""), 0);
        assert_eq!(parse_size("lots"), 0);
    }

    #[test]
    fn a_missing_folder_gives_the_defaults() {
        assert_eq!(Caches::read(std::path::Path::new("/nonexistent")), Caches::default());
    }
}
