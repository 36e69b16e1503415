//! What a row is, as a person looks at it: a picture, the cells of a table, texts.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use serde::{Deserialize, Serialize};

use crate::batch::{Array, Batch};
use crate::preprocessor::Preprocessor;
use crate::source::{IGNORED, Pass, Source};
use crate::text::SECOND;

/// Most pixels along the longer side of a picture that is shown.
const SIDE: usize = 128;
/// Pictures up to this side are kept as they are, pixel by pixel.
const EXACT: usize = 64;
const QUALITY: u8 = 80;
/// Most characters of a text that is shown.
const CHARACTERS: usize = 600;

/// What a row is, as a person looks at it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Sample {
    /// A picture as the network sees it, made smaller if it is large.
    Picture {
        /// Pixels of a row.
        width: usize,
        /// Rows of pixels.
        height: usize,
        /// What the bytes are: `image/png` or `image/jpeg`.
        media: String,
        /// The bytes of the file.
        base64: String,
    },
    /// Cells of a table, with the names of their columns; of those that are used.
    Cells {
        /// Names and what stands there.
        cells: Vec<(String, String)>,
    },
    /// A text, or two that are compared, as far as the network reads them.
    Texts {
        /// They.
        texts: Vec<String>,
    },
    /// The words of a text whose words have labels.
    Words {
        /// They.
        words: Vec<String>,
    },
}

impl Sample {
    /// What a row of a source is; nothing if it cannot be read.
    pub fn of(source: &dyn Source, preprocessor: &Preprocessor, row: u32) -> Option<Sample> {
        match preprocessor {
            Preprocessor::Table(table) => {
                let cells = table
                    .columns
                    .iter()
                    .enumerate()
                    .map(|(place, column)| (column.name.clone(), column.shown(source.cell(row, place).as_ref())));
                Some(Sample::Cells { cells: cells.collect() })
            }
            Preprocessor::Image(_) => {
                let batch = filled(source, row)?;
                let place = source.slots().iter().position(|slot| slot.name == "image")?;
                let [height, width, channels] = source.slots()[place].shape[..] else { return None };
                picture(batch.inputs[place].as_u8()?, width, height, channels)
            }
            Preprocessor::Text(text) => {
                let tokenizer = text.tokenizer()?;
                let batch = filled(source, row)?;
                let texts: Vec<&[i32]> = batch.texts(source.slots())?.collect();
                let decode = |ids: &[i32]| {
                    let ids: Vec<u32> = ids.iter().map(|&id| id as u32).collect();
                    tokenizer.decode(&ids).ok().map(|text| beginning(text.trim()))
                };
                if let (true, Array::I32(targets)) = (text.labels.is_some(), &batch.targets) {
                    let mut places: Vec<usize> = (0..targets.len()).filter(|&at| targets[at] != IGNORED).collect();
                    let words = texts.first()?;
                    places.push(words.len());
                    let words = places.windows(2).map(|of| decode(&words[of[0]..of[1]]));
                    return Some(Sample::Words { words: words.collect::<Option<_>>()? });
                }
                let place = source.slots().iter().position(|slot| slot.name == SECOND);
                let second = place.and_then(|place| batch.inputs[place].as_i32()?.first().copied());
                let texts = texts.into_iter().flat_map(|tokens| match second {
                    Some(second) => {
                        let (first, second) = tokens.split_at((second as usize).min(tokens.len()));
                        vec![decode(first), decode(second)]
                    }
                    None => vec![decode(tokens)],
                });
                Some(Sample::Texts { texts: texts.collect::<Option<_>>()? })
            }
        }
    }
}

/// A batch of one row.
fn filled(source: &dyn Source, row: u32) -> Option<Batch> {
    let mut batch = Batch::new();
    source.fill(&[row], Pass::Evaluate, &mut batch).ok()?;
    (batch.len == 1).then_some(batch)
}

/// A text, cut at the end if it is long.
fn beginning(text: &str) -> String {
    match text.char_indices().nth(CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_string(),
    }
}

/// Pixels as a file: exact where they are few, else smaller and of less quality.
fn picture(pixels: &[u8], width: usize, height: usize, channels: usize) -> Option<Sample> {
    let times = width.max(height).div_ceil(SIDE);
    let (small_width, small_height) = ((width / times).max(1), (height / times).max(1));
    let mut small = Vec::with_capacity(small_width * small_height * channels);
    for y in 0..small_height {
        for x in 0..small_width {
            for c in 0..channels {
                let (rows, columns) =
                    ((y * times)..(y * times + times).min(height), (x * times)..(x * times + times).min(width));
                let area = (rows.len() * columns.len()) as u32;
                let of_row = |row: usize| {
                    columns.clone().map(|column| u32::from(pixels[(row * width + column) * channels + c])).sum::<u32>()
                };
                small.push(((rows.map(of_row).sum::<u32>() + area / 2) / area) as u8);
            }
        }
    }
    let colour = match channels {
        1 => ExtendedColorType::L8,
        3 => ExtendedColorType::Rgb8,
        _ => return None,
    };
    let mut file = std::io::Cursor::new(Vec::new());
    let size = (small_width as u32, small_height as u32);
    let media = if width.max(height) <= EXACT {
        // By its own encoder: the function for any format would bring the encoders of all of them into the program.
        PngEncoder::new(&mut file).write_image(&small, size.0, size.1, colour).ok()?;
        "image/png"
    } else {
        JpegEncoder::new_with_quality(&mut file, QUALITY).encode(&small, size.0, size.1, colour).ok()?;
        "image/jpeg"
    };
    let base64 = STANDARD.encode(file.into_inner());
    Some(Sample::Picture { width: small_width, height: small_height, media: media.to_string(), base64 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_pictures_become_small_ones_of_the_same_colours() {
        let (width, height) = (300, 200);
        let pixels: Vec<u8> =
            (0..width * height).flat_map(|i| if i % width < 150 { [250, 0, 0] } else { [0, 0, 250] }).collect();
        let Some(Sample::Picture { width, height, media, base64 }) = picture(&pixels, width, height, 3) else {
            panic!("it is a picture")
        };
        assert_eq!((width, height, &media[..]), (100, 66, "image/jpeg"));
        let read = image::load_from_memory(&STANDARD.decode(base64).unwrap()).unwrap().to_rgb8();
        assert_eq!(read.dimensions(), (100, 66));
        let ([red, ..], [.., blue]) = (read.get_pixel(10, 30).0, read.get_pixel(90, 30).0);
        assert!(red > 230 && blue > 230, "{red} {blue}");
    }

    #[test]
    fn small_pictures_are_exact() {
        let pixels: Vec<u8> = (0..64).map(|i| i * 4).collect();
        let Some(Sample::Picture { media, base64, .. }) = picture(&pixels, 8, 8, 1) else { panic!("it is a picture") };
        let read = image::load_from_memory(&STANDARD.decode(base64).unwrap()).unwrap();
        assert_eq!((&media[..], read.into_luma8().into_raw()), ("image/png", pixels));
    }

    #[test]
    fn long_texts_are_cut_between_letters() {
        assert_eq!(beginning("Käse"), "Käse");
        assert_eq!(beginning(&"ä".repeat(700)).chars().count(), CHARACTERS + 1);
    }
}
