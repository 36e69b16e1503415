//! Numbers of a column in as few bytes as hold them exactly: most tables have few digits.

use std::fmt;

/// Values of a chunk, which is the unit in which a width is chosen.
const CHUNK: usize = 1 << 14;
/// Most decimals that are tried.
const MOST_DECIMALS: usize = 9;
/// Powers of ten, all of which are exact.
const TENS: [f64; MOST_DECIMALS + 1] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];

/// Some values. Where they are decimals, the whole number is kept that, divided by a power of ten, is the value to the last
/// bit; the smallest of its type stands for a missing value.
enum Chunk {
    Bytes(Vec<i8>, u8),
    Shorts(Vec<i16>, u8),
    Ints(Vec<i32>, u8),
    Doubles(Vec<f64>),
}

impl Chunk {
    fn of(values: &[f64], decimals: &mut usize) -> Chunk {
        let first = *decimals;
        // Neighbours have as many decimals, mostly.
        for tried in (first..=MOST_DECIMALS).chain(0..first) {
            if let Some(most) = largest(values, tried) {
                *decimals = tried;
                let whole = |value: &f64| (value * TENS[tried]).round();
                let at = tried as u8;
                let missing = |value: &f64| value.is_nan();
                return if most <= f64::from(i8::MAX) {
                    let of = |v| if missing(v) { i8::MIN } else { whole(v) as i8 };
                    Chunk::Bytes(values.iter().map(of).collect(), at)
                } else if most <= f64::from(i16::MAX) {
                    let of = |v| if missing(v) { i16::MIN } else { whole(v) as i16 };
                    Chunk::Shorts(values.iter().map(of).collect(), at)
                } else {
                    let of = |v| if missing(v) { i32::MIN } else { whole(v) as i32 };
                    Chunk::Ints(values.iter().map(of).collect(), at)
                };
            }
        }
        Chunk::Doubles(values.to_vec())
    }

    fn get(&self, at: usize) -> f64 {
        let value = |whole: f64, least: f64, decimals: u8| match whole {
            whole if whole == least => f64::NAN,
            whole => whole / TENS[usize::from(decimals)],
        };
        match self {
            Chunk::Bytes(whole, decimals) => value(f64::from(whole[at]), f64::from(i8::MIN), *decimals),
            Chunk::Shorts(whole, decimals) => value(f64::from(whole[at]), f64::from(i16::MIN), *decimals),
            Chunk::Ints(whole, decimals) => value(f64::from(whole[at]), f64::from(i32::MIN), *decimals),
            Chunk::Doubles(values) => values[at],
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Chunk::Bytes(whole, _) => whole.capacity(),
            Chunk::Shorts(whole, _) => 2 * whole.capacity(),
            Chunk::Ints(whole, _) => 4 * whole.capacity(),
            Chunk::Doubles(values) => 8 * values.capacity(),
        }
    }
}

/// The largest whole number that stands for one of the values with so many decimals, if all of them can be so.
fn largest(values: &[f64], decimals: usize) -> Option<f64> {
    let mut most = 0.0_f64;
    for value in values.iter().filter(|value| !value.is_nan()) {
        let whole = (value * TENS[decimals]).round();
        // The bits tell -0 from 0, too.
        if whole.abs() > f64::from(i32::MAX) || (whole / TENS[decimals]).to_bits() != value.to_bits() {
            return None;
        }
        most = most.max(whole.abs());
    }
    Some(most)
}

/// Numbers; NaN is missing.
#[derive(Default)]
pub(crate) struct Numbers {
    chunks: Vec<Chunk>,
    /// Values behind them.
    open: Vec<f64>,
    /// Decimals of the chunk before.
    decimals: usize,
}

impl Numbers {
    /// No values, with room for those of a block.
    pub(crate) fn with_capacity(values: usize) -> Numbers {
        Numbers { open: Vec::with_capacity(values), ..Numbers::default() }
    }

    /// Number of the values.
    pub(crate) fn len(&self) -> usize {
        self.chunks.len() * CHUNK + self.open.len()
    }

    /// Appends a value, as it is: what is read of a block is small.
    pub(crate) fn push(&mut self, value: f64) {
        self.open.push(value);
    }

