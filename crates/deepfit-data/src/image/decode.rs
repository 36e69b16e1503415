//! Bytes of a file to pixels.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader};

use super::{depth, dicom, tiff};

/// Images of more pixels are refused: a small file can declare gigabytes.
pub(crate) const MAX_PIXELS: u64 = 100_000_000;

/// Pixels of one image: rows from the top, channels last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pixels {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) channels: usize,
    pub(crate) data: Vec<u8>,
}

/// What a file's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Width after the EXIF orientation is applied.
    pub(crate) width: usize,
    /// Height after the EXIF orientation is applied.
    pub(crate) height: usize,
    /// Whether the file is stored in colour (its pixels may still all be grey).
    pub(crate) colour: bool,
    /// Bytes needed at once to decode it, without the file's own.
    pub(crate) decode_bytes: usize,
}

/// Why a file gives no image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The content is of no image format at all.
    NotAnImage,
    /// An image, but damaged or of a kind that is not read.
    Broken(String),
}

fn broken(problem: impl ToString) -> Refusal {
    Refusal::Broken(problem.to_string())
}

/// Why a decoder gave up, in words that say what to do where it merely does not know the kind.
fn undecodable(problem: ImageError, bytes: &[u8], format: ImageFormat) -> Refusal {
    match problem {
        ImageError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => broken("the file is truncated"),
        ImageError::Unsupported(_) if format == ImageFormat::Tiff => {
            broken(format!("a TIFF image {} is not supported; convert it to PNG", tiff::kind(bytes)))
        }
        other => broken(other),
    }
}

fn decoder(bytes: &[u8]) -> Result<(impl ImageDecoder + '_, ImageFormat), Refusal> {
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(broken)?;
    let Some(format) = reader.format() else { return Err(Refusal::NotAnImage) };
    let decoder = reader.into_decoder().map_err(|problem| undecodable(problem, bytes, format))?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(broken("it has no pixels"));
    }
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(broken(format!("{width} x {height} pixels are more than the 100 million that are read")));
    }
    Ok((decoder, format))
}

fn turns(orientation: Orientation) -> bool {
    matches!(
        orientation,
        Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH
    )
}

/// Reads the header; `bytes` may be the beginning of a file, which can be too little.
pub(crate) fn header(bytes: &[u8]) -> Result<Header, Refusal> {
    if dicom::is_dicom(bytes) {
        return dicom::header(bytes);
    }
    let (mut decoder, format) = decoder(bytes)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let (width, height) = decoder.dimensions();
    let (width, height) = (width as usize, height as usize);
    let colour_type = decoder.color_type();
    let stored = width * height * usize::from(colour_type.bytes_per_pixel());
    // A progressive JPEG keeps all its coefficients: two bytes each, but most files have half as many
    // as pixel values. A turned, 16-bit or transparent image is copied once.
    let progressive = format == ImageFormat::Jpeg && Jpeg::parse(bytes).is_some_and(|jpeg| jpeg.progressive);
    let plain = orientation == Orientation::NoTransforms && matches!(colour_type, ColorType::L8 | ColorType::Rgb8);
    let extra = match colour_type {
        // Values of 32 bits, from which the range is found.
        ColorType::L16 => 3 * stored,
        _ if progressive || !plain => stored,
        _ => 0,
    };
    let (width, height) = if turns(orientation) { (height, width) } else { (width, height) };
    Ok(Header { width, height, colour: colour_type.has_color(), decode_bytes: stored + extra })
}

/// Decodes a whole file to 1 (grey) or 3 (colour) channels: first frame, upright, alpha on white, 16-bit grey over the range
/// that the image takes. The pixels lie in `used`, whose values are of no interest, where the file holds them as they are
/// wanted.
pub(crate) fn decode(bytes: &[u8], channels: usize, mut used: Vec<u8>) -> Result<Pixels, Refusal> {
    if dicom::is_dicom(bytes) {
        return dicom::decode(bytes, channels);
    }
    let (mut decoder, format) = decoder(bytes)?;
    if format == ImageFormat::Jpeg && Jpeg::parse(bytes).is_none_or(|jpeg| !jpeg.complete) {
        // The decoder fills what is missing with grey instead of reporting it.
        return Err(broken("the file is truncated"));
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let stored = match decoder.color_type() {
        ColorType::L8 => 1,
        ColorType::Rgb8 => 3,
        _ => 0,
    };
    if orientation == Orientation::NoTransforms && stored == channels {
        let (width, height) = decoder.dimensions();
        let (width, height) = (width as usize, height as usize);
        // Memory that was in use before costs no page faults; there are thousands in a large photograph.
        used.resize(width * height * channels, 0);
        decoder.read_image(&mut used).map_err(|problem| undecodable(problem, bytes, format))?;
        return Ok(Pixels { width, height, channels, data: used });
    }
    drop(used);
    let mut image = DynamicImage::from_decoder(decoder).map_err(|problem| undecodable(problem, bytes, format))?;
    image.apply_orientation(orientation);
    if let DynamicImage::ImageLuma16(deep) = &image {
        let values: Vec<f32> = deep.as_raw().iter().map(|&value| f32::from(value)).collect();
        let grey = image::GrayImage::from_raw(deep.width(), deep.height(), depth::stretch(&values)).unwrap_or_default();
        image = DynamicImage::ImageLuma8(grey);
    }
    let (width, height) = (image.width() as usize, image.height() as usize);
    let data = match (image.color().has_alpha(), channels) {
        (false, 1) => image.into_luma8().into_raw(),
        (false, _) => image.into_rgb8().into_raw(),
        (true, 1) => over_white::<2>(image.into_luma_alpha8().into_raw()),
        (true, _) => over_white::<4>(image.into_rgba8().into_raw()),
    };
    Ok(Pixels { width, height, channels, data })
}

/// Composites `N` channels, the last being alpha, on white, in place.
fn over_white<const N: usize>(mut data: Vec<u8>) -> Vec<u8> {
    let pixels = data.len() / N;
    for pixel in 0..pixels {
        let alpha = u32::from(data[pixel * N + N - 1]);
        for channel in 0..N - 1 {
            let value = u32::from(data[pixel * N + channel]);
            data[pixel * (N - 1) + channel] = ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8;
        }
    }
    data.truncate(pixels * (N - 1));
    data
}

/// What the markers of a JPEG file tell (ITU-T T.81, annex B).
struct Jpeg {
    progressive: bool,
    complete: bool,
}

impl Jpeg {
    /// Walks over the segments up to the first scan. `None` if they end before it.
    fn parse(bytes: &[u8]) -> Option<Jpeg> {
        let mut at = 2;
        let mut progressive = false;
        loop {
            while *bytes.get(at)? != 0xFF {
                at += 1;
            }
            let marker = *bytes.get(at + 1)?;
            match marker {
                // Fill bytes, and markers without a length.
                0xFF => at += 1,
                0x00 | 0x01 | 0xD0..=0xD8 => at += 2,
                0xD9 => return None,
                // Start of scan. Inside of scans 0xFF is followed by 0 or a restart marker, so the end
                // marker cannot occur by chance.
                0xDA => {
                    let complete = bytes[at..].windows(2).rev().any(|pair| pair == [0xFF, 0xD9]);
                    return Some(Jpeg { progressive, complete });
                }
                _ => {
                    progressive |= matches!(marker, 0xC2 | 0xC6 | 0xCA | 0xCE);
                    let length = usize::from(*bytes.get(at + 2)?) << 8 | usize::from(*bytes.get(at + 3)?);
                    at += 2 + length;
                }
            }
        }
    }
}
