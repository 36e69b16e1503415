//! A loss of one's own: quantiles of a noisy line, from operations that know their derivatives.

use deepfit::prelude::*;

/// The pinball loss (Koenker and Bassett, 1978), smallest where a share `q` of the targets lies below.
fn pinball(output: &Tensor, target: &Tensor, q: [f32; 3]) -> deepfit::nn::Result<Tensor> {
    let q = output.tracer().constant(HostTensor::f32(&[3], q.to_vec()));
    let missing = target.sub(output)?;
    Ok(missing.mul(&q)?.maximum(&missing.mul(&q.add_scalar(-1.0)?)?)?.mean()?)
}

pub fn main() -> deepfit::Result<()> {
    // Targets are the input plus noise, uniform in 0..1 and the same for every input.
    let x: Vec<f32> = (0..800).map(|i| (i / 100) as f32 / 4.0 - 1.0).collect();
    let y = x.iter().enumerate().map(|(i, x)| x + (i * 37 % 100) as f32 / 100.0).collect();
    let examples = Examples::new(800).f32("x", x)?.f32("y", y)?;
    let scope = Scope::root();
    let lines = layers::Linear::new(&scope.child("lines"), 1, 3);
    let options = SessionOptions::new(Optimizer::RmsProp(Default::default())).batch(100);
    let forward = move |t: &Tracer| lines.forward(&t.batch("x", &[1], DType::F32));
    let mut session = Session::new(&scope, options, forward, |t, output| {
        pinball(output, &t.batch("y", &[1], DType::F32), [0.1, 0.5, 0.9])
    })?;
    session.fit(&examples, &Fit::epochs(100).schedule(Schedule::Polynomial { total_iters: 800, power: 1.0 }))?;
    let offsets = session.parameter("lines.bias").unwrap_or_default();
    println!("a tenth, half and nine tenths of the noise lie below {offsets:.2?}");
    assert!(offsets.iter().zip([0.1, 0.5, 0.9]).all(|(found, q)| (found - q).abs() < 0.05));
    Ok(())
}