    /// Appends values, in as few bytes as hold them.
    pub(crate) fn append(&mut self, more: Numbers) {
        if more.chunks.is_empty() {
            self.open.extend_from_slice(&more.open);
        } else {
            self.open.extend(more.iter());
        }
        let whole = self.open.len() / CHUNK * CHUNK;
        for values in self.open[..whole].chunks_exact(CHUNK) {
            self.chunks.push(Chunk::of(values, &mut self.decimals));
        }
        self.open.drain(..whole);
        if self.open.capacity() > 4 * CHUNK {
            self.open.shrink_to(2 * CHUNK);
        }
    }

    /// The value of a row.
    ///
    /// # Panics
    /// If there is no such row.
    pub(crate) fn get(&self, row: usize) -> f64 {
        match self.chunks.get(row / CHUNK) {
            Some(chunk) => chunk.get(row % CHUNK),
            None => self.open[row - self.chunks.len() * CHUNK],
        }
    }

    /// All values.
    pub(crate) fn iter(&self) -> impl Iterator<Item = f64> + '_ {
        (0..self.len()).map(|row| self.get(row))
    }

    /// Bytes that they occupy.
    pub(crate) fn resident_bytes(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.bytes() + size_of::<Chunk>()).sum::<usize>() + 8 * self.open.capacity()
    }
}

impl FromIterator<f64> for Numbers {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Numbers {
        let (mut all, mut open) = (Numbers::default(), Vec::new());
        for value in values {
            open.push(value);
            if open.len() == CHUNK {
                all.append(Numbers { open: std::mem::take(&mut open), ..Numbers::default() });
            }
        }
        all.append(Numbers { open, ..Numbers::default() });
        all
    }
}

impl fmt::Debug for Numbers {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(values: &[f64]) -> Numbers {
        values.iter().copied().collect()
    }

    #[test]
    fn values_are_kept_to_the_last_bit_whatever_they_are() {
        let odd = [0.1 + 0.2, f64::MAX, f64::MIN_POSITIVE, -0.0, 1e300, f64::from(i32::MIN), 2_147_483_648.0];
        for step in [1.0, 0.5, 0.001, 0.1, 1e-9, 123_456.0, 1.0 / 3.0] {
            let mut values: Vec<f64> = (0..2 * CHUNK + 77).map(|i| (i as f64 - 9_000.0) * step).collect();
            values[5] = f64::NAN;
            values[CHUNK] = odd[values.len() % odd.len()];
            values[2 * CHUNK + 3] = f64::NAN;
            values.extend(odd);
            let kept = kept(&values);
            assert_eq!(kept.len(), values.len());
            for (row, value) in values.iter().enumerate() {
                assert_eq!(kept.get(row).to_bits(), value.to_bits(), "row {row} of steps of {step}");
            }
        }
    }

    #[test]
    fn few_digits_take_few_bytes() {
        let decimals = |step: f64, range: usize| -> usize {
            let values: Vec<f64> =
                (0..4 * CHUNK).map(|i| format!("{:.3}", (i % range) as f64 * step).parse().unwrap()).collect();
            kept(&values).chunks.iter().map(Chunk::bytes).sum::<usize>() / CHUNK / 4
        };
        assert_eq!([decimals(1.0, 100), decimals(0.01, 3_000), decimals(1.001, 90_000)], [1, 2, 4]);
        let thirds: Vec<f64> = (0..CHUNK).map(|i| i as f64 / 3.0).collect();
        assert!(matches!(kept(&thirds).chunks[..], [Chunk::Doubles(_)]));
    }

    #[test]
    fn blocks_are_put_together_in_their_order() {
        let mut all = Numbers::default();
        let mut expected = Vec::new();
        for block in 0..9 {
            let mut part = Numbers::with_capacity(10);
            for i in 0..(block * 3_777) % 20_000 {
                part.push(f64::from(i) / 4.0);
                expected.push(f64::from(i) / 4.0);
            }
            all.append(part);
        }
        assert_eq!(all.iter().collect::<Vec<_>>(), expected);
    }
}
