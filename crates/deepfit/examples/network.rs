//! A network of one's own, trained with `fit`, saved and loaded.

use deepfit::prelude::*;

struct Circle {
    hidden: layers::Linear,
    output: layers::Linear,
}

impl Module for Circle {
    fn forward(&self, x: &Tensor) -> deepfit::nn::Result<Tensor> {
        self.output.forward(&self.hidden.forward(x)?.tanh()?)
    }
}

fn session(seed: u64) -> deepfit::train::Result<Session> {
    let scope = Scope::root();
    let linear = |name, inputs, outputs| layers::Linear::new(&scope.child(name), inputs, outputs);
    let network = Circle { hidden: linear("hidden", 2, 32), output: linear("output", 32, 2) };
    let options = SessionOptions { seed, ..SessionOptions::new(Optimizer::adamw()).learning_rate(0.03) };
    let forward = move |t: &Tracer| network.forward(&t.batch("point", &[2], DType::F32));
    Session::new(&scope, options, forward, |t, logits| {
        losses::cross_entropy(logits, &t.batch("inside", &[], DType::I32), &Default::default())
    })
}

pub fn main() -> deepfit::train::Result<()> {
    // The points of a grid, and whether each lies in a circle.
    let points: Vec<f32> = (0..400).flat_map(|i| [i % 20, i / 20].map(|x| x as f32 / 10.0 - 1.0)).collect();
    let inside = points.chunks(2).map(|p| i32::from(p[0].hypot(p[1]) < 0.7)).collect();
    let examples = Examples::new(400).f32("point", points)?.i32("inside", inside)?;
    let mut trained = session(1)?;
    let fit = Fit { epochs: 100, schedule: Schedule::one_cycle() };
    let losses = trained.fit(&examples, &fit)?;
    println!("loss {:.3} in the first epoch, {:.4} in the last", losses[0], losses[99]);
    assert!(losses[99] < 0.1);

    let file = std::env::temp_dir().join(format!("circle-{}.safetensors", std::process::id()));
    trained.save(&file)?;
    let mut loaded = session(2)?;
    loaded.load(&file)?;
    std::fs::remove_file(&file).ok();
    let few = examples.rows(&[0, 1, 2]);
    assert_eq!(loaded.predict(&few.views())?, trained.predict(&few.views())?);
    Ok(())
}
