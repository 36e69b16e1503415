//! Ratios, goals and the report, from a small stored run.

use super::goals::{self, PYTORCH, RUST, WORKLOADS};
use super::record::{Figures, Measurement, Record};
use super::render;
use super::summary::{Summary, median};

/// Two workloads in some engines: two rounds, a failure, a peer that is missing.
const STORED: &str = include_str!("stored.json");

fn stored() -> Record {
    serde_json::from_str(STORED).unwrap()
}

fn measurement(engine: &str, workload: &str, round: usize, ms: f64) -> Measurement {
    let figures = Figures { ms, rss_mb: 100.0, ..Figures::default() };
    Measurement {
        round,
        engine: engine.to_string(),
        workload: workload.to_string(),
        figures: Some(figures),
        failed: None,
    }
}

/// The row of a table that begins with a cell, as its cells; `table` is the heading.
fn row(report: &str, table: &str, first: &str) -> Vec<String> {
    let (_, section) = report.split_once(&format!("### {table}")).unwrap_or_else(|| panic!("no table {table}"));
    let section = section.split("\n### ").next().unwrap();
    let line = section.lines().find(|line| line.trim_start_matches("| ").trim().starts_with(first));
    let line = line.unwrap_or_else(|| panic!("no row {first} in {table}"));
    line.trim_matches('|').split(" | ").map(|cell| cell.trim().trim_matches('|').trim().to_string()).collect()
}

#[test]
fn the_median_of_rounds_counts_and_their_spread_is_told() {
    let rounds = [3.0, 1.0, 2.0, 10.0];
    assert_eq!(median(&rounds[..3]), Some(2.0));
    assert_eq!(median(&rounds), Some(2.5));
    assert_eq!(median(&[]), None);
    let measurements = rounds.iter().enumerate().map(|(i, &ms)| measurement("deepfit", "mlp", i, ms)).collect();
    let record = Record { measurements, ..Record::default() };
    let cell = Summary::new(&record).cell("deepfit", "mlp").unwrap();
    assert_eq!((cell.ms, cell.spread), (2.5, 9.0 / 2.5));
}

#[test]
fn ratios_are_to_the_fastest_of_those_that_ran() {
    let record = stored();
    let summary = Summary::new(&record);
    assert_eq!(summary.fastest(&PYTORCH, "mlp"), Some(("pytorch-compile", 5.0)));
    assert_eq!(summary.ratio("mlp", &PYTORCH), Some(2.5));
    // candle failed: burn counts.
    assert_eq!(summary.ratio("mlp", &RUST), Some(6.0));
    assert_eq!(summary.failure("candle", "mlp"), Some("it has no gradient | of this"));
    assert_eq!(summary.ratio("gpt", &PYTORCH), None);
    let mean = goals::geometric_mean(&[2.0, 8.0]).unwrap();
    assert!((mean - 4.0).abs() < 1e-12 && goals::geometric_mean(&[]).is_none());
    // The least of PyTorch's three: 400 MB compiled, 600 MB eager.
    assert_eq!(summary.memory_share("mlp"), Some(0.125));
}

#[test]
fn a_goal_against_pytorch_is_met_by_the_ratio_or_by_the_peak() {
    let lenet = WORKLOADS.iter().find(|w| w.name == "lenet").unwrap();
    assert_eq!(lenet.pytorch, 2.0);
    for (ratio, share, met) in [
        (2.0, None, true),
        (1.99, None, false),
        (1.99, Some(0.84), false),
        (1.01, Some(0.85), true),
        (0.99, Some(0.95), false),
    ] {
        assert_eq!(goals::beats_pytorch(lenet, ratio, share), met, "{ratio} {share:?}");
    }
}

#[test]
fn other_goals_say_what_is_missed_and_what_was_not_measured() {
    let record = stored();
    let goals = goals::all(&Summary::new(&record));
    let goal = |subject: &str| goals.iter().find(|g| g.subject.contains(subject)).unwrap();
    assert_eq!((goal("mlp against JAX").reached.as_str(), goal("mlp against JAX").met), ("1.00x", Some(false)));
    assert_eq!(goal("minilm_infer against ONNX").met, None);
    assert_eq!(goal("geometric mean").met, Some(true));
    assert_eq!((goal("memory").reached.as_str(), goal("memory").met), ("0.12", Some(true)));
    assert_eq!((goal("start to first").reached.as_str(), goal("start to first").met), ("11.00 ms", Some(true)));
    assert_eq!((goal("size").reached.as_str(), goal("size").met), ("31.00 MB", Some(false)));
    let nothing = Record::default();
    assert!(goals::all(&Summary::new(&nothing)).iter().all(|goal| goal.met.is_none() && goal.reached.is_empty()));
}

