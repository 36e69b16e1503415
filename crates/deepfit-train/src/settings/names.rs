//! What a setting may be meant by a name that there is not.

use deepfit_data::{edits, nearest};

use super::Settings;

/// Names that other programs use, and the setting that does the same here.
const ELSEWHERE: &[(&str, &[&str])] = &[
    ("target", &["label_column", "target_column", "y"]),
    ("labels", &["annotations", "labels_csv", "metadata"]),
    ("positive", &["pos_label", "positive_class"]),
    ("validation", &["val", "valid", "val_data", "validation_data"]),
    ("group", &["groups", "group_column", "group_by", "patient"]),
    ("time_split", &["time_column", "date_column", "split_by_time", "temporal_split"]),
    ("split", &["split_column", "part", "fold_column"]),
    ("validation_share", &["val_size", "val_split", "val_share", "validation_split", "validation_fraction"]),
    ("test_share", &["test_size", "test_split", "test_fraction"]),
    ("image_size", &["img_size", "imgsz", "input_size", "resolution", "size"]),
    ("scaling", &["scaler", "normalize", "normalization"]),
    ("model", &["arch", "architecture", "backbone", "net", "network"]),
    (
        "hidden",
        &[
            "hidden_dim",
            "hidden_dims",
            "hidden_layers",
            "hidden_layer_sizes",
            "hidden_size",
            "hidden_sizes",
            "hidden_units",
            "layers",
            "units",
            "width",
            "widths",
        ],
    ),
    ("dropout", &["drop_rate", "dropout_rate", "dropout_p"]),
    ("epochs", &["n_epochs", "num_epochs", "max_epochs", "nb_epoch", "max_iter", "iterations"]),
    ("memory", &["max_memory", "memory_limit", "mem", "ram", "max_ram", "memory_budget"]),
    ("time", &["max_time", "time_limit", "timeout"]),
    ("batch", &["batch_size", "bs", "batchsize", "minibatch", "per_device_train_batch_size"]),
    (
        "accumulate",
        &[
            "accumulation",
            "accumulate_grad_batches",
            "accumulation_steps",
            "grad_accum",
            "gradient_accumulation",
            "gradient_accumulation_steps",
        ],
    ),
    ("optimizer", &["optim", "optimiser", "opt", "solver"]),
    ("lr", &["learning_rate", "learningrate", "learning_rate_init", "rate", "alpha", "eta", "eta0", "max_lr"]),
    ("weight_decay", &["wd", "decay", "l2", "l2_reg"]),
    ("schedule", &["lr_schedule", "lr_scheduler", "lr_scheduler_type", "scheduler", "sched", "learning_rate_schedule"]),
    ("warmup", &["warmup_epochs", "warmup_steps", "warm_up", "num_warmup_steps"]),
    (
        "clip",
        &[
            "clip_norm",
            "clipnorm",
            "clip_grad",
            "clip_grad_norm",
            "grad_clip",
            "gradient_clip",
            "gradient_clip_val",
            "gradient_clipping",
            "max_grad_norm",
        ],
    ),
    ("average", &["ema", "ema_decay", "swa", "polyak"]),
    ("label_smoothing", &["smoothing"]),
    ("class_weights", &["class_weight", "balanced", "weighted"]),
    ("calibration", &["calibrate", "temperature", "temperature_scaling"]),
    ("coverage", &["conformal", "confidence_level", "prediction_interval"]),
    ("sets", &["aps", "conformal_method", "conformal_sets", "prediction_sets"]),
    ("header", &["has_header", "headers", "header_row"]),
    ("weight", &["sample_weight", "sample_weights", "weights", "weight_column", "row_weights"]),
    ("by", &["subgroup", "subgroups", "sensitive", "slice", "slices"]),
    ("cost", &["costs", "cost_matrix", "misclassification_cost"]),
    ("metric", &["eval_metric", "monitor", "scoring", "early_stopping_metric", "checkpoint_metric"]),
    ("repeats", &["n_repeats", "repeat", "n_runs", "runs"]),
    ("checks", &["check", "check_data", "data_checks", "validate_data"]),
    ("loss", &["criterion", "loss_fn", "objective"]),
    (
        "patience",
        &[
            "early_stopping",
            "early_stop",
            "earlystopping",
            "early_stopping_patience",
            "early_stopping_rounds",
            "n_iter_no_change",
        ],
    ),
    ("folds", &["cv", "k_folds", "kfold", "kfolds", "n_folds", "n_splits", "num_folds"]),
    ("augment", &["aug", "augmentation", "augmentations", "transforms"]),
    ("seed", &["random_state", "random_seed", "rng", "rng_seed", "manual_seed"]),
    ("threads", &["n_jobs", "num_threads", "n_threads", "nthreads", "workers", "num_workers", "cores"]),
];

