//! Interrupted and killed runs go on as if nothing had happened.

use std::fs;
use std::process::Child;
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use crate::program::{Place, Ran, example, signal, wait_for_epoch};

const EPOCHS: &str = "6";

fn start(place: &Place, data: &str) -> Child {
    place.start(&["train", data, "--epochs", EPOCHS, "--out", "run"])
}

/// What the model folder holds.
fn model(place: &Place, run: &str) -> (Vec<u8>, String) {
    let folder = place.path(run).join("model");
    let config = fs::read_to_string(folder.join("config.json")).unwrap();
    (fs::read(folder.join("model.safetensors")).unwrap(), config)
}

fn uninterrupted(place: &Place, data: &str) -> (Vec<u8>, String) {
    place.trained(data, "whole", &["--epochs", EPOCHS]);
    model(place, "whole")
}

#[test]
fn signals_stop_with_a_checkpoint_and_the_command_that_resumes() {
    let data = example("digits.zip");
    let place = Place::new();
    for name in ["INT", "TERM"] {
        let _ = fs::remove_dir_all(place.path("run"));
        let mut child = start(&place, &data);
        let rest = wait_for_epoch(&mut child);
        signal(&child, name);
        let told = rest();
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(130), 0), "{told}");
        assert!(told.contains("deepfit train --resume run"), "{told}");
        assert!(!place.path("run/model/model.safetensors").exists(), "the run had ended already");
    }
    let ran = place.run(&["train", "--resume", "run", "--json"]).succeeded();
    assert!(ran.err.contains("resumed at step"), "{}", ran.err);
    assert!(ran.json()["resumed_at_step"].as_u64().unwrap() > 0, "{}", ran.out);
    assert!(model(&place, "run") == uninterrupted(&place, &data), "the resumed run gives another model");
}

#[test]
fn one_process_at_a_time_trains_in_a_folder_and_a_kill_leaves_no_lock() {
    let (place, data) = (Place::new(), example("digits.zip"));
    let mut child = start(&place, &data);
    let _rest = wait_for_epoch(&mut child);
    let told = ["run", "is being trained by another process", "--out"];
    place.run(&["train", &data, "--out", "run"]).is_refusal(&told);
    place.run(&["train", "--resume", "run"]).is_refusal(&told);
    signal(&child, "KILL");
    child.wait().unwrap();
    place.run(&["train", &data, "--out", "run"]).is_refusal(&["holds a run already", "--resume"]);
    let ran = place.run(&["train", "--resume", "run", "--json", "--quiet"]).succeeded();
    assert!(ran.json()["metrics"]["test"]["accuracy"].as_f64().is_some(), "{}", ran.out);

    // One that was killed before it had settings has left nothing that is worth anything.
    for folder in ["new/checkpoint", "new/model"] {
        fs::create_dir_all(place.path(folder)).unwrap();
    }
    place.write("new/split.json", "{}");
    place.run(&["train", &example("diabetes.csv"), "--out", "new", "--epochs", "2", "--quiet"]).succeeded();
    place.write("full/notes.txt", "mine");
    place.run(&["train", &example("diabetes.csv"), "--out", "full"]).is_refusal(&["full", "not empty"]);
}

