//! Figures of subgroups of the test rows.

use deepfit_train::SubgroupScores;
use deepfit_train::metrics::higher_is_better;
use deepfit_train::text::words;
use maud::{Markup, html};

use super::facts::Facts;
use super::metrics::number;
use super::table::{Row, Table, nothing};
use crate::clean::clean;
use crate::meaning::{meaning, ordered};

/// Metrics beside the one that says most.
const OTHERS: usize = 3;

pub(super) fn section(found: &SubgroupScores, facts: &Facts) -> Markup {
    let all = ordered(found.groups.iter().flat_map(|group| group.metrics.iter().map(|(name, _)| name)));
    let others = all.iter().copied().filter(|name| facts.main != Some(*name)).take(OTHERS);
    let shown: Vec<&str> = facts.main.into_iter().filter(|main| all.contains(main)).chain(others).collect();
    let titles: Vec<String> = shown.iter().map(|name| meaning(name).title).collect();
    let headings: Vec<&str> = std::iter::once("Rows").chain(titles.iter().map(String::as_str)).collect();
    let mut table = Table::new("Subgroups", &found.column, &headings);
    for group in &found.groups {
        let rows = html! { (words::count(group.rows)) @if group.few { br; span class="nothing" { "few" } } };
        let cell = |name: &&str| match group.metrics.get(name) {
            Some(value) => html! {
                (number(value))
                @if let Some([low, high]) = group.intervals.get(name) { br; span class="nothing" { (words::number(low)) " to " (words::number(high)) } }
            },
            None => nothing(),
        };
        table.row(Row::new(group.name.clone(), std::iter::once(rows).chain(shown.iter().map(cell)).collect(), ""));
    }
    html! {
        p { "The test " (facts.many) " by what stands in '" (clean(&found.column)) "', with 95 % intervals below the numbers." }
        (table.shown())
        ul { @for name in &shown { @let known = meaning(name); li { strong { (known.title) } ": " (known.sentence) } } }
        @if found.groups.iter().any(|group| group.few) {
            p { "Groups of fewer than " (SubgroupScores::FEW) " " (facts.many) " are marked as few: their numbers tell little." }
        }
        @if let Some(main) = shown.first() { p { (clean(&apart(found, main))) } }
    }
}

/// Whether the best and the worst of the groups differ by more than chance explains.
fn apart(found: &SubgroupScores, name: &str) -> String {
    let of = |group: &'_ deepfit_train::SubgroupRow| Some((group.metrics.get(name)?, group.intervals.get(name)?));
    let known = found.groups.iter().filter(|group| !group.few).filter_map(|group| Some((&group.name, of(group)?)));
    let mut known: Vec<_> = known.collect();
    known.sort_by(|a, b| a.1.0.total_cmp(&b.1.0));
    let (Some(low), Some(high)) = (known.first(), known.last()) else {
        return "There are too few rows in these groups to compare them.".to_string();
    };
    if known.len() < 2 {
        return "There is one group of enough rows alone, so that there is nothing to compare it with.".to_string();
    }
    let (worst, best) = if higher_is_better(name) { (low, high) } else { (high, low) };
    if low.1.1[1] < high.1.1[0] {
        format!(
            "'{}' is predicted worse than '{}' by more than chance would explain: their intervals do not meet. Look whether there is less \
             or other data of it.",
            worst.0, best.0
        )
    } else {
        format!(
            "The intervals of '{}' and '{}', which are furthest apart, meet: the difference may be chance.",
            worst.0, best.0
        )
    }
}
