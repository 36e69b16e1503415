//! `deepfit train`: training and resuming.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, ValueHint};
use deepfit_train::{Job, Outcome, Settings, prepare, process_seconds, resume_with};

use crate::exit::{Exit, Usage};
use crate::interrupt::Interrupt;
use crate::output::progress::Progress;
use crate::output::{self, plan, report};
use crate::program;
use deepfit_train::text::{Style, words};

/// Arguments of `deepfit train`.
///
/// Values of settings stay text here: the settings themselves know what they accept, however they are given.
#[derive(Debug, Default, Args)]
#[command(
    override_usage = "deepfit train [OPTIONS] DATA [KEY=VALUE]...\n       deepfit train --resume RUN [--threads N]",
    after_help = EXAMPLES,
    after_long_help = long_help()
)]
pub struct Arguments {
    /// Folder with a sub-folder of images, or of .txt files, for each class (optionally below train, val and test), a .zip of
    /// images, a table (CSV, TSV, JSON Lines, Parquet or Arrow; text may be compressed as .gz or .zst) of features, texts or
    /// the paths of images, or a .txt file, or a folder of them side by side, whose continuation is learned, or sentences whose
    /// words have labels (.conll, or JSON Lines with tokens and tags, or text and spans)
    #[arg(value_name = "DATA", value_hint = ValueHint::AnyPath)]
    pub(super) data: Option<OsString>,
    /// Any other setting; `deepfit train --help` lists them
    #[arg(value_name = "KEY=VALUE")]
    pub(super) settings: Vec<OsString>,

