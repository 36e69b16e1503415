//! Every way of training learns, repeatably, and is described before it begins.

use std::path::Path;

use deepfit_nn::Optimizer;
use deepfit_train::{FORMAT_VERSION, Settings, Silent, prepare};

use crate::runs::{
    Folder, Listener, epochs, example, finished, journal, message, model_bytes, number, rows_of, settings, train,
};

/// Trains without folds and asserts that the loss of the training rows fell to the given share of the first.
fn learns(data: &str, pairs: &[(&str, &str)], share: f64) {
    let folder = Folder::new();
    let run = folder.path("run");
    let mut all = vec![("epochs", "15"), ("folds", "1"), ("refit", "false"), ("patience", "0")];
    all.extend(pairs);
    let report = train(settings(&example(data), &all), &run);
    let losses: Vec<f64> = epochs(&run, 1).iter().map(|e| number(e, "/train_loss")).collect();
    assert_eq!(losses.len(), 15);
    assert!(losses[14] < share * losses[0], "{pairs:?}: {losses:?}");
    // What was learned holds on rows that were not seen: better than the most frequent class, or the mean.
    match report.metrics.test.get("r2") {
        Some(r2) => assert!(r2 > 0.1, "{pairs:?}: R2 is {r2}"),
        None => {
            let accuracy = report.metrics.test.get("accuracy").unwrap();
            assert!(accuracy > 0.85, "{pairs:?}: accuracy is {accuracy}");
        }
    }
}

#[test]
fn every_optimiser_learns_at_its_own_rate() {
    for optimizer in Optimizer::NAMES {
        learns("breast-cancer.csv", &[("optimizer", optimizer), ("epochs", "15")], 0.7);
    }
    learns("breast-cancer.csv", &[("optimizer", "sgd"), ("nesterov", "true"), ("momentum", "0.8")], 0.7);
    learns("breast-cancer.csv", &[("optimizer", "rmsprop"), ("momentum", "0.5")], 0.7);
}

#[test]
fn every_schedule_learns() {
    for schedule in [
        "constant",
        "cosine",
        "one_cycle",
        "step",
        "multi_step",
        "linear",
        "polynomial",
        "exponential",
        "plateau",
        "warm_restarts",
    ] {
        learns("breast-cancer.csv", &[("schedule", schedule)], 0.7);
    }
    learns("breast-cancer.csv", &[("schedule", "step"), ("schedule.gamma", "0.5"), ("warmup", "2")], 0.7);
}

#[test]
fn a_searched_rate_is_told_saved_and_starts_from_the_first_weights() {
    let folder = Folder::new();
    let pairs = [("folds", "1"), ("refit", "false"), ("epochs", "3")];
    let data = example("breast-cancer.csv");
    let searching = settings(&data, &[&pairs[..], &[("find_lr", "true")]].concat());
    let job = prepare(searching, Some(folder.path("searched"))).unwrap();
    let note = job.description().notes.iter().find(|note| note.contains("`find_lr` tried")).cloned();
    let rate = job.description().settings_toml.lines().find_map(|l| l.strip_prefix("lr = ")).unwrap().to_string();
    assert!(note.is_some_and(|note| note.contains(&rate)), "{rate}");
    assert!((1e-5..1.0).contains(&rate.parse::<f64>().unwrap()), "{rate}");
    finished(job.run(&mut Silent).unwrap());
    train(settings(&data, &[&pairs[..], &[("lr", &rate)]].concat()), &folder.path("given"));
    assert!(model_bytes(&folder.path("searched")) == model_bytes(&folder.path("given")), "the search left traces");
}

