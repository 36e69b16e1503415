//! Shapes whose batch and sequence axes have a planned maximum and a run-time extent.

use std::fmt;

/// An axis whose length is only known when the plan runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Symbol {
    /// Number of examples in a batch.
    Batch,
    /// Number of steps in a sequence.
    Sequence,
}

const SYMBOLS: usize = 2;

impl Symbol {
    /// All symbols, in the order of [`Extents`].
    pub const ALL: [Symbol; SYMBOLS] = [Symbol::Batch, Symbol::Sequence];

    fn name(self) -> &'static str {
        match self {
            Symbol::Batch => "batch",
            Symbol::Sequence => "sequence",
        }
    }
}

/// The lengths of the symbolic axes: the planned maximum, or what one run uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Extents {
    /// Number of examples.
    pub batch: usize,
    /// Number of sequence steps; 1 where the network has no sequence axis.
    pub sequence: usize,
}

impl Extents {
    /// Extents of a network without a sequence axis.
    pub fn batch(batch: usize) -> Self {
        Extents { batch, sequence: 1 }
    }

    fn of(&self, symbol: Symbol) -> usize {
        match symbol {
            Symbol::Batch => self.batch,
            Symbol::Sequence => self.sequence,
        }
    }

    /// Whether every extent is at most that of `maximum`.
    pub fn within(&self, maximum: &Extents) -> bool {
        Symbol::ALL.iter().all(|&s| self.of(s) <= maximum.of(s))
    }
}

impl fmt::Display for Extents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "batch {} and sequence {}", self.batch, self.sequence)
    }
}

/// Length of one axis: a fixed factor times a product of symbols, such as `64`, `batch` or `49*batch`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Dim {
    factor: usize,
    powers: [u8; SYMBOLS],
}

impl Dim {
    /// A length known when the graph is built.
    pub const fn fixed(length: usize) -> Self {
        Dim { factor: length, powers: [0; SYMBOLS] }
    }

    /// A length known when the plan runs.
    pub const fn symbol(symbol: Symbol) -> Self {
        let mut powers = [0; SYMBOLS];
        powers[symbol as usize] = 1;
        Dim { factor: 1, powers }
    }

    /// The length, if it does not depend on a symbol.
    pub fn as_fixed(&self) -> Option<usize> {
        (self.powers == [0; SYMBOLS]).then_some(self.factor)
    }

    /// Whether the length is the constant 1, which broadcasts.
    pub fn is_one(&self) -> bool {
        self.as_fixed() == Some(1)
    }

    /// Whether the length depends on a symbol.
    pub fn depends_on(&self, symbol: Symbol) -> bool {
        self.powers[symbol as usize] > 0
    }

    /// The length for given extents; `usize::MAX` if it is larger.
    pub fn length(&self, extents: &Extents) -> usize {
        Symbol::ALL.iter().fold(self.factor, |length, &s| {
            length.saturating_mul(extents.of(s).saturating_pow(u32::from(self.powers[s as usize])))
        })
    }

    /// `self / other` where that is exact.
    pub fn divide(&self, other: Dim) -> Option<Dim> {
        if other.factor == 0 || !self.factor.is_multiple_of(other.factor) {
            return None;
        }
        let mut powers = [0; SYMBOLS];
        for (i, power) in powers.iter_mut().enumerate() {
            *power = self.powers[i].checked_sub(other.powers[i])?;
        }
        Some(Dim { factor: self.factor / other.factor, powers })
    }

    /// `self + other` where both are multiples of the same product of symbols and the sum can be counted.
    pub fn plus(&self, other: Dim) -> Option<Dim> {
        let factor = self.factor.checked_add(other.factor)?;
        (self.powers == other.powers).then_some(Dim { factor, powers: self.powers })
    }

