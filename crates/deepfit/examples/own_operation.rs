//! An operation of one's own, with a kernel and a derivative, held to account by the suite that tests all others.

use std::sync::Arc;

use deepfit::graph::ops::Custom;
use deepfit::graph::sample::{Sample, uniform};
use deepfit::graph::{CustomOperation, Derivative, Reference, ReferenceContext};
use deepfit::prelude::*;

/// `x / (1 + |x|)`, a sigmoid without exponential.
#[derive(Debug)]
struct Softsign;

impl CustomOperation for Softsign {
    fn name(&self) -> String {
        "softsign".to_string()
    }

    fn derivative(&self, cx: &Derivative<'_>) -> deepfit::graph::Result<Vec<Option<Tensor>>> {
        let slope = cx.input(0).abs()?.add_scalar(1.0)?.square()?.recip()?;
        Ok(vec![Some(cx.upstream()?.mul(&slope)?)])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let values = cx.inputs[0].data.iter().map(|x| x / (1.0 + x.abs())).collect();
        vec![Reference::new(&cx.shapes[0], values)]
    }

    fn compute(&self, inputs: &[&[f32]], outputs: &mut [&mut [f32]], _: &[&[usize]]) -> bool {
        outputs[0].iter_mut().zip(inputs[0]).for_each(|(y, x)| *y = x / (1.0 + x.abs()));
        true
    }
}

pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    let softsign = Custom(Arc::new(Softsign));
    deepfit::cpu::suite::check(&Sample::new(softsign.clone(), vec![uniform(&[3, 7], -2.0, 2.0, 1)]))?;

    let scope = Scope::root();
    let (first, second) = (layers::Linear::new(&scope.child(0), 2, 8), layers::Linear::new(&scope.child(2), 8, 1));
    let forward = move |t: &Tracer| {
        let hidden = first.forward(&t.batch("x", &[2], DType::F32))?;
        second.forward(&t.apply_one(softsign.clone(), &[&hidden])?)
    };
    let loss = |t: &Tracer, y: &Tensor| losses::mse(y, &t.batch("y", &[1], DType::F32), losses::Reduction::Mean);
    let options = SessionOptions::new(Optimizer::NAdam(Default::default())).learning_rate(0.05);
    let mut session = Session::new(&scope, options, forward, loss)?;
    // The exclusive or: no line separates it.
    let (x, y) = ([0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0], [0.0, 1.0, 1.0, 0.0]);
    for _ in 0..400 {
        session.step(&[("x", View::F32(&x)), ("y", View::F32(&y))])?;
    }
    let found = session.predict(&[("x", View::F32(&x))])?;
    println!("{:?} {:.3?}", found.shape, found.values);
    assert!(found.values.iter().zip(y).all(|(found, y)| (found - y).abs() < 0.1));
    Ok(())
}
