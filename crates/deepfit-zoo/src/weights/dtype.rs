//! Element types of published weights, and their values as f32.

use std::fmt;

/// Type of the elements of a tensor in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ElementType {
    /// 64-bit floating point.
    F64,
    /// 32-bit floating point.
    F32,
    /// Half precision (IEEE 754 binary16).
    F16,
    /// The upper half of an f32.
    Bf16,
    /// Whole numbers of 64 bits.
    I64,
    /// Whole numbers of 32 bits.
    I32,
    /// Whole numbers of 16 bits.
    I16,
    /// Whole numbers of 8 bits.
    I8,
    /// Whole numbers of 8 bits, not negative.
    U8,
    /// Whole numbers of 16 bits, not negative.
    U16,
    /// Whole numbers of 32 bits, not negative.
    U32,
    /// Whole numbers of 64 bits, not negative.
    U64,
    /// 0 or 1 in a byte.
    Bool,
}

impl ElementType {
    /// Bytes of one element.
    pub fn bytes(self) -> usize {
        match self {
            ElementType::F64 | ElementType::I64 | ElementType::U64 => 8,
            ElementType::F32 | ElementType::I32 | ElementType::U32 => 4,
            ElementType::F16 | ElementType::Bf16 | ElementType::I16 | ElementType::U16 => 2,
            ElementType::I8 | ElementType::U8 | ElementType::Bool => 1,
        }
    }

    /// Whether its values are floating point, as weights are.
    pub fn is_float(self) -> bool {
        matches!(self, ElementType::F64 | ElementType::F32 | ElementType::F16 | ElementType::Bf16)
    }

    /// The element that begins at `bytes`, of which there must be enough. Rounded to f32.
    pub(super) fn value(self, bytes: &[u8]) -> f32 {
        let one = || [bytes[0]];
        let two = || [bytes[0], bytes[1]];
        let four = || [bytes[0], bytes[1], bytes[2], bytes[3]];
        let eight = || [bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7]];
        match self {
            ElementType::F64 => f64::from_le_bytes(eight()) as f32,
            ElementType::F32 => f32::from_le_bytes(four()),
            ElementType::F16 => half(u16::from_le_bytes(two())),
            ElementType::Bf16 => f32::from_bits(u32::from(u16::from_le_bytes(two())) << 16),
            ElementType::I64 => i64::from_le_bytes(eight()) as f32,
            ElementType::I32 => i32::from_le_bytes(four()) as f32,
            ElementType::I16 => f32::from(i16::from_le_bytes(two())),
            ElementType::I8 => f32::from(i8::from_le_bytes(one())),
            ElementType::U8 => f32::from(bytes[0]),
            ElementType::U16 => f32::from(u16::from_le_bytes(two())),
            ElementType::U32 => u32::from_le_bytes(four()) as f32,
            ElementType::U64 => u64::from_le_bytes(eight()) as f32,
            ElementType::Bool => f32::from(u8::from(bytes[0] != 0)),
        }
    }

    /// All elements that `bytes` hold one after another.
    pub(super) fn values(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            // The usual ones, without a choice for each element.
            ElementType::F32 => bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
            ElementType::F16 => bytes.chunks_exact(2).map(|b| half(u16::from_le_bytes([b[0], b[1]]))).collect(),
            _ => bytes.chunks_exact(self.bytes()).map(|b| self.value(b)).collect(),
        }
    }
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ElementType::F64 => "f64",
            ElementType::F32 => "f32",
            ElementType::F16 => "f16",
            ElementType::Bf16 => "bf16",
            ElementType::I64 => "i64",
            ElementType::I32 => "i32",
            ElementType::I16 => "i16",
            ElementType::I8 => "i8",
            ElementType::U8 => "u8",
            ElementType::U16 => "u16",
            ElementType::U32 => "u32",
            ElementType::U64 => "u64",
            ElementType::Bool => "bool",
        })
    }
}

/// The value of a half-precision number.
fn half(bits: u16) -> f32 {
    let (sign, exponent, fraction) = (u32::from(bits >> 15) << 31, u32::from(bits >> 10 & 31), u32::from(bits & 1023));
    match exponent {
        // Subnormal numbers are multiples of 2^-24.
        0 => f32::from_bits(sign | (fraction as f32 * 2f32.powi(-24)).to_bits()),
        31 => f32::from_bits(sign | 0x7F80_0000 | fraction << 13),
        _ => f32::from_bits(sign | (exponent + 112) << 23 | fraction << 13),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_have_their_values() {
        for (bits, value) in [
            (0x3C00, 1.0),
            (0xC000, -2.0),
            (0x7BFF, 65504.0),
            (0x0001, 2f32.powi(-24)),
            (0x8400, -(2f32.powi(-14))),
            (0x3555, 0.333_251_95),
            (0x7C00, f32::INFINITY),
        ] {
            assert_eq!(half(bits), value, "{bits:#x}");
        }
        assert!(half(0x7E00).is_nan() && half(0x8000).to_bits() == 0x8000_0000);
    }

    #[test]
    fn whole_numbers_and_wide_ones_are_converted() {
        assert_eq!(ElementType::I64.values(&(-7i64).to_le_bytes()), [-7.0]);
        assert_eq!(ElementType::F64.values(&0.1f64.to_le_bytes()), [0.1f32]);
        assert_eq!(ElementType::Bf16.values(&[0x80, 0xBF]), [-1.0]);
        assert_eq!(ElementType::Bool.values(&[0, 1, 2]), [0.0, 1.0, 1.0]);
        assert_eq!(ElementType::I8.values(&[255]), [-1.0]);
    }
}
