//! Pictures: cells of pixels that are taken away, maps of attributions, and how they look on the picture.

use std::path::Path;

use deepfit_data::Array;
use deepfit_graph::philox::Stream;
use deepfit_zoo::{ImageConfig, InputSlot};
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{Rgb, RgbImage};

use crate::error::{ExplainError, Result};
use crate::faithfulness::RANDOM_ORDERS;
use crate::grad_cam::Map;
use crate::removal::Removal;
use crate::rows::Rows;
use crate::subject::{Subject, Unit};

/// Most cells along a side when parts of a picture are taken away: single pixels hide little of a large one.
const CELLS: usize = 14;
/// Windows of occlusion along a side; each moves by half of its own length.
const WINDOWS: usize = 8;
/// Least side of a picture that is written, in pixels.
const LEAST_SIDE: usize = 256;

/// A picture as the network sees it.
pub struct Picture {
    /// The input of the network.
    pub row: Rows,
    /// The same picture with the mean colour of the training pictures everywhere.
    pub baseline: Rows,
    /// Rows of pixels.
    pub height: usize,
    /// Pixels of a row.
    pub width: usize,
    /// Numbers of a pixel.
    pub channels: usize,
}

/// A rectangle of pixels: rows and columns, each from and to before.
type Window = ([usize; 2], [usize; 2]);

impl Picture {
    /// One picture of a batch.
    pub fn of(row: Rows, config: &ImageConfig) -> Picture {
        let ImageConfig { height, width, channels, ref mean, .. } = *config;
        let pixels = mean.iter().copied().cycle().take(height * width * channels).collect();
        let baseline = Rows { inputs: vec![Array::F32(pixels)], ..row.clone() };
        Picture { row, baseline, height, width, channels }
    }

    /// The windows of a grid whose cells are at most so many along each side.
    fn grid(&self, most: usize) -> Vec<Window> {
        let cuts = |length: usize| {
            let cells = length.min(most);
            (0..cells).map(move |i| [i * length / cells, (i + 1) * length / cells])
        };
        cuts(self.height).flat_map(|rows| cuts(self.width).map(move |columns| (rows, columns))).collect()
    }

    /// A sum over the channels of each pixel.
    pub fn over_channels(&self, values: &[f64], each: impl Fn(f64) -> f64) -> Map {
        let values = values.chunks_exact(self.channels).map(|pixel| pixel.iter().map(|&x| each(x)).sum());
        Map { height: self.height, width: self.width, values: values.collect() }
    }

    /// Values times how far those of the picture are from the mean colour.
    pub fn from_mean(&self, values: &[f64]) -> Vec<f64> {
        let apart = self.row.numbers(0).iter().zip(self.baseline.numbers(0));
        values.iter().zip(apart).map(|(value, (x, mean))| value * f64::from(x - mean)).collect()
    }

    /// Pixels of a variant, in which some windows are the baseline's.
    fn without(&self, windows: impl Iterator<Item = Window>, out: &mut Vec<f32>) {
        let begin = out.len();
        out.extend_from_slice(self.row.numbers(0));
        for (rows, columns) in windows {
            for y in rows[0]..rows[1] {
                let from = (y * self.width + columns[0]) * self.channels;
                let to = (y * self.width + columns[1]) * self.channels;
                out[begin + from..begin + to].copy_from_slice(&self.baseline.numbers(0)[from..to]);
            }
        }
    }

