//! Rounds put together: what each engine needs for each workload, and how engines compare.

use super::goals::{PYTORCH, WORKLOADS};
use super::record::{Figures, Measurement, Record};

/// Name of this project's own engine.
pub const DEEPFIT: &str = "deepfit";

/// A run and what follows from it.
#[derive(Debug, Clone, Copy)]
pub struct Summary<'a> {
    pub record: &'a Record,
}

/// What one engine needs for one workload.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// Median of the rounds' medians.
    pub ms: f64,
    /// Distance of the slowest round from the fastest as a share of `ms`.
    pub spread: f64,
    /// The most of all rounds.
    pub rss_mb: f64,
    pub base_mb: f64,
    pub first_s: f64,
    pub figures: Figures,
}

impl<'a> Summary<'a> {
    pub fn new(record: &'a Record) -> Self {
        Summary { record }
    }

    fn measurements(&self, engine: &str, workload: &str) -> impl Iterator<Item = &'a Measurement> {
        self.record.measurements.iter().filter(move |m| m.engine == engine && m.workload == workload)
    }

    /// What the engine needs; `None` where it was not measured or failed.
    pub fn cell(&self, engine: &str, workload: &str) -> Option<Cell> {
        let rounds: Vec<&Figures> = self.measurements(engine, workload).filter_map(|m| m.figures.as_ref()).collect();
        let of = |figure: fn(&Figures) -> f64| rounds.iter().map(|f| figure(f)).collect::<Vec<f64>>();
        let most = |figure: fn(&Figures) -> f64| of(figure).into_iter().fold(0.0, f64::max);
        let times = of(|f| f.ms);
        let ms = median(&times)?;
        let (slowest, fastest) =
            (times.iter().copied().fold(0.0, f64::max), times.iter().copied().fold(f64::MAX, f64::min));
        Some(Cell {
            ms,
            spread: (slowest - fastest) / ms,
            rss_mb: most(|f| f.rss_mb),
            // deepfit tells it by what it planned.
            base_mb: most(|f| if f.base_mb > 0.0 { f.base_mb } else { f.planned_mb - f.working_mb }),
            first_s: most(|f| f.first_s),
            figures: (*rounds.last()?).clone(),
        })
    }

    /// Why the engine has no figures for the workload, if it was tried.
    pub fn failure(&self, engine: &str, workload: &str) -> Option<&'a str> {
        if self.cell(engine, workload).is_some() {
            return None;
        }
        self.measurements(engine, workload).find_map(|m| m.failed.as_deref())
    }

    /// The fastest of some engines: its name and milliseconds.
    pub fn fastest(&self, engines: &[&'static str], workload: &str) -> Option<(&'static str, f64)> {
        let cells = engines.iter().filter_map(|&engine| Some((engine, self.cell(engine, workload)?.ms)));
        cells.min_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// How many times faster deepfit is than the fastest of some engines.
    pub fn ratio(&self, workload: &str, engines: &[&'static str]) -> Option<f64> {
        Some(self.fastest(engines, workload)?.1 / self.cell(DEEPFIT, workload)?.ms)
    }

    /// [`Summary::ratio`] of all workloads that have one.
    pub fn ratios(&self, engines: &[&'static str]) -> Vec<f64> {
        WORKLOADS.iter().filter_map(|w| self.ratio(w.name, engines)).collect()
    }

    /// The least memory of PyTorch's ways, MB.
    pub fn pytorch_memory(&self, workload: &str) -> Option<f64> {
        PYTORCH.iter().filter_map(|engine| Some(self.cell(engine, workload)?.rss_mb)).reduce(f64::min)
    }

    /// Memory of deepfit as a share of PyTorch's least.
    pub fn memory_share(&self, workload: &str) -> Option<f64> {
        Some(self.cell(DEEPFIT, workload)?.rss_mb / self.pytorch_memory(workload)?)
    }

    /// The best product of matrices of any engine, floating-point operations a second.
    pub fn peak_flops(&self) -> Option<f64> {
        self.best(|peak| peak.matmul_gflops).map(|gflops| gflops * 1e9)
    }

    /// Bytes a second of the best copy of memory.
    pub fn peak_bytes(&self) -> Option<f64> {
        self.best(|peak| peak.copy_gb_s).map(|gigabytes| gigabytes * 1e9)
    }

    /// The largest of a figure of the machine.
    pub fn best(&self, figure: fn(&super::record::Peak) -> f64) -> Option<f64> {
        self.record.peaks.iter().map(figure).filter(|&v| v > 0.0).reduce(f64::max)
    }

    /// Operations of the textbook a second as a share of the best product of matrices.
    pub fn share_of_peak(&self, workload: &str) -> Option<f64> {
        let cell = self.cell(DEEPFIT, workload)?;
        Some(cell.figures.flops / (cell.ms * 1e-3) / self.peak_flops()?)
    }

    /// Median of the whole processes that made one step, milliseconds.
    pub fn startup_ms(&self) -> Option<f64> {
        median(&self.record.startup_ms)
    }
}

/// The value in the middle, or the mean of the two.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}
