//! How what the settings leave open is filled in.

use deepfit_data::{Dataset, PairLabel, Part, Split, Task, nearest};

use super::balance;
use super::effect::{augment_in_effect, without_effect};
use super::network::{MEMBERS, choose_model, for_tables};
use super::rates::Rates;
use super::transfer::{self, DataSizes, TransferPlan};
use super::{Recipe, similarity};
use crate::decision;
use crate::error::{Result, TrainError};
use crate::metrics;
use crate::settings::Settings;
use crate::transfer::Backbone;

/// Tables with at most this many rows choose their number of epochs by cross-validation.
const SMALL_TABLE: usize = 3_000;
/// Data with at most this many rows is used whole, validation part included, for the final weights.
const SMALL_DATA: usize = 20_000;
/// Image networks get at least this many updates, if that takes no more than this many epochs.
const FEWEST_UPDATES: usize = 300;
const MOST_EPOCHS: u32 = 60;
/// Epochs and dropout of networks for texts that begin with nothing.
const TEXT_EPOCHS: u32 = 12;
const LABEL_EPOCHS: u32 = 24;
const TEXT_DROPOUT: f32 = 0.3;
const LANGUAGE_EPOCHS: u32 = 10;
const LANGUAGE_DROPOUT: f32 = 0.1;
/// Schedules that are saved without settings of their own, if none was given: they depend on nothing else.
const PLAIN: [&str; 3] = ["constant", "cosine", "one_cycle"];

