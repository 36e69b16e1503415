//! What belongs to a training beside the optimiser: groups, frozen and limited parameters, the direction, names.

use deepfit_graph::interpret::Environment;
use deepfit_graph::{DType, Op, Reference, Shape, Symbol, Tracer};
use deepfit_nn::layers::{Embedding, EmbeddingConfig, Linear};
use deepfit_nn::optim::{Adam, Lion, RmsProp, Sgd};
use deepfit_nn::step::{
    Group, LEARNING_RATE, RESERVED, STEP, StepKind, Traced, Training, evaluation_graph, step_graph,
};
use deepfit_nn::{Clip, Declaration, Init, MaxNorm, Module, Optimizer, Result, Role, Scope};

use crate::golden::{Golden, close, run};
use crate::optimisers::{at_step, optimizer_of};

const TOLERANCE: f64 = 1e-6;

/// A tree of vectors of ones of length 3, biases without decay.
fn vectors(names: &[&str]) -> Scope {
    let scope = Scope::root();
    for name in names {
        let role = if name.ends_with("bias") { Role::NoDecay } else { Role::Weight };
        scope.parameter(name, &[3], Init::Ones, role);
    }
    scope
}

/// The sum of all parameters times inputs `grad.<name>` of their shapes, which are then their gradients.
fn weighted_sum(declarations: &[Declaration], tracer: &Tracer) -> Result<Traced> {
    let mut loss = tracer.scalar(0.0);
    for d in declarations {
        let gradient = tracer.input(&format!("grad.{}", d.name), &d.shape[..], DType::F32);
        loss = loss.add(&d.parameter().on(tracer)?.mul(&gradient)?.sum()?)?;
    }
    Ok(Traced { loss, outputs: Vec::new() })
}

/// Parameters at their first values, and zeros for all state.
fn start(graph: &deepfit_graph::Graph, declarations: &[Declaration]) -> Environment {
    let mut all = Environment::new();
    for node in graph.nodes() {
        if let Op::Parameter(p) = &node.op {
            let shape: Vec<usize> = p.ty.shape.dims().iter().map(|d| d.as_fixed().expect("fixed")).collect();
            all.insert(p.name.clone(), Reference::full(&shape, 0.0));
        }
    }
    for d in declarations {
        all.insert(d.name.clone(), Reference::new(&d.shape, d.values(1).into_iter().map(f64::from).collect()));
    }
    all
}

fn scalars(rate: f64, step: usize) -> Environment {
    Environment::from([
        (LEARNING_RATE.to_string(), Reference::full(&[], rate)),
        (STEP.to_string(), Reference::full(&[], step as f64)),
    ])
}

/// All parameters after some steps whose gradients are ones.
fn after(scope: &Scope, training: &Training, steps: usize) -> Environment {
    let declarations = scope.declarations();
    let graph =
        step_graph(&declarations, training, StepKind::Plain, |t| weighted_sum(&declarations, t)).expect("valid");
    let mut parameters = start(&graph, &declarations);
    for step in 1..=steps {
        let mut given = scalars(0.1, step);
        given.extend(declarations.iter().map(|d| (format!("grad.{}", d.name), Reference::full(&d.shape, 1.0))));
        run(&graph, 1, &given, &mut parameters);
    }
    parameters
}

fn refusal(scope: &Scope, training: &Training) -> String {
    let declarations = scope.declarations();
    step_graph(&declarations, training, StepKind::Plain, |t| weighted_sum(&declarations, t))
        .expect_err("refused")
        .to_string()
}

