//! Training, validation and test rows: stratified, seeded, and never with identical inputs on two sides; or in whole groups,
//! or the later after the earlier.

use serde::{Deserialize, Serialize};

use crate::codes::Codes;
use crate::error::{Error, Result};
use crate::rng::{Purpose, Rng};

/// The part a row belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Learned from.
    Train,
    /// Looked at to decide when to stop and what to keep.
    Validation,
    /// Looked at once, at the end.
    Test,
}

/// How the data is divided, where it does not say so itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SplitOptions {
    /// Seed of the split.
    pub seed: u64,
    /// Part of the rows for validation, 0 to 0.5 (default 0.1).
    pub validation: f64,
    /// Part of the rows for the test, 0 to 0.5 (default 0.2).
    pub test: f64,
}

impl Default for SplitOptions {
    fn default() -> Self {
        SplitOptions { seed: 1, validation: 0.1, test: 0.2 }
    }
}

impl SplitOptions {
    /// 70/10/20 with a seed.
    pub fn seeded(seed: u64) -> SplitOptions {
        SplitOptions { seed, ..SplitOptions::default() }
    }
}

/// Rows of each part, in increasing order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Split {
    /// Rows to learn from.
    pub train: Vec<u32>,
    /// Rows to decide by.
    pub validation: Vec<u32>,
    /// Rows to measure with.
    pub test: Vec<u32>,
    /// What a reader should know about this split, one sentence each.
    pub notes: Vec<String>,
}

/// Where a row comes from, as a person or a script finds it again.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RowId {
    /// Data row of the table, counted from 0.
    Row(u64),
    /// Path of the image relative to the folder or archive.
    Path(String),
}

/// A split by row ids, to be saved with a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedSplit {
    /// Version of this format.
    pub version: u32,
    /// Rows to learn from.
    pub train: Vec<RowId>,
    /// Rows to decide by; rows of the validation data if that is a file of its own.
    pub validation: Vec<RowId>,
    /// Rows to measure with; rows of the test data if that is a file of its own.
    pub test: Vec<RowId>,
}

impl SavedSplit {
    /// The newest version of the format.
    pub const VERSION: u32 = 1;
}

/// What a split is made from.
pub(crate) struct Rows<'a> {
    /// Stratum of each row: its class, or the quantile bin of its value.
    pub(crate) strata: &'a Codes,
    /// Rows that stay together share a group: those with identical inputs, or what a column says.
    pub(crate) groups: &'a [u32],
    /// Parts the data itself gives; empty if none.
    pub(crate) parts: &'a [Option<Part>],
    pub(crate) by: By<'a>,
}

/// What rows are divided by.
#[derive(Clone, Copy)]
pub(crate) enum By<'a> {
    /// Chance, with identical inputs together, and classes alike on all sides.
    Inputs,
    /// Chance, with what a column calls a group together.
    Groups,
    /// When they were.
    Time(&'a [f64]),
}

impl By<'_> {
    /// What is the same of rows that stay together.
    fn unit(self) -> &'static str {
        match self {
            By::Inputs | By::Time(_) => "inputs",
            By::Groups => "groups",
        }
    }
}

/// Rows with the same inputs, which stay together: a range of [`Groups::rows`].
#[derive(Clone, Copy)]
struct Group {
    stratum: u32,
    begin: u32,
    len: u32,
}

/// Some rows, sorted so that those of a group are neighbours.
struct Groups {
    rows: Vec<u32>,
    groups: Vec<Group>,
}

impl Groups {
    fn new(mut rows: Vec<u32>, data: &Rows<'_>) -> Groups {
        rows.sort_unstable_by_key(|&row| (data.groups[row as usize], row));
        let mut groups: Vec<Group> = Vec::new();
        let mut last = None;
        for (i, &row) in rows.iter().enumerate() {
            let group = data.groups[row as usize];
            if last == Some(group) {
                let end = groups.len() - 1;
                groups[end].len += 1;
            } else {
                groups.push(Group { stratum: data.strata.get(row as usize), begin: i as u32, len: 1 });
            }
            last = Some(group);
        }
        Groups { rows, groups }
    }

