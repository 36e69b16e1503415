//! What a library user can make inconsistent is refused before memory is read or written by it.

use std::sync::Arc;

use deepfit_cpu::{Engine, Error, View};
use deepfit_graph::ops::{Custom, Reshape};
use deepfit_graph::{
    CustomOperation, DType, Derivative, Extents, Graph, Mode, Node, Reference, ReferenceContext, Result, Tensor,
    TensorType, Tracer, Value, gradients,
};

#[test]
fn a_graph_with_a_mistake_is_not_compiled() {
    let tracer = Tracer::new(Mode::Evaluate);
    let x = tracer.input("x", [2], DType::F32);
    tracer.output("y", &x.neg().unwrap());
    tracer.output("y", &x);
    let mut engine = Engine::new(1).unwrap();
    let told = engine.compile(&tracer.graph(), Extents::batch(1)).unwrap_err();
    assert!(matches!(&told, Error::Graph(_)) && told.to_string().contains("`y` is used twice"), "{told}");
    assert_eq!(engine.compile_as_it_is(tracer.graph(), Extents::batch(1)).unwrap_err(), told);
    assert_eq!(engine.compile_within(&tracer.graph(), "y", Extents::batch(1), usize::MAX).unwrap_err(), told);
}

#[test]
fn a_graph_put_together_wrongly_is_not_compiled() {
    let refused = |graph: Graph, says: &str| {
        let told = Engine::new(1).unwrap().compile(&graph, Extents::batch(1)).unwrap_err().to_string();
        assert!(told.contains(says), "{told}");
    };
    let tracer = Tracer::new(Mode::Evaluate);
    tracer.input("x", [2], DType::F32);
    let input = tracer.graph().nodes()[0].clone();
    let reshape = |inputs: Vec<Value>, shape: [usize; 1]| {
        let (op, ty) = (Reshape { shape: shape.into() }.into(), TensorType::f32(shape));
        Node { op, inputs, outputs: vec![ty], layer: "top".to_string() }
    };
    let of = |node: usize, port: usize| Value { node, port };
    // A view of more than there is.
    let mut graph = Graph::default();
    graph.push(input.clone());
    graph.push(reshape(vec![of(0, 0)], [1000]));
    refused(graph, "top: reshape");
    // Outputs that the operation does not have.
    let mut graph = Graph::default();
    graph.push(Node { outputs: vec![TensorType::f32([1000])], ..input.clone() });
    refused(graph, "not of the types that it infers");
    // Values that do not exist, as an input and as an output.
    let mut graph = Graph::default();
    graph.push(input.clone());
    graph.push_output("y", of(0, 1));
    refused(graph, "no value of the graph");
    let mut graph = Graph::default();
    graph.push(input.clone());
    graph.push_output("y", of(7, 0));
    refused(graph, "no value of the graph");
    // Two nodes that stand for the same memory.
    let mut graph = Graph::default();
    graph.push(input.clone());
    graph.push(input);
    refused(graph, "`x` is used twice");
}

#[test]
fn a_parameter_whose_shape_overflows_is_refused() {
    let mut engine = Engine::new(1).unwrap();
    for shape in [&[1 << 32, 1 << 32][..], &[1 << 63, 2]] {
        let told = engine.set_parameter("w", shape, &[]).unwrap_err().to_string();
        assert!(told.contains("0 values do not fill"), "{told}");
    }
    assert!(engine.parameter("w").is_none());
}

