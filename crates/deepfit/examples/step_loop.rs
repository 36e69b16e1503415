//! A step loop of one's own: a rate that is searched, gradients that are read, a rate that follows the loss.

use deepfit::prelude::*;

pub fn main() -> deepfit::Result<()> {
    let x: Vec<f32> = (0..64).flat_map(|i| [(i % 8) as f32 / 4.0 - 1.0, (i / 8) as f32 / 4.0 - 1.0]).collect();
    let y = x.chunks(2).map(|p| 2.0 * p[0] - p[1] + 0.5).collect();
    let examples = Examples::new(64).f32("x", x)?.f32("y", y)?;
    let scope = Scope::root();
    let line = layers::Linear::new(&scope.child("line"), 2, 1);
    let options = SessionOptions::new(Optimizer::Sgd(optim::Sgd { momentum: 0.9, ..Default::default() })).batch(64);
    let forward = move |t: &Tracer| line.forward(&t.batch("x", &[2], DType::F32));
    let mut session = Session::new(&scope, options, forward, |t, output| {
        losses::mse(output, &t.batch("y", &[1], DType::F32), Reduction::Mean)
    })?;
    let rate = session.find_rate(&examples, &RateSearch::default())?.suggestion().unwrap_or(0.01).min(0.1);
    let schedule = ReduceOnPlateau { factor: 0.5, patience: 30, ..Default::default() };
    let mut plateau = Plateau::default();
    for step in 1..=300 {
        let gradients = session.gradients(&examples.views())?;
        let loss = session.step(&examples.views())?;
        session.set_learning_rate(rate * schedule.observe(&mut plateau, loss));
        if step % 50 == 0 {
            println!("step {step}: loss {loss:.2e}, gradient of the weight {:.2?}", gradients["line.weight"].values);
        }
    }
    let weight = session.parameter("line.weight").unwrap_or_default();
    assert!((weight[0] - 2.0).abs() < 1e-2 && (weight[1] + 1.0).abs() < 1e-2, "{weight:?}");
    Ok(())
}
