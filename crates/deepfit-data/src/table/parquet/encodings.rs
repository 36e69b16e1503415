//! How Parquet writes rows of numbers and texts. `None` stands for damaged bytes throughout.

use super::thrift::{varint, zigzag};

/// So many numbers of `width` bits each, the lowest bit first.
fn unpack(bytes: &[u8], width: u32, count: usize, out: &mut Vec<u64>) -> Option<()> {
    if bytes.len() < (count * width as usize).div_ceil(8) {
        return None;
    }
    let mask = if width == 64 { u64::MAX } else { (1 << width) - 1 };
    let (mut held, mut bits, mut next) = (0_u128, 0, bytes.iter());
    for _ in 0..count {
        while bits < width {
            held |= u128::from(*next.next()?) << bits;
            bits += 8;
        }
        out.push(held as u64 & mask);
        held >>= width;
        bits -= width;
    }
    Some(())
}

/// So many numbers of `width` bits, at most 32, in runs of one number and groups of eight.
pub(super) fn hybrid(bytes: &[u8], width: u32, count: usize) -> Option<Vec<u32>> {
    let (mut out, mut at, mut group) = (Vec::new(), 0, Vec::new());
    if width > 32 {
        return None;
    }
    while out.len() < count {
        let head = varint(bytes, &mut at)?;
        let wanted = count - out.len();
        let of_head = usize::try_from(head >> 1).ok()?;
        if head & 1 == 0 {
            let length = width.div_ceil(8) as usize;
            let value = bytes.get(at..at + length)?.iter().rev().fold(0, |value, &byte| value << 8 | u32::from(byte));
            at += length;
            out.extend(std::iter::repeat_n(value, of_head.min(wanted)));
        } else {
            let numbers = of_head.checked_mul(8)?.min(wanted);
            group.clear();
            unpack(bytes.get(at..)?, width, numbers, &mut group)?;
            out.extend(group.iter().map(|&value| value as u32));
            at = at.checked_add(of_head.checked_mul(width as usize)?)?;
        }
    }
    Some(out)
}

/// Truth values, a bit each.
pub(super) fn bits(bytes: &[u8], count: usize) -> Option<Vec<bool>> {
    (bytes.len() >= count.div_ceil(8)).then(|| (0..count).map(|i| bytes[i / 8] >> (i % 8) & 1 == 1).collect())
}

/// Numbers by their differences, at most `most`; `at` is moved behind them.
pub(super) fn deltas(bytes: &[u8], at: &mut usize, most: usize) -> Option<Vec<i64>> {
    let size = |at: &mut usize| usize::try_from(varint(bytes, at)?).ok();
    let (block, parts, total) = (size(at)?, size(at)?, size(at)?);
    let mut value = zigzag(bytes, at)?;
    if total > most || parts == 0 || parts > block || block > 1 << 20 {
        return None;
    }
    let each = block / parts;
    let mut out = Vec::new();
    if total > 0 {
        out.push(value);
    }
    let mut differences = Vec::new();
    while out.len() < total {
        let least = zigzag(bytes, at)?;
        let widths = bytes.get(*at..at.checked_add(parts)?)?;
        *at += parts;
        for &width in widths {
            if out.len() == total {
                break;
            }
            let width = u32::from(width);
            if width > 64 {
                return None;
            }
            // The last part is filled up with what stands for nothing.
            differences.clear();
            unpack(bytes.get(*at..)?, width, each.min(total - out.len()), &mut differences)?;
            *at = at.checked_add((each * width as usize).div_ceil(8))?;
            for &difference in &differences {
                value = value.wrapping_add(least).wrapping_add(difference as i64);
                out.push(value);
            }
        }
    }
    Some(out)
}

/// Texts or numbers of any length, each behind its length.
pub(super) fn plain_bytes(bytes: &[u8], count: usize) -> Option<Vec<&[u8]>> {
    let (mut out, mut at) = (Vec::new(), 0);
    for _ in 0..count {
        let length = u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize;
        at += 4;
        out.push(bytes.get(at..at.checked_add(length)?)?);
        at += length;
    }
    Some(out)
}

/// The same, behind all their lengths.
pub(super) fn lengths_first(bytes: &[u8], mut at: usize, count: usize) -> Option<Vec<&[u8]>> {
    let lengths = deltas(bytes, &mut at, count)?;
    let mut out = Vec::new();
    for length in lengths {
        let end = at.checked_add(usize::try_from(length).ok()?)?;
        out.push(bytes.get(at..end)?);
        at = end;
    }
    Some(out)
}

/// The same, each without the beginning that it shares with the one before.
pub(super) fn beginnings_shared(bytes: &[u8], count: usize) -> Option<Vec<Vec<u8>>> {
    /// Bytes of a page are no more than this: a few damaged ones could stand for very many.
    const MOST: usize = 1 << 31;
    let mut at = 0;
    let shared = deltas(bytes, &mut at, count)?;
    let rest = lengths_first(bytes, at, count)?;
    let (mut out, mut all) = (Vec::<Vec<u8>>::new(), 0);
    for (shared, rest) in shared.into_iter().zip(rest) {
        let shared = usize::try_from(shared).ok()?;
        let mut text = match out.last() {
            Some(before) => before.get(..shared)?.to_vec(),
            None if shared == 0 => Vec::new(),
            None => return None,
        };
        text.extend_from_slice(rest);
        all += text.len();
        if all > MOST {
            return None;
        }
        out.push(text);
    }
    Some(out)
}

/// Numbers of `width` bytes, of which all first bytes come first, then all second ones.
pub(super) fn streams(bytes: &[u8], width: usize, count: usize) -> Option<Vec<u8>> {
    let bytes = bytes.get(..count.checked_mul(width)?)?;
    Some((0..count * width).map(|i| bytes[i % width * count + i / width]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_and_groups_of_the_format_description_are_read() {
        // The numbers 0 to 7 in three bits each, as the description of the format has them.
        assert_eq!(hybrid(&[0x03, 0x88, 0xC6, 0xFA], 3, 8).unwrap(), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(hybrid(&[0x08, 0x05, 0x04, 0x01], 3, 6).unwrap(), [5, 5, 5, 5, 1, 1]);
        assert_eq!(hybrid(&[0x08], 0, 4).unwrap(), [0; 4]);
        assert!(hybrid(&[0x03, 0x88], 3, 8).is_none());
        assert!(hybrid(&[], 3, 1).is_none());
    }

    #[test]
    fn differences_of_the_format_description_are_read() {
        // 7, 5, 3, 1, 2, 3, 4, 5: the least difference is -2, the others are 0, 0, 0, 3, 3, 3, 3 in two bits each.
        let bytes = [0x80, 0x01, 0x04, 0x08, 0x0E, 0x03, 2, 0, 0, 0, 0xC0, 0x3F, 0, 0, 0, 0, 0, 0];
        let mut at = 0;
        assert_eq!(deltas(&bytes, &mut at, 8).unwrap(), [7, 5, 3, 1, 2, 3, 4, 5]);
        assert_eq!(at, bytes.len());
        assert!(deltas(&bytes, &mut 0, 7).is_none(), "more than there may be");
    }
}
