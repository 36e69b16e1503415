//! What a run has learnt, for people: `report.html`, one file that needs no network, and single plots.
//!
//! A [`Plot`] holds numbers and words; it is drawn as SVG ([`svg`]), in characters ([`terminal`]) or as PNG, and stands in the
//! page with a table of the same numbers. [`page`] puts plots, metrics and mistakes together; everything that was read is
//! escaped there by the crate that makes the markup.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod clean;
mod deeper;
mod error;
mod filters;
mod judgement;
#[cfg(feature = "png")]
mod letters;
mod meaning;
mod page;
mod plot;
mod plots;
#[cfg(feature = "png")]
mod raster;
mod svg;
pub mod terminal;
mod write;

pub use deeper::{Deeper, Wanted};
pub use error::{ReportError, Result};
pub use filters::filters_page;
pub use page::{compared, page};
pub use plot::{Axis, Bars, Chart, Data, LaneCell, Lanes, Mark, Matrix, Panel, Plot, Series, Sign, Xy};
pub use plots::{Bin, Curves, DEEPER, bins, curves, of_run, ways, ways_table};
#[cfg(feature = "png")]
pub use raster::png;
pub use svg::file as svg_file;
pub use write::write;

use std::path::{Path, PathBuf};

use deepfit_train::RunRecord;

/// Writes the page of a run that has ended into its folder, from what the folder holds. Returns where it is.
///
/// # Errors
/// If the run folder is damaged, or the page cannot be written; then nothing is.
pub fn write_page(run: &Path) -> Result<PathBuf> {
    let record = RunRecord::open(run)?;
    let path = record.page();
    write(&path, page(&record, None).as_bytes())?;
    Ok(path)
}