impl Recipe {
    /// Resolves settings for data and its split. Also gives notes: which settings change nothing in this run, and why.
    ///
    /// # Errors
    /// If a setting does not suit the data.
    pub fn resolve(
        mut settings: Settings,
        data: &Dataset,
        split: &Split,
        backbone: Option<&Backbone>,
    ) -> Result<(Recipe, Vec<String>)> {
        settings.validate()?;
        settings.precision = settings.multiplies_in().name().to_string();
        let (images, texts) = (data.is_images(), data.is_texts());
        let table = data.is_table();
        let classification = data.task().is_classification();
        let train = split.train.len();
        let rows = train + split.validation.len();

        if backbone.is_none() {
            settings.model = choose_model(&settings.model, data)?;
        }
        let transfers = backbone.is_some();
        let mut notes = without_effect(&mut settings, data, transfers);
        // Who says how strong it is to be means that.
        let open = settings.dropout.is_none() && settings.weight_decay.is_none() && settings.augment.is_none();
        if transfers && settings.regularise == Some(true) {
            notes.push("`regularise` has no effect: of a published network validation chooses the penalty".to_string());
        }
        settings.regularise = Some(!transfers && settings.regularise.unwrap_or(open));
        let similarity = matches!(data.task(), Task::Similarity { .. });
        if let (true, Some(backbone)) = (similarity, backbone) {
            similarity::resolve(&mut settings, backbone)?;
        }
        let longest = data.text_sizes().map_or(1, |(longest, _)| longest);
        let sizes = DataSizes { rows, samples: data.len(), tokens: rows * longest };
        let transfer = backbone.map(|backbone| TransferPlan::new(&settings, backbone, sizes)).transpose()?;
        if transfer.as_ref().is_some_and(TransferPlan::is_useful_untrained) {
            one_stage(&mut settings)?;
        }
        let language = *data.task() == Task::NextToken;
        let labels = matches!(data.task(), Task::Labels { .. });
        let small = if table { rows <= SMALL_TABLE } else { transfers && !language && rows < transfer::FEW };
        // Each of the members already learns another network, so that fewer folds tell as much.
        let ensemble = settings.model == "tabm" && !transfers;
        let most_folds = if ensemble { 3 } else { 5 };
        // A part that the user gave for validation is not trained on.
        let own_validation =
            settings.validation.is_some() || (settings.split.is_some() && data.has_part(Part::Validation));
        let by_default = || {
            let divided: Vec<u32> = split.train.iter().chain(&split.validation).copied().collect();
            // Groups and times may be few.
            (rows / 2).min(data.most_folds(&divided)).clamp(1, most_folds)
        };
        let folds = settings.folds.unwrap_or_else(|| if small && !own_validation { by_default() } else { 1 });
        if folds > 1 && own_validation {
            return Err(TrainError::setting("folds", "validation data of its own leaves nothing to fold; use folds=1"));
        }
        if folds > rows / 2 {
            return Err(TrainError::setting(
                "folds",
                format!("{folds} folds of {rows} rows leave too few in each; use at most {}", rows / 2),
            ));
        }
        settings.folds = Some(folds);
        let refit = settings.refit.unwrap_or(folds > 1 || (rows <= SMALL_DATA && !own_validation && !language));
        if folds > 1 && !refit {
            return Err(TrainError::setting(
                "refit",
                "folds choose the number of epochs for a refit; use refit=true or folds=1",
            ));
        }
        settings.refit = Some(refit);
        let sixteenth = (train / 16).next_power_of_two();
        if let Some(batch) = settings.batch.filter(|&batch| batch > train) {
            notes.push(format!(
                "`batch` is {batch}, but there are {train} training rows: each epoch is one batch of all"
            ));
        }
        let batch = settings.batch.unwrap_or(match backbone {
            Some(backbone) => transfer::batch(backbone, longest),
            None if texts => sixteenth.clamp(16, 32),
            None => sixteenth.clamp(16, if images { 64 } else { 256 }),
        });
        let batch = batch.min(train);
        settings.batch = Some(batch);
        let batches = rows.div_ceil(batch.max(1)) as u64;
        if settings.accumulate > 1 && settings.accumulate > batches {
            let problem = format!("is {}, but an epoch has {batches} batches; use at most that", settings.accumulate);
            return Err(TrainError::setting("accumulate", problem));
        }
        // With few images an epoch has few updates, too few for the statistics of batch normalisation to settle.
        let enough = |epochs: u32| ((FEWEST_UPDATES / (train / batch).max(1)) as u32).clamp(epochs, MOST_EPOCHS);
        settings.epochs = Some(settings.epochs.unwrap_or(match rows {
            _ if transfers && language => transfer::UNFROZEN_EPOCHS,
            _ if transfer.as_ref().is_some_and(TransferPlan::begins_with_blocks) => enough(transfer::UNFROZEN_EPOCHS),
            _ if labels => enough(LABEL_EPOCHS),
            _ if transfers => transfer::EPOCHS,
            _ if language => LANGUAGE_EPOCHS,
            _ if texts => enough(TEXT_EPOCHS),
            _ if images && settings.model == "cnn" => enough(30),
            _ if images => enough(20),
            0..=SMALL_TABLE => 60,
            _ => 30,
        }));
        let epochs = settings.epochs.unwrap_or(1);
        if settings.warmup > f64::from(epochs) {
            let problem = format!("is {} epochs, but the run has {epochs}; use fewer than that", settings.warmup);
            return Err(TrainError::setting("warmup", problem));
        }
        settings.lr = Some(settings.lr.unwrap_or_else(|| default_rate(&settings, images, transfers)));
        if !transfers {
            settings.weight_decay = Some(settings.weight_decay.unwrap_or_else(|| default_decay(&settings, images)));
        }
        match &settings.optimizer[..] {
            "sgd" => settings.momentum = Some(settings.momentum.unwrap_or(0.9)),
            "rmsprop" => settings.momentum = Some(settings.momentum.unwrap_or(0.0)),
            _ => {}
        }
        if table {
            settings.scaling = Some(settings.scaling.unwrap_or_default());
        }
        let schedule = settings.schedule.unwrap_or_else(|| if table { "cosine" } else { "one_cycle" }.into());
        settings.schedule = Some(if schedule.parts.is_empty() && PLAIN.contains(&&schedule.name[..]) {
            schedule
        } else {
            Rates::parse(&schedule)?.resolved(epochs).choice()
        });
        settings.average = Some(settings.average.unwrap_or(match rows {
            // Of few epochs, the weights that an average remembers are worse than the last.
            _ if language => 0.0,
            0..=SMALL_DATA => 0.99,
            _ => 0.999,
        }));
        if language {
            // Without a limit, single windows throw a transformer back (Pascanu et al., 2013).
            settings.clip = Some(settings.clip.unwrap_or(1.0));
        }
        settings.dropout = Some(settings.dropout.unwrap_or(if ensemble {
            0.1
        } else if settings.model == "mlp" {
            0.15
        } else if settings.model == "cnn" {
            0.25
        } else if language && !transfers {
            LANGUAGE_DROPOUT
        } else if texts && !transfers {
            TEXT_DROPOUT
        } else {
            0.0
        }));
        if settings.model == "tabm" {
            settings.members = Some(settings.members.unwrap_or(MEMBERS));
        }
        if for_tables(&settings.model) && settings.hidden.is_none() {
            settings.hidden = Some(match (rows <= SMALL_TABLE, ensemble) {
                (true, _) => vec![64, 64],
                (false, true) => vec![128, 128],
                (false, false) => vec![256, 128],
            });
        }
        settings.patience = Some(settings.patience.unwrap_or(if folds > 1 { 0 } else { 10 }));
        if classification {
            settings.label_smoothing = Some(settings.label_smoothing.unwrap_or(match images {
                _ if transfers => transfer::SMOOTHING,
                true => 0.1,
                // The mean of members is less sure of itself than each of them.
                _ if ensemble => 0.0,
                false => 0.05,
            }));
        } else if let Task::Regression = data.task() {
            settings.loss = Some(settings.loss.unwrap_or_else(|| "squared".to_string()));
            if settings.loss.as_deref() == Some("ranking") {
                return Err(TrainError::setting("loss", "ranking is for scores of pairs of texts, by task=similarity"));
            }
        } else if let Task::Similarity { label: PairLabel::Score | PairLabel::Related } = data.task() {
            settings.loss = Some(settings.loss.unwrap_or_else(|| "ranking".to_string()));
        }
        let sees_images = transfer.as_ref().is_none_or(|plan| plan.sees_samples);
        if images && !sees_images && settings.augment.take().is_some() {
            notes.push(
                "`augment` has no effect: features of the images are computed once; unfreeze=2, say, trains on \
                        changed images"
                    .to_string(),
            );
        }
        if images && sees_images {
            let augment = settings.augment_over(&data.default_augment())?;
            let augment = augment_in_effect(&mut notes, &settings, augment, data);
            let table = toml::Table::try_from(&augment);
            settings.augment = Some(table.map_err(|e| TrainError::setting("augment", e.to_string()))?);
        }
        let (task, class_counts) = (data.task().clone(), balance::class_counts(data, &split.train));
        balance::choose_positive(&mut settings, &task, &class_counts, &mut notes)?;
        if settings.calibration == "isotonic" {
            let held: Vec<u32> = match folds {
                1 => split.validation.clone(),
                _ => split.train.iter().chain(&split.validation).copied().collect(),
            };
            require_isotonic(&task, &balance::class_counts(data, &held))?;
        }
        require_metric(settings.metric.as_deref(), &task)?;
        let costs = balance::costs(&mut settings, &task, &mut notes)?;
        let (weights, loss_weights) = balance::row_weights(data, split, &settings)?;
        let recipe = Recipe {
            settings,
            task,
            class_counts,
            rows: train,
            longest,
            transfer,
            weights,
            loss_weights,
            costs,
            attempt: None,
            permutation: None,
        };
        if recipe.loss_weights.is_some() && recipe.mixes() {
            let problem = "is given, and augment.mixup and augment.cutmix make one sample of two rows; switch them off";
            return Err(TrainError::setting("weight", problem));
        }
        Ok((recipe, notes))
    }
}

