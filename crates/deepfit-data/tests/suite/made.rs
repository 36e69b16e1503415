//! Data made for the tests.

use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use deepfit_data::{Batch, Dataset, OpenOptions, Pass, Source, open};
use image::{DynamicImage, GrayImage, ImageFormat, Rgb, RgbImage};
use tempfile::TempDir;

/// A temporary folder with files in it.
pub struct Folder {
    dir: TempDir,
}

impl Folder {
    pub fn new() -> Folder {
        Folder { dir: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    pub fn open(&self) -> deepfit_data::Result<Dataset> {
        open(self.path(), &OpenOptions::default())
    }

    /// `count` different small grey images in each of the classes.
    pub fn with_classes(classes: &[&str], count: u8) -> Folder {
        let folder = Folder::new();
        for (i, class) in classes.iter().enumerate() {
            for n in 0..count {
                folder.write(&format!("{class}/{n:03}.png"), png(&grey(8, 8, n, i as u8)));
            }
        }
        folder
    }
}

/// A grey image that is different for each (a, b).
pub fn grey(width: u32, height: u32, a: u8, b: u8) -> DynamicImage {
    let pixel = |x: u32, y: u32| image::Luma([(x * 17 + y * 5) as u8 ^ a.wrapping_mul(7) ^ b.wrapping_mul(29)]);
    DynamicImage::ImageLuma8(GrayImage::from_fn(width, height, pixel))
}

/// A smooth colour image that is different for each seed.
pub fn photo(width: u32, height: u32, seed: u8) -> DynamicImage {
    DynamicImage::ImageRgb8(RgbImage::from_fn(width, height, |x, y| {
        Rgb([(x * 200 / width) as u8, (y * 200 / height) as u8, seed.wrapping_mul(11)])
    }))
}

pub fn encode(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

pub fn png(image: &DynamicImage) -> Vec<u8> {
    encode(image, ImageFormat::Png)
}

/// A zip archive of files.
pub fn zip(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    for (name, bytes) in entries {
        writer.start_file(*name, options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// Writes a table and opens it.
pub fn table(text: impl AsRef<[u8]>) -> deepfit_data::Result<Dataset> {
    table_with(text, &OpenOptions::default())
}

pub fn table_with(text: impl AsRef<[u8]>, options: &OpenOptions) -> deepfit_data::Result<Dataset> {
    let folder = Folder::new();
    let path = folder.write("data.csv", text);
    open(&path, options)
}

/// The message of an error that must occur.
pub fn message<T>(result: deepfit_data::Result<T>) -> String {
    match result {
        Ok(_) => panic!("an error was expected"),
        Err(error) => error.to_string(),
    }
}

/// All rows of a source, as they are.
pub fn all(source: &dyn Source) -> Batch {
    let rows: Vec<u32> = (0..source.len() as u32).collect();
    let mut batch = Batch::new();
    source.fill(&rows, Pass::Evaluate, &mut batch).unwrap();
    batch
}

/// All rows of a data set, prepared on all of them.
pub fn everything(data: &Dataset) -> Batch {
    let rows: Vec<u32> = (0..data.len() as u32).collect();
    all(data.prepare(&rows).unwrap().source.as_ref())
}

/// A classification table with two numbers and a word, all rows different.
pub fn flowers(rows: usize) -> String {
    let mut text = String::from("length,width,colour,species\n");
    for i in 0..rows {
        let species = ["setosa", "virginica", "other"][i % 3];
        let colour = ["red", "blue", "white"][(i / 2) % 3];
        text += &format!("{}.5,{},{colour},{species}\n", i, (i * 7) % 11);
    }
    text
}
