//! Pictures that are copies of others, found by a perceptual hash: the signs of the lowest frequencies of a small grey picture
//! (C. Zauner, "Implementation and benchmarking of perceptual image hash functions", 2010).
//!
//! The hash names candidates; how alike two pictures must be to be copies depends on the data, since pictures of digits are
//! far more alike than photographs. So the distance of a picture to its nearest is held against the distances to its next
//! neighbours: of points of `d` dimensions, `k` of which are within a distance `r`, one is within `r * q` by chance with the
//! probability `1 - (1 - q^d)^k`, at most. The dimension is estimated from the data (E. Levina and P. Bickel, "Maximum
//! likelihood estimation of intrinsic dimension", 2004), and the chance must be below the level, shared out among all pictures.

use std::sync::Arc;

use deepfit_data::{Array, Batch, Pass, Source};

use super::duplicates::Near;
use super::sample::sample;
use super::{LEVEL, Subject};
use crate::error::Result;

/// Pixels of a side of the small picture.
const SIDE: usize = 16;
/// Frequencies along a side of which the signs are taken.
const LOWEST: usize = 8;
/// Most pictures that are looked at, of each side: of such as are in memory, and of such as must be decoded.
const MOST: [usize; 2] = [8_000, 32_000];
const MOST_DECODED: [usize; 2] = [200, 300];
/// Signs in which copies differ at most, of 64.
const MOST_SIGNS: u32 = 12;
/// Candidates of a picture that are looked at.
const MOST_CANDIDATES: usize = 8;
/// Pictures that distances are compared with, and those of which the dimension is estimated.
const REFERENCES: usize = 1_000;
const ESTIMATED: usize = 200;
/// The neighbour whose distance others are held against. Copies come in fewer.
const NEIGHBOUR: usize = 20;
/// The nearest of the neighbours that the dimension is estimated from: copies must not make it smaller.
const FROM: usize = 5;
/// Copies have at least this correlation, whatever the neighbours are like.
const LEAST_CORRELATION: f32 = 0.9;
/// Pictures at a time.
const BATCH: usize = 16;

/// A small grey picture of mean 0 and length 1, and its hash.
struct Small {
    row: u32,
    signs: u64,
    values: Vec<f32>,
}

pub(super) fn find(subject: &Subject<'_>, held: &[u32], learned: &[u32]) -> Result<Option<Near>> {
    let seed = subject.settings.seed;
    let most = if subject.data.is_cached() { MOST } else { MOST_DECODED };
    let (held, learned) = (sample(held, most[0], seed).0, sample(learned, most[1], seed).0);
    let of = |rows: &[u32]| small(subject.source, rows, subject.settings.threads);
    let (of_held, of_learned) = (of(&held)?, of(&learned)?);
    let looked = (held.len(), learned.len());
    if of_learned.len() <= 2 * NEIGHBOUR {
        return Ok(None);
    }
    let references: Vec<usize> = {
        let places: Vec<u32> = (0..of_learned.len() as u32).collect();
        sample(&places, REFERENCES, seed).0.into_iter().map(|place| place as usize).collect()
    };
    // Distances to the nearest of the references, ascending.
    let distances = |picture: &Small| {
        let mut found: Vec<f32> = references.iter().map(|&place| distance(picture, &of_learned[place])).collect();
        found.sort_unstable_by(f32::total_cmp);
        found.truncate(NEIGHBOUR);
        found
    };
    let estimated: Vec<Vec<f32>> = of_held.iter().take(ESTIMATED).map(distances).collect();
    let Some(dimension) = dimension(&estimated) else { return Ok(None) };
    let many = of_learned.len() as f64 / references.len() as f64;
    let mut pairs = Vec::new();
    for picture in &of_held {
        let mut candidates: Vec<(u32, usize)> = of_learned
            .iter()
            .enumerate()
            .map(|(place, other)| ((picture.signs ^ other.signs).count_ones(), place))
            .filter(|(signs, _)| *signs <= MOST_SIGNS)
            .collect();
        candidates.sort_unstable();
        candidates.truncate(MOST_CANDIDATES);
        let near = |&(_, place): &(u32, usize)| (distance(picture, &of_learned[place]), place);
        let other = |&(_, place): &(f32, usize)| {
            // Copies that are the same are told by themselves.
            subject.data.group_of(picture.row) != subject.data.group_of(of_learned[place].row)
        };
        let nearest = candidates.iter().map(near).filter(other).min_by(|a, b| a.0.total_cmp(&b.0));
        let Some((nearest, place)) = nearest.filter(|(near, _)| near * near <= 2.0 * (1.0 - LEAST_CORRELATION)) else {
            continue;
        };
        let far = distances(picture)[NEIGHBOUR - 1];
        let share = f64::from(nearest / far.max(f32::MIN_POSITIVE)).powf(dimension);
        let chance = share * NEIGHBOUR as f64 * many * of_held.len() as f64;
        if chance < LEVEL {
            pairs.push((picture.row, of_learned[place].row));
        }
    }
    Ok(Some(Near { pairs, looked }))
}

