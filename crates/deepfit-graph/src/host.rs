//! Arrays in ordinary memory: what goes into a graph as a constant, an input or a reference value.

use crate::error::{GraphError, Result};
use crate::shape::{DType, Shape, TensorType};

/// Values of an array, in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub enum HostData {
    /// Floating point.
    F32(Vec<f32>),
    /// Bytes.
    U8(Vec<u8>),
    /// Integers.
    I32(Vec<i32>),
}

impl HostData {
    /// Element type.
    pub fn dtype(&self) -> DType {
        match self {
            HostData::F32(_) => DType::F32,
            HostData::U8(_) => DType::U8,
            HostData::I32(_) => DType::I32,
        }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            HostData::F32(v) => v.len(),
            HostData::U8(v) => v.len(),
            HostData::I32(v) => v.len(),
        }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// An array in ordinary memory: its number of values is the product of its axis lengths.
#[derive(Debug, Clone, PartialEq)]
pub struct HostTensor {
    shape: Vec<usize>,
    data: HostData,
}

impl HostTensor {
    /// An array from its axis lengths and its values in row-major order.
    ///
    /// # Errors
    /// If the number of values is not the product of the axis lengths.
    pub fn new(shape: &[usize], data: HostData) -> Result<Self> {
        let wrong = || GraphError::Values { shape: shape.to_vec(), given: data.len() };
        let ty = TensorType { shape: Shape::from(shape), dtype: data.dtype() };
        if ty.problem().is_some() || ty.shape.elements().as_fixed() != Some(data.len()) {
            return Err(wrong());
        }
        Ok(HostTensor { shape: shape.to_vec(), data })
    }

    /// A floating-point array.
    ///
    /// # Panics
    /// If the number of values is not the product of the axis lengths; see [`HostTensor::new`].
    pub fn f32(shape: &[usize], data: Vec<f32>) -> Self {
        HostTensor::filled(shape, HostData::F32(data))
    }

    /// An array of bytes.
    ///
    /// # Panics
    /// As [`HostTensor::f32`].
    pub fn u8(shape: &[usize], data: Vec<u8>) -> Self {
        HostTensor::filled(shape, HostData::U8(data))
    }

    /// An array of integers.
    ///
    /// # Panics
    /// As [`HostTensor::f32`].
    pub fn i32(shape: &[usize], data: Vec<i32>) -> Self {
        HostTensor::filled(shape, HostData::I32(data))
    }

    fn filled(shape: &[usize], data: HostData) -> Self {
        HostTensor::new(shape, data).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Axis lengths.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Values in row-major order.
    pub fn data(&self) -> &HostData {
        &self.data
    }

    /// The values alone.
    pub fn into_data(self) -> HostData {
        self.data
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        self.data.dtype()
    }

    /// Shape and element type, as a graph has them.
    pub fn ty(&self) -> TensorType {
        TensorType { shape: Shape::from(&self.shape[..]), dtype: self.dtype() }
    }

    /// Values to change, if they are floating point.
    pub fn f32_mut(&mut self) -> Option<&mut [f32]> {
        match &mut self.data {
            HostData::F32(values) => Some(values),
            _ => None,
        }
    }

    /// The f64 copy that the reference interpreter computes with.
    pub fn to_reference(&self) -> Reference {
        let data = match &self.data {
            HostData::F32(v) => v.iter().map(|&x| f64::from(x)).collect(),
            HostData::U8(v) => v.iter().map(|&x| f64::from(x)).collect(),
            HostData::I32(v) => v.iter().map(|&x| f64::from(x)).collect(),
        };
        Reference { shape: self.shape.clone(), data }
    }
}

/// An array of the reference interpreter: every element type is held as f64.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// Axis lengths.
    pub shape: Vec<usize>,
    /// Values in row-major order.
    pub data: Vec<f64>,
}

impl Reference {
    /// An array from its parts.
    ///
    /// # Panics
    /// If the number of values is not the product of the axis lengths.
    pub fn new(shape: &[usize], data: Vec<f64>) -> Self {
        assert_eq!(shape.iter().product::<usize>(), data.len(), "values do not fill {shape:?}");
        Reference { shape: shape.to_vec(), data }
    }

    /// An array filled with one value.
    pub fn full(shape: &[usize], value: f64) -> Self {
        Reference { shape: shape.to_vec(), data: vec![value; shape.iter().product()] }
    }

    /// An array whose value at each multi-index is `value(index)`.
    pub fn from_fn(shape: &[usize], mut value: impl FnMut(&[usize]) -> f64) -> Self {
        let mut data = Vec::with_capacity(shape.iter().product());
        for_each_index(shape, |index| data.push(value(index)));
        Reference { shape: shape.to_vec(), data }
    }

    /// The value at a multi-index.
    pub fn at(&self, index: &[usize]) -> f64 {
        self.data[self.offset(index)]
    }

    /// The value at a multi-index of a larger shape that this one broadcasts to.
    pub fn at_broadcast(&self, index: &[usize]) -> f64 {
        let lead = index.len() - self.shape.len();
        let offset = self.shape.iter().zip(&index[lead..]).fold(0, |o, (&n, &i)| o * n + if n == 1 { 0 } else { i });
        self.data[offset]
    }

    /// Row-major position of a multi-index.
    pub fn offset(&self, index: &[usize]) -> usize {
        self.shape.iter().zip(index).fold(0, |o, (&n, &i)| o * n + i)
    }
}

/// Calls `f` with every multi-index of `shape`, last axis fastest.
pub fn for_each_index(shape: &[usize], mut f: impl FnMut(&[usize])) {
    if shape.contains(&0) {
        return;
    }
    let mut index = vec![0; shape.len()];
    loop {
        f(&index);
        let Some(axis) = (0..shape.len()).rev().find(|&a| index[a] + 1 < shape[a]) else { return };
        index[axis] += 1;
        index[axis + 1..].fill(0);
    }
}
