//! How training images are varied: the settings, their ranges and their defaults.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// What lies beyond the border of an image that was moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Border {
    /// The nearest pixel of the image.
    #[default]
    Edge,
    /// The image mirrored at its border, without repeating the border pixel.
    Reflect,
}

/// Random changes of training images, made on 8-bit pixels while the batch is prepared.
///
/// Each is switched off by 0 (or `false`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augment {
    /// Largest move along each axis, as a part of the side: 0 to 0.5. Above 0, at least one pixel.
    pub shift: f32,
    /// Whether half of the images are mirrored left to right.
    pub flip: bool,
    /// Largest rotation in degrees, either way: 0 to 180.
    pub rotate: f32,
    /// Largest change of size as a part of it, either way: 0 to 0.9.
    pub scale: f32,
    /// What is seen beyond the border.
    pub border: Border,
    /// Smallest part of the area that a random resized crop keeps: 0 (off) to 1. With it, `shift` and
    /// `scale` are not used (Szegedy et al. 2015; aspect 3/4 to 4/3).
    pub crop: f32,
    /// Largest relative change of brightness: 0 to 1.
    pub brightness: f32,
    /// Largest relative change of contrast: 0 to 1.
    pub contrast: f32,
    /// Largest relative change of saturation, colour images only: 0 to 1.
    pub saturation: f32,
    /// Strength alpha of mixup's Beta(alpha, alpha): 0 or more (Zhang et al. 2018).
    pub mixup: f32,
    /// Strength alpha of cutmix's Beta(alpha, alpha): 0 or more (Yun et al. 2019). With both, each batch takes one.
    pub cutmix: f32,
    /// Part of the batches that mixup or cutmix is applied to: 0 to 1.
    pub mix_probability: f32,
}

impl Default for Augment {
    fn default() -> Self {
        Augment::none()
    }
}

impl Augment {
    /// No change at all.
    pub fn none() -> Augment {
        Augment {
            shift: 0.0,
            flip: false,
            rotate: 0.0,
            scale: 0.0,
            border: Border::Edge,
            crop: 0.0,
            brightness: 0.0,
            contrast: 0.0,
            saturation: 0.0,
            mixup: 0.0,
            cutmix: 0.0,
            mix_probability: 1.0,
        }
    }

    /// Changes that keep the class of most images of a size.
    ///
    /// Small or grey images are often signs (digits, letters), whose mirror image is another sign or
    /// none: they are moved, turned and resized a little. Colour images of 32 pixels and more are taken
    /// for photographs: they are mirrored, their colours vary, and from 64 pixels on they are cropped.
    pub fn for_images(height: usize, width: usize, channels: usize) -> Augment {
        let side = height.min(width);
        let none = Augment::none();
        if channels == 1 || side < 32 {
            Augment { shift: 0.1, rotate: 10.0, scale: 0.1, ..none }
        } else {
            let colour = Augment { flip: true, brightness: 0.2, contrast: 0.2, saturation: 0.2, ..none };
            if side < 64 {
                Augment { shift: 0.125, border: Border::Reflect, ..colour }
            } else {
                Augment { crop: 0.35, ..colour }
            }
        }
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// Names the first setting that is out of its range.
    pub fn validate(&self) -> Result<()> {
        let ranges = [
            ("augment.shift", self.shift, 0.5),
            ("augment.rotate", self.rotate, 180.0),
            ("augment.scale", self.scale, 0.9),
            ("augment.crop", self.crop, 1.0),
            ("augment.brightness", self.brightness, 1.0),
            ("augment.contrast", self.contrast, 1.0),
            ("augment.saturation", self.saturation, 1.0),
            ("augment.mixup", self.mixup, 100.0),
            ("augment.cutmix", self.cutmix, 100.0),
            ("augment.mix_probability", self.mix_probability, 1.0),
        ];
        for (setting, value, most) in ranges {
            if !(0.0..=most).contains(&value) {
                return Err(Error::Setting { setting, problem: format!("{value} is outside of 0 to {most}") });
            }
        }
        Ok(())
    }
}
