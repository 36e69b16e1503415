//! From recorded epochs to a verdict: a pure function.

use serde::{Deserialize, Serialize};

use crate::text::words;

/// What happens to a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It learns too little even of the rows that it learns from, or was still getting better when its epochs ended.
    Underfits,
    /// Validation did not become worse, or by no more than chance explains.
    Fits,
    /// From some epoch on validation became worse, while training went on.
    Overfits,
    /// The validation rows are too few to say.
    ValidationTooSmall,
    /// There are no validation rows, or their losses are not known.
    Unknown,
}

impl Verdict {
    /// In a few words.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Underfits => "underfits",
            Verdict::Fits => "fits",
            Verdict::Overfits => "overfits",
            Verdict::ValidationTooSmall => "validation too small to tell",
            Verdict::Unknown => "unknown",
        }
    }
}

/// Standard errors on each side of a 95 % interval.
pub(super) const Z: f64 = 1.96;
/// The best of many epochs is partly the best by luck, so that a rise counts from so many standard errors on.
const SURE: f64 = 3.0;
/// Differences below this share of the loss of the same prediction for every row matter to nobody.
const MATTERS: f64 = 0.03;
/// A network that tells even its training rows no better than this much below that loss has learned next to nothing.
const LEARNED: f64 = 0.1;
/// Validation is too small if its loss is known to no better than this share of that loss, or a difference to this.
const UNSURE: f64 = 0.25;
const UNSURE_DIFFERENCE: f64 = 0.1;
/// Fewer rows tell nothing, whatever they seem to say.
const FEWEST: usize = 10;
/// What the last epochs are, in which a network that underfits is still getting better.
const LAST: f64 = 0.2;

/// A mean with its standard error.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Estimate {
    pub(crate) mean: f64,
    pub(crate) error: f64,
}

impl Estimate {
    fn interval(self) -> [f64; 2] {
        [self.mean - Z * self.error, self.mean + Z * self.error]
    }
}

/// What is known of the epochs of a way to train.
pub(crate) struct Curves {
    /// Loss on the sample of training rows after each epoch, the first is epoch 1.
    pub(crate) train: Vec<Estimate>,
    /// Loss on validation rows.
    pub(crate) validation: Vec<Estimate>,
    /// Losses of single validation rows after each epoch, in the same order; perhaps none are kept.
    pub(crate) rows: Vec<Vec<f32>>,
    /// Number of validation rows.
    pub(crate) count: usize,
    /// Loss of the same prediction for every row.
    pub(crate) same: f64,
    /// The epoch that was chosen.
    pub(crate) chosen: u32,
    /// Whether all validation rows were predicted alike after it.
    pub(crate) constant: bool,
    /// Whether the loss is a squared error, which is told as its root.
    pub(crate) squared: bool,
    /// Most epochs that there could have been.
    pub(crate) most_epochs: u32,
}

impl Curves {
    /// How much larger the loss was after an epoch than after another, both from 0.
    fn difference(&self, from: usize, to: usize) -> Estimate {
        if let (Some(before), Some(after)) = (self.rows.get(from), self.rows.get(to))
            && before.len() == after.len()
            && before.len() > 1
        {
            let differences: Vec<f64> =
                before.iter().zip(after).map(|(before, after)| f64::from(*after) - f64::from(*before)).collect();
            let (mean, error) = super::losses::mean_and_error(&differences);
            return Estimate { mean, error };
        }
        let (before, after) = (self.validation[from], self.validation[to]);
        // Without the rows the errors count as those of different rows: wider than they are.
        Estimate { mean: after.mean - before.mean, error: before.error.hypot(after.error) }
    }

    /// A loss as people know it.
    pub(super) fn shown(&self, loss: f64) -> f64 {
        if self.squared { loss.max(0.0).sqrt() } else { loss }
    }
}

/// A verdict with its figures, which are losses.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Judgement {
    pub(crate) verdict: Verdict,
    pub(crate) sentence: String,
    pub(crate) since: Option<u32>,
    /// How much the loss of the last epoch is above the smallest, with its interval.
    pub(crate) worse_by: Option<[f64; 3]>,
}

