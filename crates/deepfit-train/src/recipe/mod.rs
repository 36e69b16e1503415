//! What is chosen from the data where the settings leave it open: model, batch, learning rate, number of epochs.

mod balance;
mod effect;
mod rates;
mod similarity;
mod text;
mod transfer;

use std::borrow::Cow;
use std::sync::Arc;

use deepfit_data::{
    Array, Augment, Batch, Dataset, PairLabel, Part, Pass, Prepared, Preprocessor, Slot, Source, Split, Task, nearest,
};
use deepfit_nn::optim::{RmsProp, Sgd};
use deepfit_nn::step::Training;
use deepfit_nn::{Clip, MovingAverage, Optimizer, Schedule};
use deepfit_zoo::{
    CATEGORIES, CnnConfig, EmbeddingConfig, ImageConfig, MlpConfig, MobilenetV2Config, ModelConfig, NUMERIC,
    PeriodicConfig, ResnetConfig, TabmConfig,
};

use crate::decision::{self, Costs, Wanted};
use crate::error::{Result, TrainError};
use crate::fit::{Monitored, monitored};
use crate::job::Permutation;
use crate::metrics;
use crate::overfitting::{self, Attempt};
use crate::settings::{ADAPTIVE, Settings};
use crate::stage::{Chosen, Trial};
use crate::transfer::{Backbone, Cut};

pub(crate) use balance::rare_classes;
use effect::{augment_in_effect, without_effect};
pub use rates::Rates;
use transfer::DataSizes;
pub use transfer::TransferPlan;

/// Members of the ensemble for tables.
const MEMBERS: usize = 8;
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
/// Images up to this side are learned by the small network.
const SMALL_IMAGE: usize = 64;

/// Settings with nothing left open, and the network that they ask for.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// All settings, resolved.
    pub settings: Settings,
    /// Classes or regression.
    pub task: Task,
    /// Rows in each class or with each label among the training rows; empty for a regression.
    pub class_counts: Vec<usize>,
    /// Training rows.
    pub rows: usize,
    /// Steps of the longest sequence; 1 of what is none.
    pub longest: usize,
    /// If it begins with a published network, what of it is trained.
    pub transfer: Option<TransferPlan>,
    /// Weight of each row of the data, if they do not all count alike.
    pub weights: Option<Arc<[f64]>>,
    /// The same in the loss: 1 on average over the training rows.
    pub loss_weights: Option<Arc<[f32]>>,
    /// What errors cost.
    pub costs: Option<Costs>,
    /// What is tried against overfitting, once that is decided.
    pub attempt: Option<Attempt>,
    /// In the control of shuffled labels, the row whose target each row has.
    pub permutation: Option<Permutation>,
}

