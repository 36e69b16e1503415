//! `deepfit tokenize`: the tokens that a published model makes of texts.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueHint};
use deepfit_data::{TextRow, Texts, Tokenizer};
use deepfit_train::TrainError;
use deepfit_train::text::words;
use serde::Serialize;

use super::model_path;
use crate::exit::Exit;
use crate::output;

/// Arguments of `deepfit tokenize`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  deepfit tokenize models/all-MiniLM-L6-v2/ texts.txt          numbers and pieces, a text each line
  deepfit tokenize models/gpt2/ texts.csv --column title --json")]
pub struct Arguments {
    /// Folder with a model's tokenizer: tokenizer.json, or vocab.txt, or vocab.json and merges.txt
    #[arg(value_name = "MODEL", value_hint = ValueHint::AnyPath)]
    model: PathBuf,
    /// Files of lines, .csv, .tsv or .jsonl tables, or folders of .txt files; `-` reads lines from standard input
    #[arg(value_name = "INPUT", required = true, value_hint = ValueHint::AnyPath)]
    inputs: Vec<PathBuf>,
    /// Of tables: the column that holds the texts [default: the only one, or one with a usual name, such as text]
    #[arg(long, value_name = "NAME")]
    column: Option<String>,
    /// Write a JSON object a line, with `input`, `ids` and `tokens`
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Row<'r> {
    input: &'r str,
    ids: &'r [u32],
    tokens: Vec<String>,
}

/// Tokenizes.
pub fn run(arguments: &Arguments) -> Result<Exit> {
    let tokenizer = Tokenizer::open(&model_path(&arguments.model)?).map_err(TrainError::from)?;
    for note in tokenizer.notes() {
        output::say(&words::printable(note));
    }
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut failed = 0;
    let mut each = |row: TextRow| -> Result<()> {
        let encoded = row.text.and_then(|text| tokenizer.encode(&text, usize::MAX));
        let encoded = match encoded {
            Ok(encoded) => encoded,
            Err(problem) => {
                failed += 1;
                output::say(&words::printable(&format!("{}: {problem}", row.name)));
                return Ok(());
            }
        };
        let tokens = encoded.ids.iter().map(|&id| tokenizer.token(id).unwrap_or_default()).collect();
        let row = Row { input: &row.name, ids: &encoded.ids, tokens };
        let line = if arguments.json {
            serde_json::to_string(&row)?
        } else {
            let pieces = row.ids.iter().zip(&row.tokens).map(|(id, token)| format!("{id} {}", words::printable(token)));
            pieces.collect::<Vec<_>>().join("  ")
        };
        writeln!(out, "{line}").map_err(output::stdout_error)
    };
    let texts = Texts { column: arguments.column.clone(), ..Texts::default() };
    let notes = if arguments.inputs.iter().any(|path| path.as_os_str() == "-") {
        texts.read_from(std::io::stdin().lock(), "standard input", &mut each)?
    } else {
        texts.read(&arguments.inputs, &mut each)?
    };
    for note in notes {
        output::say(&words::printable(&note));
    }
    out.flush().map_err(output::stdout_error)?;
    Ok(if failed == 0 { Exit::Done } else { Exit::BadInput })
}
