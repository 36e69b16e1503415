//! Samples as graphs, and runs of graphs in f64.

use deepfit_graph::interpret::{Environment, Values, run};
use deepfit_graph::sample::{Sample, uniform};
use deepfit_graph::{DType, Dim, Extents, Graph, Mode, Op, Reference, Result, Shape, Symbol, Tensor, Tracer};

/// A sample as a graph: floating-point inputs are parameters `x0`, `x1`, ..., others are inputs of these names.
pub struct Case {
    pub tracer: Tracer,
    pub inputs: Vec<Tensor>,
    pub outputs: Vec<Tensor>,
    pub environment: Environment,
}

impl Case {
    /// The sample with all axes fixed.
    pub fn fixed(sample: &Sample) -> Result<Case> {
        Case::new(sample, |_, shape| Shape::from(shape))
    }

    /// The sample with the batch in place of the first axis of the inputs that it marks.
    pub fn batched(sample: &Sample) -> Result<Case> {
        Case::new(sample, |i, shape| {
            let mut dims: Vec<Dim> = shape.iter().map(|&n| Dim::fixed(n)).collect();
            if sample.batched[i] {
                dims[0] = Dim::symbol(Symbol::Batch);
            }
            dims.into()
        })
    }

    fn new(sample: &Sample, shape: impl Fn(usize, &[usize]) -> Shape) -> Result<Case> {
        let tracer = Tracer::new(Mode::Train);
        let mut inputs = Vec::new();
        let mut environment = Environment::new();
        for (i, value) in sample.inputs.iter().enumerate() {
            let (name, shape) = (format!("x{i}"), shape(i, value.shape()));
            inputs.push(match value.data().dtype() {
                DType::F32 => tracer.parameter(&name, shape)?,
                other => tracer.input(&name, shape, other),
            });
            environment.insert(name, value.to_reference());
        }
        let outputs = tracer.apply(sample.op.clone(), &inputs.iter().collect::<Vec<_>>())?;
        Ok(Case { tracer, inputs, outputs, environment })
    }

    /// The sum of a value's elements, each with a weight of its own that is not 0, given by the name.
    pub fn weighted_sum(&mut self, name: &str, output: &Tensor, lengths: &[usize]) -> Result<Tensor> {
        let mut weights = uniform(lengths, 0.5, 1.5, 99).to_reference();
        weights.data.iter_mut().skip(1).step_by(3).for_each(|w| *w = -*w);
        self.environment.insert(name.to_string(), weights);
        // A parameter, since a constant cannot have a batch axis.
        self.tracer.parameter(name, output.shape().clone())?.mul(output)?.sum()
    }
}

/// Runs a graph on values that serve as inputs and as parameters; returns all values and the parameters afterwards.
pub fn interpret(graph: &Graph, extents: Extents, given: &Environment) -> (Values, Environment) {
    let mut parameters = given.clone();
    let values = run(graph, extents, given, &mut parameters).expect("everything is given");
    (values, parameters)
}

/// Asserts that two arrays are equal but for a relative error; NaN equals NaN.
pub fn assert_close(what: &str, actual: &Reference, expected: &Reference, tolerance: f64) {
    assert_eq!(actual.shape, expected.shape, "{what}: shape");
    let scale = expected.data.iter().filter(|v| v.is_finite()).fold(1.0, |m: f64, v| m.max(v.abs()));
    for (i, (a, e)) in actual.data.iter().zip(&expected.data).enumerate() {
        let equal = a == e || (a.is_nan() && e.is_nan()) || (a - e).abs() <= tolerance * scale;
        assert!(equal, "{what}: element {i} is {a}, not {e}");
    }
}

/// All samples with a name that says which one it is.
pub fn samples() -> Vec<(String, &'static str, Sample)> {
    let mut list = Vec::new();
    for (kind, samples) in Op::all_samples() {
        for (i, sample) in samples.into_iter().enumerate() {
            let shapes: Vec<&[usize]> = sample.inputs.iter().map(|x| x.shape()).collect();
            list.push((format!("{kind} sample {i} ({:?}) {shapes:?}", sample.op), kind, sample));
        }
    }
    list
}
