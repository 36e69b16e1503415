//! What `inspect` tells agrees with what was trained.

use std::path::PathBuf;

use deepfit_graph::{DType, Shape, Symbol};
use deepfit_nn::{Module, Scope, layers, losses};
use deepfit_train::{InspectOptions, Inspection, Session, SessionOptions, inspect};

use crate::runs::{Folder, example, message, rows_of, settings, train, weights};

fn all() -> InspectOptions {
    InspectOptions { passes: true, ..InspectOptions::default() }
}

/// What holds for every network.
fn check(inspection: &Inspection) {
    assert_eq!(inspection.layers.iter().map(|l| l.parameters).sum::<usize>(), inspection.parameters);
    assert_eq!(inspection.layers.iter().map(|l| l.operations).sum::<u64>(), inspection.operations);
    assert!(inspection.parameters > 0 && inspection.operations as usize > inspection.parameters);
    assert!(inspection.layers.iter().all(|l| !l.operation.is_empty() && l.bytes > 0));
    assert!(inspection.memory.iter().all(|(name, bytes)| !name.is_empty() && *bytes > 0));
    for graph in ["training step", "prediction"] {
        let rows: Vec<_> = inspection.passes.iter().filter(|p| p.graph == graph).collect();
        assert!(rows.len() >= 3, "{rows:?}");
        for pair in rows.windows(2) {
            let [last, next] = [pair[0], pair[1]];
            assert_eq!(last.nodes.1, next.nodes.0, "{} does not begin where {} ended", next.pass, last.pass);
            assert_eq!((last.bytes.1, last.operations.1), (next.bytes.0, next.operations.0), "{}", next.pass);
        }
        for row in &rows {
            assert!(row.bytes.1 <= row.bytes.0, "{row:?} adds traffic");
        }
        let (before, after) = (rows[0].nodes.0, rows[rows.len() - 1].nodes.1);
        assert!(after < before, "the passes of the {graph} remove nothing: {before} to {after} nodes");
    }
}

/// All, with settings of a training.
fn with(settings: &[(&str, &str)]) -> InspectOptions {
    let settings = settings.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    InspectOptions { settings, ..all() }
}

#[test]
fn a_table_and_the_run_on_it_show_the_same_network() {
    let folder = Folder::new();
    let run = folder.path("run");
    let report = train(settings(&example("breast-cancer.csv"), &[("epochs", "1"), ("folds", "1")]), &run);
    let of_run = inspect(&run, &all()).unwrap();
    check(&of_run);
    assert_eq!(of_run.parameters, report.parameters);
    assert_eq!(of_run.parameters, weights(&run).values().map(Vec::len).sum::<usize>());
    let layers: Vec<&str> = of_run.layers.iter().map(|l| &l.layer[..]).collect();
    for name in weights(&run).keys() {
        let layer = name.rsplit_once('.').unwrap().0;
        assert!(layers.contains(&layer), "`{layer}` is not listed: {layers:?}");
    }
    let of_data = inspect(&example("breast-cancer.csv"), &all()).unwrap();
    check(&of_data);
    assert!(of_run.data.is_empty() && !of_data.data.is_empty());
    assert_eq!((&of_data.layers, of_data.parameters), (&of_run.layers, of_run.parameters));
    assert_eq!((&of_data.passes, &of_data.memory), (&of_run.passes, &of_run.memory));
    let of_model = inspect(&run.join("model"), &InspectOptions::default()).unwrap();
    assert_eq!(of_model.layers, of_run.layers);
    assert!(of_model.passes.is_empty());
}

#[test]
fn every_kind_of_network_can_be_inspected() {
    let folder = Folder::new();
    let words: String =
        (0..60).map(|i| format!("{},{},{}\n", i * i % 101, ["red", "blue", "green"][i % 3], i * 7 % 11)).collect();
    let words = folder.write("words.csv", format!("size,colour,price\n{words}"));
    let price = with(&[("target", "price")]);
    let table = inspect(&words, &price).unwrap();
    check(&table);
    assert!(table.layers.iter().any(|l| l.operation.contains("embedding") && l.parameters > 0), "{:?}", table.layers);
    for (model, least) in [("cnn", 10_000), ("resnet18", 11_000_000)] {
        let options = with(&[("model", model)]);
        let images = inspect(&example("digits.zip"), &options).unwrap();
        check(&images);
        assert!(images.parameters > least && images.title.contains(model), "{}: {}", images.title, images.parameters);
        assert!(images.layers.iter().any(|l| l.operation.contains("conv")));
    }
}

