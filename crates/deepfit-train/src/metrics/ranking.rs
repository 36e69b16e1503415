//! The area under the ROC curve and average precision: by ranks, or, of very many scores, from a histogram of them.

/// Scores that are kept for their ranks, of all classes together: 16 MB.
pub(crate) const KEPT_SCORES: usize = 2 << 20;

/// Scores of positives and negatives, each with its weight.
///
/// They are kept, and ranked when asked for, so that areas are exact; of more than a number of them, a histogram goes on.
#[derive(Debug, Clone)]
pub(crate) struct Ranks {
    /// Bits of the score, then those of the weight, whose sign is that of a negative.
    kept: Vec<u64>,
    most: usize,
    resolution: u32,
    histogram: Option<RankHistogram>,
}

impl Ranks {
    /// Keeps at most so many scores; the resolution is that of the histogram of more.
    pub(crate) fn new(most: usize, resolution: u32) -> Self {
        Ranks { kept: Vec::new(), most, resolution, histogram: None }
    }

    /// Adds a score from 0 to 1 with a weight above 0.
    pub(crate) fn add(&mut self, score: f32, positive: bool, weight: f64) {
        if self.histogram.is_none() && self.kept.len() >= self.most {
            let mut histogram = RankHistogram::new(self.resolution);
            std::mem::take(&mut self.kept).into_iter().map(unpacked).for_each(|(s, p, w)| histogram.add(s, p, w));
            self.histogram = Some(histogram);
        }
        match &mut self.histogram {
            Some(histogram) => histogram.add(score, positive, weight),
            None => {
                let signed = if positive { weight as f32 } else { -(weight as f32) };
                // Scores that rounding made negative are 0, whose bits are the smallest.
                self.kept.push(u64::from(score.max(0.0).to_bits()) << 32 | u64::from(signed.to_bits()));
            }
        }
    }

    pub(crate) fn reset(&mut self) {
        self.kept.clear();
        self.histogram = None;
    }

    pub(crate) fn bytes(&self) -> usize {
        8 * self.kept.capacity() + self.histogram.as_ref().map_or(0, RankHistogram::bytes)
    }

    /// Sums of weights `[negatives, positives]` of each different score, or bin of scores, ascending.
    fn steps(&self) -> Vec<[f64; 2]> {
        if let Some(histogram) = &self.histogram {
            return histogram.bins.clone();
        }
        let mut sorted = self.kept.clone();
        sorted.sort_unstable();
        let mut steps: Vec<[f64; 2]> = Vec::with_capacity(sorted.len());
        let mut last = None;
        for (score, positive, weight) in sorted.into_iter().map(unpacked) {
            if last != Some(score) {
                steps.push([0.0; 2]);
            }
            last = Some(score);
            if let Some(step) = steps.last_mut() {
                step[usize::from(positive)] += weight;
            }
        }
        steps
    }

    /// The area under the curve of precision over recall, as a sum of steps: each score is a threshold. `None` without
    /// positives.
    pub(crate) fn average_precision(&self) -> Option<f64> {
        let (mut predicted, mut right, mut sum) = (0.0, 0.0, 0.0);
        for &[negative, positive] in self.steps().iter().rev() {
            if negative + positive == 0.0 {
                continue;
            }
            predicted += negative + positive;
            right += positive;
            sum += positive * right / predicted;
        }
        (right > 0.0).then(|| sum / right)
    }

    /// The area: the share of (positive, negative) pairs in the right order, ties counting half (the Mann-Whitney
    /// statistic). `None` unless there are examples of both kinds.
    pub(crate) fn area(&self) -> Option<Area> {
        let (mut below, mut positives) = (0.0, 0.0);
        let (mut ordered, mut tied, mut tied_in_bin) = (0.0, 0.0, 0.0);
        for [negative, positive] in self.steps() {
            ordered += positive * below;
            tied_in_bin = positive * negative;
            tied += tied_in_bin;
            below += negative;
            positives += positive;
        }
        let pairs = positives * below;
        // Equal scores that were kept are ties in truth.
        let error = if self.histogram.is_some() { 0.5 * (tied - tied_in_bin) } else { 0.0 };
        (pairs > 0.0).then(|| Area { value: (ordered + 0.5 * tied) / pairs, error_bound: error / pairs })
    }
}

fn unpacked(bits: u64) -> (f32, bool, f64) {
    let weight = f32::from_bits(bits as u32);
    (f32::from_bits((bits >> 32) as u32), weight > 0.0, f64::from(weight.abs()))
}

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
struct RankHistogram {
    resolution: u32,
    /// Weights of `[negatives, positives]` by ascending score.
    bins: Vec<[f64; 2]>,
}

/// An area under the ROC curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Area {
    pub(crate) value: f64,
    /// The exact area is at most this far away.
    pub(crate) error_bound: f64,
}

impl RankHistogram {
    fn new(resolution: u32) -> Self {
        let bins = ((OCTAVES_BELOW_HALF + OCTAVES_ABOVE_HALF) << resolution) + 3;
        RankHistogram { resolution, bins: vec![[0.0; 2]; bins as usize] }
    }

    fn add(&mut self, score: f32, positive: bool, weight: f64) {
        let bin = self.bin(score);
        self.bins[bin][usize::from(positive)] += weight;
    }

    fn bytes(&self) -> usize {
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
}

#[cfg(test)]
mod tests {
    use super::{RankHistogram, Ranks};

    #[test]
    fn average_precision_is_the_sum_of_steps() {
        // Kept, and of more scores than are kept.
        for most in [100, 2] {
            let mut ranks = Ranks::new(most, 7);
            assert_eq!(ranks.average_precision(), None);
            // scikit-learn: average_precision_score([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]) is 0.83 (its own example).
            for (score, positive) in [(0.1, false), (0.4, false), (0.35, true), (0.8, true)] {
                ranks.add(score, positive, 1.0);
            }
            assert!((ranks.average_precision().unwrap() - 5.0 / 6.0).abs() < 1e-12);
        }
    }

    #[test]
    fn areas_of_weighted_scores_are_those_of_repeated_ones() {
        let (mut weighted, mut repeated) = (Ranks::new(100, 7), Ranks::new(100, 7));
        for (score, positive, times) in
            [(0.3, false, 2), (0.3, true, 1), (0.9, true, 3), (0.5, false, 1), (0.4, true, 2), (0.0, false, 1)]
        {
            weighted.add(score, positive, f64::from(times));
            (0..times).for_each(|_| repeated.add(score, positive, 1.0));
        }
        assert_eq!(weighted.area(), repeated.area());
        assert_eq!(weighted.average_precision(), repeated.average_precision());
        assert_eq!(weighted.area().unwrap().error_bound, 0.0);
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