/// Judges.
pub(crate) fn verdict(curves: &Curves) -> Judgement {
    let told = |verdict, sentence: String| Judgement { verdict, sentence, since: None, worse_by: None };
    let epochs = curves.validation.len();
    if epochs == 0 || curves.count == 0 {
        let why = "there are no validation rows, so that nobody knows whether it overfits";
        return told(Verdict::Unknown, why.to_string());
    }
    let metric = if curves.squared { "rmse" } else { "log_loss" };
    let shown = |loss: f64| words::number(curves.shown(loss));
    let chosen = (curves.chosen.max(1) as usize).min(epochs) - 1;
    let (train, validation) = (curves.train[chosen], curves.validation[chosen]);
    let scale = curves.same.max(f64::MIN_POSITIVE);
    let rows = words::plural(curves.count as u64, "validation row");
    let best = (0..epochs)
        .fold(0, |best, at| if curves.validation[at].mean < curves.validation[best].mean { at } else { best });
    let last = epochs - 1;
    let rise = curves.difference(best, last);
    let matters = rise.mean > MATTERS * scale && curves.train[last].mean <= curves.train[best].mean;
    if best < last && curves.count >= FEWEST && matters && rise.mean > SURE * rise.error {
        let [low, high] = rise.interval();
        let (from, to) = (curves.validation[best].mean, curves.validation[last].mean);
        let sentence = format!(
            "overfits since epoch {}: {metric} on validation rose from {} to {} by epoch {epochs}, while on training rows it fell \
             from {} to {}",
            best + 1,
            shown(from),
            shown(to),
            shown(curves.train[best].mean),
            shown(curves.train[last].mean),
        );
        return Judgement {
            verdict: Verdict::Overfits,
            sentence,
            since: Some(best as u32 + 1),
            worse_by: Some([rise.mean, low, high]),
        };
    }
    let (half, half_rise) = (Z * validation.error, Z * rise.error);
    let unsure = half > UNSURE * scale || (matters && half_rise > UNSURE_DIFFERENCE * scale);
    if curves.count < FEWEST || unsure {
        // Errors fall with the root of the number of rows.
        let needed =
            (half / (UNSURE * scale)).max(half_rise / (UNSURE_DIFFERENCE * scale)).powi(2) * curves.count as f64;
        let needed = round_up(needed.max(3.0 * FEWEST as f64));
        let [low, high] = validation.interval();
        let sentence = format!(
            "validation too small to tell: by {rows}, {metric} is {} to {}; about {} rows would tell",
            shown(low.max(0.0)),
            shown(high),
            words::count(needed)
        );
        return told(Verdict::ValidationTooSmall, sentence);
    }
    if curves.constant {
        let sentence = "underfits: it predicts the same for every row; a higher learning rate or other features may help, or \
                        the inputs tell nothing of what is predicted";
        return told(Verdict::Underfits, sentence.to_string());
    }
    // A better network than the same prediction for every row needs not be much better on what can only be guessed.
    if train.mean > (1.0 - LEARNED) * curves.same && validation.mean > (1.0 - LEARNED) * curves.same {
        let sentence = format!(
            "underfits: even on training rows {metric} is {}, and {} for the same prediction for every row; more epochs, a higher \
             learning rate, a larger network or other features may help, or the inputs tell nothing of what is predicted",
            shown(train.mean),
            shown(curves.same)
        );
        return told(Verdict::Underfits, sentence);
    }
    let before = last - ((epochs as f64 * LAST).ceil() as usize).min(last);
    let gain = curves.difference(before, last);
    let ended = best == last && epochs as u32 >= curves.most_epochs;
    if ended && before < last && -gain.mean > SURE * gain.error && -gain.mean > MATTERS * scale {
        let sentence = format!(
            "underfits: {metric} on validation was still falling when the epochs ended, from {} after epoch {} to {} after epoch \
             {epochs}; more epochs or a higher learning rate may help",
            shown(curves.validation[before].mean),
            before + 1,
            shown(curves.validation[last].mean),
        );
        return told(Verdict::Underfits, sentence);
    }
    let later = if rise.mean > MATTERS * scale {
        let (from, to) = (shown(curves.validation[best].mean), shown(curves.validation[last].mean));
        format!(
            "it rose on validation from {from} after epoch {} to {to} by epoch {epochs}, which may be chance",
            best + 1
        )
    } else {
        "validation did not become worse".to_string()
    };
    let sentence = format!(
        "fits: {metric} is {} on {rows} and {} on training rows, and {later}",
        shown(validation.mean),
        shown(train.mean)
    );
    told(Verdict::Fits, sentence)
}

