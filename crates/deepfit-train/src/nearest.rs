//! Which inputs are most alike: cosine similarity of what a network makes of them.

use serde::Serialize;

use crate::embedder::Embedding;
use crate::metrics::dot;

/// Inputs with their embeddings, among which the nearest are looked for, one by one: exact, in a time that grows with their
/// number.
#[derive(Debug, Clone, Default)]
pub struct Gallery {
    names: Vec<String>,
    /// What each is, of texts.
    texts: Vec<Option<String>>,
    /// Embeddings of length 1, one after the other.
    directions: Vec<f32>,
}

/// An input that is like another.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Neighbour {
    /// The input: its path, or the number of its row from 0.
    pub input: String,
    /// What it is, if it is a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Cosine of the angle between both embeddings, -1 to 1.
    pub similarity: f32,
}

/// An input with those that are most like it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Neighbours {
    /// The input.
    pub input: String,
    /// What it is, if it is a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The nearest others, most similar first.
    pub nearest: Vec<Neighbour>,
}

fn values(embedding: &Embedding) -> &[f32] {
    embedding.embedding.as_deref().or(embedding.logits.as_deref()).unwrap_or_default()
}

/// The same direction with length 1; nothing has no direction, and is like nothing.
fn direction(values: &[f32]) -> impl Iterator<Item = f32> + '_ {
    let length = values.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
    let scale = if length > 0.0 { 1.0 / length } else { 0.0 };
    values.iter().map(move |&x| (f64::from(x) * scale) as f32)
}

impl Gallery {
    /// Adds an input. All embeddings must be of one network.
    pub fn add(&mut self, embedding: &Embedding) {
        self.directions.extend(direction(values(embedding)));
        self.names.push(embedding.input.clone());
        self.texts.push(embedding.text.clone());
    }

    /// Number of inputs.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// For each input, the `count` others most like it.
    pub fn all_nearest(&self, count: usize) -> impl Iterator<Item = Neighbours> + '_ {
        let width = self.directions.len() / self.len().max(1);
        self.names.iter().zip(&self.texts).zip(self.directions.chunks_exact(width.max(1))).map(
            move |((input, text), query)| Neighbours {
                input: input.clone(),
                text: text.clone(),
                nearest: self.find(query, count, |name| name == input),
            },
        )
    }

    /// The `count` inputs most like another, which is none of them.
    pub fn nearest(&self, query: &Embedding, count: usize) -> Neighbours {
        let own: Vec<f32> = direction(values(query)).collect();
        let nearest = self.find(&own, count, |name| name == query.input);
        Neighbours { input: query.input.clone(), text: query.text.clone(), nearest }
    }

    fn find(&self, query: &[f32], count: usize, is_same: impl Fn(&str) -> bool) -> Vec<Neighbour> {
        let candidates = self.names.iter().zip(self.directions.chunks_exact(query.len().max(1)));
        let mut found: Vec<(f32, usize)> = candidates
            .enumerate()
            .filter(|(_, (name, _))| !is_same(name))
            .map(|(i, (_, other))| (dot(query, other).clamp(-1.0, 1.0), i))
            .collect();
        // Of equal ones, the first comes first.
        let order = |a: &(f32, usize), b: &(f32, usize)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
        if count < found.len() {
            found.select_nth_unstable_by(count, order);
            found.truncate(count);
        }
        found.sort_unstable_by(order);
        let of = |(similarity, i): (f32, usize)| Neighbour {
            input: self.names[i].clone(),
            text: self.texts[i].clone(),
            similarity,
        };
        found.into_iter().map(of).collect()
    }
}

/// Inputs whose nearest others are looked for among any number of candidates, which come one by one and are not kept: exact,
/// in memory for the nearest so far.
#[derive(Debug, Clone)]
pub struct Search {
    count: usize,
    queries: Vec<Neighbours>,
    /// Embeddings of length 1, one after the other.
    directions: Vec<f32>,
}

impl Search {
    /// Looks for so many neighbours of each.
    pub fn new(count: usize) -> Search {
        Search { count, queries: Vec::new(), directions: Vec::new() }
    }

    /// Adds an input whose neighbours are wanted. All embeddings must be of one network.
    pub fn ask(&mut self, query: &Embedding) {
        self.directions.extend(direction(values(query)));
        let (input, text) = (query.input.clone(), query.text.clone());
        self.queries.push(Neighbours { input, text, nearest: Vec::new() });
    }

    /// Looks at a candidate. One that is the query itself, the same file, is none; texts are told apart by nothing.
    pub fn add(&mut self, candidate: &Embedding) {
        let own: Vec<f32> = direction(values(candidate)).collect();
        for (query, direction) in self.queries.iter_mut().zip(self.directions.chunks_exact(own.len().max(1))) {
            if candidate.text.is_none() && query.input == candidate.input {
                continue;
            }
            let similarity = dot(direction, &own).clamp(-1.0, 1.0);
            // Of equal ones, the first comes first.
            let at = query.nearest.partition_point(|other| other.similarity >= similarity);
            if at < self.count {
                query.nearest.truncate(self.count - 1);
                let (input, text) = (candidate.input.clone(), candidate.text.clone());
                query.nearest.insert(at, Neighbour { input, text, similarity });
            }
        }
    }

    /// Whether nothing is looked for.
    pub fn is_empty(&self) -> bool {
        self.queries.is_empty()
    }

    /// The inputs with their neighbours, in the order in which they were asked for.
    pub fn found(self) -> Vec<Neighbours> {
        self.queries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn embedding(input: &str, values: &[f32]) -> Embedding {
        Embedding { embedding: Some(values.to_vec()), ..Embedding::of(input.to_string()) }
    }

    #[test]
    fn the_nearest_are_those_of_the_smallest_angle() {
        let mut gallery = Gallery::default();
        for (name, values) in [("right", [1.0, 0.0]), ("far right", [9.0, 0.0]), ("up", [0.0, 2.0]), ("none", [0.0; 2])]
        {
            gallery.add(&embedding(name, &values));
        }
        let mut search = Search::new(2);
        search.ask(&embedding("query", &[2.0, 2.0]));
        search.ask(&embedding("up", &[0.0, 1.0]));
        for (name, values) in [("right", [1.0, 0.0]), ("far right", [9.0, 0.0]), ("up", [0.0, 2.0]), ("none", [0.0; 2])]
        {
            search.add(&embedding(name, &values));
        }
        let [found, of_itself] = &search.found()[..] else { panic!("there are two queries") };
        assert_eq!(of_itself.nearest.iter().map(|n| n.input.as_str()).collect::<Vec<_>>(), ["right", "far right"]);
        let found = &found.nearest;
        assert_eq!(found.iter().map(|n| n.input.as_str()).collect::<Vec<_>>(), ["right", "far right"]);
        assert!((found[0].similarity - 0.5f32.sqrt()).abs() < 1e-6);
        let all: Vec<Neighbours> = gallery.all_nearest(9).collect();
        assert_eq!(all[0].nearest.iter().map(|n| n.input.as_str()).collect::<Vec<_>>(), ["far right", "up", "none"]);
        assert_eq!(all[0].nearest.iter().map(|n| n.similarity).collect::<Vec<_>>(), [1.0, 0.0, 0.0]);
        assert!(Gallery::default().all_nearest(1).next().is_none());
    }
}
