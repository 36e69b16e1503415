//! `deepfit compare`: which way to learn the data is worth its effort.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueHint};
use deepfit_train::text::Style;
use deepfit_train::{CompareOptions, CompareOutcome, compare};

use super::train;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::output::{self, comparison};
use crate::program;

/// What is told of a signal that comes before anything was compared.
pub const WHEN_INTERRUPTED: &str = "interrupted before anything was compared: nothing was written";

/// Arguments of `deepfit compare`.
#[derive(Debug, Args)]
#[command(
    override_usage = "deepfit compare [OPTIONS] DATA [KEY=VALUE]...",
    after_help = "Ways, cheap ones first: the majority class or the mean, of labels the share of each; logistic or ridge regression, nearest
neighbours and boosted trees (of labels, one for each, and no neighbours) on the columns of a table, the words of texts, or the colours and edges of images, and on what a published
network makes of texts and images; a last layer on that network, a network from scratch, and fine-tuning. Each is trained on
the same rows, compared by what it makes of the same rows that are held out, and measured on the same test rows, which decide
nothing. The simplest way within one standard error and one point of the best is recommended, and every way is kept as a run.
A point is a hundredth; of errors, a hundredth of that of the mean.

Of images and texts it also tells whether a published network will help: short probes at several numbers of rows, on its
features, on features that need no network and on those of a network that knows nothing, decide; scores (LogME, H-score, LEEP)
and the distance of the data from what the network was trained on are hints.

Examples:
  deepfit compare houses.csv --target price --time 2m
  deepfit compare churn.csv --metric roc_auc --json > ways.json
  deepfit compare visits.csv --group patient --seed 7

A comparison is known by its data and its settings: asked again, it costs nothing, and one that was interrupted goes on.
`deepfit plot FOLDER compare` draws what it has found, of the folder that --out names.
Exit codes: 0 done, 2 bad usage or bad input, 130 interrupted, 1 any other failure."
)]
pub struct Arguments {
    /// What `deepfit train` takes: a table, or a folder or .zip of images or of texts
    #[arg(value_name = "DATA", value_hint = ValueHint::AnyPath, required = true)]
    data: OsString,
    /// Any setting of `deepfit train`, which lists them by `deepfit train --help`
    #[arg(value_name = "KEY=VALUE")]
    settings: Vec<OsString>,

    /// Column of a table to predict [default: one named target, label, class or y, else the last]
    #[arg(long, value_name = "COLUMN", help_heading = "Data")]
    target: Option<String>,
    /// Column of a table that holds texts, or several as A,B; none where there are none
    #[arg(long, value_name = "COLUMN", help_heading = "Data")]
    text: Option<String>,
    /// Table that names images of the folder DATA, and says what is on them: a class, a number, or labels divided by |
    #[arg(long, value_name = "TABLE", value_hint = ValueHint::FilePath, help_heading = "Data")]
    labels: Option<PathBuf>,
    /// Validation data of its own: ways are then compared on it, and not in folds
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath, help_heading = "Data")]
    validation: Option<PathBuf>,
    /// Test data of its own instead of a part of DATA
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath, help_heading = "Data")]
    test: Option<PathBuf>,
    /// Column of a table whose equal values stay on one side of every split
    #[arg(long, value_name = "COLUMN", help_heading = "Data")]
    group: Option<String>,
    /// Column of times of a table: the later rows are foretold from the earlier
    #[arg(long, value_name = "COLUMN", help_heading = "Data")]
    time_split: Option<String>,
    /// Column of a table that says train, validation or test of each row
    #[arg(long, value_name = "COLUMN", help_heading = "Data")]
    split: Option<String>,

    /// Most time for everything together, such as 90s, 2m or 1h [default: 2m]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, help_heading = "Comparison")]
    time: Option<String>,
    /// What decides: accuracy, balanced_accuracy, f1, roc_auc or log_loss of classes, rmse, mae or r2 of numbers [default:
    /// accuracy or rmse]
    #[arg(long, value_name = "NAME", help_heading = "Comparison")]
    metric: Option<String>,
    /// Published model whose features are learned from [default: of images and of texts the one that is part of deepfit]
    #[arg(long, value_name = "MODEL", help_heading = "Comparison")]
    from: Option<PathBuf>,
    /// Seed of splits and of all that is drawn [default: 1]
    #[arg(long, value_name = "N", allow_hyphen_values = true, help_heading = "Comparison")]
    seed: Option<String>,
    /// Threads; the result does not depend on them unless the time is short [default: all cores]
    #[arg(long, value_name = "N", allow_hyphen_values = true, help_heading = "Comparison")]
    threads: Option<String>,

    /// Folder to write [default: runs/compare-NAME-KEY, where KEY stands for the data and the settings]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, help_heading = "Run")]
    out: Option<PathBuf>,

    /// Print one JSON object with `recommended`, `reason` and `ways` on standard output
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// Print nothing but errors (and the JSON)
    #[arg(long, short, help_heading = "Output")]
    quiet: bool,
}

/// Compares.
pub fn run(arguments: &Arguments, interrupt: &Interrupt) -> Result<Exit> {
    let settings = train::Arguments {
        data: Some(arguments.data.clone()),
        settings: arguments.settings.clone(),
        target: arguments.target.clone(),
        text: arguments.text.clone(),
        labels: arguments.labels.clone(),
        validation: arguments.validation.clone(),
        test: arguments.test.clone(),
        group: arguments.group.clone(),
        time_split: arguments.time_split.clone(),
        split: arguments.split.clone(),
        from: arguments.from.clone(),
        time: arguments.time.clone(),
        seed: arguments.seed.clone(),
        threads: arguments.threads.clone(),
        ..train::Arguments::default()
    }
    .settings()?;
    let options = CompareOptions { settings, metric: arguments.metric.clone(), out: arguments.out.clone() };
    interrupt.defer();
    let mut watch = comparison::Watch::new(arguments.quiet, interrupt);
    let outcome = compare(options, &mut watch, &|| interrupt.requested());
    watch.finish();
    match outcome? {
        CompareOutcome::Finished(found) => {
            if arguments.json {
                output::json(&found)?;
            } else if !arguments.quiet {
                output::out(&comparison::text(&found, Style::stdout()))?;
            }
            Ok(Exit::Done)
        }
        CompareOutcome::Interrupted { folder } => {
            output::say(&format!(
                "interrupted; what was finished is kept in {}, and the same command goes on from there",
                program::path(&folder)
            ));
            Ok(Exit::Interrupted)
        }
    }
}
