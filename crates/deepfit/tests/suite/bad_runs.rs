//! Places that cannot be written, and runs that cannot be used.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::program::{Place, Ran, example, listing, table};

#[test]
fn a_folder_in_use_and_a_file_in_the_way_are_refused() {
    let place = Place::new();
    place.write("data.csv", table(60));
    place.trained("data.csv", "run", &[]);
    place.refuses(&["data.csv", "--out", "run"], &["run", "--out", "--resume"]);
    place.write("mine/letter.txt", "keep me");
    place.refuses(&["data.csv", "--out", "mine", "-q"], &["mine", "--out"]);
    place.write("file", "x");
    place.refuses(&["data.csv", "--out", "file/run", "-q"], &["file/run", "--out"]);
    place.refuses(&["data.csv", "--out", "file", "-q"], &["file", "--out"]);
}

/// Runs a script in which the program is `$0`, in a mount namespace of its own, so that the mounts it makes are gone with
/// it; `None` where that is not allowed.
fn in_namespace(place: &Place, script: &str) -> Option<Ran> {
    let unshared = |script: &str| {
        let program = env!("CARGO_BIN_EXE_deepfit");
        Command::new("unshare").args(["-rm", "sh", "-c", script, program]).current_dir(place.path(".")).output()
    };
    let able = unshared("mount -t tmpfs none disk").is_ok_and(|output| output.status.success());
    if !able {
        eprintln!("skipped: this system lets nobody mount a small disk");
        return None;
    }
    Some(Ran::of(unshared(script).unwrap()))
}

#[test]
fn a_read_only_folder_is_refused() {
    let place = Place::new();
    place.write("data.csv", table(60));
    fs::create_dir(place.path("disk")).unwrap();
    let script = "mount -t tmpfs -o ro none disk; \"$0\" train data.csv --epochs 1 -q --out disk/run";
    if let Some(ran) = in_namespace(&place, script) {
        ran.is_refusal(&["disk/run", "Read-only", "--out"]);
    }
}

#[test]
fn a_full_disk_is_told_and_leaves_no_torn_file() {
    let place = Place::new();
    place.write("data.csv", table(60));
    fs::create_dir(place.path("disk")).unwrap();
    let run = |size: &str| {
        let train = "\"$0\" train data.csv --epochs 2 hidden=[64,64] -q --out disk/run";
        in_namespace(
            &place,
            &format!("mount -t tmpfs -o size={size} none disk; {train}; code=$?; ls -AR disk; exit $code"),
        )
    };
    // Not even the settings fit.
    let Some(ran) = run("4k") else { return };
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    assert!(ran.err.starts_with("error: ") && ran.err.contains("disk/run"), "{}", ran.err);
    assert!(ran.err.contains("No space left") && ran.err.contains("free some space"), "{}", ran.err);
    assert!(!ran.out.contains("settings") && !ran.out.contains("run"), "something was left: {}", ran.out);
    // The settings fit, a checkpoint does not.
    let Some(ran) = run("40k") else { return };
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    assert!(ran.err.contains("disk/run") && ran.err.contains("No space left"), "{}", ran.err);
    assert!(ran.err.contains("free some space, or choose another place with --out"), "{}", ran.err);
    assert!(!ran.out.contains("run"), "a run that trained nothing was left: {}", ran.out);
    // A run that has a checkpoint, whose disk is full when it goes on.
    let script = "mount -t tmpfs -o size=400k none disk; \
                  \"$0\" train data.csv --epochs 2 hidden=[8] -q --out disk/run && rm disk/run/result.json; \
                  cat /dev/zero > disk/filler; \"$0\" train --resume disk/run -q; code=$?; ls -AR disk; exit $code";
    let Some(ran) = in_namespace(&place, script) else { return };
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    let advice = "free some space, then go on with `deepfit train --resume disk/run`";
    assert!(ran.err.contains(advice) && !ran.err.contains("--out"), "{}", ran.err);
    assert!(ran.out.contains("state.safetensors"), "the checkpoint is gone: {}", ran.out);
}

fn damaged(path: &Path, damage: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    damage(&mut bytes);
    fs::write(path, bytes).unwrap();
}

