//! An LSTM that forecasts the sunspots of the next year, tested on the last fifth of three centuries.

use deepfit::prelude::layers::{Linear, Lstm, RecurrentConfig};
use deepfit::prelude::*;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Reads the years one after the other, and says at each how the next will differ.
struct Network(Lstm, Linear);

impl Module for Network {
    fn forward(&self, years: &Tensor) -> deepfit::nn::Result<Tensor> {
        Ok(years.add(&self.1.forward(&self.0.forward(years)?)?)?)
    }
}

/// Root mean square errors on the test years: of the network, and of taking each year for the next.
pub fn run() -> Outcome<(f64, f64)> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/sunspots.csv");
    let text = std::fs::read_to_string(file)?;
    // In hundreds, so that the network sees numbers of about 1.
    let number = |line: &str| Ok(line.rsplit(',').next().unwrap_or("").parse::<f32>()? / 100.0);
    let numbers = text.lines().skip(1).map(number).collect::<Outcome<Vec<f32>>>()?;
    let (all, training) = (numbers.len() - 1, numbers.len() * 4 / 5 - 1);
    let (now, next) = (&numbers[..all], &numbers[1..]);

    let scope = Scope::root();
    let lstm = Lstm::new(&scope.child("lstm"), 1, 32, RecurrentConfig::default())?;
    let network = Network(lstm, Linear::new(&scope.child("head"), 32, 1));
    let series = |tracer: &Tracer, name| {
        tracer.input(name, vec![Symbol::Sequence.into(), Symbol::Batch.into(), 1.into()], DType::F32)
    };
    let options = SessionOptions { sequence: all, seed: 1, ..SessionOptions::new(Optimizer::adamw()) };
    let mut session = Session::new(
        &scope,
        options.batch(1).learning_rate(0.005),
        move |tracer| network.forward(&series(tracer, "now")),
        move |tracer, forecast| losses::mse(forecast, &series(tracer, "next"), losses::Reduction::Mean),
    )?;
    for _ in 0..150 {
        session.step(&[("now", View::F32(&now[..training])), ("next", View::F32(&next[..training]))])?;
    }
    let forecast = session.predict(&[("now", View::F32(now))])?;
    let error = |found: &[f32]| {
        let squares = found[training..].iter().zip(&next[training..]).map(|(a, b)| f64::from(a - b).powi(2));
        100.0 * (squares.sum::<f64>() / (all - training) as f64).sqrt()
    };
    Ok((error(&forecast.values), error(now)))
}

#[allow(dead_code, reason = "the tests call `run`")]
fn main() -> Outcome<()> {
    let (network, last) = run()?;
    println!("root mean square error: {network:.1} sunspots; of last year's number: {last:.1}");
    Ok(())
}
