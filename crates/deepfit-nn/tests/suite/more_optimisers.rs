use deepfit_graph::interpret::{self, Environment};
use deepfit_graph::{DType, Extents, Graph, Mode, Op, Reference, Shape, Tracer, passes};
use deepfit_nn::optim::lbfgs::{Lbfgs, Memory};
use deepfit_nn::optim::{Adadelta, Adagrad, Adamax, Lamb, Lion, NAdam, Optimizer, RAdam, RmsProp};
use deepfit_nn::step::{Group, LEARNING_RATE, STEP, StepKind, Traced, Training, step_graph};
use deepfit_nn::{NnError, Parameter, Role, Scope};

use crate::golden::{Golden, close};

const TOLERANCE: f64 = 1e-6;
const NAMES: [&str; 2] = ["weight", "bias"];

fn optimizer_of(golden: &Golden) -> Optimizer {
    let number = |key| golden.number(key);
    let flag = |key: &str| golden.config[key].as_bool().expect("a flag");
    let betas = || (golden.config["betas"][0].as_f64().unwrap(), golden.config["betas"][1].as_f64().unwrap());
    let weight_decay = number("weight_decay");
    match golden.config["optimizer"].as_str().expect("a class name") {
        "RMSprop" => Optimizer::RmsProp(RmsProp {
            alpha: number("alpha"),
            eps: number("eps"),
            momentum: number("momentum"),
            centered: flag("centered"),
            weight_decay,
        }),
        "Adagrad" => Optimizer::Adagrad(Adagrad {
            lr_decay: number("lr_decay"),
            weight_decay,
            initial_accumulator_value: number("initial_accumulator_value"),
            eps: number("eps"),
        }),
        "Adadelta" => Optimizer::Adadelta(Adadelta { rho: number("rho"), eps: number("eps"), weight_decay }),
        "Adamax" => Optimizer::Adamax(Adamax { betas: betas(), eps: number("eps"), weight_decay }),
        "NAdam" => Optimizer::NAdam(NAdam {
            betas: betas(),
            eps: number("eps"),
            weight_decay,
            momentum_decay: number("momentum_decay"),
            decoupled_weight_decay: flag("decoupled_weight_decay"),
        }),
        "RAdam" => Optimizer::RAdam(RAdam {
            betas: betas(),
            eps: number("eps"),
            weight_decay,
            decoupled_weight_decay: flag("decoupled_weight_decay"),
        }),
        "Lion" => Optimizer::Lion(Lion { betas: betas(), weight_decay }),
        "Lamb" => Optimizer::Lamb(Lamb { betas: betas(), eps: number("eps"), weight_decay }),
        other => panic!("no optimiser for {other}"),
    }
}

#[test]
fn every_other_optimiser_equals_pytorchs() {
    let goldens = Golden::all("learner-");
    assert_eq!(goldens.len(), 21);
    for golden in &goldens {
        check(golden);
    }
}

/// The updates of both parameters of a case, from gradients that are inputs.
fn trace(golden: &Golden, optimizer: Optimizer) -> Graph {
    let skips = golden.config["no_decay"].as_array().expect("a list");
    let tracer = Tracer::new(Mode::Train);
    let scalar = |name| tracer.input(name, Shape::scalar(), DType::F32);
    let (rate, step) = (scalar("rate"), scalar("step"));
    for name in NAMES {
        let shape = golden.get(&format!("initial.{name}")).shape.clone();
        let role = if skips.iter().any(|s| s == name) { Role::NoDecay } else { Role::Weight };
        let gradient = tracer.input(&format!("grad.{name}"), &shape[..], DType::F32);
        let parameter = Parameter { name: name.to_string(), shape, role };
        optimizer.update(&parameter, &gradient, &rate, &step).expect("settings are valid");
    }
    tracer.graph()
}

fn check(golden: &Golden) {
    let optimizer = optimizer_of(golden);
    let graph = trace(golden, optimizer);
    let mut parameters = Environment::new();
    for name in NAMES {
        let initial = golden.get(&format!("initial.{name}"));
        parameters.insert(name.to_string(), initial.clone());
        for kind in optimizer.state_kinds() {
            parameters.insert(format!("optimizer.{kind}.{name}"), Reference::full(&initial.shape, 0.0));
        }
    }
    let count = parameters.len();
    let row = |array: &Reference, i: usize| {
        let n: usize = array.shape[1..].iter().product();
        Reference::new(&array.shape[1..], array.data[i * n..][..n].to_vec())
    };
    for i in 0..10 {
        let mut inputs = Environment::from([
            ("rate".to_string(), Reference::full(&[], golden.number("lr"))),
            ("step".to_string(), Reference::full(&[], (i + 1) as f64)),
        ]);
        for name in NAMES {
            inputs.insert(format!("grad.{name}"), row(golden.get(&format!("grads.{name}")), i));
        }
        interpret::run(&graph, Extents::batch(1), &inputs, &mut parameters).expect("the graph runs");
        for name in NAMES {
            let expected = row(golden.get(&format!("after.{name}")), i);
            close(&format!("{} step {i} {name}", golden.name), &parameters[name], &expected, TOLERANCE);
        }
    }
    assert_eq!(parameters.len(), count, "{}: all state is told by state_kinds", golden.name);
}

