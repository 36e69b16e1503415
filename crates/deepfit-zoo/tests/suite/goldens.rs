use deepfit_graph::interpret::Environment;
use deepfit_graph::{DType, Mode, Reference, Shape, Tensor, Tracer, gradients};
use deepfit_nn::losses::{CrossEntropy, cross_entropy};
use deepfit_nn::optim::{Adam, Optimizer, Sgd};
use deepfit_nn::step::{LEARNING_RATE, LOSS, STEP, StepKind, Traced, Training, evaluation_graph, step_graph};
use deepfit_nn::{Activation, Result, Scope};
use deepfit_zoo::{
    Block, CnnConfig, EmbeddingConfig, Head, ImageConfig, InvertedResidualConfig, MlpConfig, MobilenetV2Config,
    ModelConfig, Network, ResnetConfig, build,
};

use crate::backend::{Backend, Cpu, Interpreter};
use crate::golden::{Golden, close};

/// How far a backend may stray from PyTorch's f64.
struct Tolerances {
    logits: f64,
    /// Of each parameter's first gradient, in the Euclidean norm.
    gradients: f64,
    /// Of the ten losses, relative to the first.
    losses: f64,
    /// Of parameters and logits after ten steps.
    after: f64,
}

const INTERPRETER: Tolerances = Tolerances { logits: 1e-6, gradients: 1e-6, losses: 1e-6, after: 3e-6 };
const CPU: Tolerances = Tolerances { logits: 1e-4, gradients: 1e-3, losses: 5e-3, after: 5e-3 };

/// A network with the inputs of its golden file: (name in the graph, name in the file, type).
struct Case {
    golden: Golden,
    config: ModelConfig,
    inputs: Vec<(&'static str, &'static str, DType)>,
}

fn mlp() -> Case {
    let config = MlpConfig {
        embeddings: vec![EmbeddingConfig::of(4), EmbeddingConfig::of(7)],
        hidden: vec![32],
        batch_norm: true,
        ..MlpConfig::new(5, 3)
    };
    Case {
        golden: Golden::read("network-mlp"),
        config: ModelConfig::Mlp(config),
        inputs: vec![("numeric", "input.numeric", DType::F32), ("categories", "input.category", DType::I32)],
    }
}

fn cnn() -> Case {
    let config = CnnConfig {
        image: ImageConfig::new(8, 8, 1),
        outputs: 10,
        stages: vec![vec![8], vec![16]],
        head: Head::GlobalAverage,
        hidden: 0,
        activation: Activation::Relu,
        dropout: 0.0,
    };
    Case {
        golden: Golden::read("network-cnn"),
        config: ModelConfig::Cnn(config),
        inputs: vec![("image", "input_u8", DType::U8)],
    }
}

fn resnet() -> Case {
    let config = ResnetConfig {
        image: ImageConfig::new(16, 16, 3),
        outputs: 10,
        block: Block::Basic,
        depths: vec![1, 1],
        widths: vec![8, 16],
        small_stem: true,
    };
    Case {
        golden: Golden::read("network-resnet"),
        config: ModelConfig::Resnet(config),
        // Its pixels are no bytes.
        inputs: vec![("image", "input", DType::F32)],
    }
}

fn mobilenet() -> Case {
    let block = |expansion, channels, stride| InvertedResidualConfig { expansion, channels, stride };
    let config = MobilenetV2Config {
        image: ImageConfig::new(16, 16, 3),
        outputs: 10,
        stem: 8,
        blocks: vec![block(1, 8, 1), block(6, 12, 2), block(6, 12, 1)],
        last: Some(24),
        dropout: 0.0,
    };
    Case {
        golden: Golden::read("network-mobilenet"),
        config: ModelConfig::MobilenetV2(config),
        inputs: vec![("image", "input", DType::F32)],
    }
}

impl Case {
    fn optimizer(&self) -> (Optimizer, f64) {
        let settings = &self.golden.config["optimizer"];
        let number = |key: &str| settings[key].as_f64().unwrap_or_else(|| panic!("`{key}` is no number"));
        let optimizer = match settings["name"].as_str() {
            Some("SGD") => Optimizer::Sgd(Sgd { momentum: number("momentum"), ..Sgd::default() }),
            Some("AdamW") => Optimizer::AdamW(Adam { weight_decay: number("weight_decay"), ..Adam::default() }),
            other => panic!("no optimiser for {other:?}"),
        };
        (optimizer, number("lr"))
    }

    fn logits(&self, network: &dyn Network, tracer: &Tracer) -> Result<Tensor> {
        let input = |&(name, file, dtype): &(&str, &str, DType)| {
            tracer.input(name, Shape::batch_of(&self.golden.get(file).shape[1..]), dtype)
        };
        network.forward(&self.inputs.iter().map(input).collect::<Vec<_>>())
    }

    fn loss(&self, network: &dyn Network, tracer: &Tracer) -> Result<Traced> {
        let logits = self.logits(network, tracer)?;
        let target = tracer.input("target", Shape::batch_of(&[]), DType::I32);
        let loss = cross_entropy(&logits, &target, &CrossEntropy::default())?;
        Ok(Traced { loss, outputs: vec![("logits".to_string(), logits)] })
    }

