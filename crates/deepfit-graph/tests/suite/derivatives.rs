//! Derivatives against central differences and against those of the decomposition.

use std::collections::BTreeSet;

use deepfit_graph::{Extents, HostTensor, Mode, Op, Reference, Result, Tensor, Tracer, differences, gradients};

use super::setup::{Case, assert_close, interpret, samples};

/// Operations without samples for the derivative, by design: leaves, lengths and some others have no floating-point input; effects
/// are no part of a loss; `StopGradient` is there to have none; the derivatives of coarse operations have none themselves.
const WITHOUT_DERIVATIVE: &[&str] = &[
    "Input",
    "Parameter",
    "Constant",
    "Convert",
    "AxisLength",
    "RelativeBuckets",
    "Assign",
    "Guard",
    "Sgd",
    "Adam",
    "Update",
    "StopGradient",
    "MaxPool2dGrad",
    "AvgPool2dGrad",
    "BatchNormGrad",
    "LayerNormGrad",
    "GroupNormGrad",
    "RmsNormGrad",
    "SoftmaxGrad",
    "AttentionGrad",
    "CrossEntropyGrad",
    "LinearCrossEntropyGrad",
    "RecurrentGrad",
    "BagNumbers",
    "SegmentMaxGrad",
    "OneHot",
    "Arange",
    "RandomUniform",
    "CtcGrad",
    "SgdRows",
    "AdamRows",
    "CoalescedGrad",
];

/// Floating-point inputs with respect to which an operation refuses to be differentiated.
const REFUSED: [(&str, usize); 1] = [("CrossEntropy", 2)];

#[test]
fn every_operation_has_a_sample_with_derivative_or_has_none_by_design() {
    let mut with = BTreeSet::new();
    for (_, kind, sample) in samples() {
        if sample.gradient {
            with.insert(kind);
        }
    }
    let all: BTreeSet<&str> = Op::all_samples().into_iter().map(|(kind, _)| kind).collect();
    let without: BTreeSet<&str> = WITHOUT_DERIVATIVE.iter().copied().collect();
    assert_eq!(with.intersection(&without).count(), 0, "listed as without derivative, but tested");
    let known: BTreeSet<&str> = with.union(&without).copied().collect();
    assert_eq!(known, all);
}

#[test]
fn derivatives_equal_central_differences() {
    for (name, kind, sample) in samples() {
        let refused = differences::check(&sample).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        assert!(refused.iter().all(|&i| REFUSED.contains(&(kind, i))), "{name}: no derivative by {refused:?}");
    }
}

#[test]
fn values_and_derivatives_equal_those_of_the_decomposition() {
    let mut decomposed = BTreeSet::new();
    for (name, kind, sample) in samples() {
        let mut case = Case::fixed(&sample).unwrap();
        let Some(parts) = sample.op.decompose(&case.inputs).unwrap() else { continue };
        decomposed.insert(kind);
        let whole = case.outputs[0].clone();
        let lengths = whole.shape().resolve(&Extents::batch(1));
        let both = [
            case.weighted_sum("weights", &whole, &lengths).unwrap(),
            case.weighted_sum("weights", &parts[0], &lengths).unwrap(),
        ];
        let wanted: Vec<Tensor> =
            case.inputs.iter().filter(|x| sample.gradient && x.dtype() == deepfit_graph::DType::F32).cloned().collect();
        let found: Vec<Vec<Option<Tensor>>> = both
            .iter()
            .map(|loss| {
                wanted.iter().map(|x| Some(gradients(loss, std::slice::from_ref(x)).ok()?.swap_remove(0))).collect()
            })
            .collect();
        let (values, _) = interpret(&case.tracer.graph(), Extents::batch(1), &case.environment);
        assert_close(&name, values.get(whole.value()), values.get(parts[0].value()), 1e-12);
        for (i, (a, b)) in found[0].iter().zip(&found[1]).enumerate() {
            match (a, b) {
                (Some(a), Some(b)) => {
                    assert_close(&format!("{name}, input {i}"), values.get(a.value()), values.get(b.value()), 1e-12)
                }
                (None, None) => {}
                _ => panic!("{name}: only one of both has a gradient with respect to input {i}"),
            }
        }
    }
    assert_eq!(
        decomposed.into_iter().collect::<Vec<_>>(),
        ["Attention", "BatchNorm", "Conv2d", "Fused", "MatMul", "Recurrent"]
    );
}

