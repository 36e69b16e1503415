//! The columns of a Parquet file: what they are called, how they are stored, what they mean.

use super::super::columns::Meaning;
use super::thrift::Fields;

/// How a value is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Physical {
    Boolean,
    Int32,
    Int64,
    /// Nanoseconds of a day, and the day.
    Int96,
    Float,
    Double,
    Bytes,
    Fixed(usize),
}

/// What bytes are, and integers without sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nature {
    /// As they are stored.
    Same,
    Unsigned,
    Text,
    /// Numbers in two's complement, the highest byte first.
    Decimal,
    /// Numbers of 16 bits.
    Half,
    Uuid,
}

/// A column.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    pub(super) name: String,
    pub(super) physical: Physical,
    pub(super) nature: Nature,
    pub(super) meaning: Meaning,
    /// Whether values may be missing.
    pub(super) optional: bool,
}

const NESTED: &str = "one value in each row is needed";

/// The columns of a schema.
///
/// # Errors
/// Which cannot be read, and what to do.
pub(super) fn leaves(elements: &[&Fields<'_>]) -> Result<Vec<Leaf>, String> {
    let [root, columns @ ..] = elements else { return Err("is damaged: it has no schema".to_string()) };
    let count = root.size(5).unwrap_or(0);
    let (mut all, mut at) = (Vec::new(), 0);
    while all.len() < count {
        let element = columns.get(at).ok_or("is damaged: its schema is cut off")?;
        let name = element.text(4).ok_or("is damaged: a column has no name")?.to_string();
        if element.size(5).is_some_and(|children| children > 0) || element.int(3) == Some(2) {
            let kind = match (element.int(6), element.structure(10)) {
                (Some(3), _) => "lists",
                (Some(1 | 2), _) => "maps",
                (_, Some(logical)) if logical.get(3).is_some() => "lists",
                (_, Some(logical)) if logical.get(2).is_some() => "maps",
                _ if element.int(3) == Some(2) => "lists",
                _ => "structs",
            };
            return Err(format!(
                "has a nested column, '{name}', of {kind}, and {NESTED}; make columns of its parts, or write the table \
                 without it"
            ));
        }
        all.push(leaf(name, element)?);
        at += 1;
    }
    if all.is_empty() || at != columns.len() {
        return Err("is damaged: its schema does not fit its columns".to_string());
    }
    Ok(all)
}

fn parts_of_a_second(unit: Option<&Fields<'_>>) -> i128 {
    match unit {
        Some(unit) if unit.get(1).is_some() => 1_000,
        Some(unit) if unit.get(2).is_some() => 1_000_000,
        _ => 1_000_000_000,
    }
}

fn leaf(name: String, element: &Fields<'_>) -> Result<Leaf, String> {
    let length = element.size(2).unwrap_or(0);
    let physical = match element.int(1) {
        Some(0) => Physical::Boolean,
        Some(1) => Physical::Int32,
        Some(2) => Physical::Int64,
        Some(3) => Physical::Int96,
        Some(4) => Physical::Float,
        Some(5) => Physical::Double,
        Some(6) => Physical::Bytes,
        Some(7) if (1..=1 << 20).contains(&length) => Physical::Fixed(length),
        _ => return Err(format!("is damaged: column '{name}' has no known type")),
    };
    let scale = element.int(7).unwrap_or(0) as i32;
    let none = Fields::default();
    let logical = element.structure(10).unwrap_or(&none);
    let integer = matches!(physical, Physical::Int32 | Physical::Int64);
    let decimal = logical.structure(5).map(|decimal| decimal.int(1).unwrap_or(0) as i32);
    let decimal = decimal.or((element.int(6) == Some(5)).then_some(scale));
    let unsigned = logical.structure(10).and_then(|kind| kind.bool(2)) == Some(false);
    let (mut nature, mut meaning) = (Nature::Same, Meaning::Plain);
    match (decimal, logical, element.int(6)) {
        (Some(scale), _, _) => {
            meaning = Meaning::Decimal(scale.clamp(-400, 400));
            nature = if integer { Nature::Same } else { Nature::Decimal };
        }
        (_, logical, _) if logical.structure(8).is_some() => {
            let unit = logical.structure(8).and_then(|moment| moment.structure(2));
            meaning = Meaning::Moment(parts_of_a_second(unit));
        }
        (_, logical, _) if logical.structure(7).is_some() => {
            let unit = logical.structure(7).and_then(|time| time.structure(2));
            meaning = Meaning::Seconds(parts_of_a_second(unit));
        }
        (_, logical, _) if logical.get(6).is_some() => meaning = Meaning::Days,
        (_, logical, _) if logical.get(14).is_some() => nature = Nature::Uuid,
        (_, logical, _) if logical.get(15).is_some() => nature = Nature::Half,
        (_, _, _) if unsigned => nature = Nature::Unsigned,
        (_, _, Some(6)) => meaning = Meaning::Days,
        (_, _, Some(7 | 9)) => {
            let moment = element.int(6) == Some(9);
            meaning = if moment { Meaning::Moment(1_000) } else { Meaning::Seconds(1_000) };
        }
        (_, _, Some(8 | 10)) => {
            let moment = element.int(6) == Some(10);
            meaning = if moment { Meaning::Moment(1_000_000) } else { Meaning::Seconds(1_000_000) };
        }
        (_, _, Some(11..=14)) => nature = Nature::Unsigned,
        _ => {}
    }
    if physical == Physical::Int96 {
        meaning = Meaning::Moment(1_000_000_000);
    }
    // Some programs write texts as mere bytes.
    if nature == Nature::Same && physical == Physical::Bytes {
        nature = Nature::Text;
    }
    let fits = match (physical, nature) {
        (Physical::Bytes, Nature::Text | Nature::Decimal) | (Physical::Fixed(_), Nature::Decimal) => true,
        (Physical::Fixed(length), Nature::Half) => length == 2,
        (Physical::Fixed(length), Nature::Uuid) => length == 16,
        (Physical::Bytes | Physical::Fixed(_), _) => false,
        (Physical::Int32 | Physical::Int64, Nature::Same | Nature::Unsigned) => true,
        (_, nature) => nature == Nature::Same && (meaning == Meaning::Plain || physical == Physical::Int96),
    };
    if !fits {
        return Err(format!(
            "has column '{name}' of bytes that are neither text nor numbers; write the table without it"
        ));
    }
    Ok(Leaf { name, physical, nature, meaning, optional: element.int(3) == Some(1) })
}
