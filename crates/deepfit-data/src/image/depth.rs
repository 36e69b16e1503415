//! Grey of more than 8 bits, brought to 8 without losing what the image shows.

/// Pixels that the range of an image is taken from; of larger images as many, spread evenly.
const SAMPLED: usize = 1 << 16;
/// Share of the pixels beyond each end of the range: a few hot pixels, or letters burnt into an X-ray, must not squeeze
/// everything else into a few levels.
const BEYOND: f64 = 0.001;

/// Values to grey of 8 bits, over the range that the image itself takes.
///
/// Devices write 10 to 14 significant bits into 16: scaled by the range of the type, such images would be left with as
/// few as 4 levels.
pub(crate) fn stretch(values: &[f32]) -> Vec<u8> {
    let (low, high) = range(values);
    window(values, low, high)
}

/// Values to grey of 8 bits: `low` and what is below to 0, `high` and what is above to 255.
pub(crate) fn window(values: &[f32], low: f32, high: f32) -> Vec<u8> {
    let scale = if high > low { 255.0 / (high - low) } else { 0.0 };
    // The conversion cuts off what is outside of 0 to 255.
    values.iter().map(|value| ((value - low) * scale + 0.5) as u8).collect()
}

fn range(values: &[f32]) -> (f32, f32) {
    let step = values.len().div_ceil(SAMPLED).max(1);
    let mut sample: Vec<f32> = values.iter().copied().step_by(step).filter(|value| value.is_finite()).collect();
    if sample.is_empty() {
        return (0.0, 0.0);
    }
    sample.sort_unstable_by(f32::total_cmp);
    let beyond = ((sample.len() - 1) as f64 * BEYOND) as usize;
    (sample[beyond], sample[sample.len() - 1 - beyond])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_of_the_image_fills_the_levels() {
        let grey = stretch(&(0..4096).map(|v| v as f32).collect::<Vec<_>>());
        let levels = grey.windows(2).filter(|pair| pair[0] != pair[1]).count() + 1;
        assert_eq!((grey[0], grey[4095], levels), (0, 255, 256));
        assert!((126..=129).contains(&grey[2048]));
    }

    #[test]
    fn a_few_extreme_pixels_do_not_squeeze_the_rest() {
        let mut values: Vec<f32> = (0..10_000).map(|v| (v % 1000) as f32).collect();
        values[17] = 65_535.0;
        let grey = stretch(&values);
        assert!(grey[17] == 255 && grey[999] > 250 && grey[500] > 120);
    }

    #[test]
    fn constants_and_nothing_are_black() {
        assert_eq!(stretch(&[7.0; 5]), [0; 5]);
        assert!(stretch(&[]).is_empty());
        assert_eq!(window(&[-5.0, 0.0, 1.0, 2.0, f32::NAN], 0.0, 2.0), [0, 0, 128, 255, 0]);
    }
}
