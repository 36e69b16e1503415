//! Rows that are looked at where there are many: drawn by a hash of their number and the seed.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// At most so many rows, ascending; and whether there were more.
pub(crate) fn sample(rows: &[u32], most: usize, seed: u64) -> (Vec<u32>, bool) {
    let (mut drawn, more) = (shuffled(rows, seed), rows.len() > most);
    drawn.truncate(most);
    drawn.sort_unstable();
    (drawn, more)
}

/// Rows in an order that has nothing to do with theirs.
pub(super) fn shuffled(rows: &[u32], seed: u64) -> Vec<u32> {
    let mut rows = rows.to_vec();
    // Equal hashes of different numbers hardly ever happen; the number decides then.
    rows.sort_unstable_by_key(|row| (xxh3_64_with_seed(&row.to_le_bytes(), seed), *row));
    rows
}

/// What is said of a finding that rests on a part of the rows.
pub(super) fn told(looked: usize, all: usize) -> String {
    if looked < all { format!(" (a sample of {looked} of {all} was looked at)") } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_ascending_and_of_the_seed() {
        let rows: Vec<u32> = (0..100).collect();
        let (drawn, more) = sample(&rows, 10, 1);
        assert!(more && drawn.len() == 10 && drawn.is_sorted());
        assert_eq!(sample(&rows, 10, 1).0, drawn);
        assert_ne!(sample(&rows, 10, 2).0, drawn);
        assert_eq!(sample(&rows, 100, 1), (rows, false));
    }
}
