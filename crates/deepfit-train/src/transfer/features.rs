//! Features of all samples of a data set, from the cache where they are known, else computed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use deepfit_cpu::{Engine, ProgramId};
use deepfit_data::{Failure, FeatureSource, Features, Loader, LoaderOptions, Source};
use deepfit_graph::{DType, Extents, Tensor};
use deepfit_nn::step;

use super::backbone::Backbone;
use super::cache::Cache;
use super::network::{FEATURES, shape_after};
use crate::budget;
use crate::error::{Result, TrainError};
use crate::event::{Event, Flow, Observer};
use crate::learner::{extents, views};
use crate::process::resident_bytes;
use crate::settings::Settings;

/// Samples at a time: of images of 224 pixels, the first blocks of a network take some megabytes for each.
const BATCH: usize = 8;
/// Of texts, tokens at a time, and most texts.
const TOKENS: usize = 4096;
const TEXTS: usize = 128;
/// Name of the input of blocks that begin with features.
const INPUT: &str = "features_before";
/// Features are written this often, so that little is lost when a run is stopped.
const SAVE_INTERVAL: Duration = Duration::from_secs(10);

/// The first blocks of a backbone, ready to run.
struct Runner {
    engine: Engine,
    program: ProgramId,
    inputs: Vec<String>,
    batch: usize,
}

impl Runner {
    /// The blocks up to `blocks`, of samples of at most so many steps, or of the features that the first `from` blocks have
    /// made of them.
    fn new(
        backbone: &Backbone,
        from: Option<usize>,
        blocks: usize,
        longest: usize,
        settings: &Settings,
    ) -> Result<Runner> {
        let Settings { threads, exact, .. } = *settings;
        let batch = if longest > 1 { (TOKENS / longest).clamp(1, TEXTS) } else { BATCH };
        let (network, declarations) = backbone.network()?;
        let engine = Engine::new(threads)?.exact(exact).precision(settings.multiplies_in())?;
        let mut engine = engine.for_inference(true);
        for declaration in &declarations {
            if let Some(tensor) = backbone.weights.get(&declaration.name) {
                engine.set_parameter(&declaration.name, &tensor.shape, &tensor.values)?;
            }
        }
        let shape = from.map(|from| Ok::<_, TrainError>((from, shape_after(&*network, from)?))).transpose()?;
        let graph = step::evaluation_graph(|tracer| {
            let made = match &shape {
                Some((from, shape)) => network.through(&tracer.batch(INPUT, shape, DType::F32), *from..blocks)?,
                None => {
                    let inputs: Vec<Tensor> = network.inputs().iter().map(|slot| slot.on(tracer)).collect();
                    network.up_to(&inputs, blocks)?
                }
            };
            Ok(vec![(FEATURES.to_string(), made)])
        })?;
        let maximum = Extents { batch, sequence: longest };
        if settings.memory.is_some() {
            let needed = engine.planned_bytes(&graph, maximum)? + engine.parameter_bytes();
            budget::require(settings, resident_bytes() + needed as u64)?;
        }
        let program = engine.compile(&graph, maximum)?;
        let inputs = match from {
            Some(_) => vec![INPUT.to_string()],
            None => network.inputs().into_iter().map(|slot| slot.name).collect(),
        };
        Ok(Runner { engine, program, inputs, batch })
    }

    /// Seconds that a sample takes, by the first of some rows; 0 if none of them can be read.
    fn try_on(&mut self, source: &Arc<dyn Source>, rows: &[u32]) -> Result<f64> {
        // The first batch touches memory for the first time.
        let rows: Vec<u32> = rows.iter().copied().take(2 * self.batch).collect();
        let mut loader = Loader::new(source.clone(), rows, LoaderOptions::evaluate(self.batch, 0))?;
        let mut fastest = f64::INFINITY;
        loop {
            let now = Instant::now();
            let Some(batch) = loader.next()? else { break };
            self.engine.run(self.program, extents(&batch), &views(&self.inputs, &batch))?;
            fastest = fastest.min(now.elapsed().as_secs_f64() / batch.len.max(1) as f64);
        }
        Ok(if fastest.is_finite() { fastest } else { 0.0 })
    }
}

