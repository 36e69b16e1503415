//! Files that are no text, recognised by how they begin.

/// What a file is that cannot be read as a table of text, with what to do about it.
pub(crate) fn foreign(head: &[u8]) -> Option<&'static str> {
    const KINDS: [(&[u8], &str); 12] = [
        (b"\x89PNG", "a PNG image, not a table"),
        (b"\xFF\xD8\xFF", "a JPEG image, not a table"),
        (b"GIF8", "a GIF image, not a table"),
        (b"II*\0", "a TIFF image, not a table"),
        (b"MM\0*", "a TIFF image, not a table"),
        (b"\xD0\xCF\x11\xE0", "an Excel workbook; save its sheet as CSV"),
        (b"PK\x03\x04", "a zip archive or an Excel workbook; unpack the archive, or save the sheet as CSV"),
        (b"%PDF", "a PDF document, not a table"),
        (b"\x89HDF", "an HDF5 file; write it as CSV"),
        (b"SQLite format 3", "an SQLite database; export the table as CSV"),
        (b"\xFF\xFE", "UTF-16 text; save it as UTF-8 (in Excel: 'CSV UTF-8')"),
        (b"\xFE\xFF", "UTF-16 text; save it as UTF-8 (in Excel: 'CSV UTF-8')"),
    ];
    let known = KINDS.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, what)| *what);
    let bitmap = head.starts_with(b"BM") && head.contains(&0);
    let web = head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WEBP");
    known
        .or(bitmap.then_some("a BMP image, not a table"))
        .or(web.then_some("a WebP image, not a table"))
        .or(is_binary(head).then_some("binary, not text; a table is CSV, JSON Lines, Parquet or Arrow"))
}

/// Whether bytes are no text at all. Text in which a NUL byte has strayed is text, whose row is told when it is read.
fn is_binary(head: &[u8]) -> bool {
    let zeros = memchr::memchr_iter(0, head).count();
    // What is cut off at the end may be the first part of a letter.
    let is_broken = std::str::from_utf8(head).is_err_and(|error| error.error_len().is_some());
    // Half of UTF-16's bytes are zero where the text is English.
    zeros > 0 && (is_broken || zeros * 8 > head.len())
}
