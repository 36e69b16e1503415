//! The values of one batch of rows, decoded as they are asked for.

use std::ops::Range;

use super::super::codec::Codec;
use super::super::columns::{Column, Meaning, Texts, Typed};
use super::super::parquet::half;
use super::flat::Table;
use super::schema::Kind;

/// What is wrong with a batch.
pub(super) type Result<T> = std::result::Result<T, String>;

/// A column as it is stored.
pub(super) struct Stored {
    /// A bit for each value that is there; nothing where all are.
    valid: Vec<u8>,
    buffers: Vec<Vec<u8>>,
}

/// A batch of rows.
pub(super) struct Batch {
    pub(super) rows: usize,
    pub(super) columns: Vec<Stored>,
}

fn damaged() -> String {
    "a batch of rows is damaged".to_string()
}

fn number(bytes: &[u8]) -> i64 {
    bytes.try_into().map_or(0, i64::from_le_bytes)
}

/// Finds the columns of a batch, as its head says, in the bytes that follow it.
///
/// # Errors
/// If they are damaged.
pub(super) fn read(head: Table<'_>, body: &[u8], kinds: &[Kind]) -> Result<Batch> {
    let rows = usize::try_from(head.long(0).unwrap_or(0)).map_err(|_| damaged())?;
    let nodes = head.list(1, 16).unwrap_or_default();
    let mut places = head.list(2, 16).unwrap_or_default().into_iter();
    let mut further = head.list(4, 8).unwrap_or_default().into_iter();
    let codec = match head.table(3).map(|compression| compression.byte(0).unwrap_or(0)) {
        None => None,
        Some(0) => Some(Codec::Lz4Frame),
        Some(1) => Some(Codec::Zstd),
        Some(_) => {
            return Err("it is compressed in a way that is not known here; write it with lz4 or zstd".to_string());
        }
    };
    let mut next = || -> Result<Vec<u8>> {
        let place = places.next().ok_or_else(damaged)?;
        let (begin, length) = (usize::try_from(number(&place[..8])), usize::try_from(number(&place[8..])));
        let (Ok(begin), Ok(length)) = (begin, length) else { return Err(damaged()) };
        let bytes = begin.checked_add(length).and_then(|end| body.get(begin..end)).ok_or_else(damaged)?;
        match (codec, bytes.split_first_chunk::<8>()) {
            (Some(codec), Some((length, piece))) => match i64::from_le_bytes(*length) {
                // Some are shorter as they are.
                -1 => Ok(piece.to_vec()),
                length => codec.uncompress(piece, usize::try_from(length).map_err(|_| damaged())?),
            },
            _ => Ok(bytes.to_vec()),
        }
    };
    if nodes.len() != kinds.len() {
        return Err(damaged());
    }
    let mut columns = Vec::new();
    for (node, kind) in nodes.into_iter().zip(kinds) {
        if number(&node[..8]) != rows as i64 {
            return Err(damaged());
        }
        let count = match kind {
            Kind::Null => {
                columns.push(Stored { valid: Vec::new(), buffers: Vec::new() });
                continue;
            }
            Kind::Text(_) => 2,
            Kind::View => {
                let more = further.next().map_or(0, number);
                1 + usize::try_from(more).map_err(|_| damaged())?
            }
            Kind::Boolean | Kind::Integer { .. } | Kind::Float(_) => 1,
        };
        let valid = next()?;
        let valid = if number(&node[8..]) == 0 { Vec::new() } else { valid };
        let mut buffers = Vec::new();
        for _ in 0..count {
            buffers.push(next()?);
        }
        let stored = Stored { valid, buffers };
        stored.check(*kind, rows)?;
        columns.push(stored);
    }
    Ok(Batch { rows, columns })
}

fn bit(bytes: &[u8], at: usize) -> bool {
    bytes[at / 8] >> (at % 8) & 1 == 1
}

impl Stored {
    /// Refuses what has too few bytes for so many rows.
    fn check(&self, kind: Kind, rows: usize) -> Result<()> {
        let first = self.buffers[0].len();
        let needed = match kind {
            Kind::Null => Some(0),
            Kind::Boolean => Some(rows.div_ceil(8)),
            Kind::Integer { bytes, .. } | Kind::Float(bytes) => rows.checked_mul(bytes),
            // Without rows, places may be missing altogether.
            Kind::Text(_) if rows == 0 => Some(0),
            Kind::Text(bytes) => rows.checked_add(1).and_then(|places| places.checked_mul(bytes)),
            Kind::View => rows.checked_mul(16),
        };
        let fits = needed.is_some_and(|needed| first >= needed);
        if fits && (self.valid.is_empty() || self.valid.len() >= rows.div_ceil(8)) { Ok(()) } else { Err(damaged()) }
    }

