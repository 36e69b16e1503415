//! Data for deepfit: folders of images and tables, read, checked, split, augmented and batched.
//!
//! ```no_run
//! use deepfit_data::{Loader, LoaderOptions, OpenOptions, SplitOptions, open};
//!
//! # fn main() -> deepfit_data::Result<()> {
//! let data = open("pictures.zip".as_ref(), &OpenOptions::default())?;
//! data.describe().iter().for_each(|line| println!("{line}"));
//! let split = data.split(&SplitOptions::seeded(1))?;
//! let prepared = data.prepare(&split.train)?;
//! let options = LoaderOptions::train(64, 1, 1, data.default_augment(), 30);
//! let mut loader = Loader::new(prepared.source, split.train, options)?;
//! while let Some(batch) = loader.next()? {
//!     println!("epoch {} step {}: {} samples", batch.epoch, batch.step, batch.len);
//! }
//! # Ok(()) }
//! ```
//!
//! Everything random is a function of (seed, epoch, row): see [`Loader`].

#![deny(missing_docs)]

mod batch;
mod clock;
mod codes;
mod dataset;
mod dates;
mod describe;
mod division;
mod error;
mod features;
mod folder;
mod image;
mod loader;
mod memory;
mod parallel;
mod preprocessor;
mod rng;
mod sample;
mod source;
mod split;
mod table;
mod target;
mod text;
mod weighing;

pub use batch::{Array, Batch, DType, Failure, Mix, Slot};
pub use dataset::{
    Dataset, MIN_ROWS, OpenOptions, Opened, Prepared, Summary, Survey, Task, TaskKind, VOCABULARY, open, open_adapted,
};
pub use dates::DatesBeside;
pub use error::{Error, Result};
pub use features::{FeatureSource, Features};
pub use image::{Augment, Border, Filter, ImageColumns, ImagePreprocessor, ImageSurvey, Resize, ResizeTo};
pub use loader::{LoadedBatch, Loader, LoaderOptions, LoaderTimes};
pub use preprocessor::Preprocessor;
pub use sample::Sample;
pub use source::{Cell, IGNORED, Pass, Piece, Source};
pub use split::{Part, RowId, SavedSplit, Split, SplitOptions};
pub use table::{
    AmountForm, ColumnKind, ColumnSpec, DateForm, Encoding, Facet, LabelColumns, MISSING_INDEX, Scale, Scaling,
    TablePreprocessor, TargetScale, UNKNOWN_INDEX, edits, nearest,
};
pub use text::{
    ColumnTerms, Encoded, LabelForm, PairLabel, Passage, Sentences, Terms, TextColumns, TextForm, TextPreprocessor,
    TextRow, TextSurvey, Texts, Tokenizer, Tokens, WordSplit, is_continued, is_text_file, open_pairs, pair_columns,
    read_pairs,
};
pub use weighing::Subgroups;
