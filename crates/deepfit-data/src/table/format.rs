//! What kinds of files are tables, told by their first bytes, or of texts by what the file is called.

use std::path::Path;

/// How a table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Text, with a character between the fields.
    Delimited,
    /// An object in JSON in each line.
    JsonLines,
    Parquet,
    /// Arrow's format for files and streams, which Feather is, too.
    Arrow,
}

/// The format of a file that begins with these bytes, if no other begins with them.
pub(crate) fn known(head: &[u8]) -> Option<Format> {
    if head.starts_with(b"PAR1") || head.starts_with(b"PARE") {
        return Some(Format::Parquet);
    }
    // The first message of a stream: its mark, its length, and the number that a table of Flatbuffers begins with.
    let stream = head.starts_with(b"\xFF\xFF\xFF\xFF") && head.get(7) == Some(&0) && head.len() > 16;
    (head.starts_with(b"ARROW1") || head.starts_with(b"FEA1") || stream).then_some(Format::Arrow)
}

/// The format that a file's name says; a further ending, `.gz` or `.zst`, says nothing of what is compressed.
pub(crate) fn called(path: &Path) -> Option<Format> {
    let name = path.file_name()?.to_string_lossy().to_lowercase();
    let name = [".gz", ".zst"].iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(&name);
    Some(match name.rsplit_once('.')?.1 {
        "csv" | "tsv" => Format::Delimited,
        "jsonl" | "ndjson" => Format::JsonLines,
        "parquet" => Format::Parquet,
        "arrow" | "feather" | "arrows" => Format::Arrow,
        _ => return None,
    })
}
