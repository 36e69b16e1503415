//! `deepfit bench`: what it tells, what it reads, and what it refuses.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::Value;

use crate::program::{Place, example};

type Tensors = BTreeMap<&'static str, (Dtype, Vec<usize>, Vec<u8>)>;

fn save(place: &Place, name: &str, tensors: &Tensors) -> String {
    let views = tensors
        .iter()
        .map(|(name, (dtype, shape, bytes))| (*name, TensorView::new(*dtype, shape.clone(), bytes).unwrap()));
    let path = place.path(name);
    safetensors::serialize_to_file(views, None, &path).unwrap();
    path.to_str().unwrap().to_string()
}

fn floats(shape: &[usize], value: impl Fn(usize) -> f32) -> (Dtype, Vec<usize>, Vec<u8>) {
    let bytes = (0..shape.iter().product()).flat_map(|i| value(i).to_le_bytes()).collect();
    (Dtype::F32, shape.to_vec(), bytes)
}

/// Weights of `mlp_small`, all of them small and different.
fn weights() -> Tensors {
    let some = |i: usize| ((i * 37 % 101) as f32 - 50.0) / 300.0;
    [
        ("linear1.weight", &[64, 30][..]),
        ("linear1.bias", &[64]),
        ("linear2.weight", &[64, 64]),
        ("linear2.bias", &[64]),
        ("output.weight", &[2, 64]),
        ("output.bias", &[2]),
    ]
    .map(|(name, shape)| (name, floats(shape, some)))
    .into()
}

