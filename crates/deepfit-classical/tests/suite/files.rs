//! Models as bytes.

use deepfit_classical::{ClassicalError, Fitted, Learner, LinearOptions, Matrix, Target, Work, fit, fit_labels};

use crate::made::{classes, learners, table, values};

fn all() -> Vec<(Fitted, Matrix)> {
    let mut made = Vec::new();
    for target in [classes(80, 3, 2), classes(80, 3, 3), values(80, 3)] {
        for learner in learners() {
            let rows = table(80, 3, matches!(learner, Learner::Trees(_)));
            made.push((fit(learner, &rows, &target, Work::unlimited(2, 1)).unwrap(), rows));
        }
    }
    for learner in [Learner::Constant, learners()[1], Learner::Trees(deepfit_classical::TreesOptions::default())] {
        let rows = table(80, 3, matches!(learner, Learner::Trees(_)));
        made.push((fit_labels(learner, &rows, &labels(80), Work::unlimited(2, 1)).unwrap(), rows));
    }
    let mut sparse = Matrix::sparse(6);
    (0..40_u32).for_each(|i| sparse.push([(i % 3, 1.0), (3 + i % 3, 0.5)]));
    let target = Target::Classes { classes: 3, of: (0..40).map(|i| i % 3).collect() };
    for learner in &learners()[..3] {
        made.push((fit(*learner, &sparse, &target, Work::unlimited(1, 1)).unwrap(), sparse.clone()));
    }
    made
}

/// Three labels of rows: two that follow what the rows hold, and one that none has.
fn labels(rows: usize) -> Vec<Vec<bool>> {
    let of = |seed: u64| match classes(rows, seed, 2) {
        Target::Classes { of, .. } => of.into_iter().map(|class| class == 1).collect(),
        Target::Values(_) => Vec::new(),
    };
    vec![of(3), of(4), vec![false; rows]]
}

#[test]
fn labels_are_learned_each_by_itself() {
    let (rows, labels) = (table(80, 3, false), labels(80));
    let linear = Learner::Linear(LinearOptions { penalty: Some(1.0), ..LinearOptions::default() });
    let together = fit_labels(linear, &rows, &labels, Work::unlimited(2, 1)).unwrap();
    assert_eq!(together.outputs(), 3);
    let predicted = together.predict(&rows, 1).unwrap();
    for (label, has) in labels.iter().enumerate() {
        let target = Target::Classes { classes: 2, of: has.iter().map(|&has| u32::from(has)).collect() };
        let learner = if label == 2 { Learner::Constant } else { linear };
        let alone = fit(learner, &rows, &target, Work::unlimited(2, 1)).unwrap().predict(&rows, 1).unwrap();
        let own: Vec<f32> = predicted.iter().skip(label).step_by(3).copied().collect();
        assert_eq!(own, alone.chunks(2).map(|two| two[1]).collect::<Vec<f32>>());
    }
    assert!(predicted.iter().skip(2).step_by(3).all(|&p| p < 0.05), "what no row has is improbable");
    let importances = together.importances().unwrap();
    assert!(importances.len() == 4 && importances[0] > importances[1], "{importances:?}");
    assert_eq!(together.describe(), "penalty 1, for each label");
    assert!(fit_labels(linear, &rows, &[], Work::unlimited(2, 1)).is_err());
}

#[test]
fn what_was_written_predicts_the_same_bits_when_it_is_read() {
    for (fitted, rows) in all() {
        let read = Fitted::from_bytes(&fitted.to_bytes()).unwrap();
        let bits =
            |fitted: &Fitted| fitted.predict(&rows, 1).unwrap().into_iter().map(f32::to_bits).collect::<Vec<_>>();
        assert_eq!(bits(&read), bits(&fitted), "{}", fitted.describe());
        assert_eq!(read.to_bytes(), fitted.to_bytes());
    }
}

#[test]
fn damaged_bytes_are_told_and_never_used() {
    for (fitted, _) in all() {
        let bytes = fitted.to_bytes();
        for length in [0, 7, 8, 12, 20, bytes.len() / 2, bytes.len() - 1] {
            assert!(matches!(Fitted::from_bytes(&bytes[..length]), Err(ClassicalError::Damaged(_))));
        }
        for at in (0..bytes.len()).step_by(bytes.len() / 97 + 1) {
            let mut changed = bytes.clone();
            changed[at] ^= 0x41;
            assert!(Fitted::from_bytes(&changed).is_err(), "byte {at}");
        }
        let mut newer = bytes.clone();
        newer[8] = 200;
        assert!(matches!(Fitted::from_bytes(&newer), Err(ClassicalError::NewerVersion { found: 200, .. })));
    }
}

#[test]
fn contents_that_contradict_themselves_are_told_even_with_a_right_checksum() {
    for (fitted, rows) in all() {
        let bytes = fitted.to_bytes();
        // Behind mark, version and length; the checksum is made again, as somebody who wants to do harm does.
        for at in (20..bytes.len() - 8).step_by(bytes.len() / 301 + 1) {
            for other in [0, 1, 0x7f, 0xff] {
                let mut changed = bytes.clone();
                changed[at] = other;
                let end = changed.len() - 8;
                let sum = xxhash_rust::xxh3::xxh3_64(&changed[..end]);
                changed[end..].copy_from_slice(&sum.to_le_bytes());
                // What is read may be another model, but one that can be used.
                if let Ok(read) = Fitted::from_bytes(&changed) {
                    let _ = read.predict(&rows, 1);
                }
            }
        }
    }
}

#[test]
fn rows_of_another_width_are_refused() {
    let fitted = fit(
        Learner::Linear(LinearOptions { penalty: Some(1.0), ..LinearOptions::default() }),
        &table(40, 1, false),
        &values(40, 1),
        Work::unlimited(1, 1),
    )
    .unwrap();
    let error = fitted.predict(&Matrix::dense(3, vec![0.0; 6]), 1).unwrap_err();
    assert!(error.to_string().contains("4 columns were learned, and these have 3"), "{error}");
}
