//! Whether an explanation holds on its input: deletion and insertion (Petsiuk, Das and Saenko, 2018).
//!
//! Parts are taken away in the order of their attributions, the most important first, or, from nothing, put back in this
//! order. If they are what the network goes by, the number that is explained falls early in the first case, and rises early in
//! the second: earlier than in random orders. Cells of a picture that lie together hide less than as many that are scattered,
//! so that the random orders of a picture are those of its own map, moved to random places.
//!
//! An order that is that of the attributions, or has the same curves, says nothing of them. Of fewer than three parts there is
//! at most one other order, which tells too little: such an explanation is not tested.

use deepfit_graph::philox::Stream;
use serde::Serialize;

use crate::error::Result;
use crate::removal::Removal;

/// Random orders that an explanation is compared with.
pub const RANDOM_ORDERS: usize = 5;
/// Fewest parts whose order can be told from chance: of two there is one other.
pub const FEWEST_PARTS: usize = 3;
/// Most draws of an order that is new, for each that is wanted.
const DRAWS: usize = 20;
/// Most steps of a curve.
const STEPS: usize = 16;

/// The means of two curves.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Curves {
    /// Mean of the number while parts are taken away: the lower, the better.
    pub deletion: f64,
    /// Mean of the number while parts are put back: the higher, the better. Nothing where nothing can be put back, as for
    /// a change, of which `deletion` is the number afterwards.
    pub insertion: Option<f64>,
}

/// How an explanation did on its input.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Faithfulness {
    /// In the order of the attributions.
    #[serde(flatten)]
    pub curves: Curves,
    /// The mean of random orders; nothing where there is no other order.
    pub random: Option<Curves>,
    /// How many random orders the attributions are better than.
    pub better_than: usize,
    /// How many there are.
    pub orders: usize,
    /// By how much the attributions are better than the mean of random orders, less how much these differ among themselves
    /// (their standard deviation).
    #[serde(skip)]
    pub margin: f64,
    /// Whether there are parts enough to tell the order from chance.
    #[serde(skip)]
    pub tells: bool,
}

impl Faithfulness {
    /// From the curves of an order, and of random ones.
    pub(crate) fn of(own: Curves, random: &[Curves], parts: usize) -> Faithfulness {
        let mean = |of: &dyn Fn(&Curves) -> f64| random.iter().map(of).sum::<f64>() / random.len().max(1) as f64;
        let insertion = own.insertion.map(|_| mean(&|curves| curves.insertion.unwrap_or(0.0)));
        let gain = mean(&Curves::gain);
        let deviation = mean(&|curves| (curves.gain() - gain).powi(2)).sqrt();
        Faithfulness {
            margin: own.gain() - gain - deviation,
            curves: own,
            random: (!random.is_empty()).then(|| Curves { deletion: mean(&|curves| curves.deletion), insertion }),
            better_than: random.iter().filter(|other| own.gain() > other.gain()).count(),
            orders: random.len(),
            tells: parts >= FEWEST_PARTS && !random.is_empty(),
        }
    }

    /// Whether the attributions are better than random orders, and by more than these differ among themselves.
    pub fn holds(&self) -> bool {
        self.margin > 0.0
    }

    /// Whether the test says that they are no better than chance. Of too few parts it says nothing.
    pub fn fails(&self) -> bool {
        self.tells && !self.holds()
    }
}

impl Curves {
    fn gain(&self) -> f64 {
        self.insertion.unwrap_or(0.0) - self.deletion
    }
}

/// Random orders of the same parts that differ from an order and from each other: all that there are of up to three parts.
pub fn random_orders(order: &[usize]) -> Vec<Vec<usize>> {
    let parts = order.len();
    // 1, 2 and 6 orders, less the one that is there.
    let others = (1..=parts).take(FEWEST_PARTS).product::<usize>().saturating_sub(1);
    let wanted = others.min(RANDOM_ORDERS);
    let mut found: Vec<Vec<usize>> = Vec::new();
    // Of three parts all five others have to be met: by far most streams do so within a few dozen draws.
    for seed in 0..(DRAWS * RANDOM_ORDERS) as u64 {
        if found.len() == wanted {
            break;
        }
        let drawn = shuffled(parts, seed);
        if drawn != order && !found.contains(&drawn) {
            found.push(drawn);
        }
    }
    found
}

