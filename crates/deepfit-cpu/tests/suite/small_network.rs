//! A small network with a bit of everything: convolution, normalisation, dropout, matrix product, Adam.

use deepfit_cpu::{Engine, ProgramId, View};
use deepfit_graph::ops::{Adam, Conv2dAttributes};
use deepfit_graph::{DType, Extents, Graph, Mode, RANDOM_KEY, Result, Shape, Symbol, Tensor, Tracer, gradients};

/// Height, width and channels of the images.
pub const IMAGE: [usize; 3] = [6, 5, 2];
pub const CLASSES: usize = 3;
const CHANNELS: usize = 4;
const FEATURES: usize = IMAGE[0] * IMAGE[1] * CHANNELS;

/// Trained parameters.
pub const TRAINED: [(&str, &[usize]); 5] = [
    ("conv.weight", &[CHANNELS, IMAGE[2], 3, 3]),
    ("norm.weight", &[CHANNELS]),
    ("norm.bias", &[CHANNELS]),
    ("output.weight", &[FEATURES, CLASSES]),
    ("output.bias", &[CLASSES]),
];

fn parameter(tracer: &Tracer, name: &str) -> Result<Tensor> {
    let (_, shape) = TRAINED.iter().find(|(known, _)| *known == name).expect("a parameter of the network");
    tracer.parameter(name, *shape)
}

fn logits(tracer: &Tracer) -> Result<(Tensor, Option<Tensor>)> {
    let image = tracer.input("image", Shape::batch_of(&IMAGE), DType::F32);
    let same = Conv2dAttributes { padding: (1, 1), ..Conv2dAttributes::default() };
    let x = tracer.in_layer("conv", || image.conv2d(&parameter(tracer, "conv.weight")?, same))?;
    let scale = parameter(tracer, "norm.weight")?;
    let shift = parameter(tracer, "norm.bias")?;
    let (x, mean) = tracer.in_layer("norm", || match tracer.mode() {
        Mode::Train => x.batch_norm(&scale, &shift, 1e-5).map(|(y, mean, _)| (y, Some(mean))),
        Mode::Evaluate => {
            let mean = tracer.parameter("norm.running_mean", [CHANNELS])?;
            Ok((x.sub(&mean)?.mul(&scale)?.add(&shift)?, None))
        }
    })?;
    let x = x.relu()?;
    let x = if tracer.mode() == Mode::Train { tracer.in_layer("dropout", || x.dropout(0.25))? } else { x };
    let logits = tracer.in_layer("output", || {
        x.flatten()?.matmul(&parameter(tracer, "output.weight")?)?.add(&parameter(tracer, "output.bias")?)
    })?;
    Ok((logits, mean))
}

fn training_step(tracer: &Tracer) -> Result<()> {
    let (logits, mean) = logits(tracer)?;
    let target = tracer.input("target", Shape::new(&[Symbol::Batch]), DType::I32);
    let loss = tracer.in_layer("loss", || logits.cross_entropy(&target, None, 0.0)?.mean())?;
    tracer.output("loss", &loss);
    tracer.guard(&loss)?;
    let running = tracer.parameter("norm.running_mean", [CHANNELS])?;
    let step = mean.expect("training has batch statistics").sub(&running)?.mul_scalar(0.1)?;
    running.assign(&running.add(&step)?)?;
    let values = TRAINED.iter().map(|(name, _)| parameter(tracer, name)).collect::<Result<Vec<_>>>()?;
    let found = gradients(&loss, &values)?;
    let (rate, step) =
        (tracer.input("learning_rate", Shape::scalar(), DType::F32), tracer.input("step", Shape::scalar(), DType::F32));
    for (((name, shape), value), gradient) in TRAINED.iter().zip(&values).zip(&found) {
        let first = tracer.parameter(&format!("first.{name}"), *shape)?;
        let second = tracer.parameter(&format!("second.{name}"), *shape)?;
        let adam = Adam { betas: (0.9, 0.999), epsilon: 1e-8, weight_decay: 0.01, decoupled: true };
        tracer.in_layer(name, || tracer.apply(adam, &[value, gradient, &first, &second, &rate, &step]))?;
    }
    Ok(())
}

/// A training step; inputs `image`, `target`, the random key, `learning_rate` and `step`; output `loss`.
pub fn training() -> Graph {
    let tracer = Tracer::new(Mode::Train);
    training_step(&tracer).expect("the shapes fit");
    tracer.graph()
}

/// The network in use; input `image`, output `logits`.
pub fn evaluating() -> Graph {
    let tracer = Tracer::new(Mode::Evaluate);
    let (logits, _) = logits(&tracer).expect("the shapes fit");
    tracer.output("logits", &logits);
    tracer.graph()
}

/// Numbers in -1..1 that look random.
pub fn noise(seed: usize, len: usize) -> Vec<f32> {
    let value = |i: usize| (i * 7919 + seed * 104_729 + 13) * 48_271 % 65_537;
    (0..len).map(|i| value(i) as f32 / 32_768.5 - 1.0).collect()
}

/// First values of the trained parameters.
pub fn set_first_values(engine: &mut Engine) {
    for (i, (name, shape)) in TRAINED.iter().enumerate() {
        let values = noise(i, shape.iter().product()).into_iter().map(|x| x * 0.3 + f32::from(*name == "norm.weight"));
        engine.set_parameter(name, shape, &values.collect::<Vec<_>>()).expect("the shape fits");
    }
}

/// An engine with the network and its training step for up to `batch` rows.
pub fn training_engine(threads: usize, batch: usize) -> (Engine, ProgramId) {
    let mut engine = Engine::new(threads).expect("an engine");
    set_first_values(&mut engine);
    let program = engine.compile(&training(), Extents::batch(batch)).expect("it compiles");
    (engine, program)
}

/// Some rows of an endless set.
pub struct Rows {
    pub images: Vec<f32>,
    pub targets: Vec<i32>,
}

impl Rows {
    pub fn new(from: usize, to: usize) -> Rows {
        let values = IMAGE.iter().product();
        let images = (from..to).flat_map(|row| noise(row + 100, values)).collect();
        Rows { images, targets: (from..to).map(|row| (row % CLASSES) as i32).collect() }
    }

    /// Inputs of a run: these rows, a random key, learning rate and number of the step.
    pub fn views<'a>(&'a self, key: &'a [i32; 4], rate_and_step: &'a [f32; 2]) -> [(&'static str, View<'a>); 5] {
        [
            ("image", View::F32(&self.images)),
            ("target", View::I32(&self.targets)),
            (RANDOM_KEY, View::I32(key)),
            ("learning_rate", View::F32(&rate_and_step[..1])),
            ("step", View::F32(&rate_and_step[1..])),
        ]
    }
}

/// The bits of all parameters by name.
pub fn snapshot(engine: &Engine) -> Vec<(String, Vec<u32>)> {
    let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect();
    let mut all: Vec<_> = engine.parameters().map(|(name, _, values)| (name.to_string(), bits(values))).collect();
    all.sort();
    all
}