#[test]
fn amsgrad_dampening_and_steps_upwards_equal_pytorchs_over_eighty_steps() {
    let goldens = Golden::all("optimizer-long-");
    assert_eq!(goldens.len(), 6);
    for golden in &goldens {
        let scope = Scope::root();
        let skips = golden.config["no_decay"].as_array().expect("a list");
        for name in ["weight", "bias"] {
            let role = if skips.iter().any(|s| s == name) { Role::NoDecay } else { Role::Weight };
            scope.parameter(name, &golden.get(&format!("initial.{name}")).shape, Init::Zeros, role);
        }
        let optimizer = optimizer_of(golden);
        let training = Training { maximize: golden.config["maximize"] == true, ..Training::new(optimizer) };
        let declarations = scope.declarations();
        let graph = step_graph(&declarations, &training, StepKind::Plain, |t| weighted_sum(&declarations, t));
        let graph = graph.expect("valid");
        let mut parameters = start(&graph, &declarations);
        assert_eq!(parameters.len(), 2 + 2 * optimizer.state_kinds().len(), "{}", golden.name);
        for d in &declarations {
            parameters.insert(d.name.clone(), golden.get(&format!("initial.{}", d.name)).clone());
        }
        for step in 0..80 {
            let mut given = scalars(golden.number("lr"), step + 1);
            for d in &declarations {
                let gradient = at_step(golden.get(&format!("grads.{}", d.name)), step);
                given.insert(format!("grad.{}", d.name), gradient);
            }
            run(&graph, 1, &given, &mut parameters);
            for d in &declarations {
                let expected = at_step(golden.get(&format!("after.{}", d.name)), step);
                close(&format!("{} step {step} {}", golden.name, d.name), &parameters[&d.name], &expected, TOLERANCE);
            }
        }
    }
}

#[test]
fn dampening_and_nesterovs_momentum_exclude_each_other() {
    let sgd = |dampening, nesterov| Optimizer::Sgd(Sgd { momentum: 0.9, dampening, nesterov, weight_decay: 0.0 });
    assert!(sgd(0.5, true).validate().expect_err("PyTorch refuses it, too").to_string().contains("nesterov"));
    for dampening in [-0.1, 1.5, f64::NAN] {
        assert!(sgd(dampening, false).validate().expect_err("out of range").to_string().contains("dampening"));
    }
    sgd(0.5, false).validate().expect("allowed");
}

#[test]
fn a_group_has_an_optimiser_of_its_own() {
    let scope = vectors(&["head.weight", "head.bias", "body.weight"]);
    let lion = Optimizer::Lion(Lion { betas: (0.5, 0.9), weight_decay: 0.5 });
    let training = Training {
        groups: vec![Group { optimizer: Some(lion), ..Group::new("head.*", 0.5) }],
        ..Training::new(Optimizer::Sgd(Sgd { momentum: 0.9, ..Sgd::default() }))
    };
    let found = after(&scope, &training, 1);
    // The sign of the gradient at half of the rate, and a decay of the weight alone.
    close("weight", &found["head.weight"], &Reference::full(&[3], 1.0 - 0.05 * (1.0 + 0.5)), 1e-7);
    close("bias", &found["head.bias"], &Reference::full(&[3], 1.0 - 0.05), 1e-7);
    close("body", &found["body.weight"], &Reference::full(&[3], 0.9), 1e-7);
    let mut state: Vec<&str> = found.keys().filter(|n| n.starts_with("optimizer.")).map(|n| &n[..]).collect();
    state.sort_unstable();
    let expected = ["exp_avg.head.bias", "exp_avg.head.weight", "momentum_buffer.body.weight"];
    assert_eq!(state, expected.map(|name| format!("optimizer.{name}")));
    // A decay of the group's counts more than that of its optimiser, and for biases too.
    let both = Group { optimizer: Some(lion), weight_decay: Some(0.2), ..Group::new("head.*", 1.0) };
    let found = after(&scope, &Training { groups: vec![both], ..training.clone() }, 1);
    close("bias", &found["head.bias"], &Reference::full(&[3], 1.0 - 0.1 * 1.2), 1e-7);
    let wrong = Optimizer::Lion(Lion { betas: (1.5, 0.9), weight_decay: 0.0 });
    let group = Group { optimizer: Some(wrong), ..Group::new("head.*", 1.0) };
    assert!(refusal(&scope, &Training { groups: vec![group], ..training }).contains("betas"));
}

