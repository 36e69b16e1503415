//! Results as people read them: numbers in words, tables, colours.

mod style;
mod table;
pub mod words;

pub use style::Style;
pub use table::Table;
