//! Inputs with those that are most like them, as table, CSV or JSON.

use std::io::{self, Write};

use deepfit_train::Neighbours;
use deepfit_train::text::{Style, Table, words};

use super::predictions::{Format, csv_field};

/// Letters of a text that a table shows.
const LETTERS: usize = 60;

/// An input's name, with the beginning of its text if it is one.
fn shown(name: &str, text: Option<&str>) -> String {
    let Some(text) = text else { return name.to_string() };
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let rest = if line.chars().count() > LETTERS { "…" } else { "" };
    words::printable(&format!("{name}: {}{rest}", line.chars().take(LETTERS).collect::<String>())).to_string()
}

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
                    let name =
                        if i == 0 { shown(&neighbours.input, neighbours.text.as_deref()) } else { String::new() };
                    let nearest = shown(&other.input, other.text.as_deref());
                    table.row(vec![name, format!("{:.4}", other.similarity), nearest]);
                }
            }
            out.write_all(table.render(style).as_bytes())?;
        }
        Format::Csv => {
            let mut all = all.peekable();
            let texts = all.peek().is_some_and(|first| first.text.is_some());
            out.write_all(b"input,rank,nearest,similarity")?;
            out.write_all(if texts { b",input_text,nearest_text\n" } else { b"\n" })?;
            for neighbours in all {
                for (i, other) in neighbours.nearest.iter().enumerate() {
                    let (input, nearest) = (csv_field(&neighbours.input), csv_field(&other.input));
                    write!(out, "{input},{},{nearest},{}", i + 1, other.similarity)?;
                    if texts {
                        let text = |text: &Option<String>| csv_field(text.as_deref().unwrap_or_default()).into_owned();
                        write!(out, ",{},{}", text(&neighbours.text), text(&other.text))?;
                    }
                    writeln!(out)?;
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