/// Refuses a metric that a task does not have.
fn require_metric(name: Option<&str>, task: &Task) -> Result<()> {
    let Some(name) = name else { return Ok(()) };
    let known: Vec<&str> = match task {
        Task::Classification { classes } => {
            let of_two = if classes.len() == 2 { metrics::TWO_CLASS_METRICS } else { &[] };
            [metrics::CLASSIFICATION_METRICS, of_two].concat()
        }
        Task::MultiLabel { .. } => metrics::MULTI_LABEL_METRICS.to_vec(),
        Task::Regression => metrics::REGRESSION_METRICS.to_vec(),
        Task::Labels { .. } => metrics::TAGGING_METRICS.to_vec(),
        Task::NextToken => metrics::LANGUAGE_METRICS.to_vec(),
        Task::Similarity { label: PairLabel::Partners } => vec!["mrr", "recall_at_1", "recall_at_10", "log_loss"],
        Task::Similarity { label: PairLabel::Score } => vec!["spearman", "pearson", "rank_loss"],
        Task::Similarity { label: PairLabel::Related } => vec!["spearman", "pearson", "roc_auc", "rank_loss"],
    };
    if known.contains(&name) {
        return Ok(());
    }
    let hint = nearest(name, known.iter().copied()).map_or(String::new(), |n| format!("; did you mean `{n}`?"));
    let problem = format!("`{name}` is none of this task, which has {}{hint}", known.join(", "));
    Err(TrainError::setting("metric", problem))
}

