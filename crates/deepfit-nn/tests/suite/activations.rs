use deepfit_graph::interpret::Environment;
use deepfit_graph::{DType, Extents, Mode, Reference, Tracer, gradients, interpret};
use deepfit_nn::{Activation, Module};

/// Value and gradient at each of `points`.
fn evaluate(activation: Activation, points: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let tracer = Tracer::new(Mode::Train);
    let x = tracer.input("x", [points.len()], DType::F32);
    let y = activation.forward(&x).expect("an activation fits all shapes");
    let slope = gradients(&y.sum().expect("a sum"), &[x]).expect("a gradient").remove(0);
    let inputs = Environment::from([("x".to_string(), Reference::new(&[points.len()], points.to_vec()))]);
    let values = interpret::run(&tracer.graph(), Extents::batch(1), &inputs, &mut Environment::new()).expect("runs");
    (values.get(y.value()).data.clone(), values.get(slope.value()).data.clone())
}

#[test]
fn values_and_gradients_of_huge_inputs_are_those_of_the_limit() {
    // Far beyond where squares, cubes and exponentials of f32 or f64 overflow.
    for activation in Activation::ALL {
        let (values, slopes) = evaluate(activation, &[1e200, -1e200]);
        let (high, low) = match activation {
            Activation::Relu6 => ((6.0, 0.0), (0.0, 0.0)),
            Activation::LeakyRelu => ((1e200, 1.0), (-1e198, 0.01)),
            Activation::Elu => ((1e200, 1.0), (-1.0, 0.0)),
            Activation::Selu => ((1.050_700_987e200, 1.050_700_987), (-1.758_099_34, 0.0)),
            Activation::Sigmoid | Activation::Hardsigmoid => ((1.0, 0.0), (0.0, 0.0)),
            Activation::Tanh | Activation::Softsign | Activation::Hardtanh => ((1.0, 0.0), (-1.0, 0.0)),
            Activation::Celu => ((1e200, 1.0), (-1.0, 0.0)),
            Activation::LogSigmoid => ((0.0, 0.0), (-1e200, 1.0)),
            Activation::Softshrink | Activation::Hardshrink | Activation::Tanhshrink => ((1e200, 1.0), (-1e200, 1.0)),
            _ => ((1e200, 1.0), (0.0, 0.0)),
        };
        for (i, (value, slope)) in [high, low].into_iter().enumerate() {
            let near = |actual: f64, expected: f64| (actual - expected).abs() <= 1e-6 * expected.abs().max(1e-30);
            assert!(near(values[i], value), "{activation}: value {} instead of {value}", values[i]);
            assert!(near(slopes[i], slope), "{activation}: slope {} instead of {slope}", slopes[i]);
        }
    }
}

#[test]
fn gradients_at_zero_are_pytorchs() {
    for (activation, expected) in [
        (Activation::Relu, 0.0),
        (Activation::Relu6, 0.0),
        (Activation::LeakyRelu, 0.01),
        (Activation::Elu, 1.0),
        (Activation::Selu, 1.758_099_34),
        (Activation::Gelu, 0.5),
        (Activation::Silu, 0.5),
        (Activation::Mish, 0.6),
    ] {
        let (_, slopes) = evaluate(activation, &[0.0]);
        assert!((slopes[0] - expected).abs() < 1e-6, "{activation}: {} instead of {expected}", slopes[0]);
    }
}

#[test]
fn nan_stays_nan() {
    for activation in Activation::ALL {
        assert!(evaluate(activation, &[f64::NAN]).0[0].is_nan(), "{activation}");
    }
}

#[test]
fn names_in_settings_are_read_back() {
    for activation in Activation::ALL {
        let text = serde_json::to_string(&activation).expect("a name");
        assert_eq!(text, format!("\"{activation}\""));
        assert_eq!(serde_json::from_str::<Activation>(&text).expect("its name"), activation);
    }
}
