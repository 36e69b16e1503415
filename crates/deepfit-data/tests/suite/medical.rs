//! Pictures of medical devices: grey of more than 8 bits, and DICOM files.

use deepfit_data::{OpenOptions, open};
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};
use image::{DynamicImage, ImageBuffer, ImageFormat, Luma};

use crate::made::{Folder, encode, everything, grey, message, png};

const EXPLICIT: &str = "1.2.840.10008.1.2.1";
const RLE: &str = "1.2.840.10008.1.2.5";
const JPEG: &str = "1.2.840.10008.1.2.4.50";

/// The pixels of the first image, and whether it has colour.
fn first(folder: &Folder) -> (Vec<u8>, usize) {
    let data = folder.open().unwrap();
    let [height, width, channels] = data.image_shape().unwrap();
    (everything(&data).inputs[0].as_u8().unwrap()[..height * width * channels].to_vec(), channels)
}

/// Class `a` holds the image under test, the rest are there to be enough.
fn among_others(name: &str, bytes: Vec<u8>) -> Folder {
    let folder = Folder::with_classes(&["b"], 12);
    folder.write(&format!("a/{name}"), bytes);
    folder
}

#[test]
fn grey_of_12_bits_in_16_keeps_its_levels() {
    // Scaled by the range of 16 bits, these would be 16 levels.
    let deep = ImageBuffer::from_fn(64, 64, |x, y| Luma([(x * 64 + y) as u16]));
    for (format, name) in [(ImageFormat::Png, "a.png"), (ImageFormat::Tiff, "a.tiff")] {
        let folder = among_others(name, encode(&DynamicImage::ImageLuma16(deep.clone()), format));
        let forced = OpenOptions { image_size: Some(64), ..OpenOptions::default() };
        let data = open(folder.path(), &forced).unwrap();
        let pixels = everything(&data).inputs[0].as_u8().unwrap()[..64 * 64].to_vec();
        let mut levels = pixels.clone();
        levels.sort_unstable();
        levels.dedup();
        assert!(levels.len() == 256 && pixels[0] == 0 && pixels[64 * 64 - 1] == 255, "{name}: {}", levels.len());
    }
}

/// A DICOM file of 8 x 8 pixels.
struct Scan {
    syntax: &'static str,
    photometric: &'static str,
    allocated: u16,
    stored: u16,
    signed: bool,
    samples: u16,
    rescale: Option<(&'static str, &'static str)>,
    window: Option<(&'static str, &'static str)>,
    pixels: Vec<u8>,
}

