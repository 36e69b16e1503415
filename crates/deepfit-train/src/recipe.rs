//! What is chosen from the data where the settings leave it open: model, batch, learning rate, number of epochs.

use deepfit_data::{Array, Augment, Batch, Dataset, Pass, Prepared, Slot, Source, Split, Task};
use deepfit_nn::optim::{Adam, Sgd};
use deepfit_nn::step::Training;
use deepfit_nn::{Anneal, Clip, MovingAverage, Optimizer, Schedule};
use deepfit_zoo::{
    CATEGORIES, CnnConfig, EmbeddingConfig, ImageConfig, MlpConfig, MobilenetV2Config, ModelConfig, NUMERIC,
    ResnetConfig,
};

use crate::error::{Result, TrainError};
use crate::settings::{Settings, TEST_SHARE, VALIDATION_SHARE};

/// Tables with at most this many rows choose their number of epochs by cross-validation.
const SMALL_TABLE: usize = 3_000;
/// Data with at most this many rows is used whole, validation part included, for the final weights.
const SMALL_DATA: usize = 20_000;
/// Image networks get at least this many updates, if that takes no more than this many epochs.
const FEWEST_UPDATES: usize = 300;
const MOST_EPOCHS: usize = 60;
/// Images up to this side are learned by the small network.
const SMALL_IMAGE: usize = 64;

/// Settings with nothing left open, and the network that they ask for.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// All settings, resolved.
    pub settings: Settings,
    /// Classes or regression.
    pub task: Task,
    /// Rows in each class among the training rows; empty for a regression.
    pub class_counts: Vec<usize>,
}

impl Recipe {
    /// Resolves settings for data and its split. Also gives notes: which settings change nothing in this run, and why.
    ///
    /// # Errors
    /// If a setting does not suit the data.
    pub fn resolve(mut settings: Settings, data: &Dataset, split: &Split) -> Result<(Recipe, Vec<String>)> {
        settings.validate()?;
        let images = data.is_images();
        let classification = data.task().is_classification();
        let train = split.train.len();
        let rows = train + split.validation.len();

        settings.model = choose_model(&settings.model, data)?;
        let mut notes = without_effect(&mut settings, data);
        let small_table = !images && rows <= SMALL_TABLE;
        // A part that the user gave for validation is not trained on.
        let own_validation = settings.validation.is_some();
        let folds = settings.folds.unwrap_or(if small_table && !own_validation { (rows / 2).clamp(1, 5) } else { 1 });
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
        let refit = settings.refit.unwrap_or(folds > 1 || (rows <= SMALL_DATA && !own_validation));
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
        let batch = settings.batch.unwrap_or(sixteenth.clamp(16, if images { 64 } else { 256 })).min(train);
        settings.batch = Some(batch);
        let batches = rows.div_ceil(batch.max(1)) as u64;
        if settings.accumulate > 1 && settings.accumulate > batches {
            let problem = format!("is {}, but an epoch has {batches} batches; use at most that", settings.accumulate);
            return Err(TrainError::setting("accumulate", problem));
        }
        // With few images an epoch has few updates, too few for the statistics of batch normalisation to settle.
        let enough = |epochs: usize| (FEWEST_UPDATES / (train / batch).max(1)).clamp(epochs, MOST_EPOCHS) as u32;
        settings.epochs = Some(settings.epochs.unwrap_or(match (images, rows) {
            (true, _) if settings.model == "cnn" => enough(30),
            (true, _) => enough(20),
            (false, 0..=SMALL_TABLE) => 60,
            (false, _) => 30,
        }));
        let epochs = settings.epochs.unwrap_or(1);
        if settings.warmup > f64::from(epochs) {
            let problem = format!("is {} epochs, but the run has {epochs}; use fewer than that", settings.warmup);
            return Err(TrainError::setting("warmup", problem));
        }
        let rate = match (&settings.optimizer[..], images) {
            ("sgd", true) => 0.05,
            ("sgd", false) => 0.02,
            (_, true) if settings.model == "cnn" => 1e-2,
            (_, true) => 3e-3,
            (_, false) => 2e-3,
        };
        settings.lr = Some(settings.lr.unwrap_or(rate));
        settings.weight_decay = Some(settings.weight_decay.unwrap_or(match (&settings.optimizer[..], images) {
            ("sgd", _) => 5e-4,
            (_, true) => 0.05,
            (_, false) => 0.1,
        }));
        if settings.optimizer == "sgd" {
            settings.momentum = Some(settings.momentum.unwrap_or(0.9));
        }
        if !images {
            settings.scaling = Some(settings.scaling.unwrap_or_default());
        }
        settings.schedule =
            Some(settings.schedule.unwrap_or_else(|| if images { "one_cycle" } else { "cosine" }.to_string()));
        settings.average = Some(settings.average.unwrap_or(if rows <= SMALL_DATA { 0.99 } else { 0.999 }));
        settings.dropout = Some(settings.dropout.unwrap_or(if settings.model == "mlp" {
            0.15
        } else if settings.model == "cnn" {
            0.25
        } else {
            0.0
        }));
        if settings.model == "mlp" && settings.hidden.is_none() {
            settings.hidden = Some(if rows <= SMALL_TABLE { vec![64, 64] } else { vec![256, 128] });
        }
        settings.patience = Some(settings.patience.unwrap_or(if folds > 1 { 0 } else { 10 }));
        if classification {
            settings.label_smoothing = Some(settings.label_smoothing.unwrap_or(if images { 0.1 } else { 0.05 }));
        } else {
            settings.loss = Some(settings.loss.unwrap_or_else(|| "squared".to_string()));
        }
        if images {
            let augment = settings.augment_over(&data.default_augment())?;
            let augment = augment_in_effect(&mut notes, &settings, augment, data);
            let table = toml::Table::try_from(&augment);
            settings.augment = Some(table.map_err(|e| TrainError::setting("augment", e.to_string()))?);
        }
        let mut class_counts = vec![0; data.task().classes().len()];
        for &row in &split.train {
            if let Some(class) = data.class_of(row) {
                class_counts[class as usize] += 1;
            }
        }
        Ok((Recipe { settings, task: data.task().clone(), class_counts }, notes))
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
        let numeric = slots.iter().find(|s| s.name == NUMERIC).map_or(0, Slot::values);
        let categories = slots.iter().find(|s| s.name == CATEGORIES).map_or(&[][..], |s| &s.cardinalities);
        Ok(ModelConfig::Mlp(MlpConfig {
            numeric,
            embeddings: categories.iter().map(|&c| EmbeddingConfig::of(c)).collect(),
            hidden: self.settings.hidden.clone().unwrap_or_default(),
            outputs,
            activation: deepfit_nn::Activation::Relu,
            dropout,
            batch_norm: false,
            skip: true,
        }))
    }