#[test]
fn limits_are_the_longer_of_operations_and_memory() {
    let record = stored();
    let summary = Summary::new(&record);
    let limit = |workload: &str| render::limit(&summary, &summary.cell("deepfit", workload).unwrap()).unwrap();
    // 100 GFLOP/s is the best product, PyTorch's; 0.1 GFLOP.
    assert_eq!(limit("mlp").compute_ms, 1.0);
    assert_eq!(limit("mlp").memory_ms, Some(1.5));
    assert_eq!(limit("mlp").ms(), 1.5);
    assert_eq!(limit("mlp_small").memory_ms, None);
}

#[test]
fn the_report_has_every_table() {
    let report = render::benchmarks(&stored());
    let goals = row(&report, "Against the fastest of PyTorch", "mlp ");
    assert_eq!(goals, ["mlp", "2.00", "5.00", "pytorch-compile", "2.50x", "2x", "50 %", "yes"]);
    let small = row(&report, "Against the fastest of PyTorch", "mlp_small");
    assert_eq!(small[4..], ["10.00x", "20x", "2 %", "**no**"]);
    assert_eq!(row(&report, "Against the fastest of PyTorch", "geometric mean")[4], "5.00x");
    let times = row(&report, "Time of a step", "mlp ");
    assert_eq!(times, ["mlp", "2.00", "6.00", "5.00", "2.00", "12.0", "failed", "10 %", "10 %"]);
    assert_eq!(row(&report, "Time of a step", "mlp_small")[3], "–");
    assert_eq!(row(&report, "How many times faster", "mlp ")[1..], ["2.50x", "1.00x", "6.00x"]);
    assert_eq!(row(&report, "Peak resident set", "mlp ")[1..3], ["50", "600"]);
    let before = row(&report, "Peak resident set", "before anything");
    assert_eq!(before[1..3], ["5", "300"]);
    assert_eq!(row(&report, "Peak resident set", "geometric mean")[7], "5 %");
    assert_eq!(row(&report, "Limits", "mlp ")[4..], ["1.00", "1.50", "2.00", "50 %", "75 %"]);
    assert_eq!(row(&report, "Start of the process", "mlp_small")[1], "0.0100");
    assert_eq!(row(&report, "The same steps", "mlp ")[1..4], ["1.0e-7", "2.0e-5", "3.0e-5"]);
    assert_eq!(row(&report, "Machine", "best product")[1], "100 GFLOP/s");
    assert_eq!(row(&report, "Versions", "torch")[1], "2.15.0");
    for part in [
        "\n5 of the 8 goals that were measured are met; missed: mlp_small against PyTorch; mlp against JAX; size of",
        "of commit 0123456789ab, with changes that are not committed",
        "* jax was left out: it has no environment",
        "* candle does not run resnet18_224: windows overlap",
        "* candle failed on mlp: it has no gradient | of this",
    ] {
        assert!(report.contains(part), "`{part}` is missing in\n{report}");
    }
    // Each table is one: as many cells in every row.
    for lines in report.split("\n\n").filter(|part| part.starts_with('|')) {
        let cells: Vec<usize> = lines.lines().map(|line| line.replace("\\|", "").matches('|').count()).collect();
        assert!(cells.iter().all(|&n| n == cells[0]), "{lines}");
    }
    // Nothing that was measured: tables without rows, not a panic.
    render::benchmarks(&Record::default());
}

#[test]
fn a_stored_run_is_read_as_it_was_written() {
    let folder = std::env::temp_dir().join(format!("deepfit-record-{}", std::process::id()));
    let file = folder.join("record.json");
    stored().write(&file).unwrap();
    assert_eq!(Record::read(&file).unwrap(), stored());
    std::fs::write(&file, "{").unwrap();
    let refusal = format!("{:#}", Record::read(&file).unwrap_err());
    assert!(refusal.contains("record.json is no stored run"), "{refusal}");
    std::fs::remove_dir_all(folder).unwrap();
}
