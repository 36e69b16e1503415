//! How often each word stands in a text, weighted by how rare it is: TF-IDF (Spärck Jones, 1972).

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::samples::Ragged;

/// The more texts there are, the more their words tell beside what is known of them already: of so many, as much.
const MEDIUM: f32 = 1_000.0;
/// Most terms: the most frequent ones are kept.
const MOST: usize = 8_192;

/// The words of texts, by numbers.
#[derive(Debug)]
pub(crate) struct Words {
    rows: Ragged,
    known: Vec<String>,
}

impl Words {
    /// The words of texts.
    pub(crate) fn of(texts: &[&str]) -> Words {
        let (mut rows, mut numbers, mut known) = (Ragged::default(), HashMap::new(), Vec::new());
        for text in texts {
            let row: Vec<u32> = words(text)
                .map(|word| {
                    *numbers.entry(word).or_insert_with_key(|word| {
                        known.push(word.clone());
                        known.len() as u32 - 1
                    })
                })
                .collect();
            rows.push(row);
        }
        Words { rows, known }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.rows.bytes() + self.known.iter().map(|word| word.capacity() + 24).sum::<usize>()
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
}

impl Terms {
    /// The most frequent words of some rows, weighted by how many of these have them.
    pub(crate) fn fit(words: &Words, rows: &[u32]) -> Terms {
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
        Terms {
            length,
            words: chosen.iter().map(|&word| name(word).clone()).collect(),
            weights: chosen.iter().map(weight).collect(),
        }
    }

    /// Number of terms.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Of each text, its terms with their weights.
    pub(crate) fn weigh(&self, words: &Words) -> Vec<Vec<(u32, f32)>> {
        let places: HashMap<&str, u32> = self.words.iter().map(String::as_str).zip(0..).collect();
        let place_of: Vec<Option<u32>> = words.known.iter().map(|word| places.get(&word[..]).copied()).collect();
        let weigh = |row: usize| {
            let mut found: Vec<u32> = words.rows.get(row).iter().filter_map(|&word| place_of[word as usize]).collect();
            found.sort_unstable();
            let times = |same: &[u32]| (same[0], same.len() as f32 * self.weights[same[0] as usize]);
            let mut row: Vec<(u32, f32)> = found.chunk_by(|a, b| a == b).map(times).collect();
            let length = row.iter().map(|(_, weight)| weight * weight).sum::<f32>().sqrt();
            row.iter_mut().for_each(|(_, weight)| *weight *= self.length / length);
            row
        };
        (0..words.rows.len()).map(weigh).collect()
    }

    /// Whether all values are in range.
    pub(crate) fn is_sound(&self) -> bool {
        self.length.is_finite()
            && self.words.len() == self.weights.len()
            && self.weights.iter().all(|weight| weight.is_finite() && *weight > 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_words_weigh_more_and_unknown_ones_nothing() {
        let words = Words::of(&["The cat sat", "the dog, the DOG!", "a bird of 2 colours", "zebra"]);
        let terms = Terms::fit(&words, &[0, 1, 2]);
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
        assert!((Terms::fit(&words, &many).length - 1.0).abs() < 1e-6 && terms.length < 0.6);
        assert!(weighed[3].is_empty());
    }
}
