//! Resizing as Pillow does it, bit by bit: what published networks were trained with.
//!
//! Pillow resamples along rows first and then along columns (the other way round where an image grows wider and less high),
//! rounds to bytes in between, and widens its filters where an image shrinks.

use serde::{Deserialize, Serialize};

use super::decode::Pixels;

/// How images are resized before the part in their centre is cut out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resize {
    /// To what size.
    pub to: ResizeTo,
    /// How.
    pub filter: Filter,
}

/// The size of a whole image after resizing, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResizeTo {
    /// That of the shorter side; the other is resized by the same factor.
    ShortestEdge(usize),
    /// Height and width, whatever they were.
    Exact(usize, usize),
}

/// Pillow's filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// The pixel that is there.
    Nearest,
    /// The mean of what a pixel covers.
    Box,
    /// Linear between neighbours.
    Bilinear,
    /// A raised cosine.
    Hamming,
    /// Cubic with a = -0.5 (Keys, 1981).
    Bicubic,
    /// Lanczos with three lobes.
    Lanczos,
}

impl Filter {
    /// Half of the width in which it is not 0.
    fn support(self) -> f64 {
        match self {
            Filter::Nearest | Filter::Box => 0.5,
            Filter::Bilinear | Filter::Hamming => 1.0,
            Filter::Bicubic => 2.0,
            Filter::Lanczos => 3.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        let sinc = |x: f64| if x == 0.0 { 1.0 } else { (x * std::f64::consts::PI).sin() / (x * std::f64::consts::PI) };
        let a = x.abs();
        match self {
            Filter::Nearest | Filter::Box => f64::from(u8::from(x > -0.5 && x <= 0.5)),
            Filter::Bilinear => (1.0 - a).max(0.0),
            Filter::Hamming if a >= 1.0 => 0.0,
            Filter::Hamming => sinc(a) * (0.54 + 0.46 * (a * std::f64::consts::PI).cos()),
            Filter::Bicubic if a < 1.0 => (1.5 * a - 2.5) * a * a + 1.0,
            Filter::Bicubic if a < 2.0 => ((-0.5 * a + 2.5) * a - 4.0) * a + 2.0,
            Filter::Bicubic => 0.0,
            Filter::Lanczos if (-3.0..3.0).contains(&x) => sinc(x) * sinc(x / 3.0),
            Filter::Lanczos => 0.0,
        }
    }
}

/// Bits behind the point of a weight, and half of the last place.
const BITS: u32 = 22;
const HALF: i32 = 1 << (BITS - 1);

/// First source position and weights of an output position.
type Taps = (usize, Vec<i32>);

/// The taps of the outputs from `first` on, of `length` that the whole axis has.
fn taps(filter: Filter, source: usize, length: usize, first: usize, count: usize) -> Vec<Taps> {
    let scale = source as f64 / length as f64;
    if filter == Filter::Nearest {
        let nearest = |i: usize| ((i as f64 + 0.5) * scale) as usize;
        return (first..first + count).map(|i| (nearest(i).min(source - 1), vec![1 << BITS])).collect();
    }
    let stretch = scale.max(1.0);
    let support = filter.support() * stretch;
    let of = |i: usize| {
        let centre = (i as f64 + 0.5) * scale;
        // Truncation, as in C, after a shift by half.
        let begin = ((centre - support + 0.5).max(0.0)) as usize;
        let end = ((centre + support + 0.5) as usize).min(source);
        let begin = begin.min(source - 1);
        let end = end.max(begin + 1);
        let weights: Vec<f64> =
            (begin..end).map(|j| filter.weight((j as f64 - centre + 0.5) * (1.0 / stretch))).collect();
        let sum: f64 = weights.iter().sum();
        let one = |w: f64| {
            let scaled = if sum == 0.0 { 0.0 } else { w / sum } * f64::from(1 << BITS);
            (scaled + if scaled < 0.0 { -0.5 } else { 0.5 }) as i32
        };
        (begin, weights.into_iter().map(one).collect())
    };
    (first..first + count).map(of).collect()
}

fn byte(sum: i32) -> u8 {
    (sum >> BITS).clamp(0, 255) as u8
}

/// Where a part of `part` pixels in the centre of `whole` begins: half of what is left, rounded to the even neighbour.
fn centre(whole: usize, part: usize) -> usize {
    let left = whole - part;
    let half = left / 2;
    if left % 2 == 1 && half % 2 == 1 { half + 1 } else { half }
}

impl Resize {
    /// Height and width of an image of this size after resizing, at least those of the part that is cut out.
    fn size(self, (height, width): (usize, usize), (least_height, least_width): (usize, usize)) -> (usize, usize) {
        let (h, w) = match self.to {
            ResizeTo::Exact(height, width) => (height, width),
            ResizeTo::ShortestEdge(side) => {
                let longer = |long: usize, short: usize| (side as u128 * long as u128 / short as u128) as usize;
                if width <= height { (longer(height, width), side) } else { (side, longer(width, height)) }
            }
        };
        (h.max(least_height), w.max(least_width))
    }

