//! Plans held against runs: memory and seconds of an epoch as they were told before, and limits that were to be kept.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use super::bars::Bars;
use super::example;
use super::made;
use super::train::Program;
use crate::markdown::Table;

const MB: f64 = 1e6;
/// The planned memory may be off by so many bytes, or by a tenth if that is more; the seconds of an epoch by a quarter.
const MEMORY_SLACK: f64 = 8.0 * MB;
const EPOCH_SLACK: f64 = 0.25;
/// A limit may be exceeded by this share, or of time by so many seconds.
const OVERRUN: f64 = 0.05;
const OVERRUN_SECONDS: f64 = 2.0;

/// Data, the models that are trained on it, and settings that the plan and the run have in common.
struct Case {
    data: PathBuf,
    models: &'static [&'static str],
    settings: &'static [&'static str],
}

/// Plans and runs of many kinds of data, and the table of both.
///
/// # Errors
/// If a plan or a run fails.
pub fn measure(program: &Program, folder: &Path, bars: &mut Bars) -> Result<()> {
    fs::create_dir_all(folder)?;
    let made = |name: &str| folder.join(name);
    made::table(&made("long.csv"), 100_000, 20)?;
    made::table(&made("wide.csv"), 4_000, 400)?;
    made::photographs(&made("photographs"), 60, 200)?;
    made::photographs(&made("tiles"), 200, 48)?;
    let cases = [
        Case { data: example("digits.zip"), models: &["cnn", "mobilenet_v2"], settings: &["epochs=2"] },
        Case { data: example("digits.zip"), models: &["cnn"], settings: &["epochs=3", "batch=512"] },
        Case { data: example("breast-cancer.csv"), models: &["tabm", "mlp"], settings: &[] },
        Case { data: example("breast-cancer.csv"), models: &["mlp"], settings: &["batch=128", "hidden=[512,512]"] },
        Case { data: example("diabetes.csv"), models: &["tabm", "mlp"], settings: &[] },
        Case { data: example("sunspots.csv"), models: &["tabm"], settings: &[] },
        Case {
            data: example("sentences.tsv"),
            models: &["minilm-static", "gru", "lstm", "rnn", "transformer"],
            settings: &["epochs=3"],
        },
        Case { data: example("reference.txt"), models: &["transformer", "lstm"], settings: &["epochs=1"] },
        Case { data: made("long.csv"), models: &["tabm", "mlp"], settings: &["epochs=2"] },
        Case { data: made("wide.csv"), models: &["tabm", "mlp"], settings: &["epochs=3"] },
        Case {
            data: made("photographs"),
            models: &["efficientnet-lite0"],
            settings: &["epochs=10", "from=efficientnet-lite0"],
        },
        Case {
            data: made("tiles"),
            models: &["cnn", "resnet18"],
            settings: &["epochs=1", "from=scratch", "image_size=32"],
        },
    ];
    let columns = [
        "data",
        "model",
        "settings",
        "planned MB",
        "peak MB",
        "within",
        "planned s",
        "s an epoch",
        "within",
        "whole s",
    ];
    let mut table = Table::new("Plans and runs", &columns);
    let (mut runs, mut memory, mut time) = (0, 0, 0);
    for case in &cases {
        let name = case.data.file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned());
        let data = case.data.to_string_lossy();
        let words: Vec<&str> = ["plan", &data].into_iter().chain(case.settings.iter().copied()).collect();
        // One model that is asked for alone is planned by itself.
        let alone = case.models.len() == 1;
        let model = format!("model={}", case.models[0]);
        let named = case.settings.iter().any(|setting| setting.starts_with("from="));
        let words = if alone && !named { [&words[..], &[&model]].concat() } else { words };
        let plan = program.json(&words).with_context(|| format!("the plan of {name}"))?;
        let costs = plan["costs"].as_array().context("a plan has no costs")?;
        for &model in case.models {
            let run = folder.join(format!("run-{runs}"));
            let from_scratch = !["minilm-static", "efficientnet-lite0"].contains(&model);
            let is_table = name.ends_with(".csv");
            let own = match (from_scratch, is_table) {
                (false, _) => vec![format!("from={model}")],
                (true, true) => vec![format!("model={model}")],
                (true, false) => vec![format!("model={model}"), "from=scratch".to_string()],
            };
            let given = case.settings.iter().copied().filter(|setting| !setting.starts_with("from="));
            let words: Vec<&str> = given.chain(own.iter().map(|word| &word[..])).collect();
            let cost = match costs.iter().find(|cost| cost["model"] == model) {
                Some(cost) => cost.clone(),
                // Where something is to be begun with, only that is planned.
                None => program.json(&[&["plan", &data], &words[..]].concat())?["costs"][0].clone(),
            };
            let trained = program.train_with(&case.data, &words, &run).with_context(|| format!("{name}, {model}"))?;
            let of = |key: &str| cost[key].as_f64().with_context(|| format!("a plan has no {key}: {cost}"));
            let (planned, planned_epoch) = (of("memory_bytes")?, of("seconds_per_epoch")?);
            let (peak, epoch) = (trained.peak, trained.number("seconds_per_epoch")?);
            let holds = (peak - planned).abs() <= MEMORY_SLACK.max(0.1 * planned);
            let in_time = (epoch / planned_epoch - 1.0).abs() <= EPOCH_SLACK;
            runs += 1;
            memory += usize::from(holds);
            time += usize::from(in_time);
            table.row([
                name.clone(),
                model.to_string(),
                case.settings.join(" "),
                format!("{:.1}", planned / MB),
                format!("{:.1}", peak / MB),
                yes(holds),
                format!("{planned_epoch:.4}"),
                format!("{epoch:.4}"),
                yes(in_time),
                format!("{:.1}", trained.seconds),
            ]);
            eprintln!(
                "{name}, {model}: {:.1} of {:.1} MB, {epoch:.4} of {planned_epoch:.4} s",
                peak / MB,
                planned / MB
            );
        }
    }
    println!("{table}");
    println!("memory within the bounds: {memory} of {runs}; seconds of an epoch: {time} of {runs}\n");
    bars.at_least("plans whose memory holds", runs as f64, memory as f64);
    // Other work on the machine lengthens some.
    bars.at_least("plans whose seconds of an epoch hold", 0.8 * runs as f64, time as f64);
    limits(program, folder, bars)
}

