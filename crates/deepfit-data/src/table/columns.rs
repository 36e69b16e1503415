//! A block of values in columns, as Parquet and Arrow files hold them, shown as the text that stands for them in other tables:
//! a date as `2024-03-31`, nothing for a missing value. A number goes through its shortest text and comes out the same.

use std::fmt::{Display, Write as _};
use std::ops::Range;

use super::date::written;

const SECONDS_OF_A_DAY: i128 = 86_400;

/// Some rows.
#[derive(Clone, Debug, Default)]
pub(super) struct Columns {
    columns: Vec<Column>,
    rows: usize,
}

/// The values of a column.
#[derive(Clone, Debug)]
pub(super) struct Column {
    /// Whether each value is there; one that is not is anything in `values`.
    pub(super) valid: Vec<bool>,
    pub(super) values: Typed,
    pub(super) meaning: Meaning,
}

#[derive(Clone, Debug)]
pub(super) enum Typed {
    /// So many values of which none is there.
    Nulls(usize),
    Booleans(Vec<bool>),
    Integers(Vec<i64>),
    Unsigned(Vec<u64>),
    Wide(Vec<i128>),
    Singles(Vec<f32>),
    Doubles(Vec<f64>),
    Texts(Texts),
}

/// What the integers of a column stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Themselves; also where there are no integers.
    Plain,
    /// A number of which so many digits stand behind the point.
    Decimal(i32),
    /// Days since 1970-01-01.
    Days,
    /// Time since 1970-01-01 in UTC, in so many parts of a second.
    Moment(i128),
    /// A duration or time of day, in so many parts of a second; shown in seconds.
    Seconds(i128),
}

/// Texts, one behind the other.
#[derive(Clone, Debug, Default)]
pub(super) struct Texts {
    text: String,
    ends: Vec<usize>,
}

impl Texts {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.ends.push(self.text.len());
    }

    pub(super) fn get(&self, row: usize) -> &str {
        let begin = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.text[begin..self.ends[row]]
    }

    fn append(&mut self, later: &Texts) {
        let before = self.text.len();
        self.text.push_str(&later.text);
        self.ends.extend(later.ends.iter().map(|end| end + before));
    }

    fn slice(&self, rows: Range<usize>) -> Texts {
        let begin = if rows.start == 0 { 0 } else { self.ends[rows.start - 1] };
        let ends: Vec<usize> = self.ends[rows].iter().map(|end| end - begin).collect();
        Texts { text: self.text[begin..begin + ends.last().copied().unwrap_or(0)].to_string(), ends }
    }
}

/// Values for all rows, from those of the rows that have one.
fn spread<T: Copy + Default>(values: &[T], valid: &[bool]) -> Option<Vec<T>> {
    let mut next = values.iter();
    valid.iter().map(|&valid| if valid { next.next().copied() } else { Some(T::default()) }).collect()
}

/// The values of a list at some places.
fn select<T: Copy>(values: &[T], places: &[u32]) -> Option<Vec<T>> {
    places.iter().map(|&place| values.get(place as usize).copied()).collect()
}

impl Typed {
    pub(super) fn len(&self) -> usize {
        match self {
            Typed::Nulls(rows) => *rows,
            Typed::Booleans(values) => values.len(),
            Typed::Integers(values) => values.len(),
            Typed::Unsigned(values) => values.len(),
            Typed::Wide(values) => values.len(),
            Typed::Singles(values) => values.len(),
            Typed::Doubles(values) => values.len(),
            Typed::Texts(texts) => texts.len(),
        }
    }

    /// A value that is a whole number of 32 bits without sign.
    pub(super) fn whole(&self, row: usize) -> Option<u32> {
        match self {
            Typed::Integers(values) => u32::try_from(*values.get(row)?).ok(),
            Typed::Unsigned(values) => u32::try_from(*values.get(row)?).ok(),
            _ => None,
        }
    }

    /// Values for all rows, from those of the rows that have one, if they are enough.
    pub(super) fn spread(self, valid: &[bool]) -> Option<Typed> {
        if self.len() == valid.len() {
            return Some(self);
        }
        Some(match self {
            Typed::Nulls(_) => Typed::Nulls(valid.len()),
            Typed::Booleans(values) => Typed::Booleans(spread(&values, valid)?),
            Typed::Integers(values) => Typed::Integers(spread(&values, valid)?),
            Typed::Unsigned(values) => Typed::Unsigned(spread(&values, valid)?),
            Typed::Wide(values) => Typed::Wide(spread(&values, valid)?),
            Typed::Singles(values) => Typed::Singles(spread(&values, valid)?),
            Typed::Doubles(values) => Typed::Doubles(spread(&values, valid)?),
            Typed::Texts(texts) => {
                let (mut all, mut next) = (Texts::default(), 0..texts.len());
                for &valid in valid {
                    all.push(if valid { texts.get(next.next()?) } else { "" });
                }
                Typed::Texts(all)
            }
        })
    }

