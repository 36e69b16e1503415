//! A tree grown leaf by leaf: the split that lowers the loss most comes first.

use super::Growth;
use super::bins::{Binned, Bins};
use super::tree::{Node, Rule, Set, Tree, contains, cut};
use crate::error::Result;
use crate::parallel;
use crate::work::Work;

/// A leaf's second derivatives add up to this at least.
const LEAST_CURVATURE: f64 = 1e-3;
/// Splits of categories, which fit whatever is there, have so much more penalty, and are ordered by means that are drawn to 0
/// by as many rows (Ke et al., 2017).
const CATEGORY_PENALTY: f64 = 10.0;
/// Most categories on the side that is listed.
const MOST_LISTED: usize = 32;
/// Rows times columns from which histograms are worth several threads.
const MANY: usize = 1 << 18;

/// Sums of a bin's rows.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    slope: f64,
    curvature: f64,
    rows: u32,
}

impl Sums {
    fn add(&mut self, other: Sums) {
        self.slope += other.slope;
        self.curvature += other.curvature;
        self.rows += other.rows;
    }
    fn less(self, other: Sums) -> Sums {
        Sums {
            slope: self.slope - other.slope,
            curvature: self.curvature - other.curvature,
            rows: self.rows - other.rows,
        }
    }
    /// Twice what the best value for these rows lowers the loss by.
    fn gain(self, penalty: f64) -> f64 {
        self.slope * self.slope / (self.curvature + penalty).max(1e-12)
    }
}

#[derive(Debug, Clone, Copy)]
struct Split {
    column: usize,
    rule: Rule,
    gain: f64,
    left: Sums,
}

struct Leaf {
    node: usize,
    /// Where its rows are in the order.
    start: usize,
    end: usize,
    sums: Sums,
    histograms: Vec<Sums>,
    best: Option<Split>,
}

/// A tree that is grown on derivatives of the loss by the prediction of each row.
pub(super) struct Grower<'a> {
    pub(super) binned: &'a Binned,
    /// The columns that it sees.
    pub(super) columns: &'a [usize],
    pub(super) growth: Growth,
    pub(super) slopes: &'a [f32],
    pub(super) curvatures: &'a [f32],
}

/// A tree, and the value that it gives to each of the rows that it was grown on.
pub(super) struct Grown {
    pub(super) tree: Tree,
    pub(super) values: Vec<f32>,
}