    /// How the parameters are trained.
    pub fn training(&self) -> Training {
        let s = &self.settings;
        let weight_decay = s.weight_decay.unwrap_or(0.0);
        let adam = Adam { weight_decay, ..Adam::default() };
        let optimizer = match &s.optimizer[..] {
            "sgd" => Optimizer::Sgd(Sgd { momentum: s.momentum.unwrap_or(0.9), nesterov: s.nesterov, weight_decay }),
            "adam" => Optimizer::Adam(adam),
            _ => Optimizer::AdamW(adam),
        };
        let moving_average = s.average.filter(|&decay| decay > 0.0).map(|decay| MovingAverage { decay, warmup: true });
        Training { clip: s.clip.map(Clip::Norm), moving_average, ..Training::new(optimizer) }
    }

    /// The learning-rate schedule for epochs of the given number of updates.
    pub fn schedule(&self, updates_per_epoch: u64) -> Schedule {
        let warmup_steps = (self.settings.warmup * updates_per_epoch as f64).round() as u64;
        match self.settings.schedule.as_deref() {
            Some("constant") => Schedule::Constant { warmup_steps },
            Some("one_cycle") => Schedule::OneCycle {
                warmup_steps,
                anneal: Anneal::Cos,
                pct_start: 0.3,
                div_factor: 25.0,
                final_div_factor: 1e4,
            },
            _ => Schedule::Cosine { warmup_steps, final_fraction: 0.0 },
        }
    }

    /// Weight of each class, in inverse proportion to its number of rows, 1 on average over the rows.
    pub fn class_weights(&self) -> Option<Vec<f32>> {
        if !self.settings.class_weights || self.class_counts.is_empty() {
            return None;
        }
        let total: usize = self.class_counts.iter().sum();
        let classes = self.class_counts.len();
        Some(self.class_counts.iter().map(|&n| total as f32 / (classes * n.max(1)) as f32).collect())
    }
}

fn choose_model(model: &str, data: &Dataset) -> Result<String> {
    let images = data.is_images();
    let side = data.image_shape().map_or(0, |[h, w, _]| h.max(w));
    match (model, images) {
        ("auto", true) => Ok(if side <= SMALL_IMAGE { "cnn" } else { "resnet18" }.to_string()),
        ("auto", false) => Ok("mlp".to_string()),
        ("mlp", true) => Err(TrainError::setting(
            "model",
            "mlp is for tables; for images use cnn, resnet18, resnet34, resnet50 or mobilenet_v2",
        )),
        (other, false) if other != "mlp" => {
            Err(TrainError::setting("model", format!("{other} is for images; for tables use mlp")))
        }
        (other, _) => Ok(other.to_string()),
    }
}

