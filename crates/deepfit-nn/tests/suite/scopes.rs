//! Declarations: their sizes, other names and first values.

use deepfit_nn::layers::*;
use deepfit_nn::{Fan, Init, Scope};

fn refused(scope: &Scope) -> String {
    scope.validate().expect_err("must be refused").to_string()
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
