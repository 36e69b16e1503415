//! Texts of which words or tokens are replaced by the mean of all: their number and places stay, so that what is explained, such
//! as the label of another word, is still there.

use deepfit_cpu::View;
use deepfit_graph::ops::ReduceKind;
use deepfit_graph::{DType, Graph, Shape, Symbol};
use deepfit_nn::step::evaluation_graph;
use deepfit_zoo::TOKENS;

use crate::error::{ExplainError, Result};
use crate::gradients::{LookUp, look_ups};
use crate::removal::Removal;
use crate::rows::Rows;
use crate::subject::{LOGITS, Subject, Unit};

/// Input of the graph: 1 for tokens that are kept, 0 for others, f32 `[batch, sequence]`.
const KEPT: &str = "explain:kept";

/// A text whose parts are replaced.
pub(super) struct Replaced<'a> {
    /// The network.
    pub subject: &'a mut Subject,
    /// Its inputs, of one row.
    pub row: &'a Rows,
    /// Places of the tokens of each part.
    pub parts: Vec<Vec<usize>>,
    /// What is explained.
    pub output: usize,
    /// In which unit.
    pub unit: Unit,
}

/// The network with vectors of tokens replaced by the mean of their table.
fn graph(subject: &Subject, look_ups: &[LookUp]) -> Result<Graph> {
    Ok(evaluation_graph(|tracer| {
        let kept = tracer.input(KEPT, Shape::new(&[Symbol::Batch, Symbol::Sequence]), DType::F32);
        for look_up in look_ups {
            let (kept, (table, shape)) = (kept.clone(), look_up.table.clone());
            tracer.replace(&look_up.layer, move |vectors| {
                let mean = vectors.tracer().parameter(&table, shape.clone())?.reduce(ReduceKind::Mean, &[0], false)?;
                let dims = vectors.shape().dims();
                let kept = kept.reshape(vec![dims[0], dims[1], 1.into()])?;
                Ok(mean.add(&vectors.sub(&mean)?.mul(&kept)?)?)
            });
        }
        let logits = subject.network().forward(&subject.inputs(tracer))?;
        Ok(vec![(LOGITS.to_string(), logits)])
    })?)
}

impl Removal for Replaced<'_> {
    fn parts(&self) -> usize {
        self.parts.len()
    }

    fn scores(&mut self, kept: &[Vec<bool>]) -> Result<Vec<f64>> {
        let tokens = self.subject.names().iter().position(|name| name == TOKENS);
        let mut look_ups = look_ups(self.subject)?;
        look_ups.retain(|look_up| Some(look_up.input) == tokens);
        if look_ups.is_empty() {
            return Err(ExplainError::asked("the network looks up no vectors of words, so that none can be left out"));
        }
        let rows = self.row.repeated(kept.len());
        let sequence = rows.sequence;
        let mut shares = vec![1.0_f32; kept.len() * sequence];
        for (shares, kept) in shares.chunks_exact_mut(sequence).zip(kept) {
            for (tokens, _) in self.parts.iter().zip(kept).filter(|(_, kept)| !**kept) {
                tokens.iter().for_each(|&token| shares[token] = 0.0);
            }
        }
        let compiled = self.subject.program("replaced", &rows, |subject| graph(subject, &look_ups))?;
        let width = self.subject.network().outputs().max(1);
        let mut scores = Vec::with_capacity(kept.len());
        for begin in (0..rows.len).step_by(compiled.batch) {
            let end = rows.len.min(begin + compiled.batch);
            let of_rows = (KEPT, View::F32(&shares[begin * sequence..end * sequence]));
            self.subject.run(compiled, &rows.slice(begin, end), &[of_rows])?;
            let logits = self.subject.output(compiled, LOGITS)?.to_vec();
            scores.extend(logits.chunks_exact(width).map(|row| self.subject.score(row, self.output, self.unit)));
        }
        Ok(scores)
    }
}
