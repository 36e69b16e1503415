//! Declarations: their sizes, other names and first values.

use deepfit_graph::{DType, Mode, Shape, Tracer};
use deepfit_nn::layers::*;
use deepfit_nn::{Fan, Init, Module, NnError, Role, Scope};

fn refused(scope: &Scope) -> String {
    scope.validate().expect_err("must be refused").to_string()
}

#[test]
fn parameters_that_no_machine_holds_are_refused_in_gigabytes_before_any_memory_is_taken() {
    let at = || Scope::root().child("net").child("part");
    type Declare = fn(&Scope);
    let layers: [(&str, Declare); 9] = [
        ("weight", |s| drop(Embedding::new(s, usize::MAX, 4))),
        ("weight", |s| drop(Embedding::padded(s, 1 << 62, 4, 1))),
        ("weight", |s| drop(Linear::new(s, 1 << 20, 1 << 40))),
        ("weight", |s| drop(EmbeddingBag::new(s, 1 << 40, 1 << 30, deepfit_graph::ops::BagMode::Sum))),
        ("weight", |s| drop(Conv2d::new(s, 1 << 30, 1 << 30, Conv2dConfig::square(1 << 20)))),
        ("weight", |s| drop(ConvTranspose1d::new(s, 1 << 40, 1 << 40, ConvTranspose1dConfig::of(1 << 40)))),
        ("weight_ih_l0", |s| drop(Lstm::new(s, 1 << 30, usize::MAX / 2, RecurrentConfig::default()))),
        ("in_proj_weight", |s| drop(MultiheadAttention::new(s, MultiheadAttentionConfig::new(1 << 62, 1)))),
        ("weight", |s| drop(LayerNorm::new(s, usize::MAX))),
    ];
    for (name, declare) in layers {
        let scope = at();
        declare(&scope);
        let told = refused(&scope);
        assert!(told.contains("net.part."), "{told}");
        assert!(told.contains(" GB of memory") && told.contains("1000 GB"), "{told}");
        let declarations = scope.declarations();
        let large = declarations.iter().find(|d| d.name == format!("net.part.{name}")).expect("declared");
        assert!(large.validate().is_err(), "{}", large.name);
        // Drawn all the same, there are no values; and there is no graph of it.
        assert_eq!(large.values(1), [0.0; 0]);
        let tracer = Tracer::new(Mode::Train);
        assert!(large.parameter().on(&tracer).expect_err("too large").to_string().contains("GB"));
        assert!(tracer.graph().nodes().is_empty());
    }
    let scope = at();
    Embedding::new(&scope, usize::MAX, 4);
    let told = refused(&scope);
    assert!(told.contains("[18446744073709551615, 4]") && told.contains("295147905179 GB"), "{told}");
    // Nothing of something large is nothing.
    let empty = at();
    Embedding::new(&empty, usize::MAX, 0);
    empty.validate().expect("empty");
    assert_eq!(empty.declarations()[0].elements(), 0);
}

#[test]
fn tables_that_layers_compute_have_a_limit_too() {
    let tracer = Tracer::new(Mode::Train);
    let x = |width: usize| tracer.input("x", Shape::batch_of(&[3, width]), DType::F32);
    let images = tracer.input("images", Shape::batch_of(&[8, 8, 64]), DType::F32);
    let heads = tracer.input("heads", Shape::batch_of(&[3, 2, 8]), DType::F32);
    let at = |name: &str| Scope::root().child(name);
    let rotary = RotaryPositions::new(&at("rotary"), usize::MAX, 8, 1e4, RotaryPairs::Halves).expect("even");
    let sinusoidal = SinusoidalPositions::new(&at("sinusoidal"), 1 << 60, 8, 0.0);
    assert_eq!(sinusoidal.table(), [0.0; 0]);
    let found: [(&str, Result<deepfit_graph::Tensor, NnError>); 5] = [
        ("sinusoidal", sinusoidal.forward(&x(8))),
        ("rotary", rotary.forward(&heads)),
        ("group", GroupNorm::with(&at("group"), 1, usize::MAX, 1e-5, false).forward(&x(8))),
        ("unfold", Unfold::new(&at("unfold"), (1 << 20, 1), (1, 1), (0, 0), (1, 1)).forward(&images)),
        ("alibi", alibi_bias(&tracer, usize::MAX, 3.into(), 3.into())),
    ];
    for (name, result) in found {
        let told = result.expect_err(name).to_string();
        let why = if name == "unfold" { "windows of 1048576x1 are too large" } else { "GB of memory" };
        assert!(told.contains(name) && told.contains(why), "{told}");
    }
}

