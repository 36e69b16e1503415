//! Grad-CAM finds the patch that a network, trained here, goes by.

use deepfit_data::{Array, ImagePreprocessor, Preprocessor, Task};
use deepfit_explain::{Rows, Subject, grad_cam, last_convolution};
use deepfit_graph::DType;
use deepfit_nn::losses::{self, CrossEntropy};
use deepfit_nn::{Activation, Scope};
use deepfit_train::{Examples, Fit, Session, SessionOptions, read_weights};
use deepfit_zoo::{CnnConfig, Head, ImageConfig, ModelConfig, build};

const SIDE: usize = 24;
const PATCH: usize = 8;

/// Pictures of faint noise whose corner has the colour of their class.
fn picture(i: u64) -> (Vec<f32>, usize) {
    let class = (i % 2) as usize;
    let colour = [[0.85, 0.15, 0.15], [0.15, 0.8, 0.25]][class];
    let noise = |k: usize| {
        let x = (i * 100_003 + k as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        0.42 + 0.16 * ((x >> 40) as f32 / (1 << 24) as f32)
    };
    let value = |k: usize| {
        let (y, x, c) = (k / 3 / SIDE, k / 3 % SIDE, k % 3);
        if y < PATCH && x < PATCH { colour[c] } else { noise(k) }
    };
    ((0..SIDE * SIDE * 3).map(value).collect(), class)
}

#[test]
fn grad_cam_finds_the_patch_that_decides() {
    let config = ModelConfig::Cnn(CnnConfig {
        image: ImageConfig::new(SIDE, SIDE, 3).normalised(vec![0.5; 3], vec![0.25; 3]),
        outputs: 2,
        stages: vec![vec![8], vec![16]],
        head: Head::GlobalAverage,
        hidden: 0,
        activation: Activation::Relu,
        dropout: 0.0,
    });
    let (pixels, classes): (Vec<Vec<f32>>, Vec<usize>) = (0..80).map(picture).unzip();
    let classes = classes.into_iter().map(|class| class as i32).collect();
    let examples = Examples::new(80).f32("image", pixels.concat()).unwrap().i32("class", classes).unwrap();
    let scope = Scope::root();
    let network = build(&config, &scope).unwrap();
    let mut session = Session::new(
        &scope,
        SessionOptions::default().learning_rate(0.02).batch(16),
        move |t| network.forward(&[t.batch("image", &[SIDE, SIDE, 3], DType::F32)]),
        |t, logits| losses::cross_entropy(logits, &t.batch("class", &[], DType::I32), &CrossEntropy::default()),
    )
    .unwrap();
    session.fit(&examples, &Fit::epochs(12)).unwrap();
    let file = std::env::temp_dir().join(format!("planted-{}.safetensors", std::process::id()));
    session.save(&file).unwrap();
    let weights = read_weights(&file).unwrap().0;
    std::fs::remove_file(&file).unwrap();
    let task = Task::Classification { classes: vec!["red".to_string(), "green".to_string()] };
    let preprocessor = Preprocessor::Image(ImagePreprocessor {
        version: ImagePreprocessor::VERSION,
        height: SIDE,
        width: SIDE,
        channels: 3,
        resize: None,
        task,
        target_scale: None,
        columns: None,
    });
    let mut subject = Subject::with_weights(&config, preprocessor, &weights, 2).unwrap();
    let layer = last_convolution(&subject).unwrap();
    assert_eq!(layer, "activation2");
    for i in 1000..1006 {
        let (pixels, class) = picture(i);
        let row = Rows { len: 1, sequence: 1, inputs: vec![Array::F32(pixels)] };
        let logits = subject.logits(&row).unwrap().swap_remove(0);
        assert_eq!(subject.prediction(&logits).1, class, "{logits:?}");
        let map = grad_cam(&mut subject, &row, &layer, class).unwrap().resized(SIDE, SIDE);
        let mut order: Vec<usize> = (0..SIDE * SIDE).collect();
        order.sort_by(|&a, &b| map.values[b].total_cmp(&map.values[a]));
        let within = order[..PATCH * PATCH].iter().filter(|&&p| p / SIDE < PATCH && p % SIDE < PATCH).count();
        assert!(within * 10 >= PATCH * PATCH * 6, "{within} of {} for class {class}", PATCH * PATCH);
    }
}
