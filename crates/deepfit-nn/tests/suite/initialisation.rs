use deepfit_nn::init::{Fan, Init, RELU_GAIN};
use deepfit_nn::layers::{BatchNorm, Conv2d, Conv2dConfig, Embedding, LayerNorm, Linear};
use deepfit_nn::{Declaration, Scope};

use crate::golden::Golden;

fn declarations() -> Vec<Declaration> {
    let root = Scope::root();
    Linear::new(&root.child("linear"), 64, 128);
    Conv2d::new(&root.child("conv2d"), 16, 32, Conv2dConfig::square(3));
    let groups = Conv2dConfig { groups: 4, ..Conv2dConfig::square(3) };
    Conv2d::new(&root.child("conv2d_groups"), 16, 32, groups);
    Embedding::new(&root.child("embedding"), 100, 16);
    BatchNorm::new(&root.child("batch_norm"), 8);
    LayerNorm::new(&root.child("layer_norm"), 8);
    root.declarations()
}

#[test]
fn default_initialisation_has_pytorchs_distributions() {
    let golden = Golden::read("init");
    let described = golden.config["parameters"].as_object().expect("parameters");
    let declared = declarations();
    for (name, description) in described {
        let declaration = declared.iter().find(|d| &d.name == name).unwrap_or_else(|| panic!("{name} is not declared"));
        let shape: Vec<u64> = description["shape"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect();
        assert_eq!(declaration.shape.iter().map(|&n| n as u64).collect::<Vec<_>>(), shape, "{name}");
        let mut pooled: Vec<f32> = (0..64).flat_map(|seed| declaration.values(seed)).collect();
        pooled.sort_by(f32::total_cmp);
        if let Some(bound) = description["bound"].as_f64() {
            let bound = bound as f32 * (1.0 + 1e-6);
            assert!(pooled[0] >= -bound && pooled[pooled.len() - 1] <= bound, "{name} leaves {bound}");
        }
        // Both are samples: quantiles differ by a few standard errors, density * sqrt(p (1 - p) / n).
        let spread = golden.get(&format!("{name}.statistics")).data[3];
        let allowed = 10.0 * spread / (pooled.len() as f64).sqrt();
        for (i, expected) in golden.get(&format!("{name}.quantiles")).data.iter().enumerate() {
            let position = (i as f64 / 20.0 * (pooled.len() - 1) as f64).round() as usize;
            let error = (f64::from(pooled[position]) - expected).abs();
            // The extremes of a normal sample vary more than its inner quantiles.
            let allowed = if [0, 20].contains(&i) && description["distribution"] == "normal" { 1.0 } else { allowed };
            assert!(error <= allowed, "{name} quantile {i}: {} instead of {expected}", pooled[position]);
        }
    }
}

fn deviation(init: Init, shape: &[usize]) -> f64 {
    let values = init.values(3, "weight", shape);
    let n = values.len() as f64;
    let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
    assert!(mean.abs() < 0.01, "{init:?}: mean {mean}");
    (values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n).sqrt()
}

#[test]
fn named_initialisations_have_their_deviations() {
    let shape = [128, 32, 3, 3];
    let (fan_in, fan_out) = (288.0f64, 1152.0f64);
    let gain = RELU_GAIN;
    for (init, expected) in [
        (Init::KaimingNormal { fan: Fan::Out, gain }, (2.0 / fan_out).sqrt()),
        (Init::KaimingNormal { fan: Fan::In, gain }, (2.0 / fan_in).sqrt()),
        (Init::KaimingUniform { fan: Fan::In, gain }, (2.0 / fan_in).sqrt()),
        (Init::XavierUniform { gain: 1.0 }, (2.0 / (fan_in + fan_out)).sqrt()),
        (Init::XavierNormal { gain: 1.0 }, (2.0 / (fan_in + fan_out)).sqrt()),
        (Init::Normal { std: 0.02 }, 0.02),
        // The variance of a normal cut at two deviations is 0.7737 of the whole.
        (Init::TruncatedNormal { std: 0.02 }, 0.02 * 0.773_741f64.sqrt()),
        (Init::Uniform { bound: 0.3 }, 0.3 / 3f64.sqrt()),
    ] {
        let found = deviation(init, &shape);
        assert!((found / expected - 1.0).abs() < 0.02, "{init:?}: {found} instead of {expected}");
    }
    assert_eq!(Init::Constant(0.5).values(0, "x", &[2]), [0.5, 0.5]);
    let cut = Init::TruncatedNormal { std: 1.0 }.values(5, "x", &[1000]);
    assert!(cut.iter().all(|v| v.abs() <= 2.0));
}

#[test]
fn values_depend_on_seed_and_name_alone() {
    let root = Scope::root();
    Linear::new(&root.child("first"), 4, 4);
    Linear::new(&root.child("second"), 4, 4);
    let alone = Scope::root();
    Linear::new(&alone.child("second"), 4, 4);
    let second = &root.declarations()[2];
    let single = &alone.declarations()[0];
    assert_eq!(second.name, "second.bias".replace("bias", single.name.rsplit('.').next().unwrap()));
    assert_eq!(second.values(7), single.values(7));
    assert_ne!(second.values(7), single.values(8));
    assert_ne!(second.values(7), root.declarations()[0].values(7));
}
