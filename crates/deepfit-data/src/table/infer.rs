//! What each column holds, told from its values.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use foldhash::fast::RandomState;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::amount::AmountForm;
use super::date::DateForm;
use super::kept::{Kept, MOST_WORDS};
use super::numbers::Numbers;
use super::plain::Plain;
use super::rows::{Base, Place, Rows, is_missing, number};
use crate::error::Result;

/// Different values of a column that are told apart; beyond, there are "many".
const MOST_DISTINCT: usize = 10_000;
/// Most different integers that may be the codes of classes: the ten digits, or marks from 1 to 10.
const MOST_CLASSES: usize = 10;
/// Different spellings of missing values of a column that are counted.
const MOST_SPELLINGS: usize = 16;
/// A target's word that reads as missing is a class if it stands in one of so many rows.
const RARE: u64 = 20;

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
    /// Some value is not a boolean.
    other_than_booleans: bool,
    /// For each form, whether some value is not a date of it.
    other_than_dates: [bool; DateForm::ALL.len()],
    distinct: HashSet<u64, RandomState>,
    /// An earlier part of the column has many different values already: they are not told apart any more.
    many: bool,
    words: u64,
    /// Each value is one more than the one before.
    sequence: bool,
    first: f64,
    previous: f64,
    /// First value that says infinity, and first that says "not a number".
    pub(crate) infinite: Option<(Place, String)>,
    pub(crate) not_a_number: Option<(Place, String)>,
    /// Words that read as missing, with their rows.
    absent: Vec<(String, u64)>,
    /// One value.
    pub(crate) example: String,
}

/// The truth value of a word, if it is one.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    let is = |words: [&str; 4]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is(["true", "t", "yes", "y"]) {
        Some(true)
    } else if is(["false", "f", "no", "n"]) {
        Some(false)
    } else {
        None
    }
}

impl Profile {
    /// A missing value.
    fn miss(&mut self, text: &str, place: impl Fn() -> Place) {
        self.missing += 1;
        if self.not_a_number.is_none() && text.eq_ignore_ascii_case("nan") {
            self.not_a_number = Some((place(), text.to_string()));
        }
        if !text.is_empty() {
            self.count_absent(text, 1);
        }
    }

    fn count_absent(&mut self, text: &str, rows: u64) {
        match self.absent.iter().position(|(word, _)| word == text) {
            Some(known) => self.absent[known].1 += rows,
            None if self.absent.len() < MOST_SPELLINGS => self.absent.push((text.to_string(), rows)),
            None => {}
        }
    }

    /// Takes words that read as missing, such as `none` and `NA`, for classes of a target whose other values are words, if they
    /// stand in many rows: whoever leaves out a target leaves out few. Returns these with the number of their rows.
    pub(crate) fn take_absent_words(&mut self) -> Vec<(String, u64)> {
        if self.count == 0 || self.numbers > 0 || self.quantity(1).is_some() {
            return Vec::new();
        }
        let all = self.count + self.missing;
        let is_word = |word: &str| word.bytes().any(|byte| byte.is_ascii_alphabetic()) && !word.contains(['#', '<']);
        let mut taken = std::mem::take(&mut self.absent);
        taken.retain(|(word, rows)| is_word(word) && rows * RARE >= all);
        for (word, rows) in &taken {
            self.count += rows;
            self.missing -= rows;
            self.other_than_booleans = true;
            self.words += rows;
            self.tell_apart(|| xxh3_64(word.as_bytes()));
        }
        taken
    }

    /// A value of so many rows, of which `place` is the first.
    fn add(&mut self, text: &str, rows: u64, place: impl Fn() -> Place, delimiter: u8, dated: bool) {
        let plain = Plain::parse(text);
        let value = plain.map(|plain| plain.value).or_else(|| number(text, delimiter));
        match value {
            Some(value) => self.add_number(text, value, plain, rows, place, dated),
            None => self.add_word(text, rows, dated),
        }
    }

    fn begin(&mut self, text: &str, value: f64) {
        if self.count == 0 {
            self.example = text.to_string();
            self.sequence = true;
            self.first = value;
        }
    }

    fn add_number(
        &mut self,
        text: &str,
        value: f64,
        plain: Option<Plain>,
        rows: u64,
        place: impl Fn() -> Place,
        dated: bool,
    ) {
        self.begin(text, value);
        self.sequence &= rows == 1 && (self.count == 0 || value == self.previous + 1.0);
        self.previous = value;
        self.count += rows;
        self.numbers += rows;
        self.integers += if value.is_finite() && value.trunc() == value { rows } else { 0 };
        self.other_than_booleans = true;
        // 1 and 1.0 are the same value.
        self.tell_apart(|| (value + 0.0).to_bits());
        if self.codes.len() <= MOST_CLASSES {
            add_code(&mut self.codes, value, rows);
        }
        if value.is_infinite() && self.infinite.is_none() {
            self.infinite = Some((place(), text.to_string()));
        }
        match plain {
            Some(plain) => {
                self.amounts[0] += rows;
                self.amounts[1] += if plain.may_be_divided() { rows } else { 0 };
                self.points += if plain.has_point() { rows } else { 0 };
                self.words += rows;
            }
            None => {
                self.commas += if text.contains(',') { rows } else { 0 };
                self.add_form(text, rows);
            }
        }
        self.look_for_dates(text, dated, dated);
    }

