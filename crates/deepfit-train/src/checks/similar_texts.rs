//! Texts that share nearly all runs of three tokens, found by minima of hashes (A. Broder, "On the resemblance and containment
//! of documents", 1997) in bands (A. Rajaraman and J. Ullman, "Mining of Massive Datasets", chapter 3).
//!
//! Each candidate is held against the text itself. Runs of three tokens are seldom shared by texts of which none is made of the
//! other; seven of ten are not, of texts of ten tokens and more. A word that is another changes three runs.

use deepfit_classical::Kind;
use deepfit_data::{Batch, Pass, Source};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::Subject;
use super::duplicates::Near;
use super::sample::shuffled;
use crate::error::Result;

/// Tokens of a run.
const RUN: usize = 3;
/// Hash functions, and how many of them make a band. Texts that share a share `s` of their runs meet in one of the bands with
/// the chance `1 - (1 - s^4)^12`: 0.96 of those that share 0.7, 0.9998 of those that share 0.85, 0.02 of those that share 0.2.
const HASHES: usize = 48;
const BAND: usize = 4;
/// Share of their runs that two texts have in common.
const ALIKE: f64 = 0.7;
/// Fewest runs of a text of which that means something.
const FEWEST: usize = 8;
/// Most tokens that are looked at, of each side.
const MOST_TOKENS: usize = 1 << 20;
/// Texts at a time.
const BATCH: usize = 64;

pub(super) fn find(subject: &Subject<'_>, held: &[u32], learned: &[u32]) -> Result<Option<Near>> {
    let source = &**subject.source;
    let (held, learned) = (drawn(source, held, subject.settings.seed), drawn(source, learned, subject.settings.seed));
    let (of_held, of_learned) = (bands(source, &held)?, bands(source, &learned)?);
    let mut pairs = Vec::new();
    // One band after the other, each sorted by its hash; the rows of a pair in many bands are compared once.
    let mut candidates: Vec<(u32, u32)> = Vec::new();
    for band in 0..HASHES / BAND {
        let sorted = |bands: &[(u32, Bands)]| {
            let mut keys: Vec<(u64, u32)> = bands.iter().map(|(row, bands)| (bands[band], *row)).collect();
            keys.sort_unstable();
            keys
        };
        let (of_held, of_learned) = (sorted(&of_held), sorted(&of_learned));
        for &(key, row) in &of_held {
            let from = of_learned.partition_point(|(other, _)| *other < key);
            // Of many that are alike, one is enough.
            candidates.extend(
                of_learned[from..]
                    .iter()
                    .take_while(|(other, _)| *other == key)
                    .take(8)
                    .map(|&(_, other)| (row, other)),
            );
        }
    }
    candidates.sort_unstable();
    candidates.dedup();
    let mut last = None;
    for (row, other) in candidates {
        // Copies that are the same are told by themselves.
        let same = subject.data.group_of(row) == subject.data.group_of(other);
        if last == Some(row) || same {
            continue;
        }
        let own = runs(&tokens(source, &[row])?[0]);
        let others = runs(&tokens(source, &[other])?[0]);
        if alike(&own, &others) >= ALIKE {
            pairs.push((row, other));
            last = Some(row);
        }
    }
    Ok(Some(Near { pairs, looked: (held.len(), learned.len()) }))
}

type Bands = [u64; HASHES / BAND];

/// Rows whose tokens are not too many altogether, ascending.
fn drawn(source: &dyn Source, rows: &[u32], seed: u64) -> Vec<u32> {
    let mut left = MOST_TOKENS;
    let mut drawn: Vec<u32> = shuffled(rows, seed)
        .into_iter()
        .take_while(|&row| {
            let length = source.length_of(row).unwrap_or(1).max(1);
            let fits = length <= left;
            left = left.saturating_sub(length);
            fits
        })
        .collect();
    drawn.sort_unstable();
    drawn
}

/// The tokens of texts.
pub(super) fn tokens(source: &dyn Source, rows: &[u32]) -> Result<Vec<Vec<i32>>> {
    let mut batch = Batch::new();
    source.fill(rows, Pass::Evaluate, &mut batch)?;
    Ok(match batch.texts(source.slots()) {
        Some(texts) => texts.map(<[i32]>::to_vec).collect(),
        None => vec![Vec::new(); rows.len()],
    })
}

/// Hashes of the different runs of a text, ascending.
fn runs(tokens: &[i32]) -> Vec<u64> {
    let of = |run: &[i32]| {
        let mut bytes = [0; 4 * RUN];
        run.iter().zip(bytes.chunks_exact_mut(4)).for_each(|(token, out)| out.copy_from_slice(&token.to_le_bytes()));
        xxh3_64_with_seed(&bytes, 0)
    };
    let mut runs: Vec<u64> = tokens.windows(RUN).map(of).collect();
    runs.sort_unstable();
    runs.dedup();
    runs
}