#[test]
fn a_tie_of_a_name_that_no_layer_declares_is_refused_by_name() {
    let build = |alias: &str, name: &str| {
        let scope = Scope::root();
        scope.tie(alias, name).expect("in time");
        Embedding::new(&scope.child("words"), 5, 4);
        Linear::without_bias(&scope.child("head"), 4, 5, Init::default_weight());
        scope
    };
    build("head.weight", "words.weight").validate().expect("both are declared");
    for (alias, name, lost) in
        [("head.wieght", "words.weight", "head.wieght"), ("head.weight", "word.weight", "word.weight")]
    {
        let told = refused(&build(alias, name));
        assert!(told.contains(&format!("no layer has declared a parameter `{lost}`")), "{told}");
    }
    let declared = build("head.weight", "words.weight").declarations();
    assert_eq!((declared.len(), &declared[0].aliases[..]), (1, &["head.weight".to_string()][..]));
    assert!(declared[0].fits("head.*") && declared[0].fits("words.weight") && !declared[0].fits("tail.*"));
}

#[test]
fn any_parameter_can_be_initialised_in_any_way() {
    let build = || -> deepfit_nn::Result<Scope> {
        let scope = Scope::root();
        scope.tie("out.weight", "words.weight")?;
        Embedding::padded(&scope.child("words"), 6, 4, 1);
        Linear::without_bias(&scope.child("out"), 4, 6, Init::default_weight());
        Linear::new(&scope.child("fc"), 4, 4);
        Lstm::new(&scope.child("lstm"), 4, 3, RecurrentConfig::default())?;
        MultiheadAttention::new(&scope.child("attn"), MultiheadAttentionConfig::new(4, 2))?;
        BatchNorm::new(&scope.child("bn"), 4);
        Ok(scope)
    };
    let values = |scope: &Scope, name: &str| {
        scope.declarations().into_iter().find(|d| d.name == name).expect("declared").values(5)
    };
    let (before, scope) = (build().expect("valid"), build().expect("valid"));
    let changes = [
        ("fc.weight", Init::Eye),
        ("lstm.weight_hh*", Init::Orthogonal { gain: 1.0 }),
        ("attn.in_proj_weight", Init::KaimingNormal { fan: Fan::Out, gain: 2.0 }),
        ("*.bias*", Init::Constant(0.25)),
        // Under its other name; the padding row too, as by `torch.nn.init`.
        ("out.weight", Init::UniformBetween { low: 1.0, high: 2.0 }),
    ];
    for (pattern, init) in changes {
        scope.initialise(pattern, init).expect("fits");
    }
    assert_eq!(values(&scope, "fc.weight")[..5], [1.0, 0.0, 0.0, 0.0, 0.0]);
    assert!(values(&scope, "words.weight").iter().all(|v| (1.0..2.0).contains(v)));
    for d in scope.declarations() {
        let changed = changes.iter().any(|(pattern, _)| d.fits(pattern)) && d.role.is_trained();
        let same = values(&scope, &d.name) == values(&before, &d.name);
        assert_eq!(same, !changed, "{}", d.name);
        if d.fits("*.bias*") {
            assert!(values(&scope, &d.name).iter().all(|&v| v == 0.25), "{}", d.name);
        }
    }
    scope.initialise("*", Init::Ones).expect("everything but buffers");
    assert_eq!(values(&scope, "bn.running_mean"), [0.0; 4]);
    scope.validate().expect("valid");
    for (pattern, init, words) in [
        ("fc.wieght", Init::Zeros, "`init` fits no parameter"),
        ("bn.running_*", Init::Zeros, "`init` fits no parameter"),
        ("*.bias", Init::XavierUniform { gain: 1.0 }, "less than 2 axes"),
        ("fc.*", Init::Eye, "fc.bias"),
        ("fc.weight", Init::Normal { std: -1.0 }, "std"),
    ] {
        let told = scope.initialise(pattern, init).expect_err(words).to_string();
        assert!(told.contains(words), "{told}");
    }
    assert_eq!(values(&scope, "fc.weight"), [1.0; 16], "what is refused changes nothing");
}

#[test]
fn roles_say_what_weight_decay_leaves_out() {
    let scope = Scope::root();
    MultiheadAttention::new(
        &scope.child("attn"),
        MultiheadAttentionConfig { add_bias_kv: true, ..MultiheadAttentionConfig::new(4, 2) },
    )
    .expect("valid");
    BatchNorm::configured(&scope.child("bn"), 4, BatchNormConfig { momentum: None, ..Default::default() });
    for d in scope.declarations() {
        let expected = match &d.name[..] {
            "attn.in_proj_weight" | "attn.out_proj.weight" => Role::Weight,
            "bn.running_mean" | "bn.running_var" | "bn.num_batches_tracked" => Role::Buffer,
            _ => Role::NoDecay,
        };
        assert_eq!(d.role, expected, "{}", d.name);
    }
}
