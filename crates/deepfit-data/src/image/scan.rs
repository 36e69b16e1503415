//! A first look at all files: which are images, how large, in colour or grey.

use super::container::{Container, Entry};
use super::decode::{self, Header, Refusal};
use crate::error::{Error, Result};
use crate::parallel;

/// Enough of a file for the header of nearly all images; the others are read whole.
const HEAD: u64 = 64 << 10;

/// What was found.
pub(crate) struct Scan {
    pub(crate) images: Vec<(Entry, Header)>,
    /// Images that cannot be read, by their full path, with the reason.
    pub(crate) broken: Vec<(String, String)>,
    /// Files that are something else, such as a licence, or a link of an archive to something else.
    pub(crate) others: usize,
}

/// Endings of the names of image files, the usual ones first.
pub(crate) const EXTENSIONS: [&str; 11] =
    ["jpg", "png", "jpeg", "webp", "tif", "tiff", "bmp", "gif", "dcm", "jpe", "dicom"];

pub(crate) fn looks_like_an_image(name: &str) -> bool {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known))
}

fn look(container: &Container, entry: &Entry, buffer: &mut Vec<u8>) -> Result<Result<Header, Refusal>> {
    for limit in [HEAD, u64::MAX] {
        match container.read(entry, limit, buffer) {
            Ok(()) => {}
            Err(Error::Image { reason, .. }) => return Ok(Err(Refusal::Broken(reason))),
            Err(other) => return Err(other),
        }
        match decode::header(buffer) {
            Err(Refusal::Broken(_)) if entry.size > limit => {}
            result => return Ok(result),
        }
    }
    unreachable!("the second round reads the whole file")
}

/// Reads the headers of all files.
///
/// # Errors
/// Only for a dangerous archive; files that cannot be read are listed in the result.
pub(crate) fn scan(container: &Container, entries: Vec<Entry>, threads: usize) -> Result<Scan> {
    let found = parallel::map(entries.len(), threads, Vec::new, |buffer, i| look(container, &entries[i], buffer));
    let mut scan = Scan { images: Vec::with_capacity(entries.len()), broken: Vec::new(), others: 0 };
    for (entry, result) in entries.into_iter().zip(found) {
        let stranger = !looks_like_an_image(&entry.name);
        match result? {
            Ok(header) => scan.images.push((entry, header)),
            Err(Refusal::NotAnImage) if stranger => scan.others += 1,
            Err(Refusal::Broken(_)) if stranger && entry.link => scan.others += 1,
            Err(Refusal::NotAnImage) => {
                let reason = if entry.size == 0 { "the file is empty" } else { "the content is not an image" };
                scan.broken.push((container.full_name(&entry), reason.to_string()));
            }
            Err(Refusal::Broken(reason)) => scan.broken.push((container.full_name(&entry), reason)),
        }
    }
    Ok(scan)
}
