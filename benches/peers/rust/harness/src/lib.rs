//! What the peers in Rust share: the command line, the clock, the report, random batches.

use std::env;
use std::fs;
use std::io;
use std::process::ExitCode;
use std::time::Instant;

use serde_json::json;

/// A step on a prepared batch; gives the loss, or a logit of a network in use, when all its work is done.
pub type Step = Box<dyn FnMut() -> f32>;

/// All workloads.
pub const WORKLOADS: [&str; 11] = [
    "mlp_small",
    "mlp",
    "lenet",
    "resnet18_cifar",
    "resnet18_224",
    "resnet18_224_infer",
    "dwconv",
    "lstm",
    "minilm",
    "minilm_infer",
    "gpt",
];

const WARM_UP: usize = 3;
const LEAST: usize = 5;

/// Runs the program: `list`, or a workload with `--threads` and with `--seconds`, or with `--turns` to measure for each
/// number of seconds that is read from standard input. `cannot` are the workloads that the
/// library is not able to do, with the reason.
pub fn run(engine: &str, version: &str, cannot: &[(&str, &str)], build: fn(&str) -> Result<Step, String>) -> ExitCode {
    let start = Instant::now();
    match measure(engine, version, cannot, build, start) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{engine}: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn measure(
    engine: &str,
    version: &str,
    cannot: &[(&str, &str)],
    build: fn(&str) -> Result<Step, String>,
    start: Instant,
) -> Result<(), String> {
    let (mut workload, mut seconds, mut threads) = (None, Some(5.0), 2usize);
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match &argument[..] {
            "--seconds" => seconds = Some(value()?.parse().map_err(|_| "--seconds is a number")?),
            "--turns" => seconds = None,
            "--threads" => threads = value()?.parse().map_err(|_| "--threads is a whole number")?,
            _ => workload = Some(argument),
        }
    }
    let workload = workload.ok_or("name a workload, or `list`")?;
    let reason = |name: &str| cannot.iter().find(|(other, _)| *other == name).map(|(_, reason)| *reason);
    if workload == "list" {
        let can: Vec<&str> = WORKLOADS.into_iter().filter(|name| reason(name).is_none()).collect();
        let cannot: serde_json::Map<String, serde_json::Value> =
            cannot.iter().map(|(name, reason)| (name.to_string(), json!(reason))).collect();
        println!("{}", json!({ "engine": engine, "workloads": can, "cannot": cannot }));
        return Ok(());
    }
    if !WORKLOADS.contains(&&workload[..]) {
        return Err(format!("there is no workload `{workload}`"));
    }
    if let Some(reason) = reason(&workload) {
        return Err(reason.to_string());
    }
    // SAFETY: no other thread runs yet; the library reads it when it first needs threads.
    unsafe { env::set_var("RAYON_NUM_THREADS", threads.to_string()) };
    let base = memory("VmRSS:");
    let mut step = build(&workload)?;
    let first_value = step();
    let first = start.elapsed().as_secs_f64();
    for _ in 0..WARM_UP {
        step();
    }
    let mut turn = |seconds: f64| {
        // The one before may have been long ago.
        let mut last_value = step();
        let mut times = Vec::new();
        let clock = Instant::now();
        while times.len() < LEAST || clock.elapsed().as_secs_f64() < seconds {
            let start = Instant::now();
            last_value = step();
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        if !first_value.is_finite() || !last_value.is_finite() {
            return Err(format!("values are not finite: {first_value}, {last_value}"));
        }
        let figures = json!({
            "engine": engine,
            "workload": workload,
            "threads": threads,
            "versions": { engine: version },
            "ms": times[times.len() / 2],
            "min_ms": times[0],
            "n": times.len(),
            "first_s": first,
            "rss_mb": memory("VmHWM:"),
            "base_mb": base,
            "first_value": first_value,
            "last_value": last_value,
        });
        println!("{figures}");
        Ok(())
    };
    match seconds {
        Some(seconds) => turn(seconds),
        None => io::stdin().lines().try_for_each(|line| {
            let line = line.map_err(|e| format!("standard input: {e}"))?;
            turn(line.trim().parse().map_err(|_| format!("`{line}` is not a number of seconds"))?)
        }),
    }
}

/// A field of `/proc/self/status`, MB; 0 where the system does not tell.
fn memory(field: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(field));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
    kilobytes.unwrap_or(0.0) * 1024.0 / 1e6
}

/// Random numbers, the same in every run.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform from -`bound` to `bound`.
    pub fn floats(&mut self, count: usize, bound: f32) -> Vec<f32> {
        (0..count).map(|_| ((self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0) * bound).collect()
    }

    /// Whole numbers below a bound.
    pub fn integers(&mut self, count: usize, below: u64) -> Vec<i64> {
        (0..count).map(|_| (self.next() % below) as i64).collect()
    }
}

/// Input of a workload, as a prepared batch.
pub enum Input {
    /// Numbers, channels before height and width.
    Floats(Vec<f32>, Vec<usize>),
    Tokens(Vec<i64>, [usize; 2]),
}

/// The batch of a workload: the input and, one for each row of the logits, the true classes.
pub fn batch(workload: &str) -> (Input, Vec<i64>) {
    let mut random = Random::new(1);
    let mut floats = |shape: &[usize]| Input::Floats(random.floats(shape.iter().product(), 1.0), shape.to_vec());
    let (input, rows, classes) = match workload {
        "mlp_small" => (floats(&[32, 30]), 32, 2),
        "mlp" => (floats(&[128, 784]), 128, 10),
        "lenet" => (floats(&[64, 1, 28, 28]), 64, 10),
        "resnet18_cifar" => (floats(&[32, 3, 32, 32]), 32, 10),
        "resnet18_224" | "resnet18_224_infer" => (floats(&[8, 3, 224, 224]), 8, 1000),
        "dwconv" => (floats(&[16, 3, 96, 96]), 16, 10),
        "lstm" => (floats(&[32, 64, 64]), 32, 10),
        "minilm" | "minilm_infer" => (Input::Tokens(random.integers(16 * 128, 30522), [16, 128]), 16, 2),
        _ => (Input::Tokens(random.integers(8 * 256, 256), [8, 256]), 8 * 256, 256),
    };
    (input, random.integers(rows, classes))
}
