//! One image changed as its random numbers say: place, then colour.

use super::augment::{Augment, Border};
use super::decode::Pixels;
use super::resample::Window;
use crate::rng::Rng;

/// Height, width and channels of the images of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) channels: usize,
}

impl Shape {
    pub(crate) fn bytes(self) -> usize {
        self.height * self.width * self.channels
    }
}

/// A random resized crop of `image` with the aspect of `shape` times 3/4 to 4/3.
pub(crate) fn random_crop(image: &Pixels, shape: Shape, smallest: f32, rng: &mut Rng) -> Window {
    let whole = (image.width * image.height) as f32;
    let aspect = shape.width as f32 / shape.height as f32;
    // A crop of the drawn area and aspect may not fit; ten attempts, as in the original, then the centre.
    for _ in 0..10 {
        let area = whole * (smallest + (1.0 - smallest) * rng.uniform() as f32);
        let ratio = aspect * (rng.signed() * (4.0f32 / 3.0).ln()).exp();
        let (width, height) = ((area * ratio).sqrt(), (area / ratio).sqrt());
        if width <= image.width as f32 && height <= image.height as f32 {
            let left = rng.uniform() as f32 * (image.width as f32 - width);
            let top = rng.uniform() as f32 * (image.height as f32 - height);
            return Window { left, top, width, height };
        }
    }
    Window::centred(image, shape.height, shape.width)
}

/// Index into 0..len for any position, as the border says.
fn beyond(position: isize, len: usize, border: Border) -> usize {
    let last = len as isize - 1;
    match border {
        Border::Edge => position.clamp(0, last) as usize,
        Border::Reflect if last == 0 => 0,
        Border::Reflect => {
            let folded = position.rem_euclid(2 * last);
            folded.min(2 * last - folded) as usize
        }
    }
}

fn pixels_of(part: f32, side: usize) -> f32 {
    if part > 0.0 { (part * side as f32).floor().max(1.0) } else { 0.0 }
}

/// Moves, mirrors, turns and resizes `image` in place; `copy` is work space.
pub(crate) fn move_about(image: &mut [u8], shape: Shape, augment: &Augment, copy: &mut Vec<u8>, rng: &mut Rng) {
    let cropped = augment.crop > 0.0;
    let reach = |side| if cropped { 0.0 } else { pixels_of(augment.shift, side) };
    let (reach_y, reach_x) = (reach(shape.height), reach(shape.width));
    let flip = augment.flip && rng.below(2) == 1;
    let turned = augment.rotate > 0.0 || (augment.scale > 0.0 && !cropped);
    if !turned {
        let mut whole = |reach: f32| rng.below(2 * reach as usize + 1) as isize - reach as isize;
        let (down, right) = (whole(reach_y), whole(reach_x));
        if down != 0 || right != 0 || flip {
            shift(image, shape, (down, right), flip, augment.border, copy);
        }
        return;
    }
    let (down, right) = (reach_y * rng.signed(), reach_x * rng.signed());
    let angle = (augment.rotate * rng.signed()).to_radians();
    let scale = if cropped { 1.0 } else { (rng.signed() * (1.0 + augment.scale).ln()).exp() };
    // Where each pixel of the result comes from: the inverse of scale, rotation, mirror and shift.
    let (sin, cos) = (angle.sin() / scale, angle.cos() / scale);
    let mirror = if flip { -1.0 } else { 1.0 };
    let matrix = [[cos, -sin], [mirror * sin, mirror * cos]];
    warp(image, shape, matrix, (down, right), augment.border, copy);
}