/// Share of the runs of both that both have (Jaccard).
fn alike(first: &[u64], second: &[u64]) -> f64 {
    let shared = first.iter().filter(|run| second.binary_search(run).is_ok()).count();
    shared as f64 / (first.len() + second.len() - shared).max(1) as f64
}

/// The bands of those texts that are long enough.
fn bands(source: &dyn Source, rows: &[u32]) -> Result<Vec<(u32, Bands)>> {
    let mut found = Vec::with_capacity(rows.len());
    for rows in rows.chunks(BATCH) {
        for (&row, tokens) in rows.iter().zip(tokens(source, rows)?) {
            let runs = runs(&tokens);
            if runs.len() >= FEWEST {
                found.push((row, signed(&runs)));
            }
        }
    }
    Ok(found)
}

/// The least value of each hash function over the runs.
fn minima(runs: &[u64]) -> [u64; HASHES] {
    let mut least = [u64::MAX; HASHES];
    for run in runs {
        let mut hash = *run;
        for least in &mut least {
            // A sequence of pseudo-random numbers that begins with the run (the finaliser of SplitMix64).
            hash = hash.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut mixed = (hash ^ (hash >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            *least = (*least).min(mixed ^ (mixed >> 31));
        }
    }
    least
}

fn signed(runs: &[u64]) -> Bands {
    let least = minima(runs);
    let mut bands = [0; HASHES / BAND];
    for (band, least) in bands.iter_mut().zip(least.chunks_exact(BAND)) {
        let bytes: Vec<u8> = least.iter().flat_map(|hash| hash.to_le_bytes()).collect();
        *band = xxh3_64_with_seed(&bytes, 1);
    }
    bands
}

/// Columns into which the tokens of texts are hashed where they are told apart by how frequent their words are.
pub(super) const HASHED: usize = 256;

/// Of each text, how frequent tokens are that share a hash: logarithms of their counts (K. Weinberger et al., "Feature hashing
/// for large scale multitask learning", 2009), and the logarithm of its length.
pub(super) fn hashed(source: &dyn Source, rows: &[u32]) -> Result<deepfit_classical::Matrix> {
    let width = HASHED + 1;
    let mut values = Vec::with_capacity(rows.len() * width);
    for rows in rows.chunks(BATCH) {
        for tokens in tokens(source, rows)? {
            let begin = values.len();
            values.resize(begin + width, 0.0_f32);
            for token in &tokens {
                values[begin + (xxh3_64_with_seed(&token.to_le_bytes(), 2) % HASHED as u64) as usize] += 1.0;
            }
            values[begin + HASHED] = tokens.len() as f32;
            values[begin..].iter_mut().for_each(|count| *count = count.ln_1p());
        }
    }
    Ok(deepfit_classical::Matrix::of_columns(vec![Kind::Number; width], values))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_differ_in_a_word_meet_in_a_band_and_others_do_not() {
        let text: Vec<i32> = (0..80).map(|i| i * 7919 % 1000).collect();
        let mut changed = text.clone();
        changed[40] = -1;
        let (own, near) = (runs(&text), runs(&changed));
        assert!(alike(&own, &near) > ALIKE, "{}", alike(&own, &near));
        let (a, b) = (signed(&own), signed(&near));
        assert!(a.iter().zip(b).any(|(a, b)| *a == b));
        let other = runs(&(0..80).map(|i| i * 104_729 % 1000 + 1000).collect::<Vec<i32>>());
        let c = signed(&other);
        assert!(alike(&own, &other) == 0.0 && a.iter().zip(c).all(|(a, c)| *a != c));
    }

    #[test]
    fn minima_agree_as_often_as_texts_are_alike() {
        let hash = |run: u64, text: u64| xxh3_64_with_seed(&run.to_le_bytes(), text);
        let (mut agreed, texts) = (0, 40);
        for text in 0..texts {
            let of = |range: std::ops::Range<u64>| range.map(|run| hash(run, text)).collect::<Vec<u64>>();
            let (a, b) = (minima(&of(0..60)), minima(&of(20..80)));
            agreed += a.iter().zip(b).filter(|(a, b)| **a == *b).count();
        }
        // 40 of 80 runs are shared.
        let share = agreed as f64 / (texts as usize * HASHES) as f64;
        assert!((share - 0.5).abs() < 0.05, "{share}");
    }
}
