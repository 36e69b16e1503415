//! Labels of words from probabilities of tokens: windows are put together to sentences, and these are decoded as wholes.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use deepfit_data::{IGNORED, Source};
use serde::Serialize;

/// A sentence with the probabilities of each of its words.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    /// `[words, labels]`
    pub(crate) probabilities: Vec<f32>,
    /// The label of each word.
    pub(crate) targets: Vec<usize>,
    missing: usize,
}

impl Gathered {
    /// Mean over its words of the negative natural logarithm of what the right label was given, among so many.
    pub(crate) fn loss(&self, outputs: usize) -> f32 {
        let rows = self.probabilities.chunks_exact(outputs.max(1)).zip(&self.targets);
        let sum: f64 = rows.map(|(row, &target)| -f64::from(row[target]).max(1e-7).ln()).sum();
        (sum / self.targets.len().max(1) as f64) as f32
    }
}

/// Sentences that are put together from their windows, in whatever order these come.
pub(crate) struct Sentences {
    source: Arc<dyn Source>,
    outputs: usize,
    open: BTreeMap<u32, Gathered>,
}

impl Sentences {
    pub(crate) fn new(source: Arc<dyn Source>, outputs: usize) -> Self {
        Sentences { source, outputs, open: BTreeMap::new() }
    }

    /// Adds probabilities `[rows, sequence, labels]` of windows, whose targets `[rows, sequence]` say where words begin.
    pub(crate) fn add(&mut self, rows: &[u32], probabilities: &[f32], targets: &[i32], sequence: usize) {
        let each = probabilities.chunks_exact(sequence * self.outputs).zip(targets.chunks_exact(sequence));
        for (&row, (probabilities, targets)) in rows.iter().zip(each) {
            let piece = self.source.piece_of(row);
            let sentence = self.open.entry(piece.sample).or_insert_with(|| Gathered {
                probabilities: vec![0.0; piece.all * self.outputs],
                targets: vec![0; piece.all],
                missing: piece.all,
            });
            let of_words =
                probabilities.chunks_exact(self.outputs).zip(targets).filter(|(_, target)| **target != IGNORED);
            for (word, (values, &target)) in (piece.first..).zip(of_words) {
                sentence.probabilities[word * self.outputs..][..self.outputs].copy_from_slice(values);
                sentence.targets[word] = target as usize;
                sentence.missing -= 1;
            }
        }
    }

    /// The sentences whose windows have all been added, with their numbers.
    pub(crate) fn take_whole(&mut self) -> Vec<(u32, Gathered)> {
        let whole: Vec<u32> = self.open.iter().filter(|(_, one)| one.missing == 0).map(|(number, _)| *number).collect();
        whole.into_iter().filter_map(|number| Some((number, self.open.remove(&number)?))).collect()
    }
}

/// Words of a text with a label.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entity {
    /// The label.
    pub label: String,
    /// What stands in the text; between words that were given one by one, a space.
    pub text: String,
    /// Its first character, counted from 0 in Unicode characters.
    pub start: usize,
    /// The character after its last.
    pub end: usize,
    /// That these words and no more are a span of this label, if what each word is does not depend on the others.
    pub probability: f64,
}

/// Labels as tags of IOB2: what each means.
#[derive(Debug, Clone)]
pub struct Tags {
    /// For each tag whether it begins a span, and the number of its label; nothing for words outside.
    meaning: Vec<Option<(bool, usize)>>,
    /// Names of the labels.
    pub(crate) labels: Vec<String>,
}

impl Tags {
    /// Of the names of a task's outputs; without spans every word is one of its own.
    pub fn new(names: &[String], spans: bool) -> Tags {
        if !spans {
            return Tags { meaning: (0..names.len()).map(|n| Some((true, n))).collect(), labels: names.to_vec() };
        }
        let (mut meaning, mut labels) = (Vec::new(), Vec::<String>::new());
        for name in names {
            let begins = name.starts_with("B-");
            let label = name.strip_prefix("B-").or_else(|| name.strip_prefix("I-"));
            meaning.push(label.map(|label| {
                let place = labels.iter().position(|known| known == label).unwrap_or_else(|| {
                    labels.push(label.to_string());
                    labels.len() - 1
                });
                (begins, place)
            }));
        }
        Tags { meaning, labels }
    }

    /// The spans of words: their words, and the number of their label.
    pub fn spans(&self, tags: &[usize]) -> Vec<(Range<usize>, usize)> {
        let mut spans: Vec<(Range<usize>, usize)> = Vec::new();
        for (word, &tag) in tags.iter().enumerate() {
            let Some((begins, label)) = self.meaning[tag] else { continue };
            match spans.last_mut() {
                Some((words, last)) if !begins && words.end == word && *last == label => words.end = word + 1,
                _ => spans.push((word..word + 1, label)),
            }
        }
        spans
    }

