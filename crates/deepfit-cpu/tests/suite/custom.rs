//! The suite holds a user's own operation to account.

use std::sync::Arc;

use deepfit_cpu::suite;
use deepfit_graph::ops::Custom;
use deepfit_graph::sample::{Sample, uniform};
use deepfit_graph::{CustomOperation, Derivative, Reference, ReferenceContext, Result, Tensor};

/// The third power, with factors that can be wrong.
#[derive(Debug)]
struct Cube {
    slope: Option<f32>,
    kernel: f32,
}

impl CustomOperation for Cube {
    fn name(&self) -> String {
        "cube".to_string()
    }

    fn derivative(&self, cx: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
        let slope = self.slope.ok_or_else(|| cx.no_derivative())?;
        Ok(vec![Some(cx.input(0).square()?.mul_scalar(slope)?.mul(cx.upstream()?)?)])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        vec![Reference::new(&cx.shapes[0], cx.inputs[0].data.iter().map(|x| x.powi(3)).collect())]
    }

    fn compute(&self, inputs: &[&[f32]], outputs: &mut [&mut [f32]], _: &[&[usize]]) -> bool {
        outputs[0].iter_mut().zip(inputs[0]).for_each(|(y, x)| *y = self.kernel * x * x * x);
        true
    }
}

fn check(slope: Option<f32>, kernel: f32) -> Result<(), String> {
    suite::check(&Sample::new(Custom(Arc::new(Cube { slope, kernel })), vec![uniform(&[4, 9], -2.0, 2.0, 1)]))
}

#[test]
fn a_right_operation_passes() {
    assert_eq!(check(Some(3.0), 1.0), Ok(()));
}

#[test]
fn a_wrong_derivative_is_found() {
    for slope in [-3.0, 3.001] {
        let problem = check(Some(slope), 1.0).unwrap_err();
        assert!(problem.contains("cube, derivative by input 0"), "{problem}");
    }
}

#[test]
fn a_missing_derivative_is_told_unless_the_sample_is_without() {
    let problem = check(None, 1.0).unwrap_err();
    assert!(problem.contains("has no derivative") && problem.contains("without_gradient"), "{problem}");
    let sample = Sample::new(Custom(Arc::new(Cube { slope: None, kernel: 1.0 })), vec![uniform(&[3], -2.0, 2.0, 1)]);
    assert_eq!(suite::check(&sample.without_gradient()), Ok(()));
}

#[test]
fn a_wrong_kernel_is_found() {
    let problem = check(Some(3.0), 1.001).unwrap_err();
    assert!(problem.contains("the reference says"), "{problem}");
}
