use deepfit_graph::gradients;
use deepfit_graph::interpret::{self, Environment, Values};
use deepfit_graph::ops::RecurrentState;
use deepfit_graph::{DType, Dim, Extents, Graph, Mode, Reference, Shape, Symbol, Tensor, Tracer};
use deepfit_nn::layers::{
    Gru, GruCell, Lstm, LstmCell, Nonlinearity, Recurrence, RecurrentConfig, Rnn, RnnCell, Sequences,
};
use deepfit_nn::{Init, Module, Result, Role, Scope};
use serde_json::Value;

use crate::golden::Golden;

const TOLERANCE: f64 = 1e-6;

/// Any of the layers by the name of its class.
enum Layer {
    Rnn(Rnn),
    Lstm(Lstm),
    Gru(Gru),
}

impl Layer {
    fn new(scope: &Scope, config: &Value, inputs: usize, hidden: usize) -> Layer {
        let flag = |key: &str| config[key].as_bool().unwrap_or_else(|| panic!("`{key}` is no flag"));
        let settings = RecurrentConfig {
            layers: config["num_layers"].as_u64().expect("a number") as usize,
            bias: flag("bias"),
            batch_first: flag("batch_first"),
            bidirectional: flag("bidirectional"),
            dropout: 0.0,
            proj_size: config["proj_size"].as_u64().unwrap_or(0) as usize,
        };
        match config["layer"].as_str().expect("a class name") {
            "RNN" => Layer::Rnn(Rnn::new(scope, inputs, hidden, nonlinearity(config), settings).unwrap()),
            "LSTM" => Layer::Lstm(Lstm::new(scope, inputs, hidden, settings).unwrap()),
            "GRU" => Layer::Gru(Gru::new(scope, inputs, hidden, settings).unwrap()),
            other => panic!("no layer for {other}"),
        }
    }

    fn run(&self, x: &Tensor, given: &Sequences<'_>) -> Result<Recurrence> {
        match self {
            Layer::Rnn(layer) => layer.run(x, given),
            Layer::Lstm(layer) => layer.run(x, given),
            Layer::Gru(layer) => layer.run(x, given),
        }
    }
}

fn nonlinearity(config: &Value) -> Nonlinearity {
    if config["nonlinearity"] == "relu" { Nonlinearity::Relu } else { Nonlinearity::Tanh }
}

/// The case's parameters, which must be those that the layer declares, in the same order as PyTorch's.
fn parameters(golden: &Golden, scope: &Scope) -> Environment {
    let found: Environment = golden.under("param.").into_iter().map(|(name, a)| (name, a.clone())).collect();
    let declared = scope.declarations();
    assert_eq!(declared.len(), found.len(), "{}", golden.name);
    for declaration in declared {
        assert_eq!(found[&declaration.name].shape, declaration.shape, "{} {}", golden.name, declaration.name);
    }
    found
}

/// Adds up the results times their given gradients.
fn loss(golden: &Golden, tracer: &Tracer, results: &Named<'_>, inputs: &mut Environment) -> Tensor {
    let mut total: Option<Tensor> = None;
    for (name, tensor) in results {
        let key = format!("upstream.{name}");
        inputs.insert(key.clone(), golden.get(&key).clone());
        let upstream = tracer.input(&key, tensor.shape().clone(), DType::F32);
        let part = tensor.mul(&upstream).and_then(|p| p.sum()).unwrap();
        total = Some(total.map_or(part.clone(), |t| t.add(&part).unwrap()));
    }
    total.expect("at least one result")
}

/// Values of a graph by name.
type Named<'a> = [(&'a str, &'a Tensor)];

