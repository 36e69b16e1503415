//! Every setting of a run.

mod choice;
mod names;
mod text;
mod unfreeze;

use std::path::PathBuf;

use deepfit_cpu::Precision;
use deepfit_data::{Augment, Scaling, SplitOptions, TaskKind, Tokens, nearest};
use deepfit_nn::Optimizer;
use serde::{Deserialize, Serialize};

use crate::error::{Result, TrainError};
use crate::recipe::Rates;
use crate::transfer::SCRATCH;

pub use choice::Choice;
use text::shown;
pub use text::{parse_duration, parse_memory};
pub use unfreeze::Unfreeze;

macro_rules! settings {
    ($($field:ident: $ty:ty = $default:expr, $help:literal, $expected:literal;)*) => {
        /// Every setting of a run. What is `None` is chosen from the data; a run saves all of them resolved.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct Settings {
            $(#[doc = $help] pub $field: $ty,)*
        }

        impl Default for Settings {
            fn default() -> Self {
                Settings { $($field: $default),* }
            }
        }

        impl Settings {
            /// Every setting with one line of help, in the order of the settings file.
            pub const KEYS: &'static [(&'static str, &'static str)] = &[$((stringify!($field), $help)),*];

            /// Every setting with the values that it takes, in words that go after "must be".
            const EXPECTED: &'static [(&'static str, &'static str)] = &[$((stringify!($field), $expected)),*];
        }
    };
}

