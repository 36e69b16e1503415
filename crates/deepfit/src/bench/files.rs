//! Batches and gradients as safetensors files with PyTorch's names.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use deepfit_graph::{DType, HostData};
use deepfit_train::Values;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

/// Inputs of a network by name.
pub type Batch = BTreeMap<String, HostData>;

/// Reads the tensors of a file: shape and values by name.
fn read(path: &Path) -> Result<Vec<(String, Vec<usize>, HostData)>> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let file =
        SafeTensors::deserialize(&bytes).with_context(|| format!("{} is no safetensors file", path.display()))?;
    file.tensors()
        .into_iter()
        .map(|(name, tensor)| {
            let values = values(&tensor).with_context(|| format!("{}: tensor `{name}`", path.display()))?;
            Ok((name, tensor.shape().to_vec(), values))
        })
        .collect()
}

fn values(tensor: &TensorView<'_>) -> Result<HostData> {
    fn numbers<const N: usize, T>(bytes: &[u8], number: impl Fn([u8; N]) -> T) -> Vec<T> {
        bytes.as_chunks::<N>().0.iter().map(|&chunk| number(chunk)).collect()
    }
    let bytes = tensor.data();
    Ok(match tensor.dtype() {
        Dtype::F32 => HostData::F32(numbers(bytes, f32::from_le_bytes)),
        Dtype::F64 => HostData::F32(numbers(bytes, |b| f64::from_le_bytes(b) as f32)),
        Dtype::U8 => HostData::U8(bytes.to_vec()),
        Dtype::I32 => HostData::I32(numbers(bytes, i32::from_le_bytes)),
        Dtype::I64 => {
            let wide = numbers(bytes, i64::from_le_bytes);
            HostData::I32(wide.into_iter().map(i32::try_from).collect::<Result<_, _>>().context("is beyond 32 bits")?)
        }
        other => bail!("has values of type {other:?}; F32, F64, U8, I32 and I64 can be read"),
    })
}

/// Reads the inputs of one batch, checked against what is wanted: name, shape of the whole batch, element type.
///
/// # Errors
/// If an input is missing or has another shape or type.
pub fn read_batch(path: &Path, wanted: &[(String, Vec<usize>, DType)]) -> Result<Batch> {
    let mut found: BTreeMap<String, (Vec<usize>, HostData)> =
        read(path)?.into_iter().map(|(name, shape, values)| (name, (shape, values))).collect();
    let mut batch = Batch::new();
    for (name, shape, dtype) in wanted {
        let place = || format!("{}: `{name}`", path.display());
        let Some((has, values)) = found.remove(name) else {
            bail!("{} is missing; the workload wants {dtype:?} {shape:?}", place())
        };
        ensure!(has == *shape, "{} has shape {has:?}, not {shape:?}", place());
        ensure!(values.dtype() == *dtype, "{} is {:?}, not {dtype:?}", place(), values.dtype());
        batch.insert(name.clone(), values);
    }
    Ok(batch)
}

/// Writes gradients by the names of their parameters.
///
/// # Errors
/// If the file cannot be written.
pub fn write_gradients(path: &Path, gradients: &[(&str, Values)]) -> Result<()> {
    let bytes: Vec<(&str, &[usize], Vec<u8>)> = gradients
        .iter()
        .map(|(name, g)| (*name, &g.shape[..], g.values.iter().flat_map(|v| v.to_le_bytes()).collect()))
        .collect();
    let views = bytes
        .iter()
        .map(|(name, shape, bytes)| Ok((*name, TensorView::new(Dtype::F32, shape.to_vec(), bytes)?)))
        .collect::<Result<Vec<_>>>()?;
    safetensors::serialize_to_file(views, None, path).with_context(|| format!("cannot write {}", path.display()))
}
