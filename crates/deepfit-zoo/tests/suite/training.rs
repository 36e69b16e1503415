//! Training steps on the CPU engine.

use deepfit_cpu::{Engine, Error, ProgramId, View};
use deepfit_graph::{DType, Extents, Mode, Shape, Tracer};
use deepfit_nn::losses::{Reduction, mse};
use deepfit_nn::optim::{MovingAverage, Optimizer};
use deepfit_nn::step::{KEEP, LEARNING_RATE, LOSS, LOSS_SCALE, STEP, StepKind, Traced, Training, step_graph};
use deepfit_nn::{Clip, Result, Scope};
use deepfit_zoo::{MlpConfig, ModelConfig, build};

/// An engine with a small network for regression and the steps of the given kinds.
fn prepared(config: MlpConfig, kinds: &[StepKind]) -> (Engine, Vec<ProgramId>) {
    let scope = Scope::root();
    let network = build(&ModelConfig::Mlp(config), &scope).expect("possible");
    let mut engine = Engine::new(2).expect("an engine");
    for d in scope.declarations() {
        engine.set_parameter(&d.name, &d.shape, &d.values(1)).expect("a parameter");
    }
    let mut training = Training::new(Optimizer::adamw());
    training.clip = Some(Clip::Norm(0.5));
    training.moving_average = Some(MovingAverage { decay: 0.9, warmup: true });
    let forward = |tracer: &Tracer| -> Result<Traced> {
        assert_eq!(tracer.mode(), Mode::Train);
        let inputs: Vec<_> = network.inputs().iter().map(|slot| slot.on(tracer)).collect();
        let target = tracer.input("target", Shape::batch_of(&[1]), DType::F32);
        let loss = mse(&network.forward(&inputs)?, &target, Reduction::Mean)?;
        Ok(Traced { loss, outputs: Vec::new() })
    };
    let programs = kinds.iter().map(|&kind| {
        let graph = step_graph(&scope.declarations(), &training, kind, forward).expect("a step");
        engine.compile(&graph, Extents::batch(16)).expect("the step compiles")
    });
    let programs = programs.collect();
    (engine, programs)
}

fn row(i: usize) -> [f32; 3] {
    [0, 1, 2].map(|j| ((i * 31 + j * 17) % 23) as f32 / 11.0 - 1.0)
}

/// One run on rows `from..to`; scalars are loss scale, keep, learning rate and step.
fn step(
    engine: &mut Engine,
    program: ProgramId,
    (from, to): (usize, usize),
    scalars: [f32; 4],
) -> std::result::Result<f32, Error> {
    let x: Vec<f32> = (from..to).flat_map(row).collect();
    let target: Vec<f32> = (from..to).map(|i| row(i)[0] * row(i)[1] + 0.5).collect();
    let names = [LOSS_SCALE, KEEP, LEARNING_RATE, STEP];
    let mut inputs = vec![("numeric", View::F32(&x)), ("target", View::F32(&target))];
    inputs.extend(names.iter().zip(&scalars).map(|(name, v)| (*name, View::F32(std::slice::from_ref(v)))));
    engine.run(program, Extents::batch(to - from), &inputs)?;
    Ok(engine.output(program, LOSS)?[0])
}

fn snapshot(engine: &Engine) -> Vec<(String, Vec<f32>)> {
    let mut all: Vec<_> = engine.parameters().map(|(name, _, values)| (name.to_string(), values.to_vec())).collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

#[test]
fn a_plain_step_learns() {
    let config = MlpConfig { batch_norm: true, hidden: vec![16], ..MlpConfig::new(3, 1) };
    let (mut engine, programs) = prepared(config, &[StepKind::Plain]);
    let losses: Vec<f32> = (1..=60)
        .map(|i| step(&mut engine, programs[0], (0, 16), [1.0, 0.0, 0.02, i as f32]).expect("finite"))
        .collect();
    assert!(losses[59] < 0.1 * losses[0], "{losses:?}");
    assert_ne!(engine.parameter("average.output.bias"), engine.parameter("output.bias"));
}

#[test]
fn accumulated_micro_batches_equal_one_batch() {
    let config = MlpConfig { hidden: vec![16], ..MlpConfig::new(3, 1) };
    let (mut whole, plain) = prepared(config.clone(), &[StepKind::Plain]);
    let (mut parts, steps) = prepared(config, &[StepKind::Accumulate, StepKind::AccumulateAndUpdate]);
    for update in 1..=3 {
        let scalars = [1.0, 0.0, 0.02, update as f32];
        step(&mut whole, plain[0], (0, 12), scalars).expect("finite");
        for (keep, range) in [(0.0, (0, 5)), (1.0, (5, 10))] {
            step(&mut parts, steps[0], range, [5.0 / 12.0, keep, 0.0, 0.0]).expect("finite");
        }
        step(&mut parts, steps[1], (10, 12), [2.0 / 12.0, 1.0, 0.02, update as f32]).expect("finite");
    }
    for (name, values) in snapshot(&whole) {
        let other = parts.parameter(&name).unwrap_or_else(|| panic!("{name} is missing"));
        for (a, b) in values.iter().zip(other) {
            assert!((a - b).abs() <= 1e-4 * (1.0 + a.abs()), "{name}: {a} and {b}");
        }
    }
}

#[test]
fn a_loss_that_is_not_finite_leaves_everything_as_it_was() {
    let config = MlpConfig { batch_norm: true, hidden: vec![16], ..MlpConfig::new(3, 1) };
    let kinds = [StepKind::Plain, StepKind::Accumulate, StepKind::AccumulateAndUpdate];
    let (mut engine, programs) = prepared(config, &kinds);
    engine.parameter_mut("output.bias").expect("a parameter")[0] = f32::INFINITY;
    let before = snapshot(&engine);
    for program in programs {
        let error = step(&mut engine, program, (0, 8), [1.0, 1.0, 0.02, 1.0]).expect_err("not finite");
        assert!(matches!(error, Error::NonFinite { .. }), "{error}");
        assert_eq!(snapshot(&engine), before);
    }
}