    /// `self - other` where both are multiples of the same product of symbols and the difference is not negative.
    pub fn minus(&self, other: Dim) -> Option<Dim> {
        let factor = self.factor.checked_sub(other.factor)?;
        (self.powers == other.powers).then_some(Dim { factor, powers: self.powers })
    }
}

/// A product that cannot be counted stays at the largest number; tracing refuses a value of that length.
impl std::ops::Mul for Dim {
    type Output = Dim;
    fn mul(self, other: Dim) -> Dim {
        let mut powers = self.powers;
        for (power, more) in powers.iter_mut().zip(other.powers) {
            *power = power.saturating_add(more);
        }
        Dim { factor: self.factor.saturating_mul(other.factor), powers }
    }
}

impl From<usize> for Dim {
    fn from(length: usize) -> Self {
        Dim::fixed(length)
    }
}

impl From<Symbol> for Dim {
    fn from(symbol: Symbol) -> Self {
        Dim::symbol(symbol)
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if self.factor != 1 || self.powers == [0; SYMBOLS] {
            parts.push(self.factor.to_string());
        }
        for symbol in Symbol::ALL {
            for _ in 0..self.powers[symbol as usize] {
                parts.push(symbol.name().to_string());
            }
        }
        f.write_str(&parts.join("*"))
    }
}

impl fmt::Debug for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The lengths of all axes, outermost first; no axes for a scalar.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Shape(Vec<Dim>);

impl Shape {
    /// A shape from its axes.
    pub fn new<D: Into<Dim> + Copy>(dims: &[D]) -> Self {
        Shape(dims.iter().map(|&d| d.into()).collect())
    }

    /// The shape of a scalar.
    pub fn scalar() -> Self {
        Shape(Vec::new())
    }