#[test]
fn a_batch_that_no_memory_could_hold_is_refused_at_once() {
    let tracer = Tracer::new(Mode::Evaluate);
    let x = tracer.batch("x", &[4], DType::F32);
    let w = tracer.parameter("w", [4, 4]).unwrap();
    tracer.output("y", &tracer.in_layer("top", || x.matmul(&w)).unwrap());
    let mut engine = Engine::new(1).unwrap();
    for batch in [usize::MAX, 1 << 62, 1 << 44] {
        let told = engine.compile(&tracer.graph(), Extents::batch(batch)).unwrap_err().to_string();
        assert!(told.contains(" MB at batch") && told.contains("f32 [batch, 4]"), "{told}");
    }
    // Within what can be addressed, it is the system that refuses.
    let told = engine.compile(&tracer.graph(), Extents::batch(1 << 42)).unwrap_err();
    assert!(matches!(told, Error::Memory { .. }) && told.to_string().contains(" MB "), "{told}");
}

/// A user's operation that says one thing and does another: types of its outputs, lengths of what its reference gives.
#[derive(Debug)]
struct Odd(Vec<TensorType>, Vec<usize>);

impl CustomOperation for Odd {
    fn name(&self) -> String {
        "odd".to_string()
    }
    fn infer(&self, _: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        Ok(self.0.clone())
    }
    fn derivative(&self, _: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![Some(Tracer::new(Mode::Train).input("elsewhere", [3], DType::F32))])
    }
    fn reference(&self, _: &ReferenceContext<'_>) -> Vec<Reference> {
        self.1.iter().map(|&n| Reference::full(&[n], 1.0)).collect()
    }
}

fn odd(outputs: Vec<TensorType>, given: Vec<usize>) -> Result<Tensor> {
    let tracer = Tracer::new(Mode::Train);
    let w = tracer.parameter("w", [3])?;
    tracer.in_layer("top", || tracer.apply_one(Custom(Arc::new(Odd(outputs, given))), &[&w]))
}

#[test]
fn outputs_that_a_users_operation_cannot_have_are_refused() {
    let integers = TensorType { dtype: DType::I32, ..TensorType::f32([3]) };
    for (outputs, says) in [
        (vec![], "has 0 outputs"),
        (vec![integers], "output 0 is i32 [3], but must be f32"),
        (vec![TensorType::f32([1]); 63], "has 63 outputs"),
        (vec![TensorType::f32([usize::MAX, 2])], "memory"),
    ] {
        let told = odd(outputs, vec![3]).unwrap_err().to_string();
        assert!(told.starts_with("top: odd: ") && told.contains(says), "{told}");
    }
}

#[test]
fn a_reference_that_gives_other_lengths_stops_the_run() {
    for given in [vec![2], vec![4], vec![], vec![3, 3]] {
        let y = odd(vec![TensorType::f32([3])], given.clone()).unwrap();
        y.tracer().output("y", &y);
        let mut engine = Engine::new(1).unwrap();
        let program = engine.compile(&y.tracer().graph(), Extents::batch(1)).unwrap();
        let told = engine.run(program, Extents::batch(1), &[]).unwrap_err().to_string();
        assert!(told.contains("`odd` of layer `top`") && told.contains(&format!("{given:?}")), "{told}");
    }
}

#[test]
fn a_derivative_that_gives_a_value_of_another_graph_is_refused() {
    let y = odd(vec![TensorType::f32([3])], vec![3]).unwrap();
    let w = y.tracer().parameter("w", [3]).unwrap();
    let told = gradients(&y.sum().unwrap(), &[w]).unwrap_err().to_string();
    assert!(told.contains("derivative of odd") && told.contains("another graph"), "{told}");
}

#[test]
fn inputs_are_as_long_as_the_run_needs() {
    let tracer = Tracer::new(Mode::Evaluate);
    tracer.output("y", &tracer.batch("x", &[4], DType::F32).neg().unwrap());
    let mut engine = Engine::new(1).unwrap();
    let program = engine.compile(&tracer.graph(), Extents::batch(3)).unwrap();
    for count in [0, 4, 7, 12] {
        let run = engine.run(program, Extents::batch(2), &[("x", View::F32(&vec![0.0; count]))]);
        assert!(matches!(run, Err(Error::Input { .. })), "{count}: {run:?}");
    }
}
