//! DICOM files, as medical devices write them: stored values to the device's unit, and these to 8-bit grey.

use dicom_object::file::ReadPreamble;
use dicom_object::{DefaultDicomObject, OpenFileOptions, Tag};
use dicom_pixeldata::{
    DecodedPixelData, PhotometricInterpretation, PixelDecoder, PixelRepresentation, PlanarConfiguration,
};

use super::decode::{Header, MAX_PIXELS, Pixels, Refusal};
use super::depth;

const SAMPLES_PER_PIXEL: Tag = Tag(0x0028, 0x0002);
const ROWS: Tag = Tag(0x0028, 0x0010);
const COLUMNS: Tag = Tag(0x0028, 0x0011);
const BITS_ALLOCATED: Tag = Tag(0x0028, 0x0100);
const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);

/// Whether a file begins as DICOM files do: 128 bytes of anything, then a mark.
pub(crate) fn is_dicom(bytes: &[u8]) -> bool {
    bytes.get(128..132) == Some(b"DICM")
}

fn broken(problem: impl std::fmt::Display) -> Refusal {
    Refusal::Broken(format!("a DICOM file that cannot be read: {problem}"))
}

/// An error with what caused it: the crate's own words alone say which step failed, not why.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        let deeper_text = deeper.to_string();
        if !text.contains(&deeper_text) {
            text = format!("{text}: {deeper_text}");
        }
        cause = deeper.source();
    }
    text
}

fn open(bytes: &[u8], options: OpenFileOptions) -> Result<DefaultDicomObject, Refusal> {
    options.read_preamble(ReadPreamble::Always).from_reader(bytes).map_err(|error| broken(told(&error)))
}

fn number(object: &DefaultDicomObject, tag: Tag) -> Option<usize> {
    object.get(tag).and_then(|element| element.to_int::<u32>().ok()).map(|value| value as usize)
}

/// Reads the header; `bytes` may be the beginning of a file, which can be too little.
pub(crate) fn header(bytes: &[u8]) -> Result<Header, Refusal> {
    header_of(&open(bytes, OpenFileOptions::new().read_until(PIXEL_DATA))?)
}

fn header_of(object: &DefaultDicomObject) -> Result<Header, Refusal> {
    let (Some(height), Some(width)) = (number(object, ROWS), number(object, COLUMNS)) else {
        return Err(broken("it holds no image: rows and columns are missing"));
    };
    if height == 0 || width == 0 {
        return Err(broken("it has no pixels"));
    }
    if (width * height) as u64 > MAX_PIXELS {
        return Err(broken(format!("{width} x {height} pixels are more than the 100 million that are read")));
    }
    let colour = number(object, SAMPLES_PER_PIXEL).is_some_and(|samples| samples > 1);
    let stored = number(object, BITS_ALLOCATED).unwrap_or(16).div_ceil(8) * if colour { 3 } else { 1 };
    // The stored values, decoded ones where they are compressed, values in the device's unit, and grey.
    Ok(Header { width, height, colour, decode_bytes: width * height * (2 * stored + 4 + 1) })
}

/// Decodes the first frame to 1 (grey) or 3 (colour) channels.
pub(crate) fn decode(bytes: &[u8], channels: usize) -> Result<Pixels, Refusal> {
    let object = open(bytes, OpenFileOptions::new())?;
    let header = header_of(&object)?;
    if object.get(PIXEL_DATA).is_none() {
        return Err(broken("it holds no pixel data; the file may be truncated"));
    }
    let frame = object
        .decode_pixel_data_frame(0)
        .map_err(|error| broken(format!("{}; it may be truncated, or of a kind that is not read", told(&error))))?;
    let pixels = header.width * header.height;
    let samples = usize::from(frame.samples_per_pixel());
    let raw = values(&frame, pixels * samples)?;
    let data = match (samples, frame.photometric_interpretation()) {
        (1, interpretation @ (PhotometricInterpretation::Monochrome1 | PhotometricInterpretation::Monochrome2)) => {
            let mut grey = windowed(&frame, raw)?;
            if *interpretation == PhotometricInterpretation::Monochrome1 {
                // Of this kind, the least value is white.
                grey.iter_mut().for_each(|value| *value = 255 - *value);
            }
            if channels == 1 { grey } else { grey.iter().flat_map(|&value| [value; 3]).collect() }
        }
        (
            3,
            PhotometricInterpretation::Rgb | PhotometricInterpretation::YbrFull | PhotometricInterpretation::YbrFull422,
        ) => colour(&frame, &raw, channels),
        (samples, other) => {
            let problem = format!("pixels of the kind {other} with {samples} sample(s) are not supported");
            return Err(broken(format!("{problem}; convert it to PNG")));
        }
    };
    Ok(Pixels { width: header.width, height: header.height, channels, data })
}

