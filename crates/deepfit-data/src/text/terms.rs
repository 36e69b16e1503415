//! How often each word stands in a text, weighted by how rare it is: TF-IDF (Spärck Jones, 1972).

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::passage::Passage;
use super::samples::Ragged;
use crate::table::moments;

/// The more texts there are, the more their words tell beside what is known of them already: of so many, as much.
const MEDIUM: f32 = 1_000.0;
/// Most terms: the most frequent ones are kept.
const MOST: usize = 8_192;

/// Numbers that tell how much the words of two texts have in common.
const IN_COMMON: usize = 3;

/// The words of texts, by numbers.
#[derive(Debug)]
pub(crate) struct Words {
    rows: Ragged,
    /// Of two texts that are compared, how many of a row's words are those of the first.
    first: Vec<u32>,
    known: Vec<String>,
}

impl Words {
    /// The words of texts.
    pub(crate) fn of(passages: &[Passage]) -> Words {
        let (mut rows, mut first, mut numbers, mut known) = (Ragged::default(), Vec::new(), HashMap::new(), Vec::new());
        let mut number = |word: String| {
            *numbers.entry(word).or_insert_with_key(|word| {
                known.push(word.clone());
                known.len() as u32 - 1
            })
        };
        for passage in passages {
            let mut row: Vec<u32> = words(&passage.text).map(&mut number).collect();
            if let Some(second) = &passage.second {
                first.push(row.len() as u32);
                row.extend(words(second).map(&mut number));
            }
            rows.push(row);
        }
        Words { rows, first, known }
    }

    /// Whether they are the words of two texts that are compared.
    fn are_pairs(&self) -> bool {
        !self.first.is_empty()
    }

    /// The words of both texts of a row, each word once, ascending.
    fn of_both(&self, row: usize) -> [Vec<u32>; 2] {
        let (first, second) = self.rows.get(row).split_at(self.first[row] as usize);
        [first, second].map(|words| {
            let mut words = words.to_vec();
            words.sort_unstable();
            words.dedup();
            words
        })
    }

    pub(crate) fn bytes(&self) -> usize {
        self.rows.bytes()
            + 4 * self.first.capacity()
            + self.known.iter().map(|word| word.capacity() + 24).sum::<usize>()
    }
}

/// Words of two letters or digits and more, in lower case.
fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    let parts = text.split(|c: char| !c.is_alphanumeric() && c != '_');
    parts.filter(|word| word.chars().nth(1).is_some()).map(str::to_lowercase)
}

/// The words that count, and how much.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Terms {
    /// The words.
    pub words: Vec<String>,
    /// The weight of each: `ln((1 + n) / (1 + d)) + 1`, where `d` of `n` texts have it.
    pub weights: Vec<f32>,
    /// The root of the sum of the squares of a text's weights.
    pub length: f32,
    /// Whether only what two texts have in common is an input, and not the words.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
    /// Of two texts that are compared: how each number that tells what they have in common is brought to mean 0 and to a
    /// length of 1 together with the others, by what is subtracted and what it is then multiplied by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub in_common: Vec<(f32, f32)>,
}

