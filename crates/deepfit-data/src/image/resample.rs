//! Resizing with a good filter.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::{U8, U8x3};
use fast_image_resize::{FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};

use super::decode::Pixels;
use super::transform::Shape;

/// A rectangle of an image in pixels, edges included as real numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Window {
    pub(crate) left: f32,
    pub(crate) top: f32,
    pub(crate) width: f32,
    pub(crate) height: f32,
}

impl Window {
    /// The largest centred rectangle of `image` with the aspect of `height` x `width`.
    pub(crate) fn centred(image: &Pixels, height: usize, width: usize) -> Window {
        let scale = (image.width as f32 / width as f32).min(image.height as f32 / height as f32);
        let (w, h) = (width as f32 * scale, height as f32 * scale);
        Window { left: (image.width as f32 - w) / 2.0, top: (image.height as f32 - h) / 2.0, width: w, height: h }
    }
}

/// Resizes images with Catmull & Rom's cubic (Keys 1981, a = -0.5). Where an image shrinks the filter widens by the same
/// factor, which removes what would alias. Rows come first and are rounded to 0 to 255, as Pillow does it. Keeps work space
/// from image to image.
#[derive(Default)]
pub(crate) struct Resampler {
    resizer: Resizer,
}

impl Resampler {
    /// Resizes `window` of `image` to `height` x `width` into `out` (`height * width * channels` values).
    pub(crate) fn resample(&mut self, image: &Pixels, window: Window, height: usize, width: usize, out: &mut [u8]) {
        match image.channels {
            1 => self.typed::<U8>(image, window, height, width, out),
            _ => self.typed::<U8x3>(image, window, height, width, out),
        }
    }

    fn typed<P: PixelTrait>(&mut self, image: &Pixels, window: Window, height: usize, width: usize, out: &mut [u8]) {
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
        let (left, across) = inside(window.left, window.width, image.width);
        let (top, down) = inside(window.top, window.height, image.height);
        let options = options.crop(left, top, across, down);
        let side = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let from = TypedImageRef::<P>::from_buffer(side(image.width), side(image.height), &image.data);
        let to = TypedImage::<P>::from_buffer(side(width), side(height), out);
        // Neither fails: both buffers hold whole images, and the window lies inside.
        if let (Ok(from), Ok(mut to)) = (from, to) {
            let _ = self.resizer.resize_typed(&from, &mut to, &options);
        }
    }

    /// Bytes of the work space for an image of this width, resized to `shape`: it is resized from row to row first.
    pub(crate) fn scratch_bytes(image_width: usize, shape: Shape) -> usize {
        image_width * shape.height * shape.channels
    }
}

/// Start and length of a range that lies inside of `side` pixels: rounding may have led out of it.
fn inside(start: f32, length: f32, side: usize) -> (f64, f64) {
    const LEAST: f64 = 1e-6;
    let side = side as f64;
    let start = f64::from(start).min(side - LEAST).max(0.0);
    (start, f64::from(length).max(LEAST).min(side - start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gradient(width: usize, height: usize) -> Pixels {
        let data = (0..height).flat_map(|y| (0..width).map(move |x| (x * 2 + y * 3) as u8)).collect();
        Pixels { width, height, channels: 1, data }
    }

    #[test]
    fn a_linear_gradient_stays_linear_when_resized() {
        let image = gradient(40, 24);
        for (height, width) in [(12, 20), (48, 80), (15, 25)] {
            let mut out = vec![0; height * width];
            let window = Window { left: 0.0, top: 0.0, width: 40.0, height: 24.0 };
            Resampler::default().resample(&image, window, height, width, &mut out);
            for y in height / 4..3 * height / 4 {
                for x in width / 4..3 * width / 4 {
                    let source_x = (x as f32 + 0.5) * 40.0 / width as f32 - 0.5;
                    let source_y = (y as f32 + 0.5) * 24.0 / height as f32 - 0.5;
                    let expected = source_x * 2.0 + source_y * 3.0;
                    assert!((f32::from(out[y * width + x]) - expected).abs() <= 1.0);
                }
            }
        }
    }

    /// The filter as it is defined, in full precision.
    fn reference(image: &Pixels, window: Window, height: usize, width: usize) -> Vec<f64> {
        let cubic = |x: f64| match x.abs() {
            x if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
            x if x < 2.0 => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
            _ => 0.0,
        };
        let weights = |start: f32, extent: f32, side: usize, target: usize, i: usize| {
            let scale = f64::from(extent) / target as f64;
            let centre = f64::from(start) + (i as f64 + 0.5) * scale;
            let all: Vec<f64> = (0..side).map(|j| cubic((j as f64 + 0.5 - centre) / scale.max(1.0))).collect();
            let sum: f64 = all.iter().sum();
            all.into_iter().map(|w| w / sum).collect::<Vec<f64>>()
        };
        let mut out = Vec::new();
        for y in 0..height {
            let rows = weights(window.top, window.height, image.height, height, y);
            for x in 0..width {
                let columns = weights(window.left, window.width, image.width, width, x);
                for channel in 0..image.channels {
                    let value =
                        |j: usize, i: usize| f64::from(image.data[(j * image.width + i) * image.channels + channel]);
                    let row = |j: usize| columns.iter().enumerate().map(|(i, w)| w * value(j, i)).sum::<f64>();
                    out.push(rows.iter().enumerate().map(|(j, w)| w * row(j)).sum::<f64>().clamp(0.0, 255.0));
                }
            }
        }
        out
    }

    #[test]
    fn pixels_are_those_of_the_filter_but_for_rounding() {
        for channels in [1, 3] {
            let data = (0..37 * 29 * channels).map(|i| (64 + i * i * 31 % 128) as u8).collect();
            let image = Pixels { width: 37, height: 29, channels, data };
            let mut resampler = Resampler::default();
            for (left, top, across, down) in [(0.0, 0.0, 37.0, 29.0), (3.25, 1.5, 20.0, 24.75), (30.0, 20.0, 7.0, 9.0)]
            {
                for (height, width) in [(8, 10), (16, 16), (40, 50)] {
                    let window = Window { left, top, width: across, height: down };
                    let mut out = vec![0; height * width * channels];
                    resampler.resample(&image, window, height, width, &mut out);
                    let expected = reference(&image, window, height, width);
                    let worst = out.iter().zip(expected).map(|(&a, b)| (f64::from(a) - b).abs()).fold(0.0, f64::max);
                    // Rows are rounded before columns: half a level each, the first by up to 1.25 weights.
                    assert!(worst < 1.3, "{channels} {window:?} {height} x {width}: {worst}");
                }
            }
        }
    }

    #[test]
    fn the_centred_window_keeps_the_aspect_and_stays_inside() {
        let image = gradient(60, 30);
        let window = Window::centred(&image, 10, 10);
        assert_eq!(window, Window { left: 15.0, top: 0.0, width: 30.0, height: 30.0 });
    }

    #[test]
    fn single_pixels_can_be_enlarged_and_everything_reduced_to_one() {
        let dot = Pixels { width: 1, height: 1, channels: 3, data: vec![10, 20, 30] };
        let mut out = vec![0; 3 * 3 * 3];
        Resampler::default().resample(&dot, Window::centred(&dot, 3, 3), 3, 3, &mut out);
        assert!(out.chunks(3).all(|p| p == [10, 20, 30]));
        let image = gradient(8, 8);
        let mut one = [0];
        Resampler::default().resample(&image, Window::centred(&image, 1, 1), 1, 1, &mut one);
        assert!((i32::from(one[0]) - 17).abs() <= 1);
    }
}
