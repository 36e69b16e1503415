//! Columns as small numbers: where a value is among some cuts, or which category it is.

use crate::matrix::{Kind, Matrix};
use crate::parallel;

/// Most bins of a column beside the one for missing values.
const MOST: usize = 255;

/// How a column's values become bins.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Bins {
    /// A number is in the first bin whose cut it does not exceed; the last has no cut, and missing ones have one more.
    Number {
        /// Ascending.
        cuts: Vec<f32>,
    },
    /// The bin of each category.
    Category {
        /// By number.
        map: Vec<u8>,
        /// Number of bins.
        bins: usize,
    },
}

impl Bins {
    /// Number of bins, that of missing values included.
    pub(super) fn count(&self) -> usize {
        match self {
            Bins::Number { cuts } => cuts.len() + 2,
            Bins::Category { bins, .. } => *bins,
        }
    }

    fn of_numbers(mut present: Vec<f32>) -> Bins {
        present.sort_unstable_by(f32::total_cmp);
        let mut distinct = present.clone();
        distinct.dedup();
        // Half way, where that is between them.
        let between = |low: f32, high: f32| {
            let middle = low / 2.0 + high / 2.0;
            if middle >= low && middle < high { middle } else { low }
        };
        let cuts = if distinct.len() <= MOST {
            distinct.windows(2).map(|pair| between(pair[0], pair[1])).collect()
        } else {
            let mut cuts: Vec<f32> = (1..MOST)
                .map(|i| {
                    let place = i * present.len() / MOST;
                    let high = present[place];
                    let below = distinct.partition_point(|&x| x < high);
                    if below == 0 { high } else { between(distinct[below - 1], high) }
                })
                .collect();
            cuts.dedup();
            cuts
        };
        Bins::Number { cuts }
    }

    fn of_categories(column: impl Iterator<Item = f32>, categories: u32) -> Bins {
        let mut counts = vec![0_u32; categories as usize];
        for value in column {
            if let Some(count) = counts.get_mut(value as usize) {
                *count += 1;
            }
        }
        let mut order: Vec<usize> = (0..counts.len()).collect();
        order.sort_by_key(|&category| (std::cmp::Reverse(counts[category]), category));
        // The rarest share the last bin.
        let mut map = vec![(MOST - 1) as u8; counts.len()];
        order.iter().enumerate().for_each(|(place, &category)| map[category] = place.min(MOST - 1) as u8);
        Bins::Category { map, bins: counts.len().clamp(1, MOST) }
    }

    fn of(&self, value: f32) -> u8 {
        match self {
            Bins::Number { cuts } if value.is_nan() => (cuts.len() + 1) as u8,
            Bins::Number { cuts } => cuts.partition_point(|&cut| cut < value) as u8,
            Bins::Category { map, .. } => map.get(value as usize).copied().unwrap_or(0),
        }
    }
}

/// A matrix in bins, column by column.
pub(super) struct Binned {
    pub(super) bins: Vec<Bins>,
    pub(super) columns: Vec<Vec<u8>>,
    pub(super) rows: usize,
}

impl Binned {
    pub(super) fn new(matrix: &Matrix, threads: usize) -> Binned {
        let rows = matrix.rows();
        let made = parallel::map(threads, matrix.width(), |column| {
            let values = || (0..rows).map(|row| matrix.row(row)[column]);
            let bins = match matrix.kinds()[column] {
                Kind::Number => Bins::of_numbers(values().filter(|value| !value.is_nan()).collect()),
                Kind::Category(categories) => Bins::of_categories(values(), categories),
            };
            let of_rows = values().map(|value| bins.of(value)).collect();
            (bins, of_rows)
        });
        let (bins, columns) = made.into_iter().unzip();
        Binned { bins, columns, rows }
    }

    /// Of each column of categories, the bin of each.
    pub(super) fn maps(&self) -> Vec<Vec<u8>> {
        let map = |bins: &Bins| if let Bins::Category { map, .. } = bins { map.clone() } else { Vec::new() };
        self.bins.iter().map(map).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Bins;

    #[test]
    fn few_values_have_a_bin_each_and_many_equally_full_ones() {
        let few = Bins::of_numbers(vec![3.0, 1.0, 1.0, 2.0]);
        assert_eq!(few, Bins::Number { cuts: vec![1.5, 2.5] });
        assert_eq!([1.0, 1.6, 9.0, f32::NAN].map(|x| few.of(x)), [0, 1, 2, 3]);
        let many = Bins::of_numbers((0..10_000).map(|i| (i as f32).sqrt()).collect());
        let mut counts = vec![0; many.count()];
        (0..10_000).for_each(|i| counts[many.of((i as f32).sqrt()) as usize] += 1);
        assert_eq!((many.count(), counts[255]), (256, 0));
        assert!(counts[..255].iter().all(|count| (38..=41).contains(count)), "{counts:?}");
    }

    #[test]
    fn neighbouring_numbers_are_told_apart() {
        let next = f32::from_bits(1.0_f32.to_bits() + 1);
        let bins = Bins::of_numbers(vec![1.0, next, f32::MAX, f32::MIN]);
        assert_eq!([f32::MIN, 1.0, next, f32::MAX].map(|x| bins.of(x)), [0, 1, 2, 3]);
    }

    #[test]
    fn rare_categories_share_a_bin() {
        let column = (0..600).map(|i| (i.min(500) % 300) as f32);
        let bins = Bins::of_categories(column, 300);
        assert_eq!(bins.count(), 255);
        assert_eq!((bins.of(200.0), bins.of(299.0)), (0, 254));
    }
}