impl Terms {
    /// The most frequent words of some rows, weighted by how many of these have them. The words are inputs unless they are
    /// `hidden`; of two texts that are compared it is one, too, what they have in common.
    pub(crate) fn fit(words: &Words, rows: &[u32], hidden: bool) -> Terms {
        let mut counts = vec![0_u32; words.known.len()];
        for &row in rows {
            let mut of_row = words.rows.get(row as usize).to_vec();
            of_row.sort_unstable();
            of_row.dedup();
            of_row.into_iter().for_each(|word| counts[word as usize] += 1);
        }
        let mut chosen: Vec<u32> = (0..counts.len() as u32).filter(|&word| counts[word as usize] > 0).collect();
        // Words of the same frequency are in the order of their letters, whatever text came first.
        let name = |word: u32| &words.known[word as usize];
        chosen.sort_by(|&a, &b| counts[b as usize].cmp(&counts[a as usize]).then_with(|| name(a).cmp(name(b))));
        chosen.truncate(MOST);
        let all = rows.len() as f64 + 1.0;
        let weight = |word: &u32| ((all / (f64::from(counts[*word as usize]) + 1.0)).ln() + 1.0) as f32;
        let length = (rows.len() as f32 / MEDIUM).powf(0.25).clamp(0.5, 2.0);
        let mut terms = Terms {
            length,
            words: chosen.iter().map(|&word| name(word).clone()).collect(),
            weights: chosen.iter().map(weight).collect(),
            hidden,
            in_common: Vec::new(),
        };
        if words.are_pairs() {
            let places = terms.places(words);
            let seen: Vec<[f32; IN_COMMON]> =
                rows.iter().map(|&row| terms.common(words, &places, row as usize)).collect();
            let scale = |number: usize| {
                let values: Vec<f64> = seen.iter().map(|all| f64::from(all[number])).collect();
                let (mean, deviation) = moments(&values);
                (mean as f32, (1.0 / (deviation * (IN_COMMON as f64).sqrt())) as f32)
            };
            terms.in_common = (0..IN_COMMON).map(scale).collect();
        }
        terms
    }