    /// Whether a part of this size is within every resized image.
    pub(crate) fn holds(self, height: usize, width: usize) -> bool {
        match self.to {
            ResizeTo::ShortestEdge(side) => (height.max(width)..=8192).contains(&side),
            ResizeTo::Exact(h, w) => (height..=8192).contains(&h) && (width..=8192).contains(&w),
        }
    }

    /// Writes the part of `height` x `width` pixels in the centre of the resized image to `out`.
    pub(crate) fn apply(self, image: &Pixels, height: usize, width: usize, out: &mut [u8]) {
        let (whole_height, whole_width) = self.size((image.height, image.width), (height, width));
        let rows = taps(self.filter, image.height, whole_height, centre(whole_height, height), height);
        let columns = taps(self.filter, image.width, whole_width, centre(whole_width, width), width);
        let made = if whole_height < image.height && whole_width > image.width {
            across(&down(image, &rows, 0), &columns, 0, height)
        } else {
            // Of the rows only those that are read later.
            let begin = rows.iter().map(|(first, _)| *first).min().unwrap_or(0);
            let end = rows.iter().map(|(first, weights)| first + weights.len()).max().unwrap_or(0);
            down(&across(image, &columns, begin, end - begin), &rows, begin)
        };
        out.copy_from_slice(&made.data);
    }
}

/// `count` rows from `first` on, resampled to the columns of the taps.
fn across(image: &Pixels, columns: &[Taps], first: usize, count: usize) -> Pixels {
    let (width, channels) = (columns.len(), image.channels);
    let mut data = vec![0u8; count * width * channels];
    for (row, out) in (first..first + count).zip(data.chunks_exact_mut(width * channels)) {
        let source = &image.data[row * image.width * channels..][..image.width * channels];
        for ((begin, weights), pixel) in columns.iter().zip(out.chunks_exact_mut(channels)) {
            for (channel, value) in pixel.iter_mut().enumerate() {
                let values = source[begin * channels + channel..].iter().step_by(channels);
                let sum: i32 = weights.iter().zip(values).map(|(w, &v)| w * i32::from(v)).sum();
                *value = byte(sum + HALF);
            }
        }
    }
    Pixels { width, height: count, channels, data }
}

/// Resampled to the rows of the taps, of an image that begins at row `first` of theirs.
fn down(image: &Pixels, rows: &[Taps], first: usize) -> Pixels {
    let stride = image.width * image.channels;
    let mut data = vec![0u8; rows.len() * stride];
    let mut sums = vec![0i32; stride];
    for ((begin, weights), out) in rows.iter().zip(data.chunks_exact_mut(stride)) {
        sums.fill(HALF);
        for (j, &weight) in weights.iter().enumerate() {
            let source = &image.data[(begin - first + j) * stride..][..stride];
            for (sum, &value) in sums.iter_mut().zip(source) {
                *sum += weight * i32::from(value);
            }
        }
        for (value, &sum) in out.iter_mut().zip(&sums) {
            *value = byte(sum);
        }
    }
    Pixels { width: image.width, height: rows.len(), channels: image.channels, data }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An image of numbers that a formula gives, as in the script that asked Pillow.
    fn drawn(width: usize, height: usize, channels: usize) -> Pixels {
        let value = |i: usize| ((i * i + 31 * i) % 251) as u8;
        Pixels { width, height, channels, data: (0..width * height * channels).map(value).collect() }
    }

    fn hash(bytes: &[u8]) -> u64 {
        // FNV-1a.
        bytes.iter().fold(0xCBF2_9CE4_8422_2325, |h, &b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01B3))
    }