#[test]
fn two_signals_end_at_once() {
    let place = Place::new();
    let mut child = start(&place, &example("digits.zip"));
    let _rest = wait_for_epoch(&mut child);
    signal(&child, "INT");
    signal(&child, "INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn runs_killed_at_random_moments_end_with_the_same_bits() {
    let seed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_nanos();
    for data in ["digits.zip", "breast-cancer.csv"] {
        let data = example(data);
        let place = Place::new();
        let expected = uninterrupted(&place, &data);
        let mut random = u64::from(seed) | 1;
        let mut kills = Vec::new();
        for _ in 0..5 {
            // Numerical Recipes' linear congruential generator; its upper bits are good enough to choose moments.
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let moment = Duration::from_millis(20 + (random >> 33) % 700);
            // A run that was killed before it had written its settings has nothing to resume.
            let mut child = if place.path("run/settings.toml").exists() {
                place.start(&["train", "--resume", "run"])
            } else {
                let _ = fs::remove_dir_all(place.path("run"));
                start(&place, &data)
            };
            sleep(moment);
            // Fails if the run has ended before, which is just as good.
            let _ = child.kill();
            let ran = Ran::of(child.wait_with_output().unwrap());
            assert!(matches!(ran.code, None | Some(0)), "after kills at {kills:?}: {ran:#?}");
            kills.push(moment);
        }
        if place.path("run/settings.toml").exists() {
            place.run(&["train", "--resume", "run"]).succeeded();
        } else {
            let _ = fs::remove_dir_all(place.path("run"));
            Ran::of(start(&place, &data).wait_with_output().unwrap()).succeeded();
        }
        assert!(model(&place, "run") == expected, "{data}: another model after kills at {kills:?}");
    }
}

#[test]
fn a_run_that_has_ended_can_be_resumed_and_reports_again() {
    let place = Place::new();
    place.trained(&example("diabetes.csv"), "run", &[]);
    let before = model(&place, "run");
    let report = place.run(&["train", "--resume", "run", "--json"]).succeeded().json();
    assert_eq!(report["task"], "regression");
    assert!(model(&place, "run") == before);
}

#[test]
fn a_run_goes_on_with_another_number_of_threads_and_ends_with_the_same_bits() {
    let data = example("digits.zip");
    let place = Place::new();
    let expected = uninterrupted(&place, &data);
    for (given, interrupted) in [(&["--threads", "1"][..], "INT"), (&["threads=3"], "TERM")] {
        let _ = fs::remove_dir_all(place.path("run"));
        let mut child = start(&place, &data);
        let rest = wait_for_epoch(&mut child);
        signal(&child, interrupted);
        let told = rest();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{told}");
        place.run(&[&["train", "--resume", "run", "-q"], given].concat()).succeeded();
        assert!(model(&place, "run") == expected, "{given:?} gives another model");
    }
    place.run(&["train", "--resume", "run", "--threads", "0"]).is_refusal(&["`threads`", "1 to"]);
    place.run(&["train", "--resume", "run", "threads=2", "lr=1"]).is_refusal(&["'lr=1'", "--resume", "--config"]);
}

#[test]
fn a_run_that_was_moved_is_reported_where_it_is() {
    let place = Place::new();
    place.trained(&example("diabetes.csv"), "first", &[]);
    fs::rename(place.path("first"), place.path("second")).unwrap();
    let report = place.run(&["train", "--resume", "second", "--json"]).succeeded().json();
    assert_eq!(report["run"], "second");
    assert!(report["next"][0].as_str().unwrap().starts_with("deepfit predict second "), "{report}");
    let told = place.run(&["train", "--resume", "second"]).succeeded().out;
    assert!(told.contains("inspect second") && !told.contains("first:") && !told.contains(" first\n"), "{told}");
}

#[test]
fn a_signal_before_training_tells_that_nothing_was_written() {
    // A table that takes long to read, so that the signal comes before the run folder is made.
    let place = Place::new();
    place.write("data.csv", crate::program::table(400_000));
    for name in ["INT", "TERM"] {
        // On a busy machine the signal may come too late, once or twice.
        let ran = (0..5).find_map(|_| {
            let _ = fs::remove_dir_all(place.path("run"));
            let mut child = place.start(&["train", "data.csv", "--out", "run"]);
            // Early enough to come while the table is read, late enough for the handlers to be there.
            while !handles_signals(child.id()) && child.try_wait().unwrap().is_none() {
                sleep(Duration::from_millis(1));
            }
            signal(&child, name);
            let ran = Ran::of(child.wait_with_output().unwrap());
            (!place.path("run").exists()).then_some(ran)
        });
        let ran = ran.expect("the signal always comes after the run has begun");
        assert_eq!(ran.code, Some(130), "{ran:#?}");
        assert!(ran.err.contains("nothing was written"), "{ran:#?}");
    }
}

/// Whether a process waits for signals in a thread of its own, from which on it tells what it does about them.
fn handles_signals(process: u32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { return true };
    let name = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("comm")).unwrap_or_default();
    threads.flatten().map(name).any(|name| name.trim() == "signals")
}
