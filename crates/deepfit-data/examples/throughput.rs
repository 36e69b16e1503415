//! How fast data is read, as one line of JSON; `cargo xtask bench-data` runs it beside its peers.
//!
//! ```sh
//! cargo run --release -p deepfit-data --example throughput -- images FOLDER SIDE plain|augmented SECONDS
//! cargo run --release -p deepfit-data --example throughput -- table FILE THREADS SECONDS
//! ```
//!
//! Images are read on one thread: decoded, resized to a square of that side and, if asked for, augmented as colour images
//! are by default. A table is opened as for training: columns understood, values read, equal rows found.

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use deepfit_data::{Batch, OpenOptions, Pass, open};

/// Rounds that are measured at least.
const LEAST: usize = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (items, times) = match words[..] {
        ["images", folder, side, "plain", seconds] => images(folder.as_ref(), side.parse()?, false, seconds.parse()?)?,
        ["images", folder, side, "augmented", seconds] => {
            images(folder.as_ref(), side.parse()?, true, seconds.parse()?)?
        }
        ["table", file, threads, seconds] => table(file.as_ref(), threads.parse()?, seconds.parse()?)?,
        _ => return Err("usage: images FOLDER SIDE plain|augmented SECONDS, or table FILE THREADS SECONDS".into()),
    };
    let mut sorted = times.clone();
    sorted.sort_by(f64::total_cmp);
    let rate = |seconds: f64| items as f64 / seconds;
    let (median, best) = (rate(sorted[sorted.len() / 2]), rate(sorted[0]));
    println!("{}", serde_json::json!({ "per_second": median, "best": best, "n": times.len() }));
    Ok(())
}

/// Seconds of each round, of which the first is not counted.
fn rounds(seconds: f64, mut round: impl FnMut() -> deepfit_data::Result<()>) -> deepfit_data::Result<Vec<f64>> {
    round()?;
    let mut times = Vec::new();
    let start = Instant::now();
    while times.len() < LEAST || start.elapsed() < Duration::from_secs_f64(seconds) {
        let begin = Instant::now();
        round()?;
        times.push(begin.elapsed().as_secs_f64());
    }
    Ok(times)
}

fn images(folder: &Path, side: usize, augmented: bool, seconds: f64) -> deepfit_data::Result<(usize, Vec<f64>)> {
    let options = OpenOptions { image_size: Some(side), cache_bytes: 0, threads: 1, ..OpenOptions::default() };
    let data = open(folder, &options)?;
    let rows: Vec<u32> = (0..data.len() as u32).collect();
    let source = data.prepare(&rows)?.source;
    let augment = data.default_augment();
    let mut batch = Batch::new();
    let mut epoch = 0;
    let times = rounds(seconds, || {
        epoch += 1;
        let pass = if augmented { Pass::Train { seed: 1, epoch, augment: &augment } } else { Pass::Evaluate };
        rows.chunks(32).try_for_each(|rows| source.fill(rows, pass, &mut batch))
    })?;
    Ok((rows.len(), times))
}

fn table(file: &Path, threads: usize, seconds: f64) -> deepfit_data::Result<(usize, Vec<f64>)> {
    let options = OpenOptions { threads, ..OpenOptions::default() };
    let mut rows = 0;
    let times = rounds(seconds, || {
        rows = open(file, &options)?.len();
        Ok(())
    })?;
    Ok((rows, times))
}
