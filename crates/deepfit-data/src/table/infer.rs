//! What each column holds, told from its values.

use std::collections::HashSet;
use std::io::Read;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::csv::{Place, Rows, is_missing, number};
use super::date::DateForm;
use crate::error::Result;

/// Different values of a column that are told apart; beyond, there are "many".
const MOST_DISTINCT: usize = 10_000;

/// How the text of a column is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnKind {
    /// Real numbers.
    Number,
    /// Two words such as yes and no; 1 and 0 as features.
    Boolean,
    /// One of a set of words.
    Category,
    /// A date, with or without time.
    Date(DateForm),
}

/// What was seen of a column.
#[derive(Default)]
pub(crate) struct Profile {
    pub(crate) missing: u64,
    /// Values that are not missing.
    pub(crate) count: u64,
    numbers: u64,
    integers: u64,
    booleans: u64,
    dates: [u64; DateForm::ALL.len()],
    distinct: HashSet<u64>,
    words: u64,
    /// The values so far count from 0 or 1.
    sequence: bool,
    previous: f64,
    /// First value that says infinity, and first that says "not a number".
    pub(crate) infinite: Option<(Place, String)>,
    pub(crate) not_a_number: Option<(Place, String)>,
    /// One value that is not a number.
    pub(crate) odd: Option<String>,
    /// One value.
    pub(crate) example: String,
}

/// The truth value of a word, if it is one.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" => Some(true),
        "false" | "f" | "no" | "n" => Some(false),
        _ => None,
    }
}

impl Profile {
    fn add(&mut self, text: &str, place: Place, delimiter: u8, dated: bool) {
        if is_missing(text) {
            self.missing += 1;
            if text.eq_ignore_ascii_case("nan") && self.not_a_number.is_none() {
                self.not_a_number = Some((place, text.to_string()));
            }
            return;
        }
        if self.count == 0 {
            self.example = text.to_string();
            self.sequence = true;
        }
        self.count += 1;
        let value = number(text, delimiter);
        if self.distinct.len() <= MOST_DISTINCT {
            // 1 and 1.0 are the same value.
            let key = value.map_or_else(|| xxh3_64(text.as_bytes()), |value| (value + 0.0).to_bits());
            self.distinct.insert(key);
        }
        if let Some(value) = value {
            self.numbers += 1;
            self.integers += u64::from(value.fract() == 0.0);
            if value.is_infinite() && self.infinite.is_none() {
                self.infinite = Some((place, text.to_string()));
            }
            self.sequence &= if self.count == 1 { value == 0.0 || value == 1.0 } else { value == self.previous + 1.0 };
            self.previous = value;
        } else {
            self.sequence = false;
            if self.odd.is_none() {
                self.odd = Some(text.to_string());
            }
            self.booleans += u64::from(boolean(text).is_some());
        }
        self.words += text.split_whitespace().count() as u64;
        if (value.is_none() || dated) && text.len() <= 40 && text.as_bytes().iter().any(u8::is_ascii_digit) {
            for (count, form) in self.dates.iter_mut().zip(DateForm::ALL) {
                *count += u64::from((form != DateForm::Compact || dated) && form.parse(text).is_some());
            }
        }
    }

    /// Number of different values; one more than `MOST_DISTINCT` stands for more.
    pub(crate) fn distinct(&self) -> u64 {
        self.distinct.len() as u64
    }

    /// Whether all values are numbers.
    pub(crate) fn is_numeric(&self) -> bool {
        self.count > 0 && self.numbers == self.count
    }

    pub(crate) fn is_integer(&self) -> bool {
        self.is_numeric() && self.integers == self.count
    }

    /// How a feature is read, or why it is not used.
    pub(crate) fn feature(&self, name: &str) -> Result<ColumnKind, String> {
        if self.count == 0 {
            return Err("has no values".into());
        }
        if self.distinct() == 1 && self.missing == 0 {
            return Err(format!("is always '{}'", self.example));
        }
        let form = self.dates.iter().position(|&dates| dates == self.count);
        if let Some(form) = form {
            return Ok(ColumnKind::Date(DateForm::ALL[form]));
        }
        let many = self.distinct() == self.count || self.distinct() > MOST_DISTINCT as u64;
        if self.is_numeric() {
            let named = is_identifier(name) && many && self.is_integer();
            if self.count >= 3 && (named || (self.sequence && self.missing == 0)) {
                return Err("numbers the rows".into());
            }
            return Ok(ColumnKind::Number);
        }
        // A few odd words among many numbers are missing values in disguise.
        if self.numbers * 20 >= self.count * 19 && self.count >= 20 {
            return Ok(ColumnKind::Number);
        }
        if self.booleans == self.count && self.distinct() <= 2 {
            return Ok(ColumnKind::Boolean);
        }
        if self.count >= 20 && self.distinct() * 2 > self.count && self.words >= 4 * self.count {
            return Err("is free text, which is not used yet".into());
        }
        if self.count >= 20 && (many || self.distinct() * 2 > self.count) {
            return Err("differs in nearly every row, like an identifier".into());
        }
        Ok(ColumnKind::Category)
    }

    /// Whether the column counts the rows but is not named as one that does.
    pub(crate) fn is_mere_sequence(&self, name: &str) -> bool {
        self.sequence && self.is_numeric() && self.distinct() > 1 && !is_identifier(name)
    }

    /// Whether a target of this column is a class rather than a quantity.
    ///
    /// Words are; so are integers of few different values (2, or up to 20 with 5 rows each).
    pub(crate) fn is_class(&self) -> bool {
        let distinct = self.distinct();
        !self.is_numeric() || (self.is_integer() && (distinct == 2 || (distinct <= 20 && self.count >= 5 * distinct)))
    }
}

fn is_identifier(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    matches!(name.as_str(), "id" | "index" | "row" | "uuid") || name.ends_with("_id") || name.starts_with("unnamed")
}

/// Reads all rows once and tells what each column holds. Also returns the number of rows.
pub(crate) fn profile<R: Read>(rows: &mut Rows<R>) -> Result<(Vec<Profile>, u64)> {
    let mut profiles: Vec<Profile> = rows.columns.iter().map(|_| Profile::default()).collect();
    let dated: Vec<bool> = rows.columns.iter().map(|name| name.to_ascii_lowercase().contains("date")).collect();
    let delimiter = rows.delimiter;
    let mut count = 0;
    while let Some(fields) = rows.next()? {
        count += 1;
        for (column, profile) in profiles.iter_mut().enumerate() {
            profile.add(fields.get(column), fields.place, delimiter, dated[column]);
        }
    }
    Ok((profiles, count))
}