#[test]
fn a_larger_batch_needs_more_memory() {
    let arena = |batch| {
        let options = InspectOptions { batch: Some(batch), ..InspectOptions::default() };
        let inspection = inspect(&example("diabetes.csv"), &options).unwrap();
        assert_eq!(inspection.batch, batch);
        inspection.memory.into_iter().find(|(name, _)| name.starts_with("arena of a training step")).unwrap().1
    };
    assert!(arena(128) > arena(16));
}

#[test]
fn layers_are_told_as_they_are_trained() {
    let of = |model: &str, batch| {
        let options = InspectOptions { batch: Some(batch), passes: false, ..with(&[("model", model)]) };
        inspect(&example("digits.zip"), &options).unwrap()
    };
    for (model, norm) in [("cnn", "bn1"), ("resnet18", "layer1.0.bn1"), ("mobilenet_v2", "features.0.1")] {
        let (small, large) = (of(model, 16), of(model, 32));
        let layer = |name: &str| small.layers.iter().find(|l| l.layer == name).unwrap();
        assert_eq!(layer(norm).operation, "batch_norm");
        assert!(layer("normalise").operations > 0 && small.layers.iter().all(|l| l.layer != "random_key"));
        // What is kept is in the arena, is most of it, and grows with the batch.
        let kept = |i: &Inspection| i.layers.iter().map(|l| l.kept).sum::<u64>();
        let arena = small.memory.iter().find(|(name, _)| name.starts_with("arena of a training step")).unwrap().1;
        assert!(kept(&small) <= arena && kept(&small) > arena / 4, "{model}: {} of {arena}", kept(&small));
        assert!(kept(&large) > kept(&small) * 3 / 2, "{model}: {} and {}", kept(&small), kept(&large));
        assert!(layer("loss").kept > 0);
    }
    assert!(of("cnn", 16).layers.iter().any(|l| l.operation == "dropout" && l.kept > 0));
}

#[test]
fn what_cannot_be_inspected_is_explained() {
    let folder = Folder::new();
    let told = |path: PathBuf, options| inspect(&path, &options).unwrap_err().to_string();
    assert!(told(folder.path("absent"), all()).contains("does not exist"));
    let table = folder.write("some.csv", rows_of("diabetes.csv", 0..50));
    let no_column = with(&[("target", "progresion")]);
    let told_of_column = told(table.clone(), no_column);
    assert!(told_of_column.contains("progression"), "{told_of_column}");
    let cnn = with(&[("model", "cnn")]);
    assert!(told(table, cnn).contains("for images"));
}

#[test]
fn a_session_draws_its_network_and_a_file_of_its_weights_its_tensors() {
    let scope = Scope::root();
    let child = |name: &str| scope.child("encoder").child(name);
    let embedding = layers::Embedding::new(&child("words"), 50, 8);
    let gru = layers::Gru::new(&child("gru"), 8, 16, Default::default()).unwrap();
    let head = layers::Linear::new(&scope.child("head"), 16, 3);
    let options = SessionOptions::default().batch(5).sequence(7);
    let session = Session::new(
        &scope,
        options,
        move |t| {
            let words = t.input("words", Shape::new(&[Symbol::Sequence, Symbol::Batch]), DType::I32);
            let states = gru.run(&embedding.forward(&words)?, &Default::default())?;
            head.forward(&states.hidden.reshape(Shape::batch_of(&[16]))?)
        },
        |t, y| losses::cross_entropy(y, &t.batch("class", &[], DType::I32), &Default::default()),
    )
    .unwrap();
    let inspection = session.inspect().unwrap();
    assert_eq!(inspection.parameters, 50 * 8 + 3 * 16 * (8 + 16 + 2) + 16 * 3 + 3);
    let drawn = inspection.to_string();
    for words in ["encoder", "├ words", "└ gru", "[sequence, batch, 8]", "[batch, 3]", "Memory for 5 rows", "all"] {
        assert!(drawn.contains(words), "{words} is not in\n{drawn}");
    }
    // Seven steps of an example cost more than one.
    let steps: u64 = inspection.layers.iter().filter(|row| row.layer == "encoder.gru").map(|row| row.operations).sum();
    assert!(steps > 7 * 2 * 3 * 16 * (8 + 16), "{drawn}");

    let folder = Folder::new();
    let file = folder.path("words.safetensors");
    session.save(&file).unwrap();
    let inspection = inspect(&file, &InspectOptions::default()).unwrap();
    assert!(inspection.parameters == session.inspect().unwrap().parameters && inspection.memory.is_empty());
    let drawn = inspection.to_string();
    assert!(drawn.contains("weight_ih_l0") && drawn.contains("[48, 8]") && !drawn.contains("kept"), "{drawn}");
    std::fs::write(&file, "short").unwrap();
    assert!(message(inspect(&file, &InspectOptions::default())).contains("no readable file of weights"));
}
