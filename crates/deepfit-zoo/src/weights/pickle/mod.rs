//! Python's pickles, as far as `torch.save` uses them for weights.
//!
//! A pickle is a program for a stack machine, and Python's own runs whatever it asks for. This machine has no way to call
//! anything: an object is either one of those that [`objects`] knows, all of them plain data, or an error that names it.
//! Values refer to each other by number in one list, so nothing here is as deep as a malicious pickle would like it.

mod machine;
mod objects;
mod reader;

pub(super) use machine::Machine;
pub(super) use objects::{Storage, StorageView, Storages};

/// A value on the machine's stack.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value {
    /// `None`
    None,
    /// `True` or `False`
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number that needs more than 64 bits.
    Long {
        /// Whether it is the number with which PyTorch's older files begin.
        magic: bool,
    },
    /// A floating-point number, which weights have no use for.
    Float,
    /// Something larger, by its number among the machine's [`Node`]s.
    Node(u32),
}

/// A value that is not held by the stack itself.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    /// A string.
    Text(String),
    /// Bytes; what they are is of no use.
    Bytes,
    /// A tuple, or a `torch.Size`.
    Tuple(Vec<Value>),
    /// A list or a set.
    List(Vec<Value>),
    /// A dictionary, ordered or not.
    Dict(Vec<(Value, Value)>),
    /// A class or a function, by module and name.
    Global(String),
    /// A storage, by its number in [`Ids`].
    Storage(u32),
    /// A tensor.
    Tensor(StorageView),
    /// A known object that says nothing about weights, such as a device.
    Ignored,
}