/// Refuses isotonic regression of which there are too few rows.
fn require_isotonic(task: &Task, counts: &[usize]) -> Result<()> {
    let problem = match task {
        Task::MultiLabel { .. } => {
            "isotonic is for classes of which one is true, and these are labels; use temperature".to_string()
        }
        _ if decision::enough_for_isotonic(counts) => return Ok(()),
        _ => format!(
            "isotonic needs at least {} validation rows of each class and of all others, and the classes have {}; use \
             temperature, or auto, or give more data",
            decision::FEWEST_OF_CLASS,
            counts.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
        ),
    };
    Err(TrainError::setting("calibration", problem))
}

/// Where the published weights count as those of an epoch, validation chooses among the epochs of one stage.
fn one_stage(settings: &mut Settings) -> Result<()> {
    if settings.folds.is_some_and(|folds| folds > 1) || settings.refit == Some(true) {
        let key = if settings.refit == Some(true) { "refit" } else { "folds" };
        let problem = "is not for similarity, nor for a published network that continues texts: the weights are those of the \
                       best epoch on validation, or the published ones";
        return Err(TrainError::setting(key, problem));
    }
    (settings.folds, settings.refit) = (Some(1), Some(false));
    Ok(())
}

/// The learning rate at the top of the schedule.
fn default_rate(settings: &Settings, images: bool, transfers: bool) -> f64 {
    // For optimisers whose steps are as long as the rate.
    let rate = match (images, &settings.model[..]) {
        _ if transfers => transfer::RATE,
        (true, "cnn") => 1e-2,
        (true, _) => 3e-3,
        (false, "tabm") => 6e-3,
        (false, _) => 2e-3,
    };
    match &settings.optimizer[..] {
        "sgd" => [0.02, 0.05][usize::from(images)],
        // Without correction of the first averages its first steps are long.
        "rmsprop" => rate / 2.0,
        "adagrad" => rate * 5.0,
        "adadelta" => rate * 500.0,
        // Each value moves by the whole rate.
        "lion" => rate / 5.0,
        _ => rate,
    }
}

/// Weight decay, which is a share of the weight where it is apart from the gradient.
fn default_decay(settings: &Settings, images: bool) -> f64 {
    let apart = [0.1, 0.05][usize::from(images)];
    match &settings.optimizer[..] {
        "adamw" | "lamb" => apart,
        "lion" => apart * 5.0,
        "sgd" => 5e-4,
        _ => 1e-4,
    }
}
