//! A GRU that forecasts the airline passengers of the next month, tested on the last fifth of twelve years.

use deepfit::prelude::layers::{Gru, Linear, RecurrentConfig, Sequences};
use deepfit::prelude::*;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Months that the network looks back.
const WINDOW: usize = 13;

/// Root mean square errors on the test months, in thousands: of the network, and of taking each month for the next.
pub fn run() -> Outcome<(f64, f64)> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/airline.csv");
    let text = std::fs::read_to_string(file)?;
    let number = |line: &str| Ok(line.rsplit(',').next().unwrap_or("").parse()?);
    let passengers = text.lines().skip(1).map(number).collect::<Outcome<Vec<f32>>>()?;
    // Growth from month to month is about the same in all years; ten times its logarithm is of about the size 1.
    let growth: Vec<f32> = passengers.windows(2).map(|pair| 10.0 * (pair[1] / pair[0]).ln()).collect();
    let windows: Vec<f32> = growth.windows(WINDOW + 1).flat_map(|w| w[..WINDOW].to_vec()).collect();
    let next = &growth[WINDOW..];
    let test = passengers.len() / 5;
    let training = next.len() - test;

    let scope = Scope::root();
    let gru = Gru::new(&scope.child("gru"), 1, 16, RecurrentConfig { batch_first: true, ..Default::default() })?;
    let head = Linear::new(&scope.child("head"), 16, 1);
    let mut session = Session::new(
        &scope,
        SessionOptions { seed: 1, ..SessionOptions::new(Optimizer::adamw()) }.batch(training).learning_rate(0.01),
        move |tracer| {
            let last = gru.run(&tracer.batch("windows", &[WINDOW, 1], DType::F32), &Sequences::default())?.hidden;
            head.forward(&last.reshape(Shape::batch_of(&[16]))?)
        },
        |tracer, output| losses::mse(output, &tracer.batch("next", &[1], DType::F32), losses::Reduction::Mean),
    )?;
    let (past, future) = windows.split_at(training * WINDOW);
    for _ in 0..400 {
        session.step(&[("windows", View::F32(past)), ("next", View::F32(&next[..training]))])?;
    }
    let growth = session.predict(&[("windows", View::F32(future))])?.values;
    let error = |growth: &dyn Fn(usize) -> f32| {
        let months = passengers[passengers.len() - test - 1..].windows(2).enumerate();
        let squares = months.map(|(i, pair)| f64::from(pair[0] * (growth(i) / 10.0).exp() - pair[1]).powi(2));
        (squares.sum::<f64>() / test as f64).sqrt()
    };
    Ok((error(&|i| growth[i]), error(&|_| 0.0)))
}

#[allow(dead_code, reason = "the tests call `run`")]
fn main() -> Outcome<()> {
    let (network, last) = run()?;
    println!("root mean square error: {network:.1} thousand passengers; of last month's number: {last:.1}");
    Ok(())
}