#[test]
fn patterns_and_tied_names_freeze() {
    let scope = Scope::root();
    scope.tie("head.weight", "words.weight").expect("in time");
    for name in ["words.weight", "head.weight", "body.weight", "body.bias", "tail.bias"] {
        scope.parameter(name, &[3], Init::Ones, Role::NoDecay);
    }
    scope.validate().expect("both names are declared");
    let sgd = Training::new(Optimizer::Sgd(Sgd::default()));
    for (frozen, left) in [
        (&["body.*"][..], &["words.weight", "tail.bias"][..]),
        (&["*.bias", "head.weight"], &["body.weight"]),
        (&["words.weight"], &["body.weight", "body.bias", "tail.bias"]),
    ] {
        let training = Training { frozen: frozen.iter().map(|s| s.to_string()).collect(), ..sgd.clone() };
        let names: Vec<String> = training.trained(&scope.declarations()).into_iter().map(|p| p.name).collect();
        assert_eq!(names, left);
        let found = after(&scope, &training, 1);
        for d in scope.declarations() {
            assert_eq!(found[&d.name].data[0] == 1.0, !left.contains(&&d.name[..]), "{}", d.name);
        }
    }
    let none = Training { frozen: ["tale.*".to_string()].into(), ..sgd.clone() };
    assert!(refusal(&scope, &none).contains("`tale.*`"));
    let tied = Group::new("head.*", 0.5);
    let found = after(&scope, &Training { groups: vec![tied], ..sgd }, 1);
    close("by its other name", &found["words.weight"], &Reference::full(&[3], 0.95), 1e-7);
}

#[test]
fn names_of_the_step_are_refused_and_its_old_ones_are_free() {
    let declarations = vectors(&["a.weight"]).declarations();
    let training = Training { clip: Some(Clip::Norm(1.0)), ..Training::new(Optimizer::adamw()) };
    let traced = |tracer: &Tracer, input: &str, output: &str| {
        let x = tracer.input(input, Shape::scalar(), DType::F32);
        let loss = declarations[0].parameter().on(tracer)?.mul(&x)?.sum()?;
        tracer.output(output, &loss.mul_scalar(3.0)?);
        Ok(Traced { loss, outputs: Vec::new() })
    };
    let build = |input: &str, output: &str| {
        step_graph(&declarations, &training, StepKind::Plain, |tracer| traced(tracer, input, output))
    };
    for name in ["learning_rate", "step", "loss_scale", "keep"] {
        let graph = build(name, "loss").expect("free");
        let mut parameters = start(&graph, &declarations);
        let mut given = scalars(0.0, 1);
        given.insert(name.to_string(), Reference::full(&[], 2.0));
        let outputs = run(&graph, 1, &given, &mut parameters);
        assert_eq!((outputs[deepfit_nn::step::LOSS].data[0], outputs["loss"].data[0]), (6.0, 18.0), "{name}");
    }
    let inputs = ["learning_rate", "anything", "number"].map(|name| format!("{RESERVED}{name}"));
    for (input, output) in [(&inputs[0][..], "y"), (&inputs[1], "y"), (&inputs[2], "y"), ("x", &inputs[0])] {
        let told = build(input, output).expect_err("reserved").to_string();
        assert!(told.contains(RESERVED) && told.contains("choose another"), "{told}");
    }
    assert!(build("random_key", "y").expect_err("reserved").to_string().contains("random_key"));
    let told = step_graph(&declarations, &training, StepKind::Plain, |tracer| {
        let mut traced = traced(tracer, "x", "y")?;
        traced.outputs.push((format!("{RESERVED}loss"), traced.loss.clone()));
        Ok(traced)
    });
    assert!(told.expect_err("reserved").to_string().contains("output"));
    let told = evaluation_graph(|tracer| Ok(vec![("y".to_string(), traced(tracer, &inputs[0], "z")?.loss)]));
    assert!(told.expect_err("reserved").to_string().contains("input"));
    // A network that draws random numbers has the key itself.
    step_graph(&declarations, &training, StepKind::Plain, |tracer| {
        let loss = declarations[0].parameter().on(tracer)?.dropout(0.5)?.sum()?;
        Ok(Traced { loss, outputs: Vec::new() })
    })
    .expect("no collision");
}

#[test]
fn a_parameter_named_as_the_state_of_another_is_refused() {
    for name in ["average.a.weight", "accumulated.a.weight", "optimizer.exp_avg.a.weight"] {
        let told = refusal(&vectors(&["a.weight", name]), &Training::new(Optimizer::adamw()));
        assert!(told.contains(name) && told.contains("`a.weight`"), "{told}");
    }
    after(&vectors(&["a.weight", "average.b.weight"]), &Training::new(Optimizer::adamw()), 1);
}

/// A training step on the sum of looked-up rows times given numbers, whose table has 9 rows of 4.
struct Table {
    scope: Scope,
    table: Embedding,
}