/// The dimension in which distances to neighbours grow as they do here.
fn dimension(distances: &[Vec<f32>]) -> Option<f64> {
    let harmonic = |n: usize| (1..=n).map(|i| 1.0 / i as f64).sum::<f64>();
    let (mut expected, mut logarithms) = (0.0, 0.0);
    for of_picture in distances {
        let [.., far] = of_picture[..] else { continue };
        for (place, &near) in of_picture[..NEIGHBOUR - 1].iter().enumerate().skip(FROM - 1) {
            if near > 0.0 && far > 0.0 {
                // Of the nearest of so many uniform points, the expected logarithm is a difference of harmonic numbers.
                expected += harmonic(NEIGHBOUR - 1) - harmonic(place);
                logarithms += f64::from(far / near).ln();
            }
        }
    }
    (logarithms > 0.0).then(|| (expected / logarithms).clamp(1.0, 64.0))
}

fn distance(first: &Small, second: &Small) -> f32 {
    first.values.iter().zip(&second.values).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt()
}

/// The small pictures of rows that can be read and are not all of one colour.
fn small(source: &Arc<dyn Source>, rows: &[u32], threads: usize) -> Result<Vec<Small>> {
    let [height, width, channels] = source.slots()[0].shape[..] else { return Ok(Vec::new()) };
    let basis = basis();
    let of_part = |rows: &[u32]| -> Result<Vec<Small>> {
        let (mut batch, mut found) = (Batch::new(), Vec::with_capacity(rows.len()));
        for rows in rows.chunks(BATCH) {
            source.fill(rows, Pass::Evaluate, &mut batch)?;
            let Some(Array::U8(pixels)) = batch.inputs.first() else { continue };
            for (&row, pixels) in batch.rows.iter().zip(pixels.chunks_exact(height * width * channels)) {
                found.extend(shrunk(row, pixels, [height, width, channels], &basis));
            }
        }
        Ok(found)
    };
    let of_part = &of_part;
    let parts: Vec<&[u32]> = rows.chunks(rows.len().div_ceil(threads.max(1)).max(1)).collect();
    let found = std::thread::scope(|scope| {
        let handles: Vec<_> = parts.into_iter().map(|part| scope.spawn(move || of_part(part))).collect();
        handles
            .into_iter()
            .map(|handle| handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect::<Result<Vec<_>>>()
    })?;
    Ok(found.into_iter().flatten().collect())
}

/// Cosines of the lowest frequencies, `[LOWEST, SIDE]`.
fn basis() -> Vec<f32> {
    let angle = |k: usize, x: usize| std::f64::consts::PI * k as f64 * (x as f64 + 0.5) / SIDE as f64;
    (0..LOWEST * SIDE).map(|place| angle(place / SIDE, place % SIDE).cos() as f32).collect()
}

fn shrunk(row: u32, pixels: &[u8], [height, width, channels]: [usize; 3], basis: &[f32]) -> Option<Small> {
    let part = |number: usize, side: usize| {
        let begin = (number * side / SIDE).min(side - 1);
        begin..((number + 1) * side / SIDE).clamp(begin + 1, side)
    };
    let mut values = Vec::with_capacity(SIDE * SIDE);
    for place in 0..SIDE * SIDE {
        let (rows, columns) = (part(place / SIDE, height), part(place % SIDE, width));
        let count = rows.len() * columns.len() * channels;
        let sum: u64 = rows
            .map(|y| &pixels[(y * width + columns.start) * channels..(y * width + columns.end) * channels])
            .flat_map(|row| row.iter().map(|&value| u64::from(value)))
            .sum();
        values.push(sum as f32 / count as f32);
    }
    let mean = values.iter().sum::<f32>() / values.len() as f32;
    values.iter_mut().for_each(|value| *value -= mean);
    let length = values.iter().map(|value| value * value).sum::<f32>().sqrt();
    // One colour all over, but for noise: it has nothing to be recognised by.
    if length < SIDE as f32 {
        return None;
    }
    values.iter_mut().for_each(|value| *value /= length);
    // The cosine transform along rows, then along columns.
    let mut half = vec![0.0; LOWEST * SIDE];
    for y in 0..SIDE {
        for k in 0..LOWEST {
            half[y * LOWEST + k] = (0..SIDE).map(|x| values[y * SIDE + x] * basis[k * SIDE + x]).sum();
        }
    }
    let mut waves = vec![0.0_f32; LOWEST * LOWEST];
    for l in 0..LOWEST {
        for k in 0..LOWEST {
            waves[l * LOWEST + k] = (0..SIDE).map(|y| half[y * LOWEST + k] * basis[l * SIDE + y]).sum();
        }
    }
    let signs = waves.iter().enumerate().fold(0, |signs, (bit, &wave)| signs | u64::from(wave > 0.0) << bit);
    Some(Small { row, signs, values })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(noise: u8) -> Vec<u8> {
        let mut state = 7_u32;
        (0..32 * 32)
            .map(|place| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let (y, x) = (place / 32, place % 32);
                (if (x + y) % 20 < 8 || x * y > 400 { 200 } else { 30 }) + (state >> 24) as u8 % (noise + 1)
            })
            .collect()
    }

    #[test]
    fn noise_changes_few_signs_and_another_picture_many() {
        let basis = basis();
        let of = |pixels: &[u8]| shrunk(0, pixels, [32, 32, 1], &basis).unwrap();
        let (own, near) = (of(&picture(0)), of(&picture(20)));
        assert!((own.signs ^ near.signs).count_ones() <= MOST_SIGNS / 2);
        assert!(distance(&own, &near) < 0.1, "{}", distance(&own, &near));
        let turned: Vec<u8> = picture(0).into_iter().rev().collect();
        assert!((own.signs ^ of(&turned).signs).count_ones() > MOST_SIGNS);
        assert!(shrunk(0, &[9; 1024], [32, 32, 1], &basis).is_none(), "one colour");
    }

    #[test]
    fn the_dimension_of_uniform_points_is_found() {
        let mut state = 1_u64;
        let mut uniform = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1_u64 << 24) as f32
        };
        for wanted in [2, 5] {
            let points: Vec<Vec<f32>> = (0..1200).map(|_| (0..wanted).map(|_| uniform()).collect()).collect();
            let distances: Vec<Vec<f32>> = points[..200]
                .iter()
                .map(|a| {
                    let far = |b: &Vec<f32>| a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt();
                    let mut found: Vec<f32> = points[200..].iter().map(far).collect();
                    found.sort_by(f32::total_cmp);
                    found.truncate(NEIGHBOUR);
                    found
                })
                .collect();
            let found = dimension(&distances).unwrap();
            assert!((found / f64::from(wanted) - 1.0).abs() < 0.25, "{wanted}: {found}");
        }
    }
}
