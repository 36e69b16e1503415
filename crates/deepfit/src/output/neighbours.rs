//! Inputs with those that are most like them, as table, CSV or JSON.

use std::io::{self, Write};

use deepfit_train::Neighbours;
use deepfit_train::text::{Style, Table};

use super::predictions::{Format, csv_field};

/// Writes all of them.
///
/// # Errors
/// If `out` does not take it.
pub fn write(
    all: impl Iterator<Item = Neighbours>,
    format: Format,
    mut out: impl Write,
    style: Style,
) -> io::Result<()> {
    match format {
        Format::Table => {
            let mut table = Table::new(1, &["input", "similarity", "nearest"]);
            for neighbours in all {
                for (i, other) in neighbours.nearest.iter().enumerate() {
                    // The name once, above those that are like it.
                    let name = if i == 0 { neighbours.input.clone() } else { String::new() };
                    table.row(vec![name, format!("{:.4}", other.similarity), other.input.clone()]);
                }
            }
            out.write_all(table.render(style).as_bytes())?;
        }
        Format::Csv => {
            out.write_all(b"input,rank,nearest,similarity\n")?;
            for neighbours in all {
                for (i, other) in neighbours.nearest.iter().enumerate() {
                    let (input, nearest) = (csv_field(&neighbours.input), csv_field(&other.input));
                    writeln!(out, "{input},{},{nearest},{}", i + 1, other.similarity)?;
                }
            }
        }
        Format::Json => {
            let mut written = false;
            for neighbours in all {
                out.write_all(if written { b",\n" } else { b"[\n" })?;
                serde_json::to_writer(&mut out, &neighbours)?;
                written = true;
            }
            out.write_all(if written { b"\n]\n" } else { b"[]\n" })?;
        }
    }
    out.flush()
}
