//! Tables of delimited text: reading, what their columns hold, encoding.

mod amount;
mod csv;
mod date;
mod foreign;
mod infer;
mod kept;
mod nearest;
mod odd;
mod open;
mod order;
mod plain;
mod preprocessor;
mod read;
mod records;
mod scale;
mod source;

pub use amount::AmountForm;
pub(crate) use csv::sniff;
pub use date::DateForm;
pub(crate) use foreign::foreign;
pub use infer::ColumnKind;
pub use nearest::nearest;
pub(crate) use open::{TableSet, open};
pub use preprocessor::{ColumnSpec, Encoding, Facet, MISSING_INDEX, TablePreprocessor, UNKNOWN_INDEX};
pub use scale::{Scale, Scaling, TargetScale};
