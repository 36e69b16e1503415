//! Folders of images: formats, orientation, colour, size, layout.

use deepfit_data::{OpenOptions, Part, RowId, Task, open};
use image::{DynamicImage, ImageFormat};

use crate::made::{Folder, all, encode, everything, grey, photo, png, zip};

fn classes(data: &deepfit_data::Dataset) -> Vec<String> {
    match data.task() {
        Task::Classification { classes } => classes.clone(),
        other => panic!("images in folders are classified, not {other:?}"),
    }
}

/// Class `a` holds the image under test, the rest are there to be enough.
fn among_others(name: &str, bytes: Vec<u8>, others: &DynamicImage) -> Folder {
    let folder = Folder::new();
    folder.write(&format!("a/{name}"), bytes);
    for i in 0..10 {
        folder.write(&format!("b/{i}.png"), png(others));
    }
    folder
}

fn first_image(folder: &Folder) -> Vec<u8> {
    let data = folder.open().unwrap();
    let bytes = data.image_shape().unwrap().iter().product();
    everything(&data).inputs[0].as_u8().unwrap()[..bytes].to_vec()
}

#[test]
fn every_format_is_decoded_whatever_its_extension() {
    let original = photo(24, 16, 3);
    let expected = original.to_rgb8().into_raw();
    for (format, tolerance) in [
        (ImageFormat::Png, 0),
        (ImageFormat::Bmp, 0),
        (ImageFormat::Tiff, 0),
        (ImageFormat::WebP, 0),
        (ImageFormat::Gif, 40),
        (ImageFormat::Jpeg, 24),
    ] {
        for name in ["image.png", "image.dat", "image"] {
            let folder = among_others(name, encode(&original, format), &photo(24, 16, 9));
            let pixels = first_image(&folder);
            let worst = pixels.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
            assert!(worst <= tolerance, "{format:?} as {name}: {worst}");
        }
    }
}

/// A JPEG with an EXIF block that says how the camera was held.
fn turned_jpeg(image: &DynamicImage, orientation: u8) -> Vec<u8> {
    let jpeg = encode(image, ImageFormat::Jpeg);
    let mut exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
    let mut out = jpeg[..2].to_vec();
    out.extend([0xFF, 0xE1]);
    out.extend(((exif.len() + 2) as u16).to_be_bytes());
    out.extend(exif);
    out.extend(&jpeg[2..]);
    out
}

#[test]
fn exif_orientation_is_applied() {
    let original = photo(32, 16, 1);
    for (orientation, upright) in [
        (1, original.clone()),
        (2, original.fliph()),
        (3, original.rotate180()),
        (6, original.rotate90()),
        (8, original.rotate270()),
    ] {
        let folder = among_others("a.jpg", turned_jpeg(&original, orientation), &upright);
        let data = folder.open().unwrap();
        assert_eq!(data.image_shape(), Some([upright.height() as usize, upright.width() as usize, 3]), "{orientation}");
        let pixels = first_image(&folder);
        let expected = upright.to_rgb8().into_raw();
        let worst = pixels.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(worst <= 24, "{orientation}: {worst}");
    }
}

#[test]
fn transparency_is_put_on_white_and_sixteen_bits_become_eight() {
    let clear = image::RgbaImage::from_fn(8, 8, |x, _| image::Rgba([200, 100, 0, if x < 4 { 0 } else { 128 }]));
    let folder = among_others("a.png", png(&DynamicImage::ImageRgba8(clear)), &photo(8, 8, 1));
    let pixels = first_image(&folder);
    assert_eq!(pixels[..3], [255, 255, 255]);
    assert_eq!(pixels[15..18], [227, 177, 127]);

    let deep = image::ImageBuffer::from_fn(8, 8, |x, y| image::Luma([(x * 8 + y) as u16 * 1000]));
    let folder = among_others("a.png", png(&DynamicImage::ImageLuma16(deep)), &grey(8, 8, 1, 1));
    assert_eq!(folder.open().unwrap().image_shape(), Some([8, 8, 1]));
    let pixels = first_image(&folder);
    // Over the range that the image takes.
    assert_eq!((pixels[0], pixels[63]), (0, 255));
}

