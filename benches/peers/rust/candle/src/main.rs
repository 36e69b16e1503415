//! candle: times one workload and prints a line of JSON.

mod momentum;
mod networks;

use std::process::ExitCode;

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::optim::{AdamW, Optimizer, ParamsAdamW};
use candle_nn::{VarBuilder, VarMap};
use harness::{Input, Step};

use momentum::Momentum;
use networks::Network;

fn main() -> ExitCode {
    let windows = "candle has no gradient of a maximum pooling whose windows overlap";
    harness::run("candle", "0.11.1", &[("resnet18_224", windows)], |name| build(name).map_err(|e| e.to_string()))
}

enum Update {
    AdamW(AdamW),
    Momentum(Momentum),
}

fn build(workload: &str) -> Result<Step> {
    let device = Device::Cpu;
    let (input, target) = harness::batch(workload);
    let input = match input {
        Input::Floats(values, shape) => Tensor::from_vec(values, shape, &device)?,
        Input::Tokens(values, shape) => {
            let tokens: Vec<u32> = values.into_iter().map(|v| v as u32).collect();
            Tensor::from_vec(tokens, &shape[..], &device)?
        }
    };
    let rows = target.len();
    let target = Tensor::from_vec(target.into_iter().map(|v| v as u32).collect::<Vec<_>>(), rows, &device)?;
    let weights = VarMap::new();
    let network = networks::build(workload, VarBuilder::from_varmap(&weights, DType::F32, &device))?;
    if workload.ends_with("_infer") {
        return Ok(Box::new(move || first(&*network, &input).unwrap_or(f32::NAN)));
    }
    let vars = weights.all_vars();
    let mut update = if matches!(workload, "resnet18_cifar" | "dwconv") {
        Update::Momentum(Momentum::new(vars, 0.01, 0.9))
    } else {
        Update::AdamW(AdamW::new(vars, ParamsAdamW { lr: 1e-3, weight_decay: 0.01, ..ParamsAdamW::default() })?)
    };
    // A failure in a step is told as a value that is not finite, after its reason.
    Ok(Box::new(move || {
        step(&*network, &input, &target, &mut update).unwrap_or_else(|error| {
            eprintln!("candle: {error}");
            f32::NAN
        })
    }))
}

fn first(network: &dyn Network, input: &Tensor) -> Result<f32> {
    network.forward(input, false)?.flatten_all()?.get(0)?.to_scalar()
}

fn step(network: &dyn Network, input: &Tensor, target: &Tensor, update: &mut Update) -> Result<f32> {
    let loss = candle_nn::loss::cross_entropy(&network.forward(input, true)?, target)?;
    let gradients = loss.backward()?;
    match update {
        Update::AdamW(adamw) => adamw.step(&gradients)?,
        Update::Momentum(momentum) => momentum.step(&gradients)?,
    }
    loss.to_scalar()
}