/// A number of rows with one or two digits that count.
fn round_up(rows: f64) -> u64 {
    let step = 10f64.powf((rows.max(10.0).log10() - 1.0).floor());
    ((rows / step).ceil() * step) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Curves of `count` rows whose losses differ from the mean by plus and minus `spread`, the same way in each epoch.
    fn curves(train: &[f64], validation: &[f64], count: usize, spread: f64) -> Curves {
        let error = spread / (count as f64).sqrt();
        let rows = validation.iter().enumerate().map(|(epoch, mean)| {
            // Rows go their own ways a little.
            let own = |row: usize| 0.2 * spread * ((row * 7 + epoch * 3) % 5) as f64 / 5.0;
            (0..count).map(|row| (mean + if row % 2 == 0 { spread } else { -spread } + own(row)) as f32).collect()
        });
        Curves {
            train: train.iter().map(|&mean| Estimate { mean, error }).collect(),
            validation: validation.iter().map(|&mean| Estimate { mean, error }).collect(),
            rows: rows.collect(),
            count,
            same: 0.69,
            chosen: 1 + validation.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1)).unwrap().0 as u32,
            constant: false,
            squared: false,
            most_epochs: validation.len() as u32,
        }
    }

    #[test]
    fn validation_that_rises_while_training_falls_is_overfitting_since_its_best_epoch() {
        let found = verdict(&curves(&[0.6, 0.3, 0.1, 0.02, 0.01], &[0.6, 0.42, 0.41, 0.55, 0.7], 200, 0.3));
        assert_eq!((found.verdict, found.since), (Verdict::Overfits, Some(3)));
        assert!(found.sentence.contains("overfits since epoch 3"), "{}", found.sentence);
        let [mean, low, high] = found.worse_by.unwrap();
        assert!(low > 0.2 && low < mean && mean < high && high < 0.4, "{found:?}");
    }

    #[test]
    fn a_rise_that_few_rows_show_is_not_told_from_luck() {
        let found = verdict(&curves(&[0.6, 0.3, 0.1], &[0.6, 0.42, 0.46], 12, 0.6));
        assert_eq!(found.verdict, Verdict::ValidationTooSmall, "{}", found.sentence);
        assert_eq!(verdict(&curves(&[0.6, 0.3, 0.1], &[0.6, 0.4, 0.9], 5, 0.1)).verdict, Verdict::ValidationTooSmall);
    }

    #[test]
    fn what_learns_nothing_or_had_too_few_epochs_underfits() {
        let nothing = verdict(&curves(&[0.69, 0.68, 0.68], &[0.69, 0.69, 0.69], 300, 0.05));
        assert!(nothing.verdict == Verdict::Underfits && nothing.sentence.contains("even on training rows"));
        let short = verdict(&curves(&[0.6, 0.5, 0.4, 0.3, 0.2], &[0.6, 0.5, 0.4, 0.3, 0.2], 300, 0.05));
        assert!(short.verdict == Verdict::Underfits && short.sentence.contains("still falling"), "{}", short.sentence);
        let constant = Curves { constant: true, ..curves(&[0.3], &[0.3], 300, 0.05) };
        assert!(verdict(&constant).sentence.contains("predicts the same for every row"));
    }

    #[test]
    fn a_gap_by_itself_is_no_overfitting() {
        let found = verdict(&curves(&[0.5, 0.2, 0.05, 0.04, 0.04], &[0.5, 0.3, 0.25, 0.25, 0.252], 300, 0.2));
        assert_eq!(found.verdict, Verdict::Fits, "{}", found.sentence);
    }

    #[test]
    fn without_validation_nothing_is_known() {
        assert_eq!(verdict(&curves(&[], &[0.0], 0, 0.1)).verdict, Verdict::Unknown);
    }
}
