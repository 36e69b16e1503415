//! `deepfit embed`: what a network makes of pictures, rows and texts before it decides.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum, ValueHint};
use deepfit_train::text::{Style, words};
use deepfit_train::{Embedder, Embedding, Layer, TextEmbedder, TrainError, is_text_model};

use super::{model_path, nearest, parse_threads, threads};
use crate::exit::{Exit, Usage};
use crate::output::embeddings::{Format, Writer};
use crate::output::{self, predictions};

/// Arguments of `deepfit embed`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  deepfit embed efficientnet-lite0 photos/ > features.csv      by the network that is part of deepfit
  deepfit embed runs/digits-1 picture.png --json
  deepfit embed models/resnet50/ photos/ --logits --json       by a published model
  deepfit embed models/all-MiniLM-L6-v2/ texts.txt --json      sentences, a line each
  deepfit embed efficientnet-lite0 photos/ --nearest 5         which pictures are most alike
  deepfit embed efficientnet-lite0 photos/ --nearest 5 --of query.jpg
  deepfit embed minilm-static corpus.txt --nearest 5 --of questions.txt      texts that are like a question
  deepfit embed models/all-MiniLM-L6-v2/ --vocabulary --json   its tokens, each by itself

An embedding is what the last layer of a network sees: similar inputs have similar ones. Inputs that cannot be read are
reported on standard error, the others are embedded, and the exit code is 2.")]
pub struct Arguments {
    /// Run folder, model folder, folder or file of a published model, or efficientnet-lite0
    #[arg(value_name = "MODEL|RUN", value_hint = ValueHint::AnyPath)]
    model: PathBuf,
    /// Images, folders or .zip files of images, or a table (CSV, TSV, JSON Lines, Parquet, Arrow; text may be
    /// compressed as .gz or .zst); `-` reads a table from standard input. For a model of texts: files of lines, tables,
    /// folders of .txt files; `-` reads lines
    #[arg(value_name = "INPUT", required_unless_present = "vocabulary", value_hint = ValueHint::AnyPath)]
    inputs: Vec<PathBuf>,
    /// Of tables of texts: the column that holds them [default: the only one, or one with a usual name, such as text]
    #[arg(long, value_name = "NAME")]
    column: Option<String>,
    /// How embeddings are written [default: csv; a table for --nearest]
    #[arg(long, value_name = "FORMAT")]
    format: Option<FormatName>,
    /// The same as --format json: an array of objects with `input`, and `embedding`, `logits`, `hidden` or `nearest`
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// The K other inputs that are most like each input, by the cosine of the angle between their embeddings
    #[arg(long, value_name = "K", allow_hyphen_values = true, value_parser = parse_count)]
    nearest: Option<usize>,
    /// Only the nearest of this input, which need not be among the others; may be repeated. Of texts a file of questions, a
    /// line each, or `-` for those of standard input
    #[arg(long, value_name = "INPUT", requires = "nearest", value_hint = ValueHint::AnyPath)]
    of: Vec<PathBuf>,
    /// The results of the last layer in place of what it sees
    #[arg(long)]
    logits: bool,
    /// Of texts: the hidden state of each token, as JSON
    #[arg(long, conflicts_with = "logits")]
    hidden: bool,
    /// In place of inputs: each token of a text model's vocabulary as if it were a whole text, in the order of their numbers
    #[arg(long, conflicts_with_all = ["inputs", "column", "nearest"])]
    vocabulary: bool,
    /// Threads; the result does not depend on them [default: all cores]
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = parse_threads)]
    threads: Option<usize>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FormatName {
    Table,
    Csv,
    Json,
}

/// What embeds, by the kind of the model.
pub(super) enum Embeds {
    /// Images and rows.
    Inputs(Box<Embedder>),
    /// Texts.
    Texts(Box<TextEmbedder>),
}

/// Inputs that failed, each with the reason.
type Failed = Vec<(String, String)>;

impl Embeds {
    fn open(arguments: &Arguments, layer: Layer) -> Result<Embeds> {
        let (model, threads) = (model_path(&arguments.model)?, threads(arguments.threads));
        if is_text_model(&model) {
            let embedder = TextEmbedder::open(&model, layer, threads)?.column(arguments.column.clone());
            return Ok(Embeds::Texts(Box::new(embedder)));
        }
        if arguments.vocabulary {
            let problem = "--vocabulary is for published models for texts, and this is none: it has no tokens";
            return Err(Usage(format!("{}: {problem}", arguments.model.display())).into());
        }
        if arguments.column.is_some() {
            output::say(
                "note: --column has no effect: a run reads the columns that it was trained on; --column is for published models",
            );
        }
        Ok(Embeds::Inputs(Box::new(Embedder::open(&model, layer, threads)?)))
    }

    /// Embeds files and folders.
    pub(super) fn embed_paths(
        &mut self,
        inputs: &[PathBuf],
        each: &mut dyn FnMut(Embedding) -> deepfit_train::Result<()>,
    ) -> deepfit_train::Result<Failed> {
        match self {
            Embeds::Inputs(embedder) => embedder.embed_paths(inputs, each),
            Embeds::Texts(embedder) => embedder.embed_paths(inputs, each),
        }
    }

