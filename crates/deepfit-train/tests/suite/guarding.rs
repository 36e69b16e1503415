//! What a run refuses: changed data, a second process, damaged models, more memory than there is.

use std::fs;

use deepfit_train::{Event, Flow, InspectOptions, Observer, Outcome, Predictor, TrainError, inspect, prepare, resume};

use crate::runs::{Folder, StopAfter, example, message, rows_of, settings, stripes, train};

#[test]
fn a_run_is_not_resumed_on_other_data() {
    let folder = Folder::new();
    let data = folder.write("table.csv", rows_of("breast-cancer.csv", 0..120));
    let run = folder.path("run");
    let outcome =
        prepare(settings(&data, &[("epochs", "3")]), Some(run.clone())).unwrap().run(&mut StopAfter { left: 9 });
    assert!(matches!(outcome, Ok(Outcome::Interrupted { .. })));
    let text = fs::read_to_string(&data).unwrap();
    fs::write(&data, text.replacen('1', "2", 1)).unwrap();
    let told = message(resume(&run));
    assert!(told.contains("table.csv") && told.contains("changed"), "{told}");
    fs::write(&data, text).unwrap();
    assert!(resume(&run).is_ok());
}

#[test]
fn a_run_in_work_is_not_continued_by_another() {
    struct Second<'a> {
        run: &'a std::path::Path,
        told: Option<String>,
    }
    impl Observer for Second<'_> {
        fn event(&mut self, event: &Event<'_>) -> Flow {
            if matches!(event, Event::Epoch { .. }) && self.told.is_none() {
                let mut nobody = deepfit_train::Silent;
                self.told = Some(message(resume(self.run).and_then(|job| job.run(&mut nobody))));
            }
            Flow::Continue
        }
    }
    let folder = Folder::new();
    let run = folder.path("run");
    let job = prepare(settings(&example("diabetes.csv"), &[("epochs", "2")]), Some(run.clone())).unwrap();
    let mut second = Second { run: &run, told: None };
    job.run(&mut second).unwrap();
    let told = second.told.expect("an epoch has ended");
    assert!(told.contains("another process"), "{told}");
}

#[test]
fn one_change_of_images_leaves_the_others_as_they_are() {
    let folder = Folder::new();
    let data = stripes(&folder, 30);
    let lines = |pairs: &[(&str, &str)]| {
        let job = prepare(settings(&data, pairs), Some(folder.path("run"))).unwrap();
        let text = job.description().settings_toml.clone();
        let augment = text.split_once("[augment]").expect("images are augmented").1.to_string();
        augment.lines().map(str::to_string).collect::<Vec<_>>()
    };
    let (default, changed) = (lines(&[]), lines(&[("augment.mixup", "0.25")]));
    let differing: Vec<_> = default.iter().zip(&changed).filter(|(a, b)| a != b).collect();
    assert_eq!(differing.len(), 1, "{differing:?}");
    assert_eq!(differing[0].1, "mixup = 0.25");
}

#[test]
fn predictions_that_diverge_name_operation_and_layer() {
    let folder = Folder::new();
    let data = stripes(&folder, 30);
    let pairs = [("lr", "1e12"), ("optimizer", "sgd"), ("epochs", "3"), ("average", "0"), ("batch", "1000")];
    let result = prepare(settings(&data, &pairs), Some(folder.path("run"))).unwrap().run(&mut deepfit_train::Silent);
    match result {
        Err(TrainError::NonFinite { what, .. }) => {
            assert!(what.contains("layer") || what.contains("parameter"), "{what}")
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_model_whose_parts_do_not_fit_is_damaged() {
    let folder = Folder::new();
    let run = folder.path("run");
    train(settings(&example("breast-cancer.csv"), &[("epochs", "1")]), &run);
    let config = run.join("model/config.json");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replacen("\"malignant\"", "\"malignant\", \"third\"", 1)).unwrap();
    for told in [message(Predictor::open(&run, 1).map(|_| ())), message(inspect(&run, &InspectOptions::default()))] {
        assert!(told.contains("config.json") && told.contains("damaged"), "{told}");
    }
    fs::write(&config, text).unwrap();
    let weights = run.join("model/model.safetensors");
    let bytes = fs::read(&weights).unwrap();
    fs::write(&weights, &bytes[..bytes.len() - 10]).unwrap();
    let told = message(inspect(&run, &InspectOptions::default()));
    assert!(told.contains("model.safetensors"), "{told}");
}

#[test]
fn a_network_larger_than_the_memory_is_refused_before_it_is_made() {
    let folder = Folder::new();
    let wide = settings(&example("breast-cancer.csv"), &[("hidden", "[65536, 65536, 65536]")]);
    let told = message(prepare(wide, Some(folder.path("run"))).map(|_| ()));
    assert!(told.contains("MB of memory") && told.contains("smaller"), "{told}");
    assert!(!folder.path("run").exists());
}

#[test]
fn ten_rows_are_enough() {
    let folder = Folder::new();
    let data = folder.write("ten.csv", rows_of("diabetes.csv", 0..10));
    let report = train(settings(&data, &[("epochs", "2")]), &folder.path("run"));
    assert!(report.metrics.test.get("rmse").is_some());
}

#[test]
fn a_run_folder_is_not_data() {
    let folder = Folder::new();
    let run = folder.path("run");
    train(settings(&example("diabetes.csv"), &[("epochs", "1")]), &run);
    let told = message(prepare(settings(&run, &[]), Some(folder.path("other"))).map(|_| ()));
    assert!(told.contains("--resume"), "{told}");
}