    /// The values at some places, if they all exist.
    pub(super) fn select(&self, places: &[u32]) -> Option<Typed> {
        Some(match self {
            Typed::Nulls(_) => Typed::Nulls(places.len()),
            Typed::Booleans(values) => Typed::Booleans(select(values, places)?),
            Typed::Integers(values) => Typed::Integers(select(values, places)?),
            Typed::Unsigned(values) => Typed::Unsigned(select(values, places)?),
            Typed::Wide(values) => Typed::Wide(select(values, places)?),
            Typed::Singles(values) => Typed::Singles(select(values, places)?),
            Typed::Doubles(values) => Typed::Doubles(select(values, places)?),
            Typed::Texts(texts) => {
                let mut all = Texts::default();
                for &place in places {
                    if place as usize >= texts.len() {
                        return None;
                    }
                    all.push(texts.get(place as usize));
                }
                Typed::Texts(all)
            }
        })
    }
}

impl Column {
    pub(super) fn len(&self) -> usize {
        self.valid.len()
    }

    /// Adds later values of the same column. `None` if they are of another type.
    pub(super) fn append(&mut self, later: Column) -> Option<()> {
        if self.len() == 0 {
            *self = later;
            return Some(());
        }
        match (&mut self.values, later.values) {
            (Typed::Nulls(rows), Typed::Nulls(more)) => *rows += more,
            (Typed::Booleans(values), Typed::Booleans(more)) => values.extend(more),
            (Typed::Integers(values), Typed::Integers(more)) => values.extend(more),
            (Typed::Unsigned(values), Typed::Unsigned(more)) => values.extend(more),
            (Typed::Wide(values), Typed::Wide(more)) => values.extend(more),
            (Typed::Singles(values), Typed::Singles(more)) => values.extend(more),
            (Typed::Doubles(values), Typed::Doubles(more)) => values.extend(more),
            (Typed::Texts(texts), Typed::Texts(more)) => texts.append(&more),
            _ => return None,
        }
        self.valid.extend(later.valid);
        Some(())
    }

    /// The values of some rows.
    pub(super) fn slice(&self, rows: Range<usize>) -> Column {
        let of = rows.clone();
        let values = match &self.values {
            Typed::Nulls(_) => Typed::Nulls(of.len()),
            Typed::Booleans(values) => Typed::Booleans(values[of].to_vec()),
            Typed::Integers(values) => Typed::Integers(values[of].to_vec()),
            Typed::Unsigned(values) => Typed::Unsigned(values[of].to_vec()),
            Typed::Wide(values) => Typed::Wide(values[of].to_vec()),
            Typed::Singles(values) => Typed::Singles(values[of].to_vec()),
            Typed::Doubles(values) => Typed::Doubles(values[of].to_vec()),
            Typed::Texts(texts) => Typed::Texts(texts.slice(of)),
        };
        Column { valid: self.valid[rows].to_vec(), values, meaning: self.meaning }
    }

    /// Appends the text of a value that is no text itself.
    fn show(&self, row: usize, to: &mut String) {
        match &self.values {
            Typed::Nulls(_) | Typed::Texts(_) => {}
            Typed::Booleans(values) => to.push_str(if values[row] { "true" } else { "false" }),
            Typed::Integers(values) => self.meaning.show(i128::from(values[row]), to),
            Typed::Unsigned(values) => push(to, values[row]),
            Typed::Wide(values) => self.meaning.show(values[row], to),
            Typed::Singles(values) if values[row].fract() == 0.0 && values[row].abs() < 1e6 => {
                push(to, values[row] as i64);
            }
            Typed::Singles(values) => push(to, format_args!("{:?}", values[row])),
            Typed::Doubles(values) => show_number(values[row], to),
        }
    }
}

fn push(to: &mut String, value: impl Display) {
    // Writing to a string does not fail.
    let _ = write!(to, "{value}");
}

fn show_number(value: f64, to: &mut String) {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        push(to, value as i64);
    } else {
        push(to, format_args!("{value:?}"));
    }
}

