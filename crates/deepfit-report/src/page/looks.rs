//! What the network goes by: explanations of some test rows, columns that count, and a map of what its last layer sees.

use deepfit_explain::Method;
use deepfit_train::RunRecord;
use deepfit_train::text::words;
use maud::{Markup, html};

use super::facts::Facts;
use super::figures;
use super::mistakes::name;
use crate::clean::clean;
use crate::deeper::{Deeper, Explained, MISTAKES, OTHERS, Parts};
use crate::plot::Plot;

pub(super) fn section(run: &RunRecord, facts: &Facts, deeper: Option<&Deeper>) -> Markup {
    let Some(deeper) = deeper else {
        let again = words::printable(&run.root.display().to_string());
        return html! {
            p {
                "To see what the " (facts.learner) " goes by, the model has to be run on the data again: "
                code { "deepfit report " (clean(&again)) " --full" }
                " adds that to this page."
            }
        };
    };
    let plots: Vec<Plot> = deeper.importance.iter().chain(&deeper.dependence).chain(&deeper.map).cloned().collect();
    html! {
        @for note in &deeper.notes { p class="warning" { (clean(note)) } }
        @if run.settings.time_split.is_some() && run.input.as_deref() == Some("table") {
            p {
                "Rows are looked at one by one, though they follow each other in time: what came before counts where a column holds it \
                 (a lag, such as the value of the day before), and is explained as that column."
            }
        }
        (figures(&plots))
        @if !deeper.explanations.is_empty() {
            h3 { "Some test " (facts.many) ", explained" }
            p {
                "At most " (MISTAKES) " mistakes and " (OTHERS) " others, so that this does not take long. "
                (marks(&deeper.explanations))
                "Each explanation was tested: the parts were taken away in the order of their weight, and in orders drawn by chance; fewer than three parts have no order that tells anything."
            }
            @for method in methods(&deeper.explanations) { p class="reading" { (method.meaning()) } }
            @if let Some(most) = most(&deeper.explanations) { p { strong { "What counts most: " } (clean(&most)) "." } }
            @if let Some(told) = &deeper.shuffled { p { (clean(&shuffled(told))) } }
            ul class="cards" { @for one in &deeper.explanations { li { (explanation(one, &heading(run, facts, one))) } } }
        }
        @if !deeper.continued.is_empty() {
            h3 { "How it goes on" }
            p { "The network was given a beginning from the test text, and went on by itself." }
            @for (beginning, rest) in &deeper.continued {
                blockquote { (clean(beginning)) ins { (clean(rest)) } }
            }
        }
    }
}

/// How what counts is marked, of the forms that there are.
fn marks(all: &[Explained]) -> String {
    let any = |is: &dyn Fn(&Parts) -> bool| all.iter().any(|one| is(&one.parts));
    let mut told = String::new();
    if any(&|parts| matches!(parts, Parts::Words(_))) {
        told += "Words that speak for what was said are marked in red and underlined, words that speak against it in blue and dashed; the \
                 stronger, the more they count. ";
    }
    if any(&|parts| matches!(parts, Parts::Picture { .. })) {
        told += "Beside each picture lies the same in grey, in which red places speak for what was said and blue ones against it. ";
    }
    if any(&|parts| matches!(parts, Parts::Columns(_))) {
        told += "Of each row those columns are listed that count most, with what stands in them; a number above 0 speaks for what was \
                 said (of a predicted number: makes it larger), one below 0 against it. ";
    }
    told
}

/// The methods that were used.
fn methods(all: &[Explained]) -> Vec<Method> {
    let mut methods: Vec<Method> = Vec::new();
    for one in all {
        if !methods.contains(&one.method) {
            methods.push(one.method);
        }
    }
    methods
}

/// What the check by shuffled weights says.
fn shuffled(told: &Result<(f64, String), String>) -> String {
    let (likeness, method) = match told {
        Ok(told) => told,
        Err(why) => return format!("Whether explanations depend on what was learned is not tested: {why}."),
    };
    let verdict = match *likeness {
        l if l < 0.3 => "they depend on what was learned, as they should",
        l if l < 0.6 => {
            "they depend on what was learned in part, and on how the network is built or what the inputs are in part"
        }
        _ => "they hardly depend on what was learned: do not rely on them, and try another --method",
    };
    // Several methods are named one after the other.
    let does = if method.contains(" and ") { "Do" } else { "Does" };
    format!(
        "{does} {method} depend on what the network has learned? With weights that were shuffled, the order of what counts agrees with \
         that below by {likeness:.2} (rank correlation: 1 is the same order, 0 another): {verdict}."
    )
}

