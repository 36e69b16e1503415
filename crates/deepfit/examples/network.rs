//! A network of one's own, trained with `fit`, saved and loaded.

use deepfit::prelude::*;

/// Two spirals, wound into each other: `points` of x and y, and the arm that each belongs to.
fn spirals(points: usize) -> deepfit::train::Result<Examples> {
    let place = |i: usize| {
        let (arm, turn) = ((i % 2) as f32 * std::f32::consts::PI, (i / 2) as f32 / points as f32 * 12.0);
        [turn * (turn + arm).cos() / 6.0, turn * (turn + arm).sin() / 6.0]
    };
    let arms = (0..points).map(|i| (i % 2) as i32).collect();
    Examples::new(points).f32("x", (0..points).flat_map(place).collect())?.i32("arm", arms)
}

fn session(seed: u64) -> deepfit::train::Result<Session> {
    let scope = Scope::root();
    let tanh = |at: usize| layers::Activate::new(&scope.child(at), Activation::Tanh);
    let network = Sequential::new()
        .with(layers::Linear::new(&scope.child(0), 2, 32))
        .with(tanh(1))
        .with(layers::Linear::new(&scope.child(2), 32, 32))
        .with(tanh(3))
        .with(layers::Linear::new(&scope.child(4), 32, 2));
    let options = SessionOptions { seed, ..SessionOptions::new(Optimizer::adamw()).learning_rate(0.02) };
    let forward = move |t: &Tracer| network.forward(&t.batch("x", &[2], DType::F32));
    Session::new(&scope, options, forward, |t, logits| {
        losses::cross_entropy(logits, &t.batch("arm", &[], DType::I32), &losses::CrossEntropy::default())
    })
}

pub fn main() -> deepfit::train::Result<()> {
    let (examples, mut trained) = (spirals(256)?, session(1)?);
    let fit = Fit { epochs: 150, schedule: Schedule::one_cycle() };
    let losses = trained.fit(&examples, &fit, |_, _| Flow::Continue)?;
    println!("loss {:.3} in the first epoch, {:.4} in the last", losses[0], losses[149]);
    assert!(losses[149] < 0.05);

    let file = std::env::temp_dir().join(format!("spirals-{}.safetensors", std::process::id()));
    trained.save(&file)?;
    let mut loaded = session(2)?;
    loaded.load(&file)?;
    let few = examples.rows(&[0, 1, 2, 3]);
    assert_eq!(loaded.predict(&few.views())?, trained.predict(&few.views())?);
    std::fs::remove_file(&file).ok();
    Ok(())
}