    fn of(&self, group: Group) -> &[u32] {
        &self.rows[group.begin as usize..][..group.len as usize]
    }

    /// The rows of some groups, in increasing order.
    fn rows_of(&self, groups: &[Group]) -> Vec<u32> {
        let mut rows: Vec<u32> = groups.iter().flat_map(|&group| self.of(group)).copied().collect();
        rows.sort_unstable();
        rows
    }

    /// Brings the groups into a random order within each stratum, and the strata one after the other.
    fn shuffle_by_stratum(&mut self, rng: &mut Rng) {
        rng.shuffle(&mut self.groups);
        self.groups.sort_by_key(|group| group.stratum);
    }
}

/// Takes about `fractions` of the rows of each stratum, in whole groups; returns the rows taken and those left.
///
/// What rounding takes from one stratum is carried to the next, so the total is right even if every
/// stratum is small. At least one group of each stratum is left.
fn take(pool: &mut Groups, fractions: [f64; 2], rng: &mut Rng) -> ([Vec<u32>; 2], Vec<u32>) {
    pool.shuffle_by_stratum(rng);
    // Rows, and not their groups, which take more memory where there are many.
    let mut taken = [Vec::new(), Vec::new()];
    let mut left: Vec<u32> = Vec::new();
    let mut carry = [0.0; 2];
    for stratum in pool.groups.chunk_by(|a, b| a.stratum == b.stratum) {
        let rows: u32 = stratum.iter().map(|group| group.len).sum();
        for (carry, fraction) in carry.iter_mut().zip(fractions) {
            *carry += fraction * f64::from(rows);
        }
        let mut untouched = stratum.len();
        for &group in stratum {
            let size = f64::from(group.len);
            // A group is taken if that brings the count nearer to what is wanted.
            let fits = |carry: &f64| untouched > 1 && *carry >= 0.5 && size <= 2.0 * carry;
            match carry.iter().position(fits) {
                Some(part) => {
                    carry[part] -= size;
                    taken[part].extend_from_slice(pool.of(group));
                    untouched -= 1;
                }
                None => left.extend_from_slice(pool.of(group)),
            }
        }
        // Strata of one example, or of one large group, must not be made up for by the next.
        carry = carry.map(|carry| carry.min(1.0));
    }
    taken.iter_mut().chain([&mut left]).for_each(|rows| rows.sort_unstable());
    (taken, left)
}

