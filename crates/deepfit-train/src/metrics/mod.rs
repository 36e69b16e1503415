//! Metrics that are streamed: batches of predictions go in, numbers come out, and no prediction is kept.
//!
//! Memory does not grow with the number of examples, but for the scores of which areas under the ROC curve are made, up to a
//! limit. [`ClassificationMetrics`] and [`RegressionMetrics`] take
//! batches by `add`, and give the metrics so far by `scores` and their 95 % intervals by `intervals`. The result
//! is the same bits however the examples are cut into batches, as long as their order is the same.
//!
//! A metric that is not defined on the examples seen (the area under the ROC curve with one class only, R2 of a
//! constant target, anything of no examples) is absent: a score is never NaN.

mod bootstrap;
mod calibration;
mod classification;
mod correlation;
mod error;
mod interval;
mod language;
mod moments;
mod multi_label;
mod ranking;
mod regression;
mod residuals;
mod scores;
mod similarity;
mod tagging;

pub use calibration::{ECE_BINS, ReliabilityBin};
pub use classification::{ClassCounts, ClassificationMetrics, MAX_CONFUSION_CLASSES};
pub(crate) use classification::{brier, largest};
pub use correlation::{pearson, ranks};
pub use error::MetricError;
pub(crate) use interval::{positive_mean, wilson};
pub use language::LanguageMetrics;
pub(crate) use moments::{Moments, Tally};
pub use multi_label::{LABEL_THRESHOLD, LabelScores, MultiLabelMetrics};
pub use regression::RegressionMetrics;
pub use residuals::ResidualSummary;
pub use scores::{Intervals, Scores};
pub(crate) use similarity::dot;
pub use similarity::{SCALE, SimilarityMetrics};
pub use tagging::TaggingMetrics;

/// Names of the further metrics of two classes.
pub const TWO_CLASS_METRICS: &[&str] = &["sensitivity", "specificity"];

/// Names of the metrics of several labels.
pub const MULTI_LABEL_METRICS: &[&str] =
    &["f1_macro", "f1_micro", "mean_average_precision", "subset_accuracy", "log_loss"];

/// Names of the metrics of a classification.
pub const CLASSIFICATION_METRICS: &[&str] =
    &["accuracy", "balanced_accuracy", "f1", "roc_auc", "log_loss", "brier", "ece"];

/// Names of the metrics of a regression.
pub const REGRESSION_METRICS: &[&str] = &["mae", "rmse", "r2"];

/// Names of the metrics of what comes next in a text; a smaller value is a better one.
pub const LANGUAGE_METRICS: &[&str] = &["log_loss", "perplexity", "bits_per_byte"];

/// Names of the metrics of embeddings of texts: of partners, and of pairs with scores.
pub const SIMILARITY_METRICS: &[&str] =
    &["mrr", "recall_at_1", "recall_at_10", "log_loss", "spearman", "pearson", "roc_auc", "rank_loss"];
/// Names of the metrics of labels of words.
pub const TAGGING_METRICS: &[&str] = &["f1", "precision", "recall", "token_accuracy", "log_loss"];

/// Whether a larger value of the metric is a better one.
///
/// False for the errors `log_loss`, `rank_loss`, `brier`, `ece`, `mae` and `rmse` and for any name that is not one of these lists, since what else
/// is watched is a loss.
pub fn higher_is_better(name: &str) -> bool {
    let known = [
        CLASSIFICATION_METRICS,
        TWO_CLASS_METRICS,
        MULTI_LABEL_METRICS,
        REGRESSION_METRICS,
        SIMILARITY_METRICS,
        TAGGING_METRICS,
    ];
    known.concat().contains(&name) && !matches!(name, "log_loss" | "rank_loss" | "brier" | "ece" | "mae" | "rmse")
}
