//! What was found in the data, in a few lines shown before training.

use std::collections::BTreeMap;

use crate::dataset::{Dataset, Task};
use crate::split::Part;
use crate::table::ColumnKind;
use crate::text::PairLabel;

/// Items named before "and so on".
const NAMED: usize = 6;

fn list(items: &[String]) -> String {
    if items.len() <= NAMED {
        return items.join(", ");
    }
    format!("{}, and {} more", items[..NAMED].join(", "), items.len() - NAMED)
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

impl Dataset {
    /// What was found and inferred, one short line each.
    pub fn describe(&self) -> Vec<String> {
        let mut lines = vec![self.describe_inputs(), self.describe_task()];
        let summary = self.summary();
        if !summary.dropped_columns.is_empty() {
            let dropped: Vec<String> =
                summary.dropped_columns.iter().map(|(name, reason)| format!("'{name}' ({reason})")).collect();
            lines.push(format!("not used: {}", list(&dropped)));
        }
        let is_date = |(_, kind): &&(String, ColumnKind)| matches!(kind, ColumnKind::Date(_));
        let dates: Vec<String> = summary.columns.iter().filter(is_date).map(|(name, _)| format!("'{name}'")).collect();
        if !dates.is_empty() {
            lines.push(format!(
                "dates become days passed, and year, month, weekday and hour where they vary: {}",
                list(&dates)
            ));
        }
        if !summary.missing.is_empty() {
            let missing: Vec<String> =
                summary.missing.iter().map(|(name, count)| format!("'{name}' ({count})")).collect();
            lines.push(format!("missing values: {}", list(&missing)));
        }
        let given: Vec<&str> = [(Part::Validation, "validation"), (Part::Test, "test")]
            .into_iter()
            .filter(|(part, _)| self.has_part(*part))
            .map(|(_, name)| name)
            .collect();
        if !given.is_empty() && self.language_sizes().is_none() {
            lines.push(format!("comes with its own {} part", given.join(" and ")));
        }
        if summary.duplicates > 0 {
            let count = counted(summary.duplicates, "input repeats an earlier one", "inputs repeat earlier ones");
            let side = if given.is_empty() { ", and will stay on the same side of the split" } else { "" };
            lines.push(format!("{count}{side}"));
        }
        if !summary.skipped.is_empty() {
            let skipped: Vec<String> =
                summary.skipped.iter().map(|(name, reason)| format!("'{name}' ({reason})")).collect();
            let count = match self.is_texts() {
                true => counted(skipped.len(), "unreadable text", "unreadable texts"),
                false => counted(skipped.len(), "missing or unreadable image", "missing or unreadable images"),
            };
            lines.push(format!("skipped {count}: {}", list(&skipped)));
        }
        if summary.ignored > 0 {
            let what = counted(summary.ignored, "file that is not an image", "files that are not images");
            lines.push(format!("ignored {what} of a class"));
        }
        lines.extend(summary.notes.iter().cloned());
        lines
    }

    fn describe_inputs(&self) -> String {
        if let Some([height, width, channels]) = self.image_shape() {
            let colour = if channels == 1 { "grey" } else { "colour" };
            let kept = if self.is_cached() { "kept in memory" } else { "decoded as needed" };
            return format!("{} images, {width} x {height} pixels, {colour}, {kept}", self.len());
        }
        if let Some((tokens, bytes)) = self.language_sizes() {
            let vocabulary = self.text_sizes().map_or(0, |(_, vocabulary)| vocabulary);
            let texts =
                if self.documents() == 1 { "a text".to_string() } else { format!("{} texts", self.documents()) };
            return format!("{texts} of {bytes} bytes, {tokens} tokens from a vocabulary of {vocabulary}");
        }
        if let (Some((sentences, words)), Some((longest, vocabulary))) = (self.label_sizes(), self.text_sizes()) {
            return format!(
                "{}, {}, of up to {longest} tokens at once, from a vocabulary of {}",
                counted(sentences, "sentence", "sentences"),
                counted(words, "labelled word", "labelled words"),
                counted(vocabulary, "token", "tokens")
            );
        }
        if let Some((longest, vocabulary)) = self.text_sizes() {
            let what = if let Task::Similarity { .. } = self.task() {
                "pairs of texts"
            } else if self.summary().pairs {
                "pairs of texts, compared,"
            } else {
                "texts"
            };
            let columns: Vec<String> = self.summary().columns.iter().map(|(name, _)| format!("'{name}'")).collect();
            let beside = match columns.is_empty() {
                true => String::new(),
                false => format!(", and beside them {}", list(&columns)),
            };
            return format!(
                "{} {what} of up to {longest} tokens, from a vocabulary of {}{beside}",
                self.len(),
                counted(vocabulary, "token", "tokens")
            );
        }
        let summary = self.summary();
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        for (_, kind) in &summary.columns {
            let name = match kind {
                ColumnKind::Number | ColumnKind::Amount(_) => "numeric",
                ColumnKind::Boolean => "yes/no",
                ColumnKind::Category => "categorical",
                ColumnKind::Date(_) => "dates",
            };
            *kinds.entry(name).or_insert(0) += 1;
        }
        let kinds: Vec<String> = kinds.iter().map(|(name, count)| format!("{count} {name}")).collect();
        let features = counted(summary.columns.len(), "feature", "features");
        format!("{} rows, {features} ({})", self.len(), kinds.join(", "))
    }

    fn describe_task(&self) -> String {
        let summary = self.summary();
        let target = summary.target.as_ref().map(|name| format!(" of '{name}'")).unwrap_or_default();
        let other = summary.other_task.map(|text| format!(" ({text})")).unwrap_or_default();
        match self.task() {
            Task::Regression => format!("regression{target}{other}"),
            Task::Labels { labels, spans } => {
                let counts = labels.iter().zip(&summary.class_counts);
                let shown: Vec<String> = counts
                    .filter_map(|(label, count)| {
                        let name = if *spans { label.strip_prefix("B-")? } else { label };
                        Some(format!("{name} ({count})"))
                    })
                    .collect();
                let what = if *spans { "spans of words with" } else { "words with" };
                format!("labels{target}: {what} {}: {}", counted(shown.len(), "label", "labels"), list(&shown))
            }
            Task::NextToken => "the next token of a text is learned".to_string(),
            Task::Similarity { label } => match label {
                PairLabel::Partners => {
                    "similarity: the texts of a pair belong together, those of others do not".to_string()
                }
                PairLabel::Score => format!("similarity: the order of the scores{target}"),
                PairLabel::Related => format!("similarity: 1{target} tells texts that are related, 0 others"),
            },
            task => {
                let classes = task.classes();
                let counts: Vec<String> = classes
                    .iter()
                    .zip(&summary.class_counts)
                    .map(|(name, count)| format!("{name} ({count})"))
                    .collect();
                let (counts, number) = (list(&counts), classes.len());
                if task.is_classification() {
                    format!("classification{target} into {number} classes: {counts}{other}")
                } else {
                    format!("multi-label classification{target}, any of {number} labels: {counts}")
                }
            }
        }
    }
}
