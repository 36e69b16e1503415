//! Integrated gradients (Sundararajan, Taly and Yan, 2017) and SmoothGrad (Smilkov et al., 2017).
//!
//! All points of a path from a baseline to the input are rows of one batch. Numbers move along it before they reach the
//! graph; what is looked up in a table, tokens and categories, moves in the graph, where the looked up vectors are replaced
//! by points between them and the mean of the table.

use std::cell::RefCell;
use std::rc::Rc;

use deepfit_cpu::View;
use deepfit_data::Array;
use deepfit_graph::ops::{Input, ReduceKind};
use deepfit_graph::philox::Stream;
use deepfit_graph::{DType, Graph, Mode, OUTPUT, Op, Shape, Symbol, Tensor, Tracer, Value, gradients};
use deepfit_nn::step::evaluation_graph;

use crate::error::Result;
use crate::rows::Rows;
use crate::subject::{LOGITS, Subject};

/// Points of a path.
pub const STEPS: usize = 50;
/// Noisy copies of SmoothGrad, and the standard deviation of the noise beside the range of the input's values.
const NOISY: usize = 50;
const NOISE: f32 = 0.15;
/// Input of graphs: how far on its path a row is, f32 `[batch]`.
const SHARE: &str = "explain:share";
const GRADIENT: &str = "explain:gradient";
const LOOKED_UP: &str = "explain:looked up";

/// How much each value of an input has to do with an output.
#[derive(Debug, Clone)]
pub struct Integrated {
    /// For each input of the network as many values as it has; of one that is looked up in a table, one for each look-up.
    /// Empty for inputs that are neither, such as lengths.
    pub inputs: Vec<Vec<f64>>,
    /// How far their sum is from the output of the input less that of the baseline.
    pub completeness_error: f64,
}

/// A layer that looks up an input's numbers in a table.
#[derive(Debug, Clone)]
pub(crate) struct LookUp {
    pub(crate) layer: String,
    /// Name and rows of its table.
    pub(crate) table: (String, Shape),
    /// The input whose numbers these are.
    pub(crate) input: usize,
}

/// The layers that look up what the network's inputs hold, in the order in which they do.
pub(crate) fn look_ups(subject: &Subject) -> Result<Vec<LookUp>> {
    let tracer = Tracer::new(Mode::Evaluate);
    subject.network().forward(&subject.inputs(&tracer))?;
    let graph = tracer.graph();
    let name_of = |mut value: Value| loop {
        let node = &graph.nodes()[value.node];
        match &node.op {
            Op::Input(Input { name, .. }) => break Some(name.clone()),
            Op::Reshape(_) | Op::Slice(_) => value = node.inputs[0],
            _ => break None,
        }
    };
    let mut found: Vec<LookUp> = Vec::new();
    for node in graph.nodes().iter().filter(|node| matches!(node.op, Op::Embedding(_))) {
        let table = &graph.nodes()[node.inputs[0].node];
        let input = name_of(node.inputs[1]).and_then(|name| subject.names().iter().position(|known| *known == name));
        if let (Op::Parameter(parameter), Some(input)) = (&table.op, input)
            && !found.iter().any(|known| known.layer == node.layer)
        {
            let table = (parameter.name.clone(), parameter.ty.shape.clone());
            found.push(LookUp { layer: node.layer.clone(), table, input });
        }
    }
    Ok(found)
}