settings! {
    data: PathBuf = PathBuf::new(), "Folder of images or texts, .zip of images, table, or .txt file whose continuation is learned.",
        "a path in quotes, such as \"photos/\"";
    target: Option<String> = None,
        "Column to predict (default: one named target, label, class or y, else the last); of labels also several of 0 and 1, \
         as a,b,c.",
        "the name of a column in quotes, such as \"price\"";
    task: Option<TaskKind> = None, "classification, regression, multi_label, or, for two columns of texts, similarity (default: inferred from the \
         target).",
        "classification, regression, multi_label or similarity";
    text: Option<String> = None,
        "Column of a table that holds texts to learn from, or several as a,b (default: those that hold free texts).",
        "the name of a column in quotes, such as \"review\"";
    pairs: Option<bool> = None,
        "Whether the texts of two columns are compared with each other, and not read one after the other (default: two are, \
         more are not).",
        "true or false";
    max_tokens: Option<usize> = None, "Most tokens of a text; what stands behind is left out (default: as the model has it, or 256).",
        "a whole number from 1 to 1000000, such as 512";
    tokens: Option<Tokens> = None,
        "What a tokenizer that is learned from the texts cuts them into: bpe, bytes, characters or wordpiece (default: bpe).",
        "bpe, bytes, characters or wordpiece";
    vocabulary: Option<usize> = None, "Most tokens of a tokenizer that is learned from the texts (default: 8000).",
        "a whole number from 2 to 1000000, with bytes among the tokens from 257, such as 4000";
    header: Option<bool> = None,
        "Whether tables of delimited text begin with a row of names; without, columns are column_1, column_2 and so on, and \
         settings that name columns may say 1 and 2 (default: what the first rows look like).",
        "true or false";
    labels: Option<PathBuf> = None, "Table that names images of the folder, and says what is on them.",
        "a path in quotes, such as \"labels.csv\"";
    positive: Option<String> = None,
        "Of two classes, the one that sensitivity, specificity and F1 are of (default: the rarer in training).",
        "the name of a class in quotes, such as \"malignant\"";
    validation: Option<PathBuf> = None, "Validation data of its own instead of a split.",
        "a path in quotes, such as \"validation.csv\"";
    test: Option<PathBuf> = None, "Test data of its own instead of a split.",
        "a path in quotes, such as \"test.csv\"";
    group: Option<String> = None,
        "Column of a table whose equal values belong together, such as a patient's: they stay on one side of every split and \
         fold, and are no feature.",
        "the name of a column in quotes, such as \"patient\"";
    time_split: Option<String> = None,
        "Column of times of a table: the earlier rows are trained on, the later are for validation and the test; it is no \
         feature.",
        "the name of a column in quotes, such as \"date\"";
    split: Option<String> = None,
        "Column of a table that says train, validation or test of each row; it is no feature.",
        "the name of a column in quotes, such as \"split\"";
    weight: Option<String> = None,
        "Column of a table that says how much each row counts: in the loss, and in all metrics; it is no feature.",
        "the name of a column in quotes, such as \"weight\"";
    by: Option<String> = None,
        "Column of a table by whose values the test rows are also measured by themselves.",
        "the name of a column in quotes, such as \"hospital\"";
    validation_share: f64 = VALIDATION_SHARE, "Share of the rows for validation, above 0 and at most 0.5.",
        "a number above 0 and at most 0.5, such as 0.1";
    test_share: f64 = TEST_SHARE, "Share of the rows for the test, above 0 and at most 0.5.",
        "a number above 0 and at most 0.5, such as 0.2";
    image_size: Option<usize> = None,
        "Height and width that images are brought to (default: from the data, at most 224).",
        "a whole number of pixels from 4 to 1024, such as 64";
    channels: Option<usize> = None, "1 for grey, 3 for colour (default: from the data).",
        "1 (grey) or 3 (colour)";
    scaling: Option<Scaling> = None, "Of numeric columns: robust, standard or quantile (default: robust).",
        "robust, standard or quantile";
    model: String = "auto".to_string(),
        "auto; tabm or mlp; cnn, resnet18, resnet34, resnet50 or mobilenet_v2; lstm, gru, rnn or transformer.",
        "auto, tabm, mlp, cnn, resnet18, resnet34, resnet50, mobilenet_v2, lstm, gru, rnn or transformer";
    from: Option<String> = None,
        "Published model to begin with: its folder, file or name, or scratch for none (default: of images the one that is \
         part of deepfit, where that helps).",
        "the folder, file or name of a published model in quotes, or \"scratch\"";
    unfreeze: Option<Unfreeze> = None,
        "Blocks of the published model that are trained beside the last layer: none, a number, counted from the end, or all \
         (default: what validation says).",
        "none, all, or a whole number of blocks, such as 2";
    lora: Option<usize> = None,
        "Rank of small changes that are trained beside the weights of a published transformer (low-rank adaptation), which \
         themselves stay as they are.",
        "a whole number from 1 to 256, such as 8";
    hidden: Option<Vec<usize>> = None, "Widths of the hidden layers of a network for tables, such as [64, 64].",
        "a list of at most 100 widths from 1 to 65536, such as [64, 64]";
    members: Option<usize> = None, "Networks that tabm trains side by side and asks together (default: 8).",
        "a whole number from 1 to 256, such as 8";
    dropout: Option<f32> = None, "Share of values dropped in training, 0 to below 1.",
        "a number from 0 to below 1, such as 0.2";
    epochs: Option<u32> = None, "Most passes over the training rows.",
        "a whole number from 1 to 1000000, such as 20";
    time: Option<f64> = None, "Most time of the whole run, reading and measuring included, such as 2m; the number of epochs and, unless it is given, the \
         model are fitted to it.",
        "a duration such as 90s, 2m or 1h";
    memory: Option<u64> = None,
        "Most memory of the whole process, such as 500MB; steps that compute values again, the batch and, unless it is given, \
         the model are fitted to it.",
        "an amount of memory such as 500MB or 2GB";
    batch: Option<usize> = None, "Rows in a batch.",
        "a whole number from 1 to 1000000, such as 32";
    accumulate: u64 = 1, "Batches whose gradients are added up before an update.",
        "a whole number from 1 to 1000000, such as 4";
    optimizer: String = "adamw".to_string(),
        "adamw, adam, sgd, rmsprop, adagrad, adadelta, adamax, nadam, radam, lion or lamb.",
        "adamw, adam, sgd, rmsprop, adagrad, adadelta, adamax, nadam, radam, lion or lamb";
    lr: Option<f64> = None, "Learning rate at the top of the schedule.",
        "a number above 0, such as 0.001 (at most 1e30)";
    find_lr: bool = false, "Whether to search for the learning rate on a copy of the network before training.",
        "true or false";
    momentum: Option<f64> = None, "Momentum of sgd or rmsprop, 0 to below 1 (default: 0.9 for sgd, 0 for rmsprop).",
        "a number from 0 to below 1, such as 0.9";
    nesterov: bool = false, "Whether sgd looks ahead.",
        "true or false";
    weight_decay: Option<f64> = None, "Weight decay of weights; biases and norms have none.",
        "a number from 0 to 100, such as 0.01";
    schedule: Option<Choice> = None,
        "constant, cosine, one_cycle, step, multi_step, linear, polynomial, exponential, plateau or warm_restarts, with \
         settings of its own as schedule.gamma=0.5.",
        "constant, cosine, one_cycle, step, multi_step, linear, polynomial, exponential, plateau or warm_restarts";
    warmup: f64 = 0.0, "Epochs of linear warm-up of the learning rate.",
        "a number of epochs from 0 to those of the run, such as 2";
    clip: Option<f64> = None, "Largest norm of the gradient.",
        "a number above 0, such as 1 (at most 1e30)";
    regularise: Option<bool> = None,
        "Whether a network from scratch that overfits is trained again with stronger regularisation, in the epochs that are left, \
         and kept if validation says so (default: true, unless dropout, weight_decay or augment is given).",
        "true or false";
    average: Option<f64> = None,
        "Decay of the moving average of the weights, which is then what is used; 0 for none.",
        "a number from 0 (no average) to 0.999999, such as 0.99";
    label_smoothing: Option<f32> = None, "Label smoothing, 0 to below 1.",
        "a number from 0 to below 1, such as 0.1";
    class_weights: bool = false, "Whether rare classes count more, in inverse proportion to their number.",
        "true or false";
    calibration: String = "auto".to_string(),
        "How probabilities are calibrated on validation rows: auto, none, temperature or isotonic (default: what makes their \
         log loss smallest).",
        "auto, none, temperature or isotonic";
    coverage: f64 = 0.9,
        "Share of the sets of classes and of the intervals of numbers that are to hold what is true; 0 for none of them.",
        "a number from 0 (none) to 0.999, such as 0.9";
    sets: String = "smallest".to_string(),
        "Which sets of classes these are: smallest, with the fewest classes on average, or adaptive, with more where a row is hard, \
         so that hard rows are covered about as often as easy ones.",
        "smallest or adaptive";
    cost: Option<toml::Table> = None,
        "What errors cost: of two classes as cost.false_negative=10 and cost.false_positive=1, of more as cost.CLASS=5 what it \
         costs not to recognise a class, of labels both (default: 1).",
        "given by its parts, such as cost.false_negative=10 and cost.false_positive=1";
    loss: Option<String> = None, "Of a regression: squared, absolute or huber; of pairs with scores: ranking or squared.",
        "squared, absolute, huber or ranking";
    metric: Option<String> = None,
        "Metric on validation by which epochs and ways of training are chosen (default: log_loss, or rmse of a regression).",
        "the name of a metric in quotes, such as \"roc_auc\"";
    patience: Option<u32> = None, "Epochs without improvement on validation before training stops; 0 for never.",
        "a whole number from 0 (never) to 1000000, such as 10";
    folds: Option<usize> = None, "Folds of the cross-validated choice of epochs; 1 for a single validation part.",
        "a whole number from 1 to 100, such as 5";
    refit: Option<bool> = None,
        "Whether to train again on training and validation rows for the chosen number of epochs.",
        "true or false";
    repeats: usize = 1,
        "Splits with which the whole is done, each with a seed of its own; the model is that of the first.",
        "a whole number from 1 to 1000, such as 10";
    checks: bool = true,
        "Whether the data is looked at for copies across splits, leaks, unequal classes, shifts and wrong labels.",
        "true or false";
    augment: Option<toml::Table> = None,
        "Changes of training images, as augment.shift=0.1, augment.flip=true and so on.",
        "given by its parts, such as augment.shift=0.1 and augment.flip=true";
    seed: u64 = 1, "Of splits, first weights, order, augmentation and dropout.",
        "a whole number from 0 to 9223372036854775807, such as 7";
    threads: usize = default_threads(), "Threads; the result does not depend on them.",
        "a whole number from 1 to 1024, such as 4";
    exact: bool = false,
        "Whether convolutions are plain sums of products; else those of 3 x 3 are made faster, and round a little more.",
        "true or false";
    precision: String = AUTO.to_string(),
        "Precision in which training multiplies matrices: f32, or bf16, which is faster where the processor multiplies it itself, \
         and rounds to 8 bits what is multiplied; weights and sums stay f32. By default f32, unless a limit of time leaves too \
         few epochs and bf16 more.",
        "auto, f32 or bf16";
}

