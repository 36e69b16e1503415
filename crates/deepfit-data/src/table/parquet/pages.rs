//! The pages of one column of a row group, decoded one after the other as their values are asked for.

use super::super::codec::Codec;
use super::super::columns::{Column, Texts, Typed};
use super::encodings::{beginnings_shared, bits, deltas, hybrid, lengths_first, plain_bytes, streams};
use super::schema::{Leaf, Nature, Physical};
use super::thrift::{Fields, read};

/// Values of a page are no more than this: a few damaged bytes could stand for very many.
const MOST: usize = 1 << 27;

/// What is wrong with a page.
pub(super) type Result<T> = std::result::Result<T, String>;

/// A column of a row group.
pub(super) struct Chunk {
    leaf: Leaf,
    codec: Codec,
    /// Its pages, as they are in the file.
    bytes: Vec<u8>,
    at: usize,
    dictionary: Option<Typed>,
    /// Values that were decoded, and how many of them were given away.
    decoded: Column,
    given: usize,
    /// Values that were not decoded yet.
    left: usize,
}

/// What the head of a page of values says.
struct Data<'a> {
    count: usize,
    encoding: i64,
    /// Whether each value is there.
    valid: Vec<bool>,
    values: &'a [u8],
}

impl Chunk {
    pub(super) fn new(leaf: Leaf, codec: Codec, bytes: Vec<u8>, rows: usize) -> Chunk {
        let decoded = Column { valid: Vec::new(), values: Typed::Nulls(0), meaning: leaf.meaning };
        Chunk { leaf, codec, bytes, at: 0, dictionary: None, decoded, given: 0, left: rows }
    }

    pub(super) fn name(&self) -> &str {
        &self.leaf.name
    }

    /// The next values.
    ///
    /// # Errors
    /// If a page is damaged, or there are too few.
    pub(super) fn take(&mut self, rows: usize) -> Result<Column> {
        while self.decoded.len() - self.given < rows {
            self.decoded = self.decoded.slice(self.given..self.decoded.len());
            self.given = 0;
            self.decode()?;
        }
        let begin = self.given;
        self.given += rows;
        Ok(self.decoded.slice(begin..self.given))
    }

    fn decode(&mut self) -> Result<()> {
        let damaged = || "a page is cut off".to_string();
        if self.left == 0 {
            return Err("there are fewer values than rows".to_string());
        }
        let head = read(&self.bytes, &mut self.at).ok_or_else(damaged)?;
        let (whole, length) = (head.size(2).ok_or_else(damaged)?, head.size(3).ok_or_else(damaged)?);
        let begin = self.at;
        let end = begin.checked_add(length).ok_or_else(damaged)?;
        let page = self.bytes.get(begin..end).ok_or_else(damaged)?;
        self.check(&head, page)?;
        match (head.int(1), head.structure(5), head.structure(7), head.structure(8)) {
            (Some(0), Some(data), _, _) => {
                let page = self.codec.uncompress(page, whole)?;
                let count = data.size(1).filter(|&count| count <= self.left.min(MOST)).ok_or_else(damaged)?;
                let mut values = &page[..];
                let mut valid = vec![true; count];
                if self.leaf.optional {
                    let levels;
                    (levels, values) = match data.int(3) {
                        // A bit for each, the highest first.
                        Some(4) => {
                            let (levels, values) = values.split_at_checked(count.div_ceil(8)).ok_or_else(damaged)?;
                            ((0..count).map(|i| u32::from(levels[i / 8] >> (7 - i % 8) & 1)).collect(), values)
                        }
                        _ => {
                            let length = u32::from_le_bytes(*values.first_chunk().ok_or_else(damaged)?) as usize;
                            let (levels, values) = values[4..].split_at_checked(length).ok_or_else(damaged)?;
                            (hybrid(levels, 1, count).ok_or_else(damaged)?, values)
                        }
                    };
                    valid = levels.iter().map(|&level| level == 1).collect();
                }
                let data = Data { count, encoding: data.int(2).unwrap_or(-1), valid, values };
                let column = self.values(data)?;
                self.add(column, count)?;
            }
            (Some(3), _, _, Some(data)) => {
                let count = data.size(1).filter(|&count| count <= self.left.min(MOST)).ok_or_else(damaged)?;
                let (of_levels, of_repeats) = (data.size(5).unwrap_or(0), data.size(6).unwrap_or(0));
                let levels = of_repeats.checked_add(of_levels).and_then(|end| page.get(of_repeats..end));
                let levels = levels.ok_or_else(damaged)?;
                let rest = &page[of_repeats + of_levels..];
                let length = whole.checked_sub(of_repeats + of_levels).ok_or_else(damaged)?;
                let compressed = data.bool(7) != Some(false) && !rest.is_empty();
                let values = if compressed { self.codec.uncompress(rest, length)? } else { rest.to_vec() };
                let valid = match self.leaf.optional {
                    true => hybrid(levels, 1, count).ok_or_else(damaged)?.iter().map(|&level| level == 1).collect(),
                    false => vec![true; count],
                };
                let data = Data { count, encoding: data.int(4).unwrap_or(-1), valid, values: &values };
                let column = self.values(data)?;
                self.add(column, count)?;
            }
            (Some(2), _, Some(dictionary), _) => {
                let page = self.codec.uncompress(page, whole)?;
                let count = dictionary.size(1).ok_or_else(damaged)?;
                self.dictionary = Some(self.plain(&page, count)?);
            }
            // Pages of an index, or of a kind that is not known, which must be passed over.
            _ => {}
        }
        self.at = end;
        Ok(())
    }

