//! How often the classes occur, and what follows from it: weights, which class is positive, what is noted.

use std::sync::Arc;

use deepfit_data::{Dataset, Split, Task, nearest};

use crate::decision::Costs;
use crate::error::{Result, TrainError};
use crate::settings::Settings;

/// A class that is this many times rarer than another is noted.
const UNEQUAL: usize = 5;
/// A label on fewer than one row in so many is noted.
const RARE: usize = 20;
/// Positive examples of a label count at most this many times as much as others: of a very rare label, single examples
/// would outweigh everything else in a batch.
const MOST_WEIGHT: f32 = 100.0;

/// Rows of each class, or with each label; empty for a regression.
pub(super) fn class_counts(data: &Dataset, rows: &[u32]) -> Vec<usize> {
    let mut counts = vec![0; data.task().classes().len()];
    for &row in rows {
        if let Some(class) = data.class_of(row) {
            counts[class as usize] += 1;
        }
        data.labels_of(row).iter().for_each(|&label| counts[label as usize] += 1);
    }
    counts
}

/// The weight of each class in inverse proportion to its rows, 1 on average over the rows; of labels, how much more a row
/// counts that has it than one that has not.
pub(super) fn weights(task: &Task, counts: &[usize], rows: usize) -> Vec<f32> {
    let classes = counts.len();
    match task {
        Task::MultiLabel { .. } => {
            let weight = |&n: &usize| if n == 0 { 1.0 } else { (rows.saturating_sub(n)) as f32 / n as f32 };
            // A label that all rows have must not lose all of its weight.
            counts.iter().map(|n| weight(n).clamp(1.0 / MOST_WEIGHT, MOST_WEIGHT)).collect()
        }
        _ => {
            let total: usize = counts.iter().sum();
            counts.iter().map(|&n| total as f32 / (classes * n.max(1)) as f32).collect()
        }
    }
}

/// Resolves the positive one of two classes: the rarer, unless one is named. With as many rows of both, the second.
pub(super) fn choose_positive(
    settings: &mut Settings,
    task: &Task,
    counts: &[usize],
    notes: &mut Vec<String>,
) -> Result<()> {
    let two = match task {
        Task::Classification { classes } if classes.len() == 2 => classes,
        _ => {
            if settings.positive.take().is_some() {
                notes.push("`positive` has no effect: it is for two classes".to_string());
            }
            return Ok(());
        }
    };
    match &settings.positive {
        Some(named) if !two.contains(named) => Err(TrainError::setting(
            "positive",
            format!("`{named}` is no class; the classes are {}", two.join(" and ")),
        )),
        Some(_) => Ok(()),
        None => {
            settings.positive = Some(two[usize::from(counts[1] <= counts[0])].clone());
            Ok(())
        }
    }
}

/// What errors cost, by the settings `cost.false_negative` and `cost.false_positive` of two classes, and `cost.CLASS`: what it
/// costs not to recognise a class, 1 where it is not said. Of labels the same, and both errors of each. The positive class is
/// chosen before.
pub(super) fn costs(settings: &mut Settings, task: &Task, notes: &mut Vec<String>) -> Result<Option<Costs>> {
    let (Task::Classification { classes } | Task::MultiLabel { classes }) = task else {
        if settings.cost.take().is_some() {
            notes.push("`cost` has no effect: it is for classes and labels".to_string());
        }
        return Ok(None);
    };
    let Some(given) = settings.cost.as_ref().filter(|given| !given.is_empty()) else { return Ok(None) };
    if let Task::MultiLabel { .. } = task {
        return costs_of_labels(given, classes).map(Some);
    }
    let positive = settings.positive.as_ref().and_then(|name| classes.iter().position(|class| class == name));
    let mut missed: Vec<Option<f64>> = vec![None; classes.len()];
    for (key, cost) in given {
        let class = match (&key[..], positive, classes.len()) {
            (name, ..) if classes.iter().any(|class| class == name) => classes.iter().position(|class| class == name),
            ("false_negative", Some(positive), 2) => Some(positive),
            ("false_positive", Some(positive), 2) => Some(1 - positive),
            _ => None,
        };
        let cost = number(cost);
        let fail = |problem: String| Err(TrainError::setting(&format!("cost.{key}"), problem));
        let Some(class) = class else {
            return Err(unknown(key, "class", classes, classes.len() == 2));
        };
        if missed[class].replace(cost).is_some() {
            return fail(format!("says what it costs not to recognise '{}', as another setting does", classes[class]));
        }
    }
    let missed: Vec<f64> = missed.into_iter().map(|cost| cost.unwrap_or(1.0)).collect();
    if missed.iter().all(|&cost| cost == 0.0) {
        return Err(TrainError::setting("cost", NOTHING_COSTS));
    }
    Ok(Some(Costs { missed, false_alarm: None, positive: positive.unwrap_or(0), threshold: None }))
}

