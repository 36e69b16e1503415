//! A small transformer that tells what a sentence is about: algebra, graphs, learning or tables.

use deepfit::prelude::{layers::*, *};

const SUBJECTS: [&str; 4] = ["algebra", "graphs", "learning", "tables"];
/// Numbers for words, most words of a sentence, width of the network.
const SIZES: (usize, usize, usize) = (8192, 24, 64);

/// Sentences and their subjects. A word's number is made of its letters; `shares` are what each counts in the mean.
fn read(text: &str) -> Result<Examples, Box<dyn std::error::Error>> {
    let (mut words, mut lengths, mut shares, mut subjects) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (subject, sentence) in text.lines().filter_map(|line| line.split_once('\t')) {
        let number = |word: &str| word.bytes().fold(7u32, |n, b| n.wrapping_mul(31).wrapping_add(b.into()));
        let parts = sentence.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        words.extend(parts.take(SIZES.1).map(|word| (number(&word.to_lowercase()) % SIZES.0 as u32) as i32));
        let length = words.len() - lengths.len() * SIZES.1;
        lengths.push(length as i32);
        words.resize(lengths.len() * SIZES.1, 0);
        shares.extend((0..SIZES.1).map(|i| if i < length { 1.0 / length as f32 } else { 0.0 }));
        subjects.push(SUBJECTS.iter().position(|known| *known == subject).ok_or("an unknown subject")? as i32);
    }
    let examples = Examples::new(lengths.len()).i32("words", words)?.i32("lengths", lengths)?;
    Ok(examples.f32("shares", shares)?.i32("subject", subjects)?)
}

/// The share of held-out sentences, every fifth, whose subject is found.
pub fn run() -> Result<f64, Box<dyn std::error::Error>> {
    let (words, length, width) = SIZES;
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/sentences.tsv");
    let all = read(&std::fs::read_to_string(file)?)?;
    let (test, train): (Vec<usize>, Vec<usize>) = (0..all.len()).partition(|i| i % 5 == 4);
    let scope = Scope::root();
    let embedding = Embedding::with(&scope.child("embedding"), words, width, Init::Normal { std: 0.02 });
    let positions = LearnedPositions::new(&scope.child("positions"), length, width);
    let config = TransformerConfig { dim_feedforward: 128, dropout: 0.3, ..TransformerConfig::new(width, 4) };
    let encoder = TransformerEncoderLayer::new(&scope.child("encoder"), &config)?;
    let head = Linear::new(&scope.child("head"), width, 4);
    let network = move |t: &Tracer| {
        let mask = AttentionMask { lengths: Some(t.batch("lengths", &[], DType::I32)), ..Default::default() };
        let x = positions.forward(&embedding.forward(&t.batch("words", &[length], DType::I32))?)?;
        let mean = t.batch("shares", &[1, length], DType::F32).matmul(&encoder.encode(&x, &mask)?)?;
        head.forward(&mean.reshape(Shape::batch_of(&[width]))?)
    };
    let options = SessionOptions { seed: 1, ..SessionOptions::new(Optimizer::adamw()) }.learning_rate(0.001);
    let mut session = Session::new(&scope, options, network, |t, logits| {
        losses::cross_entropy(logits, &t.batch("subject", &[], DType::I32), &losses::CrossEntropy::default())
    })?;
    session.fit(&all.rows(&train), &Fit { epochs: 16, schedule: Schedule::one_cycle() })?;
    let mut right = 0;
    for row in test.iter().map(|&row| all.rows(&[row])) {
        let (views, scores) = (row.views(), session.predict(&row.views()[..3])?.values);
        right += usize::from(matches!(views[3].1, View::I32([s]) if scores.iter().all(|x| *x <= scores[*s as usize])));
    }
    Ok(right as f64 / test.len() as f64)
}

#[allow(dead_code, reason = "the tests call `run`")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    run().map(|share| println!("the subject of {:.1} % of held-out sentences is found", 100.0 * share))
}