/// Takes away the settings that change nothing in this run, and says of each why. They are no errors, since a file of
/// settings is used for more than one run.
fn without_effect(settings: &mut Settings, data: &Dataset) -> Vec<String> {
    let images = data.is_images();
    let classification = matches!(data.task(), Task::Classification { .. });
    let mut notes = Vec::new();
    let mut drop = |key: &str, given: bool, why: String| {
        if given {
            notes.push(format!("`{key}` has no effect: {why}"));
        }
        given
    };
    let model = settings.model.clone();
    if drop("hidden", settings.hidden.is_some() && model != "mlp", format!("it is for mlp, and the model is {model}")) {
        settings.hidden = None;
    }
    let resnet = model.starts_with("resnet");
    let dropped = settings.dropout.is_some_and(|share| share > 0.0);
    if drop("dropout", dropped && resnet, format!("it is for mlp and cnn, and the model is {model}")) {
        settings.dropout = None;
    }
    let of_images = |key: &str| format!("{key} for images, and the data is a table");
    if drop("augment", settings.augment.is_some() && !images, of_images("it is")) {
        settings.augment = None;
    }
    if drop("image_size", settings.image_size.is_some() && !images, of_images("it is")) {
        settings.image_size = None;
    }
    if drop("channels", settings.channels.is_some() && !images, of_images("they are")) {
        settings.channels = None;
    }
    let of_tables = "it is for columns of numbers, and the data is images".to_string();
    if drop("scaling", settings.scaling.is_some() && images, of_tables) {
        settings.scaling = None;
    }
    let regression = || "it is for classification, and this is a regression".to_string();
    if drop("label_smoothing", settings.label_smoothing.is_some() && !classification, regression()) {
        settings.label_smoothing = None;
    }
    if drop("class_weights", settings.class_weights && !classification, regression()) {
        settings.class_weights = false;
    }
    let entropy = "it is for regression; a classification is trained by cross-entropy".to_string();
    if drop("loss", settings.loss.is_some() && classification, entropy) {
        settings.loss = None;
    }
    let optimizer = settings.optimizer.clone();
    let of_sgd = || format!("it is for sgd, and the optimizer is {optimizer}");
    if drop("momentum", settings.momentum.is_some() && optimizer != "sgd", of_sgd()) {
        settings.momentum = None;
    }
    if drop("nesterov", settings.nesterov && optimizer != "sgd", of_sgd()) {
        settings.nesterov = false;
    }
    let still = settings.nesterov && settings.momentum == Some(0.0);
    if drop("nesterov", still, "sgd looks ahead along its momentum, which is 0".to_string()) {
        settings.nesterov = false;
    }
    let own = settings.validation.is_some() && settings.validation_share != VALIDATION_SHARE;
    if drop("validation_share", own, "the validation data is given by `validation`".to_string()) {
        settings.validation_share = VALIDATION_SHARE;
    }
    let own = settings.test.is_some() && settings.test_share != TEST_SHARE;
    if drop("test_share", own, "the test data is given by `test`".to_string()) {
        settings.test_share = TEST_SHARE;
    }
    notes
}

/// Switches off the changes of images that others rule out; those that were asked for are noted.
fn augment_in_effect(notes: &mut Vec<String>, settings: &Settings, augment: Augment, data: &Dataset) -> Augment {
    let none = Augment::none();
    let asked = |key: &str| settings.augment.as_ref().is_some_and(|given| given.contains_key(key));
    let mut drop = |key: &str, idle: bool, why: &str| {
        if idle && asked(key) {
            notes.push(format!("`augment.{key}` has no effect: {why}"));
        }
        idle
    };
    let mut used = augment.clone();
    let cropped = "`augment.crop` is on, which moves and resizes by itself; augment.crop=0 switches that off";
    if drop("shift", augment.crop > 0.0 && augment.shift > 0.0, cropped) {
        used.shift = none.shift;
    }
    if drop("scale", augment.crop > 0.0 && augment.scale > 0.0, cropped) {
        used.scale = none.scale;
    }
    let grey = data.image_shape().is_some_and(|[.., channels]| channels == 1);
    if drop("saturation", grey && augment.saturation > 0.0, "the images are grey") {
        used.saturation = none.saturation;
    }
    let moved = used.shift > 0.0 || used.scale > 0.0 || used.rotate > 0.0;
    if drop("border", augment.border != none.border && !moved, "nothing moves, turns or resizes the images") {
        used.border = none.border;
    }
    let mixed = augment.mixup > 0.0 || augment.cutmix > 0.0;
    let part = augment.mix_probability != none.mix_probability;
    if drop("mix_probability", part && !mixed, "neither `augment.mixup` nor `augment.cutmix` is on") {
        used.mix_probability = none.mix_probability;
    }
    used
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
