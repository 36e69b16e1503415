//! Where the image is that a cell of a table names.

use std::collections::HashMap;
use std::path::Path;

use super::super::container::{Container, Entry};
use super::super::scan::{EXTENSIONS, looks_like_an_image};
use crate::error::Result;

/// A folder or archive in which images are found by what tables call them.
pub(crate) struct Finder {
    pub(crate) container: Container,
    /// Its files, where they were listed.
    listing: Option<Listing>,
}

struct Listing {
    entries: Vec<Entry>,
    paths: HashMap<String, usize>,
    /// Files by the last part of their path, with and without its ending; `None` where several are called so.
    names: HashMap<String, Option<usize>>,
}

impl Listing {
    fn new(entries: Vec<Entry>) -> Listing {
        let mut paths = HashMap::with_capacity(entries.len());
        let mut names = HashMap::with_capacity(2 * entries.len());
        for (i, entry) in entries.iter().enumerate() {
            paths.insert(entry.name.clone(), i);
            if !looks_like_an_image(&entry.name) {
                continue;
            }
            let last = last_part(&entry.name);
            let stem = last.rsplit_once('.').map_or(last, |(stem, _)| stem);
            for name in [last, stem] {
                names.entry(name.to_string()).and_modify(|found| *found = None).or_insert(Some(i));
            }
        }
        Listing { entries, paths, names }
    }
}

fn last_part(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

impl Finder {
    /// Finds images by their paths relative to a table.
    pub(crate) fn beside(table: &Path) -> Finder {
        let folder = table.parent().unwrap_or(Path::new("")).to_path_buf();
        Finder { container: Container::Folder(folder), listing: None }
    }

    /// Finds images anywhere in a folder or archive.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) fn within(path: &Path) -> Result<Finder> {
        let (container, entries, _) = Container::open(path)?;
        Ok(Finder { container, listing: Some(Listing::new(entries)) })
    }

    /// Number of files that may be images, where all files are known.
    pub(crate) fn images(&self) -> Option<usize> {
        let listing = self.listing.as_ref()?;
        Some(listing.entries.iter().filter(|entry| looks_like_an_image(&entry.name)).count())
    }

    fn at(&self, name: &str) -> Option<Entry> {
        match &self.listing {
            Some(listing) if matches!(self.container, Container::Archive { .. }) => {
                listing.paths.get(name).map(|&i| listing.entries[i].clone())
            }
            _ => self.container.file(name),
        }
    }

    /// The file that a cell names: by its path, with an ending added where it has none, or, in a folder or archive whose
    /// files are known, by its name alone.
    ///
    /// # Errors
    /// Why it is not found.
    pub(crate) fn find(&self, text: &str) -> Result<Entry, String> {
        let name = text.replace('\\', "/");
        let name = name.trim_start_matches("./");
        if name.is_empty() {
            return Err("the cell that names the image is empty".to_string());
        }
        if let Some(entry) = self.at(name) {
            return Ok(entry);
        }
        let has_ending = looks_like_an_image(name);
        if !has_ending && let Some(entry) = EXTENSIONS.iter().find_map(|ending| self.at(&format!("{name}.{ending}"))) {
            return Ok(entry);
        }
        match self.listing.as_ref().and_then(|listing| Some((listing, listing.names.get(last_part(name))?))) {
            Some((listing, Some(i))) => Ok(listing.entries[*i].clone()),
            Some((_, None)) => Err("several files are called so; give the path of one".to_string()),
            None => Err("the file does not exist".to_string()),
        }
    }
}
