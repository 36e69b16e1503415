//! Where settings come from, and what goes before what.

use std::fs;
use std::os::unix::ffi::OsStringExt;

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
    place.refuses(&["data.csv", "learning_rate=0.1"], &["`learning_rate`", "did you mean `lr`?"]);
    place.refuses(&["data.csv", "early_stopping=3"], &["did you mean `patience`?"]);
    place.refuses(&["data.csv", "model.hidden=[3]"], &["write hidden=[3]"]);
    place.refuses(&["data.csv", "wibble=3"], &["`wibble`", "lists all settings"]);
    place.refuses(&["data.csv", "--random-state", "3"], &["--seed"]);
    place.refuses(&["data.csv", "--num-epochs", "3"], &["--epochs"]);
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
        (["--epochs", "many"], ["epochs", "a whole number"]),
        (["--batch", "-3"], ["batch", "a whole number"]),
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

#[test]
fn data_that_does_not_exist_is_told_even_if_its_name_has_an_equals_sign() {
    let place = Place::new();
    place.write("data.csv", table(60));
    place.write("year=2024.csv", table(60));
    place.run(&["train", "year=2024.csv", "--epochs", "1", "-q"]).succeeded();
    place.refuses(&["year=2025.csv"], &["'year=2025.csv'", "no file or folder", "no setting `year`"]);
    place.refuses(&["data.csv", "year=2025.csv"], &["`year`", "no such setting"]);
    place.refuses(&["data.csv", "data=other.csv"], &["given twice", "data.csv", "other.csv"]);
    place.refuses(&["data.csv", "lr=0.1", "lr=0.2"], &["`lr` is given twice"]);
    place.run(&["train", "data=data.csv", "--epochs", "1", "-q"]).succeeded();
}

#[test]
fn paths_that_are_not_utf8_are_refused_before_anything_is_written() {
    let place = Place::new();
    place.write("data.csv", table(60));
    let odd = |text: &[u8]| std::ffi::OsString::from_vec(text.to_vec());
    fs::write(place.path(".").join(odd(b"odd\xff.csv")), table(60)).unwrap();
    for arguments in [
        vec!["train".into(), odd(b"odd\xff.csv")],
        vec!["train".into(), "data.csv".into(), "--validation".into(), odd(b"odd\xff.csv")],
        vec!["train".into(), "data.csv".into(), "--out".into(), odd(b"run\xff")],
    ] {
        place.run(&arguments).is_refusal(&["is not UTF-8", "rename"]);
    }
    assert!(!place.path("runs").exists());
}

#[test]
fn settings_of_a_wrong_type_are_told_in_words_and_by_line() {
    let place = Place::new();
    place.write("data.csv", table(60));
    place.refuses(&["data.csv", "seed=99999999999999999999"], &["`seed`", "from 0 to 9223372036854775807"]);
    place.refuses(&["data.csv", "--seed", "9223372036854775808"], &["`seed`", "from 0 to 9223372036854775807"]);
    place.refuses(&["data.csv", "=3"], &["'=3'", "KEY=VALUE"]);
    place.refuses(&["data.csv", "--target", ""], &["`target`", "name of a column"]);
    place.refuses(&["data.csv", "hidden=64"], &["`hidden`", "such as [64, 64]"]);
    place.refuses(&["data.csv", "warmup=1e9"], &["`warmup`", "epochs"]);
    place.refuses(&["data.csv", "--epochs", "5", "warmup=6"], &["`warmup`", "the run has 5"]);
    place.write("fit.toml", "lr = 0.1\n\nepochs = \"many\"\n");
    place.refuses(&["data.csv", "--config", "fit.toml"], &["fit.toml", "line 3", "`epochs`", "a whole number"]);
    place.write("fit.toml", "lr = 0.1\nmodel = mlp\n");
    place.refuses(&["data.csv", "--config", "fit.toml"], &["fit.toml", "line 2", "model = mlp", "in quotes"]);
    place.refuses(&["data.csv", "--config", "."], &["it is a folder"]);
}

#[test]
fn settings_without_effect_are_noted_before_training_and_in_the_result() {
    let place = Place::new();
    place.write("data.csv", table(60));
    let arguments = ["train", "data.csv", "--epochs", "1", "--json", "momentum=0.5", "image_size=32", "--out", "run"];
    let ran = place.run(&arguments).succeeded();
    let notes = ran.json()["notes"].to_string();
    for word in ["`momentum` has no effect: it is for sgd", "`image_size` has no effect: it is for images"] {
        assert!(ran.err.contains(word) && notes.contains(word), "`{word}`: {} {notes}", ran.err);
    }
    assert!(ran.err.find("`momentum`") < ran.err.find("epoch 1/1"), "{}", ran.err);
    // What had no effect is not among the settings of the run, so that these can be used again in silence.
    let again = ["train", "--config", "run/settings.toml", "--json"];
    assert_eq!(place.run(&again).succeeded().json()["notes"].to_string(), "[]");
}