#[test]
fn damaged_checkpoints_are_refused_by_name() {
    let place = Place::new();
    let run = place.trained(&example("diabetes.csv"), "run", &[]);
    let checkpoint = run.join("checkpoint/state.safetensors");
    let whole = fs::read(&checkpoint).unwrap();
    let before = listing(&run);
    let refused = |words: &[&str]| place.run(&["train", "--resume", "run"]).is_refusal(words);
    for damage in [
        |bytes: &mut Vec<u8>| bytes.truncate(bytes.len() / 2),
        |bytes: &mut Vec<u8>| bytes.truncate(3),
        |bytes: &mut Vec<u8>| bytes.clear(),
        |bytes: &mut Vec<u8>| *bytes.last_mut().unwrap() ^= 1,
        |bytes: &mut Vec<u8>| bytes[0] ^= 0x80,
        |bytes: &mut Vec<u8>| bytes[7] = 0xFF,
    ] {
        damaged(&checkpoint, damage);
        refused(&["state.safetensors", "damaged"]);
        fs::write(&checkpoint, &whole).unwrap();
    }
    let split = fs::read_to_string(run.join("split.json")).unwrap();
    assert!(split.contains("\"version\":1"), "{split}");
    fs::write(run.join("split.json"), split.replacen("\"version\":1", "\"version\":99", 1)).unwrap();
    refused(&["run/split.json", "version 99", "newer deepfit"]);
    damaged(&run.join("split.json"), |bytes| bytes.truncate(9));
    refused(&["split.json", "damaged"]);
    damaged(&run.join("settings.toml"), |bytes| bytes.truncate(5));
    refused(&["settings.toml"]);
    assert_eq!(listing(&run), before);
    place.run(&["train", "--resume", "nowhere"]).is_refusal(&["nowhere", "does not exist"]);
    fs::create_dir(place.path("empty")).unwrap();
    place.run(&["train", "--resume", "empty"]).is_refusal(&["empty", "not a run folder"]);
}

#[test]
fn damaged_models_are_refused_by_name() {
    let place = Place::new();
    let data = example("diabetes.csv");
    let run = place.trained(&data, "run", &[]);
    let refused = |words: &[&str]| {
        place.run(&["predict", "run", &data]).is_refusal(words);
        place.run(&["evaluate", "run", &data, "--json"]).is_refusal(words);
    };
    let weights = run.join("model/model.safetensors");
    damaged(&weights, |bytes| *bytes.last_mut().unwrap() ^= 1);
    refused(&["model.safetensors", "damaged"]);
    damaged(&weights, |bytes| bytes.truncate(100));
    refused(&["model.safetensors", "damaged", "put back a whole copy", "--resume"]);
    fs::remove_file(&weights).unwrap();
    refused(&["model.safetensors", "is missing", "put back a whole copy", "--resume"]);
    damaged(&run.join("model/config.json"), |bytes| bytes.truncate(40));
    refused(&["config.json", "damaged", "put back a whole copy", "--resume"]);
    // What the message says helps.
    fs::remove_file(run.join("result.json")).unwrap();
    place.run(&["train", "--resume", "run", "-q"]).succeeded();
    place.run(&["predict", "run", &data]).succeeded();
}

#[test]
fn a_damaged_result_is_made_again() {
    let place = Place::new();
    let run = place.trained(&example("diabetes.csv"), "run", &["hidden=[8]"]);
    damaged(&run.join("result.json"), |bytes| bytes.truncate(40));
    let words = ["result.json", "damaged", "delete it", "deepfit train --resume run"];
    place.run(&["train", "--resume", "run"]).is_refusal(&words);
    fs::remove_file(run.join("result.json")).unwrap();
    place.run(&["train", "--resume", "run", "-q"]).succeeded();
}

#[test]
fn settings_that_do_not_name_the_data_are_refused() {
    let place = Place::new();
    let run = place.trained(&example("diabetes.csv"), "run", &["hidden=[8]"]);
    let path = run.join("settings.toml");
    let whole = fs::read_to_string(&path).unwrap();
    let without: String = whole.lines().filter(|l| !l.starts_with("data = ")).map(|l| format!("{l}\n")).collect();
    assert_ne!(whole, without);
    for (text, words) in [("", "is empty"), (&without[..], "data = \"PATH\"")] {
        fs::write(&path, text).unwrap();
        for arguments in [&["train", "--resume", "run"][..], &["inspect", "run"]] {
            place.run(arguments).is_refusal(&["run/settings.toml", words, "copy of the file", "new run"]);
        }
    }
}

#[test]
fn data_that_is_gone_is_told_by_its_setting() {
    let place = Place::new();
    place.write("data.csv", table(60));
    let run = place.trained("data.csv", "run", &[]);
    fs::rename(place.path("data.csv"), place.path("moved.csv")).unwrap();
    let words = ["run/settings.toml", "setting `data`", "data.csv", "does not exist", "where it is now"];
    place.run(&["train", "--resume", "run"]).is_refusal(&words);
    let settings = fs::read_to_string(run.join("settings.toml")).unwrap();
    fs::write(run.join("settings.toml"), settings.replacen("data.csv", "moved.csv", 1)).unwrap();
    place.run(&["train", "--resume", "run"]).succeeded();
}

#[test]
fn runs_of_a_newer_version_are_refused() {
    let place = Place::new();
    let data = example("diabetes.csv");
    let run = place.trained(&data, "run", &[]);
    let raise = |file: &str, from: &str, to: &str| {
        let text = fs::read_to_string(run.join(file)).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(run.join(file), text.replacen(from, to, 1)).unwrap();
    };
    raise("model/config.json", "\"version\": 1", "\"version\": 99");
    place.run(&["predict", "run", &data]).is_refusal(&["config.json", "newer", "99"]);
    place.run(&["inspect", "run"]).is_refusal(&["config.json", "newer", "99"]);
    raise("settings.toml", "version = 1", "version = 99");
    place.run(&["train", "--resume", "run"]).is_refusal(&["settings.toml", "newer", "99"]);
}