    /// Embeds what standard input gives.
    pub(super) fn embed_reader(
        &mut self,
        each: &mut dyn FnMut(Embedding) -> deepfit_train::Result<()>,
    ) -> deepfit_train::Result<Failed> {
        let (reader, name) = (std::io::stdin().lock(), "standard input");
        match self {
            Embeds::Inputs(embedder) => embedder.embed_reader(reader, name, each),
            Embeds::Texts(embedder) => embedder.embed_reader(reader, name, each),
        }
    }

    /// Embeds the tokens of a model for texts; others have none.
    fn embed_vocabulary(
        &mut self,
        each: &mut dyn FnMut(Embedding) -> deepfit_train::Result<()>,
    ) -> deepfit_train::Result<Failed> {
        match self {
            Embeds::Inputs(_) => Ok(Failed::new()),
            Embeds::Texts(embedder) => embedder.embed_vocabulary(each),
        }
    }

    fn take_notes(&mut self) -> Vec<String> {
        match self {
            Embeds::Inputs(embedder) => embedder.take_notes(),
            Embeds::Texts(embedder) => embedder.take_notes(),
        }
    }
}

/// Embeds.
pub fn run(arguments: &Arguments) -> Result<Exit> {
    let from_stdin = arguments.inputs.iter().any(|path| path.as_os_str() == "-");
    if from_stdin && arguments.inputs.len() > 1 {
        let problem = "standard input, '-', is a table, which is read by itself; give '-' alone";
        return Err(Usage(problem.to_string()).into());
    }
    let asks_stdin = arguments.of.iter().any(|path| path.as_os_str() == "-");
    if asks_stdin && (from_stdin || arguments.of.len() > 1) {
        let problem = "standard input, '-', can be read once, and by itself: give the inputs or --of as a file";
        return Err(Usage(problem.to_string()).into());
    }
    let layer = match (arguments.logits, arguments.hidden) {
        (true, _) => Layer::Logits,
        (_, true) => Layer::Hidden,
        _ => Layer::Embedding,
    };
    let named = if arguments.json || arguments.hidden { Some(FormatName::Json) } else { arguments.format };
    if let (Some(FormatName::Table), None) = (named, arguments.nearest) {
        let problem = "a table of embeddings would be too wide; use --format csv or json, or ask for --nearest K";
        return Err(Usage(problem.to_string()).into());
    }
    let mut embedder = Embeds::open(arguments, layer)?;
    if let Some(count) = arguments.nearest {
        let format = match named.unwrap_or(FormatName::Table) {
            FormatName::Table => predictions::Format::Table,
            FormatName::Csv => predictions::Format::Csv,
            FormatName::Json => predictions::Format::Json,
        };
        let question = nearest::Question { inputs: &arguments.inputs, of: &arguments.of, count, format };
        let (embedded, failed) = nearest::answer(&mut embedder, &question)?;
        return finish(&mut embedder, embedded, &failed);
    }
    let format = if let Some(FormatName::Json) = named { Format::Json } else { Format::Csv };
    let mut writer = Writer::new(format, std::io::BufWriter::new(std::io::stdout().lock()));
    // The embedder's callback speaks its own errors; those of writing are kept here and end the command.
    let mut unwritten: Option<std::io::Error> = None;
    let mut embedded = 0_u64;
    let mut each = |embedding: Embedding| {
        embedded += 1;
        writer.write(&embedding).map_err(|error| {
            let told = std::io::Error::new(error.kind(), error.to_string());
            unwritten = Some(error);
            TrainError::Io { action: "write", path: PathBuf::from("standard output"), source: told }
        })
    };
    let outcome = if arguments.vocabulary {
        embedder.embed_vocabulary(&mut each)
    } else if from_stdin {
        embedder.embed_reader(&mut each)
    } else {
        embedder.embed_paths(&arguments.inputs, &mut each)
    };
    if let Some(error) = unwritten {
        return Err(output::stdout_error(error));
    }
    let finished = if outcome.is_ok() { writer.finish() } else { writer.abandon() };
    finished.map_err(output::stdout_error)?;
    match outcome {
        Ok(failed) => finish(&mut embedder, embedded, &failed),
        Err(error) => {
            // Of a text an error stands by itself.
            if let Embeds::Inputs(_) = embedder {
                tell_notes(&mut embedder);
            }
            Err(error.into())
        }
    }
}

fn tell_notes(embedder: &mut Embeds) {
    for note in embedder.take_notes() {
        output::say(&words::printable(&note));
    }
}

/// Tells what is worth knowing, and of the inputs that failed.
fn finish(embedder: &mut Embeds, embedded: u64, failed: &[(String, String)]) -> Result<Exit> {
    tell_notes(embedder);
    for (name, reason) in failed {
        output::say(&words::printable(&format!("{name}: {reason}")));
    }
    if failed.is_empty() {
        return Ok(Exit::Done);
    }
    let inputs = words::plural(failed.len() as u64, "input");
    output::say(&format!("{} {inputs} could not be read, {embedded} embedded", Style::stderr().red("error:")));
    Ok(Exit::BadInput)
}

/// Reads a number of neighbours.
fn parse_count(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|count| *count > 0)
        .ok_or_else(|| "it must be a whole number above 0, such as 5".to_string())
}