const NOTHING_COSTS: &str = "all errors cost 0, so that any prediction is as good; give one a cost";

/// A cost, whose range was checked with the settings.
fn number(cost: &toml::Value) -> f64 {
    cost.as_float().or(cost.as_integer().map(|cost| cost as f64)).unwrap_or(1.0)
}

/// There is no such class or label, nor, if both errors have names, such an error.
fn unknown(key: &str, what: &str, classes: &[String], errors: bool) -> TrainError {
    const SHOWN: usize = 12;
    let mut known: Vec<&str> = classes.iter().map(String::as_str).collect();
    if errors {
        known.extend(["false_negative", "false_positive"]);
    }
    let hint = nearest(key, known.iter().copied()).map_or(String::new(), |n| format!("; did you mean `{n}`?"));
    let more = if known.len() > SHOWN { ", ..." } else { "" };
    known.truncate(SHOWN);
    let problem = format!("there is no {what} '{key}'; costs are of {}{more}{hint}", known.join(", "));
    TrainError::setting(&format!("cost.{key}"), problem)
}

/// What errors about labels cost: `cost.LABEL` not to recognise one, `cost.false_negative` any other, `cost.false_positive` to
/// tell one that is not there.
fn costs_of_labels(given: &toml::Table, labels: &[String]) -> Result<Costs> {
    let of_label = |key: &str| labels.iter().position(|label| label == key);
    // A label may have the name of an error, and is meant then.
    let of_error = |key: &str| given.get(key).filter(|_| of_label(key).is_none()).map_or(1.0, number);
    let mut missed = vec![of_error("false_negative"); labels.len()];
    let alarm = of_error("false_positive");
    for (key, cost) in given {
        match of_label(key) {
            Some(label) => missed[label] = number(cost),
            None if ["false_negative", "false_positive"].contains(&&key[..]) => {}
            None => return Err(unknown(key, "label", labels, true)),
        }
    }
    if alarm == 0.0 && missed.iter().all(|&cost| cost == 0.0) {
        return Err(TrainError::setting("cost", NOTHING_COSTS));
    }
    Ok(Costs { missed, false_alarm: Some(alarm), positive: 0, threshold: None })
}

/// Weights of all rows by row.
type Weights = (Option<Arc<[f64]>>, Option<Arc<[f32]>>);

/// The weight of each row as it is given, and as it counts in the loss.
pub(super) fn row_weights(data: &Dataset, split: &Split, settings: &Settings) -> Result<Weights> {
    let measured = matches!(data.task(), Task::Classification { .. } | Task::MultiLabel { .. } | Task::Regression);
    for (setting, given) in [("weight", data.weights().is_some()), ("by", data.subgroups().is_some())] {
        if given && !measured {
            let problem = "is for classes, labels and numbers, and this is another task; leave it away";
            return Err(TrainError::setting(setting, problem));
        }
    }
    let Some(weights) = data.weights() else { return Ok((None, None)) };
    let fail = |problem: &str| Err(TrainError::setting("weight", problem));
    let sum = |rows: &[u32]| rows.iter().map(|&row| weights[row as usize]).sum::<f64>();
    for (part, rows) in [("training", &split.train), ("validation", &split.validation), ("test", &split.test)] {
        if sum(rows) == 0.0 && !rows.is_empty() {
            let column = settings.weight.as_deref().unwrap_or_default();
            let told = format!(
                "is 0 in all {part} rows, so that none counts; give more rows of '{column}' a weight, or another seed"
            );
            return fail(&told);
        }
    }
    let mean = sum(&split.train) / split.train.len() as f64;
    Ok((Some(weights.into()), Some(weights.iter().map(|&weight| (weight / mean) as f32).collect())))
}

/// A class or label that is rare.
pub(crate) struct Rare {
    /// Its number.
    pub(crate) class: u32,
    /// Training rows that have it.
    pub(crate) rows: usize,
    /// Training rows of the most frequent one.
    pub(crate) most: usize,
    /// What is so, in words.
    pub(crate) what: String,
    /// What was done, and what could be.
    pub(crate) done: String,
}

/// What to know about classes that are very unequal.
pub(crate) fn rare_classes(data: &Dataset, train: &[u32], weighted: bool) -> Option<Rare> {
    rare(data.task(), &class_counts(data, train), train.len(), weighted)
}

