//! Layers and losses that would broadcast, or compute what means nothing, are refused with layer and shapes.

use deepfit_graph::{DType, HostTensor, Mode, Shape, Tensor, Tracer};
use deepfit_nn::layers::*;
use deepfit_nn::losses::{self, CrossEntropy, MultiMargin, Nll, Reduction};
use deepfit_nn::{Module, NnError, Result, Scope};

fn batch(tracer: &Tracer, name: &str, lengths: &[usize]) -> Tensor {
    tracer.input(name, Shape::batch_of(lengths), DType::F32)
}

#[track_caller]
fn says(found: Result<impl Sized, NnError>, words: &[&str]) {
    let Err(error) = found else { panic!("must be refused: {words:?}") };
    let told = error.to_string();
    for word in words {
        assert!(told.contains(word), "`{told}` does not say `{word}`");
    }
}

#[test]
fn numbers_added_to_variances_must_not_be_negative() {
    let tracer = Tracer::new(Mode::Train);
    let x = batch(&tracer, "x", &[5, 4]);
    let at = || Scope::root().child("norm");
    for epsilon in [-1.0, f32::NAN, f32::INFINITY] {
        let config = InstanceNormConfig { epsilon, ..InstanceNormConfig::default() };
        let layers: [Box<dyn Module>; 6] = [
            Box::new(BatchNorm::with(&at(), 4, 0.1, epsilon)),
            Box::new(LayerNorm::with(&at(), 4, epsilon)),
            Box::new(RmsNorm::over(&at(), &[4], epsilon, true)),
            Box::new(GroupNorm::with(&at(), 2, 4, epsilon, true)),
            Box::new(GroupNorm::with(&at(), 2, 4, epsilon, false)),
            Box::new(InstanceNorm::new(&at(), 4, config)),
        ];
        for layer in layers {
            says(layer.forward(&x), &["norm: `epsilon`", &epsilon.to_string()]);
        }
    }
    BatchNorm::with(&at(), 4, 0.1, 0.0).forward(&x).expect("as in PyTorch");
    for momentum in [-0.1, 7.0, f32::NAN] {
        says(BatchNorm::with(&at(), 4, momentum, 1e-5).forward(&x), &["norm: `momentum`"]);
        let config = InstanceNormConfig { momentum, ..InstanceNormConfig::default() };
        says(InstanceNorm::new(&at(), 4, config).forward(&x), &["norm: `momentum`"]);
    }
}

#[test]
fn normalisations_of_other_channels_are_refused_learning_and_in_use() {
    for mode in [Mode::Train, Mode::Evaluate] {
        // One channel would be repeated.
        for channels in [1, 5] {
            let at = || Scope::root().child("norm");
            let tracked = InstanceNormConfig { track_running_stats: true, ..InstanceNormConfig::default() };
            let layers: [(&str, Box<dyn Module>); 3] = [
                ("batch_norm", Box::new(BatchNorm::new(&at(), channels))),
                ("instance_norm", Box::new(InstanceNorm::new(&at(), channels, tracked))),
                ("group_norm", Box::new(GroupNorm::new(&at(), 1, channels))),
            ];
            for (kind, layer) in layers {
                let x = batch(&Tracer::new(mode), "x", &[3, 4]);
                says(layer.forward(&x), &[&format!("norm: {kind}"), &format!("[{channels}]"), "[batch, 3, 4]"]);
            }
        }
    }
}