/// Divides the rows.
pub(crate) fn split(data: &Rows<'_>, options: &SplitOptions) -> Result<Split> {
    for (setting, value) in [("split.validation", options.validation), ("split.test", options.test)] {
        if !(0.0..=0.5).contains(&value) {
            return Err(Error::Setting { setting, problem: format!("{value} is outside of 0 to 0.5") });
        }
    }
    let given = |part: Part| -> Vec<u32> {
        (0..data.parts.len() as u32).filter(|&row| data.parts[row as usize] == Some(part)).collect()
    };
    let (given_validation, given_test) = (given(Part::Validation), given(Part::Test));
    let (mut notes, unit) = (Vec::new(), data.by.unit());
    let elsewhere: std::collections::HashSet<u32> =
        given_validation.iter().chain(&given_test).map(|&row| data.groups[row as usize]).collect();
    let held = |row: u32| matches!(data.parts.get(row as usize), Some(Some(Part::Validation | Part::Test)));
    let free: Vec<u32> = (0..data.strata.len() as u32).filter(|&row| !held(row)).collect();
    let before = free.len();
    let free: Vec<u32> = free.into_iter().filter(|&row| !elsewhere.contains(&data.groups[row as usize])).collect();
    let repeated = before - free.len();
    if repeated > 0 {
        notes.push(format!("{repeated} training rows left out: their {unit} are also in the validation or test data"));
    }
    // The two held-out parts must not share inputs either; the test keeps them.
    let in_test: std::collections::HashSet<u32> = given_test.iter().map(|&row| data.groups[row as usize]).collect();
    let mut validation = given_validation;
    let before = validation.len();
    validation.retain(|&row| !in_test.contains(&data.groups[row as usize]));
    if validation.len() < before {
        let count = before - validation.len();
        notes.push(format!("{count} validation rows left out: their {unit} are also in the test data"));
    }

    let mut test = given_test;
    let has_validation = !validation.is_empty();
    let has_test = !test.is_empty();
    let mut pool = Groups::new(free, data);
    let strata = data.strata.iter().max().map_or(0, |most| most as usize + 1);
    let mut counts = vec![0u32; strata];
    pool.rows.iter().for_each(|&row| counts[data.strata.get(row as usize) as usize] += 1);
    let alone = counts.iter().filter(|&&count| count == 1).count();
    if alone > 0 && matches!(data.by, By::Inputs) {
        let classes = if alone == 1 { "1 class has".to_string() } else { format!("{alone} classes have") };
        notes.push(format!("{classes} a single example, which is trained on and not measured"));
    }
    let fractions = [if has_test { 0.0 } else { options.test }, if has_validation { 0.0 } else { options.validation }];
    let mut rng = Rng::new(options.seed, Purpose::Split, 0, 0);
    let ([more_test, more_validation], train) = match data.by {
        By::Inputs => take(&mut pool, fractions, &mut rng),
        By::Groups => take_groups(&mut pool, fractions, &mut rng)?,
        By::Time(times) => take_latest(&pool.rows, times, fractions)?,
    };
    notes.extend(untrained(data, &train));
    test.extend(more_test);
    validation.extend(more_validation);
    for (name, part, wanted) in [
        ("training", &train, true),
        ("validation", &validation, options.validation > 0.0 || has_validation),
        ("test", &test, options.test > 0.0 || has_test),
    ] {
        if wanted && part.is_empty() && pool.rows.is_empty() && repeated > 0 {
            let problem = format!(
                "no rows are left for the training part: the {unit} of all {repeated} also occur in the validation or \
                 test data, and identical {unit} are kept there only; give validation and test data of other rows"
            );
            return Err(Error::Split { problem });
        }
        if wanted && part.is_empty() {
            let problem = format!(
                "no rows are left for the {name} part; there are {} rows with {} different {unit}, and identical \
                 {unit} stay on one side; add data, or give separate validation and test data",
                pool.rows.len(),
                pool.groups.len()
            );
            return Err(Error::Split { problem });
        }
    }
    Ok(Split { train, validation, test, notes })
}

/// Takes about `fractions` of the rows in whole groups, at least one for each part that is wanted, and leaves one at least.
fn take_groups(pool: &mut Groups, fractions: [f64; 2], rng: &mut Rng) -> Result<([Vec<u32>; 2], Vec<u32>)> {
    let wanted = fractions.iter().filter(|&&fraction| fraction > 0.0).count();
    if pool.groups.len() <= wanted {
        let (groups, least) = (pool.groups.len(), wanted + 1);
        let problem = format!(
            "{groups} group(s) are too few for {least} parts, since each stays whole; name a column of more groups, or give \
             validation and test data of their own"
        );
        return Err(Error::Split { problem });
    }
    rng.shuffle(&mut pool.groups);
    let rows = f64::from(pool.groups.iter().map(|group| group.len).sum::<u32>());
    let (mut left, mut taken) = (std::mem::take(&mut pool.groups), [Vec::new(), Vec::new()]);
    let mut spare = left.len() - 1 - wanted;
    for (taken, fraction) in taken.iter_mut().zip(fractions) {
        if fraction == 0.0 {
            continue;
        }
        let mut missing = fraction * rows;
        // The part has one anyway.
        spare += 1;
        left.retain(|&group| {
            let size = f64::from(group.len);
            let takes = spare > 0 && missing >= 0.5 && size <= 2.0 * missing;
            if takes {
                (missing, spare) = (missing - size, spare - 1);
                taken.push(group);
            }
            !takes
        });
        if taken.is_empty() {
            // All are larger than what is wanted: the smallest is nearest.
            let smallest = (0..left.len()).min_by_key(|&i| left[i].len).unwrap_or(0);
            taken.push(left.remove(smallest));
            spare -= 1;
        }
    }
    let parts = taken.map(|groups| pool.rows_of(&groups));
    let rest = pool.rows_of(&left);
    pool.groups = left;
    Ok((parts, rest))
}

