//! The area under the ROC curve from a histogram of the score.

/// Scores below 2^-48 share the first bin.
const OCTAVES_BELOW_HALF: u32 = 47;
/// The largest f32 below 1 is 1 - 2^-24.
const OCTAVES_ABOVE_HALF: u32 = 23;

/// Counts of negatives and positives by score, a probability.
///
/// Bins are fine near 0 and near 1, where the scores of a confident network are: every octave of the distance to
/// the nearer end is cut into `2^resolution` equal bins; 0 and 1 have bins of their own. Bits of the floating-point
/// number are the index, so no logarithm is taken.
///
/// A positive and a negative of one bin count as a tie. That is wrong by at most half a pair, so the area is wrong
/// by at most half the share of (positive, negative) pairs that fall in one bin, which is [`Area::error_bound`]. Pairs
/// in the last bin do not count in the bound: scores there are all exactly 1, and ties in truth.
#[derive(Debug, Clone)]
pub(crate) struct RankHistogram {
    resolution: u32,
    /// `[negatives, positives]` by ascending score.
    bins: Vec<[u64; 2]>,
}

/// An area under the ROC curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Area {
    pub(crate) value: f64,
    /// The exact area is at most this far away.
    pub(crate) error_bound: f64,
    pub(crate) positives: u64,
    pub(crate) negatives: u64,
}

impl RankHistogram {
    pub(crate) fn new(resolution: u32) -> Self {
        let bins = ((OCTAVES_BELOW_HALF + OCTAVES_ABOVE_HALF) << resolution) + 3;
        RankHistogram { resolution, bins: vec![[0; 2]; bins as usize] }
    }

    pub(crate) fn add(&mut self, score: f32, positive: bool) {
        let bin = self.bin(score);
        self.bins[bin][usize::from(positive)] += 1;
    }

    pub(crate) fn reset(&mut self) {
        self.bins.fill([0; 2]);
    }

    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.bins.as_slice())
    }

    fn bin(&self, score: f32) -> usize {
        // Bins from the distance to an end: one for "nearer than the first octave", then `2^resolution` an octave.
        let from_end = |distance: f32, octaves: u32| {
            let first_octave = (126 - octaves) << 23;
            if distance < f32::from_bits(first_octave) {
                0
            } else {
                1 + ((distance.to_bits() - first_octave) >> (23 - self.resolution)) as usize
            }
        };
        if score < 0.5 {
            from_end(score, OCTAVES_BELOW_HALF)
        } else {
            // The subtraction is exact for scores from 0.5 to 1 (Sterbenz' lemma), so ranks are kept.
            self.bins.len() - 1 - from_end((1.0 - score).max(0.0), OCTAVES_ABOVE_HALF)
        }
    }

    /// The area under the curve of precision over recall, as a sum of steps: each bin is a threshold. `None` without
    /// positives.
    pub(crate) fn average_precision(&self) -> Option<f64> {
        let (mut predicted, mut right, mut sum) = (0u64, 0u64, 0.0);
        for &[negative, positive] in self.bins.iter().rev() {
            if negative + positive == 0 {
                continue;
            }
            predicted += negative + positive;
            right += positive;
            sum += positive as f64 * right as f64 / predicted as f64;
        }
        (right > 0).then(|| sum / right as f64)
    }

    /// The area: the share of (positive, negative) pairs in the right order, ties counting half (the Mann-Whitney
    /// statistic). `None` unless there are examples of both kinds.
    pub(crate) fn area(&self) -> Option<Area> {
        let (mut below, mut positives) = (0u64, 0u64);
        let (mut ordered, mut tied, mut tied_in_bin) = (0.0, 0.0, 0.0);
        for &[negative, positive] in &self.bins {
            ordered += positive as f64 * below as f64;
            tied_in_bin = positive as f64 * negative as f64;
            tied += tied_in_bin;
            below += negative;
            positives += positive;
        }
        let pairs = positives as f64 * below as f64;
        (pairs > 0.0).then(|| Area {
            value: (ordered + 0.5 * tied) / pairs,
            error_bound: 0.5 * (tied - tied_in_bin) / pairs,
            positives,
            negatives: below,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::RankHistogram;

    #[test]
    fn average_precision_is_the_sum_of_steps() {
        let mut histogram = RankHistogram::new(7);
        assert_eq!(histogram.average_precision(), None);
        // scikit-learn: average_precision_score([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]) is 0.83 (its own example).
        for (score, positive) in [(0.1, false), (0.4, false), (0.35, true), (0.8, true)] {
            histogram.add(score, positive);
        }
        assert!((histogram.average_precision().unwrap() - 5.0 / 6.0).abs() < 1e-12);
    }

    #[test]
    fn bins_ascend_with_the_score_and_cover_the_ends() {
        for resolution in [2, 7, 10] {
            let histogram = RankHistogram::new(resolution);
            let mut scores: Vec<f32> = (0..40_000).map(|i| i as f32 / 40_000.0).collect();
            scores.extend((0..140).map(|i| 0.7f32.powi(i)));
            scores.extend((0..60).map(|i| 1.0 - 0.7f32.powi(i)));
            scores.extend([0.0, f32::MIN_POSITIVE, 0.5, 0.5f32.next_down(), 1.0f32.next_down(), 1.0]);
            scores.sort_by(f32::total_cmp);
            let bins: Vec<usize> = scores.iter().map(|&s| histogram.bin(s)).collect();
            assert!(bins.is_sorted());
            assert_eq!(bins[0], 0);
            assert_eq!(*bins.last().unwrap(), histogram.bins.len() - 1);
            assert!(histogram.bin(1.0f32.next_down()) < histogram.bin(1.0));
            assert!(histogram.bin(0.5f32.next_down()) < histogram.bin(0.5));
        }
    }
}