fn batch() -> Tensors {
    let classes: Vec<u8> = (0..32i32).flat_map(|i| (i % 2).to_le_bytes()).collect();
    [
        ("numeric", floats(&[32, 30], |i| (i * 7919 % 201) as f32 / 100.0 - 1.0)),
        ("target", (Dtype::I32, vec![32], classes)),
    ]
    .into()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn every_workload_tells_its_figures() {
    let place = Place::new();
    let ran = place.run(&["bench", "mlp_small", "dwconv", "lstm", "--seconds", "0", "--json", "--threads", "2"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let names: Vec<String> = ran
        .out
        .lines()
        .map(|line| {
            let row = json(line);
            for key in [
                "ms",
                "min_ms",
                "n",
                "flops",
                "bytes",
                "share_of_peak",
                "first_s",
                "rss_mb",
                "planned_mb",
                "working_mb",
            ] {
                assert!(row[key].as_f64().is_some_and(|value| value > 0.0), "{key} of {line}");
            }
            assert!(row["share_of_peak"].as_f64().unwrap() < 1.5 && row["n"].as_u64().unwrap() >= 5, "{line}");
            row["workload"].as_str().unwrap().to_string()
        })
        .collect();
    assert_eq!(names, ["mlp_small", "dwconv", "lstm"]);
}

#[test]
fn a_workload_is_measured_whenever_it_is_told_to() {
    let place = Place::new();
    let arguments = ["bench", "mlp_small", "--turns", "--threads", "1"];
    let ran = place.feed(&arguments, b"0\n0.01\n").succeeded();
    let rows: Vec<Value> = ran.out.lines().map(json).collect();
    assert_eq!(rows.len(), 2, "{ran:#?}");
    assert!(rows.iter().all(|row| row["workload"] == "mlp_small" && row["ms"].as_f64().unwrap() > 0.0), "{ran:#?}");
    assert!(rows[1]["n"].as_u64() > rows[0]["n"].as_u64(), "{ran:#?}");
    place.feed(&arguments, b"soon\n").is_refusal(&["`soon`", "seconds"]);
    place.feed(&["bench", "mlp", "lenet", "--turns"], b"").is_refusal(&["--turns", "name it"]);
}

#[test]
fn steps_in_bf16_lose_as_much_as_those_in_f32_but_for_rounding() {
    let place = Place::new();
    let losses = |precision: &str| {
        let ran = place.run(&["bench", "mlp", "--losses", "5", "--threads", "2", "--precision", precision]);
        let told = if ran.code == Some(0) { json(&ran.out)["losses"].as_array().cloned() } else { None };
        (told.map(|losses| losses.iter().map(|loss| loss.as_f64().unwrap()).collect::<Vec<f64>>()), ran)
    };
    let plain = losses("f32").0.unwrap();
    let (Some(rounded), ran) = losses("bf16") else {
        losses("bf16").1.is_refusal(&["AVX512-BF16", "this processor lacks"]);
        return;
    };
    assert!(plain != rounded, "the option has no effect: {ran:#?}");
    let near = plain.iter().zip(&rounded).all(|(a, b)| (a - b).abs() < 0.02 * a.abs());
    assert!(near, "{plain:?} and {rounded:?}");
    let row = place.run(&["bench", "mlp_small", "--seconds", "0", "--json", "--precision", "bf16"]).succeeded();
    assert_eq!(json(&row.out)["precision"], "bf16");
    place.run(&["bench", "mlp", "--precision", "f16"]).is_refusal(&["--precision", "f32 or bf16"]);
    let narrow = |arguments: &[&str]| place.command(arguments).env("DEEPFIT_ISA", "portable").output().unwrap();
    let refused = narrow(&["bench", "mlp", "--precision", "bf16"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("DEEPFIT_ISA=portable leaves these out"), "{refused:?}");
}

#[test]
fn other_sizes_are_measured_where_a_workload_has_them() {
    let place = Place::new();
    let row = |arguments: &[&str]| {
        let ran = place.run(&[&["bench"], arguments, &["--seconds", "0", "--json", "--threads", "1"]].concat());
        assert_eq!(ran.code, Some(0), "{arguments:?}: {}", ran.err);
        json(&ran.out)["flops"].as_f64().unwrap()
    };
    // But for the ends of a network and the update, operations are in proportion to batch, depth and length.
    for (workload, option, small, large, least, most) in [
        ("mlp", "--batch", "16", "32", 1.7, 2.1),
        ("mlp", "--width", "256", "512", 2.2, 4.0),
        ("mlp", "--depth", "8", "16", 1.7, 2.1),
        ("lstm", "--sequence", "4", "8", 1.6, 2.1),
        ("lstm", "--depth", "1", "2", 2.0, 3.0),
        ("minilm_infer", "--sequence", "8", "16", 1.9, 2.3),
        ("gpt", "--width", "32", "64", 2.0, 4.0),
    ] {
        let fixed = if workload == "mlp" { &[][..] } else { &["--batch", "2"] };
        let at = |size: &str| row(&[&[workload, option, size], fixed].concat());
        let ratio = at(large) / at(small);
        assert!((least..most).contains(&ratio), "{workload} {option}: {ratio}");
    }
    for (arguments, words) in [
        (&["lenet", "--width", "8"][..], &["lenet has no width"][..]),
        (&["mlp", "--sequence", "8"], &["mlp has no sequence"]),
        (&["minilm", "--width", "33"], &["33 is no multiple of 32"]),
        (&["mlp", "lstm", "--batch", "8"], &["name it"]),
        (&["mlp", "--depth", "0"], &["--depth"]),
    ] {
        let ran = place.run(&[&["bench"], arguments].concat());
        assert_eq!(ran.code, Some(2), "{arguments:?}: {}", ran.err);
        assert!(words.iter().all(|word| ran.err.contains(word)), "{arguments:?}: {}", ran.err);
    }
}

#[test]
fn the_machine_is_measured() {
    let place = Place::new();
    let ran = place.run(&["bench", "--machine", "--json", "--seconds", "0", "--threads", "2"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let found = json(&ran.out);
    for key in ["fma_gflops", "matmul_gflops", "copy_gb_s"] {
        assert!(found[key].as_f64().is_some_and(|value| value > 0.1), "{key} of {}", ran.out);
    }
    // Threads that wait burn no processor, whatever else the machine does; how fast they are called depends on that.
    let idle = found["idle_cores"].as_f64().unwrap();
    assert!((0.0..0.02).contains(&idle), "{}", ran.out);
    assert!(found["hand_over_us"].as_f64().is_some_and(|us| us > 0.0), "{}", ran.out);
}

#[test]
fn steps_are_timed_beside_products_and_beside_data() {
    let place = Place::new();
    let base = ["bench", "mlp_small", "--json", "--seconds", "0", "--threads", "1"];
    let ran = place.run(&[&base[..], &["--beside-product"]].concat());
    let beside = &json(&ran.out)["beside"];
    assert!(
        ["ratio", "before_gflops", "after_gflops"].iter().all(|k| beside[k].as_f64().unwrap() > 0.0),
        "{}",
        ran.out
    );
    let ran = place.run(&[
        "bench",
        "dwconv",
        "--json",
        "--seconds",
        "0",
        "--threads",
        "2",
        "--beside-data",
        &example("digits.zip"),
    ]);
    let beside = &json(&ran.out)["beside_data"];
    for key in ["alone_ms", "beside_ms", "worked_ms", "waited_ms"] {
        assert!(beside[key].as_f64().is_some_and(|ms| ms > 0.0), "{key} of {}{}", ran.out, ran.err);
    }
    let ran = place.run(&[&base[..], &["--beside-data", &example("digits.zip")]].concat());
    assert!(ran.code == Some(2) && ran.err.contains("does not take images"), "{}", ran.err);
}

#[test]
fn losses_and_gradients_are_those_of_the_given_weights_and_batch() {
    let place = Place::new();
    let (weights_file, data) = (save(&place, "w", &weights()), save(&place, "d", &batch()));
    let gradients = place.path("g");
    let command = ["bench", "mlp_small", "--weights", &weights_file, "--data", &data];
    let ran = place.run(&[&command[..], &["--losses", "20", "--gradients", gradients.to_str().unwrap()]].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let losses: Vec<f64> = json(&ran.out)["losses"].as_array().unwrap().iter().map(|l| l.as_f64().unwrap()).collect();
    assert!(losses.len() == 20 && losses.is_sorted_by(|a, b| a > b), "{losses:?}");
    // The gradient of the last bias is the mean of the errors; moving it by a little changes the loss by as much.
    let bytes = std::fs::read(&gradients).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.len(), weights().len());
    let found = file.tensor("output.bias").unwrap();
    let slope = f32::from_le_bytes(found.data()[..4].try_into().unwrap());
    let first_loss = |shift: f32| {
        let mut moved = weights();
        let (_, _, bytes) = moved.get_mut("output.bias").unwrap();
        let value = f32::from_le_bytes(bytes[..4].try_into().unwrap()) + shift;
        bytes[..4].copy_from_slice(&value.to_le_bytes());
        let file = save(&place, "moved", &moved);
        let ran = place.run(&["bench", "mlp_small", "--weights", &file, "--data", &data, "--losses", "1"]);
        json(&ran.out)["losses"][0].as_f64().unwrap()
    };
    let difference = (first_loss(0.02) - first_loss(-0.02)) / 0.04;
    assert!((difference - f64::from(slope)).abs() < 1e-3, "{difference} and {slope}");
}

#[test]
fn files_that_do_not_fit_are_refused_with_what_is_wrong() {
    let place = Place::new();
    let (good_weights, good_batch) = (save(&place, "w", &weights()), save(&place, "d", &batch()));
    let changed = |mut tensors: Tensors, name: &str, change: &dyn Fn(&mut Tensors)| {
        change(&mut tensors);
        save(&place, name, &tensors)
    };
    let missing = changed(weights(), "w1", &|t| drop(t.remove("linear2.bias")));
    let shape = changed(weights(), "w2", &|t| drop(t.insert("output.bias", floats(&[3], |_| 0.0))));
    let nan = changed(weights(), "w3", &|t| drop(t.insert("output.bias", floats(&[2], |_| f32::NAN))));
    let no_target = changed(batch(), "d1", &|t| drop(t.remove("target")));
    let rows = changed(batch(), "d2", &|t| drop(t.insert("numeric", floats(&[31, 30], |_| 0.0))));
    let class = changed(batch(), "d3", &|t| drop(t.insert("target", (Dtype::I32, vec![32], [7; 128].to_vec()))));
    let half = changed(batch(), "d4", &|t| drop(t.insert("numeric", (Dtype::F16, vec![32, 30], vec![0; 1920]))));
    let text = place.write("text", "no tensors");
    let text = text.to_str().unwrap();
    let nowhere = place.path("no/such/folder/g");
    for (weights, data, words) in [
        (&missing[..], &good_batch[..], &["`linear2.bias` [64] is missing"][..]),
        (&shape, &good_batch, &["`output.bias` is [3] there, but [2] here"]),
        (&nan, &good_batch, &["output.bias", "NaN"]),
        (text, &good_batch, &["text", "safetensors"]),
        ("/no/such/file", &good_batch, &["/no/such/file"]),
        (&good_weights, &no_target, &["`target` is missing"]),
        (&good_weights, &rows, &["`numeric` has shape [31, 30], not [32, 30]"]),
        (&good_weights, &class, &["117901063", "2"]),
        (&good_weights, &half, &["`numeric`", "F16"]),
        (&good_weights, "/no/such/batch", &["/no/such/batch"]),
    ] {
        place.run(&["bench", "mlp_small", "--weights", weights, "--data", data, "--losses", "1"]).is_refusal(words);
    }
    let command = ["bench", "mlp_small", "--gradients", nowhere.to_str().unwrap()];
    place.run(&command).is_refusal(&["no/such/folder"]);
    assert!(!Path::new(&nowhere).exists());
}

#[test]
fn wrong_usage_is_refused() {
    let place = Place::new();
    for (arguments, words) in [
        (&["mlp_smal"][..], &["nearest is 'mlp_small'"][..]),
        (&["--losses", "3"], &["name it"]),
        (&["mlp", "lstm", "--data", "x"], &["name it"]),
        (&["mlp", "--losses", "0"], &["losses"]),
        (&["mlp", "--seconds", "nan"], &["0 to 3600"]),
        (&["mlp", "--seconds", "-1"], &["seconds"]),
        (&["minilm_infer", "--gradients", "g"], &["does not train"]),
    ] {
        let ran = place.run(&[&["bench"], arguments].concat());
        assert_eq!(ran.code, Some(2), "{arguments:?}: {}", ran.err);
        assert!(words.iter().all(|word| ran.err.contains(word)), "{arguments:?}: {}", ran.err);
    }
}