/// Compares results and the gradients of the wanted inputs and of all parameters.
fn compare(
    golden: &Golden,
    tracer: &Tracer,
    scope: &Scope,
    results: &Named<'_>,
    wanted: &[(&str, Tensor)],
    mut inputs: Environment,
    extents: Extents,
) {
    let mut parameters = parameters(golden, scope);
    let loss = loss(golden, tracer, results, &mut inputs);
    let mut names: Vec<String> = wanted.iter().map(|(name, _)| format!("grad.{name}")).collect();
    let mut tensors: Vec<Tensor> = wanted.iter().map(|(_, tensor)| tensor.clone()).collect();
    for declaration in scope.declarations() {
        names.push(format!("grad.param.{}", declaration.name));
        tensors.push(declaration.parameter().on(tracer).unwrap());
    }
    let found = gradients(&loss, &tensors).unwrap_or_else(|e| panic!("{}: {e}", golden.name));
    let values = interpret::run(&tracer.graph(), extents, &inputs, &mut parameters).expect("the graph runs");
    for (name, tensor) in results {
        golden.compare(name, values.get(tensor.value()), TOLERANCE);
    }
    for (name, gradient) in names.iter().zip(&found) {
        golden.compare(name, values.get(gradient.value()), TOLERANCE);
    }
}