impl Settings {
    /// The setting that is probably meant by a name: itself, what other programs call so, or one that is written nearly so.
    /// Of a name with dots the last part counts, where the first one is no setting.
    pub fn meant_by(name: &str) -> Option<&'static str> {
        let name = name.to_lowercase().replace('-', "_");
        let known = || Settings::KEYS.iter().map(|(key, _)| *key);
        let exact = |name: &str| {
            let elsewhere = || ELSEWHERE.iter().find(|(_, names)| names.contains(&name)).map(|(key, _)| *key);
            known().find(|key| *key == name).or_else(elsewhere)
        };
        let last = name.rsplit('.').next().unwrap_or_default();
        exact(&name).or_else(|| exact(last)).or_else(|| nearest(&name, known()).filter(|near| is_near(&name, near)))
    }
}

/// Whether two names have most letters in common. The nearest of all settings can still be far away.
fn is_near(name: &str, other: &str) -> bool {
    let missing = |from: &str, to: &str| {
        let mut left: Vec<char> = to.chars().collect();
        from.chars().filter(|c| left.iter().position(|l| l == c).map(|at| left.swap_remove(at)).is_none()).count()
    };
    let letters = name.chars().count();
    // The same letters in quite another order are another word.
    missing(name, other).max(missing(other, name)) <= (letters / 4).max(1) && edits(name, other) <= letters / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_other_programs_lead_to_the_setting() {
        for (name, meant) in [
            ("learning_rate", "lr"),
            ("Learning-Rate", "lr"),
            ("batch_size", "batch"),
            ("wd", "weight_decay"),
            ("n_epochs", "epochs"),
            ("num_epochs", "epochs"),
            ("hidden_size", "hidden"),
            ("hidden_sizes", "hidden"),
            ("layers", "hidden"),
            ("random_state", "seed"),
            ("optim", "optimizer"),
            ("lr_schedule", "schedule"),
            ("scheduler", "schedule"),
            ("early_stopping", "patience"),
            ("model.batch_size", "batch"),
            ("training.epochs", "epochs"),
        ] {
            assert_eq!(Settings::meant_by(name), Some(meant), "{name}");
        }
    }

    #[test]
    fn only_near_names_are_taken_for_misspelt() {
        for (name, meant) in
            [("epoch", "epochs"), ("bacth", "batch"), ("weight_decoy", "weight_decay"), ("tiem", "time")]
        {
            assert_eq!(Settings::meant_by(name), Some(meant), "{name}");
        }
        for name in ["year", "foo", "betas", "x", "", "price", "verbose", "device"] {
            assert_eq!(Settings::meant_by(name), None, "{name}");
        }
    }

    #[test]
    fn every_name_of_other_programs_is_one_of_theirs_and_leads_to_one_setting() {
        let mut seen = Vec::new();
        for (key, names) in ELSEWHERE {
            assert!(Settings::is_key(key), "{key}");
            for name in *names {
                assert!(!Settings::is_key(name) && !seen.contains(name), "{name}");
                seen.push(name);
            }
        }
    }
}