    /// A batch of arrays with the given fixed lengths.
    pub fn batch_of(lengths: &[usize]) -> Self {
        let mut dims = vec![Dim::symbol(Symbol::Batch)];
        dims.extend(lengths.iter().map(|&l| Dim::fixed(l)));
        Shape(dims)
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// The axes.
    pub fn dims(&self) -> &[Dim] {
        &self.0
    }

    /// Number of elements, possibly symbolic.
    pub fn elements(&self) -> Dim {
        self.0.iter().fold(Dim::fixed(1), |n, &d| n * d)
    }

    /// Number of elements for given extents; `usize::MAX` if it is larger.
    pub fn count(&self, extents: &Extents) -> usize {
        self.0.iter().fold(1, |n: usize, d| n.saturating_mul(d.length(extents)))
    }

    /// The axis lengths for given extents.
    pub fn resolve(&self, extents: &Extents) -> Vec<usize> {
        self.0.iter().map(|d| d.length(extents)).collect()
    }

    /// The fixed length of an axis.
    pub fn fixed(&self, axis: usize) -> Option<usize> {
        self.0.get(axis).and_then(Dim::as_fixed)
    }

    /// The shape that both broadcast to, as NumPy and PyTorch define it, if there is one.
    pub fn broadcast(&self, other: &Shape) -> Option<Shape> {
        let rank = self.rank().max(other.rank());
        let mut dims = Vec::with_capacity(rank);
        for i in 0..rank {
            let a = (i + self.rank()).checked_sub(rank).map_or(Dim::fixed(1), |j| self.0[j]);
            let b = (i + other.rank()).checked_sub(rank).map_or(Dim::fixed(1), |j| other.0[j]);
            dims.push(if a == b || b.is_one() {
                a
            } else if a.is_one() {
                b
            } else {
                return None;
            });
        }
        Some(Shape(dims))
    }

    /// The axes of `target` along which `self` is repeated when it is broadcast to `target`.
    pub fn repeated_axes(&self, target: &Shape) -> Vec<usize> {
        let lead = target.rank() - self.rank();
        (0..target.rank()).filter(|&i| i < lead || (self.0[i - lead].is_one() && !target.0[i].is_one())).collect()
    }
}

impl From<Vec<Dim>> for Shape {
    fn from(dims: Vec<Dim>) -> Self {
        Shape(dims)
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(lengths: [usize; N]) -> Self {
        Shape::new(&lengths)
    }
}

impl From<&[usize]> for Shape {
    fn from(lengths: &[usize]) -> Self {
        Shape::new(lengths)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dims: Vec<String> = self.0.iter().map(Dim::to_string).collect();
        write!(f, "[{}]", dims.join(", "))
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Element types. Computation is `F32`; images travel as `U8`, tokens and class numbers as `I32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DType {
    /// 32-bit floating point.
    F32,
    /// Unsigned byte, 0 to 255.
    U8,
    /// Signed 32-bit integer.
    I32,
}

impl DType {
    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            DType::F32 | DType::I32 => 4,
            DType::U8 => 1,
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DType::F32 => "f32",
            DType::U8 => "u8",
            DType::I32 => "i32",
        })
    }
}

/// Most axes of one value.
pub const MOST_AXES: usize = 8;

/// Most bytes of one value: what a process can address. Sums and small multiples of such sizes do not overflow.
pub const MOST_BYTES: usize = 1 << 47;

/// Shape and element type of a value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TensorType {
    /// Axis lengths.
    pub shape: Shape,
    /// Element type.
    pub dtype: DType,
}

impl TensorType {
    /// A floating-point value of the given shape.
    pub fn f32(shape: impl Into<Shape>) -> Self {
        TensorType { shape: shape.into(), dtype: DType::F32 }
    }

    /// Bytes for given extents; `usize::MAX` if they are more.
    pub fn bytes(&self, extents: &Extents) -> usize {
        self.shape.count(extents).saturating_mul(self.dtype.size())
    }

    /// What keeps a value from being of this type, as far as its shape is fixed.
    pub(crate) fn problem(&self) -> Option<String> {
        if self.shape.rank() > MOST_AXES {
            return Some(format!("{self} has more than {MOST_AXES} axes"));
        }
        (!self.is_addressable_at(&Extents { batch: 1, sequence: 1 })).then(|| format!("{self} is more than any memory"))
    }

    /// Whether a memory could hold this type for given extents: it has at most [`MOST_BYTES`]. Axes of length 0 count as
    /// 1, so that the same holds for each part of the shape.
    pub fn is_addressable_at(&self, extents: &Extents) -> bool {
        self.megabytes(extents) <= MOST_BYTES as f64 / 1e6
    }

    /// Megabytes for given extents, axes of length 0 counting as 1: a number that never overflows.
    pub fn megabytes(&self, extents: &Extents) -> f64 {
        let lengths = self.shape.dims().iter().map(|d| d.length(extents).max(1) as f64);
        lengths.product::<f64>() * self.dtype.size() as f64 / 1e6
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.dtype, self.shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcasting_follows_trailing_axes() {
        let batch = Shape::batch_of(&[4, 3]);
        assert_eq!(batch.broadcast(&Shape::from([3])), Some(batch.clone()));
        assert_eq!(batch.broadcast(&Shape::from([4, 1])), Some(batch.clone()));
        assert_eq!(batch.broadcast(&Shape::from([4, 2])), None);
        assert_eq!(Shape::from([3]).repeated_axes(&batch), vec![0, 1]);
    }

    #[test]
    fn dimensions_multiply_divide_and_print() {
        let b = Dim::symbol(Symbol::Batch);
        let d = b * Dim::fixed(49);
        assert_eq!(d.to_string(), "49*batch");
        assert_eq!(d.divide(Dim::fixed(7)), Some(b * Dim::fixed(7)));
        assert_eq!(d.divide(Dim::fixed(5)), None);
        assert_eq!(d.length(&Extents::batch(3)), 147);
        assert_eq!(d.plus(b), Some(b * Dim::fixed(50)));
        assert_eq!(d.plus(Dim::fixed(1)), None);
    }
}
