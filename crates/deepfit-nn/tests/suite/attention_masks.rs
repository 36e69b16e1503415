//! What masks hide, from one head and beside keys of the layer's own.

use deepfit_graph::interpret::{self, Environment};
use deepfit_graph::{DType, Dim, Extents, Mode, Reference, Shape, Symbol, Tracer};
use deepfit_nn::Scope;
use deepfit_nn::layers::*;

/// The result of attention within `[2, 3, 4]` under a mask.
fn under(config: MultiheadAttentionConfig, mask: &dyn Fn(&Tracer) -> AttentionMask) -> Reference {
    let scope = Scope::root();
    let layer = MultiheadAttention::new(&scope, config).unwrap();
    let tracer = Tracer::new(Mode::Evaluate);
    let x = tracer.input("x", vec![Symbol::Batch.into(), Dim::fixed(3), Dim::fixed(4)], DType::F32);
    let y = layer.attend(&x, &x, &x, &mask(&tracer)).unwrap_or_else(|e| panic!("{e}"));
    let of = |d: deepfit_nn::Declaration| {
        (d.name.clone(), Reference::new(&d.shape, d.values(6).into_iter().map(f64::from).collect()))
    };
    let mut parameters: Environment = scope.declarations().into_iter().map(of).collect();
    let x = Reference::new(&[2, 3, 4], (0..24).map(|i| (f64::from(i) * 0.9).sin()).collect());
    let inputs = Environment::from([
        ("x".to_string(), x),
        ("hidden".to_string(), Reference::new(&[2, 3, 3], (0..18).map(|i| f64::from(i % 5 == 1)).collect())),
        ("padding".to_string(), Reference::new(&[2, 3], vec![0.0, 0.0, 0.0, 0.0, 1.0, 1.0])),
        ("lengths".to_string(), Reference::new(&[2], vec![3.0, 1.0])),
    ]);
    let values = interpret::run(&tracer.graph(), Extents::batch(2), &inputs, &mut parameters).unwrap();
    values.get(y.value()).clone()
}

#[test]
fn a_mask_for_each_row_fits_a_single_head() {
    let one = || MultiheadAttentionConfig::new(4, 1);
    let batch = || Dim::symbol(Symbol::Batch);
    let hidden = |tracer: &Tracer, shape: Vec<Dim>| {
        let mask = tracer.input("hidden", vec![batch(), 3.into(), 3.into()], DType::U8);
        AttentionMask { attn_mask: Some(mask.reshape(shape).expect("as many")), ..AttentionMask::default() }
    };
    // PyTorch's `[batch * heads, T, S]`, as if the axis of the head were there.
    let found = under(one(), &|t| hidden(t, vec![batch(), 3.into(), 3.into()]));
    assert_eq!(found, under(one(), &|t| hidden(t, vec![batch(), 1.into(), 3.into(), 3.into()])));
    assert_ne!(found, under(one(), &|_| AttentionMask::default()));
}

#[test]
fn masks_stay_where_they_are_beside_more_keys() {
    let more =
        || MultiheadAttentionConfig { add_bias_kv: true, add_zero_attn: true, ..MultiheadAttentionConfig::new(4, 2) };
    let lengths = |causal| {
        move |t: &Tracer| AttentionMask {
            causal,
            lengths: Some(t.input("lengths", vec![Symbol::Batch.into()], DType::I32)),
            ..AttentionMask::default()
        }
    };
    let padding = |causal| {
        move |t: &Tracer| AttentionMask {
            causal,
            ..AttentionMask::padding(&t.input("padding", Shape::batch_of(&[3]), DType::U8))
        }
    };
    for causal in [false, true] {
        crate::golden::close("masks", &under(more(), &lengths(causal)), &under(more(), &padding(causal)), 1e-12);
    }
    assert_ne!(under(more(), &lengths(true)), under(more(), &lengths(false)));
    assert_ne!(under(more(), &lengths(false)), under(more(), &|_| AttentionMask::default()));
}
