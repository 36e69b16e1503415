//! Steps of a workload while batches of images are prepared beside them, and without, in turns.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use deepfit_cpu::View;
use deepfit_data::{Loader, LoaderOptions, OpenOptions, open};
use serde::{Deserialize, Serialize};

use super::run::{Bench, median};

/// What the preparation of data costs the steps beside it. Times are medians, milliseconds.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct BesideData {
    /// A step while nothing is prepared.
    pub alone_ms: f64,
    /// A step while the next batch is prepared.
    pub beside_ms: f64,
    /// Work of processors on a batch: decoding, resizing, augmenting.
    pub worked_ms: f64,
    /// How long a batch was waited for.
    pub waited_ms: f64,
    /// Pairs of steps.
    pub n: usize,
}

impl BesideData {
    /// Steps for at least the given time, by turns with and without images of `folder` being loaded as training loads them.
    ///
    /// # Errors
    /// If the folder holds no classes of images, or a step fails.
    pub fn measure(
        bench: &mut Bench,
        batch: &[(&str, View<'_>)],
        folder: &Path,
        threads: usize,
        at_least: Duration,
    ) -> Result<BesideData> {
        let image = bench.inputs().iter().find(|(_, shape, _)| shape.len() == 4);
        let shape = image.context("the workload does not take images")?.1.clone();
        let options = OpenOptions { image_size: Some(shape[1]), cache_bytes: 0, threads, ..OpenOptions::default() };
        let data = open(folder, &options)?;
        let all: Vec<u32> = (0..data.len() as u32).collect();
        let source = data.prepare(&all)?.source;
        let workers = LoaderOptions::workers(&*source, threads);
        let options = LoaderOptions::train(shape[0], workers, 1, data.default_augment(), u32::MAX >> 1);
        let mut loader = Loader::new(source, all, options)?;
        let (mut alone, mut beside, mut waited) = (Vec::new(), Vec::new(), Vec::new());
        let mut held = loader.next()?;
        // The queue is full before the first step, and after each step beside which it was filled.
        let settle = |loader: &Loader| {
            let mut worked = None;
            while worked != Some(loader.times().worked) {
                worked = Some(loader.times().worked);
                std::thread::sleep(Duration::from_millis(20));
            }
        };
        settle(&loader);
        let before = loader.times();
        let start = Instant::now();
        while beside.len() < 3 || start.elapsed() < at_least {
            let mut step = |times: &mut Vec<f64>| -> Result<()> {
                let begun = Instant::now();
                bench.step(batch)?;
                times.push(begun.elapsed().as_secs_f64() * 1e3);
                Ok(())
            };
            step(&mut alone)?;
            // The buffer that goes back is filled beside the next step.
            let begun = Instant::now();
            drop(held.take());
            held = loader.next()?;
            waited.push(begun.elapsed().as_secs_f64() * 1e3);
            step(&mut beside)?;
            settle(&loader);
        }
        let worked = loader.times().worked.saturating_sub(before.worked).as_secs_f64() * 1e3 / beside.len() as f64;
        let n = beside.len();
        Ok(BesideData {
            alone_ms: median(alone),
            beside_ms: median(beside),
            worked_ms: worked,
            waited_ms: median(waited),
            n,
        })
    }
}
