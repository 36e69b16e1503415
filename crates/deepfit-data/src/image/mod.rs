//! Images in class folders or named by tables: finding, decoding, resizing, augmenting.

pub(crate) mod augment;
mod container;
mod decode;
mod depth;
mod dicom;
mod labels;
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
pub use labels::ImageColumns;
pub(crate) use labels::{recognise, require};
pub(crate) use layout::part_of;
pub use open::ImageSurvey;
pub(crate) use open::{ImageSet, open, open_table};
pub use preprocessor::ImagePreprocessor;
pub use resize::{Filter, Resize, ResizeTo};
pub(crate) use scan::looks_like_an_image;