#[test]
fn missing_parts_of_a_run_are_told_with_what_to_do() {
    let place = Place::new();
    let run = place.trained(&example("diabetes.csv"), "run", &["hidden=[8]"]);
    let aside = |name: &str| fs::rename(run.join(name), place.path("aside")).unwrap();
    let back = |name: &str| fs::rename(place.path("aside"), run.join(name)).unwrap();
    fs::remove_file(run.join("result.json")).unwrap();
    aside("metrics.jsonl");
    place.run(&["train", "--resume", "run"]).is_refusal(&["metrics.jsonl", "is missing", "put it back", "checkpoint"]);
    back("metrics.jsonl");
    aside("split.json");
    let words = ["split.json", "is missing", "deepfit train --config run/settings.toml"];
    place.run(&["train", "--resume", "run"]).is_refusal(&words);
    back("split.json");
    fs::remove_dir_all(run.join("checkpoint")).unwrap();
    fs::remove_dir_all(run.join("model")).unwrap();
    let ran = place.run(&["train", "--resume", "run", "--json"]).succeeded();
    assert!(ran.err.contains("no checkpoint") && ran.err.contains("first step"), "{}", ran.err);
    assert!(ran.json()["notes"].to_string().contains("no checkpoint"), "{}", ran.out);
    assert!(run.join("checkpoint/state.safetensors").exists() && run.join("model/config.json").exists());
}

#[test]
fn settings_that_were_edited_are_named_and_refused() {
    let place = Place::new();
    let run = place.trained(&example("diabetes.csv"), "run", &["hidden=[8]"]);
    fs::remove_file(run.join("result.json")).unwrap();
    let path = run.join("settings.toml");
    let settings = fs::read_to_string(&path).unwrap();
    let edit = |from: &str, to: &str| {
        assert!(settings.contains(from), "{settings}");
        fs::write(&path, settings.replace(from, to)).unwrap();
    };
    edit("hidden = [8]", "hidden = [9]");
    place.run(&["train", "--resume", "run"]).is_refusal(&["settings.toml", "`hidden` is [9] and was [8]", "--config"]);
    edit("average = 0.99", "average = 0.0");
    place.run(&["train", "--resume", "run"]).is_refusal(&["`average` is 0.0 and was 0.99"]);
    edit("seed = 1\n", "");
    fs::write(&path, settings.replace("seed = 1\n", "seed = 2\n")).unwrap();
    place.run(&["train", "--resume", "run"]).is_refusal(&["`seed` is 2 and was 1"]);
    // Threads change nothing in the result.
    let threads = settings.lines().find(|line| line.starts_with("threads = ")).unwrap();
    edit(threads, "threads = 3");
    place.run(&["train", "--resume", "run", "-q"]).succeeded();
}

#[test]
fn a_process_that_makes_no_step_tells_of_none() {
    let place = Place::new();
    let run = place.trained(&example("diabetes.csv"), "run", &["hidden=[8]"]);
    fs::remove_file(run.join("result.json")).unwrap();
    let report = place.run(&["train", "--resume", "run", "--json"]).succeeded().json();
    assert_eq!(report.get("first_step_seconds"), Some(&serde_json::Value::Null), "{report}");
    fs::remove_file(run.join("result.json")).unwrap();
    let told = place.run(&["train", "--resume", "run"]).succeeded().out;
    assert!(!told.contains("first step"), "{told}");
}

/// Runs the program under a limit of address space.
fn limited(place: &Place, kilobytes: u32, arguments: &str) -> Ran {
    let script = format!("ulimit -v {kilobytes}; exec \"$0\" {arguments}");
    let mut command = Command::new("sh");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_deepfit")]).current_dir(place.path("."));
    Ran::of(command.output().unwrap())
}

#[cfg(target_os = "linux")]
#[test]
fn a_run_that_does_not_fit_into_a_limit_of_memory_is_refused() {
    let place = Place::new();
    let arguments = format!("train {} --model resnet18 image_size=64 --epochs 1 --threads 1 -q", example("digits.zip"));
    for kilobytes in [150_000, 250_000, 300_000] {
        let ran = limited(&place, kilobytes, &arguments);
        ran.is_refusal(&["memory", "`batch`", "`image_size`", "limit"]);
        assert!(!place.path("runs").exists(), "something was written");
    }
}

#[test]
fn a_file_size_limit_is_an_error_of_writing() {
    let place = Place::new();
    let script = format!("ulimit -f 10; exec \"$0\" train {} --epochs 1 -q --out run", example("digits.zip"));
    let mut command = Command::new("bash");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_deepfit")]).current_dir(place.path("."));
    let Ok(output) = command.output() else { return };
    let ran = Ran::of(output);
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    assert!(ran.err.starts_with("error: cannot write 'run"), "{}", ran.err);
}

#[test]
fn pipes_and_devices_are_no_data() {
    let place = Place::new();
    place.refuses(&["/dev/null"], &["/dev/null", "device", "file"]);
    place.write("data.csv", table(60));
    place.refuses(&["data.csv", "--test", "/dev/zero"], &["/dev/zero", "device"]);
}