#[test]
fn an_update_is_one_pass_over_its_parameter() {
    for golden in Golden::all("learner-") {
        let optimizer = optimizer_of(&golden);
        let graph = passes::optimise(&trace(&golden, optimizer));
        let steps = graph.nodes().iter().filter(|n| !n.op.is_leaf() && n.outputs.iter().any(|t| t.shape.rank() > 0));
        // The length of a step of LAMB is known only after its direction: two passes and the writing.
        let passes = if matches!(optimizer, Optimizer::Lamb(_)) { 3 } else { 1 };
        assert_eq!(steps.count(), passes * NAMES.len(), "{}", golden.name);
    }
}

/// The functions of the goldens, with their gradients.
fn function(name: &str, x: &[f64], gradient: &mut [f64]) -> f64 {
    gradient.fill(0.0);
    let mut loss = 0.0;
    if name == "bowl" {
        let last = (x.len() - 1) as f64;
        for (i, (x, g)) in x.iter().zip(gradient.iter_mut()).enumerate() {
            let weight = 10f64.powf(3.0 * i as f64 / last);
            loss += weight * x * x / 2.0 + x.powi(4) / 4.0;
            *g = weight * x + x.powi(3);
        }
        return loss;
    }
    for i in 1..x.len() {
        let (a, b) = (x[i] - x[i - 1] * x[i - 1], 1.0 - x[i - 1]);
        loss += 100.0 * a * a + b * b;
        gradient[i] += 200.0 * a;
        gradient[i - 1] += -400.0 * a * x[i - 1] - 2.0 * b;
    }
    loss
}

#[test]
fn lbfgs_takes_pytorchs_path() {
    let goldens = Golden::all("lbfgs-");
    assert_eq!(goldens.len(), 5);
    for golden in &goldens {
        let count = |key: &str| golden.config[key].as_u64().map(|n| n as usize);
        let settings = Lbfgs {
            lr: golden.number("lr"),
            max_iter: count("max_iter").expect("a number"),
            max_eval: count("max_eval"),
            history_size: count("history_size").expect("a number"),
            strong_wolfe: golden.config["line_search_fn"] == "strong_wolfe",
            ..Lbfgs::default()
        };
        let mut x = golden.get("initial").data.clone();
        let (mut memory, mut evaluations) = (Memory::default(), 0);
        let (positions, losses) = (golden.get("positions"), golden.get("losses"));
        for call in 0..count("calls").expect("a number") {
            let progress = settings
                .minimise(&mut memory, &mut x, |x, g| {
                    evaluations += 1;
                    Ok::<f64, NnError>(function(golden.config["function"].as_str().expect("a name"), x, g))
                })
                .expect("settings are valid");
            let expected = &positions.data[call * x.len()..][..x.len()];
            for (found, expected) in x.iter().zip(expected) {
                let error = (found - expected).abs() / expected.abs().max(1e-3);
                assert!(error < 1e-6, "{} call {call}: {x:?} instead of {expected}", golden.name);
            }
            assert_eq!(evaluations as f64, golden.get("evaluations").data[call], "{} call {call}", golden.name);
            if settings.strong_wolfe {
                assert!((progress.loss - losses.data[call]).abs() <= 1e-9 * losses.data[0].max(1.0), "{}", golden.name);
            }
        }
    }
}

