use deepfit_graph::interpret::Environment;
use deepfit_graph::{DType, Extents, Mode, Reference, Shape, Tracer, interpret};
use deepfit_nn::optim::{Adam, MovingAverage, Optimizer, Sgd, clip_by_global_norm, clip_by_value};
use deepfit_nn::{Parameter, Role};

use crate::golden::{Golden, close};

const TOLERANCE: f64 = 1e-6;
const NAMES: [&str; 2] = ["weight", "bias"];

/// Row `step` of an array.
pub fn at_step(array: &Reference, step: usize) -> Reference {
    let shape = &array.shape[1..];
    let n: usize = shape.iter().product();
    Reference::new(shape, array.data[step * n..][..n].to_vec())
}

pub fn optimizer_of(golden: &Golden) -> Optimizer {
    let adam = || Adam {
        betas: (golden.config["betas"][0].as_f64().unwrap(), golden.config["betas"][1].as_f64().unwrap()),
        eps: golden.number("eps"),
        weight_decay: golden.number("weight_decay"),
        amsgrad: golden.config["amsgrad"] == true,
    };
    match golden.config["optimizer"].as_str().expect("a class name") {
        "SGD" => Optimizer::Sgd(Sgd {
            momentum: golden.number("momentum"),
            dampening: golden.number("dampening"),
            nesterov: golden.config["nesterov"] == true,
            weight_decay: golden.number("weight_decay"),
        }),
        "Adam" => Optimizer::Adam(adam()),
        "AdamW" => Optimizer::AdamW(adam()),
        other => panic!("no optimiser for {other}"),
    }
}

fn check(golden: &Golden) {
    let optimizer = optimizer_of(golden);
    let skips = golden.config["no_decay"].as_array().expect("a list");
    let tracer = Tracer::new(Mode::Train);
    let scalar = |name| tracer.input(name, Shape::scalar(), DType::F32);
    let (rate, step) = (scalar("rate"), scalar("step"));
    let mut parameters = Environment::new();
    for name in NAMES {
        let initial = golden.get(&format!("initial.{name}"));
        let role = if skips.iter().any(|s| s == name) { Role::NoDecay } else { Role::Weight };
        let parameter = Parameter { name: name.to_string(), shape: initial.shape.clone(), role };
        let gradient = tracer.input(&format!("grad.{name}"), &initial.shape[..], DType::F32);
        optimizer.update(&parameter, &gradient, &rate, &step).expect("settings are valid");
        parameters.insert(name.to_string(), initial.clone());
        for kind in optimizer.state_kinds() {
            parameters.insert(format!("optimizer.{kind}.{name}"), Reference::full(&initial.shape, 0.0));
        }
    }
    let count = parameters.len();
    for i in 0..10 {
        let mut inputs = Environment::from([
            ("rate".to_string(), Reference::full(&[], golden.number("lr"))),
            ("step".to_string(), Reference::full(&[], (i + 1) as f64)),
        ]);
        for name in NAMES {
            inputs.insert(format!("grad.{name}"), at_step(golden.get(&format!("grads.{name}")), i));
        }
        interpret::run(&tracer.graph(), Extents::batch(1), &inputs, &mut parameters).expect("the graph runs");
        for name in NAMES {
            let expected = at_step(golden.get(&format!("after.{name}")), i);
            close(&format!("{} step {i} {name}", golden.name), &parameters[name], &expected, TOLERANCE);
        }
    }
    assert_eq!(parameters.len(), count, "{}: all state is told by state_kinds", golden.name);
}

#[test]
fn sgd_equals_pytorchs() {
    let goldens = Golden::all("optimizer-sgd");
    assert_eq!(goldens.len(), 4);
    goldens.iter().for_each(check);
}

#[test]
fn adam_and_adamw_equal_pytorchs() {
    let goldens = Golden::all("optimizer-adam");
    assert_eq!(goldens.len(), 5);
    goldens.iter().for_each(check);
}

#[test]
fn clipping_equals_pytorchs() {
    for golden in Golden::all("clip-") {
        let tracer = Tracer::new(Mode::Train);
        let mut inputs = Environment::new();
        let gradients: Vec<_> = NAMES
            .iter()
            .map(|name| {
                let gradient = golden.get(&format!("grad.{name}"));
                inputs.insert(name.to_string(), gradient.clone());
                tracer.input(name, &gradient.shape[..], DType::F32)
            })
            .collect();
        let (clipped, norm) = if golden.config["max_norm"].is_number() {
            let (clipped, norm) = clip_by_global_norm(&gradients, golden.number("max_norm") as f32).expect("gradients");
            (clipped, Some(norm))
        } else {
            (clip_by_value(&gradients, golden.number("clip_value") as f32).expect("gradients"), None)
        };
        let values =
            interpret::run(&tracer.graph(), Extents::batch(1), &inputs, &mut Environment::new()).expect("runs");
        for (name, clipped) in NAMES.iter().zip(&clipped) {
            golden.compare(&format!("clipped.{name}"), values.get(clipped.value()), TOLERANCE);
        }
        if let Some(norm) = norm {
            golden.compare("total_norm", values.get(norm.value()), TOLERANCE);
        }
    }
}

/// Ten updates of the average of `weight`, from values that `value(step)` gives.
fn averages(average: MovingAverage, shape: &[usize], value: impl Fn(usize) -> Reference) -> Vec<Reference> {
    let tracer = Tracer::new(Mode::Train);
    let parameter = Parameter { name: "weight".to_string(), shape: shape.to_vec(), role: Role::Weight };
    let new = tracer.input("new", shape, DType::F32);
    let step = tracer.input("step", Shape::scalar(), DType::F32);
    average.update(&parameter, &new, &step).expect("settings are valid");
    let mut parameters = Environment::from([("average.weight".to_string(), Reference::full(shape, 0.0))]);
    (0..10)
        .map(|i| {
            let step = Reference::full(&[], (i + 1) as f64);
            let inputs = Environment::from([("new".to_string(), value(i)), ("step".to_string(), step)]);
            interpret::run(&tracer.graph(), Extents::batch(1), &inputs, &mut parameters).expect("the graph runs");
            parameters["average.weight"].clone()
        })
        .collect()
}

#[test]
fn moving_average_equals_pytorchs() {
    let golden = Golden::read("ema");
    let average = MovingAverage { decay: golden.number("decay"), warmup: false };
    for name in NAMES {
        let values = golden.get(&format!("params.{name}"));
        let found = averages(average, &values.shape[1..], |i| at_step(values, i));
        for (i, found) in found.iter().enumerate() {
            let expected = at_step(golden.get(&format!("averaged.{name}")), i);
            close(&format!("{name} after update {i}"), found, &expected, TOLERANCE);
        }
    }
}

#[test]
fn moving_average_with_warmup_forgets_the_first_weights() {
    let values = |i: usize| Reference::full(&[], if i == 0 { 1.0 } else { 0.0 });
    let left = |warmup| averages(MovingAverage { decay: 0.999, warmup }, &[], values)[9].data[0];
    assert!((left(false) - 0.999f64.powi(9)).abs() < 1e-6);
    let expected: f64 = (2..=10).map(|step| f64::from(1 + step) / f64::from(10 + step)).product();
    assert!((left(true) - expected).abs() < 1e-6);
}