    /// The spans of a text whose words are at these bytes, from the probabilities of their tags `[words, tags]`.
    pub(crate) fn entities(&self, text: &str, words: &[Range<usize>], probabilities: &[f32]) -> Vec<Entity> {
        let count = self.meaning.len();
        let predicted = self.decode(probabilities);
        let probability = |word: usize, tag: usize| f64::from(probabilities[word * count + tag]);
        // Characters before a byte, counted on from the last one that was asked for.
        let (mut byte, mut characters) = (0, 0);
        let mut place = |at: usize| {
            characters += text[byte..at].chars().count();
            byte = at;
            characters
        };
        let entity = |(of, label): (Range<usize>, usize)| {
            let (begin, end) = (words[of.start].start, words[of.end - 1].end);
            let own: f64 = of.clone().map(|word| probability(word, predicted[word])).product();
            let goes_on = self.meaning.iter().position(|meaning| *meaning == Some((false, label)));
            let ends = match goes_on {
                Some(inside) if of.end < words.len() => 1.0 - probability(of.end, inside),
                _ => 1.0,
            };
            Entity {
                label: self.labels[label].clone(),
                text: text[begin..end].to_string(),
                start: place(begin),
                end: place(end),
                probability: own * ends,
            }
        };
        self.spans(&predicted).into_iter().map(entity).collect()
    }

    /// The most probable tags of a sentence's words `[words, tags]` among those in which an inside follows a beginning or
    /// an inside of its label (Viterbi, 1967).
    pub fn decode(&self, probabilities: &[f32]) -> Vec<usize> {
        let count = self.meaning.len();
        let allowed = |before: Option<usize>, tag: usize| match self.meaning[tag] {
            Some((false, label)) => {
                before.and_then(|before| self.meaning[before]).is_some_and(|(_, known)| known == label)
            }
            _ => true,
        };
        let mut back: Vec<Vec<usize>> = Vec::new();
        let mut scores = vec![0.0_f64; count];
        for (word, values) in probabilities.chunks_exact(count).enumerate() {
            let (mut next, mut from) = (vec![f64::NEG_INFINITY; count], vec![0; count]);
            for tag in 0..count {
                let own = f64::from(values[tag]).max(1e-30).ln();
                if word == 0 {
                    next[tag] = if allowed(None, tag) { own } else { f64::NEG_INFINITY };
                    continue;
                }
                let of = |&before: &usize| allowed(Some(before), tag);
                if let Some(best) =
                    (0..count).filter(of).max_by(|&a, &b| scores[a].total_cmp(&scores[b]).then(b.cmp(&a)))
                {
                    (next[tag], from[tag]) = (scores[best] + own, best);
                }
            }
            scores = next;
            back.push(from);
        }
        let mut tags = Vec::with_capacity(back.len());
        let mut tag = (0..count).max_by(|&a, &b| scores[a].total_cmp(&scores[b]).then(b.cmp(&a))).unwrap_or(0);
        for from in back.iter().rev() {
            tags.push(tag);
            tag = from[tag];
        }
        tags.reverse();
        tags
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inside_follows_its_beginning_even_if_another_tag_is_likelier() {
        let names: Vec<String> = ["O", "B-A", "I-A", "B-B", "I-B"].map(str::to_string).to_vec();
        let tags = Tags::new(&names, true);
        let values = [0.05, 0.3, 0.6, 0.03, 0.02, 0.1, 0.05, 0.4, 0.0, 0.45];
        let decoded = tags.decode(&values);
        assert_eq!(decoded, [1, 2]);
        assert_eq!(tags.spans(&decoded), [(0..2, 0)]);
        assert_eq!(tags.spans(&[1, 1, 0, 3, 4]), [(0..1, 0), (1..2, 0), (3..5, 1)]);
        assert!(tags.decode(&[]).is_empty());
        let [only] = &tags.entities("ÄÖ x", &[0..4, 5..6], &values)[..] else { panic!("one span") };
        assert_eq!((&only.label[..], &only.text[..], only.start, only.end), ("A", "ÄÖ x", 0, 4));
        assert!((only.probability - 0.3 * 0.4).abs() < 1e-6);
        let [first] = &tags.entities("a b", &[0..1, 2..3], &[0.1, 0.8, 0.1, 0.0, 0.0, 0.7, 0.0, 0.25, 0.05, 0.0])[..]
        else {
            panic!("one span")
        };
        assert!((first.probability - 0.8 * 0.75).abs() < 1e-6);
    }
}
