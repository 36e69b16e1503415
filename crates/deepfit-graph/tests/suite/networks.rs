//! Networks that learn, as graphs: forward, backward, clipping, updates.

use deepfit_graph::interpret::Environment;
use deepfit_graph::ops::{Adam, Conv2dAttributes, Sgd, Window};
use deepfit_graph::philox::Stream;
use deepfit_graph::{
    DType, Extents, Graph, HostTensor, Mode, Op, RANDOM_KEY, Reference, Result, Shape, Tensor, Tracer, gradients,
};

/// What updates the parameters.
#[derive(Clone, Copy, PartialEq)]
pub enum Optimizer {
    Momentum,
    Adam,
}

/// Adds the step of an optimiser, with the limit on the global norm if wanted, behind a guard on the loss.
pub fn learn(loss: &Tensor, parameters: &[Tensor], optimizer: Optimizer, clip: bool) -> Result<()> {
    let tracer = loss.tracer();
    tracer.guard(loss)?;
    let mut found = gradients(loss, parameters)?;
    if clip {
        let mut total = tracer.scalar(0.0);
        for gradient in &found {
            total = total.add(&gradient.square()?.sum()?)?;
        }
        let norm = total.sqrt()?;
        tracer.guard(&norm)?;
        tracer.output("norm", &norm);
        let scale = tracer.scalar(1.0).minimum(&norm.add_scalar(1e-6)?.recip()?)?;
        found = found.iter().map(|g| g.mul(&scale)).collect::<Result<_>>()?;
    }
    let rate = tracer.input("rate", Shape::scalar(), DType::F32);
    let step = tracer.input("step", Shape::scalar(), DType::F32);
    for (i, (parameter, gradient)) in parameters.iter().zip(&found).enumerate() {
        let state = |kind: &str| tracer.parameter(&format!("{kind}.{i}"), parameter.shape().clone());
        let new = match optimizer {
            Optimizer::Momentum => {
                let op = Sgd { momentum: 0.9, nesterov: true, weight_decay: 0.01 };
                tracer.apply_one(op, &[parameter, gradient, &state("velocity")?, &rate])?
            }
            Optimizer::Adam => {
                let op = Adam { betas: (0.9, 0.999), epsilon: 1e-8, weight_decay: 0.01, decoupled: true };
                tracer.apply_one(op, &[parameter, gradient, &state("first")?, &state("second")?, &rate, &step])?
            }
        };
        // A moving average of the weights.
        let average = state("average")?;
        average.assign(&average.mul_scalar(0.99)?.add(&new.mul_scalar(0.01)?)?)?;
    }
    Ok(())
}

/// A small network on images of bytes that has every kind of layer: convolutions with a residual connection, batch
/// normalisation with running statistics, pooling, dropout, and a classifier with weighted, smoothed cross-entropy.
pub fn image_network(optimizer: Optimizer, clip: bool) -> Graph {
    build_image_network(optimizer, clip).expect("the network is sound")
}