/// What counts most in the rows that are explained, with the number of them.
fn most(all: &[Explained]) -> Option<String> {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    // An explanation that is no better than chance names nothing.
    let trusted = all.iter().filter(|one| one.warning.is_none());
    for most in trusted.filter_map(|one| one.strongest.as_deref()) {
        match counts.iter_mut().find(|(known, _)| *known == most) {
            Some((_, count)) => *count += 1,
            None => counts.push((most, 1)),
        }
    }
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let told: Vec<String> = counts.iter().map(|(most, count)| format!("{most} ({count} of {})", all.len())).collect();
    (!told.is_empty()).then(|| told.join(", "))
}

/// The name of a row that is explained.
fn heading(run: &RunRecord, facts: &Facts, one: &Explained) -> String {
    let mut mistakes = run.predictions.iter().flat_map(|predictions| &predictions.worst);
    let file = mistakes.find(|mistake| mistake.id == one.id).and_then(|mistake| mistake.file.clone());
    file.unwrap_or_else(|| name(&one.id, facts))
}

fn explanation(one: &Explained, heading: &str) -> Markup {
    html! {
        article {
            h4 { (clean(heading)) }
            @match &one.parts {
                Parts::Picture { width, height, base64 } => {
                    img width=(width) height=(height) src={ "data:image/jpeg;base64," (base64) }
                        alt={ "Left the picture, right what counts in it: " (clean(&one.sentence)) };
                },
                Parts::Words(texts) => {
                    @for (at, words) in texts.iter().enumerate() {
                        p class="words" {
                            @if texts.len() > 1 { strong { (["First", "Second"][at.min(1)]) " text: " } }
                            @for (word, share) in words {
                                @if let Some(class) = strength(*share) {
                                    span class=(class) title=(format!("{share:+.2} of the strongest")) { (clean(word)) }
                                } @else { (clean(word)) }
                                " "
                            }
                        }
                    }
                },
                Parts::Columns(all) => {
                    dl class="cells" {
                        @for (column, cell, value) in all.iter().take(6) {
                            div { dt { (clean(column)) " = " (clean(cell)) } dd { (format!("{value:+.3}")) } }
                        }
                    }
                },
            }
            p { (clean(&one.sentence)) }
            p class="why" { (clean(&one.test)) }
            @if let Some(warning) = &one.warning { p class="warning" { (clean(warning)) } }
        }
    }
}

/// The class of a word by its share of the strongest weight.
fn strength(share: f64) -> Option<&'static str> {
    match share {
        s if s > 0.66 => Some("for3"),
        s if s > 0.33 => Some("for2"),
        s if s > 0.1 => Some("for1"),
        s if s < -0.66 => Some("against3"),
        s if s < -0.33 => Some("against2"),
        s if s < -0.1 => Some("against1"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_that_was_left_out_says_why() {
        assert!(shuffled(&Ok((0.1, "shapley".to_string()))).contains("0.10"));
        let why = shuffled(&Err("fewer than 3 parts have too few orders to compare".to_string()));
        assert!(why.contains("is not tested: fewer than 3 parts"), "{why}");
    }

    #[test]
    fn colours_are_explained_where_there_are_some() {
        let of = |parts: Parts| Explained {
            id: deepfit_data::RowId::Row(0),
            sentence: String::new(),
            strongest: None,
            method: Method::Shapley,
            parts,
            test: String::new(),
            warning: None,
        };
        let columns = marks(&[of(Parts::Columns(Vec::new()))]);
        assert!(!columns.contains("in red") && columns.contains("number above 0"), "{columns}");
        let words = marks(&[of(Parts::Words(Vec::new()))]);
        assert!(words.contains("in red and underlined") && !words.contains("picture"), "{words}");
        assert_eq!(methods(&[of(Parts::Words(Vec::new())), of(Parts::Words(Vec::new()))]), [Method::Shapley]);
    }
}