/// Seconds that the first blocks take for a sample.
///
/// # Errors
/// As [`forecast`].
pub fn seconds_per_sample(
    backbone: &Backbone,
    source: &Arc<dyn Source>,
    blocks: usize,
    settings: &Settings,
) -> Result<f64> {
    let mut runner = Runner::new(backbone, None, blocks, source.longest(), settings)?;
    let rows: Vec<u32> = (0..source.len() as u32).take(2 * runner.batch).collect();
    runner.try_on(source, &rows)
}

/// What computing the features of a data set will cost.
#[derive(Debug, Clone, Copy, Default)]
pub struct Forecast {
    /// Seconds for those that are not in the cache.
    pub seconds: f64,
    /// Bytes of the features, as long as the run lasts.
    pub bytes: u64,
    /// Bytes of the network that computes them, while it does.
    pub working_bytes: u64,
}

/// Tries how long features take.
///
/// # Errors
/// If the network cannot be built, or the samples that are tried cannot be read.
pub fn forecast(
    backbone: &Backbone,
    source: &FeatureSource,
    contents: &[Option<u128>],
    blocks: usize,
    settings: &Settings,
) -> Result<Forecast> {
    let bytes = source.resident_bytes() as u64;
    let cache = Cache::of_user(backbone.key(blocks, settings), source.slots()[0].values());
    let unknown = missing(contents, &cache, &mut |_, _| {});
    if unknown.is_empty() || source.is_set() {
        return Ok(Forecast { bytes, ..Forecast::default() });
    }
    let mut runner = Runner::new(backbone, None, blocks, source.base().longest(), settings)?;
    let seconds = runner.try_on(source.base(), &unknown)? * unknown.len() as f64;
    let working_bytes = (runner.engine.arena_bytes() + runner.engine.parameter_bytes()) as u64;
    Ok(Forecast { seconds, bytes, working_bytes })
}

/// Rows whose features the cache does not have, one for each content; it gives `take` what it has.
fn missing(contents: &[Option<u128>], cache: &Cache, take: &mut dyn FnMut(u128, &[f32])) -> Vec<u32> {
    let mut wanted: HashSet<u128> = contents.iter().flatten().copied().collect();
    cache.load(&mut wanted, take);
    // What is still wanted is missing.
    let is_missing = |row: &u32| contents[*row as usize].is_none_or(|content| wanted.remove(&content));
    (0..contents.len() as u32).filter(is_missing).collect()
}

