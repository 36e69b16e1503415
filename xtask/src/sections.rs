//! BENCHMARKS.md has a section for each command that measures: a command writes its own and leaves the others alone.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::peers::write;

/// The sections, in the order of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// Of `bench-peers`, with the file's title.
    Steps,
    /// Of `bench-data`.
    Data,
    /// Of `bench-scaling`.
    Sizes,
    /// Of `bench-tables`.
    Tables,
    /// Of `bench-checks`.
    Checks,
    /// Of `bench-ways`.
    Ways,
}

const SECTIONS: [(Section, &str); 6] = [
    (Section::Steps, "steps"),
    (Section::Data, "data"),
    (Section::Sizes, "sizes"),
    (Section::Tables, "tables"),
    (Section::Checks, "checks"),
    (Section::Ways, "ways"),
];

/// Puts the text of a section into the file, in place of an earlier one.
///
/// # Errors
/// If the file cannot be read or written.
pub fn put(file: &Path, section: Section, text: &str) -> Result<()> {
    let old = match fs::exists(file)? {
        true => fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?,
        false => String::new(),
    };
    write(file, &with(&old, section, text))
}

fn with(old: &str, section: Section, text: &str) -> String {
    // A file from before there were sections is what `bench-peers` wrote.
    let bare = !old.is_empty() && !old.contains("<!-- begin: ");
    let part = |(other, name): (Section, &str)| {
        let own = if other == section {
            Some(text)
        } else if bare {
            (other == Section::Steps).then_some(old)
        } else {
            find(old, name)
        };
        own.map(|own| format!("<!-- begin: {name} -->\n{}\n<!-- end: {name} -->\n", own.trim_end()))
    };
    SECTIONS.into_iter().filter_map(part).collect::<Vec<_>>().join("\n")
}

fn find<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<!-- begin: {name} -->\n"))?;
    Some(rest.split_once(&format!("<!-- end: {name} -->"))?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_replaced_and_the_others_stay_in_their_order() {
        let text = with("", Section::Sizes, "sizes 1\n");
        let text = with(&text, Section::Steps, "# Benchmarks\n\nsteps 1\n");
        let text = with(&text, Section::Data, "data 1");
        let text = with(&text, Section::Sizes, "sizes 2");
        let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty() && !line.starts_with("<!--")).collect();
        assert_eq!(lines, ["# Benchmarks", "steps 1", "data 1", "sizes 2"]);
        assert_eq!(with(&text, Section::Data, "data 1"), text);
    }
}
