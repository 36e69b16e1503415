//! Bytes, lines and numbers of a pickle, of which no length is believed.

use std::io::{BufRead, Read};

use super::Value;
use crate::weights::Parsed;

/// Bytes of one pickle. Names and shapes of a hundred thousand tensors take a fifth.
pub(super) const MOST_BYTES: u64 = 64 << 20;
/// Letters of a name: of a class, a storage, a tensor.
pub(super) const MOST_LETTERS: usize = 1_000;

/// `torch.save` begins its older files with this number, 0x1950a86a20f9469cfc6c, in a pickle of its own.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// A pickle that is read from its beginning.
pub(super) struct Reader<R> {
    input: R,
    /// Bytes read so far.
    pub(super) position: u64,
}

impl<R: BufRead> Reader<R> {
    pub(super) fn new(input: R) -> Self {
        Reader { input, position: 0 }
    }

    pub(super) fn byte(&mut self) -> Parsed<u8> {
        Ok(self.bytes::<1>()?[0])
    }

    pub(super) fn bytes<const N: usize>(&mut self) -> Parsed<[u8; N]> {
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes).map_err(cut_off)?;
        self.position += N as u64;
        Ok(bytes)
    }

    /// So many bytes, as far as there are any: a length alone takes no memory.
    pub(super) fn take(&mut self, length: u64) -> Parsed<Vec<u8>> {
        if length > MOST_BYTES {
            return Err(format!("is damaged: it claims a string of {length} bytes"));
        }
        let mut bytes = Vec::new();
        (&mut self.input).take(length).read_to_end(&mut bytes).map_err(cut_off)?;
        self.position += bytes.len() as u64;
        if (bytes.len() as u64) < length { Err(cut_off(std::io::ErrorKind::UnexpectedEof.into())) } else { Ok(bytes) }
    }

    pub(super) fn line(&mut self) -> Parsed<String> {
        let mut line = Vec::new();
        (&mut self.input).take(MOST_LETTERS as u64).read_until(b'\n', &mut line).map_err(cut_off)?;
        self.position += line.len() as u64;
        if line.pop() != Some(b'\n') {
            return Err(cut_off(std::io::ErrorKind::UnexpectedEof.into()));
        }
        String::from_utf8(line).map_err(|_| "is damaged: a name is not UTF-8".to_string())
    }
}

/// A whole number of any length, the lowest byte first.
pub(super) fn long(bytes: &[u8]) -> Value {
    if bytes == MAGIC {
        return Value::Long { magic: true };
    }
    // What is beyond eight bytes may only repeat the sign.
    let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    let filler = if negative { 0xff } else { 0 };
    let mut whole = [filler; 8];
    for (place, byte) in whole.iter_mut().zip(bytes) {
        *place = *byte;
    }
    let fits = bytes.iter().skip(8).all(|&byte| byte == filler) && (i64::from_le_bytes(whole) < 0) == negative;
    if fits { Value::Int(i64::from_le_bytes(whole)) } else { Value::Long { magic: false } }
}

fn cut_off(error: std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => {
            "is cut off: it ends within its pickle; download or copy it again".to_string()
        }
        _ => format!("cannot be read: {error}"),
    }
}

/// The beginning of a text from a file.
pub(super) fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}