#[test]
fn grey_data_has_one_channel_even_if_stored_in_colour() {
    let as_rgb = |image: DynamicImage| DynamicImage::ImageRgb8(image.to_rgb8());
    let folder = Folder::new();
    for i in 0..12 {
        folder.write(&format!("{}/{i}.png", i % 2), png(&as_rgb(grey(8, 8, i, 0))));
    }
    let data = folder.open().unwrap();
    assert_eq!(data.image_shape(), Some([8, 8, 1]));
    assert_eq!(everything(&data).inputs[0].as_u8().unwrap()[..64], grey(8, 8, 0, 0).to_luma8().into_raw());
    folder.write("0/colour.png", png(&photo(8, 8, 1)));
    assert_eq!(folder.open().unwrap().image_shape(), Some([8, 8, 3]));
    let forced = OpenOptions { channels: Some(1), ..OpenOptions::default() };
    assert_eq!(open(folder.path(), &forced).unwrap().image_shape(), Some([8, 8, 1]));
}

#[test]
fn one_colour_image_that_the_sample_misses_keeps_the_colours() {
    let folder = Folder::new();
    for i in 0..150u8 {
        let image = if i == 149 { photo(8, 8, 1) } else { DynamicImage::ImageRgb8(grey(8, 8, i, 0).to_rgb8()) };
        folder.write(&format!("{}/{i:03}.png", i % 2), png(&image));
    }
    assert_eq!(folder.open().unwrap().image_shape(), Some([8, 8, 3]));
}

#[test]
fn the_size_is_that_of_all_images_or_from_the_median() {
    let sized = |sizes: &[(u32, u32)]| {
        let folder = Folder::new();
        for i in 0..12 {
            let (width, height) = sizes[i % sizes.len()];
            folder.write(&format!("{}/{i}.png", i % 2), png(&grey(width, height, i as u8, 0)));
        }
        folder.open().unwrap().image_shape().unwrap()
    };
    assert_eq!(sized(&[(20, 12)]), [12, 20, 1]);
    assert_eq!(sized(&[(40, 30), (50, 37), (60, 90)]), [32, 32, 1]);
    assert_eq!(sized(&[(300, 260)]), [224, 224, 1]);
    let folder = Folder::with_classes(&["a", "b"], 6);
    let forced = OpenOptions { image_size: Some(16), ..OpenOptions::default() };
    assert_eq!(open(folder.path(), &forced).unwrap().image_shape(), Some([16, 16, 1]));
}

#[test]
fn other_files_are_ignored_and_counted() {
    let folder = Folder::with_classes(&["a", "b"], 6);
    for name in ["README.txt", "LICENSE", ".DS_Store", "a/.hidden.png", "__MACOSX/a/._1.png", "b/notes.md"] {
        folder.write(name, "text");
    }
    folder.write("a/deeper/still/7.png", png(&grey(8, 8, 99, 1)));
    let data = folder.open().unwrap();
    assert_eq!((data.len(), data.summary().ignored), (13, 6));
    assert_eq!(classes(&data), ["a", "b"]);
    assert!(data.describe().iter().any(|line| line.contains("ignored 6 files")), "{:?}", data.describe());
}

#[test]
fn folders_zip_archives_and_enclosing_folders_give_the_same_data() {
    let plain = Folder::with_classes(&["a", "b"], 6);
    let expected = everything(&plain.open().unwrap());
    let entries = |prefix: &str| -> Vec<(String, Vec<u8>)> {
        let mut entries = vec![(format!("{prefix}README.md"), b"text".to_vec())];
        for (i, class) in ["a", "b"].iter().enumerate() {
            for n in 0..6 {
                entries.push((format!("{prefix}{class}/{n:03}.png"), png(&grey(8, 8, n, i as u8))));
            }
        }
        entries
    };
    for prefix in ["", "digits/", "data/digits/"] {
        let entries = entries(prefix);
        let borrowed: Vec<(&str, Vec<u8>)> = entries.iter().map(|(n, b)| (n.as_str(), b.clone())).collect();
        let folder = Folder::new();
        let archive = folder.write("data.zip", zip(&borrowed));
        let data = open(&archive, &OpenOptions::default()).unwrap();
        assert_eq!(everything(&data), expected, "{prefix}");
        let nested = Folder::new();
        for (name, bytes) in &entries {
            nested.write(name, bytes);
        }
        assert_eq!(everything(&nested.open().unwrap()), expected, "{prefix}");
    }
}