fn build_image_network(optimizer: Optimizer, clip: bool) -> Result<Graph> {
    let tracer = Tracer::new(Mode::Train);
    let image = tracer.input("image", Shape::batch_of(&[6, 6, 3]), DType::U8);
    let label = tracer.input("label", Shape::batch_of(&[]), DType::I32);
    let mut parameters = Vec::new();
    let mut parameter = |name: &str, shape: &[usize]| -> Result<Tensor> {
        let tensor = tracer.parameter(name, shape)?;
        parameters.push(tensor.clone());
        Ok(tensor)
    };
    let row = |values: [f32; 3]| tracer.constant(HostTensor::f32(&[3], values.to_vec()));
    let (mean, deviation) = (row([0.5, 0.25, 0.125]), row([0.5, 2.0, 0.25]));
    let x = image.to_f32()?.mul_scalar(1.0 / 256.0)?.sub(&mean)?.div(&deviation)?;

    let padded = Conv2dAttributes { padding: (1, 1), ..Conv2dAttributes::default() };
    let x = x.conv2d(&parameter("stem.weight", &[4, 3, 3, 3])?, padded)?;
    let x = x.add(&parameter("stem.bias", &[4])?)?.relu()?;
    let y = x.conv2d(&parameter("block.weight", &[4, 4, 3, 3])?, padded)?;
    let y = y.add(&parameter("block.bias", &[4])?)?.add(&x)?.relu()?;

    let scale = parameter("norm.weight", &[4])?;
    let (y, mean, variance) = y.batch_norm(&scale, &parameter("norm.bias", &[4])?, 1e-5)?;
    for (name, new) in [("norm.running_mean", &mean), ("norm.running_var", &variance)] {
        let running = tracer.parameter(name, [4])?;
        running.assign(&running.add(&new.sub(&running)?.mul_scalar(0.1)?)?)?;
    }
    let y = y.max_pool2d(Window::square(2))?.flatten()?.dropout(0.25)?;
    let y = y.matmul_with(&parameter("hidden.weight", &[5, 36])?, false, true)?;
    let y = y.add(&parameter("hidden.bias", &[5])?)?;
    let y = y.mul(&y.sigmoid()?)?.dropout(0.5)?;
    let logits = y.matmul_with(&parameter("head.weight", &[3, 5])?, false, true)?;
    let logits = logits.add(&parameter("head.bias", &[3])?)?;
    tracer.output("logits", &logits);

    let weights = tracer.constant(HostTensor::f32(&[3], vec![0.5, 1.0, 2.0]));
    let total = weights.lookup(&label)?.sum()?;
    let loss = logits.cross_entropy(&label, Some(&weights), 0.1)?.sum()?.div(&total)?;
    tracer.output("loss", &loss);
    learn(&loss, &parameters, optimizer, clip)?;
    Ok(tracer.graph())
}

/// A deep network of square layers on a batch of rows.
pub fn deep_network(layers: usize, width: usize, optimizer: Optimizer, clip: bool) -> Graph {
    build_deep_network(layers, width, optimizer, clip).expect("the network is sound")
}

fn build_deep_network(layers: usize, width: usize, optimizer: Optimizer, clip: bool) -> Result<Graph> {
    let tracer = Tracer::new(Mode::Train);
    let mut x = tracer.input("x", Shape::batch_of(&[width]), DType::F32);
    let mut parameters = Vec::new();
    for i in 0..layers {
        let weight = tracer.parameter(&format!("{i}.weight"), [width, width])?;
        let bias = tracer.parameter(&format!("{i}.bias"), [width])?;
        x = x.matmul_with(&weight, false, true)?.add(&bias)?.tanh()?;
        parameters.extend([weight, bias]);
    }
    let loss = x.square()?.mean()?;
    tracer.output("loss", &loss);
    learn(&loss, &parameters, optimizer, clip)?;
    Ok(tracer.graph())
}

/// Values for all inputs and parameters of a graph, different for each name and the same in each run.
pub fn values_for(graph: &Graph, extents: &Extents) -> Environment {
    let mut given = Environment::new();
    for node in graph.nodes() {
        let (name, ty) = match &node.op {
            Op::Input(input) => (&input.name, &input.ty),
            Op::Parameter(parameter) => (&parameter.name, &parameter.ty),
            _ => continue,
        };
        let mut stream = Stream::new(7, name);
        let shape = ty.shape.resolve(extents);
        let mut draw = || -> f64 {
            match (ty.dtype, name.as_str()) {
                (_, RANDOM_KEY) => f64::from(stream.next_u32() as i32),
                (DType::U8, _) => f64::from(stream.next_u32() % 256),
                (DType::I32, _) => f64::from(stream.next_u32() % 3),
                (DType::F32, "step") => 3.0,
                (DType::F32, _) if name.starts_with("second") || name.contains("var") || name == "rate" => {
                    f64::from(0.1 + stream.uniform())
                }
                (DType::F32, _) => f64::from(stream.uniform() - 0.5),
            }
        };
        let data = (0..shape.iter().product()).map(|_| draw()).collect();
        given.insert(name.clone(), Reference::new(&shape, data));
    }
    given
}
