//! How filters and patches look: as pictures, and in a word where that can be measured.

use image::codecs::png::PngEncoder;
use image::{Rgb, RgbImage};
use serde::Serialize;

use super::layers::Patch;

/// Least side of a picture that is drawn, in pixels.
const LEAST_SIDE: usize = 96;
/// Most cells along a side when it is measured how something looks.
const CELLS: usize = 24;
/// Share of the energy that lies between the colours of what is called colour.
const COLOURFUL: f64 = 0.6;
/// How much of the slopes must lie in one direction to be called an edge, and may in a texture: 1 is all, 0 none more than others.
const ONE_WAY: f64 = 0.6;
const NO_WAY: f64 = 0.4;
/// Least part of the energy of an edge or texture that is no even brightness.
const UNEVEN: f64 = 0.3;
/// How often brightness must rise and fall along a line of a texture.
const CHANGES: f64 = 4.0;

/// A small picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawing {
    /// Rows of pixels.
    pub height: usize,
    /// Pixels of a row.
    pub width: usize,
    /// Red, green and blue of each pixel.
    pub rgb: Vec<[u8; 3]>,
}

/// What a filter looks like, where that can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Looks {
    /// Brightness changes in one direction.
    Edge {
        /// Along the edge, in degrees from horizontal, counter-clockwise, 0 to below 180.
        angle: f64,
    },
    /// It tells colours apart more than brightness.
    Colour,
    /// Brightness rises and falls several times in all directions.
    Texture,
}

impl std::fmt::Display for Looks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Looks::Edge { angle } => write!(f, "edge at {angle:.0}°"),
            Looks::Colour => f.write_str("colour"),
            Looks::Texture => f.write_str("texture"),
        }
    }
}

/// Numbers of the pixels of a rectangle, row by row.
#[derive(Debug, Clone)]
pub(super) struct Pixels {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    pub values: Vec<f32>,
}

impl Pixels {
    /// A patch of a picture.
    pub fn patch(picture: &[f32], width: usize, channels: usize, [top, left, rows, columns]: Patch) -> Pixels {
        let row = |y: usize| &picture[(y * width + left) * channels..(y * width + left + columns) * channels];
        let values = (top..top + rows).flat_map(row).copied().collect();
        Pixels { height: rows, width: columns, channels, values }
    }

    /// As a picture, enlarged by whole pixels where it is small.
    pub fn drawn(&self) -> Drawing {
        let times = (LEAST_SIDE / self.height.max(self.width).max(1)).max(1);
        let (height, width) = (self.height * times, self.width * times);
        let byte = |value: f32| (value * 255.0).round().clamp(0.0, 255.0) as u8;
        let colour = |y: usize, x: usize| {
            let pixel = &self.values[(y / times * self.width + x / times) * self.channels..][..self.channels];
            [0, 1, 2].map(|c| byte(pixel[c.min(self.channels - 1)]))
        };
        let rgb = (0..height).flat_map(|y| (0..width).map(move |x| (y, x))).map(|(y, x)| colour(y, x)).collect();
        Drawing { height, width, rgb }
    }

    /// Numbers around zero as a picture in which zero is mid-grey.
    pub fn around_grey(&self) -> Pixels {
        let most = self.values.iter().fold(f32::MIN_POSITIVE, |most, value| most.max(value.abs()));
        Pixels { values: self.values.iter().map(|value| 0.5 + 0.5 * value / most).collect(), ..self.clone() }
    }