    /// How much the number falls while a window is covered by the mean colour, for each pixel the mean over the windows that
    /// cover it (Zeiler and Fergus, 2014).
    ///
    /// # Errors
    /// If the network cannot run.
    pub fn occlusion(&self, subject: &mut Subject, output: usize) -> Result<Map> {
        let starts = |length: usize| {
            let side = (length / WINDOWS).max(1);
            let step = (side / 2).max(1);
            (0..).map(move |i| i * step).take_while(move |start| start + side <= length).map(move |s| [s, s + side])
        };
        let mut windows: Vec<Window> = Vec::new();
        starts(self.height).for_each(|rows| windows.extend(starts(self.width).map(|columns| (rows, columns))));
        let unit = subject.gradient_unit();
        let whole = subject.scores(&self.row, output, unit)?[0];
        let (mut sums, mut counts) = (vec![0.0; self.height * self.width], vec![0.0_f64; self.height * self.width]);
        for windows in windows.chunks(64) {
            let mut pixels = Vec::new();
            windows.iter().for_each(|&window| self.without(std::iter::once(window), &mut pixels));
            let rows = Rows { len: windows.len(), sequence: 1, inputs: vec![Array::F32(pixels)] };
            for (&(rows, columns), score) in windows.iter().zip(subject.scores(&rows, output, unit)?) {
                for y in rows[0]..rows[1] {
                    for x in columns[0]..columns[1] {
                        sums[y * self.width + x] += whole - score;
                        counts[y * self.width + x] += 1.0;
                    }
                }
            }
        }
        let values = sums.iter().zip(&counts).map(|(sum, count)| sum / count.max(1.0)).collect();
        Ok(Map { height: self.height, width: self.width, values })
    }

    /// The mean of a map over each cell that is taken away by [`Cells`].
    pub fn by_cell(&self, map: &Map) -> Vec<f64> {
        let mean = |(rows, columns): Window| {
            let area = (rows[1] - rows[0]) * (columns[1] - columns[0]);
            let row = |y: usize| map.values[y * map.width + columns[0]..y * map.width + columns[1]].iter().sum::<f64>();
            (rows[0]..rows[1]).map(row).sum::<f64>() / area as f64
        };
        self.grid(CELLS).into_iter().map(mean).collect()
    }

    /// Values of cells, moved around the edges by random distances and perhaps mirrored: as smooth as they are, in other
    /// places.
    pub fn moved(&self, by_cell: &[f64]) -> Vec<Vec<f64>> {
        let (rows, columns) = (self.height.min(CELLS), self.width.min(CELLS));
        let moved = |seed: u64| {
            let mut stream = Stream::new(seed, "moved");
            let mut below = |length: usize| ((u64::from(stream.next_u32()) * length as u64) >> 32) as usize;
            // At least a quarter of the picture away, along one of the sides.
            let (down, right) = (rows.div_ceil(4) + below(rows / 2 + 1), below(columns));
            let (mirrored, turned) = (below(2) == 1, below(2) == 1);
            let from = |y: usize, x: usize| {
                let (y, x) = ((y + down) % rows, (x + right) % columns);
                let y = if mirrored { rows - 1 - y } else { y };
                y * columns + if turned { columns - 1 - x } else { x }
            };
            (0..rows * columns).map(|i| by_cell[from(i / columns, i % columns)]).collect()
        };
        (0..RANDOM_ORDERS as u64).map(moved).collect()
    }

    /// The picture, and beside it the same with a map on it: red is for the explained class, blue against it.
    fn drawn(&self, map: &Map) -> RgbImage {
        let times = LEAST_SIDE.div_ceil(self.height.min(self.width)).max(1);
        let (height, width) = (self.height * times, self.width * times);
        // A smooth map for a picture that is as large as it is; whole pixels of one that is enlarged.
        let strongest = strongest(&map.values);
        let mut out = RgbImage::from_pixel((2 * width + 8) as u32, height as u32, Rgb([255; 3]));
        for y in 0..height {
            for x in 0..width {
                let pixel = y / times * self.width + x / times;
                let colour = self.row.numbers(0)[pixel * self.channels..(pixel + 1) * self.channels].to_vec();
                let rgb = |c: usize| colour[c.min(self.channels - 1)];
                let here = [rgb(0), rgb(1), rgb(2)];
                let share = (map.values[pixel] / strongest).clamp(-1.0, 1.0) as f32;
                let byte = |value: f32| (value * 255.0).round().clamp(0.0, 255.0) as u8;
                out.put_pixel(x as u32, y as u32, Rgb(here.map(byte)));
                out.put_pixel((width + 8 + x) as u32, y as u32, Rgb(over(here, share).map(byte)));
            }
        }
        out
    }

