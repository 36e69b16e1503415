//! Rows that are few, constant or extreme.

use deepfit_classical::{ClassicalError, Kind, Learner, Matrix, Target, Work, fit};

use crate::made::{learners, table};

#[test]
fn few_rows_and_constant_columns_are_learned_as_well_as_they_can_be() {
    for rows in [1, 2, 3, 7] {
        for target in [
            Target::Classes { classes: 2, of: (0..rows as u32).map(|i| i % 2).collect() },
            Target::Classes { classes: 3, of: vec![1; rows] },
            Target::Values(vec![5.0; rows]),
        ] {
            let matrix = Matrix::dense(2, vec![3.0; rows * 2]);
            for learner in learners() {
                let fitted = fit(learner, &matrix, &target, Work::unlimited(2, 1)).unwrap();
                let predictions = fitted.predict(&matrix, 1).unwrap();
                assert!(predictions.iter().all(|p| p.is_finite()), "{learner:?}: {predictions:?}");
                if let Target::Values(_) = target {
                    assert!(predictions.iter().all(|p| (p - 5.0).abs() < 1e-4), "{learner:?}: {predictions:?}");
                }
            }
        }
    }
}

#[test]
fn a_single_class_is_predicted_with_certainty_enough() {
    let matrix = table(30, 1, false);
    let target = Target::Classes { classes: 1, of: vec![0; 30] };
    for learner in learners() {
        let fitted = fit(learner, &matrix, &target, Work::unlimited(1, 1)).unwrap();
        assert_eq!(fitted.predict(&matrix, 1).unwrap(), vec![1.0; 30], "{learner:?}");
    }
}

#[test]
fn enormous_numbers_do_not_spread() {
    let mut values: Vec<f32> = (0..120).map(|i| (i % 7) as f32).collect();
    (values[3], values[40]) = (f32::MAX, f32::MIN);
    let (matrix, target) = (Matrix::dense(2, values), Target::Values((0..60).map(f64::from).collect()));
    for learner in learners() {
        let fitted = fit(learner, &matrix, &target, Work::unlimited(2, 1)).unwrap();
        let far = Matrix::dense(2, vec![f32::MAX, f32::MIN]);
        assert!(fitted.predict(&far, 1).unwrap().iter().all(|p| p.is_finite()), "{learner:?}");
    }
}

#[test]
fn missing_numbers_and_unknown_categories_go_through_trees_alone() {
    let matrix = table(60, 2, true);
    let target = Target::Values((0..60).map(f64::from).collect());
    for learner in learners() {
        let outcome = fit(learner, &matrix, &target, Work::unlimited(1, 1));
        match learner {
            Learner::Constant | Learner::Trees(_) => {
                let odd = vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 77.0];
                let kinds = vec![Kind::Number, Kind::Number, Kind::Number, Kind::Category(5)];
                let predictions = outcome.unwrap().predict(&Matrix::of_columns(kinds, odd), 1).unwrap();
                assert!(predictions[0].is_finite());
            }
            _ => assert!(matches!(outcome, Err(ClassicalError::Rows(_))), "{learner:?}"),
        }
    }
}

#[test]
fn targets_that_do_not_fit_are_told() {
    let matrix = table(3, 1, false);
    for (target, told) in [
        (Target::Values(vec![1.0]), "3 rows and 1 targets"),
        (Target::Values(vec![1.0, f64::NAN, 2.0]), "not finite"),
        (Target::Classes { classes: 2, of: vec![0, 1, 2] }, "not among the 2"),
    ] {
        let error = fit(Learner::Constant, &matrix, &target, Work::unlimited(1, 1)).unwrap_err();
        assert!(error.to_string().contains(told), "{error}");
    }
    let none = Matrix::dense(2, Vec::new());
    assert!(fit(Learner::Constant, &none, &Target::Values(Vec::new()), Work::unlimited(1, 1)).is_err());
}
