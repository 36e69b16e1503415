//! What picks, places, orders and rearranges elements, against PyTorch.

use std::collections::BTreeMap;

use deepfit_graph::interpret::Environment;
use deepfit_graph::{DType, Extents, Mode, Reference, Result, Tensor, Tracer, gradients, interpret};

use crate::golden::Golden;

const TOLERANCE: f64 = 1e-6;

fn apply(name: &str, tensors: &BTreeMap<String, Tensor>) -> Result<Tensor> {
    let (x, get) = (&tensors["x"], |key: &str| &tensors[key]);
    let joined = |parts: Vec<Tensor>| {
        let scaled: Vec<Tensor> =
            parts.iter().enumerate().map(|(i, p)| p.mul_scalar(i as f32 + 1.0)).collect::<Result<_>>()?;
        scaled[0].concat(&scaled[1..].iter().collect::<Vec<_>>(), 1)
    };
    match name {
        "gather" => x.gather(1, get("index")),
        "gather-last" => x.take_along_last(get("index")),
        "index-select-0" => x.index_select(0, get("index")),
        "index-select-1" => x.index_select(1, get("index")),
        "cumsum-0" => x.cumsum(0),
        "cumsum-1" => x.cumsum(1),
        "flip" => x.flip(1),
        "roll" => x.roll(1, 2),
        "roll-back" => x.roll(1, -6),
        "tile" => x.tile(&[2, 1, 3]),
        "repeat-interleave" => x.repeat_interleave(1, 3),
        "split" => joined(x.split(1, &[1, 3, 2])?),
        "chunk" => joined(x.chunk(1, 4)?),
        "topk-values" => Ok(x.topk(3, true)?.0),
        "smallest-values" => Ok(x.topk(3, false)?.0),
        "sort-values" => Ok(x.sort(false)?.0),
        "sort-descending" => Ok(x.sort(true)?.0),
        "argmax-gather" => x.take_along_last(&x.argmax()?.unsqueeze(1)?),
        "scatter-add" => x.scatter_add(1, get("index"), get("y")),
        "scatter" => x.scatter(1, get("index"), get("y")),
        "stack" => x.stack(&[get("y")], 1),
        "masked-fill" => x.masked_fill(&get("mask").to_f32()?, -2.5),
        other => panic!("no operation {other}"),
    }
}

#[test]
fn rearrangements_equal_pytorchs() {
    let goldens = Golden::all("operation-");
    assert_eq!(goldens.len(), 22);
    for golden in &goldens {
        let tracer = Tracer::new(Mode::Train);
        let (mut tensors, mut given) = (BTreeMap::new(), Environment::new());
        for (key, array) in golden.under("in.") {
            let dtype = if golden.is_integer(&format!("in.{key}")) { DType::I32 } else { DType::F32 };
            tensors.insert(key.clone(), tracer.input(&key, &array.shape[..], dtype));
            given.insert(key, array.clone());
        }
        let name = golden.config["operation"].as_str().expect("a name");
        let y = apply(name, &tensors).unwrap_or_else(|e| panic!("{}: {e}", golden.name));
        let upstream = golden.get("upstream");
        given.insert("upstream".to_string(), upstream.clone());
        let weights = tracer.input("upstream", &upstream.shape[..], DType::F32);
        let loss = y.mul(&weights).and_then(|l| l.sum()).expect("a scalar");
        let wanted = golden.under("grad.");
        assert!(!wanted.is_empty(), "{}", golden.name);
        let inputs: Vec<Tensor> = wanted.iter().map(|(key, _)| tensors[key].clone()).collect();
        let found = gradients(&loss, &inputs).expect("gradients");
        let none = &mut Environment::new();
        let values = interpret::run(&tracer.graph(), Extents::batch(1), &given, none).expect("the graph runs");
        golden.compare("output", values.get(y.value()), TOLERANCE);
        for ((key, _), gradient) in wanted.iter().zip(&found) {
            golden.compare(&format!("grad.{key}"), values.get(gradient.value()), TOLERANCE);
        }
    }
}

