//! The most similar name, for "did you mean".

/// Fewest letters of a name that is taken for the beginning of another.
const BEGINNING: usize = 3;

/// The candidate with the smallest edit distance to `name`, ignoring case, the first of equals; nothing if none is so near that
/// it may have been meant.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = candidates.into_iter().filter(|candidate| is_near(name, candidate));
    near.min_by_key(|candidate| edits(name, candidate))
}

/// Whether a name differs from another by one letter in four and one more at most, or is its beginning.
fn is_near(name: &str, other: &str) -> bool {
    let (name, other) = (name.to_lowercase(), other.to_lowercase());
    let (letters, longest) = (name.chars().count(), name.chars().count().max(other.chars().count()));
    let edits = edits(&name, &other);
    (edits <= 1 + longest / 4 && edits < longest) || (letters >= BEGINNING && other.starts_with(&name))
}

/// How many letters must be put in, left out or changed to make one name of another, ignoring case.
pub fn edits(name: &str, other: &str) -> usize {
    let letters = |name: &str| name.to_lowercase().chars().collect::<Vec<char>>();
    distance(&letters(name), &letters(other))
}

/// Levenshtein's distance, one row of the table at a time.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_has_the_fewest_edits() {
        assert_eq!(nearest("Spceies", ["petal", "species", "specs"]), Some("species"));
        assert_eq!(nearest("x", []), None);
        // Names that are far away are not what was meant.
        assert_eq!(nearest("temperature", ["petal", "species", "specs"]), None);
        assert_eq!(nearest("x", ["y"]), None);
        assert_eq!(nearest("hihg", ["low", "high"]), Some("high"));
        assert_eq!(nearest("Acc", ["f1", "accuracy"]), Some("accuracy"));
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        assert_eq!(distance(&chars("kitten"), &chars("sitting")), 3);
    }
}
