//! Tables of delimited text: reading, what their columns hold, encoding.

mod csv;
mod date;
mod infer;
mod nearest;
mod open;
mod preprocessor;
mod read;
mod scale;
mod source;

pub use date::DateForm;
pub use infer::ColumnKind;
pub use nearest::nearest;
pub(crate) use open::{TableSet, open};
pub use preprocessor::{ColumnSpec, Encoding, Facet, MISSING_INDEX, TablePreprocessor, UNKNOWN_INDEX};
pub use scale::{Scale, Scaling, TargetScale};