impl Meaning {
    fn show(self, value: i128, to: &mut String) {
        match self {
            Meaning::Plain => push(to, value),
            Meaning::Decimal(scale) if scale <= 0 => {
                push(to, value);
                let zeros = if value == 0 { 0 } else { scale.unsigned_abs() as usize };
                to.extend(std::iter::repeat_n('0', zeros.min(400)));
            }
            Meaning::Decimal(scale) => {
                let scale = scale as usize;
                let digits = format!("{:0>width$}", value.unsigned_abs(), width = scale + 1);
                let (whole, fraction) = digits.split_at(digits.len() - scale);
                let sign = if value < 0 { "-" } else { "" };
                push(to, format_args!("{sign}{whole}.{fraction}"));
            }
            Meaning::Days => to.push_str(&written(value)),
            Meaning::Moment(parts) => {
                let day = SECONDS_OF_A_DAY * parts;
                to.push_str(&written(value.div_euclid(day)));
                let rest = value.rem_euclid(day);
                if rest > 0 {
                    let (seconds, rest) = (rest / parts, rest % parts);
                    push(to, format_args!(" {:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60));
                    if rest > 0 {
                        let digits = parts.ilog10() as usize;
                        push(to, format_args!(".{rest:0digits$}"));
                        to.truncate(to.trim_end_matches('0').len());
                    }
                }
            }
            Meaning::Seconds(parts) => show_number(value as f64 / parts as f64, to),
        }
    }
}

impl Columns {
    /// Columns of equal lengths.
    pub(super) fn new(columns: Vec<Column>, rows: usize) -> Columns {
        Columns { columns, rows }
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }
}

/// One row of a block after the other, as text.
pub(super) struct Shown {
    /// Rows shown so far; the last of them is the one that is shown.
    rows: usize,
    text: String,
    places: Vec<Range<usize>>,
}

impl Shown {
    pub(super) fn new(columns: &Columns) -> Shown {
        Shown { rows: 0, text: String::new(), places: vec![0..0; columns.columns.len()] }
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Goes to the next row, if there is one.
    pub(super) fn advance(&mut self, columns: &Columns) -> bool {
        if self.rows == columns.rows {
            return false;
        }
        self.text.clear();
        for (place, column) in self.places.iter_mut().zip(&columns.columns) {
            let begin = self.text.len();
            if column.valid[self.rows] {
                column.show(self.rows, &mut self.text);
            }
            *place = begin..self.text.len();
        }
        self.rows += 1;
        true
    }

    /// The text of a value.
    pub(super) fn get<'a>(&'a self, columns: &'a Columns, column: usize) -> &'a str {
        let (row, of) = (self.rows - 1, &columns.columns[column]);
        match &of.values {
            Typed::Texts(texts) if of.valid[row] => texts.get(row),
            _ => &self.text[self.places[column].clone()],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(values: Typed, meaning: Meaning) -> Vec<String> {
        let rows = values.len();
        let columns = Columns::new(vec![Column { valid: vec![true; rows], values, meaning }], rows);
        let mut shown = Shown::new(&columns);
        let mut all = Vec::new();
        while shown.advance(&columns) {
            all.push(shown.get(&columns, 0).to_string());
        }
        all
    }

    #[test]
    fn values_are_shown_as_other_tables_write_them() {
        let integers = |values: &[i64], meaning| shown(Typed::Integers(values.to_vec()), meaning);
        assert_eq!(integers(&[-5, 0, 12_345], Meaning::Decimal(2)), ["-0.05", "0.00", "123.45"]);
        assert_eq!(integers(&[-5, 0], Meaning::Decimal(-2)), ["-500", "0"]);
        assert_eq!(integers(&[0, 19_813, -1], Meaning::Days), ["1970-01-01", "2024-03-31", "1969-12-31"]);
        let day = 86_400_000;
        assert_eq!(
            integers(&[0, day + 3_661_007, -1], Meaning::Moment(1_000)),
            ["1970-01-01", "1970-01-02 01:01:01.007", "1969-12-31 23:59:59.999"]
        );
        assert_eq!(integers(&[1_500_000], Meaning::Seconds(1_000_000)), ["1.5"]);
        let numbers = vec![1.0, -0.1, 1e300, 1.5e-7, f64::NAN, f64::INFINITY];
        assert_eq!(shown(Typed::Doubles(numbers), Meaning::Plain), ["1", "-0.1", "1e300", "1.5e-7", "NaN", "inf"]);
        assert_eq!(shown(Typed::Singles(vec![0.1, 3.0, 3e9]), Meaning::Plain), ["0.1", "3", "3000000000.0"]);
    }

    #[test]
    fn columns_are_divided_and_joined_again() {
        let mut texts = Texts::default();
        ["a", "", "bé", "c"].iter().for_each(|text| texts.push(text));
        let whole =
            Column { valid: vec![true, false, true, true], values: Typed::Texts(texts), meaning: Meaning::Plain };
        for rows in 0..=4 {
            let (mut first, rest) = (whole.slice(0..rows), whole.slice(rows..4));
            assert_eq!((first.len(), rest.len()), (rows, 4 - rows));
            first.append(rest).unwrap();
            let Typed::Texts(texts) = &first.values else { panic!() };
            assert_eq!((0..4).map(|row| texts.get(row)).collect::<Vec<_>>(), ["a", "", "bé", "c"]);
        }
    }
}