    fn add_word(&mut self, text: &str, rows: u64, dated: bool) {
        self.begin(text, f64::NAN);
        self.sequence = false;
        self.count += rows;
        self.other_than_booleans = self.other_than_booleans || boolean(text).is_none();
        self.tell_apart(|| xxh3_64(text.as_bytes()));
        self.add_form(text, rows);
        self.look_for_dates(text, true, dated);
    }

    fn tell_apart(&mut self, key: impl Fn() -> u64) {
        if !self.many && self.distinct.len() <= MOST_DISTINCT {
            self.distinct.insert(key());
        }
    }

    /// How a text is written that is not digits and a point.
    fn add_form(&mut self, text: &str, rows: u64) {
        for (count, fits) in self.amounts.iter_mut().zip(AmountForm::fitting(text, None)) {
            *count += if fits { rows } else { 0 };
        }
        self.points += if text.contains('.') { rows } else { 0 };
        self.words += rows * count_words(text);
    }

    fn look_for_dates(&mut self, text: &str, may_be: bool, dated: bool) {
        if self.other_than_dates == [true; DateForm::ALL.len()] {
            return;
        }
        let may_be = may_be && text.len() <= 40 && text.bytes().any(|b| b.is_ascii_digit());
        for (other, form) in self.other_than_dates.iter_mut().zip(DateForm::ALL) {
            // One that does not fit is enough.
            *other = *other || !may_be || (form == DateForm::Compact && !dated) || form.parse(text).is_none();
        }
    }

    /// Adds what was seen in a later part of the column, behind `base`.
    fn append(&mut self, later: Profile, base: Base) {
        self.missing += later.missing;
        let moved = |found: Option<(Place, String)>| found.map(|(place, text)| (place.behind(base), text));
        self.not_a_number = self.not_a_number.take().or(moved(later.not_a_number));
        self.infinite = self.infinite.take().or(moved(later.infinite));
        later.absent.iter().for_each(|(word, rows)| self.count_absent(word, *rows));
        if later.count == 0 {
            return;
        }
        if self.count == 0 {
            self.example = later.example;
            self.first = later.first;
            self.sequence = later.sequence;
        } else {
            self.sequence &= later.sequence && later.first == self.previous + 1.0;
        }
        self.previous = later.previous;
        self.count += later.count;
        self.numbers += later.numbers;
        for (sum, count) in self.amounts.iter_mut().zip(later.amounts) {
            *sum += count;
        }
        self.commas += later.commas;
        self.points += later.points;
        self.integers += later.integers;
        for (code, rows) in later.codes {
            // Beyond the most that may be classes, only that there are more counts.
            if self.codes.len() <= MOST_CLASSES {
                add_code(&mut self.codes, code, rows);
            }
        }
        self.other_than_booleans |= later.other_than_booleans;
        for (other, found) in self.other_than_dates.iter_mut().zip(later.other_than_dates) {
            *other |= found;
        }
        if self.distinct.is_empty() {
            self.distinct = later.distinct;
        } else {
            for key in later.distinct {
                if self.distinct.len() > MOST_DISTINCT {
                    break;
                }
                self.distinct.insert(key);
            }
        }
        self.words += later.words;
    }

    /// Whether the values count the rows from 0 or 1.
    fn counts(&self) -> bool {
        self.sequence && (self.first == 0.0 || self.first == 1.0)
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
        let form = self.other_than_dates.iter().position(|&other| !other);
        if let Some(form) = form {
            return Ok(ColumnKind::Date(DateForm::ALL[form]));
        }
        let many = self.distinct() == self.count || self.distinct() > MOST_DISTINCT as u64;
        if self.is_numeric() && self.quantity(self.count) == Some(ColumnKind::Number) {
            let named = is_identifier(name) && many && self.is_integer();
            if self.count >= 3 && (named || (self.counts() && self.missing == 0)) {
                return Err("numbers the rows".into());
            }
            return Ok(ColumnKind::Number);
        }
        // A few odd words among many numbers are missing values in disguise.
        let enough = if self.count >= 20 { (self.count * 19).div_ceil(20) } else { self.count };
        if let Some(kind) = self.quantity(self.count).or_else(|| self.quantity(enough)) {
            return Ok(kind);
        }
        if !self.other_than_booleans && self.distinct() <= 2 {
            return Ok(ColumnKind::Boolean);
        }
        if self.count >= 20 && self.distinct() * 2 > self.count && self.words >= 4 * self.count {
            return Err("is free text, which is learned only where --text names it, by a network for texts".into());
        }
        if self.count >= 20 && (many || self.distinct() * 2 > self.count) {
            return Err("differs in nearly every row, like an identifier".into());
        }
        Ok(ColumnKind::Category)
    }

