//! burn with its backend flex: times one workload and prints a line of JSON.

mod networks;

use std::process::ExitCode;

use burn::module::Module;
use burn::nn::loss::CrossEntropyLoss;
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer, SgdConfig, momentum::MomentumConfig};
use burn::tensor::{Device, Int, Tensor, TensorData};
use harness::{Input, Step};

use networks::{Dwconv, Gpt, Lenet, Lstm, Minilm, Mlp, Resnet18};

fn main() -> ExitCode {
    harness::run("burn", "0.22.1 (flex)", &[], |workload| Ok(build(workload)))
}

fn build(workload: &str) -> Step {
    let used = workload.ends_with("_infer");
    let device = if used { Device::flex() } else { Device::flex().autodiff() };
    let (input, target) = harness::batch(workload);
    let target = Tensor::<1, Int>::from_data(TensorData::new(target.clone(), [target.len()]), &device);
    let make = Make { device: &device, target, used };
    match input {
        Input::Floats(values, shape) => {
            let data = TensorData::new(values, shape.clone());
            match workload {
                "mlp_small" | "mlp" => {
                    let widths: &[usize] = if workload == "mlp" { &[784, 512, 512, 10] } else { &[30, 64, 64, 2] };
                    let x = Tensor::<2>::from_data(data, &device);
                    make.step(Mlp::new(widths, &device), adamw(), move |m| m.forward(x.clone()))
                }
                "lstm" => {
                    let x = Tensor::<3>::from_data(data, &device);
                    make.step(Lstm::new(&device), adamw(), move |m| m.forward(x.clone()))
                }
                _ => {
                    let x = Tensor::<4>::from_data(data, &device);
                    match workload {
                        "lenet" => make.step(Lenet::new(&device), adamw(), move |m| m.forward(x.clone())),
                        "dwconv" => make.step(Dwconv::new(&device), sgd(), move |m| m.forward(x.clone())),
                        _ => {
                            let small = workload == "resnet18_cifar";
                            let network = Resnet18::new(if small { 10 } else { 1000 }, small, &device);
                            make.step(network, sgd(), move |m| m.forward(x.clone()))
                        }
                    }
                }
            }
        }
        Input::Tokens(values, shape) => {
            let tokens = Tensor::<2, Int>::from_data(TensorData::new(values, shape), &device);
            match workload {
                "gpt" => make.step(Gpt::new(&device), adamw(), move |m| m.forward(tokens.clone())),
                _ => make.step(Minilm::new(&device), adamw(), move |m| m.forward(tokens.clone())),
            }
        }
    }
}

type Optimizer = (ModuleOptimizer, f64);

fn adamw() -> Optimizer {
    (AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(0.01).init(), 1e-3)
}

fn sgd() -> Optimizer {
    let momentum = MomentumConfig { momentum: 0.9, dampening: 0.0, nesterov: false };
    (SgdConfig::new().with_momentum(Some(momentum)).init(), 0.01)
}

struct Make<'a> {
    device: &'a Device,
    target: Tensor<1, Int>,
    used: bool,
}

impl Make<'_> {
    fn step<M: Module + 'static>(
        self,
        module: M,
        (mut optimizer, rate): Optimizer,
        forward: impl Fn(&M) -> Tensor<2> + 'static,
    ) -> Step {
        if self.used {
            let module = module.valid();
            return Box::new(move || forward(&module).slice([0..1, 0..1]).into_scalar::<f32>());
        }
        let loss = CrossEntropyLoss::new(None, self.device);
        let (target, mut module) = (self.target, Some(module));
        Box::new(move || {
            let network = module.take().expect("every step puts the network back");
            let value = loss.forward(forward(&network), target.clone());
            let gradients = GradientsParams::from_grads(value.backward(), &network);
            module = Some(optimizer.step(rate, network, gradients));
            value.into_scalar::<f32>()
        })
    }
}
