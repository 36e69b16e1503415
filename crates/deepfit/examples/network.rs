//! A network of one's own, trained with `fit`: is a point inside of a circle?

use deepfit::prelude::*;

struct Circle(layers::Linear, layers::Linear);

impl Module for Circle {
    fn forward(&self, x: &Tensor) -> deepfit::nn::Result<Tensor> {
        self.1.forward(&self.0.forward(x)?.tanh()?)
    }
}

pub fn main() -> deepfit::Result<()> {
    let points: Vec<f32> = (0..400).flat_map(|i| [i % 20, i / 20].map(|x| x as f32 / 10.0 - 1.0)).collect();
    let inside = points.chunks(2).map(|p| i32::from(p[0].hypot(p[1]) < 0.7)).collect();
    let examples = Examples::new(400).f32("point", points)?.i32("inside", inside)?;
    let scope = Scope::root();
    let linear = |name, inputs, outputs| layers::Linear::new(&scope.child(name), inputs, outputs);
    let network = Circle(linear("hidden", 2, 32), linear("output", 32, 2));
    let forward = move |t: &Tracer| network.forward(&t.batch("point", &[2], DType::F32));
    let mut session = Session::new(&scope, SessionOptions::default().learning_rate(0.03), forward, |t, logits| {
        losses::cross_entropy(logits, &t.batch("inside", &[], DType::I32), &Default::default())
    })?;
    let losses = session.fit(&examples, &Fit::epochs(100).schedule(Schedule::one_cycle()))?;
    println!("{}\nloss {:.3} in the first epoch, {:.4} in the last", session.inspect()?, losses[0], losses[99]);
    assert!(losses[99] < 0.1);
    Ok(())
}
