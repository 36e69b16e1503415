//! A saved model predicts what it predicted in training, in the units of the data.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use deepfit_train::{Prediction, PredictionValue, Predictor};

use crate::runs::{Folder, example, message, rows_of, settings, stripes, train};

/// A model of an example table and the table that its report's test metrics are of.
fn trained(folder: &Folder, name: &str) -> (PathBuf, PathBuf, deepfit_train::Report) {
    let data = folder.write("train.csv", rows_of(name, 0..300));
    let test = folder.write("test.csv", rows_of(name, 300..430));
    let run = folder.path("run");
    let mut settings = settings(&data, &[("epochs", "8"), ("folds", "1"), ("seed", "4")]);
    settings.test = Some(test.clone());
    let report = train(settings, &run);
    (run, test, report)
}

fn predict(run: &Path, inputs: &[PathBuf]) -> Vec<Prediction> {
    let mut all = Vec::new();
    let mut predictor = Predictor::open(run, 2).unwrap();
    let failed = predictor.predict_paths(inputs, &mut |prediction| {
        all.push(prediction);
        Ok(())
    });
    assert_eq!(failed.unwrap(), []);
    all
}

/// The values of a column of a table.
fn column(table: &Path, name: &str) -> Vec<String> {
    let text = fs::read_to_string(table).unwrap();
    let position = text.lines().next().unwrap().split(',').position(|n| n == name).unwrap();
    text.lines().skip(1).map(|line| line.split(',').nth(position).unwrap().to_string()).collect()
}

#[test]
fn evaluation_agrees_with_the_report_on_the_same_rows() {
    for name in ["breast-cancer.csv", "diabetes.csv"] {
        let folder = Folder::new();
        let (run, test, report) = trained(&folder, name);
        for path in [run.clone(), run.join("model")] {
            let evaluation = Predictor::open(&path, 1).unwrap().evaluate(&test).unwrap();
            assert_eq!(evaluation.rows, 130);
            assert!(!evaluation.metrics.is_empty());
            assert_eq!(evaluation.metrics.len(), report.metrics.test.len());
            for (metric, value) in evaluation.metrics.iter() {
                let told = report.metrics.test.get(metric).unwrap();
                assert!((told - value).abs() < 1e-5 * value.abs().max(1.0), "{metric}: {value}, told {told}");
                if let Some([low, high]) = evaluation.intervals.get(metric) {
                    assert!(low <= value && value <= high, "{metric}: {value} outside of {low}..{high}");
                }
            }
            assert_eq!((evaluation.confusion, evaluation.classes), (report.confusion.clone(), report.classes.clone()));
        }
    }
}

#[test]
fn values_of_a_regression_are_in_the_units_of_the_target() {
    let folder = Folder::new();
    let (run, test, report) = trained(&folder, "diabetes.csv");
    let targets: Vec<f64> = column(&test, "progression").iter().map(|t| t.parse().unwrap()).collect();
    let predictions = predict(&run, &[test]);
    assert_eq!(predictions.len(), targets.len());
    let mut squares = 0.0;
    for (prediction, target) in predictions.iter().zip(&targets) {
        let PredictionValue::Value(value) = prediction.prediction else { panic!("{prediction:?}") };
        assert_eq!((prediction.value, &prediction.probabilities), (Some(value), &None));
        assert!((-200.0..600.0).contains(&value), "{value} is not in the units of the target");
        squares += (value - target) * (value - target);
    }
    let rmse = (squares / targets.len() as f64).sqrt();
    let told = report.metrics.test.get("rmse").unwrap();
    assert!((rmse - told).abs() < 1e-5 * told, "{rmse}, told {told}");
    let mean = targets.iter().sum::<f64>() / targets.len() as f64;
    let deviation = (targets.iter().map(|t| (t - mean) * (t - mean)).sum::<f64>() / targets.len() as f64).sqrt();
    assert!(rmse < deviation, "no better than the mean: {rmse}, {deviation}");
}

#[test]
fn classes_and_probabilities_of_a_classification_belong_together() {
    let folder = Folder::new();
    let (run, test, report) = trained(&folder, "breast-cancer.csv");
    let truths = column(&test, "diagnosis");
    let predictions = predict(&run, &[test]);
    let mut right = 0;
    for (prediction, truth) in predictions.iter().zip(&truths) {
        let probabilities: BTreeMap<String, f64> = prediction.probabilities.clone().unwrap().into_iter().collect();
        assert!(probabilities.keys().eq(["benign", "malignant"]));
        assert!((probabilities.values().sum::<f64>() - 1.0).abs() < 1e-5);
        let PredictionValue::Class(class) = &prediction.prediction else { panic!("{prediction:?}") };
        assert!(probabilities.values().all(|p| *p <= probabilities[class]), "{prediction:?}");
        right += usize::from(class == truth);
    }
    let accuracy = right as f64 / truths.len() as f64;
    assert!((accuracy - report.metrics.test.get("accuracy").unwrap()).abs() < 1e-9);
    assert!(accuracy > 0.85, "{accuracy}");
    let json = serde_json::to_value(&predictions[0]).unwrap();
    assert!(json["prediction"].is_string() && json["probabilities"]["benign"].is_number(), "{json}");
    assert!(json.get("value").is_none());
}

