//! Weights and images that both sides of a golden file draw from the same numbers; see `scripts/goldens/published.py`.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView};

/// Numbers from 0 to 1 that are a function of name and position: SplitMix64 begun at the name's CRC-32.
pub fn uniform(name: &str, count: usize) -> impl Iterator<Item = f64> {
    let state = u64::from(crc32(name.as_bytes())) << 32;
    (1..=count as u64).map(move |i| {
        let z = state.wrapping_add(i.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f64 / f64::from(1 << 24)
    })
}

/// The values of a tensor.
pub fn draw(name: &str, shape: &[usize]) -> Vec<f32> {
    let leaf = name.rsplit('.').next().unwrap_or(name);
    let gates = ["fc2.bias", "conv_expand.bias", "_se_expand.bias"];
    let fan: usize = shape.iter().skip(1).product();
    let bound = (6.0 / fan as f64).sqrt();
    let value = |u: f64| match (leaf, shape.len()) {
        ("running_var", _) => 0.5 + u,
        ("gamma" | "layer_scale" | "layer_scale_parameter", _) => 0.25 + 0.5 * u,
        ("weight", 1) => 0.8 + 0.4 * u,
        _ if gates.iter().any(|end| name.ends_with(end)) && !name.contains("mlp") => 2.0 + u,
        (_, 1) => 0.2 * (u - 0.5),
        (_, 3) => u - 0.5,
        _ => (2.0 * u - 1.0) * bound,
    };
    uniform(name, shape.iter().product()).map(|u| value(u) as f32).collect()
}

/// Writes drawn values of tensors of the given names and shapes as safetensors.
pub fn write(file: &Path, tensors: &BTreeMap<String, Vec<usize>>) {
    let bytes: Vec<(&String, &Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(name, shape)| (name, shape, draw(name, shape).iter().flat_map(|v| v.to_le_bytes()).collect()))
        .collect();
    let views = bytes.iter().map(|(name, shape, bytes)| {
        (name.as_str(), TensorView::new(Dtype::F32, shape.to_vec(), bytes).expect("a tensor"))
    });
    safetensors::serialize_to_file(views, None, file).expect("a file");
}

/// IEEE's CRC-32, as zlib computes it.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 })
    })
}
