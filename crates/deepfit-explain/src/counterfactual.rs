//! The smallest change of few columns after which the network decides otherwise (Wachter, Mittelstadt and Russell, 2017).
//!
//! Changes are measured by how many of the known rows lie between: a column is as far from its value as half of the rows, or
//! a tenth. Values beyond those of the known rows are not tried, and dates stay as they are.

use std::fmt;

use deepfit_data::{Cell, ColumnKind, ColumnSpec, Encoding, TablePreprocessor};
use deepfit_graph::philox::Stream;
use serde::Serialize;

use crate::dependence::encoded;
use crate::error::Result;
use crate::faithfulness::{Curves, Faithfulness, RANDOM_ORDERS, shuffled};
use crate::rows::Rows;
use crate::subject::{Subject, Unit};

/// Values of a column that are tried.
const VALUES: usize = 32;
/// Columns that are changed together at most.
const MOST_COLUMNS: usize = 5;
/// Columns of which all pairs are tried: those that alone do most.
const PAIRED: usize = 8;
/// How far it is from one category to another.
const OTHER_CATEGORY: f64 = 0.5;
/// Halvings of the way to a value at which the decision changes.
const HALVINGS: usize = 24;
/// Draws of changes that a change is held against: those of the same columns are left out.
const DRAWS: u64 = 100;

/// The change of one column.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// Its name.
    pub column: String,
    /// Its value, in the unit of the data.
    pub from: Value,
    /// The value with which the network decides otherwise.
    pub to: Value,
    /// How the new value is to be read: `<=`, `>=` or `=`. By the first two, values further on have the same effect as far as
    /// known rows reach.
    pub relation: &'static str,
    /// Share of the known rows that lie between.
    pub distance: f64,
}

/// A value of a column.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// A number.
    Number(f64),
    /// A truth value, or a word; `null` is a missing one.
    Word(Option<String>),
}

impl Value {
    /// What stands in a cell of a column.
    pub(crate) fn of(column: &ColumnSpec, cell: &Cell) -> Value {
        match cell {
            Cell::Number(x) if column.kind == ColumnKind::Boolean => {
                Value::Word(Some(if *x == 1.0 { "true" } else { "false" }.to_string()))
            }
            Cell::Number(number) => Value::Number(*number),
            Cell::Word(word) => Value::Word(Some(word.clone())),
            Cell::Missing => Value::Word(None),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Number(number) => write!(f, "{number}"),
            Value::Word(word) => f.write_str(word.as_deref().unwrap_or("missing")),
        }
    }
}

/// What would have to be otherwise.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Counterfactual {
    /// The class that is then predicted.
    pub prediction: String,
    /// Its probability then.
    pub probability: f64,
    /// The changes, the largest first.
    pub changes: Vec<Change>,
}

impl Counterfactual {
    /// As a sentence.
    pub fn sentence(&self) -> String {
        let one = |change: &Change| format!("{} {} {}", change.column, change.relation, change.to);
        let changes: Vec<String> = self.changes.iter().map(one).collect();
        format!("would be {} if {}", self.prediction, changes.join(" and "))
    }
}

/// What is known of the values of a column.
struct Known {
    /// Numbers, sorted.
    sorted: Vec<f64>,
    /// Whether all are whole.
    whole: bool,
    /// What is tried.
    tried: Vec<Cell>,
}

impl Known {
    fn of(column: &ColumnSpec, cells: impl Iterator<Item = Cell>) -> Known {
        let mut sorted: Vec<f64> =
            cells.filter_map(|cell| if let Cell::Number(number) = cell { Some(number) } else { None }).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let whole = sorted.iter().all(|x| x.fract() == 0.0);
        let tried = match (&column.encoding, column.kind) {
            (Encoding::Category { words }, _) => words.iter().map(|word| Cell::Word(word.clone())).collect(),
            (_, ColumnKind::Date(_)) => Vec::new(),
            _ => {
                let last = sorted.len().saturating_sub(1);
                let quantile = |i: usize| sorted.get((i * last + (VALUES - 1) / 2) / (VALUES - 1)).copied();
                let mut values: Vec<f64> = (0..VALUES).filter_map(quantile).collect();
                values.dedup();
                values.into_iter().map(Cell::Number).collect()
            }
        };
        Known { sorted, whole, tried }
    }