    #[test]
    fn every_filter_gives_pillows_bytes() {
        // `scripts/check-resize.py` prints these rows.
        let cases: &[(Filter, ResizeTo, (usize, usize), u64)] = &[
            (Filter::Nearest, ResizeTo::ShortestEdge(19), (16, 16), 0x77D5_7D51_6BA6_C5BB),
            (Filter::Nearest, ResizeTo::ShortestEdge(61), (60, 45), 0x4D9B_E9C6_23C6_98AE),
            (Filter::Nearest, ResizeTo::Exact(20, 90), (20, 90), 0x5424_5A4B_B3C5_0187),
            (Filter::Box, ResizeTo::ShortestEdge(19), (16, 16), 0x49B3_4CA8_2188_90FA),
            (Filter::Box, ResizeTo::ShortestEdge(61), (60, 45), 0x4D9B_E9C6_23C6_98AE),
            (Filter::Box, ResizeTo::Exact(20, 90), (20, 90), 0x2694_A316_F087_6923),
            (Filter::Bilinear, ResizeTo::ShortestEdge(19), (16, 16), 0x3CA5_1116_7F0C_CE3B),
            (Filter::Bilinear, ResizeTo::ShortestEdge(61), (60, 45), 0x41F6_B0B2_7EC2_944E),
            (Filter::Bilinear, ResizeTo::Exact(20, 90), (20, 90), 0x2D89_C2D3_9B15_82BE),
            (Filter::Hamming, ResizeTo::ShortestEdge(19), (16, 16), 0x8143_2EF2_0649_2339),
            (Filter::Hamming, ResizeTo::ShortestEdge(61), (60, 45), 0x6086_DD9C_1DAD_F94F),
            (Filter::Hamming, ResizeTo::Exact(20, 90), (20, 90), 0x8D02_EE5E_2726_9B30),
            (Filter::Bicubic, ResizeTo::ShortestEdge(19), (16, 16), 0x0FDD_4990_6F07_0571),
            (Filter::Bicubic, ResizeTo::ShortestEdge(61), (60, 45), 0x9232_D9FC_AEFF_3335),
            (Filter::Bicubic, ResizeTo::Exact(20, 90), (20, 90), 0xFA30_D920_59A4_532A),
            (Filter::Lanczos, ResizeTo::ShortestEdge(19), (16, 16), 0x33A3_17D7_4B8C_46F4),
            (Filter::Lanczos, ResizeTo::ShortestEdge(61), (60, 45), 0x1475_17E4_AE2B_A639),
            (Filter::Lanczos, ResizeTo::Exact(20, 90), (20, 90), 0x4925_3090_9F9E_B9DC),
        ];
        for &(filter, to, (height, width), expected) in cases {
            let image = drawn(53, 37, 3);
            let mut out = vec![0; height * width * 3];
            Resize { to, filter }.apply(&image, height, width, &mut out);
            assert_eq!(hash(&out), expected, "{filter:?} {to:?}");
        }
    }

    #[test]
    fn an_image_of_the_right_size_stays_as_it_is() {
        let image = drawn(8, 8, 3);
        for filter in [Filter::Nearest, Filter::Bilinear, Filter::Bicubic, Filter::Lanczos] {
            let mut out = vec![0; 8 * 8 * 3];
            Resize { to: ResizeTo::ShortestEdge(8), filter }.apply(&image, 8, 8, &mut out);
            assert_eq!(out, image.data, "{filter:?}");
        }
    }

    #[test]
    fn single_pixels_and_narrow_images_are_resized() {
        for (width, height) in [(1, 1), (1, 500), (500, 1)] {
            let image = Pixels { width, height, channels: 1, data: vec![7; width * height] };
            let mut out = vec![0; 9];
            Resize { to: ResizeTo::ShortestEdge(4), filter: Filter::Bicubic }.apply(&image, 3, 3, &mut out);
            assert_eq!(out, [7; 9]);
        }
    }
}