    /// The picture and the map on it as the bytes of a JPEG file, with its width and height.
    pub fn jpeg(&self, map: &Map) -> Option<(u32, u32, Vec<u8>)> {
        let drawn = self.drawn(map);
        let mut file = Vec::new();
        JpegEncoder::new_with_quality(&mut file, 85).encode_image(&drawn).ok()?;
        Some((drawn.width(), drawn.height(), file))
    }

    /// Writes the picture and the map on it as PNG.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, map: &Map, path: &Path) -> Result<()> {
        let failed = |error: image::ImageError| ExplainError::Write {
            path: path.to_path_buf(),
            source: match error {
                image::ImageError::IoError(source) => source,
                other => std::io::Error::other(other.to_string()),
            },
        };
        let mut bytes = Vec::new();
        // By its own encoder: the function for any format would bring the encoders of all of them into the program.
        self.drawn(map).write_with_encoder(PngEncoder::new(&mut bytes)).map_err(failed)?;
        std::fs::write(path, bytes).map_err(|source| ExplainError::Write { path: path.to_path_buf(), source })
    }
}

/// The size that counts as full colour: below it lie all but one in two hundred values, so that a few do not hide the rest.
fn strongest(values: &[f64]) -> f64 {
    let mut sizes: Vec<f64> = values.iter().map(|value| value.abs()).collect();
    sizes.sort_unstable_by(f64::total_cmp);
    let place = (sizes.len() * 199 / 200).min(sizes.len().saturating_sub(1));
    let largest = sizes.last().copied().unwrap_or(0.0);
    let found = sizes.get(place).copied().unwrap_or(0.0);
    if found > 0.0 { found } else { largest.max(f64::MIN_POSITIVE) }
}

/// A grey version of a colour, on which red or blue lies.
fn over(colour: [f32; 3], share: f32) -> [f32; 3] {
    const RED: [f32; 3] = [0.9, 0.05, 0.1];
    const BLUE: [f32; 3] = [0.1, 0.3, 0.95];
    let grey = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2];
    let (ink, part) = (if share > 0.0 { RED } else { BLUE }, 0.85 * share.abs());
    let paper = 0.3 + 0.6 * grey;
    [0, 1, 2].map(|c| paper * (1.0 - part) + ink[c] * part)
}

/// A picture whose cells are taken away: they get the mean colour of the training pictures.
pub struct Cells<'a> {
    /// The network.
    pub subject: &'a mut Subject,
    /// The picture.
    pub picture: &'a Picture,
    /// What is explained.
    pub output: usize,
    /// In which unit.
    pub unit: Unit,
}

impl Removal for Cells<'_> {
    fn parts(&self) -> usize {
        self.picture.grid(CELLS).len()
    }

    fn scores(&mut self, kept: &[Vec<bool>]) -> Result<Vec<f64>> {
        let grid = self.picture.grid(CELLS);
        let mut scores = Vec::with_capacity(kept.len());
        // No more variants than are run at once, so that they take little memory.
        for kept in kept.chunks(64) {
            let mut pixels = Vec::new();
            for kept in kept {
                let gone = grid.iter().zip(kept).filter(|(_, kept)| !**kept).map(|(window, _)| *window);
                self.picture.without(gone, &mut pixels);
            }
            let rows = Rows { len: kept.len(), sequence: 1, inputs: vec![Array::F32(pixels)] };
            scores.extend(self.subject.scores(&rows, self.output, self.unit)?);
        }
        Ok(scores)
    }
}

/// The name of a network's input for pictures.
pub(crate) fn is_picture(slots: &[InputSlot]) -> bool {
    matches!(slots, [slot] if slot.name == deepfit_zoo::IMAGE)
}
