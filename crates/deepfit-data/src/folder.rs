//! What a folder is data of, told by the names of its files.

use std::path::Path;

use walkdir::{DirEntry, WalkDir};

use crate::error::{Error, Result};
use crate::image;
use crate::text;

/// What is learned of a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    /// Images, or nothing that can be told by a name.
    Images,
    /// Texts in a folder for each class.
    Classes,
    /// Texts side by side, perhaps below `train`, `val` and `test`.
    Corpus,
}

/// What a folder holds, and how many files by whose names that is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contents {
    pub(crate) holds: Holds,
    images: usize,
    texts: usize,
}

/// Files of another kind are worth a word where there is one of them for so many.
const FEW: usize = 10;

/// Finds out what a folder holds. Names alone are looked at, all of them: what comes last may be most of it.
///
/// # Errors
/// If there are nearly as many images as texts, so that either could be meant.
pub(crate) fn contents(folder: &Path) -> Result<Contents> {
    let (mut images, mut texts, mut others, mut beside, mut in_parts) = (0, 0, 0, 0, 0);
    for entry in files(folder).filter_map(walkdir::Result::ok) {
        if text::is_text_file(entry.path()) {
            texts += 1;
            let parent = || entry.path().parent().and_then(Path::file_name).map(|name| name.to_string_lossy());
            match entry.depth() {
                1 => beside += 1,
                2 if parent().is_some_and(|name| image::part_of(&name).is_some()) => in_parts += 1,
                _ => {}
            }
        } else if image::looks_like_an_image(&entry.file_name().to_string_lossy()) {
            images += 1;
        } else {
            others += 1;
        }
    }
    // Images may have names that tell nothing; captions may stand beside images, one each.
    let holds = if texts == 0 || images >= texts || (images == 0 && others > FEW * texts) {
        Holds::Images
    } else if images * FEW > texts {
        return Err(Error::Mixed { path: folder.to_path_buf(), images, texts });
    } else if texts == beside || texts == in_parts {
        Holds::Corpus
    } else {
        Holds::Classes
    };
    Ok(Contents { holds, images, texts })
}

impl Contents {
    /// What a reader should know, if there are more files of another kind than a licence or a cover.
    pub(crate) fn note(self) -> Option<String> {
        let (learned, all, other, count) = match self.holds {
            Holds::Images => ("images", self.images, ".txt file", self.texts),
            Holds::Classes | Holds::Corpus => ("texts", self.texts, "image", self.images),
        };
        let plural = if count == 1 { "" } else { "s" };
        let several = count > 0 && count * FEW >= all && all > 0;
        several.then(|| format!("the folder holds {count} {other}{plural}, too: the {learned} alone are learned"))
    }
}

/// All files of a folder but hidden ones, in no order.
fn files(folder: &Path) -> impl Iterator<Item = walkdir::Result<DirEntry>> {
    walk(WalkDir::new(folder))
}

/// The `.txt` files of a folder but hidden ones, in the order of their paths.
pub(crate) fn text_files(folder: &Path) -> impl Iterator<Item = walkdir::Result<DirEntry>> {
    let is_text = |entry: &walkdir::Result<DirEntry>| entry.as_ref().map_or(true, |e| text::is_text_file(e.path()));
    walk(WalkDir::new(folder).sort_by_file_name()).filter(is_text)
}

fn walk(walk: WalkDir) -> impl Iterator<Item = walkdir::Result<DirEntry>> {
    let is_hidden = |entry: &DirEntry| entry.depth() > 0 && entry.file_name().as_encoded_bytes().starts_with(b".");
    let all = walk.follow_links(true).into_iter().filter_entry(move |entry| !is_hidden(entry));
    all.filter(|entry| entry.as_ref().map_or(true, |entry| !entry.file_type().is_dir()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn folder(files: &[(&str, usize)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (pattern, count) in files {
            for i in 0..*count {
                let path = folder.path().join(pattern.replace('#', &i.to_string()));
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, "x").unwrap();
            }
        }
        folder
    }

    #[test]
    fn what_most_files_are_is_what_a_folder_holds() {
        let of = |files: &[(&str, usize)]| contents(folder(files).path()).unwrap();
        let holds = |files: &[(&str, usize)]| of(files).holds;
        assert_eq!(holds(&[("#.txt", 3)]), Holds::Corpus);
        assert_eq!(holds(&[("train/#.txt", 3), ("test/#.txt", 2)]), Holds::Corpus);
        assert_eq!(holds(&[("a/#.txt", 3), ("b/#.txt", 2), ("readme.txt", 1)]), Holds::Classes);
        assert_eq!(holds(&[("train/a/#.txt", 3), ("test/a/#.txt", 2)]), Holds::Classes);
        assert_eq!(holds(&[("#.txt", 3), (".git/#.png", 20), (".x.png", 1)]), Holds::Corpus);
        assert_eq!(holds(&[]), Holds::Images);
        // A licence; captions; pictures whose names tell nothing; a cover.
        let licence = of(&[("a/#.jpg", 9), ("b/#.jpg", 9), ("readme.txt", 1)]);
        assert_eq!((licence.holds, licence.note()), (Holds::Images, None));
        let captions = of(&[("a/#.jpg", 3), ("a/#.txt", 3)]);
        assert!(captions.holds == Holds::Images && captions.note().unwrap().contains("3 .txt files, too"));
        assert_eq!(holds(&[("a/#", 30), ("readme.txt", 1)]), Holds::Images);
        let cover = of(&[("#.txt", 10), ("cover.jpg", 1)]);
        assert!(cover.holds == Holds::Corpus && cover.note().unwrap().contains("1 image, too"));
        let mixed = contents(folder(&[("a/#.txt", 9), ("b/#.jpg", 4)]).path()).unwrap_err().to_string();
        assert!(mixed.contains("4 images and 9 .txt files"), "{mixed}");
    }

    #[test]
    fn large_folders_are_looked_through_to_the_end() {
        // However they are listed, some of either kind come behind the first thousands.
        let found = contents(folder(&[("#.txt", 6_000), ("a/#.jpg", 1_000)]).path()).unwrap_err();
        assert!(found.to_string().contains("1000 images and 6000"), "{found}");
    }
}