/// Resolves which of two classes is the positive one, where a run does not resolve all settings.
///
/// # Errors
/// If the settings name one that is not there.
pub fn choose_positive(settings: &mut Settings, data: &Dataset, train: &[u32]) -> Result<()> {
    let counts = balance::class_counts(data, train);
    balance::choose_positive(settings, data.task(), &counts, &mut Vec::new())
}

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

    /// Whether the published network does already what it is trained for: then its weights before the first step count as
    /// those of epoch 0.
    pub fn is_useful_untrained(&self) -> bool {
        self.transfer.as_ref().is_some_and(TransferPlan::is_useful_untrained)
    }

    /// Whether something is made of the outputs of the network, which is fitted to predictions of validation rows.
    pub fn decides(&self) -> bool {
        let s = &self.settings;
        match self.task {
            Task::Classification { .. } => s.calibration != "none" || s.coverage > 0.0 || self.costs.is_some(),
            Task::MultiLabel { .. } => s.calibration != "none" || self.costs.is_some(),
            Task::Regression => s.coverage > 0.0,
            _ => false,
        }
    }

    /// The metric by which epochs and ways of training are chosen.
    pub fn monitored(&self) -> Monitored<'_> {
        Monitored { name: self.settings.metric.as_deref().unwrap_or(monitored(&self.task)) }
    }

    /// What is made of the outputs of the network.
    pub fn wanted(&self) -> Wanted<'_> {
        let Settings { calibration, coverage, sets, .. } = &self.settings;
        Wanted { calibration, coverage: *coverage, adaptive: sets == ADAPTIVE, costs: self.costs.clone() }
    }

    /// Rows in a batch.
    pub fn batch(&self) -> usize {
        self.settings.batch.unwrap_or(32)
    }

    /// Most epochs.
    pub fn epochs(&self) -> u32 {
        self.settings.epochs.unwrap_or(1)
    }

    /// Changes of training images.
    pub fn augment(&self) -> Augment {
        // Checked when the recipe was made.
        self.settings.augment_over(&Augment::none()).unwrap_or_else(|_| Augment::none())
    }

    /// Whether batches mix images and carry two classes for each.
    pub fn mixes(&self) -> bool {
        let augment = self.augment();
        self.task.is_classification() && (augment.mixup > 0.0 || augment.cutmix > 0.0)
    }

    /// The network for prepared data whose training rows are given.
    ///
    /// # Errors
    /// If an image cannot be read.
    pub fn model(&self, prepared: &Prepared, train: &[u32]) -> Result<ModelConfig> {
        let slots = prepared.source.slots();
        let outputs = self.task.outputs();
        let dropout = self.settings.dropout.unwrap_or(0.0);
        if let Some(slot) = slots.iter().find(|s| s.name == deepfit_zoo::IMAGE) {
            let image = image_config(slot, &*prepared.source, train)?;
            return Ok(match &self.settings.model[..] {
                "resnet18" => ModelConfig::Resnet(ResnetConfig::resnet18(image, outputs)),
                "resnet34" => ModelConfig::Resnet(ResnetConfig::resnet34(image, outputs)),
                "resnet50" => ModelConfig::Resnet(ResnetConfig::resnet50(image, outputs)),
                "mobilenet_v2" => {
                    let standard = MobilenetV2Config::standard(image, outputs);
                    ModelConfig::MobilenetV2(MobilenetV2Config { dropout, ..standard })
                }
                _ => ModelConfig::Cnn(CnnConfig { dropout, ..CnnConfig::for_images(image, outputs) }),
            });
        }
        if let Preprocessor::Text(text) = &prepared.preprocessor {
            let vocabulary = text.vocabulary();
            if self.task == Task::NextToken {
                return Ok(text::language(&self.settings.model, vocabulary, text.most_tokens, dropout));
            }
            if let Task::Labels { .. } = self.task {
                return Ok(text::labels(&self.settings.model, text, outputs, dropout));
            }
            return Ok(text::network(&self.settings.model, text, outputs, dropout));
        }
        let numeric = slots.iter().find(|s| s.name == NUMERIC).map_or(0, Slot::values);
        let categories = slots.iter().find(|s| s.name == CATEGORIES).map_or(&[][..], |s| &s.cardinalities);
        let embeddings = categories.iter().map(|&c| EmbeddingConfig::of(c)).collect();
        let hidden = self.settings.hidden.clone().unwrap_or_default();
        if self.settings.model == "tabm" {
            return Ok(ModelConfig::Tabm(TabmConfig {
                numeric,
                embeddings,
                periodic: PeriodicConfig::default(),
                members: self.settings.members.unwrap_or(MEMBERS),
                hidden,
                outputs,
                classification: self.task.is_classification(),
                dropout,
            }));
        }
        Ok(ModelConfig::Mlp(MlpConfig {
            numeric,
            embeddings,
            hidden,
            outputs,
            activation: deepfit_nn::Activation::Relu,
            dropout,
            batch_norm: false,
            skip: true,
        }))
    }

    /// The ways among which validation chooses; the first is also what is planned with.
    pub fn trials(&self) -> Vec<Trial> {
        match &self.transfer {
            Some(plan) => plan.trials(&self.settings),
            None => {
                let usual = Trial { weight_decay: self.settings.weight_decay.unwrap_or(0.0), ..Trial::default() };
                let tried = self.attempt.as_ref().is_some_and(|attempt| attempt.epochs > 0);
                let strong = || Trial { stronger: true, ..usual };
                [usual].into_iter().chain(tried.then(strong)).collect()
            }
        }
    }

    /// Whether a network that overfits is tried with stronger regularisation: one from scratch, whose rate depends on nothing
    /// but the epoch.
    pub fn counters(&self) -> bool {
        self.transfer.is_none() && self.settings.regularise == Some(true) && self.rates().plateau().is_none()
    }

    /// The way that was tried before a stronger one.
    pub fn usual(&self, trial: &Trial) -> Trial {
        Trial { stronger: false, ..*trial }
    }

    /// The recipe of a way: the same, but for one that is regularised more strongly.
    pub fn of(&self, trial: &Trial) -> Cow<'_, Recipe> {
        if !trial.stronger {
            return Cow::Borrowed(self);
        }
        let (settings, _) = overfitting::stronger(&self.settings);
        Cow::Owned(Recipe { settings, ..self.clone() })
    }

    /// Whether validation may choose this way.
    pub fn admits(&self, trial: &Trial) -> bool {
        let must_unfreeze =
            self.transfer.as_ref().is_some_and(|plan| !plan.unfrozen.is_empty() && !plan.only_if_better);
        let kept = self.attempt.as_ref().is_some_and(|attempt| attempt.kept == Some(true));
        (trial.unfrozen > 0 || !must_unfreeze) && trial.stronger == kept
    }

    /// Of a transfer, where the network is cut.
    pub fn cut(&self, trial: &Trial) -> Cut {
        self.transfer.as_ref().map_or(Cut { blocks: 0, applied: false }, |plan| plan.cut(trial))
    }

    /// What validation has chosen, in words.
    pub fn describe_choice(&self, chosen: &Chosen) -> String {
        let monitored = self.monitored();
        let Chosen { trial, epochs, value } = *chosen;
        let (metric, value) = (monitored.name, monitored.turned(value));
        let lora = self.transfer.as_ref().is_some_and(|plan| plan.lora.is_some());
        let what = match trial.unfrozen {
            0 => format!("the last layer with weight_decay={}", trial.weight_decay),
            1 => "the last layer and the block below it".to_string(),
            blocks if lora => format!("the last layer and changes of the {blocks} blocks below it"),
            blocks => format!("the last layer and the {blocks} blocks below it"),
        };
        let epochs = if epochs == 1 { "1 epoch".to_string() } else { format!("{epochs} epochs") };
        format!("validation chose {epochs} of {what} ({metric} {value:.4})")
    }

    /// Leaves all blocks as they are, if it is for validation to say whether to train some; tells whether it is.
    pub fn keeps_blocks(&mut self) -> bool {
        let Some(plan) = self.transfer.as_mut().filter(|plan| plan.only_if_better) else { return false };
        plan.unfrozen.clear();
        self.settings.unfreeze = Some(crate::settings::Unfreeze::Blocks(0));
        true
    }

    /// How the parameters are trained.
    pub fn training(&self) -> Training {
        self.training_of(&self.trials()[0])
    }

    /// How the parameters are trained in one of several ways.
    pub fn training_of(&self, trial: &Trial) -> Training {
        let s = &self.settings;
        // Checked when the recipe was made.
        let optimizer = match Optimizer::named(&s.optimizer).unwrap_or(Optimizer::adamw()) {
            Optimizer::Sgd(sgd) => {
                Optimizer::Sgd(Sgd { momentum: s.momentum.unwrap_or(0.9), nesterov: s.nesterov, ..sgd })
            }
            Optimizer::RmsProp(rms) => Optimizer::RmsProp(RmsProp { momentum: s.momentum.unwrap_or(0.0), ..rms }),
            other => other,
        };
        let optimizer = self.transfer.as_ref().map_or(optimizer, |plan| plan.optimizer(trial, optimizer));
        let optimizer = optimizer.with_weight_decay(trial.weight_decay);
        let moving_average = s.average.filter(|&decay| decay > 0.0).map(|decay| MovingAverage { decay, warmup: true });
        Training { clip: s.clip.map(Clip::Norm), moving_average, ..Training::new(optimizer) }
    }

    /// Epochs without improvement on validation after which a stage ends; 0 for never.
    pub fn patience(&self, trial: &Trial) -> u32 {
        let patience = self.settings.patience.unwrap_or(0);
        // Blocks that do not gain soon do not gain at all, and each epoch costs much.
        if trial.unfrozen > 0 && patience > 0 { patience.min(transfer::UNFROZEN_PATIENCE) } else { patience }
    }

    /// Most epochs of a stage that trains blocks of a published network.
    pub fn unfrozen_epochs(&self) -> u32 {
        self.transfer.as_ref().map_or(self.epochs(), |plan| plan.unfrozen_epochs(&self.settings))
    }

    /// How the learning rate changes.
    pub fn rates(&self) -> Rates {
        // Checked when the recipe was made.
        let choice = self.settings.schedule.clone().unwrap_or_else(|| "cosine".into());
        Rates::parse(&choice).unwrap_or(Rates::Constant).resolved(self.epochs())
    }

    /// The learning-rate schedule for epochs of the given number of updates.
    pub fn schedule(&self, updates_per_epoch: u64) -> Schedule {
        let warmup_steps = (self.settings.warmup * updates_per_epoch as f64).round() as u64;
        self.rates().in_updates(updates_per_epoch, warmup_steps)
    }

    /// Weight of each class, in inverse proportion to its number of rows, or of the rows that have a label.
    pub fn class_weights(&self) -> Option<Vec<f32>> {
        if !self.settings.class_weights || self.class_counts.is_empty() {
            return None;
        }
        Some(balance::weights(&self.task, &self.class_counts, self.rows))
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

/// Schedules that are saved without settings of their own, if none was given: they depend on nothing else.
const PLAIN: [&str; 3] = ["constant", "cosine", "one_cycle"];

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

/// Whether a model is one for tables.
fn for_tables(model: &str) -> bool {
    matches!(model, "tabm" | "mlp")
}

fn choose_model(model: &str, data: &Dataset) -> Result<String> {
    let images = data.is_images();
    let side = data.image_shape().map_or(0, |[h, w, _]| h.max(w));
    match (model, images) {
        (name, _) if data.is_texts() => match name {
            "auto" if *data.task() == Task::NextToken => Ok("transformer".to_string()),
            "auto" if matches!(data.task(), Task::Labels { .. }) => Ok("lstm".to_string()),
            "auto" => Ok("gru".to_string()),
            "lstm" | "gru" | "rnn" | "transformer" => Ok(name.to_string()),
            other => {
                let problem = format!("{other} is not for texts; use lstm, gru, rnn or transformer, or `from`");
                Err(TrainError::setting("model", problem))
            }
        },
        ("lstm" | "gru" | "rnn" | "transformer", _) => {
            let problem = format!("{model} is for texts; a table has none unless `text` names their column");
            Err(TrainError::setting("model", problem))
        }
        ("auto", true) => Ok(if side <= SMALL_IMAGE { "cnn" } else { "resnet18" }.to_string()),
        ("auto", false) => Ok("tabm".to_string()),
        (name, true) if for_tables(name) => Err(TrainError::setting(
            "model",
            format!("{name} is for tables; for images use cnn, resnet18, resnet34, resnet50 or mobilenet_v2"),
        )),
        (other, false) if !for_tables(other) => {
            Err(TrainError::setting("model", format!("{other} is for images; for tables use tabm or mlp")))
        }
        (other, _) => Ok(other.to_string()),
    }
}

/// Size of the images and the mean and deviation of each channel over some of the training rows.
fn image_config(slot: &Slot, source: &dyn Source, train: &[u32]) -> Result<ImageConfig> {
    const MOST_ROWS: usize = 512;
    let &[height, width, channels] = &slot.shape[..] else {
        return Err(TrainError::setting("data", "images must have height, width and channels"));
    };
    let (mut sums, mut squares, mut count) = (vec![0.0; channels], vec![0.0; channels], 0.0);
    let mut batch = Batch::new();
    let step = train.len().div_ceil(MOST_ROWS).max(1);
    let rows: Vec<u32> = train.iter().copied().step_by(step).collect();
    for rows in rows.chunks(64) {
        source.fill(rows, Pass::Evaluate, &mut batch)?;
        if let Some(Array::U8(pixels)) = batch.inputs.first() {
            for pixel in pixels.chunks_exact(channels) {
                for (c, &value) in pixel.iter().enumerate() {
                    let x = f64::from(value) / 255.0;
                    sums[c] += x;
                    squares[c] += x * x;
                }
                count += 1.0;
            }
        }
    }
    let count = f64::max(count, 1.0);
    let mean: Vec<f64> = sums.iter().map(|s| s / count).collect();
    // Constant images have no deviation to divide by.
    let deviation = squares.iter().zip(&mean).map(|(s, m)| (s / count - m * m).max(0.0).sqrt().max(1e-3) as f32);
    Ok(ImageConfig {
        height,
        width,
        channels,
        std: deviation.collect(),
        mean: mean.iter().map(|&m| m as f32).collect(),
    })
}
