//! Predictions as table, CSV or JSON, written as they come, whatever their number.

use std::borrow::Cow;
use std::io::{self, Write};

use deepfit_train::{Entity, Prediction, PredictionValue};

use deepfit_train::text::{Style, Table, words};

/// How predictions are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Aligned columns for reading.
    Table,
    /// Comma-separated values with a header.
    Csv,
    /// An array of objects.
    Json,
}

/// The column widths of a table are those of its first rows, which wait for one another.
const MEASURED_ROWS: usize = 64;
/// The table shows the probabilities of this many classes, or labels.
const SHOWN_CLASSES: usize = 3;
const SHOWN_LABELS: usize = 5;

/// The columns of spans of words, of which each has a row; an input without one has a row, too, with nothing else in it.
const SPAN_COLUMNS: [&str; 6] = ["input", "label", "text", "start", "end", "probability"];

/// Writes predictions to `out`.
pub struct Writer<W: Write> {
    format: Format,
    out: W,
    style: Style,
    written: u64,
    waiting: Vec<Vec<String>>,
    header: Vec<&'static str>,
    widths: Option<Vec<usize>>,
}

impl<W: Write> Writer<W> {
    /// A writer of nothing so far.
    pub fn new(format: Format, out: W, style: Style) -> Writer<W> {
        Writer { format, out, style, written: 0, waiting: Vec::new(), header: Vec::new(), widths: None }
    }