/// Tests an order of parts against others. With `of_value` the number is one of a regression, which has no better or worse:
/// how near the number of the whole input is counts, as a number below 0.
///
/// # Errors
/// If the network cannot run.
pub fn test(
    removal: &mut dyn Removal,
    order: Vec<usize>,
    random: Vec<Vec<usize>>,
    of_value: bool,
) -> Result<Faithfulness> {
    let parts = order.len();
    let steps = parts.min(STEPS);
    let mut kept = Vec::new();
    for order in std::iter::once(&order).chain(&random) {
        for step in 0..=steps {
            let first = (step * parts + steps / 2) / steps.max(1);
            let mut deleted = vec![true; parts];
            order[..first.min(parts)].iter().for_each(|&part| deleted[part] = false);
            kept.push(deleted.iter().map(|kept| !kept).collect::<Vec<bool>>());
            kept.push(deleted);
        }
    }
    let mut scores = removal.scores(&kept)?;
    if of_value {
        // Nothing is taken away at the first step of a deletion.
        let whole = scores[1];
        scores.iter_mut().for_each(|score| *score = -(*score - whole).abs());
    }
    let curves = scores.chunks_exact(2 * (steps + 1)).map(|curve| {
        let mean = |which: usize| curve.iter().skip(which).step_by(2).sum::<f64>() / (steps + 1) as f64;
        Curves { deletion: mean(1), insertion: Some(mean(0)) }
    });
    let curves: Vec<Curves> = curves.collect();
    let own = curves[0];
    // Where parts that count for nothing alone change places, the order is the same in effect. If it is in all orders, nothing
    // that the attributions say makes a difference.
    let same = |other: &Curves| {
        let near = |a: f64, b: f64| (a - b).abs() <= 1e-9 * a.abs().max(b.abs());
        near(own.deletion, other.deletion)
            && own.insertion.zip(other.insertion).is_none_or(|(one, other)| near(one, other))
    };
    let others: Vec<Curves> = curves[1..].iter().copied().filter(|other| !same(other)).collect();
    Ok(Faithfulness::of(own, if others.is_empty() { &curves[1..] } else { &others }, parts))
}

/// The numbers to below `count` in an order that depends on the seed alone.
pub(crate) fn shuffled(count: usize, seed: u64) -> Vec<usize> {
    let mut stream = Stream::new(seed, "order");
    let mut order: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        let other = (u64::from(stream.next_u32()) * (last as u64 + 1)) >> 32;
        order.swap(last, other as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Sum(Vec<f64>);

    impl Removal for Sum {
        fn parts(&self) -> usize {
            self.0.len()
        }
        fn scores(&mut self, kept: &[Vec<bool>]) -> Result<Vec<f64>> {
            let of = |kept: &Vec<bool>| self.0.iter().zip(kept).map(|(x, &k)| if k { *x } else { 0.0 }).sum();
            Ok(kept.iter().map(of).collect())
        }
    }

    #[test]
    fn the_right_order_is_better_than_random_ones_and_its_reverse_is_not() {
        let mut sum = Sum(vec![4.0, 0.0, 1.0, 0.0, 3.0, 0.0]);
        let right = test(&mut sum, vec![0, 4, 2, 1, 3, 5], random_orders(&[0, 4, 2, 1, 3, 5]), false).unwrap();
        // Kept after 0 to 6 steps: 8, 4, 1, 0, 0, 0, 0 and 0, 4, 7, 8, 8, 8, 8.
        assert!((right.curves.deletion - 13.0 / 7.0).abs() < 1e-12, "{right:?}");
        assert!((right.curves.insertion.unwrap() - 43.0 / 7.0).abs() < 1e-12, "{right:?}");
        assert!(right.holds() && right.random.unwrap().deletion > right.curves.deletion);
        let reverse = vec![5, 3, 1, 2, 4, 0];
        assert!(test(&mut sum, reverse.clone(), random_orders(&reverse), false).unwrap().fails());
        // What changes nothing is no better than chance.
        let first: Vec<usize> = (0..6).collect();
        assert!(test(&mut Sum(vec![0.0; 6]), first.clone(), random_orders(&first), false).unwrap().fails());
    }

    #[test]
    fn random_orders_differ_from_the_order_and_from_each_other() {
        for (parts, others) in [(0, 0), (1, 0), (2, 1), (3, 5), (4, 5), (30, 5)] {
            for order in [(0..parts).collect::<Vec<usize>>(), (0..parts).rev().collect()] {
                let found = random_orders(&order);
                assert_eq!(found.len(), others, "{parts}");
                assert!(!found.contains(&order));
                let different: std::collections::BTreeSet<&Vec<usize>> = found.iter().collect();
                assert_eq!(different.len(), others);
            }
        }
    }

    #[test]
    fn few_parts_do_not_fail_and_equal_orders_say_nothing() {
        for parts in [1, 2] {
            let order: Vec<usize> = (0..parts).rev().collect();
            let found = test(&mut Sum(vec![1.0; parts]), order.clone(), random_orders(&order), false).unwrap();
            assert!(!found.tells && !found.fails(), "{found:?}");
            assert_eq!((found.orders, found.random.is_some()), (parts - 1, parts > 1));
        }
        // The two orders that begin with the one part that counts are the same in effect.
        let found = test(&mut Sum(vec![4.0, 0.0, 0.0]), vec![0, 1, 2], random_orders(&[0, 1, 2]), false).unwrap();
        assert!(found.holds() && (found.better_than, found.orders) == (4, 4), "{found:?}");
        let found = test(&mut Sum(vec![0.0, 0.0, 4.0]), vec![0, 1, 2], random_orders(&[0, 1, 2]), false).unwrap();
        assert!(found.fails(), "{found:?}");
    }

    #[test]
    fn of_a_value_it_counts_how_near_it_stays() {
        let mut sum = Sum(vec![-4.0, 0.0, 0.0, 0.0]);
        let found = test(&mut sum, vec![0, 1, 2, 3], random_orders(&[0, 1, 2, 3]), true).unwrap();
        assert!((found.curves.deletion + 16.0 / 5.0).abs() < 1e-12, "{found:?}");
        assert!((found.curves.insertion.unwrap() + 4.0 / 5.0).abs() < 1e-12, "{found:?}");
    }
}