    /// Column of a table to predict; of images also several columns of 0 and 1, as A,B,C [default: one named target, label,
    /// class or y, else the last]
    #[arg(long, value_name = "COLUMN", help_heading = "Data")]
    pub(super) target: Option<String>,
    /// Column of a table that holds texts to learn from, or several as A,B [default: those that hold free texts]; of labelled
    /// words the field of tokens or of the text, with their tags or spans in --target
    #[arg(long, value_name = "COLUMN", help_heading = "Data")]
    pub(super) text: Option<String>,
    /// Table that names images of the folder DATA, and says what is on them: a class, a number, or labels divided by |
    #[arg(long, value_name = "TABLE", value_hint = ValueHint::FilePath, help_heading = "Data")]
    pub(super) labels: Option<PathBuf>,
    /// Validation data of its own instead of a part of DATA
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath, help_heading = "Data")]
    pub(super) validation: Option<PathBuf>,
    /// Test data of its own instead of a part of DATA
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath, help_heading = "Data")]
    pub(super) test: Option<PathBuf>,

    /// Column of a table whose equal values belong together, such as the rows of a patient: they stay on one side of every split
    #[arg(long, value_name = "COLUMN", help_heading = "Data")]
    pub(super) group: Option<String>,
    /// Column of times of a table: the earlier rows are trained on, the later are for validation and the test
    #[arg(long, value_name = "COLUMN", help_heading = "Data")]
    pub(super) time_split: Option<String>,
    /// Column of a table that says train, validation or test of each row
    #[arg(long, value_name = "COLUMN", help_heading = "Data")]
    pub(super) split: Option<String>,

    /// Column of a table that says how much each row counts: in the loss, and in all metrics
    #[arg(long, value_name = "COLUMN", help_heading = "Data")]
    pub(super) weight: Option<String>,
    /// Column of a table by whose values the test rows are also measured by themselves
    #[arg(long, value_name = "COLUMN", help_heading = "Data")]
    pub(super) by: Option<String>,

    /// Architecture: tabm or mlp for tables; cnn, resnet18, resnet34, resnet50 or mobilenet_v2 for images; lstm, gru, rnn or transformer for texts [default: auto, which goes by the data]
    #[arg(long, value_name = "NAME", help_heading = "Model and training")]
    pub(super) model: Option<String>,
    /// Published model to begin with: its name, folder or file, or scratch for none [default: of images and
    /// of texts the one that is part of deepfit, where it helps]
    #[arg(long, value_name = "MODEL", help_heading = "Model and training")]
    pub(super) from: Option<PathBuf>,
    /// Train the last layer of the published model alone
    #[arg(long, conflicts_with = "unfreeze", help_heading = "Model and training")]
    pub(super) freeze: bool,
    /// Train blocks of the published model too: all, or so many from the end [default: what validation says]
    #[arg(long, value_name = "BLOCKS", num_args = 0..=1, default_missing_value = "all", help_heading = "Model and training")]
    pub(super) unfreeze: Option<String>,
    /// Train changes of this rank beside the weights of a published transformer, which stay as they are
    #[arg(long, value_name = "RANK", help_heading = "Model and training")]
    pub(super) lora: Option<String>,
    /// Most passes over the training rows
    #[arg(long, value_name = "N", allow_hyphen_values = true, help_heading = "Model and training")]
    pub(super) epochs: Option<String>,
    /// Most memory of the whole process, such as 500MB: batch and, if it is left open, model are fitted to it
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true, help_heading = "Model and training")]
    pub(super) memory: Option<String>,
    /// Most time of the whole run, such as 90s, 2m or 1h
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, help_heading = "Model and training")]
    pub(super) time: Option<String>,
    /// Rows in a batch
    #[arg(
        long,
        alias = "batch-size",
        value_name = "N",
        allow_hyphen_values = true,
        help_heading = "Model and training"
    )]
    pub(super) batch: Option<String>,
    /// Learning rate at the top of its schedule
    #[arg(
        long,
        alias = "learning-rate",
        value_name = "RATE",
        allow_hyphen_values = true,
        help_heading = "Model and training"
    )]
    pub(super) lr: Option<String>,
    /// Metric on validation by which epochs and ways are chosen, such as roc_auc [default: log_loss, or rmse of a regression]
    #[arg(long, value_name = "NAME", help_heading = "Model and training")]
    pub(super) metric: Option<String>,
    /// Do all of it with so many splits, and tell mean, deviation and interval of what they reach; the model is the first's
    #[arg(long, value_name = "N", allow_hyphen_values = true, help_heading = "Model and training")]
    pub(super) repeats: Option<String>,
    /// Seed of split, first weights, order, augmentation and dropout: the same seed gives the same bits [default: 1]
    #[arg(long, value_name = "N", allow_hyphen_values = true, help_heading = "Model and training")]
    pub(super) seed: Option<String>,
    /// Precision in which matrices are multiplied: f32, or bf16 where the processor multiplies it itself, which is faster and
    /// rounds to 8 bits what is multiplied [default: f32, or what a limit of time allows more epochs with]
    #[arg(long, value_name = "NAME", help_heading = "Model and training")]
    pub(super) precision: Option<String>,
    /// Threads; the result does not depend on them [default: all cores]
    #[arg(long, value_name = "N", allow_hyphen_values = true, help_heading = "Model and training")]
    pub(super) threads: Option<String>,

    /// Run folder to write [default: runs/NAME-N, the first that is free]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, help_heading = "Run")]
    pub(super) out: Option<PathBuf>,
    /// Go on with a run that was interrupted; it knows its data and settings, of which only --threads can change
    #[arg(
        long, value_name = "RUN", value_hint = ValueHint::DirPath, help_heading = "Run",
        conflicts_with_all = ["target", "text", "labels", "validation", "test", "group", "time_split", "split", "weight", "by", "from", "freeze", "unfreeze", "lora", "model", "epochs", "memory", "time", "batch", "lr", "metric", "repeats", "seed", "precision", "out",
                              "config"]
    )]
    pub(super) resume: Option<PathBuf>,
    /// Settings from a TOML file, such as the settings.toml of another run; options and KEY=VALUE win over it
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Run")]
    pub(super) config: Option<PathBuf>,

    /// Record the time of each operation: a table on standard error, and FILE for a browser's trace viewer
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Output")]
    pub(super) profile: Option<PathBuf>,
    /// Print the result as one JSON object on standard output
    #[arg(long, help_heading = "Output")]
    pub(super) json: bool,
    /// Print nothing but errors (and the JSON)
    #[arg(long, short, help_heading = "Output")]
    pub(super) quiet: bool,
}

/// A setting and its value, as on the command line.
type Pair<'a> = (&'a str, &'a str);

/// Lines of the list of settings are at most this long.
const HELP_WIDTH: usize = 80;

const EXAMPLES: &str = "Examples:
  deepfit train examples/digits.zip
  deepfit train houses.csv --target price --time 2m
  deepfit train photos/ --from models/vit/ --unfreeze 2
  deepfit train photos/ --model resnet18 --epochs 20 --seed 7 --out runs/photos
  deepfit train patients.csv --target died --by hospital --repeats 10 cost.false_negative=10
  deepfit train photos/ augment.flip=true label_smoothing=0.1
  deepfit train reviews.csv --text review --target stars
  deepfit train labels.csv                          a table of image files and what is on them
  deepfit train scans/ --labels findings.csv --target mass,nodule
  deepfit train churn.csv --json > result.json
  deepfit train --resume runs/digits-1

