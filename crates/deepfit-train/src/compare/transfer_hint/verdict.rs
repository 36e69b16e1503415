//! What probes and hints say together, in words.

use super::Transferability;
use super::probes::Probed;
use crate::compare::contest::Contest;
use crate::compare::paired::Versus;
use crate::text::words::number;

/// A difference counts that comes about by chance more seldom.
const CHANCE: f64 = 0.05;
/// By fewer rows that are held out, not even features that help are told from none.
const FEWEST_HELD: usize = 30;
/// From this distance on, data is too unlike that which the network was trained on: of EfficientNet-Lite0 drawn pictures are 0.29
/// away, faces 0.34, handwritten digits 0.66, plain colours 0.86 and noise 0.89.
pub(super) const DISTANT: f64 = 0.75;
/// Shares from which texts count as unlike; they were chosen and not measured on data sets.
const UNKNOWN: f64 = 0.02;
const BROKEN: f64 = 0.25;
/// Samples of later years count from this share of all on, and from so many.
const LATER: f64 = 0.01;
const LATER_SAMPLES: usize = 3;

/// Whether features of the published network are better, worse, or neither.
fn direction(contest: &Contest, versus: Option<Versus>) -> Option<f64> {
    let versus = versus.filter(|versus| versus.p_value < CHANCE)?;
    let sign = if contest.single_rises() { 1.0 } else { -1.0 };
    Some(sign * versus.difference.signum())
}

/// By the probe of the most rows: it helps where the published features are better than all others, beyond chance; it does
/// not where they tell nothing, or others are better.
pub(super) fn decide(contest: &Contest, name: &str, probed: &Probed, found: &mut Transferability) {
    found.probes.clone_from(&probed.probes);
    let Some(last) = probed.probes.last() else { return };
    let (metric, held) = (&contest.metric, probed.held);
    let in_parts = if probed.parts > 1 { format!(", in {} parts", probed.parts) } else { String::new() };
    let plain = if contest.data.is_images() { "on colours and edges" } else { "on words" };
    let with = if found.with_words { " with words beside them" } else { "" };
    let sides = [
        (plain, last.natural, probed.against.natural),
        ("on random features", last.random, probed.against.random),
        ("with no features", Some(last.nothing), probed.against.nothing),
    ];
    let told = |versus: Option<Versus>| match versus {
        None => String::new(),
        Some(versus) if versus.p_value < 0.001 => " (p below 0.001)".to_string(),
        Some(versus) => format!(" (p {:.3})", versus.p_value),
    };
    let shown: Vec<String> = sides
        .iter()
        .filter_map(|(what, value, versus)| Some(format!("{} {what}{}", number((*value)?), told(*versus))))
        .collect();
    found.grounds.push(format!(
        "a linear probe of {} rows has {metric} {} on features of {name}{with}, {}, on {held} rows that are held out{in_parts}",
        last.rows,
        number(last.published),
        shown.join(", ")
    ));
    let of = sides.map(|(_, _, versus)| direction(contest, versus));
    let known = sides.map(|(_, value, versus)| value.is_some() && versus.is_some());
    if held < FEWEST_HELD {
        found.grounds.push(format!("{held} rows are too few to tell anything"));
    } else if of[2].is_none_or(|direction| direction < 0.0) {
        found.helps = Some(false);
        found.grounds.push(format!("features of {name} tell no more than the {} does", nothing(contest)));
    } else if let Some(better) = (0..2).find(|&side| of[side].is_some_and(|direction| direction < 0.0)) {
        found.helps = Some(false);
        found.grounds.push(format!("the same learner does better {}", sides[better].0));
    } else if (0..2).all(|side| !known[side] || of[side].is_some()) && (known[0] || known[1]) {
        found.helps = Some(true);
    } else {
        let equal: Vec<&str> =
            (0..2).filter(|&side| known[side] && of[side].is_none()).map(|side| sides[side].0).collect();
        let equal = if equal.is_empty() { "with nothing else to learn from" } else { &equal.join(" and ") };
        found.grounds.push(format!("{held} rows cannot tell it from the same learner {equal}"));
    }
    if let (Some(few), Some(Some(natural))) = (probed.probes.first(), probed.probes.first().map(|probe| probe.natural))
        && probed.probes.len() > 1
    {
        found.grounds.push(format!(
            "of {} rows the probe makes {} with it, and {} {plain}",
            few.rows,
            number(few.published),
            number(natural)
        ));
    }
}

fn nothing(contest: &Contest) -> &'static str {
    match (contest.is_classification(), contest.is_of_labels()) {
        (true, _) => "most frequent class",
        (_, true) => "share of each label",
        _ => "mean",
    }
}

/// Which years samples are of.
pub(super) struct Years {
    /// Number of samples that were looked at.
    pub(super) samples: usize,
    /// Whether they are texts, which may tell of years themselves.
    pub(super) are_texts: bool,
    /// The latest year of each that has one.
    pub(super) years: Vec<u32>,
    /// Columns of dates beside them.
    pub(super) columns: Vec<String>,
}

impl Years {
    /// How samples tell of years, in words.
    fn told(&self) -> String {
        let columns: Vec<String> = self.columns.iter().map(|name| format!("'{name}'")).collect();
        match (self.are_texts, columns.join(", ")) {
            (true, columns) if columns.is_empty() => "texts tell of years".to_string(),
            (true, columns) => format!("texts, or their dates in {columns}, tell of years"),
            (false, columns) => format!("images are by their dates in {columns} of years"),
        }
    }
}

/// Compares the network's year with the years that samples are of.
pub(super) fn dated(year: u32, grounds: &str, name: &str, told: &Years, found: &mut Transferability) {
    found.hints.model_year = Some(year);
    let later: Vec<u32> = told.years.iter().copied().filter(|&other| other > year).collect();
    let share = later.len() as f64 / told.samples.max(1) as f64;
    found.hints.later_years = Some(share);
    if later.len() >= LATER_SAMPLES && share >= LATER {
        let latest = later.iter().max().unwrap_or(&year);
        found.warnings.push(format!(
            "{name} may be outdated: {} of {} {} after {year}, up to {latest}, and {grounds}; what is younger than it, it has \
             never seen",
            later.len(),
            told.samples,
            told.told()
        ));
    }
}

/// Warns where data is unlike that which the network was trained on.
pub(super) fn warn(name: &str, found: &mut Transferability) {
    let hints = found.hints;
    if let Some(distance) = hints.frechet.filter(|&distance| distance > DISTANT) {
        found.warnings.push(format!(
            "the images are unlike those that {name} was trained on: its last activations are {} variances away from theirs \
             (Fréchet distance of a channel; it is warned of more than {DISTANT})",
            number(distance)
        ));
    }
    if let Some(share) = hints.unknown_tokens.filter(|&share| share > UNKNOWN) {
        found.warnings.push(format!(
            "the texts are unlike those that {name} was trained on: it does not know {:.1} % of their tokens",
            100.0 * share
        ));
    }
    if let Some(share) = hints.broken_words.filter(|&share| share > BROKEN) {
        found.warnings.push(format!(
            "the texts are unlike those that {name} was trained on: {:.0} % of their words are broken into three pieces or more",
            100.0 * share
        ));
    }
}
