//! Values that are kept while a table is looked through, so that its text need not be read again.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::infer::ColumnKind;
use super::numbers::Numbers;
use super::read::{Targets, Values, is_too_large, label, read_number};
use crate::codes::{Codes, MISSING};

/// Codes of words.
pub(crate) type Index = HashMap<String, u32, RandomState>;

/// Most different words of a column that are kept.
pub(crate) const MOST_WORDS: usize = 1 << 14;

/// Values of a column as they were met.
pub(crate) enum Kept {
    /// Numbers alone; NaN is missing.
    Numbers(Numbers),
    /// Words alone, or numbers that begin behind a word.
    Words {
        /// One a row, or [`MISSING`](crate::codes::MISSING).
        codes: Codes,
        /// In order of appearance.
        words: Vec<String>,
        /// The code of each.
        index: Index,
    },
    /// Words behind numbers, or too many words.
    Not,
}

impl Default for Kept {
    fn default() -> Self {
        Kept::Numbers(Numbers::default())
    }
}

impl Kept {
    /// No words so far, in so many rows.
    pub(crate) fn words(missing: usize) -> Kept {
        Kept::Words {
            codes: std::iter::repeat_n(MISSING, missing).collect(),
            words: Vec::new(),
            index: Index::default(),
        }
    }

    /// A row without value.
    pub(crate) fn miss(&mut self) {
        match self {
            Kept::Numbers(values) => values.push(f64::NAN),
            Kept::Words { codes, .. } => codes.push(MISSING),
            Kept::Not => {}
        }
    }

    /// Appends what was kept of a later part; each part has so many values that are not missing.
    pub(crate) fn append(&mut self, later: Kept, own_values: u64, later_values: u64) {
        if let (Kept::Numbers(values), Kept::Words { .. }, 0) = (&*self, &later, own_values) {
            *self = Kept::words(values.len());
        }
        match (&mut *self, later) {
            (Kept::Numbers(all), Kept::Numbers(more)) => all.append(more),
            (Kept::Words { codes, .. }, Kept::Numbers(more)) if later_values == 0 => {
                codes.extend(std::iter::repeat_n(MISSING, more.len()));
            }
            (Kept::Words { codes, words, index }, Kept::Words { codes: more, words: new, .. }) => {
                let mut code_of = Vec::with_capacity(new.len());
                for word in new {
                    code_of.push(index.get(&word).copied().unwrap_or_else(|| {
                        let code = words.len() as u32;
                        words.push(word.clone());
                        index.insert(word, code);
                        code
                    }));
                }
                codes.extend(more.iter().map(|own| if own == MISSING { MISSING } else { code_of[own as usize] }));
                if words.len() > MOST_WORDS {
                    *self = Kept::Not;
                }
            }
            _ => *self = Kept::Not,
        }
    }

    /// The values of a feature of a kind, with the codes of its words; `None` where the text must be read again.
    pub(crate) fn feature(self, kind: ColumnKind, delimiter: u8) -> Option<(Values, Index)> {
        match (self, kind) {
            (Kept::Numbers(values), ColumnKind::Number) => Some((Values::Numbers(values), Index::default())),
            (Kept::Words { codes, words, index }, ColumnKind::Category) => {
                Some((Values::Codes { codes, words }, index))
            }
            (Kept::Words { codes, words, .. }, ColumnKind::Date(_) | ColumnKind::Boolean | ColumnKind::Amount(_)) => {
                // Words that are none of the kind are told with the lines that they stand in.
                let value = |word: &String| read_number(word, kind, delimiter).filter(|value| value.is_finite());
                let values: Vec<f64> = words.iter().map(value).collect::<Option<_>>()?;
                let of = |code: u32| if code == MISSING { f64::NAN } else { values[code as usize] };
                Some((Values::Numbers(codes.iter().map(of).collect()), Index::default()))
            }
            _ => None,
        }
    }

    /// The targets of a regression, all of which must be there.
    pub(crate) fn quantities(self) -> Option<Targets> {
        match self {
            Kept::Numbers(values) if values.iter().all(|value| !value.is_nan() && !is_too_large(value)) => {
                Some(Targets::Values(values.iter().collect()))
            }
            _ => None,
        }
    }