KEY=VALUE wins over options, options over the --config file, the file over defaults. A setting that has no effect on a
run is noted before it starts.
Exit codes: 0 done, 2 bad usage or bad input, 130 interrupted, 1 any other failure.";

/// Every setting with its help, wrapped here so that continued lines stay in their column.
fn long_help() -> String {
    let width = Settings::KEYS.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
    let mut text = String::from("Settings, as KEY=VALUE or in the --config file:\n");
    for (key, help) in Settings::KEYS {
        let mut line = format!("  {key:width$} ");
        for word in help.split(' ') {
            if line.chars().count() + 1 + word.chars().count() > HELP_WIDTH {
                text.push_str(&(line + "\n"));
                line = " ".repeat(width + 3);
            }
            line.push(' ');
            line.push_str(word);
        }
        text.push_str(&(line + "\n"));
    }
    text + "\n" + EXAMPLES
}

/// Trains, or goes on with a run.
pub fn run(arguments: &Arguments, interrupt: &Interrupt) -> Result<Exit> {
    let records = output::profiles(arguments.profile.as_deref())?;
    let mut job = arguments.job()?;
    let threads = job.threads();
    if records {
        job.record();
    }
    if !arguments.quiet {
        plan::print(job.description());
    }
    interrupt.defer();
    let mut progress = Progress::new(arguments.quiet, interrupt);
    let outcome = job.run(&mut progress);
    progress.finish();
    let profile = progress.take_profile();
    let tell_profile = || match (profile, &arguments.profile) {
        (Some(profile), Some(trace)) => output::profile(&profile, threads, trace, arguments.quiet),
        _ => Ok(()),
    };
    match outcome? {
        Outcome::Finished(mut result) => {
            result.seconds = process_seconds();
            // The run is whole without it.
            let page = match deepfit_report::write_page(&result.run) {
                Ok(page) => Some(page),
                Err(error) => {
                    output::say(&words::printable(&format!("note: there is no report of this run: {error}")));
                    None
                }
            };
            if arguments.json {
                output::json(&result)?;
            } else if !arguments.quiet {
                output::out(&report::training(&result, page.as_deref(), Style::stdout()))?;
            }
            tell_profile()?;
            Ok(Exit::Done)
        }
        Outcome::Interrupted { run, step } => {
            tell_profile()?;
            let kept = match step {
                0 => "interrupted before the first step".to_string(),
                _ => format!("interrupted after step {step}; its checkpoint is written"),
            };
            output::say(&format!("{kept}. To go on:\n  {}", resume_command(&run)));
            Ok(Exit::Interrupted)
        }
    }
}

fn resume_command(run: &Path) -> String {
    format!("{} train --resume {}", program::name(), program::path(run))
}

