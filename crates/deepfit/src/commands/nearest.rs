//! `deepfit embed --nearest`: which inputs are most like each input, or like some that are given.

use std::path::PathBuf;

use anyhow::Result;
use deepfit_train::text::Style;
use deepfit_train::{Gallery, Neighbours};

use super::embed::Embeds;
use crate::exit::Usage;
use crate::output::predictions::Format;
use crate::output::{self, neighbours};

/// What is asked for.
pub struct Question<'a> {
    /// Inputs among which is looked; `-` is a table on standard input.
    pub inputs: &'a [PathBuf],
    /// Inputs whose neighbours are wanted; all if none are given.
    pub of: &'a [PathBuf],
    /// Neighbours of each.
    pub count: usize,
    /// How they are written.
    pub format: Format,
}

/// Embeds all inputs and writes the nearest of each. Returns how many were embedded, and those that could not be read.
pub fn answer(embedder: &mut Embeds, question: &Question<'_>) -> Result<(u64, Vec<(String, String)>)> {
    let mut gallery = Gallery::default();
    let mut add = |embedding| {
        gallery.add(&embedding);
        Ok(())
    };
    let mut failed = match question.inputs {
        [only] if only.as_os_str() == "-" => embedder.embed_reader(&mut add)?,
        paths => embedder.embed_paths(paths, &mut add)?,
    };
    if gallery.len() < if question.of.is_empty() { 2 } else { 1 } {
        let problem = format!(
            "{} of the inputs can be embedded, and the nearest of others are asked for; give a folder of several images",
            gallery.len()
        );
        return Err(Usage(problem).into());
    }
    let out = std::io::BufWriter::new(std::io::stdout().lock());
    let written = if question.of.is_empty() {
        neighbours::write(gallery.all_nearest(question.count), question.format, out, Style::stdout())
    } else {
        let mut found: Vec<Neighbours> = Vec::new();
        let more = embedder.embed_paths(question.of, &mut |embedding| {
            found.push(gallery.nearest(&embedding, question.count));
            Ok(())
        })?;
        failed.extend(more);
        neighbours::write(found.into_iter(), question.format, out, Style::stdout())
    };
    written.map_err(output::stdout_error)?;
    Ok((gallery.len() as u64, failed))
}