#[test]
fn lbfgs_ends_at_the_minimum_and_passes_errors_on() {
    let (mut x, mut memory) = (vec![0.2, 1.3, 0.7, -0.3], Memory::default());
    let settings = Lbfgs { max_iter: 200, ..Lbfgs::default() };
    let run = |x: &mut Vec<f64>, memory: &mut Memory| {
        settings.minimise(memory, x, |x, g| Ok::<f64, NnError>(function("rosenbrock", x, g))).expect("valid")
    };
    let progress = run(&mut x, &mut memory);
    assert!(progress.converged && x.iter().all(|v| (v - 1.0).abs() < 1e-5), "{progress:?} {x:?}");
    assert!(run(&mut x, &mut memory).iterations <= 1, "what has converged stays");
    let before = x.clone();
    let fail = |_: &[f64], _: &mut [f64]| {
        Err(NnError::Setting { place: "loss".into(), setting: "x".into(), problem: "fails".into() })
    };
    assert!(settings.minimise(&mut memory, &mut x, fail).is_err());
    assert_eq!(x, before);
    // A loss that is not a number beyond a wall is only too high.
    let mut y = vec![0.5];
    let wall = |x: &[f64], g: &mut [f64]| {
        g[0] = -1.0 / (1.0 - x[0]).max(0.0) + 40.0 * (x[0] - 0.4);
        Ok::<f64, NnError>((1.0 - x[0]).ln() + 20.0 * (x[0] - 0.4) * (x[0] - 0.4))
    };
    Lbfgs { lr: 50.0, ..settings }.minimise(&mut Memory::default(), &mut y, wall).expect("valid");
    assert!(y[0].is_finite() && y[0] < 1.0, "{y:?}");
}

#[test]
fn groups_have_their_own_rate_and_decay() {
    let scope = Scope::root();
    for name in ["backbone.weight", "backbone.bias", "head.weight", "head.bias"] {
        scope.parameter(
            name,
            &[3],
            deepfit_nn::Init::Ones,
            if name.ends_with("bias") { Role::NoDecay } else { Role::Weight },
        );
    }
    let declarations = scope.declarations();
    let build = |groups: Vec<Group>| {
        let sgd = deepfit_nn::optim::Sgd { weight_decay: 0.5, ..Default::default() };
        let training = Training { groups, ..Training::new(Optimizer::Sgd(sgd)) };
        step_graph(&declarations, &training, StepKind::Plain, |tracer| {
            let values: Vec<_> = declarations.iter().map(|d| d.parameter().on(tracer)).collect::<Result<_, _>>()?;
            let sum = values[1..].iter().try_fold(values[0].clone(), |sum, v| sum.add(v))?;
            Ok(Traced { loss: sum.sum()?, outputs: Vec::new() })
        })
    };
    let groups = vec![Group { weight_decay: Some(0.25), ..Group::new("*.bias", 2.0) }, Group::new("backbone.*", 0.1)];
    let graph = build(groups).expect("valid");
    let one = || Reference::full(&[3], 1.0);
    let mut parameters: Environment = declarations.iter().map(|d| (d.name.clone(), one())).collect();
    let inputs = Environment::from([
        (LEARNING_RATE.to_string(), Reference::full(&[], 0.1)),
        (STEP.to_string(), Reference::full(&[], 1.0)),
    ]);
    interpret::run(&graph, Extents::batch(1), &inputs, &mut parameters).expect("runs");
    // The gradient of each element is 1, and its decay a share of 1.
    for (name, rate, decay) in [
        ("backbone.weight", 0.01, 0.5),
        ("backbone.bias", 0.2, 0.25),
        ("head.weight", 0.1, 0.5),
        ("head.bias", 0.2, 0.25),
    ] {
        close(name, &parameters[name], &Reference::full(&[3], 1.0 - rate * (1.0 + decay)), 1e-7);
    }
    let message = build(vec![Group::new("spine.*", 0.1)]).expect_err("fits nothing").to_string();
    assert!(message.contains("spine.*"), "{message}");
    assert!(build(vec![Group::new("*", -1.0)]).is_err());
}

#[test]
fn patterns_fit_names() {
    for (pattern, name, fits) in [
        ("fc.weight", "fc.weight", true),
        ("fc.weight", "fc.weights", false),
        ("fc.*", "fc.weight", true),
        ("*.bias", "a.b.bias", true),
        ("*.bias", "bias", false),
        ("layer*.conv*.weight", "layer1.0.conv2.weight", true),
        ("layer*.conv*.weight", "layer1.0.bn2.weight", false),
        ("*", "anything", true),
        ("a*a", "a", false),
    ] {
        assert_eq!(Group::new(pattern, 1.0).fits(name), fits, "{pattern} {name}");
    }
}

#[test]
fn graphs_of_updates_hold_nothing_that_is_not_needed() {
    let golden = Golden::read("learner-rmsprop");
    let graph = trace(&golden, optimizer_of(&golden));
    assert_eq!(graph.nodes().iter().filter(|n| matches!(n.op, Op::Update(_))).count(), 2);
}