/// Rows in the order of their times, and where another time begins.
fn in_time(rows: &[u32], times: &[f64]) -> (Vec<u32>, Vec<usize>) {
    let time = |row: &u32| times[*row as usize];
    let mut rows = rows.to_vec();
    rows.sort_by(|a, b| time(a).total_cmp(&time(b)).then(a.cmp(b)));
    let borders = (1..rows.len()).filter(|&i| time(&rows[i - 1]) < time(&rows[i])).collect();
    (rows, borders)
}

/// The place nearest to a wanted one; of two, the later.
fn nearest(places: &[usize], wanted: f64) -> usize {
    let apart = |place: usize| (place as f64 - wanted).abs();
    places.iter().copied().rev().min_by(|&a, &b| apart(a).total_cmp(&apart(b))).unwrap_or(0)
}

/// Takes about `fractions` of the rows, the latest for the test and those before them for validation.
fn take_latest(rows: &[u32], times: &[f64], fractions: [f64; 2]) -> Result<([Vec<u32>; 2], Vec<u32>)> {
    let [test, validation] = fractions;
    let (mut order, borders) = in_time(rows, times);
    let wanted = fractions.iter().filter(|&&fraction| fraction > 0.0).count();
    if borders.len() < wanted {
        let (count, least) = (borders.len() + 1, wanted + 1);
        let problem = format!(
            "{} rows have {count} different time(s), and {least} are needed, since rows of one time stay together; name \
             another column by `time_split`, or leave it away",
            order.len()
        );
        return Err(Error::Split { problem });
    }
    let all = order.len() as f64;
    let mut parts = [Vec::new(), Vec::new()];
    let mut before = &borders[..];
    if test > 0.0 {
        // A border is left for validation.
        let usable = &borders[usize::from(validation > 0.0)..];
        let border = nearest(usable, all * (1.0 - test));
        parts[0] = order.split_off(border);
        before = &borders[..borders.partition_point(|&other| other < border)];
    }
    if validation > 0.0 {
        parts[1] = order.split_off(nearest(before, all * (1.0 - test - validation)));
    }
    parts.iter_mut().for_each(|part| part.sort_unstable());
    order.sort_unstable();
    Ok((parts, order))
}

/// What to tell of classes that no training row has, as groups and times may have it.
fn untrained(data: &Rows<'_>, train: &[u32]) -> Option<String> {
    let mut trained = vec![false; data.strata.iter().max().map_or(0, |most| most as usize + 1)];
    train.iter().for_each(|&row| trained[data.strata.get(row as usize) as usize] = true);
    let without = trained.iter().filter(|&&trained| !trained).count();
    let classes = if without == 1 {
        "1 class or range of the target is"
    } else {
        &format!("{without} classes or ranges of the target are")
    };
    (without > 0 && !train.is_empty() && !matches!(data.by, By::Inputs))
        .then(|| format!("{classes} in no training row, and cannot be learned"))
}

/// Rows whose group is in several of others, where both are numbers of each row.
pub(crate) fn spread_over(groups: &[u32], others: &[u32]) -> usize {
    let count = groups.iter().max().map_or(0, |most| *most as usize + 1);
    let (mut first, mut several) = (vec![None; count], vec![false; count]);
    for (&group, &other) in groups.iter().zip(others) {
        let first = first[group as usize].get_or_insert(other);
        several[group as usize] |= *first != other;
    }
    groups.iter().filter(|&&group| several[group as usize]).count()
}

