use std::path::PathBuf;

use super::*;

/// Files made by `scripts/make-table-files.py`.
fn tables() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tables")
}

fn files() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(tables()).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.is_file()).collect();
    files.sort();
    assert!(files.len() >= 15, "{files:?}");
    files
}

/// Columns, and the fields of all rows.
fn all(mut rows: Rows<'_>) -> Result<(Vec<String>, Vec<Vec<String>>)> {
    let mut all = Vec::new();
    rows.for_each_block(
        2,
        |records| {
            let mut found = Vec::new();
            while let Some(fields) = records.next()? {
                found.push((0..fields.len()).map(|i| fields.get(i).to_string()).collect());
            }
            Ok(found)
        },
        |found: Vec<Vec<String>>, base| {
            assert_eq!(base.rows, all.len() as u64);
            all.extend(found);
            Ok(())
        },
    )?;
    Ok((rows.columns, all))
}

fn open(path: &Path) -> Result<(Vec<String>, Vec<Vec<String>>)> {
    all(Rows::open(path, None)?)
}

#[test]
fn a_table_holds_the_same_values_in_every_format() {
    let (columns, expected) = open(&tables().join("kinds.csv")).unwrap();
    assert_eq!((columns.len(), expected.len()), (19, 60));
    for path in files() {
        let (found, rows) = open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(rows.len(), expected.len(), "{}", path.display());
        let places: Vec<usize> =
            found.iter().map(|name| columns.iter().position(|column| column == name).unwrap()).collect();
        assert!(path.ends_with("tabs.tsv.gz") || places.len() == columns.len(), "{}", path.display());
        for (number, (row, expected)) in rows.iter().zip(&expected).enumerate() {
            for (field, &column) in row.iter().zip(&places) {
                assert_eq!(*field, expected[column], "{}, row {number}, {}", path.display(), columns[column]);
            }
        }
        // The same from a stream without a name, whose first bytes alone tell what it is.
        let streamed = all(Rows::read(std::fs::File::open(&path).unwrap(), "-", None).unwrap()).unwrap();
        assert_eq!(streamed, (found, rows), "{}", path.display());
    }
}

#[test]
fn the_first_rows_are_looked_at_and_left() {
    for path in files() {
        let mut rows = Rows::open(&path, None).unwrap();
        let first = rows.first_rows(5);
        assert_eq!(first.len(), 5, "{}", path.display());
        let (_, all) = all(rows).unwrap();
        assert_eq!((&all[..5], all.len()), (&first[..], 60), "{}", path.display());
    }
}

/// What is read of some bytes of a file that is called so.
fn read(bytes: &[u8], path: &Path) -> Result<(Vec<String>, Vec<Vec<String>>)> {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join(path.file_name().unwrap());
    std::fs::write(&copy, bytes).unwrap();
    open(&copy)
}

#[test]
fn files_that_are_cut_off_are_refused() {
    for path in files() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name == "kinds.csv" {
            // What is left of text is text.
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        for part in 1..40 {
            let length = bytes.len() * part / 40;
            let told = match read(&bytes[..length], &path) {
                Ok((_, rows)) => {
                    // Lines of JSON and messages of a stream may end there.
                    let whole = name == "kinds.jsonl" || name == "stream.arrow";
                    assert!(whole && rows.len() < 60, "{name} of {length} bytes: {} rows", rows.len());
                    continue;
                }
                Err(error) => error.to_string(),
            };
            let words = ["cut off", "damaged", "cannot read", "JSON Lines", "does not begin", "is empty"];
            assert!(words.iter().any(|word| told.contains(word)), "{name} of {length} bytes: {told}");
            assert!(told.contains(&name), "{told}");
        }
    }
}

#[test]
fn damaged_files_are_no_cause_to_panic() {
    // A generator of Lehmer's kind: which bytes are changed does not matter.
    let mut state = 1_u64;
    let mut random = |below: usize| {
        state = state * 48_271 % 0x7FFF_FFFF;
        state as usize % below
    };
    let mut refused = 0;
    for path in files() {
        let bytes = std::fs::read(&path).unwrap();
        for _ in 0..400 {
            let mut damaged = bytes.clone();
            // The ends say most of what a file is.
            let at = match random(3) {
                0 => bytes.len() - 1 - random(bytes.len().min(3000)),
                1 => random(bytes.len().min(1500)),
                _ => random(bytes.len()),
            };
            damaged[at] = if random(2) == 0 { random(256) as u8 } else { damaged[at] ^ 1 << random(8) };
            let folder = Rows::read(&damaged[..], "damaged", None).and_then(all);
            refused += usize::from(folder.is_err());
        }
    }
    assert!(refused > 1000, "{refused}");
}

#[test]
fn what_cannot_be_read_is_told_with_what_to_do() {
    for (file, words) in [
        ("nested.parquet", ["'tags', of lists", "write the table without it"]),
        ("nested.feather", ["'tags', of lists", "write the table without it"]),
        ("structs.parquet", ["'b', of structs", "write the table without it"]),
        ("brotli.parquet", ["Brotli", "write it with zstd"]),
        ("bytes.parquet", ["column 'a'", "not UTF-8"]),
    ] {
        let told = open(&tables().join("others").join(file)).unwrap_err().to_string();
        assert!(words.iter().all(|word| told.contains(word)) && told.contains(file), "{told}");
    }
    for name in ["x.parquet", "x.feather", "x.arrow", "x.parquet.gz"] {
        let told = read(b"a,b\n1,2\n", Path::new(name)).unwrap_err().to_string();
        assert!(told.contains("does not begin as one") && told.contains(name), "{told}");
    }
    for name in ["empty.parquet", "empty.feather"] {
        let (columns, rows) = open(&tables().join("others").join(name)).unwrap();
        assert_eq!((columns.len(), rows.len()), (19, 0));
    }
}

#[test]
fn a_file_is_what_its_first_bytes_say_whatever_it_is_called() {
    let (_, expected) = open(&tables().join("kinds.csv")).unwrap();
    for (file, name) in [("zstd.parquet", "x.csv"), ("kinds.feather", "x.parquet"), ("kinds.csv.gz", "x.csv")] {
        let bytes = std::fs::read(tables().join(file)).unwrap();
        assert_eq!(read(&bytes, Path::new(name)).unwrap().1, expected, "{file}");
    }
}