#[test]
fn the_order_of_columns_and_the_target_do_not_matter() {
    for name in ["breast-cancer.csv", "diabetes.csv"] {
        let folder = Folder::new();
        let (run, test, _) = trained(&folder, name);
        let expected = predict(&run, std::slice::from_ref(&test));
        let text = fs::read_to_string(&test).unwrap();
        // The target, which is last, is left out; all other columns stand backwards.
        let backwards = |line: &str| line.split(',').rev().skip(1).collect::<Vec<_>>().join(",") + "\n";
        let turned: String = text.lines().map(backwards).collect();
        let mut all = Vec::new();
        let mut predictor = Predictor::open(&run, 1).unwrap();
        let failed = predictor.predict_reader(turned.as_bytes(), "standard input", &mut |p| {
            all.push(p);
            Ok(())
        });
        assert_eq!(failed.unwrap(), []);
        assert_eq!(all.len(), expected.len());
        for (a, b) in all.iter().zip(&expected) {
            assert_eq!((&a.prediction, &a.probabilities, a.value), (&b.prediction, &b.probabilities, b.value));
        }
    }
}

#[test]
fn images_are_predicted_in_the_order_given_and_failures_are_told() {
    let folder = Folder::new();
    let data = stripes(&folder, 30);
    let run = folder.path("run");
    let report = train(settings(&data, &[("epochs", "6"), ("batch", "8"), ("refit", "true")]), &run);
    assert_eq!(report.classes, ["across", "down"]);
    let broken = folder.write("broken.bmp", "no image");
    let inputs = [data.join("down/003.bmp"), broken.clone(), data.join("across/007.bmp"), data.join("down/010.bmp")];
    let mut told = Vec::new();
    let failed = Predictor::open(&run, 2).unwrap().predict_paths(&inputs, &mut |p| {
        told.push((p.input, p.prediction));
        Ok(())
    });
    let failed = failed.unwrap();
    assert_eq!(failed.len(), 1);
    assert!(failed[0].0.contains("broken.bmp"), "{failed:?}");
    let expected = [("down/003.bmp", "down"), ("across/007.bmp", "across"), ("down/010.bmp", "down")];
    assert_eq!(told.len(), expected.len());
    for ((input, prediction), (path, class)) in told.iter().zip(expected) {
        assert!(input.ends_with(path), "{input}");
        assert_eq!(*prediction, PredictionValue::Class(class.to_string()), "{input}");
    }
}

#[test]
fn an_image_alone_in_its_batch_that_cannot_be_decoded_is_told() {
    let folder = Folder::new();
    let data = stripes(&folder, 32);
    let run = folder.path("run");
    train(settings(&data, &[("epochs", "1"), ("batch", "16")]), &run);
    // 64 rows fill the one batch before it; its header is whole.
    let whole = fs::read(data.join("down/003.bmp")).unwrap();
    let torn = folder.write("images/down/torn.bmp", &whole[..whole.len() - 20]);
    let mut predictor = Predictor::open(&run, 1).unwrap();
    let evaluation = predictor.evaluate(&data).unwrap();
    let names: Vec<&str> = evaluation.skipped.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!((evaluation.rows, names), (64, vec![torn.to_str().unwrap()]));
    let mut count = 0;
    let failed = predictor.predict_paths(&[data], &mut |_| {
        count += 1;
        Ok(())
    });
    let failed = failed.unwrap();
    assert_eq!((count, failed.len(), failed[0].0.as_str()), (64, 1, torn.to_str().unwrap()));
}

#[test]
fn what_is_no_model_is_refused() {
    let folder = Folder::new();
    assert!(message(Predictor::open(&folder.path("absent"), 1)).contains("does not exist"));
    assert!(message(Predictor::open(&folder.path(""), 1)).contains("neither a run folder"));
    let (run, ..) = trained(&folder, "diabetes.csv");
    let model = run.join("model/model.safetensors");
    let whole = fs::read(&model).unwrap();
    for position in [whole.len() - 1, whole.len() / 2, 9, 200] {
        let mut damaged = whole.clone();
        damaged[position] ^= 2;
        fs::write(&model, damaged).unwrap();
        let told = message(Predictor::open(&run, 1));
        assert!(told.contains("model.safetensors") && told.contains("damaged"), "{told}");
    }
    fs::write(&model, whole).unwrap();
    let mut predictor = Predictor::open(&run, 1).unwrap();
    let told = message(predictor.evaluate(&example("breast-cancer.csv")));
    assert!(told.contains("column"), "{told}");
}

#[test]
fn a_model_with_weights_that_are_no_numbers_predicts_nothing() {
    let folder = Folder::new();
    let (run, test, _) = trained(&folder, "diabetes.csv");
    let file = run.join("model/model.safetensors");
    let bytes = fs::read(&file).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let damaged = |name: &str, value: f32| {
        let mut changed: BTreeMap<String, (Vec<usize>, Vec<u8>)> =
            tensors.iter().map(|(n, t)| (n.to_string(), (t.shape().to_vec(), t.data().to_vec()))).collect();
        let (_, data) = changed.get_mut(name).unwrap();
        data.chunks_exact_mut(4).for_each(|place| place.copy_from_slice(&value.to_le_bytes()));
        let views = changed.iter().map(|(name, (shape, data))| {
            (name, safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), data).unwrap())
        });
        safetensors::serialize_to_file(views, None, &file).unwrap();
        Predictor::open(&run, 1)
    };
    for value in [f32::NAN, f32::INFINITY] {
        let told = message(damaged("output.bias", value));
        assert!(told.contains("`output.bias` holds") && told.contains("position 0 of 8"), "{told}");
    }
    // Finite, but too large for what follows.
    let mut predictor = damaged("output.weight", f32::MAX).unwrap();
    let told = message(predictor.predict_paths(&[test], &mut |_| Ok(())));
    assert!(told.contains("not finite"), "{told}");
}