    /// The values of some rows.
    ///
    /// # Errors
    /// If they are damaged.
    pub(super) fn decode(&self, kind: Kind, meaning: Meaning, rows: Range<usize>) -> Result<Column> {
        let valid: Vec<bool> = match (kind, &self.valid[..]) {
            (Kind::Null, _) => vec![false; rows.len()],
            (_, []) => vec![true; rows.len()],
            (_, bits) => rows.clone().map(|row| bit(bits, row)).collect(),
        };
        let fixed = |bytes: usize| self.buffers[0][rows.start * bytes..rows.end * bytes].chunks_exact(bytes);
        let values = match kind {
            Kind::Null => Typed::Nulls(rows.len()),
            Kind::Boolean => Typed::Booleans(rows.map(|row| bit(&self.buffers[0], row)).collect()),
            Kind::Integer { bytes: 8, signed: false } => {
                Typed::Unsigned(fixed(8).map(|bytes| number(bytes) as u64).collect())
            }
            Kind::Integer { bytes: bytes @ (16 | 32), .. } => {
                let each = fixed(bytes).zip(&valid).map(|(bytes, &valid)| if valid { wide(bytes) } else { Some(0) });
                Typed::Wide(each.collect::<Option<_>>().ok_or("a number is too long")?)
            }
            Kind::Integer { bytes, signed } => {
                let of = |bytes: &[u8]| {
                    let value = bytes.iter().rev().fold(0_i64, |value, &byte| value << 8 | i64::from(byte));
                    let unused = 64 - 8 * bytes.len() as u32;
                    // The sign is brought to all higher bits.
                    if signed { value << unused >> unused } else { value }
                };
                Typed::Integers(fixed(bytes).map(of).collect())
            }
            Kind::Float(2) => Typed::Singles(fixed(2).map(half).collect()),
            Kind::Float(4) => Typed::Singles(fixed(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()),
            Kind::Float(_) => Typed::Doubles(fixed(8).map(|bytes| f64::from_bits(number(bytes) as u64)).collect()),
            Kind::Text(_) | Kind::View => {
                let mut texts = Texts::default();
                for (row, &valid) in rows.zip(&valid) {
                    let bytes = match (valid, kind) {
                        (false, _) => Some(&[][..]),
                        (true, Kind::View) => self.viewed(row),
                        (true, _) => self.behind_places(row, if kind == Kind::Text(4) { 4 } else { 8 }),
                    };
                    let text = std::str::from_utf8(bytes.ok_or_else(damaged)?);
                    texts.push(text.map_err(|_| {
                        "it holds bytes that are not UTF-8 text; write the table without it, or as text".to_string()
                    })?);
                }
                Typed::Texts(texts)
            }
        };
        Ok(Column { valid, values, meaning })
    }

    fn behind_places(&self, row: usize, width: usize) -> Option<&[u8]> {
        let place = |row: usize| {
            let bytes = self.buffers[0].get(row * width..(row + 1) * width)?;
            if width == 8 {
                usize::try_from(number(bytes)).ok()
            } else {
                Some(u32::from_le_bytes(bytes.try_into().ok()?) as usize)
            }
        };
        self.buffers[1].get(place(row)?..place(row + 1)?)
    }

    fn viewed(&self, row: usize) -> Option<&[u8]> {
        let view = self.buffers[0].get(16 * row..16 * (row + 1))?;
        let part = |at: usize| Some(u32::from_le_bytes(view.get(at..at + 4)?.try_into().ok()?) as usize);
        let length = part(0)?;
        if length <= 12 {
            return view.get(4..4 + length);
        }
        let begin = part(12)?;
        self.buffers.get(part(8)?.checked_add(1)?)?.get(begin..begin.checked_add(length)?)
    }
}

/// A number in two's complement, the lowest byte first, of 16 bytes at most beside what says nothing but the sign.
fn wide(bytes: &[u8]) -> Option<i128> {
    let (low, high) = bytes.split_first_chunk::<16>()?;
    let value = i128::from_le_bytes(*low);
    let filler = if value < 0 { 0xFF } else { 0 };
    high.iter().all(|&byte| byte == filler).then_some(value)
}
