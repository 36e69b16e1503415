//! Archives made to harm.

use deepfit_data::{Error, OpenOptions, open};

use crate::made::{Folder, grey, message, png, zip};

fn pictures() -> Vec<(String, Vec<u8>)> {
    (0..12).map(|i| (format!("{}/{i}.png", i % 2), png(&grey(8, 8, i, 0)))).collect()
}

fn archive(extra: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let pictures = pictures();
    let mut entries: Vec<(&str, Vec<u8>)> = pictures.iter().map(|(n, b)| (n.as_str(), b.clone())).collect();
    entries.extend(extra.iter().cloned());
    zip(&entries)
}

fn open_bytes(bytes: &[u8]) -> deepfit_data::Result<deepfit_data::Dataset> {
    let folder = Folder::new();
    open(&folder.write("data.zip", bytes), &OpenOptions::default())
}

#[test]
fn entries_that_lead_outside_are_refused_by_name() {
    for name in ["../evil.png", "0/../../evil.png", "/etc/evil.png", "C:/evil.png", "0\\..\\..\\evil.png"] {
        match open_bytes(&archive(&[(name, png(&grey(8, 8, 1, 1)))])) {
            Err(Error::Archive { entry, problem, .. }) => {
                assert!(entry.contains("evil") && problem.contains("outside"), "{name}: {problem}");
            }
            Err(other) => panic!("{name}: {other}"),
            Ok(_) => panic!("{name} was accepted"),
        }
    }
}

#[test]
fn an_entry_that_grows_without_measure_is_refused() {
    let text = message(open_bytes(&archive(&[("0/bomb.bmp", vec![0; 20 << 20])])));
    assert!(text.contains("0/bomb.bmp") && text.contains("zip bomb"), "{text}");
}

/// Offsets of the central directory record of an entry.
fn directory_record(bytes: &[u8], name: &str) -> usize {
    let at = |i: usize| bytes[i..].starts_with(b"PK\x01\x02") && bytes[i + 46..].starts_with(name.as_bytes());
    (0..bytes.len() - 46).find(|&i| at(i)).unwrap()
}

#[test]
fn an_entry_that_declares_less_than_it_holds_is_refused() {
    let mut bytes = archive(&[("0/liar.png", png(&grey(64, 64, 1, 1)))]);
    let record = directory_record(&bytes, "0/liar.png");
    bytes[record + 24..record + 28].copy_from_slice(&50u32.to_le_bytes());
    let text = message(open_bytes(&bytes));
    assert!(text.contains("0/liar.png") && text.contains("more than the archive's directory declares"), "{text}");
}

#[test]
fn an_entry_that_declares_gigabytes_is_refused() {
    let mut bytes = archive(&[("0/giant.png", png(&grey(64, 64, 1, 1)))]);
    let record = directory_record(&bytes, "0/giant.png");
    bytes[record + 24..record + 28].copy_from_slice(&3_000_000_000u32.to_le_bytes());
    let text = message(open_bytes(&bytes));
    assert!(text.contains("0/giant.png") && text.contains("512 MiB"), "{text}");
}

#[test]
fn overlapping_entries_are_refused() {
    // Every entry points at the data of one: together they claim more than the archive has.
    let big: Vec<u8> = (0..40_000u32).flat_map(|i| (i.wrapping_mul(2_654_435_761)).to_le_bytes()).collect();
    let mut bytes = archive(&[("0/big.bin", big), ("0/copy1.bin", vec![1; 9]), ("0/copy2.bin", vec![2; 9])]);
    let source = directory_record(&bytes, "0/big.bin");
    for name in ["0/copy1.bin", "0/copy2.bin"] {
        let target = directory_record(&bytes, name);
        for field in [16..28, 42..46] {
            let copy = bytes[source + field.start..source + field.end].to_vec();
            bytes[target + field.start..target + field.end].copy_from_slice(&copy);
        }
    }
    let text = message(open_bytes(&bytes));
    assert!(text.contains("overlap"), "{text}");
}

#[test]
fn a_damaged_archive_is_named_and_a_damaged_entry_skipped() {
    let bytes = archive(&[]);
    let text = message(open_bytes(&bytes[..bytes.len() / 2]));
    assert!(text.contains("cannot be read as a zip archive"), "{text}");
    let mut many: Vec<(String, Vec<u8>)> =
        (0..30).map(|i| (format!("{}/{i:02}.png", i % 2), png(&grey(8, 8, i, 0)))).collect();
    many.push(("0/broken.png".into(), png(&grey(8, 8, 200, 0))));
    let entries: Vec<(&str, Vec<u8>)> = many.iter().map(|(n, b)| (n.as_str(), b.clone())).collect();
    let mut bytes = zip(&entries);
    // The checksum in the directory no longer fits.
    let record = directory_record(&bytes, "0/broken.png");
    bytes[record + 16] ^= 0xFF;
    let data = open_bytes(&bytes).unwrap();
    let skipped = &data.summary().skipped;
    assert!(data.len() == 30 && skipped.len() == 1, "{skipped:?}");
    assert!(skipped[0].0.ends_with("data.zip/0/broken.png"), "{skipped:?}");
}

#[test]
fn links_are_not_followed_and_counted() {
    let mut writer = ::zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = ::zip::write::SimpleFileOptions::default();
    for i in 0..30u8 {
        writer.start_file(format!("{}/{i:02}.png", i % 2), options).unwrap();
        std::io::Write::write_all(&mut writer, &png(&grey(8, 8, i, 0))).unwrap();
    }
    writer.add_symlink("0/link.png", "../../../etc/passwd", options).unwrap();
    writer.add_symlink("2", "0", options).unwrap();
    let bytes = writer.finish().unwrap().into_inner();
    let data = open_bytes(&bytes).unwrap();
    let summary = data.summary();
    assert_eq!((data.len(), summary.skipped.len(), summary.ignored), (30, 1, 1));
    let (name, reason) = &summary.skipped[0];
    assert!(name.ends_with("data.zip/0/link.png") && reason.contains("a symbolic link"), "{name}: {reason}");

    // A model told to predict the archive names the link too.
    let preprocessor = data.prepare(&[0]).unwrap().preprocessor;
    let folder = Folder::new();
    let opened = preprocessor.open_inputs(&[folder.write("new.zip", &bytes)], 1).unwrap();
    assert_eq!((opened.names.len(), opened.failed.len()), (30, 1));
    assert!(opened.failed[0].0.ends_with("new.zip/0/link.png"), "{:?}", opened.failed);
}
