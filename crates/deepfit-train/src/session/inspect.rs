//! What is inside of a session's network.

use deepfit_nn::step::{StepKind, Traced, step_graph};

use super::Session;
use super::outputs::prediction_graph;
use crate::error::Result;
use crate::inspect::{Inspection, Subject};

impl Session {
    /// The network: layers, shapes, parameters, operations, and memory by layer. `println!("{}", session.inspect()?)` draws
    /// it as a tree.
    ///
    /// # Errors
    /// None that [`Session::new`] would not have told.
    pub fn inspect(&self) -> Result<Inspection> {
        let step = match &self.learning {
            None => None,
            Some(learning) => {
                let training = &self.options.training;
                Some(step_graph(&self.declarations, training, StepKind::Plain, |tracer| {
                    Ok(Traced { loss: (learning.loss)(tracer)?, outputs: Vec::new() })
                })?)
            }
        };
        let subject = Subject {
            forward: &*self.network,
            prediction: prediction_graph(&self.network)?,
            step,
            declarations: &self.declarations,
            maximum: self.options.maximum(),
            whole: false,
        };
        subject.inspection("a network".to_string(), Vec::new(), false)
    }
}