fn shift(image: &mut [u8], shape: Shape, by: (isize, isize), flip: bool, border: Border, copy: &mut Vec<u8>) {
    let channels = shape.channels;
    if by == (0, 0) && flip {
        for row in image.chunks_exact_mut(shape.width * channels) {
            mirror(row, channels);
        }
        return;
    }
    copy.clear();
    copy.extend_from_slice(image);
    for (y, row) in image.chunks_exact_mut(shape.width * channels).enumerate() {
        let from_row = beyond(y as isize - by.0, shape.height, border) * shape.width;
        for (x, pixel) in row.chunks_exact_mut(channels).enumerate() {
            let x = if flip { shape.width - 1 - x } else { x };
            let from = (from_row + beyond(x as isize - by.1, shape.width, border)) * channels;
            pixel.copy_from_slice(&copy[from..from + channels]);
        }
    }
}

/// Reverses the order of a row's pixels.
fn mirror(row: &mut [u8], channels: usize) {
    row.reverse();
    if channels == 3 {
        row.chunks_exact_mut(3).for_each(|pixel| pixel.swap(0, 2));
    }
}

/// Bilinear sampling at `matrix * (position - centre - by) + centre`; positions are (y, x).
fn warp(image: &mut [u8], shape: Shape, matrix: [[f32; 2]; 2], by: (f32, f32), border: Border, copy: &mut Vec<u8>) {
    copy.clear();
    copy.extend_from_slice(image);
    let channels = shape.channels;
    let (centre_y, centre_x) = ((shape.height as f32 - 1.0) / 2.0, (shape.width as f32 - 1.0) / 2.0);
    for (y, row) in image.chunks_exact_mut(shape.width * channels).enumerate() {
        let dy = y as f32 - centre_y - by.0;
        for (x, pixel) in row.chunks_exact_mut(channels).enumerate() {
            let dx = x as f32 - centre_x - by.1;
            let from_y = matrix[0][0] * dy + matrix[0][1] * dx + centre_y;
            let from_x = matrix[1][0] * dy + matrix[1][1] * dx + centre_x;
            let (floor_y, floor_x) = (from_y.floor(), from_x.floor());
            let (part_y, part_x) = (from_y - floor_y, from_x - floor_x);
            let rows = [0, 1].map(|i| beyond(floor_y as isize + i, shape.height, border) * shape.width);
            let columns = [0, 1].map(|i| beyond(floor_x as isize + i, shape.width, border));
            for (channel, value) in pixel.iter_mut().enumerate() {
                let at = |row: usize, column: usize| f32::from(copy[(row + column) * channels + channel]);
                let above = at(rows[0], columns[0]) * (1.0 - part_x) + at(rows[0], columns[1]) * part_x;
                let below = at(rows[1], columns[0]) * (1.0 - part_x) + at(rows[1], columns[1]) * part_x;
                *value = (above * (1.0 - part_y) + below * part_y + 0.5) as u8;
            }
        }
    }
}