    /// Writes one.
    ///
    /// # Errors
    /// If `out` does not take it.
    pub fn write(&mut self, prediction: &Prediction) -> io::Result<()> {
        match self.format {
            Format::Table => self.table_row(prediction)?,
            Format::Csv => self.csv_row(prediction)?,
            Format::Json => {
                self.out.write_all(if self.written == 0 { b"[\n" } else { b",\n" })?;
                serde_json::to_writer(&mut self.out, prediction)?;
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
            Format::Table => self.release()?,
            Format::Csv => {}
            Format::Json if self.written == 0 => self.out.write_all(b"[]\n")?,
            Format::Json => self.out.write_all(b"\n]\n")?,
        }
        self.out.flush()
    }

    /// Shows what has come so far and leaves an array open, so that nobody takes a part for the whole.
    ///
    /// # Errors
    /// If `out` does not take it.
    pub fn abandon(mut self) -> io::Result<()> {
        self.release()?;
        self.out.flush()
    }

    fn table_row(&mut self, prediction: &Prediction) -> io::Result<()> {
        if let PredictionValue::Entities(entities) = &prediction.prediction {
            self.header = SPAN_COLUMNS.to_vec();
            let none =
                entities.is_empty().then(|| [&prediction.input[..], "-", "", "", "", ""].map(str::to_string).to_vec());
            let rows = entities.iter().map(|one| span_row(&prediction.input, one, |p| format!("{p:.4}")));
            return none.into_iter().chain(rows).try_for_each(|row| self.add_row(row));
        }
        let mut cells = vec![prediction.input.clone(), value(&prediction.prediction, words::number)];
        if let Some(probabilities) = &prediction.probabilities {
            let mut sorted: Vec<&(String, f64)> = probabilities.iter().collect();
            sorted.sort_by(|a, b| b.1.total_cmp(&a.1));
            if let PredictionValue::Labels(_) = prediction.prediction {
                let shown = sorted.iter().take(SHOWN_LABELS);
                cells.push(shown.map(|(label, p)| format!("{label} {p:.4}")).collect::<Vec<_>>().join(", "));
                self.header = vec!["input", "labels", "probabilities"];
                return self.add_row(cells);
            }
            cells.push(sorted.first().map_or(String::new(), |(_, p)| format!("{p:.4}")));
            let others = sorted.iter().skip(1).take(SHOWN_CLASSES - 1);
            cells.push(others.map(|(class, p)| format!("{class} {p:.4}")).collect::<Vec<_>>().join(", "));
            self.header = vec!["input", "prediction", "probability", "next"];
            if let Some(set) = &prediction.set {
                cells.push(set.join(" | "));
                self.header.push("set");
            }
        } else {
            self.header = vec!["input", "prediction"];
            if let Some([low, high]) = prediction.interval {
                cells.push(format!("{} to {}", words::number(low), words::number(high)));
                self.header.push("interval");
            }
        }
        if let Some(unlike) = prediction.unlike_training {
            cells.push(if unlike { "yes" } else { "" }.to_string());
            self.header.push("unlike training");
        }
        self.add_row(cells)
    }

    fn add_row(&mut self, cells: Vec<String>) -> io::Result<()> {
        if let Some(widths) = &self.widths {
            let row = self.table().continued(&cells, widths);
            return self.out.write_all(row.as_bytes());
        }
        self.waiting.push(cells);
        if self.waiting.len() == MEASURED_ROWS { self.release() } else { Ok(()) }
    }

    fn table(&self) -> Table {
        // Of classes all columns but the probability are words; a value is a number.
        let words = match self.header[..] {
            _ if self.header == SPAN_COLUMNS => 3,
            [_, _, "interval", ..] => 1,
            [_, _, "unlike training"] => 1,
            [_, _, _, ..] => 5,
            _ => 1,
        };
        Table::new(words, &self.header)
    }

    fn release(&mut self) -> io::Result<()> {
        let mut table = self.table();
        std::mem::take(&mut self.waiting).into_iter().for_each(|row| table.row(row));
        if self.widths.is_some() || table.is_empty() {
            return Ok(());
        }
        self.widths = Some(table.widths());
        self.out.write_all(table.render(self.style).as_bytes())
    }

    fn csv_row(&mut self, prediction: &Prediction) -> io::Result<()> {
        if let PredictionValue::Entities(entities) = &prediction.prediction {
            if self.written == 0 {
                writeln!(self.out, "{}", SPAN_COLUMNS.join(","))?;
            }
            if entities.is_empty() {
                return writeln!(self.out, "{},,,,,", csv_field(&prediction.input));
            }
            for one in entities {
                let row = span_row(&prediction.input, one, |p| p.to_string());
                writeln!(self.out, "{}", row.iter().map(|cell| csv_field(cell)).collect::<Vec<_>>().join(","))?;
            }
            return Ok(());
        }
        let probabilities = prediction.probabilities.as_deref().unwrap_or_default();
        if self.written == 0 {
            let labels = matches!(prediction.prediction, PredictionValue::Labels(_));
            self.out.write_all(if labels { b"input,labels" } else { b"input,prediction" })?;
            for (class, _) in probabilities {
                write!(self.out, ",{}", csv_field(&format!("probability_{class}")))?;
            }
            if prediction.set.is_some() {
                self.out.write_all(b",set")?;
            }
            if prediction.interval.is_some() {
                self.out.write_all(b",interval_low,interval_high")?;
            }
            if prediction.unlike_training.is_some() {
                self.out.write_all(b",unlike_training")?;
            }
            self.out.write_all(b"\n")?;
        }
        let predicted = value(&prediction.prediction, |v| v.to_string());
        write!(self.out, "{},{}", csv_field(&prediction.input), csv_field(&predicted))?;
        for (_, probability) in probabilities {
            write!(self.out, ",{probability}")?;
        }
        if let Some(set) = &prediction.set {
            // As a table of labels has them.
            write!(self.out, ",{}", csv_field(&set.join("|")))?;
        }
        if let Some([low, high]) = prediction.interval {
            write!(self.out, ",{low},{high}")?;
        }
        if let Some(unlike) = prediction.unlike_training {
            write!(self.out, ",{unlike}")?;
        }
        self.out.write_all(b"\n")
    }
}

/// A field as RFC 4180 has it: in quotes where it needs them.
pub fn csv_field(text: &str) -> Cow<'_, str> {
    if text.contains([',', '"', '\n', '\r']) {
        return format!("\"{}\"", text.replace('"', "\"\"")).into();
    }
    text.into()
}

fn value(prediction: &PredictionValue, number: impl Fn(f64) -> String) -> String {
    match prediction {
        PredictionValue::Class(class) => class.clone(),
        // As a table of labels has them.
        PredictionValue::Labels(labels) => labels.join("|"),
        PredictionValue::Value(value) => number(*value),
        // Each span has a row of its own.
        PredictionValue::Entities(_) => String::new(),
    }
}

/// The cells of a span.
fn span_row(input: &str, span: &Entity, number: impl Fn(f64) -> String) -> Vec<String> {
    let Entity { label, text, start, end, probability } = span;
    vec![input.to_string(), label.clone(), text.clone(), start.to_string(), end.to_string(), number(*probability)]
}
