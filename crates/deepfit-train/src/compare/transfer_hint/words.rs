//! How well the tokens of a published network suit the texts, and which years these tell of.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use deepfit_data::{Loader, LoaderOptions, Source, Tokenizer};

use crate::error::Result;

/// Texts at a time.
const BATCH: usize = 64;
/// Words of so many pieces are broken ones: what is common in the tokenizer's language is a word or two.
const BROKEN: usize = 3;
/// Years that texts are taken to tell of.
const YEARS: std::ops::RangeInclusive<u32> = 1900..=2100;
const SECONDS_OF_A_YEAR: f64 = 365.2425 * 86_400.0;

/// What was found in texts.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Texts that were looked at.
    pub(super) texts: usize,
    pub(super) tokens: usize,
    /// Tokens that stand for what the tokenizer does not know.
    pub(super) unknown: usize,
    /// Words, as far as tokens tell where words begin.
    pub(super) words: usize,
    /// Those of three pieces or more.
    pub(super) broken: usize,
    /// The latest year that each text or a date beside it tells of, where one does.
    pub(super) years: Vec<u32>,
}

/// How a tokenizer marks where words begin.
#[derive(Clone, Copy)]
enum Mark {
    /// `##` goes on.
    GoesOn,
    /// `Ġ` or `▁` begins.
    Begins,
}

/// Looks at the tokens of rows, of which some are of a year by what stands beside them.
///
/// # Errors
/// If too many rows cannot be read.
pub(super) fn look(
    tokenizer: &Tokenizer,
    source: &Arc<dyn Source>,
    rows: &[u32],
    beside: &HashMap<u32, u32>,
) -> Result<Found> {
    let mut found = Found::default();
    let unknown = tokenizer.unknown();
    let of_vocabulary = tokenizer.tokens();
    let mark = mark_of(of_vocabulary.iter().map(|(_, token)| &token[..]));
    let begins = |id: u32| {
        let place = of_vocabulary.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        let token = &of_vocabulary[place].1;
        Some(match mark? {
            Mark::GoesOn => !token.starts_with("##"),
            Mark::Begins => token.starts_with(['Ġ', '▁']),
        })
    };
    let mut loader = Loader::new(source.clone(), rows.to_vec(), LoaderOptions::evaluate(BATCH, 0))?;
    while let Some(batch) = loader.next()? {
        let Some(texts) = batch.texts(source.slots()) else { break };
        for (text, row) in texts.zip(&batch.rows) {
            let own: Vec<u32> = text.iter().map(|id| id.unsigned_abs()).collect();
            found.texts += 1;
            found.tokens += own.len();
            found.unknown += own.iter().filter(|id| Some(**id) == unknown).count();
            let mut pieces = 0;
            for &id in &own {
                match begins(id) {
                    Some(true) => {
                        found.broken += usize::from(pieces >= BROKEN);
                        (found.words, pieces) = (found.words + 1, 1);
                    }
                    Some(false) => pieces += 1,
                    None => {}
                }
            }
            found.broken += usize::from(pieces >= BROKEN);
            found.years.extend(latest_year(&tokenizer.decode(&own)?).max(beside.get(row).copied()));
        }
    }
    Ok(found)
}

fn mark_of<'a>(mut tokens: impl Iterator<Item = &'a str>) -> Option<Mark> {
    tokens.find_map(|token| match token {
        _ if token.starts_with("##") && token.len() > 2 => Some(Mark::GoesOn),
        _ if token.starts_with(['Ġ', '▁']) => Some(Mark::Begins),
        _ => None,
    })
}

/// The latest year in a text: four digits with no other digit, and no mark of a larger number, at their side.
pub(super) fn latest_year(text: &str) -> Option<u32> {
    let letters: Vec<char> = text.chars().collect();
    let is_digit = |at: usize| letters.get(at).is_some_and(char::is_ascii_digit);
    // What claims to be of a year to come is a number of something else.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |passed| passed.as_secs());
    let now = 1970 + (since as f64 / SECONDS_OF_A_YEAR) as u32;
    let mut latest = None;
    for at in 0..letters.len() {
        let four = (at..at + 4).all(is_digit);
        // `12,2024` and `2024.5` are other numbers.
        let before = at == 0
            || !(letters[at - 1].is_alphanumeric() || (at > 1 && is_joint(letters[at - 1]) && is_digit(at - 2)));
        let after =
            !letters.get(at + 4).is_some_and(|next| next.is_alphanumeric() || (is_joint(*next) && is_digit(at + 5)));
        if four && before && after {
            let year: u32 =
                letters[at..at + 4].iter().filter_map(|digit| digit.to_digit(10)).fold(0, |n, d| 10 * n + d);
            if YEARS.contains(&year) && year <= now {
                latest = latest.max(Some(year));
            }
        }
    }
    latest
}

fn is_joint(letter: char) -> bool {
    matches!(letter, '.' | ',')
}

#[cfg(test)]
mod tests {
    use super::latest_year;

    #[test]
    fn years_are_told_from_other_numbers() {
        for (text, year) in [
            ("in 2024, and again in 2019.", Some(2024)),
            ("2024-05-01 and 01/02/2023", Some(2024)),
            ("12024 or 20245, 1,2024 and 2024.5, a2024b", None),
            ("the year 1492, or 3000", None),
            ("for 2096 dollars", None),
            ("(1999)", Some(1999)),
            ("", None),
            ("été 2022", Some(2022)),
        ] {
            assert_eq!(latest_year(text), year, "{text}");
        }
    }
}
