//! Names of the thousand classes that most published networks were trained on.

/// In the order of the outputs; see the README beside it for where they are from.
const NAMES: &str = include_str!("../../data/imagenet-classes.txt");

/// Names for so many classes of which nothing else is known.
pub(super) fn classes(outputs: usize, notes: &mut Vec<String>) -> Vec<String> {
    let names: Vec<String> = NAMES.lines().map(str::to_string).collect();
    if outputs != names.len() {
        return numbered(outputs);
    }
    notes.push("its thousand classes were taken for those of ImageNet (ILSVRC 2012)".to_string());
    names
}

/// Numbers from 0.
pub(super) fn numbered(outputs: usize) -> Vec<String> {
    (0..outputs).map(|class| class.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn there_are_a_thousand_names_all_different() {
        let names = classes(1000, &mut Vec::new());
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), 1000);
        assert_eq!((&names[0][..], &names[999][..]), ("tench", "toilet tissue"));
        assert_eq!(classes(3, &mut Vec::new()), ["0", "1", "2"]);
    }
}
