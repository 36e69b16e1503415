//! One tree.

use super::bins::{Binned, Bins};
use crate::bytes::{Reader, Writer};
use crate::error::Result;

/// Categories' bins, as bits.
pub(super) type Set = [u64; 4];

pub(super) fn contains(set: &Set, bin: u8) -> bool {
    set[usize::from(bin) / 64] >> (bin % 64) & 1 == 1
}

/// What decides between two sides.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Rule {
    /// Numbers up to a cut go left, missing ones too or not.
    Number {
        /// Number of the cut, while a tree is grown.
        bin: u8,
        /// The cut; the largest number where only missing values go right.
        cut: f32,
        /// Whether missing numbers go left.
        missing_left: bool,
    },
    /// Categories of these bins go left.
    Category(Set),
}

/// A place where rows part, or end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Node {
    /// Rows go to one of two later nodes.
    Split {
        column: u32,
        rule: Rule,
        left: u32,
        right: u32,
        /// How much it lowered the loss.
        gain: f32,
    },
    /// Rows end here.
    Leaf {
        /// What is added to their predictions.
        value: f32,
    },
}

/// Nodes, the root first, each before those below it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Tree {
    pub(super) nodes: Vec<Node>,
}

impl Tree {
    /// The value for a row.
    pub(super) fn value(&self, row: &[f32], maps: &[Vec<u8>]) -> f32 {
        let mut at = 0;
        loop {
            match &self.nodes[at] {
                Node::Leaf { value } => return *value,
                Node::Split { column, rule, left, right, .. } => {
                    let x = row[*column as usize];
                    let goes_left = match rule {
                        Rule::Number { missing_left, .. } if x.is_nan() => *missing_left,
                        Rule::Number { cut, .. } => x <= *cut,
                        Rule::Category(set) => {
                            maps[*column as usize].get(x as usize).is_some_and(|&bin| contains(set, bin))
                        }
                    };
                    at = if goes_left { *left } else { *right } as usize;
                }
            }
        }
    }

    pub(super) fn add_gains(&self, sums: &mut [f64]) {
        for node in &self.nodes {
            if let Node::Split { column, gain, .. } = node {
                sums[*column as usize] += f64::from(*gain);
            }
        }
    }

    pub(super) fn write(&self, to: &mut Writer) {
        to.int(self.nodes.len());
        for node in &self.nodes {
            match node {
                Node::Leaf { value } => {
                    to.byte(0);
                    to.float(*value);
                }
                Node::Split { column, rule, left, right, gain } => {
                    match rule {
                        Rule::Number { cut, missing_left, .. } => {
                            to.byte(1 + u8::from(*missing_left));
                            to.float(*cut);
                        }
                        Rule::Category(set) => {
                            to.byte(3);
                            set.iter().for_each(|&bits| to.int(bits as usize));
                        }
                    }
                    to.ints(&[*column, *left, *right]);
                    to.float(*gain);
                }
            }
        }
    }

    pub(super) fn read(from: &mut Reader<'_>, width: usize) -> Result<Tree> {
        let count = from.count(5)?;
        from.require(count > 0, "a tree has no nodes")?;
        let mut nodes = Vec::with_capacity(count);
        for at in 0..count {
            let kind = from.byte()?;
            from.require(kind < 4, "a node is of an unknown kind")?;
            if kind == 0 {
                nodes.push(Node::Leaf { value: from.float()? });
                continue;
            }
            let rule = if kind == 3 {
                let mut set = [0; 4];
                for bits in &mut set {
                    *bits = from.int()? as u64;
                }
                Rule::Category(set)
            } else {
                Rule::Number { bin: 0, cut: from.float()?, missing_left: kind == 2 }
            };
            let [column, left, right] = from.ints()?[..] else {
                from.require(false, "a node has no two sides")?;
                continue;
            };
            // Later nodes alone: nobody walks in circles.
            let later = |node: u32| (node as usize) > at && (node as usize) < count;
            from.require((column as usize) < width && later(left) && later(right), "a node leads nowhere")?;
            nodes.push(Node::Split { column, rule, left, right, gain: from.float()? });
        }
        Ok(Tree { nodes })
    }
}

/// The cut of a number's bin, as whoever has no bins needs it.
pub(super) fn cut(binned: &Binned, column: usize, bin: u8) -> f32 {
    match &binned.bins[column] {
        Bins::Number { cuts } => cuts.get(usize::from(bin)).copied().unwrap_or(f32::MAX),
        Bins::Category { .. } => 0.0,
    }
}
