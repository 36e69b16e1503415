//! Image data that cannot be used: what is skipped and what is refused.

use deepfit_data::{Batch, Error, Loader, LoaderOptions, OpenOptions, Pass, open};
use image::ImageFormat;

use crate::made::{Folder, encode, everything, grey, message, photo, png};

#[test]
fn missing_empty_flat_and_single_class_folders_say_what_is_expected() {
    let missing = message(open("/no/such/folder".as_ref(), &OpenOptions::default()));
    assert!(missing.contains("does not exist"), "{missing}");
    let expected = "a sub-folder of images per class";
    let empty = Folder::new();
    assert!(message(empty.open()).contains("one sub-folder of images per class"), "{expected}");
    let flat = Folder::new();
    (0..12).for_each(|i| drop(flat.write(&format!("{i}.png"), png(&grey(8, 8, i, 0)))));
    let text = message(flat.open());
    assert!(text.contains("side by side") && text.contains("cats/1.jpg"), "{text}");
    let one = Folder::with_classes(&["only"], 12);
    assert!(matches!(one.open(), Err(Error::OneClass { class, .. }) if class == "only"));
    let text_only = Folder::new();
    text_only.write("a/readme.txt", "hello");
    assert!(matches!(text_only.open(), Err(Error::OneClass { class, .. }) if class == "a"));
    let no_train = Folder::with_classes(&["val/a", "val/b", "test/a", "test/b"], 6);
    assert!(message(no_train.open()).contains("no 'train'"));
    let few = Folder::with_classes(&["a", "b"], 2);
    assert!(matches!(few.open(), Err(Error::TooFewRows { rows: 4, least: 10, .. })));
}

#[test]
fn truncated_images_of_every_format_are_skipped_and_listed() {
    for format in
        [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Bmp, ImageFormat::Gif, ImageFormat::Tiff, ImageFormat::WebP]
    {
        let folder = Folder::new();
        for i in 0..30 {
            folder.write(&format!("{}/{i:02}.img", i % 2), encode(&photo(40, 30, i), format));
        }
        let whole = encode(&photo(40, 30, 77), format);
        folder.write("0/cut.img", &whole[..whole.len() * 7 / 10]);
        let data = folder.open().unwrap();
        let skipped = &data.summary().skipped;
        assert_eq!(data.len(), 30, "{format:?}");
        assert!(
            skipped.len() == 1 && skipped[0].0 == folder.path().join("0/cut.img").to_string_lossy(),
            "{format:?}: {skipped:?}"
        );
        assert_eq!(everything(&data).len, 30);
        assert!(data.describe().iter().any(|line| line.contains(&skipped[0].0)));
    }
}

#[test]
fn files_named_as_images_with_other_content_are_skipped() {
    let folder = Folder::with_classes(&["a", "b"], 15);
    folder.write("a/text.jpg", "this is text");
    folder.write("b/nothing.png", "");
    let data = folder.open().unwrap();
    let reasons: Vec<&str> = data.summary().skipped.iter().map(|(_, reason)| reason.as_str()).collect();
    assert_eq!(reasons, ["the content is not an image", "the file is empty"]);
}

#[test]
fn too_many_unreadable_images_are_an_error() {
    let folder = Folder::with_classes(&["a", "b"], 8);
    (0..3).for_each(|i| drop(folder.write(&format!("a/bad{i}.png"), &png(&grey(8, 8, 1, 1))[..40])));
    let text = message(folder.open());
    assert!(text.contains("3 of 19") && text.contains("bad0.png"), "{text}");
    let none = Folder::new();
    (0..12).for_each(|i| drop(none.write(&format!("{}/{i}.png", i % 2), "no image")));
    assert!(matches!(none.open(), Err(Error::Unreadable { count: 12, .. })));
}

#[test]
fn an_image_of_too_many_pixels_is_refused_by_its_header() {
    let folder = Folder::with_classes(&["a", "b"], 15);
    let mut huge = encode(&photo(8, 8, 1), ImageFormat::Bmp);
    huge[18..22].copy_from_slice(&60_000i32.to_le_bytes());
    huge[22..26].copy_from_slice(&60_000i32.to_le_bytes());
    folder.write("a/huge.bmp", huge);
    let data = folder.open().unwrap();
    assert!(data.summary().skipped[0].1.contains("100 million"), "{:?}", data.summary().skipped);
}

/// 40 good images and one whose header is fine, not kept in memory.
fn one_bad_in_stream() -> (Folder, deepfit_data::Dataset, u32) {
    let folder = Folder::with_classes(&["a", "b"], 20);
    let whole = png(&photo(8, 8, 50));
    folder.write("a/bad.png", &whole[..whole.len() - 30]);
    let data = open(folder.path(), &OpenOptions { cache_bytes: 0, ..OpenOptions::default() }).unwrap();
    let bad = (0..data.len() as u32).find(|&row| format!("{:?}", data.row_id(row)).contains("bad")).unwrap();
    (folder, data, bad)
}