impl Arguments {
    /// What is told of a signal that comes before training begins.
    pub fn when_interrupted(&self) -> &'static str {
        match &self.resume {
            None => "interrupted before training began: nothing was written",
            Some(_) => "interrupted before training went on: nothing was written, the run is as it was",
        }
    }

    fn job(&self) -> Result<Job> {
        match &self.resume {
            Some(run) => Ok(resume_with(run, self.threads_to_resume()?)?),
            None => Ok(prepare(self.settings()?, self.out.clone())?),
        }
    }

    /// The one setting that may be given with `--resume`.
    fn threads_to_resume(&self) -> Result<Option<usize>> {
        let mut given = self.threads.as_deref();
        for word in self.data.iter().chain(&self.settings) {
            let pair = word.to_str().and_then(|text| text.split_once('='));
            match pair.map(|(key, value)| (key.trim(), value.trim())) {
                Some(("threads", value)) => given = Some(value),
                _ => {
                    return Err(Usage(format!(
                        "'{}' cannot be given with --resume: a run goes on with the DATA and the settings that it began \
                         with, except `threads`; to change them, start a new run with --config RUN/settings.toml",
                        Path::new(word).display()
                    ))
                    .into());
                }
            }
        }
        let Some(value) = given else { return Ok(None) };
        let mut settings = Settings::default();
        settings.set("threads", value)?;
        Ok(Some(settings.threads))
    }

    /// Defaults, then the file, then options, then `key=value`.
    pub(super) fn settings(&self) -> Result<Settings> {
        let mut settings = Settings::default();
        if let Some(file) = &self.config {
            let text = std::fs::read_to_string(file).map_err(|error| {
                let told = match error.kind() {
                    ErrorKind::NotFound => "it does not exist".to_string(),
                    ErrorKind::IsADirectory => "it is a folder; give the file, such as RUN/settings.toml".to_string(),
                    ErrorKind::InvalidData => "it is not UTF-8 text".to_string(),
                    _ => error.to_string(),
                };
                Usage(format!("cannot read the settings file '{}': {told}", file.display()))
            })?;
            settings.merge_toml(&text, file)?;
        }
        let (data, pairs) = self.positional()?;
        if let Some(data) = data {
            settings.data = data;
        }
        // Text and paths are taken as they are; numbers are read by the settings.
        for (value, field) in [
            (&self.labels, &mut settings.labels),
            (&self.validation, &mut settings.validation),
            (&self.test, &mut settings.test),
        ] {
            if value.is_some() {
                field.clone_from(value);
            }
        }
        for (value, field) in [
            (&self.target, &mut settings.target),
            (&self.text, &mut settings.text),
            (&self.group, &mut settings.group),
            (&self.time_split, &mut settings.time_split),
            (&self.split, &mut settings.split),
            (&self.weight, &mut settings.weight),
            (&self.by, &mut settings.by),
        ] {
            if value.is_some() {
                field.clone_from(value);
            }
        }
        if let Some(from) = &self.from {
            // A name at the hub is the folder of its files here, which are there when the run is resumed.
            let path = if from.as_os_str() == "scratch" { from.clone() } else { super::model_path(from)? };
            let Some(path) = path.to_str() else {
                return Err(Usage(format!("the path '{}' of the model is not UTF-8 text", path.display())).into());
            };
            settings.set("from", path)?;
        }
        let unfreeze = if self.freeze { Some("none".to_string()) } else { self.unfreeze.clone() };
        let options = [
            ("unfreeze", &unfreeze),
            ("lora", &self.lora),
            ("model", &self.model),
            ("epochs", &self.epochs),
            ("memory", &self.memory),
            ("time", &self.time),
            ("batch", &self.batch),
            ("lr", &self.lr),
            ("metric", &self.metric),
            ("repeats", &self.repeats),
            ("seed", &self.seed),
            ("precision", &self.precision),
            ("threads", &self.threads),
        ];
        for (key, value) in options {
            if let Some(value) = value {
                settings.set(key, value)?;
            }
        }
        for (key, value) in pairs {
            settings.set(key, value)?;
        }
        if settings.data.as_os_str().is_empty() {
            return Err(Usage(
                "no data is given; name a folder of images, a .zip of one, or a table: deepfit train DATA".to_string(),
            )
            .into());
        }
        Ok(settings)
    }

    /// Takes data and `key=value` apart, in whatever order they come.
    fn positional(&self) -> Result<(Option<PathBuf>, Vec<Pair<'_>>)> {
        let mut data: Option<PathBuf> = None;
        let mut pairs: Vec<Pair<'_>> = Vec::new();
        for word in self.data.iter().chain(&self.settings) {
            // A path may hold an equals sign too.
            let pair = word.to_str().and_then(|text| text.split_once('='));
            match pair {
                Some((key, value)) if data.is_some() || !Path::new(word).exists() => {
                    let key = key.trim();
                    if key.is_empty() {
                        return Err(Usage(format!("'={value}' names no setting; write KEY=VALUE")).into());
                    }
                    if pairs.iter().any(|(known, _)| *known == key) {
                        return Err(Usage(format!("`{key}` is given twice; give it once")).into());
                    }
                    pairs.push((key, value.trim()));
                }
                _ if data.is_none() => data = Some(PathBuf::from(word)),
                _ => {
                    return Err(Usage(format!(
                        "'{}' is neither an option nor KEY=VALUE; one DATA is given already, '{}'",
                        Path::new(word).display(),
                        data.unwrap_or_default().display()
                    ))
                    .into());
                }
            }
        }
        if let (Some(data), Some((_, other))) = (&data, pairs.iter().find(|(key, _)| *key == "data")) {
            let data = data.display();
            return Err(Usage(format!("the data is given twice, as '{data}' and as data={other}; give it once")).into());
        }
        let stray = pairs.iter().find(|(key, _)| !Settings::is_key(key));
        if let (None, None, Some((key, value))) = (&data, &self.config, stray) {
            return Err(Usage(format!(
                "'{key}={value}' is no file or folder that exists, and there is no setting `{key}` either; check the path \
                 of the data, or see the settings in `deepfit train --help`"
            ))
            .into());
        }
        Ok((data, pairs))
    }
}
