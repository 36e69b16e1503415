//! What each metric means, in a sentence for people who have never heard of it.

/// A metric in words.
#[derive(Debug, Clone, PartialEq)]
pub struct Meaning {
    /// What people call it.
    pub title: String,
    /// What it means, and what is good.
    pub sentence: &'static str,
}

/// Metrics in the order in which people look at them, with their names in the result, what people call them and what they
/// mean.
const KNOWN: &[(&str, &str, &str)] = &[
    (
        "mrr",
        "Mean reciprocal rank",
        "The mean of 1 divided by the rank of the partner among all texts; 1 if it is always the nearest.",
    ),
    ("recall_at_1", "Recall at 1", "Share of texts whose partner is the nearest of all; 1 is all."),
    ("recall_at_10", "Recall at 10", "Share of texts whose partner is among the ten nearest; 1 is all."),
    (
        "spearman",
        "Spearman's correlation",
        "Whether nearer texts have larger scores, by their order alone: 1 if always, 0 if there is no connection.",
    ),
    (
        "pearson",
        "Pearson's correlation",
        "Whether scores grow with nearness along a line: 1 if exactly, 0 if there is no connection.",
    ),
    ("accuracy", "Accuracy", "Share of the rows whose class was told rightly; 1 is all."),
    (
        "balanced_accuracy",
        "Balanced accuracy",
        "The mean over classes of the share that was recognised, so that rare classes count as much as common ones.",
    ),
    (
        "sensitivity",
        "Sensitivity",
        "Share of the rows of the positive class that were recognised; the others were missed.",
    ),
    (
        "specificity",
        "Specificity",
        "Share of the rows of the other class that were recognised; the others were false alarms.",
    ),
    ("f1", "F1", "Brings together how many of what was found is right and how much was found; 1 if both are perfect."),
    ("precision", "Precision", "Share of what was found that is right; 1 is all."),
    ("recall", "Recall", "Share of what is there that was found; 1 is all."),
    (
        "token_accuracy",
        "Accuracy of words",
        "Share of words with the right label; 1 is all. Where most words have none, it is large even if nothing is found.",
    ),
    (
        "f1_macro",
        "F1, mean over labels",
        "F1 of each label by itself, then their mean, so that rare labels count as much as common ones.",
    ),
    (
        "f1_micro",
        "F1, over all decisions",
        "F1 of all decisions about labels taken together, so that common labels count most.",
    ),
    (
        "mean_average_precision",
        "Mean average precision",
        "How purely rows with a label come first when rows are put in order of its probability; 1 is perfect.",
    ),
    ("subset_accuracy", "All labels right", "Share of the rows of which every label was told rightly; 1 is all."),
    (
        "roc_auc",
        "Area under the ROC curve",
        "The probability that a row of a class gets a larger probability of it than a row of another: 1 is perfect, 0.5 is guessing.",
    ),
    (
        "log_loss",
        "Log loss",
        "How little probability the truth was given; confident mistakes cost most. 0 is perfect, smaller is better.",
    ),
    (
        "brier",
        "Brier score",
        "The mean squared distance of the probabilities from the truth: 0 is perfect, smaller is better.",
    ),
    (
        "rank_loss",
        "Rank loss",
        "How much pairs with small scores are nearer than those with large ones; smaller is better.",
    ),
    (
        "perplexity",
        "Perplexity",
        "From how many equally likely tokens the network would have to choose, on average; smaller is better.",
    ),
    (
        "bits_per_byte",
        "Bits per byte",
        "Bits that a byte of the text would take if it were compressed by these probabilities; a plain file takes 8. Smaller is better.",
    ),
    (
        "ece",
        "Calibration error",
        "How far stated probabilities are from what comes true, on average; 0 is perfect, smaller is better.",
    ),
    (
        "r2",
        "R²",
        "Share of the differences between the values that is explained: 1 is all, 0 is no better than always saying the mean.",
    ),
    (
        "rmse",
        "Root mean squared error",
        "How far off predictions are, in the unit of the target; large mistakes weigh most. Smaller is better.",
    ),
    (
        "mae",
        "Mean absolute error",
        "How far off predictions are on average, in the unit of the target. Smaller is better.",
    ),
];

/// What a metric means.
pub fn meaning(name: &str) -> Meaning {
    match KNOWN.iter().find(|(known, ..)| *known == name) {
        Some((_, title, sentence)) => Meaning { title: title.to_string(), sentence },
        None => Meaning { title: name.replace('_', " "), sentence: "A number that the result of the run holds." },
    }
}

/// Names of metrics in the order in which they are looked at; those that nobody knows come last, by name.
pub fn ordered<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut names: Vec<&str> = names.collect();
    let rank = |name: &str| KNOWN.iter().position(|(known, ..)| *known == name).unwrap_or(KNOWN.len());
    names.sort_by_key(|name| (rank(name), *name));
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use deepfit_train::metrics::{
        CLASSIFICATION_METRICS, LANGUAGE_METRICS, MULTI_LABEL_METRICS, REGRESSION_METRICS, SIMILARITY_METRICS,
        TAGGING_METRICS, TWO_CLASS_METRICS,
    };

    use super::*;

    #[test]
    fn every_metric_is_explained() {
        let all = [
            CLASSIFICATION_METRICS,
            TWO_CLASS_METRICS,
            MULTI_LABEL_METRICS,
            REGRESSION_METRICS,
            LANGUAGE_METRICS,
            SIMILARITY_METRICS,
            TAGGING_METRICS,
        ];
        for name in all.concat() {
            assert!(KNOWN.iter().any(|(known, ..)| *known == name), "{name}");
        }
        assert_eq!(ordered(["zeal", "rmse", "accuracy", "rmse"].into_iter()), ["accuracy", "rmse", "zeal"]);
    }
}
