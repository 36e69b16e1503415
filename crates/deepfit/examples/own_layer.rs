//! A layer of one's own: each number passes a gate that it opens itself, as far as is learned.

use deepfit::prelude::*;

/// `x * sigmoid(weight * x + bias)`, feature by feature: Swish (Ramachandran et al., 2017) with slopes that are learned.
struct Gate {
    path: String,
    weight: Parameter,
    bias: Parameter,
}

impl Gate {
    fn new(scope: &Scope, features: usize) -> Self {
        let parameter = |name, init| scope.parameter(name, &[features], init, Role::NoDecay);
        Gate {
            path: scope.place("gate"),
            weight: parameter("weight", Init::Ones),
            bias: parameter("bias", Init::Zeros),
        }
    }
}

impl Module for Gate {
    fn forward(&self, x: &Tensor) -> deepfit::nn::Result<Tensor> {
        let tracer = x.tracer();
        tracer.in_layer(&self.path, || {
            let open = x.mul(&self.weight.on(tracer)?)?.add(&self.bias.on(tracer)?)?.sigmoid()?;
            Ok(x.mul(&open)?)
        })
    }
}

pub fn main() -> deepfit::Result<()> {
    let x: Vec<f32> = (0..200).map(|i| i as f32 / 50.0 - 2.0).collect();
    let y = x.iter().map(|x| x.abs()).collect();
    let examples = Examples::new(200).f32("x", x)?.f32("y", y)?;
    let scope = Scope::root();
    let network = Sequential::new()
        .with(layers::Linear::new(&scope.child("wide"), 1, 8))
        .with(Gate::new(&scope.child("gate"), 8))
        .with(layers::Linear::new(&scope.child("narrow"), 8, 1));
    let forward = move |t: &Tracer| network.forward(&t.batch("x", &[1], DType::F32));
    let mut session = Session::new(&scope, SessionOptions::default().learning_rate(0.03), forward, |t, output| {
        losses::mse(output, &t.batch("y", &[1], DType::F32), Reduction::Mean)
    })?;
    let losses = session.fit(&examples, &Fit::epochs(100))?;
    println!("{}\nloss {:.4} at first, {:.5} at last", session.inspect()?, losses[0], losses[99]);
    assert!(losses[99] < 0.01 && losses[99] < losses[0] / 10.0);
    Ok(())
}
