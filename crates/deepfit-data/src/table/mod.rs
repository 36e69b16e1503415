//! Tables of delimited text: reading, what their columns hold, encoding.

mod amount;
mod csv;
mod date;
mod foreign;
mod infer;
mod json_lines;
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
mod target;
mod texts;

pub use amount::AmountForm;
pub(crate) use csv::sniff;
pub(crate) use csv::value_error;
pub use date::DateForm;
pub(crate) use foreign::foreign;
pub use infer::ColumnKind;
pub(crate) use infer::boolean;
pub(crate) use json_lines::{as_csv, is_json_lines};
pub use nearest::nearest;
pub(crate) use open::{TARGET_NAMES, TableSet, find_target, left_out, named_column, open};
pub use preprocessor::{ColumnSpec, Encoding, Facet, MISSING_INDEX, TablePreprocessor, UNKNOWN_INDEX};
pub(crate) use read::{Targets, in_class_order, is_target_missing, label};
pub use scale::{Scale, Scaling, TargetScale};
pub(crate) use scale::{moments, quantile};
pub(crate) use target::{TargetColumn, known as known_targets, learn as learn_targets};
pub(crate) use texts::{Texts, preview, read_texts, texts};
