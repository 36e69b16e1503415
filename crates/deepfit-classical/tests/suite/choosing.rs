//! What learners choose by themselves, on any number of threads.

use std::sync::atomic::{AtomicUsize, Ordering};

use deepfit_classical::{ClassicalError, Fitted, Learner, Matrix, Target, Work, fit};

use crate::made::{classes, learners, table, values};

fn accuracy(fitted: &Fitted, rows: &Matrix, target: &Target) -> f64 {
    let Target::Classes { classes, of } = target else { panic!("classes are wanted") };
    let predictions = fitted.predict(rows, 1).unwrap();
    let best = |p: &[f32]| (0..*classes).max_by(|&a, &b| p[a].total_cmp(&p[b])).unwrap() as u32;
    let right = predictions.chunks(*classes).zip(of).filter(|(p, of)| best(p) == **of).count();
    right as f64 / of.len() as f64
}

#[test]
fn all_learn_what_can_be_learned() {
    for count in [2, 3] {
        let (rows, target) = (table(400, 5, false), classes(400, 5, count));
        let (others, truth) = (table(400, 6, false), classes(400, 6, count));
        for learner in learners() {
            let fitted = fit(learner, &rows, &target, Work::unlimited(2, 1)).unwrap();
            let reached = accuracy(&fitted, &others, &truth);
            let sums: Vec<f32> = fitted.predict(&others, 1).unwrap().chunks(count).map(|p| p.iter().sum()).collect();
            assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-5), "probabilities add up to 1");
            match learner {
                Learner::Constant => assert!(reached < 0.8, "{reached}"),
                _ => assert!(reached > 0.85, "{learner:?} of {count} classes reaches {reached}"),
            }
        }
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    for target in [classes(300, 7, 3), values(300, 7)] {
        for learner in learners() {
            let rows = table(300, 7, matches!(learner, Learner::Trees(_)));
            let of = |threads| fit(learner, &rows, &target, Work::unlimited(threads, 3)).unwrap().to_bytes();
            assert!(of(1) == of(2) && of(1) == of(7), "{learner:?}");
        }
    }
}

#[test]
fn trees_of_another_seed_are_others() {
    let (rows, target) = (table(300, 7, true), values(300, 7));
    let of = |seed| fit(Learner::Trees(Default::default()), &rows, &target, Work::unlimited(1, seed)).unwrap();
    assert_ne!(of(1), of(2));
}

#[test]
fn whoever_is_told_to_stop_stops() {
    let (rows, target) = (table(600, 8, false), classes(600, 8, 3));
    for learner in learners() {
        let asked = AtomicUsize::new(0);
        let stop = || asked.fetch_add(1, Ordering::Relaxed) > 3;
        let work = Work { threads: 2, seed: 1, stop: &stop };
        match learner {
            Learner::Constant => assert!(fit(learner, &rows, &target, work).is_ok()),
            _ => assert_eq!(fit(learner, &rows, &target, work).unwrap_err(), ClassicalError::Stopped, "{learner:?}"),
        }
    }
}

#[test]
fn importances_point_to_the_columns_that_count() {
    let (rows, target) = (table(400, 9, false), classes(400, 9, 2));
    for learner in [Learner::Linear(Default::default()), Learner::Trees(Default::default())] {
        let weights = fit(learner, &rows, &target, Work::unlimited(2, 1)).unwrap().importances().unwrap();
        assert!(weights[0] > weights[2] && weights[2] > 2.0 * weights[1].max(weights[3]), "{learner:?}: {weights:?}");
    }
    let neighbours = fit(Learner::Neighbours(Default::default()), &rows, &target, Work::unlimited(2, 1)).unwrap();
    assert_eq!(neighbours.importances(), None);
}
