//! `deepfit generate`: texts that a network continues.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueHint};
use deepfit_train::text::words;
use deepfit_train::{Finish, Generator, Sampling, TrainError};

use super::{model_path, parse_threads, threads};
use crate::exit::Exit;
use crate::output;

/// Arguments of `deepfit generate`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  deepfit generate runs/book-1 \"The \" --temperature 0.8
  deepfit generate models/gpt2/ \"Once upon a time\"
  deepfit generate models/smollm/ \"The sea is\" --temperature 0.8 --top-p 0.9 --seed 7
  deepfit generate models/gpt2/ \"Once upon a time\" --max-tokens 20 --json

Pieces are written as they are made. Without --temperature, --top-k or --top-p the likeliest token is taken each time.")]
pub struct Arguments {
    /// Run that learned to continue a text, or folder of a published model that does, such as GPT-2 or LLaMA
    #[arg(value_name = "RUN|MODEL", value_hint = ValueHint::AnyPath)]
    model: PathBuf,
    /// The text to continue
    #[arg(value_name = "PROMPT")]
    prompt: String,
    /// Most tokens that are added
    #[arg(long, value_name = "N", default_value_t = 100)]
    max_tokens: usize,
    /// How freely tokens are drawn: 0 takes the likeliest, 1 draws as the network says [default: 0, or 1 with --top-k or
    /// --top-p]
    #[arg(long, value_name = "T")]
    temperature: Option<f32>,
    /// Draw from the K likeliest tokens alone
    #[arg(long, value_name = "K")]
    top_k: Option<usize>,
    /// Draw from the likeliest tokens alone that together have this probability
    #[arg(long, value_name = "P")]
    top_p: Option<f32>,
    /// Another seed draws other tokens; the same one draws the same
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Print one JSON object with `prompt`, `text`, `tokens` and `finish` when all is done
    #[arg(long)]
    json: bool,
    /// Threads; the result does not depend on them [default: all cores]
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = parse_threads)]
    threads: Option<usize>,
}

/// Generates.
pub fn run(arguments: &Arguments) -> Result<Exit> {
    let draws = arguments.top_k.is_some() || arguments.top_p.is_some();
    let sampling = Sampling {
        max_tokens: arguments.max_tokens,
        temperature: arguments.temperature.unwrap_or(if draws { 1.0 } else { 0.0 }),
        top_k: arguments.top_k,
        top_p: arguments.top_p,
        seed: arguments.seed,
    };
    if draws && sampling.temperature == 0.0 {
        output::say("note: --top-k and --top-p have no effect with --temperature 0, which takes the likeliest token");
    }
    let mut generator = Generator::open(&model_path(&arguments.model)?, threads(arguments.threads))?;
    let mut out = std::io::stdout().lock();
    // The generator's callback speaks its own errors; those of writing are kept here and end the command.
    let mut unwritten: Option<std::io::Error> = None;
    let mut begun = false;
    let mut write = |piece: &str| {
        // A prompt that is refused is not written.
        let before = if std::mem::replace(&mut begun, true) { "" } else { &arguments.prompt[..] };
        let written = out.write_all(before.as_bytes()).and_then(|()| out.write_all(piece.as_bytes()));
        written.and_then(|()| out.flush()).map_err(|error| {
            let told = std::io::Error::new(error.kind(), error.to_string());
            unwritten = Some(error);
            TrainError::Io { action: "write", path: PathBuf::from("standard output"), source: told }
        })
    };
    let outcome = if arguments.json {
        generator.generate(&arguments.prompt, &sampling, &mut |_| Ok(()))
    } else {
        let outcome = generator.generate(&arguments.prompt, &sampling, &mut write);
        outcome.and_then(|generated| write("\n").map(|()| generated))
    };
    if let Some(error) = unwritten {
        return Err(output::stdout_error(error));
    }
    drop(out);
    let generated = outcome?;
    for note in generator.take_notes() {
        output::say(&words::printable(&note));
    }
    if generated.finish == Finish::Positions {
        output::say("note: the text ends here since the model takes no more tokens");
    }
    if arguments.json {
        output::json(&generated)?;
    }
    Ok(Exit::Done)
}
