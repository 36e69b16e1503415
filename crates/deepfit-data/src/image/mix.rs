//! Mixup and cutmix: pairs of a batch blended, with the weights for their labels.

use super::augment::Augment;
use super::transform::Shape;
use crate::batch::{Array, Mix};
use crate::rng::{Purpose, Rng};

/// Blends each sample of `images` with the one at the mirrored position of the batch.
///
/// The order of a training batch is random, so its mirror image is a random pairing; and pairs can be
/// blended in place. Returns the share of itself that each sample has kept, or `None` if this batch is left as it is.
/// The numbers drawn are a function of (seed, epoch, the batch's first row).
pub(crate) fn blend(
    images: &mut [u8],
    shape: Shape,
    count: usize,
    augment: &Augment,
    mut rng: Rng,
) -> Option<Vec<f32>> {
    let (mixup, cutmix) = (augment.mixup > 0.0, augment.cutmix > 0.0);
    if !(mixup || cutmix) || rng.uniform() >= f64::from(augment.mix_probability) || count < 2 {
        return None;
    }
    let cut = cutmix && (!mixup || rng.below(2) == 1);
    let alpha = f64::from(if cut { augment.cutmix } else { augment.mixup });
    let bytes = shape.bytes();
    let mut weight = vec![1f32; count];
    for first in 0..count / 2 {
        let second = count - 1 - first;
        let (head, tail) = images.split_at_mut(second * bytes);
        let (a, b) = (&mut head[first * bytes..][..bytes], &mut tail[..bytes]);
        let share = rng.beta(alpha) as f32;
        let share = if cut { exchange(a, b, shape, share, &mut rng) } else { average(a, b, share) };
        weight[first] = share;
        weight[second] = share;
    }
    Some(weight)
}

/// The targets of samples that were blended with the mirrored ones. Classes become two for each sample, with weights;
/// numbers, `width` for each sample, are blended as the pixels were.
pub(crate) fn blend_targets(targets: &mut Array, width: usize, weight: Vec<f32>) -> Option<Mix> {
    match targets {
        Array::I32(classes) => Some(Mix { partner: classes.iter().rev().copied().collect(), weight }),
        Array::F32(values) => {
            let own = values.clone();
            let mirrored = own.chunks_exact(width).rev();
            for ((blended, other), share) in values.chunks_exact_mut(width).zip(mirrored).zip(weight) {
                blended.iter_mut().zip(other).for_each(|(x, y)| *x = share * *x + (1.0 - share) * y);
            }
            None
        }
        Array::U8(_) => unreachable!("targets are no pixels"),
    }
}

/// Each becomes `share` of itself and the rest of the other; the share in steps of 1/256.
fn average(a: &mut [u8], b: &mut [u8], share: f32) -> f32 {
    let own = (share * 256.0).round() as u32;
    for (x, y) in a.iter_mut().zip(b) {
        let (old_x, old_y) = (u32::from(*x), u32::from(*y));
        *x = ((own * old_x + (256 - own) * old_y + 128) / 256) as u8;
        *y = ((own * old_y + (256 - own) * old_x + 128) / 256) as u8;
    }
    own as f32 / 256.0
}

/// The two exchange a rectangle of about `1 - share` of their area; returns the share really kept.
fn exchange(a: &mut [u8], b: &mut [u8], shape: Shape, share: f32, rng: &mut Rng) -> f32 {
    let side = (1.0 - share).max(0.0).sqrt();
    let mut range = |length: usize| {
        let half = side * length as f32 / 2.0;
        let centre = rng.uniform() as f32 * length as f32;
        ((centre - half).round().max(0.0) as usize, ((centre + half).round() as usize).min(length))
    };
    let (top, bottom) = range(shape.height);
    let (left, right) = range(shape.width);
    for y in top..bottom {
        let row = (y * shape.width + left) * shape.channels..(y * shape.width + right) * shape.channels;
        a[row.clone()].swap_with_slice(&mut b[row]);
    }
    1.0 - ((bottom - top) * (right - left)) as f32 / (shape.height * shape.width) as f32
}

/// The random numbers of a batch.
pub(crate) fn numbers(seed: u64, epoch: u32, first_row: u32) -> Rng {
    Rng::new(seed, Purpose::Mix, epoch, first_row)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape { height: 8, width: 8, channels: 1 };

    fn batch() -> Vec<u8> {
        (0..5).flat_map(|i| vec![i as u8 * 50; 64]).collect()
    }

    fn mean(images: &[u8], i: usize) -> f32 {
        images[i * 64..][..64].iter().map(|&v| f32::from(v)).sum::<f32>() / 64.0
    }

    #[test]
    fn label_weights_equal_the_share_of_the_pixels() {
        for augment in [
            Augment { mixup: 0.8, ..Augment::none() },
            Augment { cutmix: 1.0, ..Augment::none() },
            Augment { mixup: 0.4, cutmix: 0.4, ..Augment::none() },
        ] {
            let mut weights = Vec::new();
            for row in 0..50 {
                let mut images = batch();
                let weight = blend(&mut images, SHAPE, 5, &augment, numbers(3, 0, row)).unwrap();
                let mut values = Array::F32((0..5).flat_map(|i| [i as f32 * 50.0, 1.0]).collect());
                assert_eq!(blend_targets(&mut values, 2, weight.clone()), None);
                let mut classes = Array::I32(vec![0, 1, 2, 3, 4]);
                let mix = blend_targets(&mut classes, 1, weight).unwrap();
                assert_eq!(mix.partner, [4, 3, 2, 1, 0]);
                for i in 0..5 {
                    let expected = mix.weight[i] * i as f32 * 50.0 + (1.0 - mix.weight[i]) * (4 - i) as f32 * 50.0;
                    assert!((mean(&images, i) - expected).abs() < 1.0);
                    let blended = &values.as_f32().unwrap()[2 * i..][..2];
                    assert!((blended[0] - expected).abs() < 1e-3 && (blended[1] - 1.0).abs() < 1e-6);
                }
                weights.push(mix.weight[0]);
            }
            assert!(weights.iter().any(|&w| w < 0.4) && weights.iter().any(|&w| w > 0.6));
        }
    }

    #[test]
    fn the_probability_says_how_many_batches_are_blended() {
        let augment = Augment { mixup: 0.5, mix_probability: 0.3, ..Augment::none() };
        let blended = (0..1000).filter(|&row| blend(&mut batch(), SHAPE, 5, &augment, numbers(1, 0, row)).is_some());
        let count = blended.count();
        assert!((250..350).contains(&count), "{count}");
    }
}
