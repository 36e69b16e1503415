//! Which class and which part (training, validation, test) each image belongs to, told from its path.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use super::container::Entry;
use super::decode::Header;
use crate::error::{Error, Result};
use crate::split::Part;
use crate::table;
use crate::target::Target;

/// One image file that was found.
#[derive(Clone, Debug)]
pub(crate) struct ImageFile {
    pub(crate) entry: Entry,
    pub(crate) header: Header,
    /// What is to be learned of it.
    pub(crate) target: Target,
    /// Part given by the folder it lies in, or by a column.
    pub(crate) part: Option<Part>,
    /// Index of the container it is read from.
    pub(crate) container: u16,
    /// Data row of the table that names it, counted from 0.
    pub(crate) row: Option<u32>,
}

/// Files sorted into classes.
pub(crate) struct Layout {
    pub(crate) classes: Vec<String>,
    pub(crate) files: Vec<ImageFile>,
    /// Images that lie in no class folder.
    pub(crate) stray: usize,
}

/// The part that a folder or a word of a table names.
pub(crate) fn part_of(name: &str) -> Option<Part> {
    match name.to_ascii_lowercase().as_str() {
        "train" | "training" => Some(Part::Train),
        "val" | "valid" | "validation" => Some(Part::Validation),
        "test" | "testing" => Some(Part::Test),
        _ => None,
    }
}

/// What to do about images side by side, if a table lies among them.
fn table_in(folder: &Path) -> String {
    let is_table = |path: &Path| table::called(path).is_some();
    let files = std::fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    // The first by name, in whatever order the system lists them.
    let table = files.filter(|path| is_table(path)).min();
    table.map_or_else(String::new, |table| {
        format!(" (if '{}' says what is on them, train on that table)", table.display())
    })
}

/// Folder names at `depth` of all files that lie deeper.
fn folders<'a>(paths: &[Vec<&'a str>], depth: usize) -> BTreeSet<&'a str> {
    paths.iter().filter(|path| path.len() > depth + 1).map(|path| path[depth]).collect()
}

/// Sorts images into classes and parts.
///
/// One folder that encloses everything is looked through. With `known` classes (of a trained model, or
/// of the training data) no others may occur, and a single one is enough.
pub(crate) fn arrange(path: &Path, images: Vec<(Entry, Header)>, known: Option<&[String]>) -> Result<Layout> {
    let refuse = |problem: String| Err(Error::Layout { path: path.to_path_buf(), problem });
    let paths: Vec<Vec<&str>> = images.iter().map(|(entry, _)| entry.name.split('/').collect()).collect();
    let is_known = |name: &str| known.is_some_and(|known| known.iter().any(|class| class == name));
    let mut depth = 0;
    let names = loop {
        let names = folders(&paths, depth);
        let Some(first) = names.first() else {
            let problem = "its images lie side by side, without a sub-folder per class";
            return refuse(format!("{problem}{}", table_in(path)));
        };
        if names.len() == 1 && !is_known(first) && !folders(&paths, depth + 1).is_empty() {
            depth += 1;
        } else {
            break names;
        }
    };
    let in_parts = names.len() > 1 && names.iter().all(|name| part_of(name).is_some() && !is_known(name));
    if in_parts && known.is_none() && !names.iter().any(|name| part_of(name) == Some(Part::Train)) {
        let names: Vec<_> = names.into_iter().collect();
        return refuse(format!("it has the folders {} but no 'train'", names.join(", ")));
    }
    let class_depth = depth + usize::from(in_parts);
    let placed: Vec<Option<(String, Option<Part>)>> = paths
        .iter()
        .map(|path| {
            let part = if in_parts { part_of(path[depth]) } else { None };
            (path.len() > class_depth + 1).then(|| (path[class_depth].to_string(), part))
        })
        .collect();
    let classes: Vec<String> = match known {
        Some(known) => known.to_vec(),
        None => {
            let training = placed.iter().flatten().filter(|(_, part)| part.is_none_or(|part| part == Part::Train));
            training.map(|(class, _)| class.clone()).collect::<BTreeSet<_>>().into_iter().collect()
        }
    };
    if known.is_none() {
        match classes.as_slice() {
            [] => return refuse("the images in 'train' lie side by side, without a sub-folder per class".into()),
            [class] => {
                let what = "each sub-folder of images is a class";
                return Err(Error::OneClass { path: path.to_path_buf(), class: class.clone(), what });
            }
            _ => {}
        }
    }
    let index: HashMap<&str, u32> = classes.iter().enumerate().map(|(i, class)| (class.as_str(), i as u32)).collect();
    let mut files = Vec::with_capacity(images.len());
    let mut stray = 0;
    for ((entry, header), place) in images.into_iter().zip(placed) {
        let Some((class, part)) = place else {
            stray += 1;
            continue;
        };
        let Some(&class) = index.get(class.as_str()) else {
            return Err(Error::UnknownClass { path: path.join(&entry.name), class, known: classes.join(", ") });
        };
        files.push(ImageFile { entry, header, target: Target::Class(class), part, container: 0, row: None });
    }
    Ok(Layout { classes, files, stray })
}
