//! Offsets in the arena: large buffers first, each at the lowest place that is free for as long as it lives.
//!
//! Greedy by size, as described by Pisarchyk and Lee, "Efficient memory management for deep neural net inference", 2020.

use super::ALIGNMENT;
use super::lifetime::Buffer;

/// Offset of each buffer, and the bytes of the arena; `usize::MAX` if these are more.
pub(super) fn place(buffers: &[Buffer]) -> (Vec<usize>, usize) {
    let padded = |buffer: &Buffer| buffer.size.next_multiple_of(ALIGNMENT);
    let mut by_size: Vec<usize> = (0..buffers.len()).collect();
    by_size.sort_by_key(|&i| (std::cmp::Reverse(padded(&buffers[i])), buffers[i].start));
    let mut offsets = vec![0usize; buffers.len()];
    // Placed buffers, ordered by offset.
    let mut placed: Vec<usize> = Vec::with_capacity(buffers.len());
    let mut total: usize = 0;
    for i in by_size {
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
    (offsets, total)
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
        let (offsets, total) = place(&buffers);
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
        assert!(total >= largest);
    }

    #[test]
    fn a_chain_needs_two_buffers() {
        let chain: Vec<Buffer> = (0..10).map(|i| buffer(1024, i, i + 1)).collect();
        assert_eq!(place(&chain).1, 2048);
    }
}
