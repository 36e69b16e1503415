//! Resizing with a good filter.

use super::decode::Pixels;

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

/// Catmull & Rom's cubic (Keys 1981, a = -0.5), support 2.
fn cubic(x: f32) -> f32 {
    let x = x.abs();
    if x < 1.0 {
        (1.5 * x - 2.5) * x * x + 1.0
    } else if x < 2.0 {
        ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    } else {
        0.0
    }
}

/// First source index and weights of each output index along one axis.
///
/// When the image shrinks the filter widens by the same factor, which removes what would alias.
fn taps(start: f32, extent: f32, source: usize, target: usize) -> Vec<(usize, Vec<f32>)> {
    let scale = extent / target as f32;
    let stretch = scale.max(1.0);
    (0..target)
        .map(|i| {
            let centre = start + (i as f32 + 0.5) * scale;
            let first = ((centre - 2.0 * stretch).floor().max(0.0) as usize).min(source - 1);
            let last = ((centre + 2.0 * stretch).ceil().max(0.0) as usize).clamp(first + 1, source);
            let mut weights: Vec<f32> = (first..last).map(|j| cubic((j as f32 + 0.5 - centre) / stretch)).collect();
            let sum: f32 = weights.iter().sum();
            if sum.abs() > 1e-6 {
                weights.iter_mut().for_each(|w| *w /= sum);
            } else {
                weights.fill(1.0 / (last - first) as f32);
            }
            (first, weights)
        })
        .collect()
}

/// Resizes `window` of `image` to `height` x `width` into `out` (`height * width * channels` values).
pub(crate) fn resample(image: &Pixels, window: Window, height: usize, width: usize, out: &mut [u8]) {
    let channels = image.channels;
    let exact = window == Window { left: 0.0, top: 0.0, width: width as f32, height: height as f32 };
    if exact && image.width == width && image.height == height {
        out.copy_from_slice(&image.data);
        return;
    }
    let rows = taps(window.top, window.height, image.height, height);
    let columns = taps(window.left, window.width, image.width, width);
    let stride = image.width * channels;
    let mut line = vec![0f32; stride];
    for ((first, weights), out) in rows.iter().zip(out.chunks_exact_mut(width * channels)) {
        line.fill(0.0);
        for (j, &weight) in weights.iter().enumerate() {
            let source = &image.data[(first + j) * stride..][..stride];
            for (sum, &value) in line.iter_mut().zip(source) {
                *sum += weight * f32::from(value);
            }
        }
        for ((first, weights), pixel) in columns.iter().zip(out.chunks_exact_mut(channels)) {
            for (channel, value) in pixel.iter_mut().enumerate() {
                let sum: f32 =
                    weights.iter().enumerate().map(|(j, w)| w * line[(first + j) * channels + channel]).sum();
                *value = sum.round().clamp(0.0, 255.0) as u8;
            }
        }
    }
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
            resample(&image, window, height, width, &mut out);
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
        resample(&dot, Window::centred(&dot, 3, 3), 3, 3, &mut out);
        assert!(out.chunks(3).all(|p| p == [10, 20, 30]));
        let image = gradient(8, 8);
        let mut one = [0];
        resample(&image, Window::centred(&image, 1, 1), 1, 1, &mut one);
        assert!((i32::from(one[0]) - 17).abs() <= 1);
    }
}