#[test]
fn batch_norm_refuses_one_value_per_channel_where_the_shape_tells() {
    let config = BatchNormConfig { track_running_stats: false, ..BatchNormConfig::default() };
    let plain = BatchNorm::new(&Scope::root().child("bn"), 4);
    let untracked = BatchNorm::configured(&Scope::root().child("bn"), 4, config);
    for (layer, mode, fits) in [
        (&plain, Mode::Train, false),
        (&plain, Mode::Evaluate, true),
        (&untracked, Mode::Train, false),
        (&untracked, Mode::Evaluate, false),
    ] {
        let one = Tracer::new(mode).input("x", [1, 4], DType::F32);
        match fits {
            true => drop(layer.forward(&one).expect("running statistics are used")),
            false => says(layer.forward(&one), &["bn: batch_norm", "more than 1 value per channel", "[1, 4]"]),
        }
        layer.forward(&batch(&Tracer::new(mode), "x", &[4])).expect("a batch may have any number of rows");
        layer.forward(&Tracer::new(mode).input("x", [1, 2, 4], DType::F32)).expect("two rows");
    }
}

#[test]
fn positions_of_another_width_are_not_repeated() {
    let at = || Scope::root().child("place");
    for (width, lengths) in [(8, &[4, 1][..]), (1, &[4, 8]), (7, &[4, 8]), (8, &[4, 2, 8]), (8, &[8])] {
        let x = Tracer::new(Mode::Train).input("x", Shape::batch_of(lengths), DType::F32);
        let words = ["place: positions", &format!("width {width}"), &x.shape().to_string()];
        says(SinusoidalPositions::new(&at(), 5, width, 0.0).forward(&x), &words);
        says(LearnedPositions::new(&at(), 5, width).forward(&x), &words);
    }
}

#[test]
fn class_weights_must_be_one_for_each_class() {
    let tracer = Tracer::new(Mode::Train);
    let (x, soft) = (batch(&tracer, "x", &[4]), batch(&tracer, "soft", &[4]));
    let classes = tracer.input("y", Shape::batch_of(&[]), DType::I32);
    // One name stands for one input.
    let mut names = (0..).map(|i| format!("w{i}"));
    let mut given = |shape: &Shape| tracer.input(&names.next().unwrap_or_default(), shape.clone(), DType::F32);
    let shapes = [Shape::from([1]), Shape::from([5]), Shape::batch_of(&[4]), Shape::from([1, 4]), Shape::scalar()];
    for shape in shapes {
        let weights = Some(given(&shape));
        let words = ["loss: ", "[batch, 4]", &shape.to_string()];
        says(losses::nll(&x, &classes, &Nll { weights: weights.clone(), ..Nll::default() }), &words);
        let margin = MultiMargin { weights: weights.clone(), ..MultiMargin::default() };
        says(losses::multi_margin(&x, &classes, &margin), &words);
        let settings = CrossEntropy { weights, ..CrossEntropy::default() };
        says(losses::soft_cross_entropy(&x, &soft, &settings), &words);
        says(losses::cross_entropy(&x, &classes, &settings), &["loss: ", &shape.to_string()]);
    }
    let weights = Some(tracer.constant(HostTensor::f32(&[4], vec![1.0; 4])));
    losses::nll(&x, &classes, &Nll { weights, ..Nll::default() }).expect("one each");
}

#[test]
fn losses_name_their_layer_in_every_error() {
    let tracer = Tracer::new(Mode::Train);
    let (a, b) = (batch(&tracer, "a", &[4]), batch(&tracer, "b", &[3]));
    let (mean, none) = (Reduction::Mean, Default::default());
    let found = [
        losses::mse(&a, &b, mean),
        losses::l1(&a, &b, mean),
        losses::huber(&a, &b, 1.0, mean),
        losses::smooth_l1(&a, &b, 1.0, mean),
        losses::poisson_nll(&a, &b, &Default::default()),
        losses::gaussian_nll(&a, &b, &a, &Default::default()),
        losses::bce(&a, &b, &Default::default()),
        losses::bce_with_logits(&a, &b, &Default::default()),
        losses::sigmoid_focal(&a, &b, &Default::default()),
        losses::soft_margin(&a, &b, mean),
        losses::multi_label_soft_margin(&a, &b, None, mean),
        losses::kl_divergence(&a, &b, false, mean),
        losses::soft_cross_entropy(&a, &b, &none),
        losses::mixed_cross_entropy(&a, &a, &a, &b, &none),
        losses::cosine_embedding(&a, &b, &a, 0.0, mean),
        losses::triplet_margin(&a, &b, &a, &Default::default()),
        losses::margin_ranking(&a, &b, &a, 0.0, mean),
        losses::hinge_embedding(&a, &b, 1.0, mean),
        losses::contrastive(&a, &b, &a, 1.0, mean),
        losses::info_nce(&a, &b, 1.0, mean),
        losses::nt_xent(&a, &b, 1.0, mean),
    ];
    for found in found {
        says(found, &["loss: ", "[batch, 4]", "[batch, 3]"]);
    }
    // Networks use these two, in layers of their own.
    let told = tracer.in_layer("head", || losses::cosine_similarity(&a, &b, 1e-8));
    says(told, &["head: ", "[batch, 4]", "[batch, 3]"]);
    says(losses::cosine_similarity(&tracer.scalar(1.0), &tracer.scalar(1.0), 1e-8), &["scalar"]);
}