#[test]
fn a_plateau_of_the_validation_lowers_the_rate_and_a_refit_follows() {
    let folder = Folder::new();
    let run = folder.path("run");
    let pairs = [
        ("epochs", "30"),
        ("folds", "2"),
        ("schedule", "plateau"),
        ("schedule.patience", "0"),
        ("schedule.factor", "0.5"),
        ("warmup", "1"),
        ("lr", "0.02"),
    ];
    train(settings(&example("breast-cancer.csv"), &pairs), &run);
    let rates = |stage| epochs(&run, stage).iter().map(|e| number(e, "/learning_rate")).collect::<Vec<_>>();
    for stage in [1, 2] {
        let rates = rates(stage);
        assert!(rates[29] < 0.01 && rates.windows(2).all(|w| w[1] <= w[0]), "{rates:?}");
        let losses: Vec<f64> = epochs(&run, stage).iter().map(|e| number(e, "/validation/log_loss")).collect();
        let worse = (1..29).find(|&i| losses[i] > losses[i - 1]).expect("it gets worse once");
        assert_eq!((rates[worse], rates[worse + 1]), (0.02, 0.01), "{losses:?}");
    }
    let (first, second, refit) = (rates(1), rates(2), rates(3));
    for (epoch, rate) in refit.iter().enumerate() {
        assert!((rate - first[epoch].max(second[epoch])).abs() < 1e-12, "epoch {epoch}: {rate}");
    }
}

#[test]
fn every_loss_of_a_classification_learns() {
    for pairs in [
        [("class_weights", "true"), ("label_smoothing", "0")],
        [("label_smoothing", "0.2"), ("clip", "0.5")],
        [("label_smoothing", "0"), ("average", "0")],
        [("hidden", "[16, 8]"), ("dropout", "0.4")],
        [("scaling", "quantile"), ("accumulate", "2")],
    ] {
        learns("breast-cancer.csv", &pairs, 0.9);
    }
}

#[test]
fn every_loss_of_a_regression_learns() {
    for loss in ["squared", "absolute", "huber"] {
        learns("diabetes.csv", &[("loss", loss), ("lr", "0.005")], 0.9);
        learns("diabetes.csv", &[("loss", loss), ("lr", "0.005"), ("average", "0"), ("clip", "1")], 0.9);
    }
}

#[test]
fn class_weights_find_more_of_a_rare_class() {
    let folder = Folder::new();
    // One row in ten is of the rare class, and the classes overlap.
    let row = |i: u64| {
        let noise = (i * 2_654_435_761 % 1000) as f64 / 1000.0;
        let rare = i.is_multiple_of(10);
        format!("{:.4},{}\n", noise + if rare { 0.5 } else { 0.0 }, if rare { "rare" } else { "usual" })
    };
    let table = |rows: std::ops::Range<u64>| "x,class\n".to_string() + &rows.map(row).collect::<String>();
    let (data, test) = (folder.write("train.csv", table(0..500)), folder.write("test.csv", table(500..1000)));
    let found = |weighted: &str| {
        let pairs = [("class_weights", weighted), ("folds", "1"), ("epochs", "20"), ("hidden", "[8]"), ("lr", "0.02")];
        let mut settings = settings(&data, &pairs);
        settings.test = Some(test.clone());
        let confusion = train(settings, &folder.path(weighted)).confusion.unwrap();
        confusion[0][0]
    };
    let (plain, weighted) = (found("false"), found("true"));
    assert!(weighted > plain + 5, "of 50 rare rows {plain} were found without and {weighted} with weights");
}

#[test]
fn the_schedule_is_seen_in_the_learning_rates() {
    let folder = Folder::new();
    let rates = |name: &str, pairs: &[(&str, &str)]| {
        let mut all = vec![("epochs", "6"), ("folds", "1"), ("refit", "false"), ("patience", "0"), ("lr", "0.01")];
        all.extend(pairs);
        train(settings(&example("diabetes.csv"), &all), &folder.path(name));
        epochs(&folder.path(name), 1).iter().map(|e| number(e, "/learning_rate")).collect::<Vec<_>>()
    };
    let constant = rates("constant", &[("schedule", "constant")]);
    assert!(constant.iter().all(|r| (r - 0.01).abs() < 1e-12), "{constant:?}");
    let warm = rates("warm", &[("schedule", "constant"), ("warmup", "3")]);
    assert!(warm[0] < warm[1] && warm[1] < 0.01 && (warm[5] - 0.01).abs() < 1e-12, "{warm:?}");
    let cosine = rates("cosine", &[("schedule", "cosine")]);
    assert!(cosine.windows(2).all(|w| w[1] < w[0]) && cosine[5] < 0.001, "{cosine:?}");
    let cycle = rates("cycle", &[("schedule", "one_cycle")]);
    assert!(cycle[0] < cycle[1] && cycle[5] < 1e-4 && cycle.iter().all(|&r| r <= 0.01), "{cycle:?}");
    // Fewer updates in an epoch, the same course.
    let accumulated = rates("accumulated", &[("schedule", "cosine"), ("accumulate", "4")]);
    assert!(accumulated.windows(2).all(|w| w[1] < w[0]) && accumulated[5] < 0.001, "{accumulated:?}");
}