impl Scan {
    fn of(values: impl Fn(usize) -> i16) -> Scan {
        Scan {
            syntax: EXPLICIT,
            photometric: "MONOCHROME2",
            allocated: 16,
            stored: 16,
            signed: true,
            samples: 1,
            rescale: None,
            window: None,
            pixels: (0..64).flat_map(|i| values(i).to_le_bytes()).collect(),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let short =
            |tag: (u16, u16), value: u16| DataElement::new(Tag(tag.0, tag.1), VR::US, PrimitiveValue::from(value));
        let mut elements = vec![
            DataElement::new(Tag(0x0008, 0x0016), VR::UI, PrimitiveValue::from("1.2.840.10008.5.1.4.1.1.7")),
            DataElement::new(Tag(0x0008, 0x0018), VR::UI, PrimitiveValue::from("1.2.3.4")),
            short((0x0028, 0x0002), self.samples),
            DataElement::new(Tag(0x0028, 0x0004), VR::CS, PrimitiveValue::from(self.photometric)),
            short((0x0028, 0x0010), 8),
            short((0x0028, 0x0011), 8),
            short((0x0028, 0x0100), self.allocated),
            short((0x0028, 0x0101), self.stored),
            short((0x0028, 0x0102), self.stored - 1),
            short((0x0028, 0x0103), u16::from(self.signed)),
        ];
        if self.samples == 3 {
            elements.push(short((0x0028, 0x0006), 0));
        }
        let mut pair = |tags: [u16; 2], values: Option<(&'static str, &'static str)>| {
            if let Some((a, b)) = values {
                for (tag, value) in tags.into_iter().zip([a, b]) {
                    elements.push(DataElement::new(Tag(0x0028, tag), VR::DS, PrimitiveValue::from(value)));
                }
            }
        };
        pair([0x1050, 0x1051], self.window);
        pair([0x1052, 0x1053], self.rescale);
        let tag = Tag(0x7FE0, 0x0010);
        let mut object = InMemDicomObject::from_element_iter(elements);
        if self.syntax == EXPLICIT {
            object.put(DataElement::new(tag, VR::OW, PrimitiveValue::from(self.pixels.clone())));
        } else {
            let fragments = dicom_core::value::PixelFragmentSequence::new_fragments(vec![self.pixels.clone()]);
            object.put(DataElement::new(tag, VR::OB, dicom_core::value::Value::from(fragments)));
        }
        let meta = FileMetaTableBuilder::new().transfer_syntax(self.syntax);
        let file = object.with_meta(meta).unwrap();
        let mut bytes = Vec::new();
        file.write_all(&mut bytes).unwrap();
        bytes
    }

    fn pixels(&self) -> Vec<u8> {
        first(&among_others("scan", self.bytes())).0
    }
}

#[test]
fn dicom_is_recognised_by_its_content_and_shown_through_its_window() {
    // Hounsfield units from -1024 + 64 * i; the window of soft tissue is 40 +- 200.
    let scan = Scan { rescale: Some(("-1024", "2")), window: Some(("40", "400")), ..Scan::of(|i| (i * 32) as i16) };
    let pixels = scan.pixels();
    let unit = |i: usize| i as f64 * 64.0 - 1024.0;
    for (i, &pixel) in pixels.iter().enumerate() {
        let expected = (((unit(i) - 39.5) / 399.0 + 0.5) * 255.0).clamp(0.0, 255.0);
        assert!((f64::from(pixel) - expected).abs() <= 0.5 + 1e-3, "{i}: {pixel} {expected}");
    }
    assert!(pixels[0] == 0 && pixels[63] == 255);
}

#[test]
fn dicom_without_a_window_takes_the_range_of_the_image() {
    let pixels = Scan::of(|i| i as i16 * 10 - 300).pixels();
    assert_eq!((pixels[0], pixels[63]), (0, 255));
    assert!(pixels.windows(2).all(|pair| pair[0] < pair[1]), "{pixels:?}");
}

#[test]
fn monochrome1_is_inverted() {
    let (usual, inverted) = (Scan::of(|i| i as i16), Scan { photometric: "MONOCHROME1", ..Scan::of(|i| i as i16) });
    let expected: Vec<u8> = usual.pixels().iter().map(|pixel| 255 - pixel).collect();
    assert_eq!(inverted.pixels(), expected);
}

#[test]
fn bits_above_those_stored_are_no_part_of_a_value() {
    // 12 bits are stored; above them lies a drawing.
    let scan =
        Scan { stored: 12, signed: false, ..Scan::of(|i| (i as i16 * 60) | if i % 3 == 0 { 0x4000 } else { 0 }) };
    let plain = Scan { stored: 12, signed: false, ..Scan::of(|i| i as i16 * 60) };
    assert_eq!(scan.pixels(), plain.pixels());
    // Negative numbers of 12 bits.
    let signed = Scan { stored: 12, ..Scan::of(|i| (i as i16 - 32) & 0x0FFF) };
    assert!(signed.pixels().windows(2).all(|pair| pair[0] < pair[1]));
}

#[test]
fn colour_and_compressed_dicom_are_read() {
    let rgb: Vec<u8> = (0..64).flat_map(|i| [i as u8 * 4, 255 - i as u8 * 4, 128]).collect();
    let colour = |syntax, photometric, pixels| Scan {
        syntax,
        photometric,
        allocated: 8,
        stored: 8,
        signed: false,
        samples: 3,
        pixels,
        ..Scan::of(|_| 0)
    };
    let (pixels, channels) = first(&among_others("c.dcm", colour(EXPLICIT, "RGB", rgb.clone()).bytes()));
    assert_eq!((channels, &pixels), (3, &rgb));

    let image = image::RgbImage::from_raw(8, 8, rgb.clone()).unwrap();
    let jpeg = encode(&DynamicImage::ImageRgb8(image), ImageFormat::Jpeg);
    let jpeg = if jpeg.len().is_multiple_of(2) { jpeg } else { [jpeg, vec![0]].concat() };
    let (pixels, _) = first(&among_others("c.dcm", colour(JPEG, "YBR_FULL_422", jpeg).bytes()));
    let worst = pixels.iter().zip(&rgb).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
    assert!(worst < 60, "{worst}");

    // One segment of literal runs: a header of 16 numbers, then 64 bytes.
    let mut rle: Vec<u8> = [1u32, 64].iter().chain(&[0; 14]).flat_map(|n| n.to_le_bytes()).collect();
    rle.push(63);
    rle.extend((0..64).map(|i| i as u8 * 4));
    rle.push(128);
    let scan = Scan {
        syntax: RLE,
        allocated: 8,
        stored: 8,
        signed: false,
        window: Some(("128", "256")),
        pixels: rle,
        ..Scan::of(|_| 0)
    };
    let expected: Vec<u8> = (0..64).map(|i| i as u8 * 4).collect();
    assert!(scan.pixels().iter().zip(&expected).all(|(a, b)| a.abs_diff(*b) <= 1));
}

#[test]
fn a_broken_dicom_is_listed_with_what_is_wrong() {
    let whole = Scan::of(|i| i as i16).bytes();
    let refused = |bytes: Vec<u8>| {
        let folder = Folder::with_classes(&["a", "b"], 12);
        folder.write("a/broken.dcm", bytes);
        let data = folder.open().unwrap();
        assert_eq!(data.len(), 24);
        let [(name, reason)] = &data.summary().skipped[..] else { panic!("one is broken") };
        assert!(
            name.ends_with("broken.dcm") && reason.contains("a DICOM file that cannot be read"),
            "{name}: {reason}"
        );
        reason.clone()
    };
    for cut in [132, 140, 200, whole.len() - 100, whole.len() - 1] {
        refused(whole[..cut].to_vec());
    }
    let mut mad = whole.clone();
    mad[150..300].fill(0xFF);
    refused(mad);
    assert!(refused(Scan { photometric: "PALETTE COLOR", ..Scan::of(|i| i as i16) }.bytes()).contains("PALETTE COLOR"));
    let short = Scan { pixels: vec![0; 100], ..Scan::of(|_| 0) };
    let told = refused(short.bytes());
    assert!(told.contains("truncated"), "{told}");
    let odd = Scan { stored: 0, ..Scan::of(|_| 0) };
    assert!(std::panic::catch_unwind(|| odd.bytes()).is_err() || !refused(odd.bytes()).is_empty());
    let unknown = Scan { syntax: "1.2.840.10008.1.2.4.90", pixels: vec![0; 128], ..Scan::of(|_| 0) };
    assert!(!refused(unknown.bytes()).is_empty());
    // Every single byte changed: an image or a reason, never a panic.
    let folder = Folder::with_classes(&["a", "b"], 12);
    for at in (128..whole.len()).step_by(7) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x5A;
        folder.write(&format!("a/changed{at}.dcm"), bytes);
    }
    let _ = message_or_nothing(&folder);
}

fn message_or_nothing(folder: &Folder) -> Option<String> {
    folder.open().err().map(|error| message::<()>(Err(error)))
}

#[test]
fn dicom_and_other_images_are_learned_together() {
    let folder = Folder::new();
    for i in 0..10u8 {
        folder.write(&format!("ill/{i}"), Scan::of(|p| p as i16 * i16::from(i)).bytes());
        folder.write(&format!("well/{i}.png"), png(&grey(8, 8, i, 2)));
    }
    let data = folder.open().unwrap();
    assert_eq!((data.len(), data.image_shape()), (20, Some([8, 8, 1])));
    assert!(data.describe().iter().all(|line| !line.contains("ignored")), "{:?}", data.describe());
}