#[test]
fn attention_refuses_what_is_no_sequence() {
    let tracer = Tracer::new(Mode::Train);
    let layer = |config| MultiheadAttention::new(&Scope::root().child("attn"), config).expect("valid");
    let plain = layer(MultiheadAttentionConfig::new(8, 2));
    let none = AttentionMask::default();
    for x in [tracer.scalar(1.0), batch(&tracer, "x", &[8]), batch(&tracer, "x", &[3, 7])] {
        let words = ["attn: ", "query", "[batch, length, 8]", &x.shape().to_string()];
        says(plain.attend(&x, &x, &x, &none), &words);
        says(plain.attend_with_weights(&x, &x, &x, &none), &words);
    }
    let turned = layer(MultiheadAttentionConfig { batch_first: false, ..MultiheadAttentionConfig::new(8, 2) });
    says(turned.forward(&batch(&tracer, "x", &[8])), &["attn: ", "[length, batch, 8]", "[batch, 8]"]);
    // Keys behind those given need a number that is known.
    let more = layer(MultiheadAttentionConfig { add_zero_attn: true, ..MultiheadAttentionConfig::new(8, 2) });
    let axes = vec![deepfit_graph::Symbol::Batch.into(), deepfit_graph::Symbol::Sequence.into(), 8.into()];
    let open = tracer.input("open", axes, DType::F32);
    says(more.forward(&open), &["attn: ", "fixed number of keys", "[batch, sequence, 8]"]);
}

#[test]
fn projections_belong_to_lstms_and_make_states_narrower() {
    let scope = Scope::root().child("rnn");
    let config = |proj_size| RecurrentConfig { proj_size, ..RecurrentConfig::default() };
    says(Gru::new(&scope, 4, 3, config(2)), &["rnn: `proj_size` is 2", "LSTM", "gru"]);
    says(Rnn::new(&scope, 4, 3, Nonlinearity::Tanh, config(2)), &["rnn: `proj_size` is 2", "LSTM"]);
    says(Lstm::new(&scope, 4, 3, config(3)), &["rnn: `proj_size` is 3", "less than the 3"]);
}

#[test]
fn offsets_whose_last_is_left_out_must_be_counted() {
    let tracer = Tracer::new(Mode::Train);
    let layer = EmbeddingBag::new(&Scope::root().child("bag"), 5, 3, deepfit_graph::ops::BagMode::Sum);
    let layer = layer.include_last_offset();
    let integers = |name: &str, shape: Shape| tracer.input(name, shape, DType::I32);
    let numbers = integers("numbers", Shape::from([7]));
    let of = |name: &str, offsets: Shape| layer.of(&numbers, Some(&integers(name, offsets)), None);
    assert_eq!(of("four", Shape::from([4])).expect("three bags").shape().to_string(), "[3, 3]");
    says(of("any", Shape::batch_of(&[])), &["bag: embedding_bag", "fixed number of offsets", "[batch]"]);
}