    /// The targets of a classification, all of which must be there, and the classes of all labels, in order of appearance.
    pub(crate) fn classes(self, delimiter: u8) -> Option<(Targets, Index)> {
        let mut classes = Index::default();
        let mut class = |label: String| {
            let next = classes.len() as u32;
            *classes.entry(label).or_insert(next)
        };
        let targets = match self {
            Kept::Words { codes, words, .. } if codes.is_complete() => {
                let of: Vec<u32> = words.iter().map(|word| class(label(word, delimiter))).collect();
                codes.iter().map(|code| of[code as usize]).collect()
            }
            Kept::Numbers(values) => {
                // The text of other numbers is their label.
                let is_whole = |value: f64| value.trunc() == value && value.abs() < 1e15;
                let mut of: HashMap<u64, u32, RandomState> = HashMap::default();
                let mut targets = Codes::with_capacity(values.len());
                for value in values.iter() {
                    if !is_whole(value) || of.len() > MOST_WORDS {
                        return None;
                    }
                    let next = || class(format!("{}", value as i64));
                    targets.push(*of.entry((value + 0.0).to_bits()).or_insert_with(next));
                }
                targets
            }
            _ => return None,
        };
        Some((Targets::Classes(targets), classes))
    }
}

#[cfg(test)]
mod tests {
    use super::super::infer::profile;
    use super::super::read::{Builder, Table, TargetReading};
    use super::super::rows::Rows;
    use super::*;

    /// The values of all columns and of the target, in words.
    fn told(table: &Table) -> String {
        let column = |values: &Values| match values {
            Values::Numbers(values) => format!("{values:?}"),
            Values::Codes { codes, words } => format!("{codes:?} {words:?}"),
        };
        let targets = match &table.targets {
            Targets::None => String::new(),
            Targets::Classes(classes) => format!("{classes:?}"),
            Targets::Values(values) => format!("{values:?}"),
            Targets::Labels(sets) => format!("{sets:?}"),
        };
        let columns: Vec<String> = table.columns.iter().map(|c| format!("{} {}", c.name, column(&c.values))).collect();
        format!("{columns:?} {targets} {:?}", table.file_rows.iter().collect::<Vec<u32>>())
    }

    #[test]
    fn values_that_were_kept_are_those_that_a_second_pass_reads() {
        let mut text = String::from("number,word,day,truth,whole,class,value\n");
        for i in 0..40 {
            let word = if i % 9 == 0 { "" } else { ["red", "green", "blue"][i % 3] };
            let number = if i % 7 == 0 { String::new() } else { format!("{}.{}", i, i * i % 10) };
            let (day, truth) = (1 + i % 28, ["yes", "no"][i % 2]);
            text += &format!("{number},{word},2024-02-{day:02},{truth},{}.0,c{},{i}.5\n", i % 4, i % 2);
        }
        let open = || Rows::read(text.as_bytes(), "text", Some(true)).unwrap();
        for block in [60, 1 << 20] {
            for (target, reading, without) in [
                ("class", TargetReading::NewClasses, "value"),
                ("whole", TargetReading::NewClasses, "class"),
                ("value", TargetReading::Numbers(ColumnKind::Number), "class"),
                ("class", TargetReading::Skip, "value"),
            ] {
                let mut rows = open();
                rows.set_block(block);
                let (profiles, kept, count) = profile(&mut rows, 2).unwrap();
                let columns = rows.columns.clone();
                let features: Vec<(String, ColumnKind)> = columns
                    .iter()
                    .zip(&profiles)
                    .filter(|(name, _)| *name != target && *name != without)
                    .map(|(name, profile)| (name.clone(), profile.feature(name).unwrap()))
                    .collect();
                let built = Builder::kept(&features, target, reading.clone(), &columns, kept, b',').unwrap();
                let mut again = Builder::new(&features, target, reading, 0);
                again.read(&mut open(), None, 1).unwrap();
                assert_eq!((count, built.len()), (40, 40));
                let ((built, classes), (again, expected)) = (built.finish(), again.finish());
                assert_eq!((told(&built), classes), (told(&again), expected), "{target} in blocks of {block}");
            }
        }
    }

    #[test]
    fn what_needs_a_closer_look_is_not_kept() {
        for (values, kind) in [
            ("1,2,x,3", ColumnKind::Number),
            ("x,y,yes,no", ColumnKind::Boolean),
            ("$5,x,$7,$8", ColumnKind::Amount(super::super::AmountForm::DecimalPoint)),
        ] {
            let text = format!("a;b\n{}", values.split(',').map(|v| format!("{v};1\n")).collect::<String>());
            let mut rows = Rows::read(text.as_bytes(), "text", Some(true)).unwrap();
            let (_, kept, _) = profile(&mut rows, 1).unwrap();
            let first = kept.into_iter().next().unwrap();
            assert!(first.feature(kind, b';').is_none(), "{values}");
        }
    }
}
