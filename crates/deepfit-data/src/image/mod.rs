//! Images in class folders: finding, decoding, resizing, augmenting.

pub(crate) mod augment;
mod container;
mod decode;
mod layout;
mod mix;
mod open;
mod preprocessor;
mod resample;
mod resize;
mod scan;
mod source;
mod tiff;
mod transform;

pub use augment::{Augment, Border};
pub(crate) use container::looks_like_zip;
pub use open::ImageSurvey;
pub(crate) use open::{ImageSet, open};
pub use preprocessor::ImagePreprocessor;
pub use resize::{Filter, Resize, ResizeTo};
