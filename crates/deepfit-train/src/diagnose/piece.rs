//! One training of a diagnosis, which is kept as soon as it has ended.

use std::fs;
use std::path::Path;
use std::time::Instant;

use deepfit_data::{Dataset, RowId, Split};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::error::{ErrorKind, Result, TrainError};
use crate::event::Observer;
use crate::job::{Outcome, Permutation, prepare_part};
use crate::metrics::{Intervals, Scores};
use crate::predicts::Remembered;
use crate::run_folder::{read_text, write_text};
use crate::settings::Settings;

/// What a training has reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Piece {
    /// What it was made of: another is made again.
    key: String,
    /// Why it could not be made of these rows.
    #[serde(default)]
    pub(super) problem: Option<String>,
    /// Rows for training and validation.
    pub(super) rows: usize,
    /// On the rows that it learned from.
    pub(super) train: Scores,
    /// On those that it is measured on.
    pub(super) test: Scores,
    pub(super) intervals: Intervals,
    /// Number of rows of each true class among those that it is measured on.
    #[serde(default)]
    pub(super) classes: Vec<u64>,
    /// What was predicted of these, if that is wanted: the rows, where they come from, their classes, `[rows, outputs]`.
    #[serde(default)]
    pub(super) predicted: Vec<(u32, RowId, usize)>,
    #[serde(default)]
    pub(super) probabilities: Vec<f32>,
    pub(super) seconds: f64,
}

/// How a training is made.
pub(super) struct Order<'a> {
    /// Its name, of letters and digits: of its file, too.
    pub(super) name: String,
    pub(super) settings: Settings,
    /// Whether the weights are those of the last epoch, and not of the best.
    pub(super) to_the_end: bool,
    /// Whether predictions are wanted.
    pub(super) predictions: bool,
    /// Chooses the rows.
    pub(super) divide: Divide<'a>,
}

/// Chooses rows of the data for each part, and perhaps whose target each row has.
pub(super) type Divide<'a> = &'a dyn Fn(&Dataset) -> Result<(Split, Option<Permutation>)>;

/// Makes a training in a folder, or reads what it has reached there; nothing if it was asked to stop.
///
/// # Errors
/// If numbers stop being finite, or files cannot be read or written.
pub(super) fn make(folder: &Path, order: Order<'_>, observer: &mut dyn Observer) -> Result<Option<Piece>> {
    // The result does not depend on the number of threads.
    let alike = Settings { threads: 1, ..order.settings.clone() };
    let key = format!("{:016x}", xxh3_64(format!("{}\n{}", order.name, alike.to_toml()?).as_bytes()));
    let (file, place) = (folder.join(format!("{}.json", order.name)), folder.join(&order.name));
    if let Some(piece) = known(&file, &key) {
        return Ok(Some(piece));
    }
    // What was left of one that was stopped.
    let _ = fs::remove_dir_all(&place);
    let begun = Instant::now();
    let piece = match trained(&key, order, &place, observer) {
        Ok(Some(piece)) => Piece { seconds: begun.elapsed().as_secs_f64(), ..piece },
        Ok(None) => return Ok(None),
        // Too few rows, or of one class alone, are told beside those that are enough.
        Err(error) if error.kind() == ErrorKind::Input => Piece {
            key,
            problem: Some(error.to_string()),
            rows: 0,
            train: Scores::default(),
            test: Scores::default(),
            intervals: Intervals::default(),
            classes: Vec::new(),
            predicted: Vec::new(),
            probabilities: Vec::new(),
            seconds: begun.elapsed().as_secs_f64(),
        },
        Err(error) => return Err(error),
    };
    let _ = fs::remove_dir_all(&place);
    let text = serde_json::to_string(&piece).map_err(|e| TrainError::run(&file, e.to_string()))?;
    write_text(&file, &(text + "\n"))?;
    Ok(Some(piece))
}

/// One that has ended before; a damaged file is as good as none.
fn known(file: &Path, key: &str) -> Option<Piece> {
    let piece: Piece = serde_json::from_str(&read_text(file).ok()?).ok()?;
    (piece.key == key).then_some(piece)
}

fn trained(key: &str, order: Order<'_>, place: &Path, observer: &mut dyn Observer) -> Result<Option<Piece>> {
    let Order { settings, to_the_end, predictions, divide, .. } = order;
    let mut job = prepare_part(settings, place.to_path_buf(), |data| divide(data))?;
    job.remembers = predictions;
    if to_the_end {
        job.stages.iter_mut().for_each(|stage| stage.keep_best = false);
    }
    let rows = job.split.train.len() + job.split.validation.len();
    let names = |rows: &[u32]| rows.iter().map(|&row| job.data.row_id(row)).collect::<Vec<_>>();
    let ids = if predictions { names(&job.split.test) } else { Vec::new() };
    let tested = job.split.test.clone();
    let truths = classes(&job.data, &tested)?;
    let mut report = match job.run(observer)? {
        Outcome::Finished(report) => report,
        Outcome::Interrupted { .. } => return Ok(None),
    };
    let (mut predicted, mut probabilities) = (Vec::new(), Vec::new());
    if let Some(Remembered { rows, predictions }) = report.on_test.take().map(|on_test| on_test.predictions) {
        for row in &rows {
            let at = tested.binary_search(row).unwrap_or_default();
            predicted.push((*row, ids[at].clone(), truths.get(at).copied().unwrap_or_default()));
        }
        probabilities = predictions;
    }
    let most = truths.iter().max().map_or(0, |most| most + 1);
    let mut counts = vec![0; most];
    truths.iter().for_each(|&class| counts[class] += 1);
    Ok(Some(Piece {
        key: key.to_string(),
        problem: None,
        rows,
        train: report.metrics.train,
        test: report.metrics.test,
        intervals: report.metrics.test_intervals,
        classes: counts,
        predicted,
        probabilities,
        seconds: 0.0,
    }))
}

/// The true classes of rows; none where they have no classes.
fn classes(data: &Dataset, rows: &[u32]) -> Result<Vec<usize>> {
    if !matches!(data.task(), deepfit_data::Task::Classification { .. }) || rows.is_empty() {
        return Ok(Vec::new());
    }
    let source = data.prepare(rows)?.source;
    let targets = source.targets_of(rows);
    Ok(targets.as_i32().unwrap_or_default().iter().map(|&class| class.max(0) as usize).collect())
}