fn bits(settings: Settings) -> (Vec<u8>, String) {
    let folder = Folder::new();
    train(settings, &folder.path("run"));
    (model_bytes(&folder.path("run")), journal(&folder.path("run")))
}

#[test]
fn the_same_seed_gives_the_same_bits_for_any_number_of_threads() {
    for (data, pairs) in [
        ("breast-cancer.csv", &[("epochs", "3"), ("folds", "2")][..]),
        ("digits.zip", &[("epochs", "1"), ("refit", "false"), ("augment.mixup", "0.3")][..]),
    ] {
        let with = |threads: usize, seed: u64| {
            let mut settings = settings(&example(data), pairs);
            (settings.threads, settings.seed) = (threads, seed);
            bits(settings)
        };
        let expected = with(1, 5);
        for threads in [2, 7] {
            assert!(with(threads, 5) == expected, "{data}: other bits with {threads} threads");
        }
        let other = with(2, 6);
        assert!(other.0 != expected.0 && other.1 != expected.1, "{data}: another seed gives the same");
    }
}

#[test]
fn exact_convolutions_are_saved_with_the_run_and_its_model() {
    let folder = Folder::new();
    let trained = |exact: &str| {
        let run = folder.path(exact);
        let pairs = [("epochs", "1"), ("folds", "1"), ("refit", "false"), ("exact", exact)];
        train(settings(&example("digits.zip"), &pairs), &run);
        let read = |file: &str| std::fs::read_to_string(run.join(file)).unwrap();
        assert!(read("settings.toml").contains(&format!("exact = {exact}\n")));
        assert_eq!(read("model/config.json").contains("\"exact\": true"), exact == "true");
        run
    };
    let (fast, exact) = (trained("false"), trained("true"));
    let bytes = model_bytes(&exact);
    assert!(model_bytes(&fast) != bytes, "the setting has no effect");
    finished(deepfit_train::resume(&exact).unwrap().run(&mut Silent).unwrap());
    assert!(model_bytes(&exact) == bytes);
    // A run does not go on with another choice.
    let settings = exact.join("settings.toml");
    let changed = std::fs::read_to_string(&settings).unwrap().replace("exact = true", "exact = false");
    std::fs::write(&settings, changed).unwrap();
    assert!(message(deepfit_train::resume(&exact)).contains("`exact` is false and was true"));
}

#[test]
fn a_run_in_bf16_is_recorded_and_resumed_as_such_and_refused_where_the_processor_cannot() {
    let folder = Folder::new();
    let pairs = [("epochs", "2"), ("folds", "1"), ("refit", "false"), ("model", "mlp"), ("precision", "bf16")];
    let wanted = |pairs: &[(&str, &str)]| settings(&example("breast-cancer.csv"), pairs);
    let (plain, rounded) = (folder.path("f32"), folder.path("bf16"));
    if let Err(lacking) = deepfit_cpu::Engine::new(1).unwrap().precision(deepfit_cpu::Precision::Bf16) {
        let told = message(deepfit_train::prepare(wanted(&pairs), Some(rounded.clone())));
        assert!(told.contains(&lacking.to_string()), "{told}");
        assert!(!rounded.exists());
        return;
    }
    train(wanted(&pairs[..4]), &plain);
    train(wanted(&pairs), &rounded);
    let read = |run: &std::path::Path| std::fs::read_to_string(run.join("settings.toml")).unwrap();
    assert!(read(&plain).contains("precision = \"f32\"\n") && read(&rounded).contains("precision = \"bf16\"\n"));
    let bytes = model_bytes(&rounded);
    assert!(model_bytes(&plain) != bytes, "the setting has no effect");
    finished(deepfit_train::resume(&rounded).unwrap().run(&mut Silent).unwrap());
    assert!(model_bytes(&rounded) == bytes);
    let loss = |run: &std::path::Path| {
        let rows = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
        let last: serde_json::Value = serde_json::from_str(rows.lines().last().unwrap()).unwrap();
        last["train_loss"].as_f64().unwrap()
    };
    let (plain, of_rounded) = (loss(&plain), loss(&rounded));
    assert!((of_rounded / plain - 1.0).abs() < 0.1, "{of_rounded} and {plain}");
    // A run does not go on in another precision.
    std::fs::write(rounded.join("settings.toml"), read(&rounded).replace("\"bf16\"", "\"f32\"")).unwrap();
    assert!(message(deepfit_train::resume(&rounded)).contains("`precision` is \"f32\" and was \"bf16\""));
}

