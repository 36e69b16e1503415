//! Nodes that stand for memory that exists before a run.

use std::fmt;
use std::sync::Arc;

use super::arity;
use crate::host::{HostTensor, Reference};
use crate::op::{Operation, ReferenceContext};
use crate::sample::Sample;
use crate::shape::TensorType;

/// A value that the caller gives at each run.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    /// Name by which the caller gives it.
    pub name: String,
    /// Its type.
    pub ty: TensorType,
}

/// A value that stays from run to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Name, as in a state dictionary.
    pub name: String,
    /// Its type.
    pub ty: TensorType,
}

/// An array that is part of the graph.
#[derive(Clone)]
pub struct Constant {
    /// The values.
    pub data: Arc<HostTensor>,
}

impl PartialEq for Constant {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.data, &other.data) || self.data == other.data
    }
}

impl fmt::Debug for Constant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.data.data().len() <= 16 {
            write!(f, "Constant({:?})", self.data)
        } else {
            // Long arrays are told apart by identity: comparing their values would cost more than it saves.
            write!(f, "Constant({:?} at {:p})", self.data.shape(), Arc::as_ptr(&self.data))
        }
    }
}

macro_rules! leaf {
    ($name:ident, $describe:expr, $ty:expr, $value:expr) => {
        impl Operation for $name {
            fn name(&self) -> String {
                $describe(self)
            }
            fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
                arity(inputs, 0)?;
                Ok(vec![$ty(self)])
            }
            fn reference(&self, _: &ReferenceContext<'_>) -> Vec<Reference> {
                $value(self)
            }
            fn operations(&self, _: &[&TensorType], _: &[TensorType], _: &crate::shape::Extents) -> u64 {
                0
            }
            fn samples() -> Vec<Sample> {
                Vec::new()
            }
        }
    };
}

// The interpreter and the executors look the values of inputs and parameters up by name: they compute nothing.
leaf!(Input, |s: &Input| s.name.clone(), |s: &Input| s.ty.clone(), |_| Vec::new());
leaf!(Parameter, |s: &Parameter| s.name.clone(), |s: &Parameter| s.ty.clone(), |_| Vec::new());
leaf!(Constant, |_| "constant".to_string(), |s: &Constant| s.data.ty(), |s: &Constant| vec![s.data.to_reference()]);
