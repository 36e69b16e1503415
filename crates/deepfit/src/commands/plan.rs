//! `deepfit plan`: what training would cost, before it begins.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use clap::{Args, ValueHint};
use deepfit_train::text::Style;
use deepfit_train::{Cost, Settings, cost, prepare, ways};

use super::train;
use crate::exit::Exit;
use crate::output::{self, costs};

/// Arguments of `deepfit plan`.
#[derive(Debug, Args)]
#[command(
    override_usage = "deepfit plan [OPTIONS] DATA [KEY=VALUE]...",
    after_help = "Nothing is written. For each model that suits the data it tells the memory of the whole process, the seconds of an epoch, by
a few real steps, and those of all, reading and measuring included; and which of them `deepfit train` with the same options
would take. With --memory and --time, steps that compute values again, smaller batches and smaller models are chosen so that a
run keeps within them; `deepfit train` takes both options, too.

Examples:
  deepfit plan photos/
  deepfit plan houses.csv --target price --memory 200MB --time 2m
  deepfit plan reviews.csv --json > costs.json"
)]
pub struct Arguments {
    /// What `deepfit train` takes: a table, a folder or .zip of images, texts
    #[arg(value_name = "DATA", value_hint = ValueHint::AnyPath, required_unless_present = "one")]
    data: Option<OsString>,
    /// Any setting of `deepfit train`, which lists them by `deepfit train --help`
    #[arg(value_name = "KEY=VALUE")]
    settings: Vec<OsString>,

    /// Column of a table to predict [default: one named target, label, class or y, else the last]
    #[arg(long, value_name = "COLUMN", help_heading = "Data")]
    target: Option<String>,
    /// Column of a table that holds texts, or several as A,B; none where there are none
    #[arg(long, value_name = "COLUMN", help_heading = "Data")]
    text: Option<String>,
    /// Table that names images of the folder DATA, and says what is on them
    #[arg(long, value_name = "TABLE", value_hint = ValueHint::FilePath, help_heading = "Data")]
    labels: Option<PathBuf>,
    /// Validation data of its own instead of a part of DATA
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath, help_heading = "Data")]
    validation: Option<PathBuf>,
    /// Test data of its own instead of a part of DATA
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath, help_heading = "Data")]
    test: Option<PathBuf>,

    /// Most memory of the whole process, such as 500MB
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true, help_heading = "Limits")]
    memory: Option<String>,
    /// Most time of the whole run, such as 90s, 2m or 1h
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, help_heading = "Limits")]
    time: Option<String>,

    /// Plan for this architecture alone
    #[arg(long, value_name = "NAME", help_heading = "Model and training")]
    model: Option<String>,
    /// Plan for this published model alone, or, with scratch, for none
    #[arg(long, value_name = "MODEL", help_heading = "Model and training")]
    from: Option<PathBuf>,
    /// Most passes over the training rows
    #[arg(long, value_name = "N", allow_hyphen_values = true, help_heading = "Model and training")]
    epochs: Option<String>,
    /// Rows in a batch
    #[arg(long, value_name = "N", allow_hyphen_values = true, help_heading = "Model and training")]
    batch: Option<String>,
    /// Threads [default: all cores]
    #[arg(long, value_name = "N", allow_hyphen_values = true, help_heading = "Model and training")]
    threads: Option<String>,
    /// Settings from a TOML file, such as the settings.toml of a run
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Model and training")]
    config: Option<PathBuf>,

    /// Print one JSON object with `chosen` and `costs` on standard output
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// Print nothing but errors (and the JSON)
    #[arg(long, short, help_heading = "Output")]
    quiet: bool,

    /// One model, whose settings come on standard input
    #[arg(long, hide = true)]
    one: bool,
}

/// Plans.
pub fn run(arguments: &Arguments) -> Result<Exit> {
    if arguments.one {
        return one();
    }
    let settings = train::Arguments {
        data: arguments.data.clone(),
        settings: arguments.settings.clone(),
        target: arguments.target.clone(),
        text: arguments.text.clone(),
        labels: arguments.labels.clone(),
        validation: arguments.validation.clone(),
        test: arguments.test.clone(),
        memory: arguments.memory.clone(),
        time: arguments.time.clone(),
        model: arguments.model.clone(),
        from: arguments.from.clone(),
        epochs: arguments.epochs.clone(),
        batch: arguments.batch.clone(),
        threads: arguments.threads.clone(),
        config: arguments.config.clone(),
        ..train::Arguments::default()
    }
    .settings()?;
    let job = prepare(settings.clone(), None)?;
    let description = job.description().clone();
    let others = ways(&settings, &job)?;
    let mut found = vec![Cost::of(&job)];
    // Each has the memory to itself, as a run has.
    drop(job);
    for settings in &others {
        if !arguments.quiet {
            let name = settings.from.as_deref().filter(|from| *from != "scratch").unwrap_or(&settings.model);
            output::say(&format!("trying {name} ..."));
        }
        found.push(apart(settings)?);
    }
    if arguments.json {
        output::json(&costs::Plan::new(&description, found))?;
    } else if !arguments.quiet {
        output::out(&costs::text(&description, &settings, &found, Style::stdout()))?;
    }
    Ok(Exit::Done)
}

/// Plans one model in a process of its own, whose memory tells nothing of other models.
fn apart(settings: &Settings) -> Result<Cost> {
    let program = std::env::current_exe().context("the system does not tell where this program is")?;
    let mut child = Command::new(program)
        .args(["plan", "--one"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start a process for another model")?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(settings.to_toml()?.as_bytes()).context("cannot tell a process what to plan")?;
    }
    let output = child.wait_with_output()?;
    match serde_json::from_slice(&output.stdout) {
        Ok(cost) => Ok(cost),
        Err(_) => Ok(Cost::unknown(settings, format!("its process ended with {}", output.status))),
    }
}

/// What one model would cost, as JSON.
fn one() -> Result<Exit> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("cannot read the settings")?;
    let mut settings = Settings::default();
    settings.merge_toml(&text, "standard input".as_ref())?;
    let cost = cost(settings)?;
    output::json(&cost)?;
    Ok(Exit::Done)
}
