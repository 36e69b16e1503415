//! Mixup and cutmix: pairs of a batch blended, with the weights for their labels.

use super::augment::Augment;
use super::transform::Shape;
use crate::batch::Mix;
use crate::rng::{Purpose, Rng};

/// Blends each sample of `images` with the one at the mirrored position of the batch.
///
/// The order of a training batch is random, so its mirror image is a random pairing; and pairs can be
/// blended in place. Returns `None` if this batch is left as it is. The numbers drawn are a function of
/// (seed, epoch, the batch's first row).
pub(crate) fn blend(images: &mut [u8], shape: Shape, classes: &[i32], augment: &Augment, mut rng: Rng) -> Option<Mix> {
    let (mixup, cutmix) = (augment.mixup > 0.0, augment.cutmix > 0.0);
    if !(mixup || cutmix) || rng.uniform() >= f64::from(augment.mix_probability) || classes.len() < 2 {
        return None;
    }
    let cut = cutmix && (!mixup || rng.below(2) == 1);
    let alpha = f64::from(if cut { augment.cutmix } else { augment.mixup });
    let count = classes.len();
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
    let partner = classes.iter().rev().copied().collect();
    Some(Mix { partner, weight })
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

    fn batch() -> (Vec<u8>, Vec<i32>) {
        let images = (0..5).flat_map(|i| vec![i as u8 * 50; 64]).collect();
        (images, vec![0, 1, 2, 3, 4])
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
                let (mut images, classes) = batch();
                let mix = blend(&mut images, SHAPE, &classes, &augment, numbers(3, 0, row)).unwrap();
                assert_eq!(mix.partner, [4, 3, 2, 1, 0]);
                for i in 0..5 {
                    let expected = mix.weight[i] * i as f32 * 50.0 + (1.0 - mix.weight[i]) * (4 - i) as f32 * 50.0;
                    assert!((mean(&images, i) - expected).abs() < 1.0);
                }
                weights.push(mix.weight[0]);
            }
            assert!(weights.iter().any(|&w| w < 0.4) && weights.iter().any(|&w| w > 0.6));
        }
    }

    #[test]
    fn the_probability_says_how_many_batches_are_blended() {
        let augment = Augment { mixup: 0.5, mix_probability: 0.3, ..Augment::none() };
        let blended = (0..1000).filter(|&row| {
            let (mut images, classes) = batch();
            blend(&mut images, SHAPE, &classes, &augment, numbers(1, 0, row)).is_some()
        });
        let count = blended.count();
        assert!((250..350).contains(&count), "{count}");
    }
}