/// Value of `precision` that leaves it open.
pub(crate) const AUTO: &str = "auto";

/// Value of `sets`.
pub(crate) const ADAPTIVE: &str = "adaptive";

/// Values of `model`.
const MODELS: [&str; 12] = [
    "auto",
    "tabm",
    "mlp",
    "cnn",
    "resnet18",
    "resnet34",
    "resnet50",
    "mobilenet_v2",
    "lstm",
    "gru",
    "rnn",
    "transformer",
];

/// Share of the rows for validation and for the test, where none is asked for.
pub(crate) const VALIDATION_SHARE: f64 = 0.1;
pub(crate) const TEST_SHARE: f64 = 0.2;

/// Where numbers go on as f32, this is still finite there, and so is what becomes of it in a step.
const MOST: f64 = 1e30;

fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

impl Settings {
    /// Defaults for the given data.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Settings { data: data.into(), ..Settings::default() }
    }

    /// The files and folders that hold the data.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        [Some(&self.data), self.labels.as_ref(), self.validation.as_ref(), self.test.as_ref()].into_iter().flatten()
    }

    /// In which precision matrices are multiplied.
    pub(crate) fn multiplies_in(&self) -> Precision {
        Precision::named(&self.precision).unwrap_or_default()
    }

    /// How rows are divided, where the data does not say so.
    pub(crate) fn split_options(&self) -> SplitOptions {
        SplitOptions { seed: self.seed, validation: self.validation_share, test: self.test_share }
    }

    /// Most seconds of each training, where the whole is repeated: all of them together take the time that is given.
    pub(crate) fn time_of_each(&self) -> Option<f64> {
        self.time.map(|time| time / self.repeats as f64)
    }

    /// The settings as TOML.
    ///
    /// # Errors
    /// If a path is not UTF-8.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(|e| TrainError::setting("data", format!("cannot be saved: {e}")))
    }

    /// Checks ranges.
    ///
    /// # Errors
    /// If one is out of range.
    pub fn validate(&self) -> Result<()> {
        let check = |key: &str, fine: bool| if fine { Ok(()) } else { Err(self.out_of_range(key)) };
        let share = |x: f64| x > 0.0 && x <= 0.5;
        check("validation_share", share(self.validation_share))?;
        check("test_share", share(self.test_share))?;
        if self.validation_share + self.test_share >= 1.0 {
            let problem = "must be so small, together with `validation_share`, that rows for training are left";
            return Err(TrainError::setting("test_share", problem));
        }
        check("target", self.target.as_ref().is_none_or(|name| !name.is_empty()))?;
        let widths = |h: &Vec<usize>| h.len() <= 100 && h.iter().all(|n| (1..=65_536).contains(n));
        let below_1 = |p: f32| (0.0..1.0).contains(&p);
        let positive = |x: f64| x > 0.0 && x <= MOST;
        check("image_size", self.image_size.is_none_or(|n| (4..=1024).contains(&n)))?;
        check("channels", self.channels.is_none_or(|n| n == 1 || n == 3))?;
        check("group", self.group.as_ref().is_none_or(|name| !name.is_empty()))?;
        check("time_split", self.time_split.as_ref().is_none_or(|name| !name.is_empty()))?;
        check("weight", self.weight.as_ref().is_none_or(|name| !name.is_empty()))?;
        check("by", self.by.as_ref().is_none_or(|name| !name.is_empty()))?;
        for (key, cost) in self.cost.iter().flatten() {
            let number = cost.as_float().or(cost.as_integer().map(|cost| cost as f64));
            if !number.is_some_and(|cost| (0.0..=1e12).contains(&cost)) {
                let problem = format!("must be a number from 0 to 1e12, such as 10, not `{}`", shown(cost));
                return Err(TrainError::setting(&format!("cost.{key}"), problem));
            }
        }
        check("split", self.split.as_ref().is_none_or(|name| !name.is_empty()))?;
        check("text", self.text.as_ref().is_none_or(|name| !name.is_empty()))?;
        check("max_tokens", self.max_tokens.is_none_or(|n| (1..=1_000_000).contains(&n)))?;
        check("vocabulary", self.vocabulary.is_none_or(|n| (2..=1_000_000).contains(&n)))?;
        check("lora", self.lora.is_none_or(|rank| (1..=256).contains(&rank)))?;
        check("from", self.from.as_ref().is_none_or(|from| !from.is_empty()))?;
        if let (Some(from), true) = (self.from.as_ref().filter(|from| *from != SCRATCH), self.model != "auto") {
            let problem =
                format!("is `{from}`, whose architecture is its own; leave `model` away, or use from=scratch");
            return Err(TrainError::setting("from", problem));
        }
        check("hidden", self.hidden.as_ref().is_none_or(widths))?;
        check("members", self.members.is_none_or(|n| (1..=256).contains(&n)))?;
        check("dropout", self.dropout.is_none_or(below_1))?;
        check("epochs", self.epochs.is_none_or(|n| (1..=1_000_000).contains(&n)))?;
        check("time", self.time.is_none_or(|t| t > 0.0 && t.is_finite()))?;
        check("memory", self.memory.is_none_or(|bytes| bytes > 0 && i64::try_from(bytes).is_ok()))?;
        check("batch", self.batch.is_none_or(|n| (1..=1_000_000).contains(&n)))?;
        check("accumulate", (1..=1_000_000).contains(&self.accumulate))?;
        check("lr", self.lr.is_none_or(positive))?;
        // As an f32 it must still be below 1.
        check("momentum", self.momentum.is_none_or(|x| x >= 0.0 && below_1(x as f32)))?;
        check("weight_decay", self.weight_decay.is_none_or(|x| (0.0..=100.0).contains(&x)))?;
        check("warmup", (0.0..=1e6).contains(&self.warmup))?;
        check("clip", self.clip.is_none_or(positive))?;
        check("average", self.average.is_none_or(|x| (0.0..=0.999_999).contains(&x)))?;
        check("label_smoothing", self.label_smoothing.is_none_or(below_1))?;
        check("patience", self.patience.is_none_or(|n| n <= 1_000_000))?;
        check("folds", self.folds.is_none_or(|k| (1..=100).contains(&k)))?;
        // The integers of TOML, in which settings are saved, have a sign.
        check("seed", i64::try_from(self.seed).is_ok())?;
        check("threads", (1..=1024).contains(&self.threads))?;
        let one_of = |key: &str, value: &str, known: &[&str]| {
            if known.contains(&value) {
                return Ok(());
            }
            let hint =
                nearest(value, known.iter().copied()).map_or(String::new(), |n| format!("; did you mean `{n}`?"));
            Err(TrainError::setting(key, format!("`{value}` is not one of {}{hint}", known.join(", "))))
        };
        check("repeats", (1..=1000).contains(&self.repeats))?;
        check("coverage", (0.0..=0.999).contains(&self.coverage))?;
        one_of("sets", &self.sets, &["smallest", ADAPTIVE])?;
        one_of("calibration", &self.calibration, &["auto", "none", "temperature", "isotonic"])?;
        one_of("model", &self.model, &MODELS)?;
        let [plain, rounded] = Precision::NAMES;
        one_of("precision", &self.precision, &[AUTO, plain, rounded])?;
        one_of("optimizer", &self.optimizer, &Optimizer::NAMES)?;
        self.schedule.iter().try_for_each(|schedule| Rates::parse(schedule).map(|_| ()))?;
        if let Some(loss) = &self.loss {
            one_of("loss", loss, &["squared", "absolute", "huber", "ranking"])?;
        }
        self.augment_over(&Augment::none()).map(|_| ())
    }

    /// The given changes of training images, with defaults for those that are not mentioned.
    ///
    /// # Errors
    /// If there is no such change, or it is out of range.
    pub fn augment_over(&self, default: &Augment) -> Result<Augment> {
        let fail = |problem: String| TrainError::setting("augment", problem);
        let mut table = toml::Table::try_from(default).map_err(|e| fail(e.to_string()))?;
        for (key, value) in self.augment.iter().flatten() {
            let Some(known) = table.get(key) else {
                let hint = nearest(key, table.keys().map(String::as_str));
                let hint = hint.map_or(String::new(), |n| format!("; did you mean `{n}`?"));
                return Err(TrainError::setting(&format!("augment.{key}"), format!("there is no such setting{hint}")));
            };
            let (fits, expected) = match known {
                toml::Value::Boolean(_) => (value.is_bool(), "true or false"),
                toml::Value::String(_) => (matches!(value.as_str(), Some("edge" | "reflect")), "edge or reflect"),
                _ => (value.is_float() || value.is_integer(), "a number, such as 0.1"),
            };
            if !fits {
                let problem = format!("must be {expected}, not `{}`", shown(value));
                return Err(TrainError::setting(&format!("augment.{key}"), problem));
            }
            table.insert(key.clone(), value.clone());
        }
        let augment: Augment = table.try_into().map_err(|e: toml::de::Error| fail(e.message().trim().to_string()))?;
        augment.validate()?;
        Ok(augment)
    }
}
