//! An operation of one's own, held to account by the suite that tests all others.

use deepfit::prelude::*;

/// `x / (1 + |x|)`, a sigmoid without exponential. `compute` would be a kernel for it; without, the reference is used.
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
}

pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    let softsign = Custom(Arc::new(Softsign));
    suite::check(&Sample::new(softsign.clone(), vec![uniform(&[3, 7], -2.0, 2.0, 1)]))?;
    let forward = move |t: &Tracer| Ok(t.apply_one(softsign.clone(), &[&t.batch("x", &[2], DType::F32)])?);
    let mut session = Session::inference(&Scope::root(), SessionOptions::default(), forward)?;
    assert_eq!(session.predict(&[("x", View::F32(&[1.0, -3.0]))])?.values, [0.5, -0.75]);
    Ok(())
}