/// The graph of gradients with respect to all inputs that are numbers, and, summed over each vector, of what is looked up
/// times how far it is from its baseline.
fn graph(subject: &Subject, look_ups: &[LookUp]) -> Result<Graph> {
    Ok(evaluation_graph(|tracer| {
        let share = tracer.input(SHARE, Shape::new(&[Symbol::Batch]), DType::F32);
        // What was looked up, less the mean of the table.
        let distances: Vec<Rc<RefCell<Option<Tensor>>>> = look_ups.iter().map(|_| Rc::default()).collect();
        for (look_up, distance) in look_ups.iter().zip(&distances) {
            let (share, distance, (table, shape)) = (share.clone(), distance.clone(), look_up.table.clone());
            tracer.watch(&look_up.layer, OUTPUT);
            tracer.replace(&look_up.layer, move |vectors| {
                let baseline =
                    vectors.tracer().parameter(&table, shape.clone())?.reduce(ReduceKind::Mean, &[0], false)?;
                let apart = vectors.sub(&baseline)?;
                let mut dims = vec![vectors.shape().dims()[0]];
                dims.resize(vectors.shape().rank(), 1.into());
                let moved = baseline.add(&apart.mul(&share.reshape(dims)?)?)?;
                *distance.borrow_mut() = Some(apart);
                Ok(moved)
            });
        }
        let inputs = subject.inputs(tracer);
        let logits = subject.network().forward(&inputs)?;
        let loss = subject.explained(tracer, &logits)?;
        let numbers = inputs.iter().zip(subject.names()).filter(|(input, _)| input.dtype() == DType::F32);
        let (mut wanted, names): (Vec<Tensor>, Vec<&String>) =
            numbers.map(|(input, name)| (input.clone(), name)).unzip();
        let of_numbers = wanted.len();
        let watched = tracer.watched();
        let found = |look_up: &LookUp| {
            watched.iter().find(|(name, _)| *name == format!("{}.{OUTPUT}", look_up.layer)).map(|(_, found)| found)
        };
        wanted.extend(look_ups.iter().filter_map(found).cloned());
        let gradients = gradients(&loss, &wanted)?;
        let mut outputs = vec![(LOGITS.to_string(), logits)];
        for (name, gradient) in names.into_iter().zip(&gradients) {
            outputs.push((format!("{GRADIENT}.{name}"), gradient.clone()));
        }
        for (i, (gradient, distance)) in gradients[of_numbers..].iter().zip(&distances).enumerate() {
            if let Some(distance) = &*distance.borrow() {
                let last = gradient.shape().rank() - 1;
                outputs.push((
                    format!("{LOOKED_UP}.{i}"),
                    gradient.mul(distance)?.reduce(ReduceKind::Sum, &[last], false)?,
                ));
            }
        }
        Ok(outputs)
    })?)
}

/// Gradients along a path: for each input the sum over its points, with their weights.
fn along(
    subject: &mut Subject,
    points: &Rows,
    shares: &[f32],
    weights: &[f64],
    output: usize,
) -> Result<(Vec<Vec<f64>>, Vec<f64>)> {
    let look_ups = look_ups(subject)?;
    let compiled = subject.program("gradients", points, |subject| graph(subject, &look_ups))?;
    let mut sums: Vec<Vec<f64>> = vec![Vec::new(); points.inputs.len()];
    let mut outputs = Vec::with_capacity(points.len);
    let names = subject.names().to_vec();
    for begin in (0..points.len).step_by(compiled.batch) {
        let end = points.len.min(begin + compiled.batch);
        let (rows, mask) = (points.slice(begin, end), subject.mask(end - begin, output));
        let of = (crate::subject::OF, View::F32(&mask));
        let share = (SHARE, View::F32(&shares[begin..end]));
        subject.run(compiled, &rows, &[of, share])?;
        let of_row = subject.mask(1, output);
        let logits = subject.output(compiled, LOGITS)?.chunks_exact(of_row.len());
        let explained =
            |logits: &[f32]| of_row.iter().zip(logits).map(|(m, x)| f64::from(*m) * f64::from(*x)).sum::<f64>();
        outputs.extend(logits.map(explained));
        for (input, name) in names.iter().enumerate() {
            let mut parts: Vec<&[f32]> = Vec::new();
            if points.inputs[input].as_f32().is_some() {
                parts.push(subject.output(compiled, &format!("{GRADIENT}.{name}"))?);
            }
            for (i, _) in look_ups.iter().enumerate().filter(|(_, look_up)| look_up.input == input) {
                parts.push(subject.output(compiled, &format!("{LOOKED_UP}.{i}"))?);
            }
            let each: Vec<usize> = parts.iter().map(|part| part.len() / rows.len).collect();
            sums[input].resize(each.iter().sum(), 0.0);
            let mut place = 0;
            for (part, each) in parts.into_iter().zip(each) {
                for (row, weight) in part.chunks_exact(each.max(1)).zip(&weights[begin..end]) {
                    let of_part = sums[input][place..place + each].iter_mut();
                    of_part.zip(row).for_each(|(sum, &x)| *sum += weight * f64::from(x));
                }
                place += each;
            }
        }
    }
    Ok((sums, outputs))
}