fn check_layer(golden: &Golden, mode: Mode) {
    let config = &golden.config;
    let input = golden.get("input").clone();
    let batch_first = config["batch_first"] == true;
    let (batch, sequence) =
        if batch_first { (input.shape[0], input.shape[1]) } else { (input.shape[1], input.shape[0]) };
    // A projection makes the hidden states narrower than the cells.
    let narrow = golden.get("h_n").shape[2];
    let hidden = if config["proj_size"].is_u64() { golden.get("c_n").shape[2] } else { narrow };
    let scope = Scope::root();
    let layer = Layer::new(&scope, config, input.shape[2], hidden);
    let tracer = Tracer::new(mode);
    let (b, s) = (Dim::symbol(Symbol::Batch), Dim::symbol(Symbol::Sequence));
    let (first, second) = if batch_first { (b, s) } else { (s, b) };
    let x = tracer.input("input", vec![first, second, Dim::fixed(input.shape[2])], DType::F32);
    let mut inputs = Environment::from([("input".to_string(), input)]);
    let mut wanted = vec![("input", x.clone())];
    let has_lengths = golden.under("lengths").len() == 1;
    let lengths = has_lengths.then(|| {
        inputs.insert("lengths".to_string(), golden.get("lengths").clone());
        tracer.input("lengths", vec![b], DType::I32)
    });
    if config["states"] == true {
        let keys: &[&'static str] = if config["layer"] == "LSTM" { &["h_0", "c_0"] } else { &["h_0"] };
        for &key in keys {
            let given = golden.get(key);
            inputs.insert(key.to_string(), given.clone());
            let shape = vec![Dim::fixed(given.shape[0]), b, Dim::fixed(given.shape[2])];
            wanted.push((key, tracer.input(key, shape, DType::F32)));
        }
    }
    let given = Sequences {
        lengths: lengths.as_ref(),
        hidden: wanted.get(1).map(|(_, t)| t),
        cell: wanted.get(2).map(|(_, t)| t),
    };
    let found = layer.run(&x, &given).unwrap_or_else(|e| panic!("{}: {e}", golden.name));
    let mut results = vec![("output", &found.output), ("h_n", &found.hidden)];
    results.extend(found.cell.as_ref().map(|cell| ("c_n", cell)));
    compare(golden, &tracer, &scope, &results, &wanted, inputs, Extents { batch, sequence });
}

fn check_layers(kind: &str) {
    check_cases(kind, 8);
}

fn check_cases(kind: &str, count: usize) {
    let goldens = Golden::all(&format!("recurrent-{kind}-"));
    assert_eq!(goldens.len(), count, "cases of {kind}");
    for golden in goldens {
        check_layer(&golden, Mode::Train);
        // A network in use saves nothing for a gradient, which is right all the same.
        check_layer(&golden, Mode::Evaluate);
    }
}

#[test]
fn simple_recurrent_layers_equal_pytorchs() {
    check_layers("rnn-tanh");
    check_layers("rnn-relu");
}

#[test]
fn lstm_equals_pytorchs() {
    check_layers("lstm");
}

#[test]
fn an_lstm_with_a_projection_equals_pytorchs() {
    check_cases("projected", 5);
}

#[test]
fn gru_equals_pytorchs() {
    check_layers("gru");
}

#[test]
fn recurrent_cells_equal_pytorchs() {
    let goldens = Golden::all("recurrent-cell-");
    assert_eq!(goldens.len(), 4);
    for golden in goldens {
        let config = &golden.config;
        let (first, hidden) = (golden.get("first"), golden.get("h_0").shape[1]);
        let scope = Scope::root();
        let tracer = Tracer::new(Mode::Train);
        let (mut wanted, mut inputs) = (Vec::new(), Environment::new());
        for key in ["first", "second", "h_0", "c_0"] {
            if key != "c_0" || config["layer"] == "LSTMCell" {
                let array = golden.get(key);
                inputs.insert(key.to_string(), array.clone());
                wanted.push((key, tracer.input(key, Shape::batch_of(&array.shape[1..]), DType::F32)));
            }
        }
        let bias = config["bias"] == true;
        let (x, y, h) = (&wanted[0].1, &wanted[1].1, &wanted[2].1);
        let twice = |step: &dyn Fn(&Tensor, Option<&Tensor>) -> Result<Tensor>| {
            let state = step(y, Some(&step(x, Some(h)).unwrap())).unwrap();
            RecurrentState { hidden: state, cell: None }
        };
        let last = match config["layer"].as_str().expect("a class name") {
            "RNNCell" => {
                let cell = RnnCell::new(&scope, first.shape[1], hidden, nonlinearity(config), bias).unwrap();
                twice(&|x, h| cell.step(x, h))
            }
            "GRUCell" => {
                let cell = GruCell::new(&scope, first.shape[1], hidden, bias).unwrap();
                twice(&|x, h| cell.step(x, h))
            }
            "LSTMCell" => {
                let cell = LstmCell::new(&scope, first.shape[1], hidden, bias).unwrap();
                let state = RecurrentState { hidden: h.clone(), cell: Some(wanted[3].1.clone()) };
                cell.step(y, Some(&cell.step(x, Some(&state)).unwrap())).unwrap()
            }
            other => panic!("no cell for {other}"),
        };
        let mut results = vec![("h_n", &last.hidden)];
        results.extend(last.cell.as_ref().map(|cell| ("c_n", cell)));
        compare(&golden, &tracer, &scope, &results, &wanted, inputs, Extents::batch(first.shape[0]));
    }
}

/// A network's values of one run, with zeros for lengths that are not given.
fn values(graph: &Graph, scope: &Scope, inputs: Environment) -> Values {
    let mut parameters: Environment = scope
        .declarations()
        .into_iter()
        .map(|d| (d.name.clone(), Reference::new(&d.shape, d.values(1).into_iter().map(f64::from).collect())))
        .collect();
    interpret::run(graph, Extents { batch: 2, sequence: 3 }, &inputs, &mut parameters).expect("the graph runs")
}

#[test]
fn watched_gates_of_an_lstm_make_its_output() {
    for mode in [Mode::Train, Mode::Evaluate] {
        let scope = Scope::root();
        let config = RecurrentConfig { batch_first: true, bidirectional: true, ..RecurrentConfig::default() };
        let lstm = Lstm::new(&scope.child("encoder"), 2, 3, config).unwrap();
        let tracer = Tracer::new(mode);
        tracer.watch("encoder", "gates_l0");
        let output = lstm.forward(&tracer.input("x", [2, 3, 2], DType::F32)).unwrap();
        tracer.check_watches().unwrap();
        assert!(tracer.offered().contains(&("encoder".to_string(), "gates_l0_reverse".to_string())));
        let watched = tracer.watched();
        assert_eq!(watched[0].0, "encoder.gates_l0");
        let input = Reference::new(&[2, 3, 2], (0..12).map(|i| f64::from(i).sin()).collect());
        let all = values(&tracer.graph(), &scope, Environment::from([("x".to_string(), input)]));
        let (gates, output) = (all.get(watched[0].1.value()), all.get(output.value()));
        for row in 0..2 {
            for unit in 0..3 {
                let mut cell = 0.0;
                for step in 0..3 {
                    let gate = |g: usize| gates.at(&[row, step, g * 3 + unit]);
                    cell = gate(1) * cell + gate(0) * gate(2);
                    let h = gate(3) * cell.tanh();
                    assert!((h - output.at(&[row, step, unit])).abs() < 1e-12);
                }
            }
        }
    }
}

#[test]
fn dropout_between_layers_drops_in_training_only() {
    let config = RecurrentConfig { layers: 2, dropout: 0.5, ..RecurrentConfig::default() };
    let count = |mode: Mode| {
        let gru = Gru::new(&Scope::root(), 2, 3, config).unwrap();
        let tracer = Tracer::new(mode);
        gru.forward(&tracer.input("x", [3, 2, 2], DType::F32)).unwrap();
        tracer.graph().nodes().iter().filter(|node| node.op.kind() == "Dropout").count()
    };
    assert_eq!((count(Mode::Train), count(Mode::Evaluate)), (1, 0));
}

#[test]
fn first_values_are_uniform_within_the_root_of_the_hidden_units() {
    let scope = Scope::root();
    Lstm::new(&scope, 7, 16, RecurrentConfig::default()).unwrap();
    let declared = scope.declarations();
    let names: Vec<&str> = declared.iter().map(|d| &d.name[..]).collect();
    assert_eq!(names, ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"]);
    for declaration in &declared {
        assert_eq!(declaration.init, Init::Uniform { bound: 0.25 });
        assert_eq!(declaration.role == Role::NoDecay, declaration.name.starts_with("bias"));
    }
}

#[test]
fn misfits_name_the_layer_and_the_shapes() {
    let scope = Scope::root().child("encoder");
    let lstm = Lstm::new(&scope, 4, 3, RecurrentConfig::default()).unwrap();
    let tracer = Tracer::new(Mode::Train);
    let sequence = |width| tracer.input(&format!("x{width}"), [5, 2, width], DType::F32);
    let fails = |x: &Tensor, given: &Sequences<'_>, words: &[&str]| {
        let message = lstm.run(x, given).expect_err("does not fit").to_string();
        for word in words.iter().chain(&["encoder"]) {
            assert!(message.contains(word), "{message}");
        }
    };
    let nothing = Sequences::default();
    fails(&sequence(6), &nothing, &["[5, 2, 6]", "[12, 4]"]);
    fails(&tracer.input("flat", [5, 4], DType::F32), &nothing, &["[steps, batch, inputs]", "[5, 4]"]);
    fails(&tracer.input("none", [0, 2, 4], DType::F32), &nothing, &["at least one step", "[0, 2, 4]"]);
    let x = sequence(4);
    let lengths = tracer.input("lengths", [3], DType::I32);
    fails(&x, &Sequences { lengths: Some(&lengths), ..nothing }, &["i32 [2]", "i32 [3]"]);
    let state = tracer.input("h", [2, 2, 3], DType::F32);
    fails(&x, &Sequences { hidden: Some(&state), ..nothing }, &["without cells"]);
    fails(&x, &Sequences { cell: Some(&state), ..nothing }, &["without hidden states"]);
    let both = Sequences { hidden: Some(&state), cell: Some(&state), ..nothing };
    fails(&x, &both, &["[1, batch, 3]", "[2, 2, 3]"]);
    let none = RecurrentConfig { layers: 0, ..RecurrentConfig::default() };
    assert!(Gru::new(&scope, 4, 3, none).expect_err("no layers").to_string().contains("layers"));
}