/// Runs that are given a limit of memory or of time, and what they took.
fn limits(program: &Program, folder: &Path, bars: &mut Bars) -> Result<()> {
    let made = |name: &str| folder.join(name);
    let cases: [(PathBuf, &str); 9] = [
        (example("digits.zip"), "memory=60MB"),
        (made("long.csv"), "memory=90MB"),
        (made("wide.csv"), "memory=80MB"),
        (made("photographs"), "memory=250MB"),
        (made("photographs"), "memory=100MB"),
        (example("digits.zip"), "time=4s"),
        (made("long.csv"), "time=12s"),
        (made("photographs"), "time=15s"),
        (example("sentences.tsv"), "time=6s"),
    ];
    let mut table = Table::new("Limits", &["data", "limit", "peak MB", "seconds", "model", "kept"]);
    for (i, (data, limit)) in cases.iter().enumerate() {
        let run = folder.join(format!("limit-{i}"));
        let name = data.file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned());
        let trained = match program.train_with(data, &[limit], &run) {
            Ok(trained) => trained,
            Err(error) => {
                eprintln!("{name}, {limit}: {error:#}");
                bars.at_most(&format!("{name} with {limit}, share of it"), 1.0, f64::NAN);
                continue;
            }
        };
        let amount = |text: &str| text.trim_end_matches(|c: char| c.is_alphabetic()).parse::<f64>();
        let (kept, over) = match limit.split_once('=') {
            Some(("memory", text)) => {
                let most = amount(text)? * MB;
                (trained.peak <= (1.0 + OVERRUN) * most, trained.peak / most)
            }
            Some((_, text)) => {
                let most = amount(text)?;
                (trained.seconds <= most + OVERRUN_SECONDS.max(OVERRUN * most), trained.seconds / most)
            }
            None => (false, f64::NAN),
        };
        bars.at_most(&format!("{name} with {limit}, share of it"), if kept { over } else { 1.0 }, over);
        let model = trained.report["model"].as_str().unwrap_or_default().to_string();
        let (peak, seconds) = (format!("{:.1}", trained.peak / MB), format!("{:.2}", trained.seconds));
        table.row([name, limit.to_string(), peak, seconds, model, yes(kept)]);
    }
    println!("{table}");
    Ok(())
}

fn yes(holds: bool) -> String {
    if holds { "yes" } else { "**no**" }.to_string()
}

impl Program {
    /// What the program prints as one JSON object.
    fn json(&self, words: &[&str]) -> Result<Value> {
        let output = std::process::Command::new(self.path())
            .args(words)
            .args(["--json", "--quiet"])
            .env("DEEPFIT_CACHE", "")
            .output()?;
        anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}
