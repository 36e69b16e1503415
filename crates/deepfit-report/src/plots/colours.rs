//! Which classes are drawn in colours of their own: the same ones, in the same colours, in every plot of a run, and in those of
//! other runs with the same classes.

use std::collections::BTreeMap;

use deepfit_data::Task;
use deepfit_train::{Predictions, RunRecord};

use super::ranking::{areas, rank};

/// Most classes that are drawn in colours of their own.
pub(super) const MOST: usize = 6;

/// Names of classes with the look of each.
pub type Coloured = BTreeMap<String, usize>;

/// The classes of a run that have colours of their own: all, or of many those that are told apart worst, as far as that is
/// known.
pub fn coloured(run: &RunRecord) -> Coloured {
    let classes = run.task.as_ref().map(Task::classes).unwrap_or_default();
    match (&run.task, &run.predictions) {
        (Some(task), Some(predictions)) => of_classes(classes, Some((task, predictions))),
        _ => of_classes(classes, None),
    }
}

/// As [`coloured`], of what is predicted.
pub(super) fn of_classes(classes: &[String], predicted: Option<(&Task, &Predictions)>) -> Coloured {
    let mut drawn: Vec<usize> = (0..classes.len()).collect();
    if classes.len() > MOST {
        if let Some((task, predictions)) = predicted.filter(|(_, predictions)| !predictions.ids.is_empty()) {
            let mut found = areas(task, predictions, &drawn);
            rank(&mut found);
            let worst: Vec<usize> = found.into_iter().map(|(class, _)| class).collect();
            // Classes that do not occur come last.
            drawn.sort_by_key(|class| worst.iter().position(|known| known == class).unwrap_or(usize::MAX));
        }
        drawn.truncate(MOST);
        drawn.sort_unstable();
    }
    drawn.into_iter().enumerate().map(|(look, class)| (classes[class].clone(), look)).collect()
}
