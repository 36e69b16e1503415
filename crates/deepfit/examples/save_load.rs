//! Weights that are saved, and loaded for use: safetensors with PyTorch's names.

use deepfit::prelude::*;

fn network(scope: &Scope) -> impl Fn(&Tracer) -> deepfit::nn::Result<Tensor> + use<> {
    let network = Sequential::new()
        .with(layers::Linear::new(&scope.child(0), 3, 16))
        .with(layers::Activate::new(&scope.child(1), Activation::Gelu))
        .with(layers::Linear::new(&scope.child(2), 16, 1));
    move |t| network.forward(&t.batch("x", &[3], DType::F32))
}

pub fn main() -> deepfit::Result<()> {
    let x: Vec<f32> = (0..300).map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0).collect();
    let y = x.chunks(3).map(|row| row[0] * row[1] - row[2]).collect();
    let examples = Examples::new(100).f32("x", x)?.f32("y", y)?;
    let scope = Scope::root();
    let mut trained = Session::new(&scope, SessionOptions::default().seed(1), network(&scope), |t, output| {
        losses::mse(output, &t.batch("y", &[1], DType::F32), Reduction::Mean)
    })?;
    trained.fit(&examples, &Fit::epochs(20))?;
    let file = std::env::temp_dir().join(format!("product-{}.safetensors", std::process::id()));
    trained.save(&file)?;
    let scope = Scope::root();
    let mut loaded = Session::inference(&scope, SessionOptions::default(), network(&scope))?;
    loaded.load(&file)?;
    let x = &examples.views()[..1];
    assert_eq!(loaded.predict(x)?, trained.predict(x)?);
    Ok(())
}
