//! Embeddings as CSV or JSON, written as they come, whatever their number.

use std::io::{self, Write};

use deepfit_train::Embedding;

use super::predictions::csv_field;

/// How embeddings are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values with a header.
    Csv,
    /// An array of objects.
    Json,
}

/// Writes embeddings to `out`.
pub struct Writer<W: Write> {
    format: Format,
    out: W,
    written: u64,
}

impl<W: Write> Writer<W> {
    /// A writer of nothing so far.
    pub fn new(format: Format, out: W) -> Writer<W> {
        Writer { format, out, written: 0 }
    }

    /// Writes one.
    ///
    /// # Errors
    /// If `out` does not take it.
    pub fn write(&mut self, embedding: &Embedding) -> io::Result<()> {
        match self.format {
            Format::Csv => self.csv_row(embedding)?,
            Format::Json => {
                self.out.write_all(if self.written == 0 { b"[\n" } else { b",\n" })?;
                serde_json::to_writer(&mut self.out, embedding)?;
            }
        }
        self.written += 1;
        Ok(())
    }

    /// Ends the output.
    ///
    /// # Errors
    /// If `out` does not take it.
    pub fn finish(mut self) -> io::Result<()> {
        match self.format {
            Format::Csv => {}
            Format::Json if self.written == 0 => self.out.write_all(b"[]\n")?,
            Format::Json => self.out.write_all(b"\n]\n")?,
        }
        self.out.flush()
    }

    /// Writes what has come so far and leaves an array open, so that nobody takes a part for the whole.
    ///
    /// # Errors
    /// If `out` does not take it.
    pub fn abandon(mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn csv_row(&mut self, embedding: &Embedding) -> io::Result<()> {
        let (name, values) = match (&embedding.embedding, &embedding.logits) {
            (Some(values), _) => ("embedding", values),
            (None, Some(values)) => ("logit", values),
            (None, None) => return Ok(()),
        };
        if self.written == 0 {
            self.out.write_all(b"input")?;
            for i in 0..values.len() {
                write!(self.out, ",{name}_{i}")?;
            }
            self.out.write_all(b"\n")?;
        }
        write!(self.out, "{}", csv_field(&embedding.input))?;
        for value in values {
            write!(self.out, ",{value}")?;
        }
        self.out.write_all(b"\n")
    }
}