    fn check(&self, new_backend: &dyn Fn() -> Box<dyn Backend>, tolerances: &Tolerances) {
        let golden = &self.golden;
        let scope = Scope::root();
        let network = build(&self.config, &scope).expect("the settings are possible");
        // All parameters decay in the PyTorch run.
        let mut declarations = scope.declarations();
        for d in declarations.iter_mut().filter(|d| d.role.is_trained()) {
            d.role = deepfit_nn::Role::Weight;
        }
        let prepared = || {
            let mut backend = new_backend();
            let given: Vec<_> = [golden.under("param."), golden.under("buffer.")].concat();
            assert_eq!(given.len(), declarations.len(), "{}", golden.name);
            for (name, value) in given {
                let declared = declarations.iter().find(|d| d.name == name);
                assert_eq!(declared.map(|d| &d.shape), Some(&value.shape), "{}: {name}", golden.name);
                backend.set(&name, value);
            }
            backend
        };
        let mut inputs = Environment::from([("target".to_string(), golden.get("target").clone())]);
        for (name, file, _) in &self.inputs {
            inputs.insert(name.to_string(), golden.get(file).clone());
        }
        let batch = golden.get("target").data.len();

        // Logits and gradients of the first step.
        let tracer = Tracer::new(Mode::Train);
        let traced = self.loss(&*network, &tracer).expect("the network is traced");
        tracer.output("logits", &traced.outputs[0].1);
        let trained: Vec<_> = declarations.iter().filter(|d| d.role.is_trained()).map(|d| d.parameter()).collect();
        let values: Vec<Tensor> = trained.iter().map(|p| p.on(&tracer).expect("a parameter")).collect();
        for (parameter, gradient) in trained.iter().zip(gradients(&traced.loss, &values).expect("gradients")) {
            tracer.output(&parameter.name, &gradient);
        }
        let outputs = prepared().run(&tracer.graph(), batch, &inputs);
        golden.compare("logits", &outputs["logits"], tolerances.logits);
        let expected = golden.under("grad.param.");
        assert_eq!(expected.len(), trained.len());
        // A shift before a batch normalisation has no effect, so its gradient is what rounding leaves of zero.
        let nothing = 1e-4 * length(expected.iter().flat_map(|(_, gradient)| gradient.data.iter().copied()));
        for (name, expected) in expected {
            let actual = &outputs[&name];
            assert_eq!(actual.shape, expected.shape);
            let distance = length(actual.data.iter().zip(&expected.data).map(|(a, b)| a - b));
            let error = distance / length(expected.data.iter().copied()).max(nothing);
            assert!(error <= tolerances.gradients, "{} gradient of {name}: error {error:.1e}", golden.name);
        }

        // Ten steps, then evaluation.
        let (optimizer, rate) = self.optimizer();
        let training = Training::new(optimizer);
        let step = step_graph(&declarations, &training, StepKind::Plain, |tracer| self.loss(&*network, tracer));
        let step = step.expect("the step is built");
        let mut backend = prepared();
        inputs.insert(LEARNING_RATE.to_string(), Reference::full(&[], rate));
        let losses = (1..=10).map(|i| {
            inputs.insert(STEP.to_string(), Reference::full(&[], f64::from(i)));
            backend.run(&step, batch, &inputs)[LOSS].data[0]
        });
        let losses: Vec<f64> = losses.collect();
        close(
            &format!("{} losses", golden.name),
            &Reference::new(&[10], losses),
            golden.get("losses"),
            tolerances.losses,
        );
        for (name, expected) in golden.under("after.") {
            close(&format!("{} after.{name}", golden.name), &backend.get(&name), expected, tolerances.after);
        }
        let evaluation = evaluation_graph(|tracer| Ok(vec![("logits".to_string(), self.logits(&*network, tracer)?)]));
        let outputs = backend.run(&evaluation.expect("the network is traced"), batch, &inputs);
        golden.compare("eval_logits", &outputs["logits"], tolerances.after);
    }
}

/// Euclidean length.
fn length(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|v| v * v).sum::<f64>().sqrt()
}

#[test]
fn mlp_equals_pytorchs_in_f64() {
    mlp().check(&|| Box::new(Interpreter::default()), &INTERPRETER);
}

#[test]
fn cnn_equals_pytorchs_in_f64() {
    cnn().check(&|| Box::new(Interpreter::default()), &INTERPRETER);
}

#[test]
fn cnn_takes_pixels_as_bytes_or_as_numbers() {
    let mut case = cnn();
    case.inputs = vec![("image", "input", DType::F32)];
    case.check(&|| Box::new(Interpreter::default()), &INTERPRETER);
}

#[test]
fn resnet_equals_pytorchs_in_f64() {
    resnet().check(&|| Box::new(Interpreter::default()), &INTERPRETER);
}

#[test]
fn mlp_equals_pytorchs_on_the_cpu() {
    mlp().check(&|| Box::new(Cpu::new()), &CPU);
}

#[test]
fn cnn_equals_pytorchs_on_the_cpu() {
    cnn().check(&|| Box::new(Cpu::new()), &CPU);
}

#[test]
fn resnet_equals_pytorchs_on_the_cpu() {
    resnet().check(&|| Box::new(Cpu::new()), &CPU);
}

#[test]
fn the_mobilenet_equals_pytorchs_on_the_interpreter() {
    mobilenet().check(&|| Box::new(Interpreter::default()), &INTERPRETER);
}

#[test]
fn the_mobilenet_equals_pytorchs_on_the_engine() {
    mobilenet().check(&|| Box::new(Cpu::new()), &CPU);
}