/// Varies brightness, contrast and saturation in place, in this order, as PyTorch's ColorJitter defines them.
pub(crate) fn colour(image: &mut [u8], shape: Shape, augment: &Augment, rng: &mut Rng) {
    let mut factor = |range: f32| if range > 0.0 { 1.0 + range * rng.signed() } else { 1.0 };
    let brightness = factor(augment.brightness);
    let contrast = factor(augment.contrast);
    let saturation = factor(augment.saturation);
    if brightness != 1.0 || contrast != 1.0 {
        let mean = image.iter().map(|&v| u64::from(v)).sum::<u64>() as f32 / image.len() as f32;
        let mean = (mean * brightness).min(255.0);
        let table: [u8; 256] = std::array::from_fn(|value| {
            let bright = (value as f32 * brightness).min(255.0);
            (mean + (bright - mean) * contrast).round().clamp(0.0, 255.0) as u8
        });
        image.iter_mut().for_each(|value| *value = table[usize::from(*value)]);
    }
    if saturation != 1.0 && shape.channels == 3 {
        for pixel in image.chunks_exact_mut(3) {
            let [r, g, b] = [0, 1, 2].map(|i| f32::from(pixel[i]));
            // ITU-R BT.601 luma.
            let grey = 0.299 * r + 0.587 * g + 0.114 * b;
            for (value, old) in pixel.iter_mut().zip([r, g, b]) {
                // The conversion cuts off what is outside of 0 to 255; with a half added it rounds, without a call.
                *value = (grey + (old - grey) * saturation + 0.5) as u8;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Purpose;

    const SHAPE: Shape = Shape { height: 6, width: 8, channels: 1 };

    fn ramp() -> Vec<u8> {
        (0..48).map(|i| i as u8 * 5).collect()
    }

    #[test]
    fn a_shift_moves_pixels_and_fills_from_the_border() {
        let (mut edge, mut mirrored) = (ramp(), ramp());
        shift(&mut edge, SHAPE, (0, 2), false, Border::Edge, &mut Vec::new());
        assert_eq!(edge[..4], [0, 0, 0, 5]);
        shift(&mut mirrored, SHAPE, (0, 2), false, Border::Reflect, &mut Vec::new());
        assert_eq!(mirrored[..4], [10, 5, 0, 5]);
        let mut flipped = ramp();
        shift(&mut flipped, SHAPE, (0, 0), true, Border::Edge, &mut Vec::new());
        assert_eq!(flipped[..8], [35, 30, 25, 20, 15, 10, 5, 0]);
    }

    #[test]
    fn the_identity_warp_changes_nothing_and_a_half_turn_reverses() {
        let mut image = ramp();
        warp(&mut image, SHAPE, [[1.0, 0.0], [0.0, 1.0]], (0.0, 0.0), Border::Edge, &mut Vec::new());
        assert_eq!(image, ramp());
        warp(&mut image, SHAPE, [[-1.0, 0.0], [0.0, -1.0]], (0.0, 0.0), Border::Edge, &mut Vec::new());
        assert!(image.iter().eq(ramp().iter().rev()));
    }

    #[test]
    fn moves_stay_within_their_range() {
        let mut image = vec![0u8; 33 * 33];
        let shape = Shape { height: 33, width: 33, channels: 1 };
        let augment = Augment { shift: 0.1, rotate: 5.0, scale: 0.05, ..Augment::none() };
        let mut moved = 0;
        for row in 0..200 {
            image.fill(0);
            image[16 * 33 + 16] = 255;
            move_about(&mut image, shape, &augment, &mut Vec::new(), &mut Rng::new(1, Purpose::Augment, 0, row));
            let brightest = (0..image.len()).max_by_key(|&i| image[i]).unwrap();
            let distance = (brightest / 33).abs_diff(16).max((brightest % 33).abs_diff(16));
            assert!(distance <= 4, "{distance}");
            moved += usize::from(distance > 0);
        }
        assert!(moved > 100);
    }

    #[test]
    fn colour_factors_of_zero_change_nothing_and_grey_stays_grey() {
        let shape = Shape { height: 2, width: 2, channels: 3 };
        let mut image: Vec<u8> = vec![90, 90, 90, 10, 10, 10, 200, 200, 200, 0, 0, 0];
        let before = image.clone();
        colour(&mut image, shape, &Augment::none(), &mut Rng::new(1, Purpose::Augment, 0, 0));
        assert_eq!(image, before);
        let strong = Augment { brightness: 0.5, contrast: 0.5, saturation: 1.0, ..Augment::none() };
        colour(&mut image, shape, &strong, &mut Rng::new(1, Purpose::Augment, 0, 0));
        assert_ne!(image, before);
        assert!(image.chunks(3).all(|p| p[0] == p[1] && p[1] == p[2]));
    }

    #[test]
    fn random_crops_lie_inside_and_keep_their_area() {
        let image = Pixels { width: 100, height: 60, channels: 1, data: vec![0; 6000] };
        let shape = Shape { height: 32, width: 32, channels: 1 };
        for row in 0..500 {
            let w = random_crop(&image, shape, 0.3, &mut Rng::new(1, Purpose::Augment, 0, row));
            assert!(w.left >= 0.0 && w.top >= 0.0);
            assert!(w.left + w.width <= 100.01 && w.top + w.height <= 60.01);
            assert!(w.width * w.height >= 0.29 * 6000.0);
        }
    }
}
