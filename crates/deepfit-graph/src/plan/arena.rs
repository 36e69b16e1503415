//! Offsets in the arena: large buffers first, each at the lowest place that is free for as long as it lives.
//!
//! Greedy by size, as described by Pisarchyk and Lee, "Efficient memory management for deep neural net inference", 2020.
//! That compares each buffer with all before it, so that of very many the smaller ones get a part of the arena of their own,
//! which is given out and taken back in the order of time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::ALIGNMENT;
use super::lifetime::Buffer;

/// As many buffers, the largest ones, are compared with each other.
const MOST_COMPARED: usize = 8192;

/// Offset of each buffer, and the bytes of the arena; `usize::MAX` if these are more.
pub(super) fn place(buffers: &[Buffer]) -> (Vec<usize>, usize) {
    place_comparing(buffers, MOST_COMPARED)
}

fn place_comparing(buffers: &[Buffer], most: usize) -> (Vec<usize>, usize) {
    let mut by_size: Vec<usize> = (0..buffers.len()).collect();
    by_size.sort_by_key(|&i| (Reverse(padded(&buffers[i])), buffers[i].start));
    let (large, small) = by_size.split_at(most.min(buffers.len()));
    let mut offsets = vec![0usize; buffers.len()];
    let total = place_by_size(buffers, large, &mut offsets);
    let total = total.saturating_add(place_by_time(buffers, small, total, &mut offsets));
    (offsets, total)
}

fn padded(buffer: &Buffer) -> usize {
    buffer.size.next_multiple_of(ALIGNMENT)
}

/// Places buffers in the given order, each at the lowest place that is free for as long as it lives.
fn place_by_size(buffers: &[Buffer], order: &[usize], offsets: &mut [usize]) -> usize {
    // Placed buffers, ordered by offset.
    let mut placed: Vec<usize> = Vec::with_capacity(order.len());
    let mut total: usize = 0;
    for &i in order {
        let buffer = &buffers[i];
        let mut offset: usize = 0;
        for &other in &placed {
            let o = &buffers[other];
            let overlaps_in_time = o.start <= buffer.end && buffer.start <= o.end;
            if overlaps_in_time {
                if offset.saturating_add(padded(buffer)) <= offsets[other] {
                    break;
                }
                offset = offset.max(offsets[other].saturating_add(padded(o)));
            }
        }
        offsets[i] = offset;
        total = total.max(offset.saturating_add(padded(buffer)));
        let at = placed.partition_point(|&p| offsets[p] <= offset);
        placed.insert(at, i);
    }
    total
}

/// Places buffers behind `base` as an allocator would that meets them in the order of time; gives the bytes of this part.
fn place_by_time(buffers: &[Buffer], which: &[usize], base: usize, offsets: &mut [usize]) -> usize {
    let mut by_start = which.to_vec();
    by_start.sort_by_key(|&i| (buffers[i].start, i));
    // Free stretches by offset, and what is in use by its last step.
    let mut free: BTreeMap<usize, usize> = BTreeMap::new();
    let mut in_use: BinaryHeap<Reverse<(usize, usize)>> = BinaryHeap::new();
    let mut total: usize = 0;
    for i in by_start {
        while let Some(&Reverse((end, other))) = in_use.peek()
            && end < buffers[i].start
        {
            in_use.pop();
            give_back(&mut free, offsets[other] - base, padded(&buffers[other]));
        }
        let size = padded(&buffers[i]);
        let at = match free.iter().find(|(_, length)| **length >= size).map(|(&at, &length)| (at, length)) {
            Some((at, length)) => {
                free.remove(&at);
                if length > size {
                    free.insert(at + size, length - size);
                }
                at
            }
            None => {
                let end = total;
                total = total.saturating_add(size);
                end
            }
        };
        offsets[i] = base.saturating_add(at);
        in_use.push(Reverse((buffers[i].end, i)));
    }
    total
}

/// Makes a stretch free, as one with free neighbours.
fn give_back(free: &mut BTreeMap<usize, usize>, mut at: usize, mut length: usize) {
    if let Some(next) = free.remove(&(at + length)) {
        length += next;
    }
    if let Some((&before, &size)) = free.range(..at).next_back()
        && before + size == at
    {
        free.remove(&before);
        (at, length) = (before, length + size);
    }
    free.insert(at, length);
}

#[cfg(test)]
mod tests {
    use super::super::lifetime::Owner;
    use super::*;

    fn buffer(size: usize, start: usize, end: usize) -> Buffer {
        Buffer { owners: vec![Owner::Scratch(0)], size, start, end }
    }

    #[test]
    fn buffers_that_live_together_do_not_overlap() {
        let mut buffers = Vec::new();
        for i in 0..200usize {
            let start = (i * 7919) % 97;
            buffers.push(buffer(1 + (i * 104_729) % 5000, start, start + (i * 31) % 20));
        }
        let bound: usize = buffers.iter().map(padded).sum();
        for most in [0, 3, 100, 1000] {
            check(&buffers, most, bound / 3);
        }
    }

    fn check(buffers: &[Buffer], most: usize, bound: usize) {
        let (offsets, total) = place_comparing(buffers, most);
        let mut largest = 0;
        for (a, x) in buffers.iter().enumerate() {
            assert_eq!(offsets[a] % ALIGNMENT, 0);
            largest = largest.max(offsets[a] + x.size);
            for (b, y) in buffers.iter().enumerate().skip(a + 1) {
                let together = x.start <= y.end && y.start <= x.end;
                let apart = offsets[a] + x.size <= offsets[b] || offsets[b] + y.size <= offsets[a];
                assert!(!together || apart, "{x:?} at {} and {y:?} at {}", offsets[a], offsets[b]);
            }
        }
        assert!(total >= largest && total <= bound, "{total} bytes with {most} compared");
    }

    #[test]
    fn a_chain_needs_two_buffers() {
        let chain: Vec<Buffer> = (0..10).map(|i| buffer(1024, i, i + 1)).collect();
        for most in [0, 100] {
            assert_eq!(place_comparing(&chain, most).1, 2048);
        }
    }
}
