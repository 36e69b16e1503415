//! Bars: what must be reached, and what was.

use anyhow::{Result, ensure};

use crate::markdown::Table;

#[derive(Debug)]
struct Bar {
    what: String,
    wanted: String,
    reached: String,
    met: bool,
}

/// All bars looked at.
#[derive(Debug, Default)]
pub struct Bars(Vec<Bar>);

impl Bars {
    /// What must be at least `bar`.
    pub fn at_least(&mut self, what: &str, bar: f64, reached: f64) {
        self.push(what, format!("at least {bar}"), reached, reached >= bar);
    }

    /// What must be at most `bar`.
    pub fn at_most(&mut self, what: &str, bar: f64, reached: f64) {
        self.push(what, format!("at most {bar}"), reached, reached <= bar);
    }

    fn push(&mut self, what: &str, wanted: String, reached: f64, met: bool) {
        self.0.push(Bar { what: what.to_string(), wanted, reached: format!("{reached:.4}"), met });
    }

    /// Prints all.
    ///
    /// # Errors
    /// If one is missed.
    pub fn report(&self) -> Result<()> {
        let mut table = Table::new("Bars", &["what", "wanted", "reached", "met"]);
        for bar in &self.0 {
            let met = if bar.met { "yes" } else { "**no**" };
            table.row([bar.what.clone(), bar.wanted.clone(), bar.reached.clone(), met.to_string()]);
        }
        println!("{table}");
        let missed: Vec<&str> = self.0.iter().filter(|bar| !bar.met).map(|bar| &bar.what[..]).collect();
        ensure!(missed.is_empty(), "missed: {}", missed.join("; "));
        Ok(())
    }
}

/// The mean.
pub fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let (sum, count) = values.into_iter().fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / count
}

/// The largest; NaN counts as larger than any number.
pub fn largest(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().fold(f64::NEG_INFINITY, |a, b| if b > a || b.is_nan() { b } else { a })
}

/// The smallest; NaN counts as smaller than any number.
pub fn smallest(values: impl IntoIterator<Item = f64>) -> f64 {
    -largest(values.into_iter().map(|value| -value))
}