/// Most folds that rows can be divided into.
pub(crate) fn most_folds(data: &Rows<'_>, rows: &[u32]) -> usize {
    match data.by {
        By::Inputs | By::Groups => Groups::new(rows.to_vec(), data).groups.len(),
        By::Time(times) => in_time(rows, times).1.len(),
    }
}

/// Folds in time: each is what came after all that it is the measure of (forward chaining).
fn folds_in_time(rows: &[u32], times: &[f64], k: usize) -> Result<Vec<(Vec<u32>, Vec<u32>)>> {
    let (order, borders) = in_time(rows, times);
    if k < 2 || k > borders.len() {
        let problem = format!(
            "{k} folds of {} different times; 2 to {} are possible, since each is what came after the others",
            borders.len() + 1,
            borders.len()
        );
        return Err(Error::Split { problem });
    }
    // Borders of k + 1 pieces of about equal lengths; one is left for each that follows.
    let (mut cuts, mut from) = (Vec::new(), 0);
    for piece in 1..=k {
        let usable = &borders[from..borders.len() - (k - piece)];
        let cut = nearest(usable, (order.len() * piece) as f64 / (k + 1) as f64);
        from = borders.partition_point(|&border| border <= cut);
        cuts.push(cut);
    }
    cuts.push(order.len());
    let sorted = |rows: &[u32]| {
        let mut rows = rows.to_vec();
        rows.sort_unstable();
        rows
    };
    Ok(cuts.windows(2).map(|cut| (sorted(&order[..cut[0]]), sorted(&order[cut[0]..cut[1]]))).collect())
}

/// Divides `rows` into `k` folds and returns, for each, the rows that are trained on and its own. By inputs they are
/// stratified, by groups of about equal lengths; in time, what is trained on came before.
pub(crate) fn folds(data: &Rows<'_>, rows: &[u32], k: usize, seed: u64) -> Result<Vec<(Vec<u32>, Vec<u32>)>> {
    if let By::Time(times) = data.by {
        return folds_in_time(rows, times, k);
    }
    let mut pool = Groups::new(rows.to_vec(), data);
    if k < 2 || k > pool.groups.len() {
        let (unit, count) = (data.by.unit(), pool.groups.len());
        let problem = format!("{k} folds of {count} different {unit}; 2 to that many are possible");
        return Err(Error::Split { problem });
    }
    let mut rng = Rng::new(seed, Purpose::Folds, 0, 0);
    let mut held: Vec<Vec<u32>> = vec![Vec::new(); k];
    if let By::Groups = data.by {
        rng.shuffle(&mut pool.groups);
        // The largest first, each to the fold that has the fewest rows.
        pool.groups.sort_by_key(|group| std::cmp::Reverse(group.len));
        for &group in &pool.groups {
            let fold = (0..k).min_by_key(|&fold| held[fold].len()).unwrap_or(0);
            held[fold].extend(pool.of(group));
        }
    } else {
        pool.shuffle_by_stratum(&mut rng);
        // Dealing the strata out one after the other spreads each of them evenly.
        for (i, &group) in pool.groups.iter().enumerate() {
            held[i % k].extend(pool.of(group));
        }
    }
    let result = (0..k).map(|fold| {
        let mut own = held[fold].clone();
        let mut others: Vec<u32> = (0..k).filter(|&f| f != fold).flat_map(|f| held[f].iter().copied()).collect();
        own.sort_unstable();
        others.sort_unstable();
        (others, own)
    });
    Ok(result.collect())
}

/// Bins of equal counts by value, for stratifying a regression: at most 10, at least 5 rows each.
pub(crate) fn quantile_bins(values: &[f64]) -> Vec<u32> {
    let bins = (values.len() / 5).clamp(1, 10);
    let mut order: Vec<u32> = (0..values.len() as u32).collect();
    order.sort_by(|&a, &b| values[a as usize].total_cmp(&values[b as usize]));
    let mut strata = vec![0; values.len()];
    for (rank, &row) in order.iter().enumerate() {
        strata[row as usize] = (rank * bins / values.len()) as u32;
    }
    strata
}

