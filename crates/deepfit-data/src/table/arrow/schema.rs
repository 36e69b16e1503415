//! The columns of Arrow data: what they are called, how they are stored, what they mean.

use super::super::columns::Meaning;
use super::flat::Table;

/// How values are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Boolean,
    /// Of so many bytes.
    Integer {
        bytes: usize,
        signed: bool,
    },
    /// Of so many bytes.
    Float(usize),
    /// Behind a list of places, of four or eight bytes each.
    Text(usize),
    /// In the list of places itself where they are short.
    View,
}

/// A column.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) name: String,
    /// Of a column whose values are places in a dictionary: of these.
    pub(super) kind: Kind,
    pub(super) meaning: Meaning,
    pub(super) dictionary: Option<Dictionary>,
}

/// The values that the places of a column stand for.
#[derive(Clone, Debug)]
pub(super) struct Dictionary {
    pub(super) id: i64,
    pub(super) kind: Kind,
    pub(super) meaning: Meaning,
}

/// Parts of a second by the number of their unit.
fn parts(unit: i16) -> Option<i128> {
    [1, 1_000, 1_000_000, 1_000_000_000].get(usize::try_from(unit).ok()?).copied()
}

fn integer(of: Option<Table<'_>>) -> Option<Kind> {
    let bits = of.and_then(|of| of.int(0)).unwrap_or(0);
    let signed = of.and_then(|of| of.byte(1)).unwrap_or(0) == 1;
    matches!(bits, 8 | 16 | 32 | 64).then_some(Kind::Integer { bytes: bits as usize / 8, signed })
}

/// What a field says of its column.
///
/// # Errors
/// Why it cannot be read, and what to do.
pub(super) fn field(of: Table<'_>) -> Result<Field, String> {
    let name = of.text(0).unwrap_or_default().to_string();
    let damaged = || format!("is damaged: the type of column '{name}' cannot be read");
    let kind = of.table(3);
    let number = |at| kind.and_then(|kind| kind.short(at));
    let whole = |at| kind.and_then(|kind| kind.int(at));
    let signed = |bytes| Kind::Integer { bytes, signed: true };
    let plain = |kind| (kind, Meaning::Plain);
    let (kind, meaning) = match of.byte(2).unwrap_or(0) {
        1 => plain(Kind::Null),
        2 => plain(integer(kind).ok_or_else(damaged)?),
        3 => plain(Kind::Float(*[2, 4, 8].get(number(0).unwrap_or(0) as usize).ok_or_else(damaged)?)),
        // Mere bytes, which may be text.
        4 | 5 => plain(Kind::Text(4)),
        19 | 20 => plain(Kind::Text(8)),
        23 | 24 => plain(Kind::View),
        6 => plain(Kind::Boolean),
        7 => match whole(2).unwrap_or(128) {
            bits @ (32 | 64 | 128 | 256) => {
                (signed(bits as usize / 8), Meaning::Decimal(whole(1).unwrap_or(0).clamp(-400, 400)))
            }
            _ => return Err(damaged()),
        },
        8 if number(0) == Some(0) => (signed(4), Meaning::Days),
        8 => (signed(8), Meaning::Moment(1_000)),
        9 => {
            let parts = parts(number(0).unwrap_or(1)).ok_or_else(damaged)?;
            let bytes = if whole(1).unwrap_or(32) == 64 { 8 } else { 4 };
            (signed(bytes), Meaning::Seconds(parts))
        }
        10 => (signed(8), Meaning::Moment(parts(number(0).unwrap_or(0)).ok_or_else(damaged)?)),
        18 => (signed(8), Meaning::Seconds(parts(number(0).unwrap_or(1)).ok_or_else(damaged)?)),
        kind @ (12 | 13 | 14 | 16 | 17 | 21 | 25 | 26) => {
            let of = match kind {
                13 => "structs",
                14 => "unions",
                17 => "maps",
                _ => "lists",
            };
            return Err(format!(
                "has a nested column, '{name}', of {of}, and one value in each row is needed; make columns of its parts, \
                 or write the table without it"
            ));
        }
        other => {
            let what = match other {
                11 => "intervals of the calendar",
                15 => "bytes of a fixed length",
                22 => "runs",
                _ => "a type that is not known",
            };
            return Err(format!("has column '{name}' of {what}, which is not read here; write it as numbers or texts"));
        }
    };
    let Some(dictionary) = of.table(4) else { return Ok(Field { name, kind, meaning, dictionary: None }) };
    let id = dictionary.long(0).unwrap_or(0);
    let places = match dictionary.table(1) {
        Some(of) => integer(Some(of)).ok_or_else(damaged)?,
        None => signed(4),
    };
    let dictionary = Some(Dictionary { id, kind, meaning });
    Ok(Field { name, kind: places, meaning: Meaning::Plain, dictionary })
}
