//! Where settings come from, and what goes before what.

use std::fs;

use crate::program::{Place, table};

/// A resolved setting as the run saved it.
fn saved(place: &Place, run: &str, key: &str) -> Option<String> {
    let text = fs::read_to_string(place.path(run).join("settings.toml")).unwrap();
    text.lines().find_map(|line| Some(line.split_once(" = ")?).filter(|(k, _)| *k == key).map(|(_, v)| v.to_string()))
}

#[test]
fn pairs_go_before_options_before_the_file_before_defaults() {
    let place = Place::new();
    place.write("data.csv", table(60));
    place.write("fit.toml", "epochs = 7\nbatch = 8\nlr = 0.001\nhidden = [5]\n");
    let arguments = [
        "train", "batch=16", "data.csv", "--epochs", "2", "--batch", "32", "--config", "fit.toml", "--out", "run", "-q",
    ];
    place.run(&arguments).succeeded();
    let get = |key| saved(&place, "run", key).unwrap();
    assert_eq!([get("batch"), get("epochs"), get("lr"), get("hidden")], ["16", "2", "0.001", "[5]"]);
    assert_eq!([get("seed"), get("optimizer")], ["1", "\"adamw\""]);
}

#[test]
fn the_settings_of_one_run_start_another() {
    let place = Place::new();
    place.write("data.csv", table(60));
    let first = place.trained("data.csv", "first", &["--seed", "5", "hidden=[7]"]);
    place.run(&["train", "--config", "first/settings.toml", "--out", "second", "-q"]).succeeded();
    let weights = |run: &str| fs::read(place.path(run).join("model/model.safetensors")).unwrap();
    assert!(first.exists() && weights("first") == weights("second"));
}

#[test]
fn a_column_may_be_called_by_a_number() {
    let place = Place::new();
    place.write("data.csv", table(60).replacen("kind", "2020", 1));
    place.run(&["train", "data.csv", "--target", "2020", "--epochs", "1", "-q", "--out", "a"]).succeeded();
    place.run(&["train", "data.csv", "target=2020", "--epochs", "1", "-q", "--out", "b"]).succeeded();
    assert_eq!(saved(&place, "b", "target").unwrap(), "\"2020\"");
}

#[test]
fn unknown_settings_name_the_nearest() {
    let place = Place::new();
    place.write("data.csv", table(60));
    place.refuses(&["data.csv", "epoch=3"], &["`epoch`", "`epochs`"]);
    place.refuses(&["data.csv", "weight_decoy=3"], &["`weight_decoy`", "`weight_decay`"]);
    place.refuses(&["data.csv", "--model", "resnet19"], &["resnet19", "`resnet18`"]);
    place.refuses(&["data.csv", "optimizer=adamv"], &["adamv", "`adamw`"]);
    place.write("fit.toml", "epochs = 3\nbacth = 8\n");
    place.refuses(&["data.csv", "--config", "fit.toml"], &["fit.toml", "`bacth`", "`batch`"]);
    place.refuses(&["data.csv", "--config", "none.toml"], &["none.toml"]);
    place.write("broken.toml", "epochs = \n");
    place.refuses(&["data.csv", "--config", "broken.toml"], &["broken.toml"]);
}

#[test]
fn values_out_of_range_say_what_is_expected() {
    let place = Place::new();
    place.write("data.csv", table(60));
    for (arguments, words) in [
        (["--lr", "-1"], ["lr", "above 0"]),
        (["--epochs", "0"], ["epochs", "1 to"]),
        (["--epochs", "many"], ["epochs", "passes"]),
        (["--batch", "-3"], ["batch", "Rows"]),
        (["--time", "3weeks"], ["3weeks", "90s"]),
        (["--threads", "0"], ["threads", "1 to"]),
    ] {
        place.refuses(&[&["data.csv"], &arguments[..]].concat(), &words);
    }
    place.refuses(&["data.csv", "dropout=1.5"], &["dropout", "below 1"]);
    place.refuses(&["data.csv", "augment.shfit=1"], &["augment.shfit", "`shift`"]);
}

#[test]
fn a_second_data_set_and_no_data_at_all_are_refused() {
    let place = Place::new();
    place.write("data.csv", table(60));
    place.refuses(&[], &["no data is given"]);
    place.refuses(&["epochs=3"], &["no data is given"]);
    place.refuses(&["data.csv", "more.csv"], &["'more.csv'", "data.csv"]);
    place.refuses(&["data.csv", "--resume", "runs/x"], &["--resume", "DATA"]);
}
