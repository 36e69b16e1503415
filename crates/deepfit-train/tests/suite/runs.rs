//! Runs in folders of their own, and what they leave there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use deepfit_train::{Event, Flow, Observer, Outcome, Report, Settings, Silent, prepare};
use safetensors::SafeTensors;
use serde_json::Value;

/// A folder that is removed at the end.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Folder {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("deepfit-train-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The path of example data.
pub fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name)
}

/// The header and some rows of an example table.
pub fn rows_of(name: &str, rows: std::ops::Range<usize>) -> String {
    let text = fs::read_to_string(example(name)).unwrap();
    let mut lines = text.lines();
    let header = lines.next().unwrap();
    std::iter::once(header).chain(lines.skip(rows.start).take(rows.len())).map(|line| format!("{line}\n")).collect()
}

/// Settings from pairs of key and value; two threads, and of images a network of their own.
pub fn settings(data: &Path, pairs: &[(&str, &str)]) -> Settings {
    let mut settings = Settings::new(data);
    settings.threads = 2;
    settings.from = data.is_dir().then(|| "scratch".to_string());
    for (key, value) in pairs {
        settings.set(key, value).unwrap_or_else(|e| panic!("{key}={value}: {e}"));
    }
    settings
}

/// Trains to the end.
pub fn train(settings: Settings, run: &Path) -> Report {
    finished(prepare(settings, Some(run.to_path_buf())).unwrap().run(&mut Silent).unwrap())
}

/// The report of a run that has ended.
pub fn finished(outcome: Outcome) -> Report {
    match outcome {
        Outcome::Finished(report) => *report,
        Outcome::Interrupted { step, .. } => panic!("the run was interrupted at step {step}"),
    }
}

/// The message of an error that must occur.
pub fn message<T>(result: deepfit_train::Result<T>) -> String {
    match result {
        Ok(_) => panic!("an error was expected"),
        Err(error) => error.to_string(),
    }
}

pub fn model_bytes(run: &Path) -> Vec<u8> {
    fs::read(run.join("model/model.safetensors")).unwrap()
}

pub fn journal(run: &Path) -> String {
    fs::read_to_string(run.join("metrics.jsonl")).unwrap()
}

/// Epochs of a run's stage, from 1.
pub fn epochs(run: &Path, stage: u64) -> Vec<Value> {
    let lines = journal(run);
    let records = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    records.filter(|r| r["stage"].as_u64() == Some(stage)).collect()
}

/// A number in an epoch's record.
pub fn number(record: &Value, path: &str) -> f64 {
    record.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("no {path} in {record}"))
}

/// The saved weights by name.
pub fn weights(run: &Path) -> BTreeMap<String, Vec<f32>> {
    let bytes = model_bytes(run);
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let values = |data: &[u8]| data.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    file.iter().map(|(name, view)| (name.to_string(), values(view.data()))).collect()
}

/// The largest difference of any weight of two runs.
pub fn largest_difference(a: &Path, b: &Path) -> f32 {
    let (a, b) = (weights(a), weights(b));
    assert!(a.keys().eq(b.keys()));
    let pairs = a.values().flatten().zip(b.values().flatten());
    pairs.map(|(x, y)| (x - y).abs()).fold(0.0, f32::max)
}

/// Asks to stop at the `left`-th step or epoch that it is told of.
pub struct StopAfter {
    pub left: u64,
}

impl Observer for StopAfter {
    fn event(&mut self, event: &Event<'_>) -> Flow {
        if let Event::Step { .. } | Event::Epoch { .. } = event {
            self.left = self.left.saturating_sub(1);
            if self.left == 0 {
                return Flow::Stop;
            }
        }
        Flow::Continue
    }
}

/// Remembers what it is told, in short.
#[derive(Default)]
pub struct Listener {
    pub steps: u64,
    /// Name of the metric, its value, and whether it is the best so far.
    pub epochs: Vec<Option<(String, f64, bool)>>,
    pub stages: Vec<(String, u32)>,
    pub notes: Vec<String>,
}

impl Observer for Listener {
    fn event(&mut self, event: &Event<'_>) -> Flow {
        match event {
            Event::Step { .. } => self.steps += 1,
            Event::Epoch { monitored, best, .. } => {
                self.epochs.push(monitored.map(|(name, value)| (name.to_string(), value, *best)));
            }
            Event::Stage { purpose, epochs, .. } => self.stages.push((purpose.to_string(), *epochs)),
            Event::Profile(_) | Event::Features { .. } => {}
            Event::Note(note) => self.notes.push(note.to_string()),
            Event::Finding(_) | Event::FirstStep => {}
        }
        Flow::Continue
    }
}

/// An image file: uncompressed 24-bit BMP of 8 by 8 grey pixels.
pub fn bmp(pixel: impl Fn(u32, u32) -> u8) -> Vec<u8> {
    const SIDE: u32 = 8;
    let size = 54 + SIDE * SIDE * 3;
    let mut bytes = b"BM".to_vec();
    for word in [size, 0, 54, 40, SIDE, SIDE, 1 | 24 << 16, 0, SIDE * SIDE * 3, 2835, 2835, 0, 0] {
        bytes.extend(word.to_le_bytes());
    }
    for y in (0..SIDE).rev() {
        (0..SIDE).for_each(|x| bytes.extend([pixel(x, y); 3]));
    }
    bytes
}

/// A folder `images` with `count` images in each of two classes: stripes across and stripes down, at various places.
pub fn stripes(folder: &Folder, count: u32) -> PathBuf {
    for n in 0..count {
        let value = |at: u32, other: u32| ((at + n) / 2 % 2 * 150 + (other * 7 + n * 13) % 60) as u8;
        folder.write(&format!("images/across/{n:03}.bmp"), bmp(|x, y| value(y, x)));
        folder.write(&format!("images/down/{n:03}.bmp"), bmp(value));
    }
    folder.path("images")
}