    /// Holds a page against its checksum, where there is one.
    fn check(&self, head: &Fields<'_>, page: &[u8]) -> Result<()> {
        let Some(expected) = head.int(4) else { return Ok(()) };
        let mut sum = flate2::Crc::new();
        sum.update(page);
        if sum.sum() == expected as u32 { Ok(()) } else { Err("a page does not have its checksum".to_string()) }
    }

    fn add(&mut self, column: Column, count: usize) -> Result<()> {
        self.left -= count;
        self.decoded.append(column).ok_or_else(|| "its pages are of different types".to_string())
    }

    /// The values of a page, spread over its rows.
    fn values(&self, data: Data<'_>) -> Result<Column> {
        let Data { count, encoding, valid, values } = data;
        let present = valid.iter().filter(|&&valid| valid).count();
        let damaged = || "a page has too few values".to_string();
        let typed = match encoding {
            _ if present == 0 => self.plain(&[], 0)?,
            0 => self.plain(values, present)?,
            2 | 8 => {
                let (&width, values) = values.split_first().ok_or_else(damaged)?;
                let places = hybrid(values, u32::from(width), present).ok_or_else(damaged)?;
                let dictionary = self.dictionary.as_ref().ok_or("a page needs a dictionary that is not there")?;
                dictionary.select(&places).ok_or("a page asks for what its dictionary does not have")?
            }
            3 if self.leaf.physical == Physical::Boolean => {
                let values = values.get(4..).ok_or_else(damaged)?;
                let values = hybrid(values, 1, present).ok_or_else(damaged)?;
                Typed::Booleans(values.into_iter().map(|value| value == 1).collect())
            }
            5 => self.integers(deltas(values, &mut 0, present).ok_or_else(damaged)?)?,
            6 => self.bytes(lengths_first(values, 0, present).ok_or_else(damaged)?.into_iter())?,
            7 => {
                let all = beginnings_shared(values, present).ok_or_else(damaged)?;
                self.bytes(all.iter().map(Vec::as_slice))?
            }
            9 => {
                let width = match self.leaf.physical {
                    Physical::Int32 | Physical::Float => 4,
                    Physical::Int64 | Physical::Double => 8,
                    Physical::Fixed(length) => length,
                    _ => return Err("its values cannot be split into streams".to_string()),
                };
                self.plain(&streams(values, width, present).ok_or_else(damaged)?, present)?
            }
            other => return Err(format!("its encoding, number {other}, is not known")),
        };
        if typed.len() != present {
            return Err(damaged());
        }
        let typed = typed.spread(&valid).ok_or_else(damaged)?;
        debug_assert_eq!(typed.len(), count);
        Ok(Column { valid, values: typed, meaning: self.leaf.meaning })
    }