fn rare(task: &Task, counts: &[usize], rows: usize, weighted: bool) -> Option<Rare> {
    let classes = task.classes();
    let rarest = (0..counts.len()).filter(|&class| counts[class] > 0).min_by_key(|&class| counts[class])?;
    let done = if weighted {
        "rows of rare classes count more in the loss, since class_weights=true"
    } else {
        "all rows count alike; with class_weights=true those of rare classes count more"
    };
    let most = (0..counts.len()).max_by_key(|&class| counts[class])?;
    let (few, many) = (counts[rarest], counts[most]);
    let found = |what: String| Rare { class: rarest as u32, rows: few, most: many, what, done: done.to_string() };
    match task {
        Task::MultiLabel { .. } => {
            let rare = counts.iter().filter(|&&n| n * RARE < rows).count();
            let are = if rare == 1 { "1 label is".to_string() } else { format!("{rare} labels are") };
            let name = &classes[rarest];
            (rare > 0).then(|| found(format!("{are} rare, '{name}' in {few} of {rows} training rows")))
        }
        _ => {
            let (rare, frequent) = (&classes[rarest], &classes[most]);
            (many >= UNEQUAL * few).then(|| {
                found(format!("classes are unequal: {few} training rows are '{rare}' and {many} '{frequent}'"))
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| name.to_string()).collect()
    }

    #[test]
    fn the_rarer_of_two_classes_is_positive_unless_one_is_named() {
        let task = Task::Classification { classes: classes(&["ill", "well"]) };
        let chosen = |named: Option<&str>, counts: [usize; 2]| {
            let mut settings = Settings { positive: named.map(str::to_string), ..Settings::new("x") };
            choose_positive(&mut settings, &task, &counts, &mut Vec::new()).map(|()| settings.positive.unwrap())
        };
        assert_eq!(chosen(None, [3, 9]).unwrap(), "ill");
        assert_eq!(chosen(None, [9, 3]).unwrap(), "well");
        assert_eq!(chosen(None, [5, 5]).unwrap(), "well");
        assert_eq!(chosen(Some("well"), [3, 9]).unwrap(), "well");
        assert!(chosen(Some("sick"), [3, 9]).unwrap_err().to_string().contains("ill and well"));
    }

    #[test]
    fn unequal_classes_and_rare_labels_are_noted() {
        let two = Task::Classification { classes: classes(&["ill", "well"]) };
        assert!(rare(&two, &[30, 70], 100, false).is_none());
        let told = rare(&two, &[5, 95], 100, false).unwrap();
        assert!(told.what.contains("5 training rows are 'ill'") && told.done.contains("with class_weights=true"));
        assert_eq!((told.class, told.rows, told.most), (0, 5, 95));
        let labels = Task::MultiLabel { classes: classes(&["a", "b"]) };
        assert!(rare(&labels, &[30, 70], 100, false).is_none());
        let told = rare(&labels, &[3, 70], 100, true).unwrap();
        assert!(told.what.contains("'a' in 3 of 100") && told.done.contains("count more"));
        assert!(rare(&Task::Regression, &[], 100, false).is_none());
    }

    #[test]
    fn positive_weights_are_the_odds_against_a_label() {
        let labels = Task::MultiLabel { classes: classes(&["a", "b", "c"]) };
        assert_eq!(weights(&labels, &[25, 0, 100], 100), [3.0, 1.0, 0.01]);
        let two = Task::Classification { classes: classes(&["a", "b"]) };
        assert_eq!(weights(&two, &[25, 75], 100), [2.0, 2.0 / 3.0]);
    }

    #[test]
    fn errors_about_labels_cost_what_the_settings_say() {
        let labels = Task::MultiLabel { classes: classes(&["a", "b"]) };
        let costs_by = |text: &str| {
            let mut settings = Settings { cost: Some(toml::from_str(text).unwrap()), ..Settings::default() };
            costs(&mut settings, &labels, &mut Vec::new())
        };
        let found = costs_by("b = 5\nfalse_positive = 2.5").unwrap().unwrap();
        assert_eq!((found.missed, found.false_alarm), (vec![1.0, 5.0], Some(2.5)));
        let found = costs_by("false_negative = 3\na = 0").unwrap().unwrap();
        assert_eq!((found.missed, found.false_alarm), (vec![0.0, 3.0], Some(1.0)));
        let told = costs_by("aa = 2").unwrap_err().to_string();
        assert!(
            told.contains("cost.aa") && told.contains("no label 'aa'") && told.contains("false_negative"),
            "{told}"
        );
        assert!(
            costs_by("false_negative = 0\nfalse_positive = 0").unwrap_err().to_string().contains("all errors cost 0")
        );
    }
}
