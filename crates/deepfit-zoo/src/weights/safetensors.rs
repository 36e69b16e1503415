//! Safetensors: a header in JSON, then the bytes of all tensors one after another.

use std::collections::BTreeMap;

use safetensors::tensor::{Dtype, Metadata};

use super::{ElementType, Entry, Listing, Parsed, Source};

/// No header is longer: a hundred thousand tensors need about 10 MB.
const MOST_HEADER: u64 = 100_000_000;

pub(super) fn list(source: &mut dyn Source, length: u64) -> Parsed<Listing> {
    let io = |error: std::io::Error| format!("cannot be read: {error}");
    let damaged = |problem: &str| format!("is a damaged safetensors file: {problem}; download or copy it again");
    let mut size = [0; 8];
    source.read_exact(&mut size).map_err(io)?;
    let size = u64::from_le_bytes(size);
    if size > MOST_HEADER || size > length.saturating_sub(8) {
        return Err(damaged(&format!("its header is {size} bytes long, but the file has {length}")));
    }
    let mut header = vec![0; size as usize];
    source.read_exact(&mut header).map_err(io)?;
    let header: Metadata = serde_json::from_slice(&header).map_err(|error| damaged(&error.to_string()))?;
    let (declared, held) = (header.data_len() as u64, length - 8 - size);
    if declared != held {
        let problem = if declared > held { "it is cut off" } else { "something else is behind it" };
        return Err(damaged(&format!("its tensors need {declared} bytes, but {held} are there: {problem}")));
    }
    let mut entries = BTreeMap::new();
    for (name, info) in header.tensors() {
        let dtype = element_type(info.dtype).ok_or_else(|| {
            format!("holds `{name}` of type {:?}, which is not read; save it as F32, F16 or BF16", info.dtype)
        })?;
        let start = 8 + size + info.data_offsets.0 as u64;
        entries.insert(name, Entry { dtype, shape: info.shape.clone(), start, strides: None });
    }
    let metadata = header.metadata().clone().unwrap_or_default().into_iter().collect();
    Ok(Listing { entries, metadata, notes: Vec::new() })
}

fn element_type(dtype: Dtype) -> Option<ElementType> {
    Some(match dtype {
        Dtype::F64 => ElementType::F64,
        Dtype::F32 => ElementType::F32,
        Dtype::F16 => ElementType::F16,
        Dtype::BF16 => ElementType::Bf16,
        Dtype::I64 => ElementType::I64,
        Dtype::I32 => ElementType::I32,
        Dtype::I16 => ElementType::I16,
        Dtype::I8 => ElementType::I8,
        Dtype::U8 => ElementType::U8,
        Dtype::U16 => ElementType::U16,
        Dtype::U32 => ElementType::U32,
        Dtype::U64 => ElementType::U64,
        Dtype::BOOL => ElementType::Bool,
        _ => return None,
    })
}