    /// Whether the column counts the rows but is not named as one that does.
    pub(crate) fn is_mere_sequence(&self, name: &str) -> bool {
        self.counts() && self.is_numeric() && self.distinct() > 1 && !is_identifier(name)
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

pub(crate) fn is_identifier(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    matches!(name.as_str(), "id" | "index" | "row" | "uuid") || name.ends_with("_id") || name.starts_with("unnamed")
}

/// Counts rows of a value among those of others.
fn add_code(codes: &mut Vec<(f64, u64)>, value: f64, rows: u64) {
    match codes.iter_mut().find(|(code, _)| *code == value) {
        Some((_, count)) => *count += rows,
        None => codes.push((value, rows)),
    }
}

/// Words of a text that has no space around it.
fn count_words(text: &str) -> u64 {
    if text.bytes().all(|byte| (b'!'..=b'~').contains(&byte)) { 1 } else { text.split_whitespace().count() as u64 }
}

/// A column of a block: what was seen of it, and its values.
#[derive(Default)]
struct Seen {
    profile: Profile,
    kept: Kept,
    /// Rows of each word that was kept, and the first of them.
    rows: Vec<(u64, Place)>,
}

impl Seen {
    fn see(&mut self, text: &str, place: impl Fn() -> Place, delimiter: u8, dated: bool) {
        if is_missing(text) {
            self.profile.miss(text, place);
            self.kept.miss();
            return;
        }
        if let Kept::Numbers(values) = &mut self.kept {
            let plain = Plain::parse(text);
            match plain.map(|plain| plain.value).or_else(|| number(text, delimiter)) {
                Some(value) => {
                    self.profile.add_number(text, value, plain, 1, place, dated);
                    values.push(value);
                    return;
                }
                // All before it, if anything, were missing.
                None if self.profile.count == 0 => self.kept = Kept::words(values.len()),
                None => self.kept = Kept::Not,
            }
        }
        if let Kept::Words { codes, words, index } = &mut self.kept {
            if let Some(&code) = index.get(text) {
                codes.push(code);
                self.rows[code as usize].0 += 1;
                return;
            }
            if words.len() < MOST_WORDS {
                let code = words.len() as u32;
                codes.push(code);
                words.push(text.to_string());
                index.insert(text.to_string(), code);
                self.rows.push((1, place()));
                return;
            }
            self.finish(delimiter, dated);
            self.kept = Kept::Not;
        }
        self.profile.add(text, 1, place, delimiter, dated);
    }

    /// Looks at the words that were kept, each once.
    fn finish(&mut self, delimiter: u8, dated: bool) {
        if let Kept::Words { words, .. } = &self.kept {
            for (word, (rows, place)) in words.iter().zip(self.rows.drain(..)) {
                self.profile.add(word, rows, || place, delimiter, dated);
            }
            self.profile.sequence = false;
        }
    }
}

/// Reads all rows once and tells what each column holds, and its values where they could be kept. Also returns the number of
/// rows.
pub(crate) fn profile(rows: &mut Rows<'_>, threads: usize) -> Result<(Vec<Profile>, Vec<Kept>, u64)> {
    let columns = rows.columns.len();
    let dated: Vec<bool> = rows.columns.iter().map(|name| name.to_ascii_lowercase().contains("date")).collect();
    let delimiter = rows.delimiter;
    let many: Vec<AtomicBool> = (0..columns).map(|_| AtomicBool::new(false)).collect();
    let mut all: Vec<Seen> = (0..columns).map(|_| Seen::default()).collect();
    let mut count = 0;
    rows.for_each_block(
        threads,
        |records| {
            let mut found: Vec<Seen> = (0..columns).map(|_| Seen::default()).collect();
            // Counted once: a block of a wide table has more columns than rows.
            let most_rows = records.most_rows();
            for (seen, many) in found.iter_mut().zip(&many) {
                seen.profile.many = many.load(Ordering::Relaxed);
                seen.kept = Kept::Numbers(Numbers::with_capacity(most_rows));
            }
            while let Some(fields) = records.next()? {
                for (column, seen) in found.iter_mut().enumerate() {
                    seen.see(fields.get(column), || fields.place(), delimiter, dated[column]);
                }
            }
            for (seen, &dated) in found.iter_mut().zip(&dated) {
                seen.finish(delimiter, dated);
            }
            Ok((found, records.rows()))
        },
        |(found, rows), base| {
            count += rows;
            for ((seen, later), many) in all.iter_mut().zip(found).zip(&many) {
                seen.kept.append(later.kept, seen.profile.count, later.profile.count);
                seen.profile.append(later.profile, base);
                many.store(seen.profile.distinct.len() > MOST_DISTINCT, Ordering::Relaxed);
            }
            Ok(())
        },
    )?;
    let (profiles, kept) = all.into_iter().map(|seen| (seen.profile, seen.kept)).unzip();
    Ok((profiles, kept, count))
}
