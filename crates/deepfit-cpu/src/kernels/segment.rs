//! Bags of rows: which bag a position belongs to, and the largest element of each bag. All exact.

use super::Compute;
use crate::error::Error;
use crate::pool::SharedMut;

/// Columns that one task takes.
const COLUMNS: usize = 32;

/// The bag of each position, -1 for the padding row number: with offsets, bag `b` begins at `offsets[b]`; without, all
/// bags have `length` positions.
///
/// # Errors
/// [`Error::Length`] if the offsets do not ascend from 0 to at most the number of positions, [`Error::NoBag`] if there are
/// positions but no offset.
pub fn bag_numbers(
    numbers: &[i32],
    offsets: Option<&[i32]>,
    length: usize,
    padding: Option<usize>,
    bags: &mut [i32],
) -> Result<(), Error> {
    assert_eq!(numbers.len(), bags.len());
    match offsets {
        Some(offsets) => {
            let mut least = 0;
            for (position, &offset) in offsets.iter().enumerate() {
                let most = if position == 0 { 0 } else { numbers.len() };
                if offset < 0 || !(least..=most).contains(&(offset as usize)) {
                    return Err(Error::Length { what: "offset", position, length: offset, least, most });
                }
                least = offset as usize;
            }
            for (bag, &start) in offsets.iter().enumerate() {
                let end = offsets.get(bag + 1).map_or(numbers.len(), |&end| end as usize);
                bags[start as usize..end].fill(bag as i32);
            }
            if offsets.is_empty() && !numbers.is_empty() {
                return Err(Error::NoBag { numbers: numbers.len() });
            }
        }
        None => bags.iter_mut().enumerate().for_each(|(i, bag)| *bag = (i / length) as i32),
    }
    if let Some(padding) = padding {
        for (bag, _) in bags.iter_mut().zip(numbers).filter(|(_, n)| **n >= 0 && **n as usize == padding) {
            *bag = -1;
        }
    }
    Ok(())
}

/// The largest element of each bag in each column, 0 for a bag without rows, and its row, -1 for none. Rows of bag -1 do
/// not count; of equal elements the first does; NaN is larger than every number.
///
/// # Errors
/// [`Error::IndexOutOfRange`], before anything is written.
pub fn segment_max(
    cx: &Compute,
    ids: &[i32],
    rows: &[f32],
    width: usize,
    values: &mut [f32],
    from: &mut [i32],
) -> Result<(), Error> {
    assert!(rows.len() == ids.len() * width && values.len() == from.len());
    if width == 0 {
        return Ok(());
    }
    let bags = values.len() / width;
    if let Some(position) = ids.iter().position(|&id| id < -1 || id >= bags as i32) {
        return Err(Error::IndexOutOfRange { index: ids[position], position, rows: bags });
    }
    let (values, from) = (SharedMut::new(values), SharedMut::new(from));
    cx.pool.run(width.div_ceil(COLUMNS), &|task, _| {
        let first = task * COLUMNS;
        let columns = COLUMNS.min(width - first);
        // SAFETY: each task has columns of its own, and takes one row's part at a time.
        let part = |bag: usize| unsafe {
            (values.slice(bag * width + first, columns), from.slice(bag * width + first, columns))
        };
        for bag in 0..bags {
            let (values, from) = part(bag);
            values.fill(0.0);
            from.fill(-1);
        }
        for (row, &id) in ids.iter().enumerate().filter(|(_, id)| **id >= 0) {
            let (values, from) = part(id as usize);
            for (j, &x) in rows[row * width + first..][..columns].iter().enumerate() {
                let known = values[j];
                if from[j] < 0 || x > known || (x.is_nan() && !known.is_nan()) {
                    (values[j], from[j]) = (x, row as i32);
                }
            }
        }
    });
    Ok(())
}

/// Gradient of [`segment_max`]: each element's gradient in the row that it came from.
pub fn segment_max_backward(from: &[i32], dy: &[f32], width: usize, drows: &mut [f32]) {
    assert_eq!(from.len(), dy.len());
    drows.fill(0.0);
    for (i, (&row, &dy)) in from.iter().zip(dy).enumerate().filter(|(_, (row, _))| **row >= 0) {
        drows[row as usize * width + i % width] += dy;
    }
}
