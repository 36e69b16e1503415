//! What kind of picture a TIFF file holds, for the message about one whose kind is not decoded.

/// Tags of TIFF 6.0 that tell the kind.
const BITS_PER_SAMPLE: u16 = 258;
const PHOTOMETRIC: u16 = 262;
const SAMPLES_PER_PIXEL: u16 = 277;

/// The kind in words that follow "a TIFF image", such as "with a palette".
pub(crate) fn kind(bytes: &[u8]) -> String {
    let samples = tag(bytes, SAMPLES_PER_PIXEL).unwrap_or(1);
    match (tag(bytes, PHOTOMETRIC), samples) {
        (Some(0 | 1), 2) => "of grey with alpha".to_string(),
        (Some(0 | 1), 3..) => format!("of grey with {} further channels", samples - 1),
        (Some(3), _) => "with a palette".to_string(),
        (Some(4), _) => "that is a transparency mask".to_string(),
        (Some(5), _) => "in CMYK of this form".to_string(),
        (Some(6), _) => "in YCbCr".to_string(),
        (Some(8..=10), _) => "in Lab colours".to_string(),
        _ => match tag(bytes, BITS_PER_SAMPLE) {
            Some(bits) => format!("with {samples} channel(s) of {bits} bits in this form"),
            None => "of this kind".to_string(),
        },
    }
}

/// The first value of a tag of 16-bit numbers in the first directory of a classic TIFF file.
fn tag(bytes: &[u8], wanted: u16) -> Option<u16> {
    let little = bytes.starts_with(b"II*\0");
    if !little && !bytes.starts_with(b"MM\0*") {
        return None;
    }
    let short = |at: usize| -> Option<u16> {
        let pair = [*bytes.get(at)?, *bytes.get(at.checked_add(1)?)?];
        Some(if little { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) })
    };
    let long = |at: usize| -> Option<usize> {
        let (first, second) = (usize::from(short(at)?), usize::from(short(at.checked_add(2)?)?));
        Some(if little { second << 16 | first } else { first << 16 | second })
    };
    let directory = long(4)?;
    let entry = (0..usize::from(short(directory)?))
        .map(|i| directory + 2 + 12 * i)
        .find(|&entry| short(entry) == Some(wanted) && short(entry + 2) == Some(3))?;
    // Up to two numbers of 16 bits stand in the entry itself, more where it points.
    if long(entry + 4)? <= 2 { short(entry + 8) } else { short(long(entry + 8)?) }
}