/// Gives a source its features: of its samples, or `from` others, after so many blocks, which were made of these before.
/// With [`Flow::Stop`], the observer asked to stop before all were there; those that were computed are kept in the cache.
///
/// # Errors
/// If too many samples cannot be read, or features are not finite.
pub fn compute(
    backbone: &Backbone,
    source: &Arc<FeatureSource>,
    contents: &[Option<u128>],
    blocks: usize,
    from: Option<(usize, &Arc<FeatureSource>)>,
    settings: &Settings,
    observer: &mut dyn Observer,
) -> Result<Flow> {
    let width = source.slots()[0].values();
    let cache = Cache::of_user(backbone.key(blocks, settings), width);
    let mut rows_of: HashMap<u128, Vec<u32>> = HashMap::new();
    for (row, content) in contents.iter().enumerate() {
        rows_of.entry(content.unwrap_or_default()).or_default().push(row as u32);
    }
    let mut values = vec![0.0; source.len() * width];
    let missing = missing(contents, &cache, &mut |content, known| {
        for &row in rows_of.get(&content).into_iter().flatten() {
            values[row as usize * width..][..width].copy_from_slice(known);
        }
    });
    let mut failed = BTreeMap::new();
    if !missing.is_empty() {
        let mut saver = Saver { cache, unsaved: Vec::new(), at: Instant::now(), works: true };
        let longest = if from.is_some() { 1 } else { source.base().longest() };
        let mut runner = Runner::new(backbone, from.map(|(blocks, _)| blocks), blocks, longest, settings)?;
        let first: Vec<u32> = missing.clone();
        let total = missing.len();
        let samples = from.map_or_else(|| source.base().clone(), |(_, source)| source.clone() as Arc<dyn Source>);
        let workers = LoaderOptions::workers(&*samples, settings.threads);
        let mut loader = Loader::new(samples, missing, LoaderOptions::evaluate(runner.batch, workers))?;
        let (begun, mut done) = (Instant::now(), 0);
        while let Some(batch) = loader.next()? {
            let (extents, inputs) = (extents(&batch), views(&runner.inputs, &batch));
            runner.engine.run(runner.program, extents, &inputs)?;
            let made = runner.engine.output(runner.program, FEATURES)?;
            if !made.iter().all(|value| value.is_finite()) {
                let culprit = runner.engine.find_non_finite(runner.program, extents, &inputs);
                let what = culprit.map_or_else(|| "a feature".to_string(), |culprit| culprit.to_string());
                return Err(TrainError::Predictions { what });
            }
            for (&row, made) in batch.rows.iter().zip(made.chunks_exact(width)) {
                values[row as usize * width..][..width].copy_from_slice(made);
                saver.unsaved.extend(contents[row as usize].map(|content| (content, row)));
            }
            done += batch.len;
            let seconds = begun.elapsed().as_secs_f64();
            let seconds_left = seconds / done.max(1) as f64 * (total - done.min(total)) as f64;
            let event = Event::Features { done, total, per_second: done as f64 / seconds, seconds_left };
            let flow = observer.event(&event);
            if flow == Flow::Stop || saver.at.elapsed() >= SAVE_INTERVAL {
                saver.save(&values, width, observer);
            }
            if flow == Flow::Stop {
                return Ok(flow);
            }
        }
        saver.save(&values, width, observer);
        let failures: HashMap<u32, Failure> = loader.failures().map(|f| (f.row, f.clone())).collect();
        // Rows of the same content have the same features, or fail together.
        for from in first {
            let others = contents[from as usize].and_then(|content| rows_of.get(&content));
            for &row in others.unwrap_or(&vec![from]) {
                if let Some(failure) = failures.get(&from) {
                    failed.insert(row, Failure { row, ..failure.clone() });
                } else if row != from {
                    values.copy_within(from as usize * width..(from as usize + 1) * width, row as usize * width);
                }
            }
        }
    }
    source.set(Features { values, failed });
    Ok(Flow::Continue)
}

/// Writes features that are new.
struct Saver {
    cache: Cache,
    /// Contents and rows of what is not written yet.
    unsaved: Vec<(u128, u32)>,
    /// When something was last written.
    at: Instant,
    works: bool,
}

impl Saver {
    /// A cache that cannot be written costs time in the next run, not this one.
    fn save(&mut self, values: &[f32], width: usize, observer: &mut dyn Observer) {
        let of = |&(content, row): &(u128, u32)| (content, &values[row as usize * width..][..width]);
        let new: Vec<(u128, &[f32])> = self.unsaved.iter().map(of).collect();
        if self.works
            && let Err(error) = self.cache.add(&new)
        {
            self.works = false;
            let why = match error {
                TrainError::Io { path, source, .. } => format!("cannot write '{}': {source}", path.display()),
                other => other.to_string(),
            };
            let told = format!("features are not kept for the next run: {why}; DEEPFIT_CACHE names another folder");
            observer.event(&Event::Note(&told));
        }
        self.unsaved.clear();
        self.at = Instant::now();
    }
}
