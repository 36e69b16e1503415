//! `deepfit inspect`: what a network is made of.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueHint};
use deepfit_train::{InspectOptions, inspect};

use super::{model_path, parse_rows};
use crate::exit::{Exit, Usage};
use crate::output;
use deepfit_train::text::Style;

/// Arguments of `deepfit inspect`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  deepfit inspect runs/digits-1                          the network of a run
  deepfit inspect examples/digits.zip                    the network that training would build
  deepfit inspect photos/ --model resnet18 --batch 64    another one
  deepfit inspect reviews.csv --text review dropout=0.3  with settings of a training
  deepfit inspect runs/digits-1 --passes                 what each optimisation of the graph saves
  deepfit inspect weights.safetensors                    the tensors of a file")]
pub struct Arguments {
    /// Run folder, model folder, or data (then: what training would build for it)
    #[arg(value_name = "RUN|DATA|MODEL", value_hint = ValueHint::AnyPath)]
    subject: PathBuf,
    /// Show nodes, bytes and operations of the graph before and after each pass
    #[arg(long)]
    passes: bool,
    /// Of data: column of a table to predict
    #[arg(long, value_name = "COLUMN")]
    target: Option<String>,
    /// Of data: column of a table that holds texts, or several as A,B
    #[arg(long, value_name = "COLUMN")]
    text: Option<String>,
    /// Of data: architecture
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Of data: published model to begin with, or scratch
    #[arg(long, value_name = "MODEL")]
    from: Option<PathBuf>,
    /// Of data: any other setting of a training; `deepfit train --help` lists them
    #[arg(value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// Of data: rows in a batch
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = parse_rows)]
    batch: Option<usize>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Inspects.
pub fn run(arguments: &Arguments) -> Result<Exit> {
    let settings = arguments.settings()?;
    let trained = ["config.json", "settings.toml", "model/config.json"];
    if trained.iter().any(|file| arguments.subject.join(file).is_file()) {
        for (key, _) in &settings {
            let what = arguments.subject.display();
            output::say(&format!("note: `{key}` has no effect: it is for data, and '{what}' is trained already"));
        }
    }
    let options = InspectOptions { passes: arguments.passes, batch: arguments.batch, settings };
    let inspection = inspect(&model_path(&arguments.subject)?, &options)?;
    if arguments.json {
        output::json(&inspection)?;
    } else {
        output::out(&inspection.text(output::width(), Style::stdout()))?;
    }
    Ok(Exit::Done)
}

impl Arguments {
    /// Settings of a training, options before those that are written as KEY=VALUE.
    fn settings(&self) -> Result<Vec<(String, String)>> {
        let from = match &self.from {
            Some(path) if path.as_os_str() != "scratch" => Some(model_path(path)?.display().to_string()),
            scratch => scratch.as_ref().map(|_| "scratch".to_string()),
        };
        let options = [("target", &self.target), ("text", &self.text), ("model", &self.model), ("from", &from)];
        let given = options.into_iter().filter_map(|(key, value)| Some((key.to_string(), value.clone()?)));
        let mut settings: Vec<(String, String)> = given.collect();
        for word in &self.settings {
            let Some((key, value)) = word.split_once('=') else {
                return Err(
                    Usage(format!("'{word}' is no KEY=VALUE; one RUN, DATA or MODEL is inspected at a time")).into()
                );
            };
            settings.push((key.trim().to_string(), value.trim().to_string()));
        }
        Ok(settings)
    }
}
