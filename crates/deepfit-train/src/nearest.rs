//! Which inputs are most alike: cosine similarity of what a network makes of them.

use serde::Serialize;

use crate::embedder::Embedding;

/// Inputs with their embeddings, among which the nearest are looked for, one by one: exact, in a time that grows with their
/// number.
#[derive(Debug, Clone, Default)]
pub struct Gallery {
    names: Vec<String>,
    /// Embeddings of length 1, one after the other.
    directions: Vec<f32>,
}

/// An input that is like another.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Neighbour {
    /// The input: its path, or the number of its row from 0.
    pub input: String,
    /// Cosine of the angle between both embeddings, -1 to 1.
    pub similarity: f32,
}

/// An input with those that are most like it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Neighbours {
    /// The input.
    pub input: String,
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

/// The sum of products in eight partial sums, which the compiler makes one vector.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 8];
    let (blocks_a, blocks_b) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = blocks_a.remainder().iter().zip(blocks_b.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in blocks_a.zip(blocks_b) {
        for lane in 0..8 {
            sums[lane] += x[lane] * y[lane];
        }
    }
    sums.iter().sum::<f32>() + rest
}

impl Gallery {
    /// Adds an input. All embeddings must be of one network.
    pub fn add(&mut self, embedding: &Embedding) {
        self.directions.extend(direction(values(embedding)));
        self.names.push(embedding.input.clone());
    }

    /// Number of inputs.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The `count` inputs most like another one, which is not among its own neighbours.
    pub fn nearest(&self, of: &Embedding, count: usize) -> Neighbours {
        let query: Vec<f32> = direction(values(of)).collect();
        Neighbours { input: of.input.clone(), nearest: self.find(&query, count, |name| name == of.input) }
    }

    /// For each input, the `count` others most like it.
    pub fn all_nearest(&self, count: usize) -> impl Iterator<Item = Neighbours> + '_ {
        let width = self.directions.len() / self.len().max(1);
        self.names.iter().zip(self.directions.chunks_exact(width.max(1))).map(move |(input, query)| Neighbours {
            input: input.clone(),
            nearest: self.find(query, count, |name| name == input),
        })
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
        found.into_iter().map(|(similarity, i)| Neighbour { input: self.names[i].clone(), similarity }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn embedding(input: &str, values: &[f32]) -> Embedding {
        Embedding { input: input.to_string(), embedding: Some(values.to_vec()), logits: None, hidden: None }
    }

    #[test]
    fn the_nearest_are_those_of_the_smallest_angle() {
        let mut gallery = Gallery::default();
        for (name, values) in [("right", [1.0, 0.0]), ("far right", [9.0, 0.0]), ("up", [0.0, 2.0]), ("none", [0.0; 2])]
        {
            gallery.add(&embedding(name, &values));
        }
        let found = gallery.nearest(&embedding("query", &[2.0, 2.0]), 2).nearest;
        assert_eq!(found.iter().map(|n| n.input.as_str()).collect::<Vec<_>>(), ["right", "far right"]);
        assert!((found[0].similarity - 0.5f32.sqrt()).abs() < 1e-6);
        let all: Vec<Neighbours> = gallery.all_nearest(9).collect();
        assert_eq!(all[0].nearest.iter().map(|n| n.input.as_str()).collect::<Vec<_>>(), ["far right", "up", "none"]);
        assert_eq!(all[0].nearest.iter().map(|n| n.similarity).collect::<Vec<_>>(), [1.0, 0.0, 0.0]);
        assert!(Gallery::default().all_nearest(1).next().is_none());
    }

    #[test]
    fn sums_of_products_take_every_element() {
        let a: Vec<f32> = (0..19).map(|i| i as f32).collect();
        assert_eq!(dot(&a, &a), (0..19).map(|i| (i * i) as f32).sum::<f32>());
    }
}