    fn distance(&self, from: &Cell, to: &Cell) -> f64 {
        match (from, to) {
            (Cell::Number(a), Cell::Number(b)) => {
                let (low, high) = (a.min(*b), a.max(*b));
                let below =
                    |x: f64, or_equal: bool| self.sorted.partition_point(|&y| y < x || or_equal && y == x) as f64;
                // Between equal shares of rows the nearer value is the smaller change.
                let range =
                    self.sorted.last().zip(self.sorted.first()).map_or(1.0, |(b, a)| (b - a).max(f64::MIN_POSITIVE));
                let share = (below(high, false) - below(low, true)).max(0.0) / self.sorted.len().max(1) as f64;
                share + 1e-3 * (high - low) / range
            }
            (a, b) if a == b => 0.0,
            _ => OTHER_CATEGORY,
        }
    }
}

/// The search for one row.
pub struct Search<'a> {
    subject: &'a mut Subject,
    table: &'a TablePreprocessor,
    known: Vec<Known>,
    row: Vec<Cell>,
    /// The class that the row has now.
    now: usize,
    /// The class that is wanted, if not just any other.
    wanted: Option<usize>,
}

/// A row with some columns changed.
type Variant = Vec<(usize, Cell)>;
/// With how much the network is for another class.
type Scored = (f64, Variant);

