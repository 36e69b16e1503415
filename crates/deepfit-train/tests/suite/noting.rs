//! Notes: which settings change nothing, and what a resumed run keeps of what earlier processes told.

use std::path::Path;

use deepfit_train::{Event, Flow, Observer, Outcome, Settings, Silent, prepare, resume};

use crate::runs::{Folder, StopAfter, example, finished, rows_of, settings, stripes, train};

/// The notes of a run before it starts.
fn noted(settings: Settings) -> Vec<String> {
    let folder = Folder::new();
    prepare(settings, Some(folder.path("run"))).unwrap().description().notes.clone()
}

#[track_caller]
fn has_no_effect(data: &Path, pairs: &[(&str, &str)], key: &str, why: &str) {
    let notes = noted(settings(data, pairs));
    let about: Vec<&String> = notes.iter().filter(|note| note.contains(&format!("`{key}` has no effect"))).collect();
    assert!(about.len() == 1 && about[0].contains(why), "{key}: {notes:?}");
}

#[test]
fn settings_that_change_nothing_are_noted_with_the_reason() {
    let folder = Folder::new();
    let (classes, values) = (example("breast-cancer.csv"), example("diabetes.csv"));
    let images = stripes(&folder, 12);
    for (data, key, value, why) in [
        (&values, "label_smoothing", "0.1", "classification"),
        (&values, "class_weights", "true", "classification"),
        (&classes, "loss", "huber", "regression"),
        (&classes, "image_size", "32", "images"),
        (&classes, "channels", "3", "images"),
        (&classes, "momentum", "0.9", "sgd"),
        (&classes, "nesterov", "true", "sgd"),
        (&images, "hidden", "[8]", "mlp"),
        (&images, "scaling", "robust", "numbers"),
    ] {
        has_no_effect(data, &[(key, value)], key, why);
    }
    has_no_effect(&classes, &[("augment.flip", "true")], "augment", "images");
    has_no_effect(&images, &[("model", "resnet18"), ("dropout", "0.5")], "dropout", "resnet18");
    has_no_effect(&images, &[("augment.crop", "0.5"), ("augment.shift", "0.1")], "augment.shift", "augment.crop=0");
    has_no_effect(&images, &[("augment.mix_probability", "0.5")], "augment.mix_probability", "mixup");
    has_no_effect(&classes, &[("optimizer", "sgd"), ("nesterov", "true"), ("momentum", "0")], "nesterov", "is 0");
    has_no_effect(&classes, &[("lr", "0.01"), ("find_lr", "true")], "find_lr", "given");
    let notes = noted(settings(&classes, &[("batch", "5000")]));
    assert!(notes.iter().any(|note| note.contains("`batch` is 5000")), "{notes:?}");
}

#[test]
fn settings_that_are_in_effect_are_not_noted() {
    let folder = Folder::new();
    let pairs = [("optimizer", "sgd"), ("momentum", "0.8"), ("nesterov", "true"), ("scaling", "standard")];
    assert_eq!(noted(settings(&example("breast-cancer.csv"), &pairs)), [""; 0]);
    assert_eq!(noted(settings(&example("diabetes.csv"), &[("loss", "huber"), ("hidden", "[8]")])), [""; 0]);
    let pairs =
        [("augment.crop", "0.5"), ("augment.mixup", "0.2"), ("augment.mix_probability", "0.5"), ("dropout", "0.1")];
    assert_eq!(noted(settings(&stripes(&folder, 12), &pairs)), [""; 0]);
}

#[test]
fn resolved_settings_lead_to_the_same_run_without_notes() {
    let folder = Folder::new();
    let data = stripes(&folder, 12);
    let first = prepare(settings(&data, &[("augment.crop", "0.5"), ("momentum", "0.5")]), None).unwrap();
    let mut again = Settings::default();
    again.merge_toml(&first.description().settings_toml, Path::new("settings.toml")).unwrap();
    let second = prepare(again, None).unwrap();
    assert_eq!(second.description().notes, [""; 0]);
    assert_eq!(second.description().settings_toml, first.description().settings_toml);
}

/// Stops after the first note that tells of an early stop.
struct StopAfterNote(bool);

impl Observer for StopAfterNote {
    fn event(&mut self, event: &Event<'_>) -> Flow {
        match event {
            Event::Note(note) => self.0 |= note.contains("early stop"),
            Event::Step { .. } if self.0 => return Flow::Stop,
            _ => {}
        }
        Flow::Continue
    }
}

#[test]
fn a_resumed_run_reports_the_notes_of_all_its_processes_once() {
    let folder = Folder::new();
    let data = folder.write("some.csv", rows_of("breast-cancer.csv", 0..150));
    let pairs = [
        ("epochs", "40"),
        ("folds", "1"),
        ("patience", "2"),
        ("lr", "0.3"),
        ("schedule", "constant"),
        ("average", "0"),
        ("momentum", "0.5"),
        ("hidden", "[8]"),
    ];
    let (whole, run) = (folder.path("whole"), folder.path("run"));
    let expected = train(settings(&data, &pairs), &whole).notes;
    assert!(expected.iter().any(|note| note.contains("early stop")), "{expected:?}");
    assert!(expected.iter().any(|note| note.contains("`momentum`")), "{expected:?}");
    let job = prepare(settings(&data, &pairs), Some(run.clone())).unwrap();
    let stopped = job.run(&mut StopAfterNote(false)).unwrap();
    assert!(matches!(stopped, Outcome::Interrupted { .. }));
    let stopped = resume(&run).unwrap().run(&mut StopAfter { left: 1 }).unwrap();
    assert!(matches!(stopped, Outcome::Interrupted { .. }));
    let report = finished(resume(&run).unwrap().run(&mut Silent).unwrap());
    assert_eq!(report.notes, expected);
}