    /// What it looks like, if that can be measured; `neutral` is the number that says nothing.
    pub fn looks(&self, neutral: f32) -> Option<Looks> {
        let (rows, columns) = (self.height.min(CELLS), self.width.min(CELLS));
        if rows < 2 || columns < 2 {
            return None;
        }
        let cut = |i: usize, cells: usize, length: usize| i * length / cells..(i + 1) * length / cells;
        let mean = |y: usize, x: usize, c: usize| {
            let (down, across) = (cut(y, rows, self.height), cut(x, columns, self.width));
            let area = (down.len() * across.len()) as f64;
            let value = |y: usize, x: usize| f64::from(self.values[(y * self.width + x) * self.channels + c] - neutral);
            down.map(|y| across.clone().map(|x| value(y, x)).sum::<f64>()).sum::<f64>() / area
        };
        let (mut bright, mut of_colours) = (vec![0.0; rows * columns], 0.0);
        for y in 0..rows {
            for x in 0..columns {
                let all: Vec<f64> = (0..self.channels).map(|c| mean(y, x, c)).collect();
                let middle = all.iter().sum::<f64>() / self.channels as f64;
                bright[y * columns + x] = middle;
                of_colours += all.iter().map(|value| (value - middle).powi(2)).sum::<f64>();
            }
        }
        let of_brightness = self.channels as f64 * bright.iter().map(|value| value * value).sum::<f64>();
        if of_colours + of_brightness <= f64::MIN_POSITIVE {
            return None;
        }
        if of_colours > COLOURFUL * (of_colours + of_brightness) {
            return Some(Looks::Colour);
        }
        let middle = bright.iter().sum::<f64>() / bright.len() as f64;
        let uneven = self.channels as f64 * bright.iter().map(|value| (value - middle).powi(2)).sum::<f64>();
        if uneven < UNEVEN * (of_colours + of_brightness) {
            return None;
        }
        // The second moments of the slopes between each four neighbours: in which direction they lie, and how much.
        let (mut across, mut down, mut both) = (0.0, 0.0, 0.0);
        for y in 0..rows - 1 {
            for x in 0..columns - 1 {
                let at = |dy: usize, dx: usize| bright[(y + dy) * columns + x + dx];
                let right = (at(0, 1) + at(1, 1) - at(0, 0) - at(1, 0)) / 2.0;
                let below = (at(1, 0) + at(1, 1) - at(0, 0) - at(0, 1)) / 2.0;
                across += right * right;
                down += below * below;
                both += right * below;
            }
        }
        let one_way = ((across - down).powi(2) + 4.0 * both * both).sqrt() / (across + down).max(f64::MIN_POSITIVE);
        if one_way >= ONE_WAY {
            // Rows count downwards, angles upwards; an edge lies across the slope.
            let slope = -0.5 * (2.0 * both).atan2(across - down).to_degrees();
            let angle = (slope + 90.0).rem_euclid(180.0);
            return Some(Looks::Edge { angle: if angle > 179.5 { 0.0 } else { angle } });
        }
        let changes = |lines: usize, length: usize, at: &dyn Fn(usize, usize) -> f64| {
            let of_line = |line| (1..length).filter(|&i| (at(line, i) > middle) != (at(line, i - 1) > middle)).count();
            (0..lines).map(of_line).sum::<usize>() as f64 / lines as f64
        };
        let along = changes(rows, columns, &|y, x| bright[y * columns + x]);
        let downwards = changes(columns, rows, &|x, y| bright[y * columns + x]);
        // What changes from cell to cell is noise.
        let regular = |changes: f64, cells: usize| changes >= CHANGES && changes <= cells as f64 / 3.0;
        let is_texture = one_way <= NO_WAY && regular(along, columns) && regular(downwards, rows);
        is_texture.then_some(Looks::Texture)
    }
}

impl Drawing {
    /// The bytes of a PNG file.
    pub fn png(&self) -> Option<Vec<u8>> {
        let at = |x: u32, y: u32| Rgb(self.rgb[y as usize * self.width + x as usize]);
        let mut bytes = Vec::new();
        let picture = RgbImage::from_fn(self.width as u32, self.height as u32, at);
        picture.write_with_encoder(PngEncoder::new(&mut bytes)).ok()?;
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(side: usize, value: impl Fn(f64, f64) -> f64) -> Pixels {
        let at = |i: usize| value((i % side) as f64, (i / side) as f64) as f32;
        Pixels { height: side, width: side, channels: 1, values: (0..side * side).map(at).collect() }
    }

    #[test]
    fn edges_are_told_with_their_angle_and_what_is_none_is_not() {
        // Lines that rise to the right are at 30 degrees: the slope is across them, downwards to the right.
        for (angle, side) in [(0.0, 3), (90.0, 3), (30.0, 9), (120.0, 24)] {
            let (sin, cos) = f64::to_radians(angle).sin_cos();
            let found =
                grey(side, |x, y| (x * sin + y * cos - (sin + cos) * (side as f64 - 1.0) / 2.0).tanh()).looks(0.0);
            let Some(Looks::Edge { angle: told }) = found else { panic!("{angle}: {found:?}") };
            let apart = (told - angle).abs();
            assert!(apart.min(180.0 - apart) < 6.0, "{angle}: {told}");
        }
        assert_eq!(grey(5, |_, _| 1.0).looks(0.0), None);
        assert_eq!(grey(3, |x, y| if x == 1.0 && y == 1.0 { 4.0 } else { -0.5 }).looks(0.0), None);
        let checks = grey(24, |x, y| f64::from((x as u32 / 4 + y as u32 / 4) % 2) - 0.5).looks(0.0);
        assert_eq!(checks, Some(Looks::Texture));
        let red = Pixels { height: 3, width: 3, channels: 3, values: [1.0, -0.6, -0.4].repeat(9) };
        assert_eq!(red.looks(0.0), Some(Looks::Colour));
    }
}
