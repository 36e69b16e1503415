//! A classical model in a network's place: it predicts whatever rows it is given, and has no layers and no gradients.

use std::path::Path;

use deepfit_cpu::Engine;
use deepfit_data::{Array, Batch, DType as Stored, Preprocessor, Task};
use deepfit_graph::DType;
use deepfit_train::{ClassicalModel, ClassicalPredictor};
use deepfit_zoo::{ImageConfig, InputSlot, Network};

use crate::error::{ExplainError, Result};
use crate::method::{Kind, Method};
use crate::rows::Rows;
use crate::subject::Subject;

/// What parts of a picture are covered by: there is no mean colour of the training pictures.
const GREY: f32 = 0.5;

/// A classical model with its name.
pub(crate) struct Classical {
    name: String,
    predictor: ClassicalPredictor,
    /// Whether it says the same of every row.
    constant: bool,
    /// What the inputs hold, in their order.
    stored: Vec<Stored>,
}

/// What tells the inputs and outputs of a classical model where a network's are asked for. It adds nothing to a graph.
struct Layerless {
    inputs: Vec<InputSlot>,
    outputs: usize,
}

impl Network for Layerless {
    fn inputs(&self) -> Vec<InputSlot> {
        self.inputs.clone()
    }

    fn outputs(&self) -> usize {
        self.outputs
    }
}

/// Opens the model folder of a classical model, or the run folder that holds it.
///
/// # Errors
/// If it is damaged.
pub(crate) fn open(path: &Path, threads: usize) -> Result<Subject> {
    let model = ClassicalModel::open(path)?;
    let preprocessor = model.preprocessor().clone();
    let slots = preprocessor.slots();
    let inputs = slots.iter().map(|slot| InputSlot {
        name: slot.name.clone(),
        shape: slot.shape.clone(),
        dtype: match slot.dtype {
            Stored::U8 => DType::U8,
            Stored::I32 => DType::I32,
            Stored::F32 => DType::F32,
        },
        sequence: slot.sequence,
    });
    let network = Layerless { inputs: inputs.collect(), outputs: preprocessor.task().outputs() };
    let image = match &preprocessor {
        Preprocessor::Image(image) => {
            let config = ImageConfig::new(image.height, image.width, image.channels);
            Some(config.normalised(vec![GREY; image.channels], vec![1.0; image.channels]))
        }
        Preprocessor::Table(_) | Preprocessor::Text(_) => None,
    };
    let name = model.name().to_string();
    let stored = slots.iter().map(|slot| slot.dtype).collect();
    let constant = model.is_constant();
    let classical = Classical { name, predictor: model.into_predictor(path, threads)?, constant, stored };
    Ok(Subject::of_classical(Box::new(network), preprocessor, Engine::new(1)?, image, classical))
}

impl Classical {
    /// Fails for methods that look into a network, and for those that are not for what the model takes.
    pub(crate) fn require(&self, method: Method, kind: Kind) -> Result<()> {
        let of_network = |method: Method| match method {
            Method::Occlusion | Method::Shapley | Method::Permutation | Method::Counterfactual => false,
            Method::GradCam
            | Method::IntegratedGradients
            | Method::SmoothGrad
            | Method::AttentionRollout
            | Method::Neighbours => true,
        };
        if !of_network(method) && method.is_for(kind) {
            return Ok(());
        }
        let able = Method::ALL.iter().filter(|(method, ..)| method.is_for(kind) && !of_network(*method));
        let able = able.map(|(_, name, _)| *name).collect::<Vec<_>>().join(", ");
        let name = &self.name;
        Err(ExplainError::asked(match method {
            // One that asks its neighbours has them, but not as this method does.
            Method::Neighbours => format!(
                "{name} is no network: {method} are the training examples that look most alike to a network's last layer, which it \
                 does not have. A nearest-neighbours model keeps the numbers of its training rows, and not which rows they were; \
                 for {kind} there are {able}"
            ),
            _ if !of_network(method) => format!("{method} is not for a model of {kind}; for {name} there are {able}"),
            _ => format!(
                "{name} is no network, and has no layers and no gradients, by which {method} explains; leave --method away, or \
                 take one of those for {kind}: {able}"
            ),
        }))
    }

    /// Fails for a model that looks at nothing, of which there is nothing to explain.
    pub(crate) fn require_a_view(&self, task: &Task) -> Result<()> {
        if !self.constant {
            return Ok(());
        }
        let what = if task.is_classification() {
            "gives every class the same probability in all rows"
        } else {
            "says the same of all rows"
        };
        Err(ExplainError::asked(format!(
            "{} {what}, whatever is in them: it looks at nothing, so that there is nothing to explain, and no change leads to \
             another answer",
            self.name
        )))
    }

    /// Logits, or standardised values, of each row.
    pub(crate) fn logits(&mut self, rows: &Rows, outputs: usize) -> Result<Vec<Vec<f32>>> {
        let mut all = Vec::with_capacity(rows.len);
        let step = self.predictor.batch().max(1);
        for begin in (0..rows.len).step_by(step) {
            let part = rows.slice(begin, rows.len.min(begin + step));
            let inputs = part.inputs.into_iter().zip(&self.stored).map(|(array, stored)| match (array, stored) {
                // Pixels are numbers from 0 to 1 while variants of them are made.
                (Array::F32(values), Stored::U8) => {
                    Array::U8(values.into_iter().map(|x| (x * 255.0).round().clamp(0.0, 255.0) as u8).collect())
                }
                (other, _) => other,
            });
            let inputs = inputs.collect();
            let batch = Batch { len: part.len, sequence: part.sequence, inputs, ..Batch::new() };
            all.extend(self.predictor.logits(&batch)?.chunks_exact(outputs).map(<[f32]>::to_vec));
        }
        Ok(all)
    }
}
