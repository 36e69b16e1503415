//! Rows of a table that agree in nearly all columns with one that is learned from.
//!
//! Numbers agree if they are apart by no more than a small share of their column's deviation. How much an agreement says is
//! measured by how often two rows of the table agree there: rare values say much, yes or no next to nothing. Columns that go
//! together would say the same thing twice, so that only half of what all say together is believed; the number of such pairs
//! that is then expected by chance must be below the level.

use super::columns::Columns;
use super::duplicates::Near;
use super::sample::sample;
use super::{LEVEL, Subject};

/// Most rows that are held out, and most of those that are learned from, which are compared; fewer of wide tables.
const MOST: [usize; 2] = [1_000, 4_000];
/// Most cells that are looked at.
const MOST_CELLS: usize = 400_000;
/// Share of a column's deviation by which numbers may be apart.
const APART: f64 = 0.01;
/// One column in so many may differ, and one at least where there are a few.
const DIFFERENT: usize = 10;
const FEWEST: usize = 4;

pub(super) fn find(subject: &Subject<'_>, held: &[u32], learned: &[u32]) -> Option<Near> {
    let seed = subject.settings.seed;
    let width = subject.data.summary().columns.len().max(1);
    if width < FEWEST {
        return None;
    }
    let most = |part: usize| MOST[part].min((MOST_CELLS / width * MOST[part] / (MOST[0] + MOST[1])).max(50));
    let (held, learned) = (sample(held, most(0), seed).0, sample(learned, most(1), seed).0);
    let rows: Vec<u32> = held.iter().chain(&learned).copied().collect();
    let columns = Columns::read(&**subject.source, subject.preprocessor, &rows)?;
    let columns: Vec<Column> = (0..columns.width()).map(|column| Column::of(&columns, column, held.len())).collect();
    // Columns that tell rows apart come first, so that most pairs are given up early.
    let mut order: Vec<&Column> = columns.iter().collect();
    order.sort_by(|a, b| a.bits.total_cmp(&b.bits).reverse());
    let allowed = (order.len() / DIFFERENT).max(1);
    let enough = 2.0 * ((held.len() * learned.len()) as f64 / LEVEL).log2();
    let mut pairs = Vec::new();
    for (place, &row) in held.iter().enumerate() {
        for (other_place, &other) in learned.iter().enumerate() {
            let (mut different, mut bits) = (0, 0.0);
            for column in &order {
                if column.agree(place, held.len() + other_place) {
                    bits += column.bits;
                } else {
                    different += 1;
                    if different > allowed {
                        break;
                    }
                }
            }
            let near = different <= allowed && bits > enough;
            // Copies that are the same are told by themselves.
            if near && subject.data.group_of(row) != subject.data.group_of(other) {
                pairs.push((row, other));
                break;
            }
        }
    }
    Some(Near { pairs, looked: (held.len(), learned.len()) })
}

/// A column with what an agreement in it says.
struct Column {
    values: Vec<f64>,
    apart: f64,
    /// Minus the binary logarithm of the share of pairs of rows that agree.
    bits: f64,
}

impl Column {
    fn of(columns: &Columns, column: usize, held: usize) -> Column {
        let values = columns.values[column].clone();
        let mut known: Vec<f64> = values[held..].iter().copied().filter(|value| !value.is_nan()).collect();
        known.sort_by(f64::total_cmp);
        let count = known.len() as f64;
        let apart = match columns.categories[column] {
            Some(_) => 0.0,
            None => {
                let mean = known.iter().sum::<f64>() / count.max(1.0);
                let variance = known.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count.max(1.0);
                // Of few outliers that are far away, the deviation is too large: the middle half says how far values are apart.
                let quartile = |share: f64| known.get((share * count) as usize).copied().unwrap_or(0.0);
                let middle = (quartile(0.75) - quartile(0.25)) / 1.35;
                APART * if middle > 0.0 { middle.min(variance.sqrt()) } else { variance.sqrt() }
            }
        };
        // Ordered pairs of different rows that agree.
        let (mut pairs, mut from, mut to) = (0.0, 0, 0);
        for value in &known {
            while known[from] < value - apart {
                from += 1;
            }
            while to < known.len() && known[to] <= value + apart {
                to += 1;
            }
            pairs += (to - from - 1) as f64;
        }
        let missing = (values.len() - held) as f64 - count;
        let all = count + missing;
        let share = (pairs + missing * (missing - 1.0).max(0.0)) / (all * (all - 1.0)).max(1.0);
        // No pair that agrees among so many does not mean that there is none elsewhere.
        let share = share.max(1.0 / (all * (all - 1.0)).max(1.0));
        Column { values, apart, bits: -share.min(1.0).log2() }
    }

    fn agree(&self, first: usize, second: usize) -> bool {
        let (a, b) = (self.values[first], self.values[second]);
        (a - b).abs() <= self.apart || (a.is_nan() && b.is_nan())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(values: Vec<f64>, categories: Option<usize>, held: usize) -> Column {
        let columns = Columns { names: vec!["a".to_string()], values: vec![values], categories: vec![categories] };
        Column::of(&columns, 0, held)
    }

    #[test]
    fn rare_agreements_say_much_and_frequent_ones_little() {
        let fair = column((0..100).map(|i| f64::from(i % 2)).collect(), Some(2), 0);
        assert!((fair.bits - 1.0).abs() < 0.05, "{}", fair.bits);
        let different = column((0..100).map(f64::from).collect(), None, 0);
        assert!(different.bits > 13.0, "{}", different.bits);
        let same = column(vec![f64::NAN; 100], None, 0);
        assert_eq!(same.bits, 0.0);
    }

    #[test]
    fn numbers_agree_within_a_share_of_their_deviation() {
        let numbers = column((0..1000).map(f64::from).chain([500.1, 507.0]).collect(), None, 0);
        assert!(numbers.agree(500, 1000) && !numbers.agree(500, 1001));
    }
}
