//! Pairs of texts that have a text in common.

/// Pairs that share texts stay on one side of the split, unless that would tie more than this share of them together.
const MOST_TIED: f64 = 0.1;
/// What is to be known where they do not.
pub(super) const SHARED: &str =
    "many pairs share a text with others, so that the same text may stand on both sides of the split";

/// A number for each pair that those share which have a text in common, themselves or through others; how many pairs are
/// repetitions; and false if so many hang together that pairs share a number only where both texts are the same.
pub(super) fn tied(pairs: &[[u32; 2]], texts: usize) -> (Vec<u32>, usize, bool) {
    let mut root: Vec<u32> = (0..texts as u32).collect();
    fn find(root: &mut [u32], mut text: u32) -> u32 {
        while root[text as usize] != text {
            root[text as usize] = root[root[text as usize] as usize];
            text = root[text as usize];
        }
        text
    }
    for &[a, b] in pairs {
        let (a, b) = (find(&mut root, a), find(&mut root, b));
        root[a.max(b) as usize] = a.min(b);
    }
    let number = |keys: Vec<u64>| crate::split::number_groups(keys.into_iter());
    let same = number(pairs.iter().map(|&[a, b]| u64::from(a) << 32 | u64::from(b)).collect());
    let distinct = same.iter().max().map_or(0, |most| *most as usize + 1);
    let tied = number(pairs.iter().map(|&[a, _]| u64::from(find(&mut root, a))).collect());
    let mut sizes = vec![0usize; pairs.len()];
    tied.iter().for_each(|&group| sizes[group as usize] += 1);
    let largest = sizes.iter().max().copied().unwrap_or(0);
    let fits = largest as f64 <= (MOST_TIED * pairs.len() as f64).max(1.0);
    (if fits { tied } else { same }, pairs.len() - distinct, fits)
}

#[cfg(test)]
mod tests {
    use super::tied;

    #[test]
    fn pairs_that_share_a_text_stay_together_unless_that_ties_all_of_them() {
        let mut pairs: Vec<[u32; 2]> = (0..40).map(|i| [2 * i, 2 * i + 1]).collect();
        pairs[1][0] = 1;
        pairs[2] = pairs[0];
        let (groups, repeated, fits) = tied(&pairs, 80);
        assert!(fits && repeated == 1);
        assert_eq!(groups[..4], [0, 0, 0, 1]);
        let star: Vec<[u32; 2]> = (0..40).map(|i| [0, i + 1]).collect();
        let (groups, repeated, fits) = tied(&star, 41);
        assert!(!fits && repeated == 0);
        assert_eq!(groups, (0..40).collect::<Vec<u32>>());
    }
}