/// Integrated gradients of an output at one row, along the straight path from a baseline: for inputs that are numbers the
/// baseline's, for what is looked up the mean of the table. In the unit of
/// [`Subject::gradient_unit`](crate::Subject::gradient_unit).
///
/// # Errors
/// If the network cannot be differentiated, or there is no memory for one point of the path.
pub fn integrated(subject: &mut Subject, row: &Rows, baseline: &Rows, output: usize) -> Result<Integrated> {
    let (mut shares, mut weights) = legendre(STEPS);
    // Both ends tell how far the sum is from what it should be.
    shares.extend([0.0, 1.0]);
    weights.extend([0.0, 0.0]);
    let mut points = row.repeated(shares.len());
    for (input, array) in points.inputs.iter_mut().enumerate() {
        let (end, begin) = (row.numbers(input), baseline.numbers(input));
        if let Array::F32(values) = array {
            for (values, &share) in values.chunks_exact_mut(end.len().max(1)).zip(&shares) {
                let ends = begin.iter().zip(end);
                values.iter_mut().zip(ends).for_each(|(x, (b, e))| *x = b + share as f32 * (e - b));
            }
        }
    }
    let of_rows: Vec<f32> = shares.iter().map(|&share| share as f32).collect();
    let (mut inputs, outputs) = along(subject, &points, &of_rows, &weights, output)?;
    let scale = subject.gradient_scale();
    for (input, sums) in inputs.iter_mut().enumerate() {
        let ends = baseline.numbers(input).iter().zip(row.numbers(input));
        sums.iter_mut().zip(ends).for_each(|(sum, (b, e))| *sum *= f64::from(*e) - f64::from(*b));
        sums.iter_mut().for_each(|sum| *sum *= scale);
    }
    let found: f64 = inputs.iter().flatten().sum();
    let expected = scale * (outputs[STEPS + 1] - outputs[STEPS]);
    Ok(Integrated { inputs, completeness_error: (found - expected).abs() })
}

/// The mean of an output's gradients at noisy copies of a row, for one of its inputs that are numbers.
///
/// # Errors
/// As [`integrated`].
pub fn smooth(subject: &mut Subject, row: &Rows, input: usize, output: usize) -> Result<Vec<f64>> {
    let values = row.numbers(input);
    let (least, most) = values.iter().fold((f32::MAX, f32::MIN), |(a, b), &x| (a.min(x), b.max(x)));
    let deviation = NOISE * (most - least).max(f32::EPSILON);
    let mut stream = Stream::new(0, "smoothgrad");
    let mut copies = row.repeated(NOISY);
    if let Array::F32(values) = &mut copies.inputs[input] {
        values.iter_mut().for_each(|x| *x += deviation * stream.normal());
    }
    let weights = vec![1.0 / NOISY as f64; NOISY];
    let (mut sums, _) = along(subject, &copies, &[1.0; NOISY], &weights, output)?;
    let scale = subject.gradient_scale();
    Ok(sums.swap_remove(input).into_iter().map(|sum| sum * scale).collect())
}

/// Points and weights of the quadrature of Gauss and Legendre on 0 to 1, exact for polynomials of degree `2 n - 1`.
fn legendre(n: usize) -> (Vec<f64>, Vec<f64>) {
    let one = |i: usize| {
        // Newton's method from the usual first guess of a root.
        let mut x = (std::f64::consts::PI * (i as f64 + 0.75) / (n as f64 + 0.5)).cos();
        let mut slope = 1.0;
        for _ in 0..100 {
            let (mut before, mut here) = (1.0, x);
            for k in 2..=n {
                let k = k as f64;
                (before, here) = (here, ((2.0 * k - 1.0) * x * here - (k - 1.0) * before) / k);
            }
            slope = n as f64 * (x * here - before) / (x * x - 1.0);
            let step = here / slope;
            x -= step;
            if step.abs() < 1e-15 {
                break;
            }
        }
        (0.5 * (1.0 - x), 1.0 / ((1.0 - x * x) * slope * slope))
    };
    (0..n).map(one).unzip()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quadrature_is_exact_for_polynomials() {
        for n in [2, 5, STEPS] {
            let (points, weights) = legendre(n);
            for degree in 0..2 * n as i32 {
                let found: f64 = points.iter().zip(&weights).map(|(x, w)| w * x.powi(degree)).sum();
                assert!((found - 1.0 / f64::from(degree + 1)).abs() < 1e-13, "{n} {degree}");
            }
        }
    }
}
