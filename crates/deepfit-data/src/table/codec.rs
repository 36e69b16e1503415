//! Pieces of a file that are compressed by themselves.

use std::io::Read;

/// How a piece is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    None,
    Snappy,
    Gzip,
    Zstd,
    /// One block of LZ4.
    Lz4,
    /// Blocks of LZ4, each behind its two lengths, as Hadoop writes them.
    HadoopLz4,
    /// A frame of LZ4.
    Lz4Frame,
}

impl Codec {
    /// The piece, uncompressed, which has this length.
    ///
    /// # Errors
    /// If it is damaged.
    pub(super) fn uncompress(self, piece: &[u8], length: usize) -> Result<Vec<u8>, String> {
        let read = |mut reader: &mut dyn Read| {
            let mut bytes = Vec::new();
            // Memory is taken as bytes come, whatever a damaged file says of their number.
            Read::take(&mut reader, length as u64 + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
            Ok::<Vec<u8>, String>(bytes)
        };
        // A byte of LZ4 or Snappy stands for 255 at most; a length beyond that is damage.
        let possible = length <= 64 + piece.len().saturating_mul(260);
        let bytes = match self {
            Codec::None => piece.to_vec(),
            Codec::Gzip => read(&mut flate2::read::MultiGzDecoder::new(piece))?,
            Codec::Zstd => {
                let mut decoder = ruzstd::decoding::StreamingDecoder::new(piece).map_err(|error| error.to_string())?;
                read(&mut decoder)?
            }
            Codec::Lz4Frame => read(&mut lz4_flex::frame::FrameDecoder::new(piece))?,
            _ if !possible => return Err("its length is impossible".to_string()),
            Codec::Snappy => {
                let mut bytes = vec![0; length];
                let wrote =
                    snap::raw::Decoder::new().decompress(piece, &mut bytes).map_err(|error| error.to_string())?;
                bytes.truncate(wrote);
                bytes
            }
            Codec::Lz4 => lz4_flex::block::decompress(piece, length).map_err(|error| error.to_string())?,
            Codec::HadoopLz4 => hadoop(piece, length)
                // Some programs have written a block alone under this name.
                .or_else(|| lz4_flex::block::decompress(piece, length).ok())
                .ok_or_else(|| "no LZ4 block is readable".to_string())?,
        };
        if bytes.len() != length {
            return Err(format!("it has {} bytes instead of {length}", bytes.len()));
        }
        Ok(bytes)
    }
}

fn hadoop(mut piece: &[u8], length: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    while !piece.is_empty() {
        let number = |at: usize| Some(u32::from_be_bytes(piece.get(at..at + 4)?.try_into().ok()?) as usize);
        let (whole, compressed) = (number(0)?, number(4)?);
        if whole > length - bytes.len() {
            return None;
        }
        let block = piece.get(8..8_usize.checked_add(compressed)?)?;
        bytes.extend(lz4_flex::block::decompress(block, whole).ok()?);
        piece = &piece[8 + compressed..];
    }
    Some(bytes)
}
