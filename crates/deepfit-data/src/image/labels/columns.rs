//! Which column of a table names images, which says what is on them, and which the part that they belong to.

use std::collections::HashSet;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::super::layout::part_of;
use super::super::scan::looks_like_an_image;
use super::find::Finder;
use crate::dataset::OpenOptions;
use crate::division::role;
use crate::error::{Error, Result};
use crate::table::{self, AmountForm, TARGET_NAMES, named_columns};

/// Rows that are looked at to find out which column names images.
const LOOKED_AT: usize = 50;
/// Cells of a column of which none names an image, after which it is no column of images.
const PATIENCE: usize = 5;
/// Columns of which each cell is looked for as the name of a file without its ending, as `0001` is of `0001.png`, which asks for
/// several files a cell. Of those after them, only cells that end as the name of an image does are: a table of tens of thousands
/// of numbers would be a million files to ask for, and the column that names images is seldom among its last.
const SOUGHT_WITHOUT_ENDING: usize = 200;
/// Names of columns that may give the part of each row.
const PART_NAMES: [&str; 5] = ["split", "part", "subset", "set", "partition"];

/// Which columns of a table say what of images; saved with a model, which is evaluated on tables of the same kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageColumns {
    /// Whether the table has a header.
    pub header: bool,
    /// Column of paths.
    pub image: String,
    /// The target, or several columns of 0 and 1, one a label.
    pub target: Vec<String>,
    /// Character that divides the labels of a cell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub separator: Option<char>,
    /// How the numbers of a regression's target are written, if not as programs write them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<AmountForm>,
}

/// A table whose rows name images.
pub(crate) struct Recognised {
    pub(crate) header: bool,
    pub(crate) columns: Vec<String>,
    /// The column that names images.
    pub(crate) image: usize,
    /// Other columns that do.
    pub(crate) others: Vec<usize>,
    /// The column that gives the part of each row.
    pub(crate) part: Option<usize>,
}

/// What a first look at a table shows.
pub(crate) enum Look {
    /// It names images that are there.
    Images(Recognised),
    /// A column holds names of image files that are not there; the first of them.
    Missing {
        /// The column.
        column: String,
        /// Its first value.
        value: String,
        /// Columns of the table.
        columns: usize,
    },
    /// It names none.
    Nothing {
        /// Columns of the table.
        columns: Vec<String>,
    },
}

/// Looks for a column whose cells name images; `header` says whether the first row has names, if that is known.
pub(crate) fn look(path: &Path, header: Option<bool>, finder: &Finder) -> Result<Look> {
    let mut seen = table::preview(path, header, LOOKED_AT)?;
    // A first row that names an image is no header, though it has words in it.
    if header.is_none()
        && seen.header
        && seen.columns.iter().any(|name| looks_like_an_image(name) && finder.find(name).is_ok())
    {
        seen = table::preview(path, Some(false), LOOKED_AT)?;
    }
    let (mut named_there, mut stems, mut missing) = (Vec::new(), Vec::new(), None);
    for column in 0..seen.columns.len() {
        let cells = || seen.rows.iter().map(|row| row[column].as_str()).filter(|cell| !cell.is_empty());
        let (mut count, mut named, mut there) = (0, 0, 0);
        for cell in cells() {
            count += 1;
            // An address of the web may end as a file does.
            let ends_so = looks_like_an_image(cell);
            named += usize::from(ends_so && !cell.contains("://"));
            let sought = ends_so || (column < SOUGHT_WITHOUT_ENDING && !is_measure(cell));
            there += usize::from(sought && finder.find(cell).is_ok());
            if count == PATIENCE && named + there == 0 {
                break;
            }
        }
        let all_named = named > 0 && 10 * named >= 9 * count;
        if there > 0 && all_named {
            named_there.push(column);
        } else if there > 0 && 2 * there >= count {
            let distinct: HashSet<&str> = cells().collect();
            stems.push((distinct.len(), column));
        } else if all_named && missing.is_none() {
            missing = cells().next().map(|value| (column, value.to_string()));
        }
    }
    // A column of 0 and 1 may meet files 0.png and 1.png by chance; one that tells most files apart is meant.
    if named_there.is_empty() {
        named_there.extend(stems.iter().rev().max_by_key(|(distinct, _)| *distinct).map(|(_, column)| *column));
    }
    let Some(&image) = named_there.first() else {
        return Ok(match missing {
            Some((column, value)) => {
                Look::Missing { column: seen.columns[column].clone(), value, columns: seen.columns.len() }
            }
            None => Look::Nothing { columns: seen.columns },
        });
    };
    let part = seen.columns.iter().enumerate().position(|(i, name)| {
        let cells = || seen.rows.iter().map(|row| row[i].as_str()).filter(|cell| !cell.is_empty());
        let known = cells().filter(|cell| part_of(cell).is_some()).count();
        // A misspelt part is told when all rows are read; ignoring the column for it would mix training and test.
        i != image
            && PART_NAMES.iter().any(|part| name.eq_ignore_ascii_case(part))
            && known > 0
            && 2 * known >= cells().count()
    });
    let (header, columns, others) = (seen.header, seen.columns, named_there.split_off(1));
    Ok(Look::Images(Recognised { header, columns, image, others, part }))
}

/// Whether a cell is a number with decimals, or below 0, which is a measurement and names no file.
fn is_measure(cell: &str) -> bool {
    cell.starts_with(['-', '+', '.', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
        && cell.contains(['.', '-', '+'])
        && cell.parse::<f64>().is_ok()
}

impl Recognised {
    /// The target columns: those asked for, or one called target, label, labels, class or y, or the last.
    ///
    /// # Errors
    /// If a column asked for does not exist, or there is none left.
    pub(crate) fn targets(&mut self, options: &OpenOptions, name: &str) -> Result<Vec<usize>> {
        if let Some(wanted) = options.target.as_deref() {
            let whole = self.columns.iter().position(|column| column == wanted);
            let found: Vec<usize> = match whole {
                Some(column) => vec![column],
                None => named_columns(&self.columns, wanted, name)?,
            };
            if found.contains(&self.image) {
                let problem = format!(
                    "'{}' is the column that names the images; choose one that says what is on them",
                    self.columns[self.image]
                );
                return Err(Error::Setting { setting: "target", problem });
            }
            self.part = self.part.filter(|part| !found.contains(part));
            return Ok(found);
        }
        let free: Vec<usize> = (0..self.columns.len())
            .filter(|column| *column != self.image && Some(*column) != self.part && !self.others.contains(column))
            .filter(|column| role(options, &self.columns[*column]).is_none())
            .collect();
        let called = |name: &str| free.iter().copied().find(|&column| self.columns[column].eq_ignore_ascii_case(name));
        let found = TARGET_NAMES.iter().chain(&["labels"]).find_map(|name| called(name)).or(free.last().copied());
        match found {
            Some(column) => Ok(vec![column]),
            None => {
                let problem = format!(
                    "beside '{}', which names images, no column says what is on them; add one, such as 'label'",
                    self.columns[self.image]
                );
                Err(Error::Table { name: name.to_string(), problem })
            }
        }
    }
}
