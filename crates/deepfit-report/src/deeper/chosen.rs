//! Which rows are explained, and of a mistake about several labels which label.

use std::collections::HashSet;

use deepfit_data::{Opened, RowId, Task};
use deepfit_train::RunRecord;

use super::{MISTAKES, OTHERS};

/// Rows that are explained: the worst mistakes, and others from different classes or values, told rightly where there are
/// classes. Of a run that keeps no predictions, some of all test rows.
pub(super) fn chosen(run: &RunRecord, rows: Option<&(Opened, Vec<RowId>)>) -> Vec<RowId> {
    let Some(predictions) = &run.predictions else {
        let all = rows.map_or(&[][..], |(_, names)| &names[..]);
        return spread(all, MISTAKES + OTHERS).into_iter().cloned().collect();
    };
    let mut chosen: Vec<RowId> = predictions.worst.iter().map(|mistake| mistake.id.clone()).take(MISTAKES).collect();
    let mistaken: HashSet<&RowId> = predictions.worst.iter().map(|mistake| &mistake.id).collect();
    let is_right = |row: usize| {
        let (predicted, truths) = predictions.row(row);
        match &run.task {
            Some(Task::Classification { .. }) => {
                let best =
                    (1..predicted.len()).fold(0, |best, at| if predicted[at] > predicted[best] { at } else { best });
                truths.first().is_some_and(|truth| *truth as usize == best)
            }
            Some(Task::MultiLabel { .. }) => predicted.iter().zip(truths).all(|(p, t)| (*p >= 0.5) == (*t >= 0.5)),
            _ => true,
        }
    };
    let others = (0..predictions.ids.len()).filter(|&row| !mistaken.contains(&predictions.ids[row]) && is_right(row));
    let mut others: Vec<usize> = others.collect();
    // By what is true of them, so that they are of different classes or values.
    others.sort_by(|&a, &b| {
        let truth = |row: usize| predictions.row(row).1.first().copied().unwrap_or(0.0);
        truth(a).total_cmp(&truth(b))
    });
    chosen.extend(spread(&others, OTHERS).into_iter().map(|&row| predictions.ids[row].clone()));
    chosen
}

/// So many of some things, from different places among them.
fn spread<T>(all: &[T], wanted: usize) -> Vec<&T> {
    let count = wanted.min(all.len());
    (0..count).filter_map(|i| all.get((2 * i + 1) * all.len() / (2 * count))).collect()
}

/// Of a mistake about several labels, the one that is most wrong, and whether the row has it.
pub(super) fn wrong_label(run: &RunRecord, id: &RowId) -> Option<(String, bool)> {
    let Some(Task::MultiLabel { .. }) = &run.task else { return None };
    let mistake = run.predictions.as_ref()?.worst.iter().find(|mistake| mistake.id == *id)?;
    most_wrong(run.task.as_ref()?.classes(), &mistake.predicted, &mistake.truths)
}

/// The label whose probability is farthest from what is true, if it is on the wrong side.
fn most_wrong(labels: &[String], predicted: &[f32], truths: &[f32]) -> Option<(String, bool)> {
    let all =
        labels.iter().zip(predicted).zip(truths).map(|((label, p), truth)| (label, (p - truth).abs(), *truth >= 0.5));
    let most = all.max_by(|a, b| a.1.total_cmp(&b.1))?;
    (most.1 >= 0.5).then(|| (most.0.clone(), most.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_labels_the_one_that_is_most_wrong_is_told() {
        let labels = ["a", "b", "c"].map(String::from);
        assert_eq!(most_wrong(&labels, &[0.99, 0.7, 0.1], &[1.0, 0.0, 0.0]), Some(("b".to_string(), false)));
        assert_eq!(most_wrong(&labels, &[0.99, 0.6, 0.1], &[1.0, 0.0, 1.0]), Some(("c".to_string(), true)));
        assert_eq!(most_wrong(&labels, &[0.99, 0.4, 0.1], &[1.0, 0.0, 0.0]), None);
    }
}