/// Values of gradients of a loss that is built from parameters `a` and `b`.
fn gradients_of(
    build: impl FnOnce(&Tracer, &Tensor, &Tensor) -> Result<Tensor>,
    wanted: impl FnOnce(&Tensor, &Tensor) -> Vec<Tensor>,
) -> Result<Vec<Reference>> {
    let tracer = Tracer::new(Mode::Train);
    let (a, b) = (tracer.parameter("a", [3])?, tracer.parameter("b", [3])?);
    let loss = build(&tracer, &a, &b)?;
    let found = gradients(&loss, &wanted(&a, &b))?;
    let given = [("a", vec![0.5, -1.0, 2.0]), ("b", vec![1.0, 2.0, -3.0])];
    let given = given.map(|(name, data)| (name.to_string(), Reference::new(&[3], data))).into();
    let (values, _) = interpret(&tracer.graph(), Extents::batch(1), &given);
    Ok(found.iter().map(|g| values.get(g.value()).clone()).collect())
}

#[test]
fn gradients_of_several_uses_add_up() {
    // a·b + a², and a used through b's product twice: d/da = b + 2a, d/db = a.
    let found = gradients_of(|_, a, b| a.mul(b)?.add(&a.square()?)?.sum(), |a, b| vec![a.clone(), b.clone()]).unwrap();
    assert_eq!(found[0].data, [2.0, 0.0, 1.0]);
    assert_eq!(found[1].data, [0.5, -1.0, 2.0]);
}

#[test]
fn a_decomposed_operation_whose_inputs_depend_on_each_other_counts_each_path_once() {
    use deepfit_graph::ops::{BinaryKind, Fused, Instruction, Operand, Program};
    // a * square(a) = a³ by a fused product that reads both.
    let product = Fused {
        program: Program {
            instructions: vec![Instruction::Binary(BinaryKind::Mul, Operand::Input(0), Operand::Input(1))],
        },
    };
    let found =
        gradients_of(|tracer, a, _| tracer.apply_one(product, &[a, &a.square()?])?.sum(), |a, _| vec![a.clone()])
            .unwrap();
    assert_eq!(found[0].data, [0.75, 3.0, 12.0]);
}

#[test]
fn gradients_reach_through_a_wanted_value_to_what_it_is_made_of() {
    let tracer = Tracer::new(Mode::Train);
    let a = tracer.parameter("a", [2]).unwrap();
    let square = a.square().unwrap();
    let loss = square.mul_scalar(3.0).unwrap().sum().unwrap();
    let found = gradients(&loss, &[square, a]).unwrap();
    let given = [("a".to_string(), Reference::new(&[2], vec![0.5, -1.0]))].into();
    let (values, _) = interpret(&tracer.graph(), Extents::batch(1), &given);
    assert_eq!(values.get(found[0].value()).data, [3.0, 3.0]);
    assert_eq!(values.get(found[1].value()).data, [3.0, -6.0]);
}

#[test]
fn what_is_frozen_gets_no_backward_nodes() {
    let tracer = Tracer::new(Mode::Train);
    let x = tracer.constant(HostTensor::f32(&[2, 3], vec![1.0; 6]));
    let frozen = tracer.parameter("frozen", [3, 4]).unwrap();
    let trained = tracer.parameter("trained", [4, 5]).unwrap();
    let loss = x.matmul(&frozen).unwrap().tanh().unwrap().matmul(&trained).unwrap().sum().unwrap();
    let before = tracer.graph().nodes().len();
    gradients(&loss, &[trained]).unwrap();
    let graph = tracer.graph();
    let added: Vec<&str> = graph.nodes()[before..].iter().map(|n| n.op.kind()).collect();
    assert_eq!(added.iter().filter(|kind| **kind == "MatMul").count(), 1, "{added:?}");
    assert!(!added.contains(&"Unary"), "{added:?}");
}