impl Table {
    fn new(max_norm: Option<f32>) -> Table {
        let scope = Scope::root();
        let config = EmbeddingConfig { max_norm: max_norm.map(MaxNorm::euclidean), ..EmbeddingConfig::default() };
        let table = Embedding::configured(&scope, 9, 4, config);
        Table { scope, table }
    }

    fn graph(&self, training: &Training) -> Result<deepfit_graph::Graph> {
        step_graph(&self.scope.declarations(), training, StepKind::Plain, |tracer| {
            let numbers = tracer.input("numbers", Shape::new(&[Symbol::Batch]), DType::I32);
            let upstream = tracer.input("upstream", Shape::batch_of(&[4]), DType::F32);
            let loss = self.table.forward(&numbers)?.mul(&upstream)?.sum()?;
            Ok(Traced { loss, outputs: Vec::new() })
        })
    }

    /// The table after each of some steps.
    fn after(
        &self,
        training: &Training,
        first: &Reference,
        rate: f64,
        batches: &[(Reference, Reference)],
    ) -> Vec<Reference> {
        let graph = self.graph(training).expect("valid");
        let mut parameters = start(&graph, &self.scope.declarations());
        parameters.insert("weight".to_string(), first.clone());
        let step = |(i, (numbers, upstream)): (usize, &(Reference, Reference))| {
            let mut given = scalars(rate, i + 1);
            given.insert("numbers".to_string(), numbers.clone());
            given.insert("upstream".to_string(), upstream.clone());
            run(&graph, numbers.data.len(), &given, &mut parameters);
            parameters["weight"].clone()
        };
        batches.iter().enumerate().map(step).collect()
    }
}

fn by_row(optimizer: Optimizer) -> Training {
    Training { rows_only: ["weight".to_string()].into(), ..Training::new(optimizer) }
}

/// Numbers of rows, each of them all rows but those left out, some twice; and gradients of the rows.
fn batches(left_out: &[usize]) -> Vec<(Reference, Reference)> {
    let batch = |step: usize| {
        let used = (0..9).filter(|row| !left_out.contains(row));
        let numbers: Vec<f64> =
            used.clone().chain(used.filter(|row| (row + step).is_multiple_of(3))).map(|r| r as f64).collect();
        let n = numbers.len();
        let upstream = Reference::from_fn(&[n, 4], |i| (((i[0] * 7 + i[1] * 3 + step * 5) % 11) as f64 - 5.3) / 4.0);
        (Reference::new(&[n], numbers), upstream)
    };
    (0..6).map(batch).collect()
}

#[test]
fn weight_decay_shrinks_the_rows_that_a_batch_has_used_and_no_others() {
    let first = Reference::from_fn(&[9, 4], |i| ((i[0] * 5 + i[1] * 3) % 13) as f64 / 6.0 - 1.0);
    // Where each batch uses all rows, rows decay as the whole table does. SparseAdam corrects its moments in another way,
    // which without `eps` makes no difference.
    let adam = Adam { betas: (0.8, 0.9), eps: 0.0, weight_decay: 0.3, amsgrad: false };
    for optimizer in
        [Optimizer::Sgd(Sgd { weight_decay: 0.3, ..Sgd::default() }), Optimizer::Adam(adam), Optimizer::AdamW(adam)]
    {
        let table = Table::new(None);
        let whole = table.after(&Training::new(optimizer), &first, 0.1, &batches(&[]));
        let rows = table.after(&by_row(optimizer), &first, 0.1, &batches(&[]));
        for (step, (rows, whole)) in rows.iter().zip(&whole).enumerate() {
            close(&format!("{} step {step}", optimizer.name()), rows, whole, 1e-7);
        }
        let some = table.after(&by_row(optimizer), &first, 0.1, &batches(&[2, 7]));
        let none = table.after(&by_row(optimizer.with_weight_decay(0.0)), &first, 0.1, &batches(&[2, 7]));
        for row in 0..9 {
            let of = |table: &Reference| table.data[row * 4..][..4].to_vec();
            let unused = row == 2 || row == 7;
            assert_eq!(of(&some[5]) == of(&first), unused, "{} row {row}", optimizer.name());
            assert_eq!(of(&some[5]) == of(&none[5]), unused, "{} row {row}", optimizer.name());
        }
        // The decay of a group counts.
        let group = Group { weight_decay: Some(0.3), ..Group::new("*", 1.0) };
        let grouped = Training { groups: vec![group], ..by_row(optimizer.with_weight_decay(0.0)) };
        assert_eq!(table.after(&grouped, &first, 0.1, &batches(&[2, 7])), some);
        // Limits of gradients are those of sums also with a decay.
        let clipped = |training: Training| Training { clip: Some(Clip::Norm(0.7)), ..training };
        let whole = table.after(&clipped(Training::new(optimizer)), &first, 0.1, &batches(&[]));
        let rows = table.after(&clipped(by_row(optimizer)), &first, 0.1, &batches(&[]));
        close("clipped", &rows[5], &whole[5], 1e-6);
    }
    let amsgrad = Optimizer::Adam(Adam { amsgrad: true, ..adam });
    assert!(Table::new(None).graph(&by_row(amsgrad)).expect_err("no such rows").to_string().contains("AMSGrad"));
}

