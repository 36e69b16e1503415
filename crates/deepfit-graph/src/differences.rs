//! The derivative of an operation against central differences of its f64 reference, on a sample.

use crate::autodiff::gradients;
use crate::error::{GraphError, Result};
use crate::graph::{Graph, Value};
use crate::host::Reference;
use crate::interpret::{self, Environment};
use crate::sample::{Sample, uniform};
use crate::shape::{DType, Extents, Shape};
use crate::trace::{Mode, Tensor, Tracer};

/// Largest error of a derivative, relative to its largest element (at least 1).
const TOLERANCE: f64 = 1e-6;

/// Compares the derivative of a weighted sum of the first output with respect to each floating-point input, and returns the
/// inputs that the operation refuses to be differentiated by. A sample without gradient is not looked at.
///
/// # Errors
/// In words, which element differs, or why the operation cannot be traced or differentiated at all.
pub fn check(sample: &Sample) -> Result<Vec<usize>, String> {
    if !sample.gradient {
        return Ok(Vec::new());
    }
    let in_words = |e: GraphError| format!("{}: {e}", sample.op.name());
    let tracer = Tracer::new(Mode::Train);
    let (inputs, mut environment) = inputs(&tracer, sample).map_err(in_words)?;
    let loss = weighted_sum(&tracer, sample, &inputs, &mut environment).map_err(in_words)?;
    let forward = tracer.graph();
    let mut refused = Vec::new();
    let mut floating = 0;
    for (i, input) in inputs.iter().enumerate().filter(|(_, input)| input.dtype() == DType::F32) {
        floating += 1;
        let analytic = match gradients(&loss, std::slice::from_ref(input)) {
            Ok(found) => evaluate(&tracer.graph(), found[0].value(), &environment)?,
            // By contract the derivative is zero, which the differences must confirm.
            Err(GraphError::Unreachable { .. }) => Reference::full(sample.inputs[i].shape(), 0.0),
            Err(GraphError::NoDerivative { input, .. }) if input == i => {
                refused.push(i);
                continue;
            }
            Err(other) => return Err(in_words(other)),
        };
        let numeric = central_differences(&environment[&name(i)], |x| {
            let mut given = environment.clone();
            given.insert(name(i), x.clone());
            Ok(evaluate(&forward, loss.value(), &given)?.data[0])
        })?;
        compare(&analytic, &numeric).map_err(|p| format!("{}, derivative by input {i}: {p}", sample.op.name()))?;
    }
    if floating > 0 && refused.len() == floating {
        let problem = "has no derivative: give it one, or mark its samples with `without_gradient`";
        return Err(format!("{} {problem}", sample.op.name()));
    }
    Ok(refused)
}

fn name(input: usize) -> String {
    format!("x{input}")
}

fn inputs(tracer: &Tracer, sample: &Sample) -> Result<(Vec<Tensor>, Environment)> {
    let mut environment = Environment::new();
    let mut tensors = Vec::new();
    for (i, value) in sample.inputs.iter().enumerate() {
        let shape = Shape::from(value.shape());
        tensors.push(match value.data().dtype() {
            DType::F32 => tracer.parameter(&name(i), shape)?,
            other => tracer.input(&name(i), shape, other),
        });
        environment.insert(name(i), value.to_reference());
    }
    Ok((tensors, environment))
}

/// Each element of the first output has a weight of its own that is not 0: a sum alone hides errors that cancel.
fn weighted_sum(tracer: &Tracer, sample: &Sample, inputs: &[Tensor], environment: &mut Environment) -> Result<Tensor> {
    let outputs = tracer.apply(sample.op.clone(), &inputs.iter().collect::<Vec<_>>())?;
    let lengths = outputs[0].shape().resolve(&Extents::batch(1));
    let mut weights = uniform(&lengths, 0.5, 1.5, 99).to_reference();
    weights.data.iter_mut().skip(1).step_by(3).for_each(|w| *w = -*w);
    environment.insert("weights".to_string(), weights);
    tracer.parameter("weights", outputs[0].shape().clone())?.mul(&outputs[0])?.sum()
}

fn evaluate(graph: &Graph, value: Value, environment: &Environment) -> Result<Reference, String> {
    let values = interpret::run(graph, Extents::batch(1), environment, &mut environment.clone())?;
    Ok(values.get(value).clone())
}

fn central_differences(
    x: &Reference,
    mut f: impl FnMut(&Reference) -> Result<f64, String>,
) -> Result<Reference, String> {
    let mut gradient = Reference::full(&x.shape, 0.0);
    let mut moved = x.clone();
    for i in 0..x.data.len() {
        let h = 1e-5 * x.data[i].abs().max(1.0);
        moved.data[i] = x.data[i] + h;
        let above = f(&moved)?;
        moved.data[i] = x.data[i] - h;
        gradient.data[i] = (above - f(&moved)?) / (2.0 * h);
        moved.data[i] = x.data[i];
    }
    Ok(gradient)
}

fn compare(analytic: &Reference, numeric: &Reference) -> Result<(), String> {
    if analytic.shape != numeric.shape {
        return Err(format!("it has shape {:?}, not {:?}", analytic.shape, numeric.shape));
    }
    let scale = numeric.data.iter().filter(|v| v.is_finite()).fold(1.0, |m: f64, v| m.max(v.abs()));
    for (i, (a, n)) in analytic.data.iter().zip(&numeric.data).enumerate() {
        let equal = a == n || (a.is_nan() && n.is_nan()) || (a - n).abs() <= TOLERANCE * scale;
        if !equal {
            return Err(format!("element {i} is {a:e}, central differences say {n:e}"));
        }
    }
    Ok(())
}