#[test]
fn a_run_is_described_before_it_begins_and_nothing_is_written() {
    let folder = Folder::new();
    let run = folder.path("run");
    let data = example("breast-cancer.csv");
    let job = prepare(settings(&data, &[("epochs", "4")]), Some(run.clone())).unwrap();
    assert!(!run.exists(), "planning has written something");
    let d = job.description();
    assert_eq!((&d.task[..], d.epochs, &d.run), ("classification", 4, &run));
    assert_eq!(d.rows.0 + d.rows.1 + d.rows.2, 569);
    assert!(d.rows.0 > d.rows.2 && d.rows.2 > d.rows.1 && d.rows.1 > 0, "{:?}", d.rows);
    assert!(d.model.contains("tabm") && d.model.contains("30 inputs") && d.model.contains("2 outputs"), "{}", d.model);
    assert!(d.strategy.contains("3-fold"), "{}", d.strategy);
    assert!(!d.data.is_empty() && d.resumed_at_step.is_none());
    assert_eq!(d.memory.iter().map(|(_, bytes)| bytes).sum::<u64>(), d.planned_memory_bytes);
    assert!(d.planned_memory_bytes > d.parameters as u64 * 4 * 4);
    assert!(d.seconds_per_epoch > 0.0 && d.seconds_per_epoch < 1.0, "{}", d.seconds_per_epoch);
    assert!(d.seconds_total > d.seconds_per_epoch * 4.0, "{} {}", d.seconds_total, d.seconds_per_epoch);
    for setting in ["epochs = 4", "batch = ", "lr = ", "folds = 3", "model = \"tabm\"", "members = 8"] {
        assert!(d.settings_toml.contains(setting), "{setting} is missing: {}", d.settings_toml);
    }
    let (parameters, text) = (d.parameters, d.settings_toml.clone());
    let mut listener = Listener::default();
    let report = finished(job.run(&mut listener).unwrap());
    assert_eq!(report.parameters, parameters);
    assert_eq!(listener.stages.len(), 4);
    assert_eq!(listener.epochs.len(), 3 * 4 + report.epochs as usize);
    assert!(report.first_step_seconds.is_some_and(|first| report.seconds > first) && report.seconds_per_epoch > 0.0);
    assert!(report.next.iter().all(|line| line.contains("deepfit")));
    // Of the same settings, but for the path of the data, which is made absolute.
    let saved = std::fs::read_to_string(run.join("settings.toml")).unwrap();
    assert!(saved.contains(&format!("version = {FORMAT_VERSION}")));
    let rest = |text: &str| {
        text.lines()
            .filter(|l| !["data =", "version", "data_fingerprint"].iter().any(|start| l.starts_with(start)))
            .map(str::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(rest(&saved), rest(&text));
}

#[test]
fn settings_that_do_not_suit_the_data_are_refused() {
    let folder = Folder::new();
    let run = |data: &Path, key: &str, value: &str| {
        let told = message(prepare(settings(data, &[(key, value)]), Some(folder.path("run"))));
        assert!(told.contains(key.split('.').next().unwrap()), "{told}");
        assert!(!folder.path("run").exists());
        told
    };
    assert!(run(&example("breast-cancer.csv"), "model", "cnn").contains("images"));
    assert!(run(&example("digits.zip"), "model", "mlp").contains("tables"));
    let values = example("diabetes.csv");
    assert!(run(&values, "warmup", "61").contains("the run has 60"));
    assert!(run(&values, "accumulate", "100").contains("batches"));
    let few = folder.write("few.csv", rows_of("diabetes.csv", 0..30));
    assert!(run(&few, "folds", "20").contains("folds"));
}
