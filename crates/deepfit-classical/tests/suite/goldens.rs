//! What scikit-learn makes of the same rows: `scripts/make-classical.py`.

use deepfit_classical::{
    Fitted, Kind, Learner, LinearOptions, Matrix, NeighboursOptions, Target, TreesOptions, Work, fit,
};
use serde_json::Value;

struct Case(Value);

impl Case {
    fn new(name: &str) -> Case {
        let file: Value = serde_json::from_str(include_str!("../goldens/scikit-learn.json")).unwrap();
        Case(file[name].clone())
    }

    fn numbers(&self, key: &str) -> Vec<f64> {
        let list = self.0[key].as_array().unwrap();
        list.iter().map(|x| x.as_f64().unwrap_or(f64::NAN)).collect()
    }

    fn matrix(&self, key: &str) -> Matrix {
        let width = self.0["width"].as_u64().unwrap() as usize;
        let mut kinds = vec![Kind::Number; width];
        if let Some(categories) = self.0["categories"].as_u64() {
            kinds[width - 1] = Kind::Category(categories as u32);
        }
        Matrix::of_columns(kinds, self.numbers(key).into_iter().map(|x| x as f32).collect())
    }

    fn target(&self) -> Target {
        let target = self.numbers("target");
        match self.0["classes"].as_u64() {
            Some(classes) => {
                Target::Classes { classes: classes as usize, of: target.into_iter().map(|x| x as u32).collect() }
            }
            None => Target::Values(target),
        }
    }

    fn size(&self, key: &str) -> Option<usize> {
        self.0[key].as_u64().map(|n| n as usize)
    }

    fn learner(&self, name: &str) -> Learner {
        match name {
            "linear" => {
                Learner::Linear(LinearOptions { penalty: self.0["penalty"].as_f64(), ..LinearOptions::default() })
            }
            "neighbours" => Learner::Neighbours(NeighboursOptions { count: self.size("count") }),
            _ => Learner::Trees(TreesOptions {
                rounds: self.size("rounds"),
                leaves: self.size("leaves"),
                least_rows: self.size("least_rows"),
                columns: 1.0,
                ..TreesOptions::default()
            }),
        }
    }

    fn fit(&self, learner: &str) -> Fitted {
        fit(self.learner(learner), &self.matrix("train"), &self.target(), Work::unlimited(2, 1)).unwrap()
    }

    fn predictions(&self, fitted: &Fitted) -> Vec<f64> {
        fitted.predict(&self.matrix("test"), 2).unwrap().into_iter().map(f64::from).collect()
    }
}

/// Weights whose biases add up to 0 where there are several: what all of them share changes no probability.
fn centred(mut weights: Vec<f64>, outputs: usize) -> Vec<f64> {
    let start = weights.len() - outputs;
    let mean = weights[start..].iter().sum::<f64>() / outputs as f64;
    if outputs > 1 {
        weights[start..].iter_mut().for_each(|bias| *bias -= mean);
    }
    weights
}

fn farthest(found: &[f64], wanted: &[f64]) -> f64 {
    assert_eq!(found.len(), wanted.len());
    found.iter().zip(wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn linear_models_have_the_coefficients_and_predictions_of_scikit_learn() {
    for (name, tolerance) in [("ridge", 1e-5), ("logistic_two", 2e-5), ("logistic_three", 5e-5)] {
        let case = Case::new(name);
        let fitted = case.fit("linear");
        let weights: Vec<f64> = fitted.linear().unwrap().weights().iter().map(|&w| f64::from(w)).collect();
        let outputs = if name == "logistic_three" { 3 } else { 1 };
        let off = farthest(&centred(weights, outputs), &centred(case.numbers("weights"), outputs));
        assert!(off < tolerance, "{name}: a weight is off by {off}");
        let off = farthest(&case.predictions(&fitted), &case.numbers("predictions"));
        assert!(off < tolerance, "{name}: a prediction is off by {off}");
    }
}

#[test]
fn neighbours_say_what_those_of_scikit_learn_say() {
    let case = Case::new("neighbours_values");
    let off = farthest(&case.predictions(&case.fit("neighbours")), &case.numbers("predictions"));
    assert!(off < 1e-6, "a value is off by {off}");
    let case = Case::new("neighbours_classes");
    let predictions = case.predictions(&case.fit("neighbours"));
    let classes: Vec<f64> = predictions.chunks(2).map(|p| f64::from(u8::from(p[1] > p[0]))).collect();
    assert_eq!(classes, case.numbers("predictions"));
}

#[test]
fn trees_predict_what_those_of_scikit_learn_predict() {
    // Splits of classes have equal gains now and then, of which either may be taken.
    for (name, farthest_off, mean_off) in
        [("trees_values", 1e-4, 1e-5), ("trees_two", 0.1, 5e-3), ("trees_three", 0.1, 5e-3)]
    {
        let case = Case::new(name);
        let (found, wanted) = (case.predictions(&case.fit("trees")), case.numbers("predictions"));
        let off = farthest(&found, &wanted);
        let mean = found.iter().zip(&wanted).map(|(a, b)| (a - b).abs()).sum::<f64>() / wanted.len() as f64;
        assert!(off < farthest_off && mean < mean_off, "{name}: off by {off}, on average by {mean}");
    }
}

#[test]
fn trees_learn_categories_as_well_as_those_of_scikit_learn() {
    let case = Case::new("trees_categories");
    let (found, truth) = (case.predictions(&case.fit("trees")), case.numbers("truth"));
    let squares: f64 = found.iter().zip(&truth).map(|(a, b)| (a - b).powi(2)).sum();
    let rmse = (squares / truth.len() as f64).sqrt();
    let wanted = case.0["rmse"].as_f64().unwrap();
    assert!(rmse < wanted * 1.05, "the error is {rmse}, and {wanted} with scikit-learn");
}