impl Grower<'_> {
    pub(super) fn grow(&self, work: Work<'_>) -> Result<Grown> {
        let rows = self.binned.rows;
        let mut order: Vec<u32> = (0..rows as u32).collect();
        let histograms = self.histograms(&order, work);
        let mut sums = Sums::default();
        (0..rows).for_each(|row| {
            sums.add(Sums { slope: f64::from(self.slopes[row]), curvature: f64::from(self.curvatures[row]), rows: 1 });
        });
        let mut nodes = vec![Node::Leaf { value: 0.0 }];
        let mut root = Leaf { node: 0, start: 0, end: rows, sums, histograms, best: None };
        root.best = self.best(&root);
        let mut leaves = vec![root];
        let mut aside = Vec::new();
        while leaves.len() < self.growth.leaves {
            work.go_on()?;
            // Of equal gains the earliest leaf.
            let gain = |leaf: &Leaf| leaf.best.map_or(f64::NEG_INFINITY, |best| best.gain);
            let Some(at) = (0..leaves.len()).rev().max_by(|&a, &b| gain(&leaves[a]).total_cmp(&gain(&leaves[b])))
            else {
                break;
            };
            let Some(split) = leaves[at].best else { break };
            let parent = leaves.swap_remove(at);
            let middle = self.part(&mut order[parent.start..parent.end], &mut aside, &split) + parent.start;
            let (left, right) = (nodes.len(), nodes.len() + 1);
            nodes.extend([Node::Leaf { value: 0.0 }; 2]);
            nodes[parent.node] = Node::Split {
                column: split.column as u32,
                rule: split.rule,
                left: left as u32,
                right: right as u32,
                gain: split.gain as f32,
            };
            let rest = parent.sums.less(split.left);
            // The larger side has what the smaller one leaves of the parent's histograms.
            let left_is_smaller = middle - parent.start <= parent.end - middle;
            let smaller = if left_is_smaller { parent.start..middle } else { middle..parent.end };
            let of_smaller = self.histograms(&order[smaller], work);
            let mut of_larger = parent.histograms;
            of_larger.iter_mut().zip(&of_smaller).for_each(|(of, other)| *of = of.less(*other));
            let (of_left, of_right) = if left_is_smaller { (of_smaller, of_larger) } else { (of_larger, of_smaller) };
            for (node, start, end, sums, histograms) in
                [(left, parent.start, middle, split.left, of_left), (right, middle, parent.end, rest, of_right)]
            {
                let mut leaf = Leaf { node, start, end, sums, histograms, best: None };
                leaf.best = self.best(&leaf);
                leaves.push(leaf);
            }
        }
        let mut values = vec![0.0; rows];
        for leaf in &leaves {
            let Sums { slope, curvature, .. } = leaf.sums;
            let value = -slope / (curvature + self.growth.penalty).max(1e-12) * self.growth.rate;
            let value = if value.is_finite() { value as f32 } else { 0.0 };
            nodes[leaf.node] = Node::Leaf { value };
            order[leaf.start..leaf.end].iter().for_each(|&row| values[row as usize] = value);
        }
        Ok(Grown { tree: Tree { nodes }, values })
    }

    /// Brings the rows that go left to the front, keeping the order on both sides, and tells how many they are.
    fn part(&self, rows: &mut [u32], aside: &mut Vec<u32>, split: &Split) -> usize {
        let of = &self.binned.columns[split.column];
        let missing = (self.binned.bins[split.column].count() - 1) as u8;
        aside.clear();
        let mut left = 0;
        for i in 0..rows.len() {
            let row = rows[i];
            let own = of[row as usize];
            let goes_left = match &split.rule {
                Rule::Number { missing_left, .. } if own == missing => *missing_left,
                Rule::Number { bin, .. } => own <= *bin,
                Rule::Category(set) => contains(set, own),
            };
            if goes_left {
                rows[left] = row;
                left += 1;
            } else {
                aside.push(row);
            }
        }
        rows[left..].copy_from_slice(aside);
        left
    }

    /// Sums of each bin of each column, one column after the other.
    fn histograms(&self, rows: &[u32], work: Work<'_>) -> Vec<Sums> {
        let slopes: Vec<f32> = rows.iter().map(|&row| self.slopes[row as usize]).collect();
        let curvatures: Vec<f32> = rows.iter().map(|&row| self.curvatures[row as usize]).collect();
        let threads = if rows.len() * self.columns.len() >= MANY { work.threads } else { 1 };
        let made = parallel::map(threads, self.columns.len(), |i| {
            let of = &self.binned.columns[self.columns[i]];
            let mut sums = vec![Sums::default(); self.binned.bins[self.columns[i]].count()];
            for ((&row, &slope), &curvature) in rows.iter().zip(&slopes).zip(&curvatures) {
                let bin = &mut sums[usize::from(of[row as usize])];
                bin.slope += f64::from(slope);
                bin.curvature += f64::from(curvature);
                bin.rows += 1;
            }
            sums
        });
        made.concat()
    }

    fn best(&self, leaf: &Leaf) -> Option<Split> {
        if leaf.end - leaf.start < 2 * self.growth.least_rows {
            return None;
        }
        let mut best: Option<Split> = None;
        let mut rest = &leaf.histograms[..];
        for &column in self.columns {
            let (own, after) = rest.split_at(self.binned.bins[column].count());
            rest = after;
            let found = match &self.binned.bins[column] {
                Bins::Number { .. } => self.best_of_numbers(column, own, leaf.sums),
                Bins::Category { .. } => self.best_of_categories(column, own, leaf.sums),
            };
            if let Some(found) = found
                && best.is_none_or(|best| found.gain > best.gain)
            {
                best = Some(found);
            }
        }
        best
    }

    fn admits(&self, side: Sums) -> bool {
        side.rows as usize >= self.growth.least_rows && side.curvature >= LEAST_CURVATURE
    }

    /// What a split gains; nothing where a side is too small or it does not.
    fn gain(&self, left: Sums, all: Sums, penalty: f64) -> Option<f64> {
        let right = all.less(left);
        let gain = left.gain(penalty) + right.gain(penalty) - all.gain(self.growth.penalty);
        (self.admits(left) && self.admits(right) && gain > 1e-9).then_some(gain)
    }

    fn best_of_numbers(&self, column: usize, bins: &[Sums], all: Sums) -> Option<Split> {
        let (numbers, missing) = (&bins[..bins.len() - 1], bins[bins.len() - 1]);
        let mut best: Option<Split> = None;
        let ways: &[bool] = if missing.rows > 0 { &[false, true] } else { &[false] };
        for &missing_left in ways {
            let mut left = if missing_left { missing } else { Sums::default() };
            // With missing values on the right, all numbers may go left.
            let last = if missing_left || missing.rows == 0 { numbers.len() - 1 } else { numbers.len() };
            for (bin, sums) in numbers[..last].iter().enumerate() {
                left.add(*sums);
                if sums.rows == 0 {
                    continue;
                }
                if let Some(gain) = self.gain(left, all, self.growth.penalty)
                    && best.is_none_or(|best| gain > best.gain)
                {
                    let bin = bin as u8;
                    // Where none was missing, those that will be go to the larger side.
                    let to_left = if missing.rows > 0 { missing_left } else { 2 * left.rows > all.rows };
                    let rule = Rule::Number { bin, cut: cut(self.binned, column, bin), missing_left: to_left };
                    best = Some(Split { column, rule, gain, left });
                }
            }
        }
        best
    }

    /// Categories in the order of their means: the best division of them is one of this row (Fisher, 1958).
    fn best_of_categories(&self, column: usize, bins: &[Sums], all: Sums) -> Option<Split> {
        let mut order: Vec<usize> = (0..bins.len()).filter(|&bin| bins[bin].rows > 0).collect();
        let mean = |bin: usize| bins[bin].slope / (bins[bin].curvature + CATEGORY_PENALTY);
        order.sort_by(|&a, &b| mean(a).total_cmp(&mean(b)).then(a.cmp(&b)));
        // Of two categories, there is one division, which is no choice among many.
        let penalty = self.growth.penalty + if order.len() > 2 { CATEGORY_PENALTY } else { 0.0 };
        let mut best: Option<Split> = None;
        for backwards in [false, true] {
            let (mut left, mut set): (Sums, Set) = (Sums::default(), [0; 4]);
            for i in 0..order.len().saturating_sub(1).min(MOST_LISTED) {
                let bin = order[if backwards { order.len() - 1 - i } else { i }];
                left.add(bins[bin]);
                set[bin / 64] |= 1 << (bin % 64);
                if let Some(gain) = self.gain(left, all, penalty)
                    && best.is_none_or(|best| gain > best.gain)
                {
                    best = Some(Split { column, rule: Rule::Category(set), gain, left });
                }
            }
        }
        best
    }
}
