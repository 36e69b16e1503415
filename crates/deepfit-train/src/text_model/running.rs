//! A network that is compiled for batches of whole texts of any length.

use std::collections::BTreeMap;

use deepfit_cpu::{Engine, ProgramId, View};
use deepfit_graph::{Extents, Graph, Tensor};
use deepfit_nn::step::evaluation_graph;
use deepfit_zoo::{Context, LENGTHS, Network, Pooling, TOKENS, pooled};

use super::{TextModel, text};
use crate::error::{Result, TrainError};

/// Output of the graphs.
const RESULT: &str = "result";
/// Tokens of a batch: so many that products are large, and so few that what is between them stays near.
pub(super) const BATCH_TOKENS: usize = 2048;
/// Texts of fewer tokens count as ones of so many where a batch's tokens are counted.
pub(super) const SHORTEST: usize = 8;

/// What is wanted of each text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// A vector of its hidden states.
    Pooled(Pooling),
    /// The result of the last layer.
    Outputs,
    /// The hidden states of its tokens, and behind them those of what fills it up.
    Hidden,
}

/// A network in use.
pub(super) struct Running {
    engine: Engine,
    network: Box<dyn Network>,
    wanted: Wanted,
    positions: usize,
    /// By the longest text that each is for.
    programs: BTreeMap<usize, ProgramId>,
    tokens: Vec<i32>,
    lengths: Vec<i32>,
}

impl Running {
    pub(super) fn new(model: &mut TextModel, wanted: Wanted, threads: usize) -> Result<Running> {
        let engine = model.engine(threads)?;
        let (network, positions) = (model.network(usize::MAX)?, model.sizes.positions);
        let (programs, tokens, lengths) = (BTreeMap::new(), Vec::new(), Vec::new());
        Ok(Running { engine, network, wanted, positions, programs, tokens, lengths })
    }

    pub(super) fn wanted(&self) -> Wanted {
        self.wanted
    }

    /// The results of texts, which all have a token at least: those of one after those of another.
    pub(super) fn run(&mut self, texts: &[&[u32]]) -> Result<&[f32]> {
        let longest = texts.iter().map(|text| text.len()).max().unwrap_or(0);
        let program = self.program(longest)?;
        self.tokens.clear();
        self.lengths.clear();
        for text in texts {
            self.tokens.extend(text.iter().map(|&id| id as i32));
            self.tokens.resize(self.tokens.len() + longest - text.len(), 0);
            self.lengths.push(text.len() as i32);
        }
        let extents = Extents { batch: texts.len(), sequence: longest };
        let views = [(TOKENS, View::I32(&self.tokens)), (LENGTHS, View::I32(&self.lengths))];
        self.engine.run(program, extents, &views)?;
        let finite = self.engine.output(program, RESULT)?.iter().all(|value| value.is_finite());
        if !finite {
            let culprit = self.engine.find_non_finite(program, extents, &views);
            let what = culprit.map_or_else(|| "a result".to_string(), |culprit| culprit.to_string());
            return Err(TrainError::Predictions { what });
        }
        Ok(self.engine.output(program, RESULT)?)
    }

    /// The program for texts of up to a length, which is made when it is needed first.
    fn program(&mut self, longest: usize) -> Result<ProgramId> {
        let rounded = longest.max(2 * SHORTEST).checked_next_power_of_two().unwrap_or(longest);
        let sequence = rounded.min(self.positions.max(longest));
        if let Some(program) = self.programs.get(&sequence) {
            return Ok(*program);
        }
        // Texts of half the length or less are another program's.
        let batch = (BATCH_TOKENS / (sequence / 2).max(1)).max(1);
        let program = self.engine.compile(&self.graph()?, Extents { batch, sequence })?;
        self.programs.insert(sequence, program);
        Ok(program)
    }

    fn graph(&self) -> Result<Graph> {
        let network = &self.network;
        Ok(evaluation_graph(|tracer| {
            let inputs: Vec<Tensor> = network.inputs().iter().map(|slot| slot.on(tracer)).collect();
            let result = match self.wanted {
                Wanted::Outputs => network.forward(&inputs)?,
                Wanted::Pooled(_) | Wanted::Hidden => {
                    let context = Context::whole(&inputs[0], &inputs[1])?;
                    let hidden = text(&**network)?.hidden(&inputs[0], &context)?;
                    if let Wanted::Pooled(pooling) = self.wanted {
                        pooled(pooling, &hidden, &inputs[1])?
                    } else {
                        hidden
                    }
                }
            };
            Ok(vec![(RESULT.to_string(), result)])
        })?)
    }
}
