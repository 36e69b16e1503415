//! Behaviour of the data crate on real files, made in temporary folders.

mod archives;
mod bad_images;
mod bad_tables;
mod divided;
mod image_tables;
mod images;
mod loading;
mod made;
mod medical;
mod predict;
mod splitting;
mod strange_tables;
mod tables;
mod tokens;
