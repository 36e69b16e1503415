//! Whether to begin with a published network, decided before an image is decoded.

use deepfit_data::{ImageSurvey, TextSurvey};

/// Images of at most this side hold too little of what a network for photographs looks at.
const TINY: usize = 32;
/// Of this many images, and this many of each class, even a network for tiny ones learns well from nothing.
const MANY: usize = 1_000;
const MANY_EACH: usize = 50;

/// Whether to begin with the published network that is part of the program, with the reason in a sentence.
///
/// Drawings, medical pictures and photographs all gain from a network that has learned to see. Digits of 8 or 28 pixels in
/// thousands do not: a small network of their own is as good, a hundred times smaller and faster.
pub fn decide(survey: &ImageSurvey) -> (bool, String) {
    let ImageSurvey { images, classes, side } = *survey;
    if side <= TINY && images >= MANY && images / classes.max(1) >= MANY_EACH {
        return (false, format!("{images} images of {side} pixels are enough for a small network of their own"));
    }
    let why = if images < MANY { "are few" } else { "gain from what it has seen" };
    // Of a regression there are none.
    let of = if classes > 0 { format!(" of {classes} classes") } else { String::new() };
    (true, format!("{images} images{of} {why}"))
}

/// Of so many texts, a network of its own learns what words mean.
const MANY_TEXTS: usize = 50_000;

/// Whether texts begin with the table of words that is part of the program, with the reason in a sentence. What comes next
/// in a text, a table cannot tell.
pub fn decide_for_texts(survey: &TextSurvey) -> (bool, String) {
    let TextSurvey { texts, .. } = *survey;
    if texts >= MANY_TEXTS {
        return (false, format!("{texts} texts are enough for a network of their own"));
    }
    (texts > 1, format!("{texts} texts are few"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_images_begin_with_what_others_have_learned_and_many_tiny_ones_do_not() {
        let of = |images, classes, side| decide(&ImageSurvey { images, classes, side });
        assert!(of(450, 9, 64).0, "a few drawings");
        assert!(of(200, 2, 25).0, "a few faces, though they are tiny");
        assert!(of(2_000, 100, 32).0, "few of each class");
        assert!(of(60_000, 10, 224).0, "many photographs");
        assert!(!of(1_797, 10, 8).0, "digits");
        assert!(!of(5_000, 10, 28).0, "more digits");
    }
}