impl<'a> Search<'a> {
    /// For a row of cells, by other rows, column by column.
    pub fn new(
        subject: &'a mut Subject,
        table: &'a TablePreprocessor,
        row: Vec<Cell>,
        others: impl Fn(usize) -> Vec<Cell>,
        now: usize,
        wanted: Option<usize>,
    ) -> Search<'a> {
        let known =
            table.columns.iter().enumerate().map(|(i, column)| Known::of(column, others(i).into_iter())).collect();
        Search { subject, table, known, row, now, wanted }
    }

    /// For each variant how much more the network is for another class than for that of now: above 0 it decides otherwise.
    fn margins(&mut self, variants: &[Variant]) -> Result<Vec<f64>> {
        let rows = self.rows(variants);
        let (now, wanted) = (self.now, self.wanted);
        let margin = |logits: Vec<f32>| {
            let best = |of: &dyn Fn(usize) -> bool| {
                (0..logits.len()).filter(|&c| of(c)).map(|c| f64::from(logits[c])).fold(f64::NEG_INFINITY, f64::max)
            };
            match wanted {
                Some(class) => f64::from(logits[class]) - best(&|c| c != class),
                None => best(&|c| c != now) - f64::from(logits[now]),
            }
        };
        Ok(self.subject.logits(&rows)?.into_iter().map(margin).collect())
    }

    /// The inputs of variants.
    fn rows(&self, variants: &[Variant]) -> Rows {
        encoded(self.subject, self.table, variants.len(), |variant, column| {
            let changed = variants[variant].iter().find(|(changed, _)| *changed == column);
            changed.map_or(&self.row[column], |(_, cell)| cell)
        })
    }

    fn distance(&self, variant: &Variant) -> f64 {
        variant.iter().map(|(column, cell)| self.known[*column].distance(&self.row[*column], cell)).sum()
    }

    /// The nearest of those variants that change the decision, and the one that comes nearest to it.
    fn best(&mut self, variants: Vec<Variant>) -> Result<(Option<Variant>, Option<Scored>)> {
        let margins = if variants.is_empty() { Vec::new() } else { self.margins(&variants)? };
        let mut nearest: Option<(f64, Variant)> = None;
        let mut strongest: Option<(f64, Variant)> = None;
        for (variant, margin) in variants.into_iter().zip(margins) {
            let distance = self.distance(&variant);
            if margin > 0.0 && nearest.as_ref().is_none_or(|(least, _)| distance < *least) {
                nearest = Some((distance, variant.clone()));
            }
            if strongest.as_ref().is_none_or(|(most, _)| margin > *most) {
                strongest = Some((margin, variant));
            }
        }
        Ok((nearest.map(|(_, variant)| variant), strongest))
    }

    /// The smallest change that was found; nothing if no change of few columns within the known values is enough.
    ///
    /// # Errors
    /// If the network cannot run.
    pub fn find(mut self) -> Result<Option<(Counterfactual, Faithfulness)>> {
        let Some(variant) = self.smallest()? else { return Ok(None) };
        let test = self.test(&variant)?;
        Ok(Some((self.told(variant)?, test)))
    }

    /// The probability of the class of now after a change, against those after changes of as many other columns, drawn at
    /// random, to values that are drawn, too. Which columns are changed is what the change says, so that another value of the
    /// same ones is no evidence against it.
    fn test(&mut self, variant: &Variant) -> Result<Faithfulness> {
        let values = |column: usize| -> Vec<&Cell> {
            self.known[column].tried.iter().filter(|cell| **cell != self.row[column]).collect()
        };
        let free: Vec<usize> = (0..self.row.len()).filter(|&column| !values(column).is_empty()).collect();
        let own = |column: usize| variant.iter().any(|(changed, _)| *changed == column);
        let drawn = |seed: u64| {
            let mut stream = Stream::new(seed, "change");
            let places = shuffled(free.len(), seed).into_iter().take(variant.len());
            let change = |place: usize| {
                let tried = values(free[place]);
                let value = ((u64::from(stream.next_u32()) * tried.len() as u64) >> 32) as usize;
                (free[place], tried[value].clone())
            };
            let mut drawn = places.map(change).collect::<Variant>();
            drawn.sort_by_key(|(column, _)| *column);
            drawn
        };
        let mut variants = vec![variant.clone()];
        for drawn in (0..DRAWS).map(drawn) {
            let other = drawn.len() == variant.len() && drawn.iter().any(|(column, _)| !own(*column));
            if other && variants.len() <= RANDOM_ORDERS && !variants.contains(&drawn) {
                variants.push(drawn);
            }
        }
        let rows = self.rows(&variants);
        let scores = self.subject.scores(&rows, self.now, Unit::Probability)?;
        let curves: Vec<Curves> = scores.iter().map(|&deletion| Curves { deletion, insertion: None }).collect();
        Ok(Faithfulness::of(curves[0], &curves[1..], free.len()))
    }

    fn smallest(&mut self) -> Result<Option<Variant>> {
        let columns: Vec<usize> = (0..self.row.len()).collect();
        let tried = |search: &Search<'_>, column: usize| {
            let cells = search.known[column].tried.iter().filter(|cell| **cell != search.row[column]).cloned();
            cells.map(|cell| (column, cell)).collect::<Vec<_>>()
        };
        let mut alone: Vec<(f64, usize)> = Vec::new();
        let mut found: Option<(f64, Variant)> = None;
        for &column in &columns {
            let variants = tried(self, column).into_iter().map(|change| vec![change]).collect();
            let (nearest, strongest) = self.best(variants)?;
            alone.extend(strongest.map(|(margin, _)| (margin, column)));
            // The column whose threshold is nearest is known when all thresholds are.
            if let Some(variant) = nearest {
                let variant = self.refined(variant)?;
                let distance = self.distance(&variant);
                if found.as_ref().is_none_or(|(least, _)| distance < *least) {
                    found = Some((distance, variant));
                }
            }
        }
        if let Some((_, variant)) = found {
            return Ok(Some(variant));
        }
        alone.sort_by(|a, b| b.0.total_cmp(&a.0));
        let paired: Vec<usize> = alone.iter().take(PAIRED).map(|(_, column)| *column).collect();
        let mut variants = Vec::new();
        for (i, &first) in paired.iter().enumerate() {
            for &second in &paired[i + 1..] {
                for one in tried(self, first) {
                    variants.extend(tried(self, second).into_iter().map(|other| vec![one.clone(), other]));
                }
            }
        }
        let (mut nearest, mut strongest) = self.best(variants)?;
        let mut size = 2;
        while let (None, Some((_, variant))) = (&nearest, &strongest)
            && size < MOST_COLUMNS
        {
            let free = columns.iter().filter(|&&column| variant.iter().all(|(changed, _)| *changed != column));
            let more = free.flat_map(|&column| tried(self, column));
            let variants = more.map(|change| [&variant[..], &[change]].concat()).collect();
            (nearest, strongest) = self.best(variants)?;
            size += 1;
        }
        let Some(variant) = nearest else { return Ok(None) };
        self.refined(variant).map(Some)
    }

    /// A variant whose numbers are changed by a share of their changes; truth values and words are changed as they are.
    fn between(&self, variant: &Variant, share: f64) -> Variant {
        let of = |(column, cell): &(usize, Cell)| match (&self.row[*column], cell) {
            (Cell::Number(from), Cell::Number(to)) if self.table.columns[*column].kind != ColumnKind::Boolean => {
                (*column, Cell::Number(from + share * (to - from)))
            }
            _ => (*column, cell.clone()),
        };
        variant.iter().map(of).collect()
    }

    /// Numbers as near to the row's as the decision allows, one after the other, and short.
    fn refined(&mut self, mut variant: Variant) -> Result<Variant> {
        if variant.len() > 1 {
            // All of them together first, so that no single one keeps what the others give up.
            let (mut stays, mut changes) = (0.0, 1.0);
            for _ in 0..HALVINGS / 2 {
                let middle = 0.5 * (stays + changes);
                if self.margins(&[self.between(&variant, middle)])?[0] > 0.0 {
                    changes = middle
                } else {
                    stays = middle
                }
            }
            variant = self.between(&variant, changes);
        }
        for place in 0..variant.len() {
            let (column, cell) = variant[place].clone();
            let (&Cell::Number(from), &Cell::Number(to)) = (&self.row[column], &cell) else { continue };
            if self.table.columns[column].kind == ColumnKind::Boolean {
                continue;
            }
            let (mut stays, mut changes) = (from, to);
            let with = |value: f64| {
                let mut other = variant.clone();
                other[place].1 = Cell::Number(value);
                other
            };
            for _ in 0..HALVINGS {
                let middle = 0.5 * (stays + changes);
                if self.margins(&[with(middle)])?[0] > 0.0 { changes = middle } else { stays = middle }
            }
            // The shortest number on the far side of the threshold at which the decision is the other one.
            let upwards = to > from;
            let candidates: Vec<f64> = if self.known[column].whole {
                vec![if upwards { changes.ceil() } else { changes.floor() }]
            } else {
                (3..9).map(|digits| rounded(changes, digits, upwards)).collect()
            };
            let variants: Vec<Variant> = candidates.iter().map(|&value| with(value)).collect();
            let margins = self.margins(&variants)?;
            let short = candidates.iter().zip(margins).find(|(_, margin)| *margin > 0.0);
            variant[place].1 = Cell::Number(short.map_or(changes, |(value, _)| *value));
        }
        Ok(variant)
    }

    fn told(&mut self, variant: Variant) -> Result<Counterfactual> {
        let value = |column: usize, cell: &Cell| Value::of(&self.table.columns[column], cell);
        let mut changes: Vec<Change> = variant
            .iter()
            .map(|(column, cell)| Change {
                column: self.table.columns[*column].name.clone(),
                from: value(*column, &self.row[*column]),
                to: value(*column, cell),
                relation: "=",
                distance: self.known[*column].distance(&self.row[*column], cell),
            })
            .collect();
        if let ([(column, cell)], [change]) = (&variant[..], &mut changes[..])
            && let (Cell::Number(from), Cell::Number(to), Value::Number(_)) = (&self.row[*column], cell, &change.to)
        {
            let (column, from, to) = (*column, *from, *to);
            let beyond = self.known[column].tried.iter().filter(|cell| match cell {
                Cell::Number(x) => (to > from && *x > to) || (to < from && *x < to),
                _ => false,
            });
            let beyond: Vec<Variant> = beyond.map(|cell| vec![(column, cell.clone())]).collect();
            let all = beyond.is_empty() || self.margins(&beyond)?.iter().all(|margin| *margin > 0.0);
            change.relation = if !all || beyond.is_empty() {
                "="
            } else if to > from {
                ">="
            } else {
                "<="
            };
        }
        changes.sort_by(|a, b| b.distance.total_cmp(&a.distance));
        let prediction = self.decision(&variant)?;
        let reached = self.subject.class(&prediction)?;
        let rows = self.rows(std::slice::from_ref(&variant));
        let probability = self.subject.scores(&rows, reached, Unit::Probability)?[0];
        Ok(Counterfactual { prediction, probability, changes })
    }

    /// The class of a variant.
    fn decision(&mut self, variant: &Variant) -> Result<String> {
        if let Some(class) = self.wanted {
            return Ok(self.subject.task().classes()[class].clone());
        }
        let mut best = (self.now, f64::NEG_INFINITY);
        let others: Vec<usize> = (0..self.subject.task().classes().len()).filter(|&class| class != self.now).collect();
        for class in others {
            self.wanted = Some(class);
            let margin = self.margins(std::slice::from_ref(variant))?[0];
            if margin > best.1 {
                best = (class, margin);
            }
        }
        self.wanted = None;
        Ok(self.subject.task().classes()[best.0].clone())
    }
}

/// A number with so many digits that is not less, or not more.
fn rounded(value: f64, digits: i32, upwards: bool) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let place = digits - 1 - value.abs().log10().floor() as i32;
    let scale = 10f64.powi(place);
    let scaled = if upwards { (value * scale).ceil() } else { (value * scale).floor() };
    // Division by a whole power of ten gives the number that is nearest to its decimal digits.
    if place >= 0 { scaled / scale } else { scaled * 10f64.powi(-place) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shortened_towards_the_far_side() {
        assert_eq!(rounded(14.2371, 3, true), 14.3);
        assert_eq!(rounded(14.2371, 3, false), 14.2);
        assert_eq!(rounded(-0.012345, 3, false), -0.0124);
        assert_eq!(rounded(123_456.0, 2, true), 130_000.0);
    }
}