/// The stratum of rows with any number of labels: the rarest label of each, or one more for rows without. Dealing out rare
/// labels first is what iterative stratification does (Sechidis, Tsoumakas & Vlahavas 2011); frequent labels, of which a
/// random part has the right share within a few per cent, need no such care.
pub(crate) fn rarest_labels<'a>(rows: impl Iterator<Item = &'a [u32]> + Clone, labels: usize) -> Vec<u32> {
    let mut counts = vec![0u32; labels];
    rows.clone().flatten().for_each(|&label| counts[label as usize] += 1);
    let rarest = |of: &[u32]| of.iter().copied().min_by_key(|&label| (counts[label as usize], label));
    // The strata that there are, numbered without gaps.
    let strata: Vec<u32> = rows.map(|of| rarest(of).unwrap_or(labels as u32)).collect();
    let mut used: Vec<u32> = strata.clone();
    used.sort_unstable();
    used.dedup();
    strata.into_iter().map(|stratum| used.partition_point(|&other| other < stratum) as u32).collect()
}

/// Numbers rows with equal hashes alike, in order of first appearance.
///
/// Sorting takes a third of the memory of a hash map. Two different inputs share a 64-bit hash in a
/// million rows with a probability of 3e-8, and would then merely stay on one side.
pub(crate) fn number_groups(hashes: impl Iterator<Item = u64>) -> Vec<u32> {
    /// Of more rows than this, those whose hashes begin alike are sorted at a time, which takes less memory.
    const AT_ONCE: usize = 1 << 20;
    let hashes: Vec<u64> = hashes.collect();
    let mut groups = vec![0; hashes.len()];
    let shares = hashes.len().div_ceil(AT_ONCE).next_power_of_two() as u64;
    let mut order: Vec<(u64, u32)> = Vec::with_capacity(hashes.len() / shares as usize);
    for share in 0..shares {
        order.clear();
        order.extend(hashes.iter().copied().zip(0..).filter(|(hash, _)| hash % shares == share));
        order.sort_unstable();
        for equal in order.chunk_by(|a, b| a.0 == b.0) {
            equal.iter().for_each(|&(_, row)| groups[row as usize] = equal[0].1);
        }
    }
    drop((hashes, order));
    // So far each row has the first row of its group; now these are numbered without gaps.
    let mut next = 0;
    for row in 0..groups.len() {
        let first = groups[row] as usize;
        if first == row {
            groups[row] = next;
            next += 1;
        } else {
            groups[row] = groups[first];
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_numbered_in_order_of_appearance() {
        assert_eq!(number_groups([9, 4, 9, 7, 4, 1].into_iter()), [0, 1, 0, 2, 1, 3]);
        assert!(number_groups(std::iter::empty()).is_empty());
    }

    #[test]
    fn rows_with_labels_are_dealt_out_by_their_rarest() {
        let rows: [&[u32]; 6] = [&[0], &[0, 2], &[], &[0, 3], &[2, 3], &[0]];
        // Label 0 is in four rows, 2 and 3 in two each, 1 in none.
        assert_eq!(rarest_labels(rows.into_iter(), 4), [0, 1, 3, 2, 1, 0]);
    }

    #[test]
    fn quantile_bins_hold_equally_many_values() {
        let values: Vec<f64> = (0..95).map(|i| f64::from((i * 37) % 95)).collect();
        let bins = quantile_bins(&values);
        for bin in 0..10 {
            let count = bins.iter().filter(|&&b| b == bin).count();
            assert!((9..=10).contains(&count));
        }
        assert!(values.iter().zip(&bins).all(|(&value, &bin)| (value as u32 * 10 / 95) == bin));
        assert_eq!(quantile_bins(&[1.0, 2.0]), [0, 0]);
    }
}