    /// The words of a text that may be terms: of two letters or digits and more, in lower case.
    pub fn words_of(text: &str) -> impl Iterator<Item = String> + '_ {
        words(text)
    }

    /// Number of inputs: a weight for each word, and what two texts have in common.
    pub fn len(&self) -> usize {
        if self.hidden { self.in_common.len() } else { self.words.len() + self.in_common.len() }
    }

    /// Where each of the words of texts is among the terms.
    fn places(&self, words: &Words) -> Vec<Option<u32>> {
        let places: HashMap<&str, u32> = self.words.iter().map(String::as_str).zip(0..).collect();
        words.known.iter().map(|word| places.get(&word[..]).copied()).collect()
    }

    /// What two texts have in common: the cosine of the angle between their weighted words, and the weight of the words in
    /// both beside that of all words of the first and of the second. A word that is no term is a rare one.
    fn common(&self, words: &Words, places: &[Option<u32>], row: usize) -> [f32; IN_COMMON] {
        let rarest = self.weights.iter().copied().fold(1.0, f32::max);
        let weight = |word: &u32| places[*word as usize].map_or(rarest, |term| self.weights[term as usize]);
        let [first, second] = words.of_both(row);
        let squares = |words: &[u32]| words.iter().map(|word| weight(word).powi(2)).sum::<f32>();
        let both: Vec<u32> = first.iter().copied().filter(|word| second.binary_search(word).is_ok()).collect();
        let (both, first, second) = (squares(&both), squares(&first), squares(&second));
        let share = |all: f32| if all > 0.0 { both / all } else { 0.0 };
        [share((first * second).sqrt()), share(first), share(second)]
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Of each text, its terms with their weights.
    pub(crate) fn weigh(&self, words: &Words) -> Vec<Vec<(u32, f32)>> {
        let place_of = self.places(words);
        let in_common = |row: usize, terms: &mut Vec<(u32, f32)>| {
            if !self.in_common.is_empty() && words.are_pairs() {
                let begin = if self.hidden { 0 } else { self.words.len() as u32 };
                let numbers = self.common(words, &place_of, row).into_iter().zip(&self.in_common);
                terms.extend((begin..).zip(numbers.map(|(x, (mean, factor))| (x - mean) * factor)));
            }
        };
        let weigh = |row: usize| {
            if self.hidden {
                let mut terms = Vec::new();
                in_common(row, &mut terms);
                return terms;
            }
            let mut found: Vec<u32> = words.rows.get(row).iter().filter_map(|&word| place_of[word as usize]).collect();
            found.sort_unstable();
            let times = |same: &[u32]| (same[0], same.len() as f32 * self.weights[same[0] as usize]);
            let mut terms: Vec<(u32, f32)> = found.chunk_by(|a, b| a == b).map(times).collect();
            let length = terms.iter().map(|(_, weight)| weight * weight).sum::<f32>().sqrt();
            terms.iter_mut().for_each(|(_, weight)| *weight *= self.length / length);
            in_common(row, &mut terms);
            terms
        };
        (0..words.rows.len()).map(weigh).collect()
    }

    /// Whether all values are in range.
    pub(crate) fn is_sound(&self) -> bool {
        self.length.is_finite()
            && self.words.len() == self.weights.len()
            && self.weights.iter().all(|weight| weight.is_finite() && *weight > 0.0)
            && [0, IN_COMMON].contains(&self.in_common.len())
            && self.in_common.iter().all(|(mean, factor)| mean.is_finite() && factor.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_words_weigh_more_and_unknown_ones_nothing() {
        let texts = ["The cat sat", "the dog, the DOG!", "a bird of 2 colours", "zebra"];
        let words = Words::of(&texts.map(|text| Passage::from(text.to_string())));
        let terms = Terms::fit(&words, &[0, 1, 2], false);
        assert_eq!(terms.words[0], "the");
        assert!(!terms.words.contains(&"a".to_string()) && !terms.words.contains(&"zebra".to_string()));
        // As scikit-learn has it: idf = ln((1 + 3) / (1 + d)) + 1.
        assert!((terms.weights[0] - ((4.0_f32 / 3.0).ln() + 1.0)).abs() < 1e-6);
        let weighed = terms.weigh(&words);
        let of = |row: usize, word: &str| {
            let place = terms.words.iter().position(|known| known == word).unwrap() as u32;
            weighed[row].iter().find(|(term, _)| *term == place).map_or(0.0, |(_, weight)| *weight)
        };
        // Twice each, so that only the rarity differs.
        assert!((of(1, "dog") / of(1, "the") - terms.weights[1..][0] / terms.weights[0]).abs() < 1e-6);
        assert!((weighed[0].iter().map(|(_, w)| w * w).sum::<f32>().sqrt() - terms.length).abs() < 1e-6);
        let many: Vec<u32> = (0..1000).map(|i| i % 3).collect();
        assert!((Terms::fit(&words, &many, false).length - 1.0).abs() < 1e-6 && terms.length < 0.6);
        assert!(weighed[3].is_empty());
    }

    #[test]
    fn of_two_texts_it_is_told_what_they_have_in_common() {
        let pair = |first: &str, second: &str| Passage { text: first.to_string(), second: Some(second.to_string()) };
        let passages = [
            pair("the black cat", "a cat of black"),
            pair("the dog", "the red sea"),
            pair("the end", ""),
            pair("", ""),
        ];
        let words = Words::of(&passages);
        let terms = Terms::fit(&words, &[0, 1], false);
        assert_eq!(terms.len(), terms.words.len() + IN_COMMON);
        let places = terms.places(&words);
        let idf = |word: &str| terms.weights[terms.words.iter().position(|known| known == word).unwrap()].powi(2);
        let both = idf("black") + idf("cat");
        let [cosine, of_first, of_second] = terms.common(&words, &places, 0);
        assert!((of_first - both / (both + idf("the"))).abs() < 1e-6);
        assert!((of_second - both / (both + idf("of"))).abs() < 1e-6);
        assert!((cosine - (of_first * of_second).sqrt()).abs() < 1e-6);
        assert_eq!(terms.common(&words, &places, 2), [0.0; IN_COMMON]);
        // Of the two rows, the numbers have mean 0 and together the length 1.
        let hidden = Terms::fit(&words, &[0, 1], true);
        assert_eq!(hidden.len(), IN_COMMON);
        let weighed = hidden.weigh(&words);
        let of = |row: usize| weighed[row].iter().map(|(_, x)| x * x).sum::<f32>();
        assert!((of(0) + of(1) - 2.0).abs() < 1e-4 && (weighed[0][0].1 + weighed[1][0].1).abs() < 1e-5);
        assert_eq!(weighed[3].len(), IN_COMMON);
    }
}