#[test]
fn given_parts_are_kept_and_validation_is_taken_from_training() {
    let folder = Folder::new();
    for (part, from, to) in [("train", 0, 20), ("test", 20, 26)] {
        for i in from..to {
            folder.write(&format!("{part}/{}/{i}.png", ["x", "y"][i as usize % 2]), png(&grey(8, 8, i, 3)));
        }
    }
    let data = folder.open().unwrap();
    assert!(data.has_part(Part::Test) && !data.has_part(Part::Validation));
    let split = data.split(&Default::default()).unwrap();
    assert_eq!((split.train.len(), split.validation.len(), split.test.len()), (18, 2, 6));
    let in_test = |row: &u32| matches!(data.row_id(*row), RowId::Path(path) if path.starts_with("test/"));
    assert!(split.test.iter().all(in_test));
    assert!(!split.train.iter().chain(&split.validation).any(in_test));
}

#[test]
fn validation_and_test_data_of_their_own_are_used() {
    let train = Folder::with_classes(&["a", "b"], 10);
    let other = Folder::new();
    for i in 0..4 {
        other.write(&format!("{}/{i}.png", ["a", "b"][i as usize % 2]), png(&grey(8, 8, i + 100, 3)));
    }
    let options = OpenOptions { test: Some(other.path().into()), ..OpenOptions::default() };
    let data = open(train.path(), &options).unwrap();
    let split = data.split(&Default::default()).unwrap();
    assert_eq!((split.train.len(), split.validation.len(), split.test.len()), (18, 2, 4));
    let restored = data.restore_split(&data.save_split(&split)).unwrap();
    assert_eq!((restored.train, restored.test), (split.train, split.test));
}

#[test]
fn images_that_do_not_fit_the_cache_are_read_again_and_are_the_same() {
    let folder = Folder::new();
    for i in 0..12 {
        folder.write(&format!("{}/{i:02}.jpg", i % 2), encode(&photo(50 + u32::from(i), 40, i), ImageFormat::Jpeg));
    }
    let cached = folder.open().unwrap();
    let streamed = open(folder.path(), &OpenOptions { cache_bytes: 0, ..OpenOptions::default() }).unwrap();
    assert!(cached.is_cached() && !streamed.is_cached());
    assert_eq!(everything(&cached), everything(&streamed));
    let sources = [&cached, &streamed].map(|data| data.prepare(&[0]).unwrap().source);
    assert!(sources[0].resident_bytes() > sources[1].resident_bytes() + 12 * 40 * 40 * 3 - 1);
}

#[test]
fn a_saved_image_preprocessor_opens_other_folders_of_the_same_classes() {
    let folder = Folder::with_classes(&["a", "b", "c"], 5);
    let data = folder.open().unwrap();
    let prepared = data.prepare(&[0, 1]).unwrap();
    let text = prepared.preprocessor.to_json();
    let loaded = deepfit_data::Preprocessor::from_json(&text).unwrap();
    assert_eq!(loaded, prepared.preprocessor);
    // One class only is enough here, below a folder that encloses it or not.
    let other = Folder::new();
    other.write("b/1.png", png(&photo(30, 20, 1)));
    let opened = loaded.open_labelled(other.path(), 1).unwrap();
    let batch = all(opened.source.as_ref());
    assert_eq!((batch.targets.as_i32().unwrap(), batch.inputs[0].len()), (&[1][..], 64));
    let unknown = Folder::with_classes(&["a", "zebra"], 2);
    let message = crate::made::message(loaded.open_labelled(unknown.path(), 1));
    assert!(message.contains("zebra") && message.contains("a, b, c"), "{message}");
}
