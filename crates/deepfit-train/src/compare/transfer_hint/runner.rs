//! A network in use on rows of the data: the published one, or one that knows nothing.

use std::sync::Arc;

use deepfit_cpu::{Engine, ProgramId};
use deepfit_data::{Batch, Loader, LoaderOptions, Source};
use deepfit_graph::{Extents, Tensor, Tracer};
use deepfit_nn::step;
use deepfit_zoo::Network;

use crate::error::Result;
use crate::learner::{extents, views};
use crate::settings::Settings;

/// Samples at a time; of texts, tokens at a time.
const BATCH: usize = 8;
const TOKENS: usize = 4096;
const TEXTS: usize = 128;

/// A network with its weights, compiled.
pub(super) struct Runner {
    engine: Engine,
    program: ProgramId,
    inputs: Vec<String>,
    batch: usize,
}

/// What a batch gave.
pub(super) struct Ran<'a> {
    pub(super) batch: &'a Batch,
    engine: &'a Engine,
    program: ProgramId,
}

impl Ran<'_> {
    /// An output by its name.
    pub(super) fn output(&self, name: &str) -> Result<&[f32]> {
        Ok(self.engine.output(self.program, name)?)
    }
}

impl Runner {
    /// A network for samples of at most so many steps, with weights by name, shape and values, and the outputs that are made
    /// of its inputs.
    ///
    /// # Errors
    /// If the weights do not fit, or it cannot be compiled.
    pub(super) fn new<'a>(
        network: &dyn Network,
        weights: impl Iterator<Item = (&'a str, &'a [usize], &'a [f32])>,
        longest: usize,
        settings: &Settings,
        outputs: impl FnOnce(&Tracer, &[Tensor]) -> deepfit_nn::Result<Vec<(String, Tensor)>>,
    ) -> Result<Runner> {
        let batch = if longest > 1 { (TOKENS / longest).clamp(1, TEXTS) } else { BATCH };
        let mut engine = Engine::new(settings.threads)?.exact(settings.exact).for_inference(true);
        for (name, shape, values) in weights {
            engine.set_parameter(name, shape, values)?;
        }
        let graph = step::evaluation_graph(|tracer| {
            let inputs: Vec<Tensor> = network.inputs().iter().map(|slot| slot.on(tracer)).collect();
            outputs(tracer, &inputs)
        })?;
        let program = engine.compile(&graph, Extents { batch, sequence: longest })?;
        let inputs = network.inputs().into_iter().map(|slot| slot.name).collect();
        Ok(Runner { engine, program, inputs, batch })
    }

    /// Runs the rows; `take` has what each batch gave, and says whether to go on. Whether all have run.
    ///
    /// # Errors
    /// If too many rows cannot be read, or `take` fails.
    pub(super) fn each(
        &mut self,
        source: &Arc<dyn Source>,
        rows: &[u32],
        take: &mut dyn FnMut(Ran<'_>) -> Result<bool>,
    ) -> Result<bool> {
        let mut loader = Loader::new(source.clone(), rows.to_vec(), LoaderOptions::evaluate(self.batch, 0))?;
        while let Some(batch) = loader.next()? {
            self.engine.run(self.program, extents(&batch), &views(&self.inputs, &batch))?;
            if !take(Ran { batch: &batch, engine: &self.engine, program: self.program })? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
