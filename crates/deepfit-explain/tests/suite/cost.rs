//! What explanations cost beside a prediction.

use std::path::Path;
use std::time::Instant;

use deepfit_data::Array;
use deepfit_explain::{Rows, Subject, grad_cam, last_convolution};

/// The least of several times: what others do on the machine only adds to it.
fn least(times: usize, mut run: impl FnMut()) -> f64 {
    let time = |_| {
        let begun = Instant::now();
        run();
        begun.elapsed().as_secs_f64()
    };
    (0..times).map(time).fold(f64::INFINITY, f64::min)
}

#[test]
fn grad_cam_takes_less_than_twice_the_time_of_a_prediction() {
    let (mut subject, _) = Subject::open(Path::new("efficientnet-lite0"), 1).unwrap();
    let layer = last_convolution(&subject).unwrap();
    let image = subject.image().unwrap();
    let pixels = image.height * image.width * image.channels;
    let pixels = (0..pixels).map(|i| (i * 37 % 251) as f32 / 250.0).collect();
    let row = Rows { len: 1, sequence: 1, inputs: vec![Array::F32(pixels)] };
    let logits = subject.logits(&row).unwrap().swap_remove(0);
    let (prediction, output) = subject.prediction(&logits);
    let map = grad_cam(&mut subject, &row, &layer, output).unwrap();
    assert!(map.height * map.width == 49, "{prediction:?} {layer} {}x{}", map.height, map.width);
    // In turns, so that both see the same machine.
    let (mut predicting, mut explaining) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..5 {
        predicting = predicting.min(least(3, || drop(subject.logits(&row).unwrap())));
        explaining = explaining.min(least(3, || drop(grad_cam(&mut subject, &row, &layer, output).unwrap())));
    }
    assert!(explaining < 2.0 * predicting, "{explaining} s and {predicting} s");
}