/// The stored numbers of a frame.
fn values(frame: &DecodedPixelData<'_>, count: usize) -> Result<Vec<f32>, Refusal> {
    let (allocated, stored) = (u32::from(frame.bits_allocated()), u32::from(frame.bits_stored()));
    if !matches!(allocated, 8 | 16 | 32) || stored == 0 || stored > allocated {
        return Err(broken(format!("{stored} bits in {allocated} are not supported; convert it to PNG")));
    }
    let width = allocated as usize / 8;
    let Some(bytes) = frame.data().get(..count * width) else {
        let (found, wanted) = (frame.data().len(), count * width);
        return Err(broken(format!("it has {found} bytes of pixels and needs {wanted}; the file may be truncated")));
    };
    let signed = frame.pixel_representation() == PixelRepresentation::Signed;
    // Bits above those stored may hold other things, such as drawings over the image.
    let value = |raw: u32| {
        let cut = raw << (32 - stored);
        if signed { (cut as i32 >> (32 - stored)) as f32 } else { (cut >> (32 - stored)) as f32 }
    };
    Ok(match width {
        1 => bytes.iter().map(|&byte| value(u32::from(byte))).collect(),
        2 => bytes.chunks_exact(2).map(|b| value(u32::from(u16::from_le_bytes([b[0], b[1]])))).collect(),
        _ => bytes.chunks_exact(4).map(|b| value(u32::from_le_bytes([b[0], b[1], b[2], b[3]]))).collect(),
    })
}

/// Stored numbers to grey: slope and intercept give the device's unit (Hounsfield units of a CT), and the first window
/// that the file names what of it is shown (DICOM PS3.3, C.11.2.1.2); without a window, the range of the image itself.
fn windowed(frame: &DecodedPixelData<'_>, mut values: Vec<f32>) -> Result<Vec<u8>, Refusal> {
    let rescale = frame.rescale().map_err(|error| broken(told(&error)))?;
    if let Some(rescale) = rescale.first() {
        let (slope, intercept) = (rescale.slope as f32, rescale.intercept as f32);
        values.iter_mut().for_each(|value| *value = *value * slope + intercept);
    }
    let window = frame.window().map_err(|error| broken(told(&error)))?.and_then(|all| all.first().copied());
    Ok(match window.filter(|window| window.width >= 1.0 && window.center.is_finite() && window.width.is_finite()) {
        Some(window) => {
            let (centre, half) = (window.center - 0.5, ((window.width - 1.0) / 2.0).max(1e-3));
            depth::window(&values, (centre - half) as f32, (centre + half) as f32)
        }
        None => depth::stretch(&values),
    })
}

/// Red, green and blue of 8 bits, or their grey.
fn colour(frame: &DecodedPixelData<'_>, raw: &[f32], channels: usize) -> Vec<u8> {
    let pixels = raw.len() / 3;
    let most = (1u64 << frame.bits_stored()) as f32 - 1.0;
    let planar = frame.planar_configuration() == PlanarConfiguration::PixelFirst;
    let luma = *frame.photometric_interpretation() != PhotometricInterpretation::Rgb;
    let mut data = Vec::with_capacity(pixels * channels);
    for pixel in 0..pixels {
        let at =
            |channel: usize| raw[if planar { channel * pixels + pixel } else { 3 * pixel + channel }] * 255.0 / most;
        let [a, b, c] = [at(0), at(1), at(2)];
        // ITU-R BT.601, as JPEG has it.
        let [red, green, blue] = if luma {
            let (b, c) = (b - 128.0, c - 128.0);
            [a + 1.402 * c, a - 0.344_136 * b - 0.714_136 * c, a + 1.772 * b]
        } else {
            [a, b, c]
        };
        if channels == 1 {
            data.push((0.299 * red + 0.587 * green + 0.114 * blue + 0.5) as u8);
        } else {
            data.extend([red, green, blue].map(|value| (value + 0.5) as u8));
        }
    }
    data
}
