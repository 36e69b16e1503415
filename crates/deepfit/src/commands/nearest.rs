//! `deepfit embed --nearest`: which inputs are most like each input, or like some that are given.

use std::path::PathBuf;

use anyhow::Result;
use deepfit_train::text::Style;
use deepfit_train::{Embedding, Gallery, Search};

use super::embed::Embeds;
use crate::exit::Usage;
use crate::output::predictions::Format;
use crate::output::{self, neighbours};

/// What is asked for.
pub struct Question<'a> {
    /// Inputs among which is looked; `-` is a table on standard input.
    pub inputs: &'a [PathBuf],
    /// Inputs whose neighbours are wanted, `-` as well; all if none are given.
    pub of: &'a [PathBuf],
    /// Neighbours of each.
    pub count: usize,
    /// How they are written.
    pub format: Format,
}

/// Embeds all inputs and writes the nearest of each. Returns how many were embedded, and those that could not be read.
pub fn answer(embedder: &mut Embeds, question: &Question<'_>) -> Result<(u64, Vec<(String, String)>)> {
    let out = || std::io::BufWriter::new(std::io::stdout().lock());
    let (style, format) = (Style::stdout(), question.format);
    if question.of.is_empty() {
        let mut gallery = Gallery::default();
        let failed = embed(embedder, question.inputs, &mut |embedding| gallery.add(&embedding))?;
        require(gallery.len(), 2)?;
        neighbours::write(gallery.all_nearest(question.count), format, out(), style).map_err(output::stdout_error)?;
        return Ok((gallery.len() as u64, failed));
    }
    // Questions first: what is searched may be too much to be kept.
    let mut search = Search::new(question.count);
    let mut failed = embed(embedder, question.of, &mut |embedding| search.ask(&embedding))?;
    let mut candidates = 0;
    failed.extend(embed(embedder, question.inputs, &mut |embedding| {
        candidates += 1;
        search.add(&embedding);
    })?);
    require(candidates, 1)?;
    neighbours::write(search.found().into_iter(), format, out(), style).map_err(output::stdout_error)?;
    Ok((candidates as u64, failed))
}

/// Embeds files and folders, or what standard input gives.
fn embed(
    embedder: &mut Embeds,
    inputs: &[PathBuf],
    each: &mut dyn FnMut(Embedding),
) -> deepfit_train::Result<Vec<(String, String)>> {
    let mut each = |embedding| {
        each(embedding);
        Ok(())
    };
    match inputs {
        [only] if only.as_os_str() == "-" => embedder.embed_reader(&mut each),
        paths => embedder.embed_paths(paths, &mut each),
    }
}

/// Refuses to look among too few.
fn require(embedded: usize, least: usize) -> Result<()> {
    if embedded >= least {
        return Ok(());
    }
    let problem = format!(
        "{embedded} of the inputs can be embedded, and the nearest of others are asked for; give several images or texts"
    );
    Err(Usage(problem).into())
}
