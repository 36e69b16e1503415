//! `deepfit models`: published models that are known, and those on this computer.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, Subcommand};
use deepfit_data::Tokenizer;
use deepfit_hub::Hub;
use deepfit_train::text::{Style, Table, words};
use deepfit_zoo::{KNOWN, KnownModel, PublishedText};
use serde::Serialize;

use crate::exit::Exit;
use crate::output;

/// Arguments of `deepfit models`.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  deepfit models                                        what is known, and what is here
  deepfit models show efficientnet-lite0
  deepfit models pull timm/resnet18.a1_in1k             the only command that opens a network connection
  deepfit predict timm/resnet18.a1_in1k photos/         then works without one

Any model at the hub can be pulled whose architecture is read. Files are kept where Hugging Face's own tools keep them.
HF_ENDPOINT is the address of the hub, HF_TOKEN a token for models that need one, HF_HOME or HF_HUB_CACHE where files go."
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Print one JSON array
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List models that are known, and those on this computer
    List {
        /// Print one JSON array
        #[arg(long)]
        json: bool,
    },
    /// Tell what a model is
    Show {
        /// Name of a model, or its folder or file
        #[arg(value_name = "MODEL")]
        model: PathBuf,
    },
    /// Fetch a model from the hub
    Pull {
        /// Its name there, OWNER/NAME
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Remove a model from this computer
    Remove {
        /// Its name at the hub
        #[arg(value_name = "NAME")]
        name: String,
    },
}

/// A row of the list.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    architecture: Option<&'static str>,
    task: Option<&'static str>,
    bytes: u64,
    licence: Option<&'static str>,
    trained: Option<u16>,
    source: Option<&'static str>,
    /// Whether it is on this computer.
    here: bool,
}

/// Lists, shows, fetches or removes.
pub fn run(arguments: &Arguments) -> Result<Exit> {
    let hub = Hub::from_environment();
    match &arguments.command {
        None => list(&hub, arguments.json),
        Some(Command::List { json }) => list(&hub, *json),
        Some(Command::Show { model }) => show(&hub, model),
        Some(Command::Pull { name }) => {
            output::say(&format!("{name} from {}", hub.endpoint()));
            let folder = hub.pull(name, &mut |line| output::say(&words::printable(line)))?;
            output::out(&format!("{}\n", folder.display()))?;
            // What cannot be used is told now, and not when it is needed.
            let report = if deepfit_train::is_text_model(&folder) {
                open_text(&folder)?.0.report
            } else {
                deepfit_train::published_model(&folder)?.report
            };
            output::say(&words::printable(&report.to_string()));
            Ok(Exit::Done)
        }
        Some(Command::Remove { name }) => {
            let freed = hub.remove(name)?;
            output::say(&format!("{name} is removed, {} are free again", words::bytes(freed)));
            Ok(Exit::Done)
        }
    }
}

fn list(hub: &Hub, json: bool) -> Result<Exit> {
    let cached = hub.cached()?;
    let known = |model: &KnownModel| Row {
        name: model.name.to_string(),
        architecture: Some(model.architecture),
        task: Some(model.task),
        bytes: model.bytes,
        licence: Some(model.licence),
        trained: model.trained,
        source: Some(model.source),
        here: !model.name.contains('/') || cached.iter().any(|c| c.name == model.name),
    };
    let mut rows: Vec<Row> = KNOWN.iter().map(known).collect();
    for model in cached.iter().filter(|c| KNOWN.iter().all(|known| known.name != c.name)) {
        let (name, bytes) = (model.name.clone(), model.bytes);
        let (architecture, task, licence, source) = (None, None, None, None);
        rows.push(Row { name, architecture, task, bytes, licence, trained: None, source, here: true });
    }
    if json {
        output::json(&rows)?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(2, &["model", "architecture", "size", "licence", "trained", "here"]);
    for row in rows {
        table.row(vec![
            words::printable(&row.name),
            row.architecture.unwrap_or("?").to_string(),
            words::bytes(row.bytes),
            row.licence.unwrap_or("?").to_string(),
            row.trained.map_or("?".to_string(), |year| year.to_string()),
            if row.here { "yes" } else { "" }.to_string(),
        ]);
    }
    output::out(&table.render(Style::stdout()))?;
    output::say(
        "`deepfit models pull NAME` fetches one; any other of these architectures at the hub can be fetched, too",
    );
    Ok(Exit::Done)
}

fn show(hub: &Hub, model: &Path) -> Result<Exit> {
    let known = KNOWN.iter().find(|known| model.as_os_str() == known.name);
    let mut text = String::new();
    if let Some(known) = known {
        let trained = known.trained.map_or("unknown".to_string(), |year| year.to_string());
        text += &format!("{}: {}\n", known.name, known.architecture);
        text += &format!("  task      {}\n  size      {}\n", known.task, words::bytes(known.bytes));
        text += &format!("  licence   {}\n  trained   {trained}\n  source    {}\n", known.licence, known.source);
    }
    let path = resolve_in(hub, model);
    match (&path, known) {
        (Err(_), Some(known)) => text += &format!("  not here: deepfit models pull {}\n", known.name),
        _ => {
            let path = path?;
            if deepfit_train::is_text_model(&path) {
                output::out(&(text + &show_text(&path)?))?;
                return Ok(Exit::Done);
            }
            let published = deepfit_train::published_model(&path)?;
            let prepared = &published.preprocessing;
            let (height, width) = prepared.crop;
            text += &format!("  found     {}\n", published.report);
            text +=
                &format!("  images    {height}x{width}, of {:?} by {:?}\n", prepared.resize, prepared.interpolation);
            let classes = published.classes.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
            let more = if published.classes.len() > 5 { ", …" } else { "" };
            text += &match published.has_head() {
                true => format!("  classes   {}: {}{more}\n", published.classes.len(), words::printable(&classes)),
                false => "  classes   none: it gives embeddings\n".to_string(),
            };
            for note in &published.report.notes {
                text += &format!("  note      {}\n", words::printable(note));
            }
        }
    }
    output::out(&text)?;
    Ok(Exit::Done)
}

/// A model for texts with its tokenizer.
fn open_text(path: &Path) -> Result<(PublishedText, Tokenizer)> {
    Ok(deepfit_train::published_text(path)?)
}

/// What is told of a model for texts.
fn show_text(path: &Path) -> Result<String> {
    let (published, tokenizer) = open_text(path)?;
    let mut text = format!("  found     {}\n", published.report);
    text += &format!("  tokens    {}, by {}\n", tokenizer.vocabulary(), tokenizer.path().display());
    if !published.classes.is_empty() {
        text += &format!("  classes   {}\n", words::printable(&published.classes.join(", ")));
    }
    for note in &published.report.notes {
        text += &format!("  note      {}\n", words::printable(note));
    }
    Ok(text)
}

/// The folder of a model that was named as at the hub; any other path as it is. No connection is opened.
///
/// # Errors
/// If the name is that of a model at the hub which is not on this computer.
pub fn resolve(model: &Path) -> Result<PathBuf> {
    resolve_in(&Hub::from_environment(), model)
}

fn resolve_in(hub: &Hub, model: &Path) -> Result<PathBuf> {
    let Some(name) = model.to_str().filter(|name| !model.exists() && name.contains('/')) else {
        return Ok(model.to_path_buf());
    };
    match hub.find(name) {
        Some(folder) => Ok(folder),
        None if KNOWN.iter().any(|known| known.name == name) => {
            Err(deepfit_hub::HubError::Absent { name: name.to_string() }.into())
        }
        None => Ok(model.to_path_buf()),
    }
}
