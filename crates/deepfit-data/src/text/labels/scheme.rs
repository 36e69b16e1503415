//! Tags that say where spans begin and end, brought to one scheme.

/// How tags mark spans (Ramshaw and Marcus, 1995, and its successors).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// `B-` only where a span follows one of the same label at once.
    Iob1,
    /// Every span begins with `B-`.
    Iob2,
    /// With `E-` for a span's last word and `S-` for its only one.
    Bioes,
    /// With `L-` and `U-` for the same.
    Bilou,
}

impl Scheme {
    pub(super) fn name(self) -> &'static str {
        match self {
            Scheme::Iob1 => "IOB1",
            Scheme::Iob2 => "IOB2",
            Scheme::Bioes => "BIOES",
            Scheme::Bilou => "BILOU",
        }
    }

    /// The scheme of sentences' tags; nothing if they are labels by themselves.
    pub(super) fn of<'a>(sentences: impl Iterator<Item = &'a [String]> + Clone) -> Option<Scheme> {
        let tags = sentences.clone().flatten().filter(|tag| *tag != OUTSIDE);
        let (mut with, mut without) = (0_u64, 0_u64);
        let mut prefixes = std::collections::BTreeSet::new();
        for tag in tags {
            match parts(tag) {
                Some((prefix, _)) => {
                    with += 1;
                    prefixes.insert(prefix);
                }
                None => without += 1,
            }
        }
        if with <= without {
            return None;
        }
        if prefixes.contains(&'S') || prefixes.contains(&'E') {
            return Some(Scheme::Bioes);
        }
        if prefixes.contains(&'L') || prefixes.contains(&'U') {
            return Some(Scheme::Bilou);
        }
        // Whether spans begin with I, and B stands nowhere but behind a span of the same label.
        let (mut bare, mut plain) = (false, false);
        for tags in sentences {
            let mut before = None;
            for tag in tags {
                let now = parts(tag);
                let follows = matches!((before, now), (Some((_, a)), Some((_, b))) if a == b);
                bare |= matches!(now, Some(('I', _))) && !follows;
                plain |= matches!(now, Some(('B', _))) && !follows;
                before = now;
            }
        }
        Some(if bare && !plain { Scheme::Iob1 } else { Scheme::Iob2 })
    }
}

/// The tag of words in no span.
pub(super) const OUTSIDE: &str = "O";

/// Prefix and label of a tag.
pub(super) fn parts(tag: &str) -> Option<(char, &str)> {
    let mut letters = tag.chars();
    let prefix = letters.next().filter(|prefix| "BIESLUM".contains(*prefix))?;
    letters.next().filter(|mark| matches!(mark, '-' | '_'))?;
    let label = letters.as_str();
    (!label.is_empty()).then_some((prefix, label))
}

/// Tags of any scheme as IOB2, and how many spans began with `I-`: an inside that follows nothing of its label begins a
/// span, as conlleval counts it.
pub(super) fn to_iob2(tags: &[String]) -> (Vec<String>, usize) {
    let mut open: Option<&str> = None;
    let mut bare = 0;
    let brought = tags.iter().map(|tag| {
        let Some((prefix, label)) = parts(tag) else {
            open = None;
            return OUTSIDE.to_string();
        };
        let inside = matches!(prefix, 'I' | 'M' | 'E' | 'L');
        let goes_on = inside && open == Some(label);
        bare += usize::from(inside && !goes_on);
        open = (!matches!(prefix, 'S' | 'U' | 'E' | 'L')).then_some(label);
        format!("{}-{label}", if goes_on { 'I' } else { 'B' })
    });
    (brought.collect(), bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(words: &str) -> Vec<String> {
        words.split(' ').map(str::to_string).collect()
    }

    #[test]
    fn schemes_are_told_apart_and_brought_to_one() {
        let want = tags("B-PER I-PER O B-LOC B-LOC I-LOC I-LOC B-ORG");
        for (scheme, given) in [
            (Scheme::Iob1, "I-PER I-PER O I-LOC B-LOC I-LOC I-LOC I-ORG"),
            (Scheme::Iob2, "B-PER I-PER O B-LOC B-LOC I-LOC I-LOC B-ORG"),
            (Scheme::Bioes, "B-PER E-PER O S-LOC B-LOC I-LOC E-LOC S-ORG"),
            (Scheme::Bilou, "B-PER L-PER O U-LOC B-LOC I-LOC L-LOC U-ORG"),
        ] {
            let given = tags(given);
            assert_eq!(Scheme::of(std::iter::once(&given[..])), Some(scheme));
            assert_eq!(to_iob2(&given).0, want, "{scheme:?}");
        }
        let speech = tags("DET NOUN VERB");
        assert_eq!(Scheme::of(std::iter::once(&speech[..])), None);
        assert_eq!(to_iob2(&tags("O I-A I-B")), (tags("O B-A B-B"), 2));
    }
}
