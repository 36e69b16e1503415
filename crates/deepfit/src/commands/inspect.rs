//! `deepfit inspect`: what a network is made of.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueHint};
use deepfit_train::{InspectOptions, inspect};

use super::{model_path, parse_rows};
use crate::exit::Exit;
use crate::output;
use deepfit_train::text::Style;

/// Arguments of `deepfit inspect`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  deepfit inspect runs/digits-1                          the network of a run
  deepfit inspect examples/digits.zip                    the network that training would build
  deepfit inspect photos/ --model resnet18 --batch 64    another one
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
    /// Of data: architecture
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Of data: rows in a batch
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = parse_rows)]
    batch: Option<usize>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Inspects.
pub fn run(arguments: &Arguments) -> Result<Exit> {
    let trained = ["config.json", "settings.toml", "model/config.json"];
    if trained.iter().any(|file| arguments.subject.join(file).is_file()) {
        for (option, given) in [("--target", arguments.target.is_some()), ("--model", arguments.model.is_some())] {
            if given {
                let what = arguments.subject.display();
                output::say(&format!("note: {option} has no effect: it is for data, and '{what}' is trained already"));
            }
        }
    }
    let options = InspectOptions {
        passes: arguments.passes,
        target: arguments.target.clone(),
        batch: arguments.batch,
        model: arguments.model.clone(),
    };
    let inspection = inspect(&model_path(&arguments.subject)?, &options)?;
    if arguments.json {
        output::json(&inspection)?;
    } else {
        output::out(&inspection.text(output::width(), Style::stdout()))?;
    }
    Ok(Exit::Done)
}