/// The values of what is made of one row.
fn of_row(row: &[f64], build: impl FnOnce(&Tensor) -> Result<Tensor>) -> Reference {
    let tracer = Tracer::new(Mode::Evaluate);
    let y = build(&tracer.input("x", [row.len()], DType::F32)).expect("it fits");
    let given = Environment::from([("x".to_string(), Reference::new(&[row.len()], row.to_vec()))]);
    let none = &mut Environment::new();
    let values = interpret::run(&tracer.graph(), Extents::batch(1), &given, none).expect("the graph runs");
    values.get(y.value()).clone()
}

#[test]
fn of_equal_elements_the_lowest_index_comes_first_and_nan_is_the_largest() {
    let row = [1.0, 3.0, f64::NAN, 3.0, 1.0];
    let order = |descending| of_row(&row, |x| Ok(x.sort(descending)?.1)).data;
    assert_eq!(order(true), [2.0, 1.0, 3.0, 0.0, 4.0]);
    assert_eq!(order(false), [0.0, 4.0, 1.0, 3.0, 2.0]);
    assert_eq!(of_row(&[2.0, 5.0, 5.0], Tensor::argmax).data, [1.0]);
}

#[test]
fn a_value_that_a_later_one_replaces_gets_no_gradient() {
    let tracer = Tracer::new(Mode::Train);
    let (x, y) = (tracer.input("x", [2], DType::F32), tracer.input("y", [3], DType::F32));
    let index = tracer.input("index", [3], DType::I32);
    let placed = x.scatter(0, &index, &y).expect("it fits");
    let found = gradients(&placed.sum().expect("a scalar"), &[x, y]).expect("gradients");
    let list = |data: &[f64]| Reference::new(&[data.len()], data.to_vec());
    let given = Environment::from([
        ("x".to_string(), list(&[1.0, 2.0])),
        ("y".to_string(), list(&[3.0, 4.0, 5.0])),
        ("index".to_string(), list(&[1.0, 1.0, 1.0])),
    ]);
    let none = &mut Environment::new();
    let values = interpret::run(&tracer.graph(), Extents::batch(1), &given, none).expect("the graph runs");
    assert_eq!(values.get(placed.value()).data, [1.0, 5.0]);
    assert_eq!(values.get(found[0].value()).data, [1.0, 0.0]);
    assert_eq!(values.get(found[1].value()).data, [0.0, 0.0, 1.0]);
}

#[test]
fn what_does_not_fit_is_told_with_its_shape() {
    let tracer = Tracer::new(Mode::Train);
    let x = tracer.input("x", [2, 5], DType::F32);
    let index = tracer.input("index", [3, 1], DType::I32);
    let told = |result: Result<Tensor>| result.expect_err("it does not fit").to_string();
    for (message, parts) in [
        (told(x.gather(1, &index)), ["gather", "[3, 1]", "[2, 5]"]),
        (told(x.index_select(2, &index)), ["index_select", "[2, 5]", "axis 2"]),
        (told(x.topk(6, true).map(|t| t.0)), ["topk", "[2, 5]", "6"]),
        (told(x.cumsum(2)), ["cumsum", "[2, 5]", "axis 2"]),
        (told(x.tile(&[2])), ["tile", "[2, 5]", "[2]"]),
        (told(x.split(1, &[2, 2]).map(|mut t| t.remove(0))), ["split", "[2, 2]", "[2, 5]"]),
        (told(x.chunk(1, 0).map(|mut t| t.remove(0))), ["chunk", "0 parts", "made"]),
        (told(x.one_hot(3)), ["one_hot", "i32", "[2, 5]"]),
        (told(x.stack(&[&tracer.scalar(1.0)], 0)), ["stack", "[2, 5]", "[]"]),
        (told(x.squeeze(1)), ["squeeze", "axis 1", "[2, 5]"]),
    ] {
        assert!(parts.iter().all(|part| message.contains(part)), "{message} does not tell {parts:?}");
    }
}
