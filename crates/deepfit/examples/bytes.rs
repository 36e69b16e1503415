//! An LSTM that learns the bytes of a text: `bytes [TEXT] [STEPS] [WEIGHTS]`, the last tenth of the text held out.

use deepfit::prelude::{layers::*, *};

/// Places of the text that are read at once, bytes read of each in one step, and numbers of the state.
const ROWS: usize = 32;
const WINDOW: usize = 64;
const HIDDEN: usize = 128;

/// Bits per byte of the held-out text, after so many steps from `weights` or from weights that are drawn.
pub fn run(text: &[u8], steps: usize, weights: Option<&str>) -> Result<f64, Box<dyn std::error::Error>> {
    let scope = Scope::root();
    let embedding = Embedding::new(&scope.child("embedding"), 256, 64);
    let lstm = Lstm::new(&scope.child("lstm"), 64, HIDDEN, RecurrentConfig::default())?;
    let head = Linear::new(&scope.child("head"), HIDDEN, 256);
    let window = |t: &Tracer, name| t.input(name, vec![WINDOW.into(), Symbol::Batch.into()], DType::I32);
    let network = move |t: &Tracer| {
        let state = |name| t.input(name, vec![1.into(), Symbol::Batch.into(), HIDDEN.into()], DType::F32);
        let (h, c) = (state("h0"), state("c0"));
        let first = Sequences { hidden: Some(&h), cell: Some(&c), ..Default::default() };
        let run = lstm.run(&embedding.forward(&window(t, "bytes"))?, &first)?;
        t.output("h1", &run.hidden);
        run.cell.iter().for_each(|cell| t.output("c1", cell));
        head.forward(&run.output)
    };
    let adam = Optimizer::Adam(optim::Adam::default());
    let mut options = SessionOptions::new(adam).batch(ROWS).learning_rate(0.004);
    options.training.clip = Some(Clip::Norm(1.0));
    let mut session = Session::new(&scope, options, network, move |t, logits| {
        losses::cross_entropy(logits, &window(t, "next"), &losses::CrossEntropy::default())
    })?;
    weights.map_or(Ok(()), |file| session.load(file))?;
    let (learned, held_out) = text.split_at(text.len() / 10 * 9);
    let (mut state, mut bits) = (Vec::new(), 0.0);
    for (part, steps) in [(learned, Some(steps)), (held_out, None)] {
        let windows = part.len().saturating_sub(1) / ROWS / WINDOW;
        bits = if windows == 0 { return Err("the text is too short".into()) } else { 0.0 };
        for i in (0..steps.unwrap_or(windows)).map(|i| i % windows) {
            // Each row reads on where it stopped, with the state that it had; the gradient ends where the window begins.
            let byte = |at: usize| i32::from(part[at % ROWS * windows * WINDOW + i * WINDOW + at / ROWS]);
            let [now, next] = [0, ROWS].map(|from| (from..from + ROWS * WINDOW).map(byte).collect::<Vec<i32>>());
            state = if i == 0 { vec![vec![0.0; ROWS * HIDDEN]; 2] } else { state };
            let [h0, c0] = [0, 1].map(|i| View::F32(&state[i]));
            let batch = [("bytes", View::I32(&now)), ("next", View::I32(&next)), ("h0", h0), ("c0", c0)];
            let loss = if steps.is_some() { session.step(&batch)? } else { session.loss(&batch)? };
            bits += loss / std::f64::consts::LN_2 / windows as f64;
            state = ["h1", "c1"].iter().filter_map(|name| session.output(name)).map(|s| s.values).collect();
        }
    }
    Ok(bits)
}

#[allow(dead_code, reason = "the tests call `run`")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let excerpt = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/reference.txt");
    let text = std::fs::read(given.first().map_or(excerpt, |file| file))?;
    let steps = given.get(1).map_or(Ok(300), |steps| steps.parse())?;
    run(&text, steps, given.get(2).map(|file| &file[..])).map(|bits| println!("{bits:.4} bits per byte"))
}
