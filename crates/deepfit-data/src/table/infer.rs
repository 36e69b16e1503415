//! What each column holds, told from its values.

use std::collections::HashSet;
use std::io::Read;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::amount::AmountForm;
use super::csv::{Place, Rows, is_missing, number};
use super::date::DateForm;
use crate::error::Result;

/// Different values of a column that are told apart; beyond, there are "many".
const MOST_DISTINCT: usize = 10_000;
/// Most different integers that may be the codes of classes: the ten digits, or marks from 1 to 10.
const MOST_CLASSES: usize = 10;

/// How the text of a column is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnKind {
    /// Real numbers as programs write them.
    Number,
    /// Numbers as people write them, with a currency or percent sign, divided thousands or a decimal comma.
    Amount(AmountForm),
    /// Two words such as yes and no; 1 and 0 as features.
    Boolean,
    /// One of a set of words.
    Category,
    /// A date, with or without time.
    Date(DateForm),
}

impl ColumnKind {
    /// What a value of this kind is called in messages.
    pub(crate) fn singular(self) -> &'static str {
        match self {
            ColumnKind::Number | ColumnKind::Amount(_) => "a number",
            ColumnKind::Boolean => "yes or no",
            ColumnKind::Category => "a word",
            ColumnKind::Date(_) => "a date of the form",
        }
    }

    /// Whether a column holds quantities.
    pub(crate) fn is_number(self) -> bool {
        matches!(self, ColumnKind::Number | ColumnKind::Amount(_))
    }
}

/// What was seen of a column.
#[derive(Default)]
pub(crate) struct Profile {
    pub(crate) missing: u64,
    /// Values that are not missing.
    pub(crate) count: u64,
    numbers: u64,
    /// Values that fit each form of [`AmountForm::ALL`].
    amounts: [u64; AmountForm::ALL.len()],
    /// Numbers with a decimal comma, and values with a point.
    commas: u64,
    points: u64,
    integers: u64,
    /// Rows of each different integer, up to one more than [`MOST_CLASSES`].
    codes: Vec<(f64, u64)>,
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
        for (count, form) in self.amounts.iter_mut().zip(AmountForm::ALL) {
            *count += u64::from(form.parse(text).is_some());
        }
        self.points += u64::from(text.contains('.'));
        if self.distinct.len() <= MOST_DISTINCT {
            // 1 and 1.0 are the same value.
            let key = value.map_or_else(|| xxh3_64(text.as_bytes()), |value| (value + 0.0).to_bits());
            self.distinct.insert(key);
        }
        if let Some(value) = value {
            self.numbers += 1;
            self.commas += u64::from(text.contains(','));
            self.integers += u64::from(value.fract() == 0.0);
            if self.codes.len() <= MOST_CLASSES {
                match self.codes.iter_mut().find(|(code, _)| *code == value) {
                    Some((_, rows)) => *rows += 1,
                    None => self.codes.push((value, 1)),
                }
            }
            if value.is_infinite() && self.infinite.is_none() {
                self.infinite = Some((place, text.to_string()));
            }
            self.sequence &= if self.count == 1 { value == 0.0 || value == 1.0 } else { value == self.previous + 1.0 };
            self.previous = value;
        } else {
            self.sequence = false;
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

    /// Whether all values are numbers as programs write them.
    pub(crate) fn is_numeric(&self) -> bool {
        self.count > 0 && self.numbers == self.count
    }

    pub(crate) fn is_integer(&self) -> bool {
        self.is_numeric() && self.integers == self.count
    }

    /// How the numbers are written, if at least `enough` values are numbers.
    ///
    /// One form must do for the whole column: in `999,5` and `1.234` beside each other the point divides thousands,
    /// though each of them could be read by itself. A column that fits both amounts, such as `1,234` throughout, has
    /// thousands after a comma.
    pub(crate) fn quantity(&self, enough: u64) -> Option<ColumnKind> {
        let [point, comma] = self.amounts;
        let mixed = self.commas > 0 && self.points > 0 && comma >= self.numbers;
        if self.numbers >= enough.max(1) && !mixed && self.numbers >= point.max(comma) {
            return Some(ColumnKind::Number);
        }
        let (form, count) =
            if comma > point { (AmountForm::DecimalComma, comma) } else { (AmountForm::DecimalPoint, point) };
        (count >= enough.max(1)).then_some(ColumnKind::Amount(form))
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
        if self.is_numeric() && self.quantity(self.count) == Some(ColumnKind::Number) {
            let named = is_identifier(name) && many && self.is_integer();
            if self.count >= 3 && (named || (self.sequence && self.missing == 0)) {
                return Err("numbers the rows".into());
            }
            return Ok(ColumnKind::Number);
        }
        // A few odd words among many numbers are missing values in disguise.
        let enough = if self.count >= 20 { (self.count * 19).div_ceil(20) } else { self.count };
        if let Some(kind) = self.quantity(self.count).or_else(|| self.quantity(enough)) {
            return Ok(kind);
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
    /// Words are. Integers are if two differ at all, or if they look like the codes of classes: few (up to
    /// [`MOST_CLASSES`]), small, with few gaps, and five rows each on average. Counts may have all that in common with
    /// codes, but they have one peak and thin out beside it. So five values and more are a count if the rarest has less
    /// than one row in 50, or less than five rows, and frequencies fall on both sides of the peak; rare classes have
    /// no reason to stand in that order. Down to four values the order says little, and they are classes.
    pub(crate) fn is_class(&self) -> bool {
        if self.quantity(self.count).is_none() {
            return true;
        }
        if !self.is_integer() {
            return false;
        }
        let distinct = self.codes.len();
        let (least, greatest) =
            self.codes.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), &(code, _)| (a.min(code), b.max(code)));
        let compact = greatest - least < 2.0 * distinct as f64 && least.abs().max(greatest.abs()) <= 100.0;
        let thin = self.codes.iter().any(|&(_, rows)| rows < self.count.div_ceil(50).max(5));
        let counted = distinct > 4 && thin && self.has_one_peak();
        let filled = self.count >= 5 * distinct as u64 && !counted;
        distinct == 2 || (distinct <= MOST_CLASSES && compact && filled)
    }
}

impl Profile {
    /// Whether the integers' frequencies fall on both sides of the greatest, but for chance (two deviations of a count).
    fn has_one_peak(&self) -> bool {
        let mut codes = self.codes.clone();
        codes.sort_by(|a, b| a.0.total_cmp(&b.0));
        let rows: Vec<f64> = codes.iter().map(|&(_, rows)| rows as f64).collect();
        let Some(peak) = (0..rows.len()).max_by(|&a, &b| rows[a].total_cmp(&rows[b])) else { return false };
        let falls = |near: f64, far: f64| far <= near + 2.0 * near.max(1.0).sqrt();
        rows[..=peak].windows(2).all(|pair| falls(pair[1], pair[0]))
            && rows[peak..].windows(2).all(|pair| falls(pair[0], pair[1]))
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