#[test]
fn a_limit_of_norms_changes_the_table_as_pytorchs_does() {
    let goldens = Golden::all("rows-limited-");
    assert_eq!(goldens.len(), 5);
    for golden in &goldens {
        let number = |key: &str| golden.config[key].as_f64().unwrap_or(0.0);
        let adam = || Adam {
            betas: (golden.config["betas"][0].as_f64().unwrap(), golden.config["betas"][1].as_f64().unwrap()),
            eps: golden.number("eps"),
            weight_decay: number("weight_decay"),
            amsgrad: golden.config["amsgrad"] == true,
        };
        let optimizer = match golden.config["optimizer"].as_str().expect("a class name") {
            "SGD" => Optimizer::Sgd(Sgd {
                momentum: number("momentum"),
                dampening: number("dampening"),
                nesterov: false,
                weight_decay: number("weight_decay"),
            }),
            "AdamW" => Optimizer::AdamW(adam()),
            _ => Optimizer::Adam(adam()),
        };
        let training = if golden.config["sparse"] == true { by_row(optimizer) } else { Training::new(optimizer) };
        let batch = |step| (at_step(golden.get("numbers"), step), at_step(golden.get("upstream"), step));
        let batches: Vec<_> = (0..10).map(batch).collect();
        let table = Table::new(Some(golden.number("max_norm") as f32));
        for (step, found) in
            table.after(&training, golden.get("initial"), golden.number("lr"), &batches).iter().enumerate()
        {
            let expected = at_step(golden.get("after"), step);
            close(&format!("{} step {step}", golden.name), found, &expected, TOLERANCE);
        }
    }
    let told = |training: &Training| Table::new(Some(1.0)).graph(training).expect_err("refused").to_string();
    let rms = told(&Training::new(Optimizer::RmsProp(RmsProp::default())));
    assert!(rms.contains("weight: `max_norm`") && rms.contains("rmsprop"), "{rms}");
    let table = Table::new(Some(-1.0)).graph(&Training::new(Optimizer::adamw())).expect_err("refused").to_string();
    assert!(table.contains("embedding: `max_norm` is -1"), "{table}");
    let declarations = Table::new(Some(1.0)).scope.declarations();
    let added = step_graph(&declarations, &Training::new(Optimizer::adamw()), StepKind::Accumulate, |t| {
        weighted_sum(&declarations, t)
    });
    assert!(added.expect_err("refused").to_string().contains("micro-batches"));
}

#[test]
fn a_limited_table_that_is_not_looked_up_in_alone_is_refused_by_name() {
    let scope = Scope::root();
    let config = EmbeddingConfig { max_norm: Some(MaxNorm::euclidean(1.0)), ..EmbeddingConfig::default() };
    let table = Embedding::configured(&scope.child("words"), 9, 4, config);
    let head = Linear::without_bias(&scope.child("words"), 4, 9, Init::Zeros);
    let told = step_graph(&scope.declarations(), &Training::new(Optimizer::adamw()), StepKind::Plain, |tracer| {
        let numbers = tracer.input("numbers", Shape::new(&[Symbol::Batch]), DType::I32);
        let loss = head.forward(&table.forward(&numbers)?)?.sum()?;
        Ok(Traced { loss, outputs: Vec::new() })
    });
    let told = told.expect_err("multiplied by, too").to_string();
    assert!(told.contains("words.weight") && told.contains("looked up"), "{told}");
}