    /// Values as they are.
    fn plain(&self, bytes: &[u8], count: usize) -> Result<Typed> {
        let damaged = || "a page has too few values".to_string();
        let fixed = |width: usize| {
            let bytes = count.checked_mul(width).and_then(|length| bytes.get(..length)).ok_or_else(damaged)?;
            Ok::<_, String>(bytes.chunks_exact(width))
        };
        match self.leaf.physical {
            Physical::Boolean => Ok(Typed::Booleans(bits(bytes, count).ok_or_else(damaged)?)),
            Physical::Int32 => {
                self.integers(fixed(4)?.map(|b| i64::from(i32::from_le_bytes([b[0], b[1], b[2], b[3]]))).collect())
            }
            Physical::Int64 => self.integers(fixed(8)?.map(|b| i64::from_le_bytes(eight(b))).collect()),
            Physical::Int96 => {
                // The day is counted as astronomers do (Julian day).
                const DAY: i64 = 86_400_000_000_000;
                let moment = |b: &[u8]| {
                    let day = i64::from(u32::from_le_bytes([b[8], b[9], b[10], b[11]])) - 2_440_588;
                    day.wrapping_mul(DAY).wrapping_add(i64::from_le_bytes(eight(b)))
                };
                Ok(Typed::Integers(fixed(12)?.map(moment).collect()))
            }
            Physical::Float => {
                Ok(Typed::Singles(fixed(4)?.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()))
            }
            Physical::Double => Ok(Typed::Doubles(fixed(8)?.map(|b| f64::from_le_bytes(eight(b))).collect())),
            Physical::Bytes => self.bytes(plain_bytes(bytes, count).ok_or_else(damaged)?.into_iter()),
            Physical::Fixed(width) => self.bytes(fixed(width)?),
        }
    }

    fn integers(&self, values: Vec<i64>) -> Result<Typed> {
        Ok(match (self.leaf.nature, self.leaf.physical) {
            (Nature::Unsigned, Physical::Int32) => {
                Typed::Unsigned(values.into_iter().map(|value| u64::from(value as u32)).collect())
            }
            (Nature::Unsigned, Physical::Int64) => {
                Typed::Unsigned(values.into_iter().map(|value| value as u64).collect())
            }
            (_, Physical::Int32) => Typed::Integers(values.into_iter().map(|value| i64::from(value as i32)).collect()),
            (_, Physical::Int64) => Typed::Integers(values),
            _ => return Err("its values are stored as whole numbers, which they are not".to_string()),
        })
    }

    fn bytes<'b>(&self, values: impl Iterator<Item = &'b [u8]>) -> Result<Typed> {
        match self.leaf.nature {
            Nature::Text => {
                let mut texts = Texts::default();
                for value in values {
                    texts.push(std::str::from_utf8(value).map_err(|_| {
                        "it holds bytes that are not UTF-8 text; write the table without it, or as text".to_string()
                    })?);
                }
                Ok(Typed::Texts(texts))
            }
            Nature::Decimal => Ok(Typed::Wide(values.map(wide).collect::<Option<_>>().ok_or("a number is too long")?)),
            Nature::Half => Ok(Typed::Singles(values.map(half).collect())),
            Nature::Uuid => {
                let mut texts = Texts::default();
                for value in values {
                    texts.push(&value.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
                }
                Ok(Typed::Texts(texts))
            }
            Nature::Same | Nature::Unsigned => Err("its values are stored as bytes, which they are not".to_string()),
        }
    }
}

fn eight(bytes: &[u8]) -> [u8; 8] {
    let mut out = [0; 8];
    out.copy_from_slice(&bytes[..8]);
    out
}

/// A number in two's complement, the highest byte first, of 16 bytes at most.
fn wide(bytes: &[u8]) -> Option<i128> {
    let negative = bytes.first().is_some_and(|byte| *byte >= 0x80);
    // Longer ones may begin with bytes that say nothing but the sign.
    let filler = if negative { 0xFF } else { 0 };
    let cut = bytes.len().saturating_sub(16);
    if bytes[..cut].iter().any(|&byte| byte != filler) || (cut > 0 && (bytes[cut] >= 0x80) != negative) {
        return None;
    }
    Some(bytes[cut..].iter().fold(if negative { -1 } else { 0 }, |value, &byte| value << 8 | i128::from(byte)))
}

/// A number of 16 bits.
pub(in super::super) fn half(bytes: &[u8]) -> f32 {
    let bits = u16::from_le_bytes([bytes[0], bytes[1]]);
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023));
    let size = match exponent {
        0 => fraction * 2_f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1024.0 + fraction) * 2_f32.powi(exponent - 25),
    };
    if bits >= 0x8000 { -size } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_length_keep_their_sign() {
        assert_eq!(wide(&[]), Some(0));
        assert_eq!(wide(&[0xFF, 0xFE]), Some(-2));
        assert_eq!(wide(&[0x00, 0x80]), Some(128));
        assert_eq!(wide(&[[0xFF; 20].as_slice(), &[0x80]].concat()), Some(-128));
        assert_eq!(wide(&[1; 17]), None);
        for (bits, value) in [(0x3C00, 1.0), (0xC000, -2.0), (0x3555, 0.333_251_95), (0x0001, 5.960_464_5e-8)] {
            assert_eq!(half(&u16::to_le_bytes(bits)), value);
        }
    }
}
