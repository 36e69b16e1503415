//! Classes or labels that are rare. This is a fact of the data and no inference: what counts is from when on it matters.

use super::{Evidence, Finding, FindingKind, Severity, Subject};
use crate::recipe::rare_classes;

/// With fewer test rows than this of a class, one row more or less is a tenth of what is measured of it.
const FEW: usize = 10;

pub(super) fn find(subject: &Subject<'_>) -> Option<Finding> {
    let (data, split) = (subject.data, subject.split);
    let rare = rare_classes(data, &split.train, subject.settings.class_weights)?;
    let has = |row: &&u32| data.class_of(**row) == Some(rare.class) || data.labels_of(**row).contains(&rare.class);
    let tested = split.test.iter().filter(has).count();
    let name = &data.task().classes()[rare.class as usize];
    let mut what = rare.what;
    if tested < FEW {
        what.push_str(&format!("; the test has {tested} of '{name}', so that its figures tell little of them"));
    }
    let figures = [("rarest", rare.rows as f64), ("most", rare.most as f64), ("rarest_in_test", tested as f64)];
    Some(Finding {
        kind: FindingKind::Imbalance,
        severity: if tested < FEW { Severity::Warning } else { Severity::Note },
        what,
        advice: rare.done,
        evidence: Evidence::figures(figures),
    })
}
