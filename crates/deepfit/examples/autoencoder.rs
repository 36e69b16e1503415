//! An auto-encoder that squeezes pictures of digits, 64 pixels, into 8 numbers, beside as many principal components.

use deepfit::{data, prelude::*};

const PIXELS: usize = 64;
const CODE: usize = 8;

/// Mean squared errors on held-out digits: of the network, of the first principal components, of the mean picture.
pub fn run() -> Result<[f32; 3], Box<dyn std::error::Error>> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/digits.zip");
    let data = data::open(file.as_ref(), &OpenOptions::default())?;
    let split = data.split(&SplitOptions::seeded(1))?;
    let source = data.prepare(&split.train)?.source;
    let pixels = |rows: &[u32]| -> deepfit::Result<Vec<f32>> {
        let examples = Examples::from_source(&*source, rows)?;
        let [("image", View::U8(bytes)), ..] = examples.views()[..] else { unreachable!("pictures are bytes") };
        Ok(bytes.iter().map(|&byte| f32::from(byte) / 255.0).collect())
    };
    let (mut train, mut test) = (pixels(&split.train)?, pixels(&split.test)?);
    let (scope, mut network) = (Scope::root(), Sequential::new());
    for (i, widths) in [PIXELS, 128, CODE, 128, PIXELS].windows(2).enumerate() {
        network.push(layers::Linear::new(&scope.child(2 * i), widths[0], widths[1]));
        if i % 2 == 0 {
            network.push(layers::Activate::new(&scope.child(2 * i + 1), Activation::Gelu));
        }
    }
    let options = SessionOptions::default().seed(1).batch(64).learning_rate(0.005);
    let forward = move |t: &Tracer| network.forward(&t.batch("pixels", &[PIXELS], DType::F32));
    let mut session = Session::new(&scope, options, forward, |t, made| {
        losses::mse(made, &t.batch("wanted", &[PIXELS], DType::F32), Reduction::Mean)
    })?;
    let examples = Examples::new(split.train.len()).f32("pixels", train.clone())?.f32("wanted", train.clone())?;
    session.fit(&examples, &Fit::epochs(100).schedule(Schedule::one_cycle()))?;
    let mut made = session.predict(&[("pixels", View::F32(&test))])?.values;
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let add = |to: &mut [f32], factor, from: &[f32]| to.iter_mut().zip(from).for_each(|(to, x)| *to += factor * x);
    add(&mut made, -1.0, &test);
    let mut mean = vec![0.0; PIXELS];
    train.chunks(PIXELS).for_each(|row| add(&mut mean, PIXELS as f32 / train.len() as f32, row));
    train.chunks_mut(PIXELS).chain(test.chunks_mut(PIXELS)).for_each(|row| add(row, -1.0, &mean));
    let from_mean = dot(&test, &test);
    // The first component by power iteration; it is taken away, which leaves the second the first.
    for _ in 0..CODE {
        let mut axis = vec![1.0; PIXELS];
        for _ in 0..100 {
            let mut next = vec![0.0; PIXELS];
            train.chunks(PIXELS).for_each(|row| add(&mut next, dot(row, &axis), row));
            axis = next.iter().map(|x| x / dot(&next, &next).sqrt()).collect();
        }
        train.chunks_mut(PIXELS).chain(test.chunks_mut(PIXELS)).for_each(|x| add(x, -dot(x, &axis), &axis));
    }
    Ok([dot(&made, &made), dot(&test, &test), from_mean].map(|sum| sum / test.len() as f32))
}

#[allow(dead_code, reason = "the tests call `run`")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    run()
        .map(|[network, pca, mean]| println!("mean squared error {network:.4}, of PCA {pca:.4}, of the mean {mean:.4}"))
}
