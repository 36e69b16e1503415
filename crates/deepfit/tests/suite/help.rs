//! Help, hints, completions, and output that nobody reads to the end.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::program::{Place, example};

#[test]
fn help_shows_options_in_groups_examples_and_all_settings() {
    let place = Place::new();
    let help = place.run(&["train", "--help"]).succeeded().out;
    for word in ["Data:", "Model and training:", "Output:", "Examples:", "Settings", "label_smoothing", "Exit codes"] {
        assert!(help.contains(word), "`{word}` is not in {help}");
    }
    for model in ["tabm", "mlp", "cnn", "resnet18", "resnet34", "resnet50", "mobilenet_v2"] {
        let of_option = help.split("--model").nth(1).and_then(|rest| rest.split("--epochs").next()).unwrap();
        assert!(of_option.contains(model), "`{model}` is not in {of_option}");
    }
    for option in [
        "target",
        "model",
        "epochs",
        "time",
        "batch",
        "lr",
        "seed",
        "threads",
        "validation",
        "test",
        "out",
        "resume",
        "config",
        "json",
        "quiet",
    ] {
        assert!(help.contains(&format!("--{option}")), "{option}");
    }
    let overview = place.run(&["--help"]).succeeded().out;
    for command in [
        "train",
        "compare",
        "diagnose",
        "evaluate",
        "predict",
        "explain",
        "embed",
        "generate",
        "tokenize",
        "inspect",
        "bench",
        "completions",
    ] {
        assert!(overview.contains(&format!("\n  {command} ")), "{command}: {overview}");
        let help = place.run(&[command, "--help"]).succeeded().out;
        assert!(help.contains("Examples:"), "{help}");
    }
}

#[test]
fn unknown_words_lead_to_the_nearest() {
    let place = Place::new();
    place.run(&["tran", "x"]).is_refusal(&["tran", "'train'"]);
    place.run(&["wobble"]).is_refusal(&["wobble", "train", "predict"]);
    place.run(&[example("digits.zip").as_str()]).is_refusal(&["deepfit train"]);
    place.run(&["train", "x", "--epoch", "3"]).is_refusal(&["--epoch", "--epochs"]);
    place.run(&["train", "x", "--wibble", "3"]).is_refusal(&["--wibble"]);
    assert!(!place.run(&["train", "x", "--wibble", "3"]).err.contains("nearest"), "nothing is near to it");
    place.run(&["train", "x", "--weight-decay", "3"]).is_refusal(&["weight_decay=VALUE"]);
    place.run(&["predict", "x", "y", "--format", "cvs"]).is_refusal(&["cvs", "csv"]);
    place.run(&["inspect", "x", "--batch", "abc"]).is_refusal(&["--batch", "a whole number from 1 to 1000000"]);
    place.run(&["inspect", "x", "--batch", "-1"]).is_refusal(&["--batch", "a whole number from 1 to 1000000"]);
    place.run(&["predict", "x", "y", "--threads", "-1"]).is_refusal(&["--threads", "a whole number from 1 to 1024"]);
    place.run(&["train", "--resume", "x", "epochs=3"]).is_refusal(&["goes on with", "settings that it began with"]);
    place.run(&["inspect"]).is_refusal(&["RUN|DATA|MODEL"]);
}

#[test]
fn completions_know_the_options() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = place.run(&["completions", shell]).succeeded().out;
        assert!(script.contains("validation") && script.contains("inspect"), "{shell}");
    }
    place.run(&["completions", "cmd"]).is_refusal(&["bash"]);
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let place = Place::new();
    place.trained(&example("diabetes.csv"), "run", &["--epochs", "1"]);
    for arguments in [
        vec!["completions", "zsh"],
        vec!["predict", "run", &example("diabetes.csv"), "--format", "csv"],
        vec!["inspect", "run"],
    ] {
        let mut child = place.start(&arguments);
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]), "{arguments:?}");
    }
    let mut child = place.start(&["predict", "run", &example("diabetes.csv"), "--format", "csv"]);
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "input,prediction,interval_low,interval_high,unlike_training\n");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    let place = Place::new();
    let Ok(full) = OpenOptions::new().write(true).open("/dev/full") else {
        eprintln!("skipped: there is no /dev/full here");
        return;
    };
    let output = place.command(&["completions", "zsh"]).stdout(Stdio::from(full)).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot write to standard output"));
}

#[cfg(target_os = "linux")]
#[test]
fn help_that_cannot_be_written_is_an_error() {
    let place = Place::new();
    for arguments in [&["--help"][..], &["--version"], &["train", "--help"], &["completions", "fish"]] {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = place.command(arguments).stdout(full).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {told}");
        assert!(told.contains("cannot write to standard output: No space left"), "{arguments:?}: {told}");
    }
}