#[test]
fn training_replaces_an_image_that_fails_to_decode_and_reports_it() {
    let (folder, data, bad) = one_bad_in_stream();
    assert_eq!(data.len(), 41);
    let source = data.prepare(&[0]).unwrap().source;
    let rows: Vec<u32> = (0..41).collect();
    let mut counts = Vec::new();
    for workers in [0, 1, 3] {
        let options = LoaderOptions::train(8, workers, 5, data.default_augment(), 2);
        let mut loader = Loader::new(source.clone(), rows.clone(), options).unwrap();
        let mut seen = Vec::new();
        while let Some(batch) = loader.next().unwrap() {
            assert_eq!(batch.len, if batch.step == 5 { 1 } else { 8 }.min(batch.len));
            assert!(!batch.rows.contains(&bad));
            seen.push(batch.inputs[0].clone());
        }
        let failures: Vec<_> = loader.failures().collect();
        assert!(failures.len() == 1 && failures[0].row == bad);
        assert_eq!(failures[0].name, folder.path().join("a/bad.png").to_string_lossy());
        counts.push(seen);
    }
    assert_eq!(counts[0], counts[1]);
    assert_eq!(counts[0], counts[2]);
}

#[test]
fn evaluation_leaves_an_image_out_that_fails_to_decode() {
    let (_folder, data, bad) = one_bad_in_stream();
    let source = data.prepare(&[0]).unwrap().source;
    let mut batch = Batch::new();
    source.fill(&[0, bad, 1], Pass::Evaluate, &mut batch).unwrap();
    assert_eq!((batch.len, &batch.rows[..], batch.inputs[0].len()), (2, &[0, 1][..], 2 * 64 * 3));
    assert_eq!(batch.failures[0].row, bad);
    let mut loader = Loader::new(source, vec![bad, 3], LoaderOptions::evaluate(1, 1)).unwrap();
    assert_eq!(loader.next().unwrap().unwrap().rows, [3]);
    assert!(loader.next().unwrap().is_none());
    let failed: Vec<u32> = loader.failures().map(|failure| failure.row).collect();
    assert_eq!(failed, [bad], "the row of the batch that was passed over");
}

/// A TIFF file of 2 x 2 pixels without compression.
fn tiff(photometric: u16, samples: u16, bits: u16) -> Vec<u8> {
    let size = 4 * u32::from(samples) * u32::from(bits) / 8;
    let mut tags: Vec<(u16, u16, u32)> = vec![(256, 3, 2), (257, 3, 2), (259, 3, 1), (262, 3, u32::from(photometric))];
    tags.extend([(273, 4, 8), (277, 3, u32::from(samples)), (278, 3, 2), (279, 4, size)]);
    let mut entries: Vec<[u8; 12]> = Vec::new();
    for (tag, kind, value) in tags {
        let parts = [&tag.to_le_bytes()[..], &kind.to_le_bytes(), &1u32.to_le_bytes(), &value.to_le_bytes()];
        entries.push(parts.concat().try_into().unwrap());
    }
    let value = [bits.to_le_bytes(), if samples == 2 { bits } else { 0 }.to_le_bytes()].concat();
    let parts = [&258u16.to_le_bytes()[..], &3u16.to_le_bytes(), &u32::from(samples).to_le_bytes(), &value];
    entries.insert(2, parts.concat().try_into().unwrap());
    let mut bytes = [b"II*\0".to_vec(), (8 + size).to_le_bytes().to_vec(), vec![100; size as usize]].concat();
    bytes.extend((entries.len() as u16).to_le_bytes());
    entries.iter().for_each(|entry| bytes.extend(entry));
    bytes.extend([0; 4]);
    bytes
}

#[test]
fn a_kind_of_tiff_that_is_not_read_is_named_with_what_to_do() {
    let folder = Folder::with_classes(&["a", "b"], 30);
    folder.write("a/readable.tif", tiff(1, 1, 8));
    folder.write("a/veiled.tif", tiff(1, 2, 8));
    folder.write("b/indexed.tif", tiff(3, 1, 8));
    folder.write("b/lab.tif", tiff(8, 1, 8));
    let data = folder.open().unwrap();
    let reasons: Vec<&str> = data.summary().skipped.iter().map(|(_, reason)| reason.as_str()).collect();
    let expected = ["of grey with alpha", "with a palette", "in Lab colours"]
        .map(|kind| format!("a TIFF image {kind} is not supported; convert it to PNG"));
    assert_eq!((data.len(), reasons), (61, expected.iter().map(String::as_str).collect()));
}

#[test]
fn settings_out_of_range_and_unfit_are_named() {
    let folder = Folder::with_classes(&["a", "b"], 6);
    for (options, setting) in [
        (OpenOptions { image_size: Some(2), ..OpenOptions::default() }, "image_size"),
        (OpenOptions { channels: Some(2), ..OpenOptions::default() }, "channels"),
        (OpenOptions { target: Some("x".into()), ..OpenOptions::default() }, "target"),
    ] {
        assert!(message(open(folder.path(), &options)).contains(&format!("'{setting}'")));
    }
    let augment = deepfit_data::Augment { shift: 0.9, ..deepfit_data::Augment::none() };
    assert!(message(augment.validate()).contains("augment.shift"));
}
