//! The objects that files of weights may hold. All are plain data; everything else is refused by name.

use std::collections::BTreeMap;

use super::{Node, Value};
use crate::weights::{ElementType, Parsed};

/// No tensor has more axes.
const MOST_AXES: usize = 16;
/// Letters of the name of a storage.
const MOST_LETTERS: usize = 200;

/// A tensor: a view of a storage, in elements.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::weights) struct StorageView {
    /// Number of the storage.
    pub(in crate::weights) storage: u32,
    /// Type of the elements; that of the storage unless the tensor says otherwise.
    pub(in crate::weights) dtype: ElementType,
    /// Position of the first element.
    pub(in crate::weights) offset: usize,
    /// Axis lengths.
    pub(in crate::weights) shape: Vec<usize>,
    /// Distances along each axis.
    pub(in crate::weights) strides: Vec<usize>,
}

/// A storage as a pickle refers to it.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::weights) struct Storage {
    /// Its name in the file.
    pub(in crate::weights) key: String,
    /// Type of its elements; an untyped one holds bytes.
    pub(in crate::weights) dtype: ElementType,
    /// Number of its elements.
    pub(in crate::weights) elements: usize,
}

/// All storages that a pickle refers to.
#[derive(Debug, Default)]
pub(in crate::weights) struct Storages {
    all: Vec<Storage>,
    numbers: BTreeMap<String, u32>,
}

/// What was constructed.
pub(super) enum Made {
    Node(Node),
    Value(Value),
}

/// The element type of a storage class such as `torch.FloatStorage`.
pub(in crate::weights) fn storage_type(class: &str) -> Option<ElementType> {
    Some(match class.strip_prefix("torch.").unwrap_or(class) {
        "DoubleStorage" => ElementType::F64,
        "FloatStorage" => ElementType::F32,
        "HalfStorage" => ElementType::F16,
        "BFloat16Storage" => ElementType::Bf16,
        "LongStorage" => ElementType::I64,
        "IntStorage" => ElementType::I32,
        "ShortStorage" => ElementType::I16,
        "CharStorage" => ElementType::I8,
        "ByteStorage" | "storage.UntypedStorage" | "UntypedStorage" => ElementType::U8,
        "BoolStorage" => ElementType::Bool,
        _ => return None,
    })
}

/// The element type of a `torch.dtype`.
fn dtype(name: &str) -> Option<ElementType> {
    Some(match name.strip_prefix("torch.")? {
        "float64" | "double" => ElementType::F64,
        "float32" | "float" => ElementType::F32,
        "float16" | "half" => ElementType::F16,
        "bfloat16" => ElementType::Bf16,
        "int64" | "long" => ElementType::I64,
        "int32" | "int" => ElementType::I32,
        "int16" | "short" => ElementType::I16,
        "int8" => ElementType::I8,
        "uint8" => ElementType::U8,
        "uint16" => ElementType::U16,
        "uint32" => ElementType::U32,
        "uint64" => ElementType::U64,
        "bool" => ElementType::Bool,
        _ => return None,
    })
}

fn node(nodes: &[Node], value: Value) -> Option<&Node> {
    match value {
        Value::Node(index) => nodes.get(index as usize),
        _ => None,
    }
}

fn size(value: Option<&Value>) -> Option<usize> {
    match value {
        Some(&Value::Int(number)) => usize::try_from(number).ok(),
        _ => None,
    }
}

fn sizes(nodes: &[Node], value: Option<&Value>) -> Option<Vec<usize>> {
    match node(nodes, *value?)? {
        Node::Tuple(items) | Node::List(items) if items.len() <= MOST_AXES => {
            items.iter().map(|item| size(Some(item))).collect()
        }
        _ => None,
    }
}

impl Storages {
    /// A storage by its number.
    pub(in crate::weights) fn get(&self, number: u32) -> Option<&Storage> {
        self.all.get(number as usize)
    }

    /// All of them.
    pub(in crate::weights) fn iter(&self) -> impl Iterator<Item = &Storage> {
        self.all.iter()
    }

    /// The number of the storage that a persistent id stands for: `('storage', class, key, location, elements, …)`.
    pub(super) fn refer(&mut self, nodes: &[Node], id: Value) -> Parsed<u32> {
        let damaged = || "is damaged: it refers to something outside of it that is no storage of a tensor".to_string();
        let Some(Node::Tuple(parts)) = node(nodes, id) else { return Err(damaged()) };
        // The older form refers to the classes of whole modules in this way, with their source.
        if let [kind, class, ..] = parts[..]
            && node(nodes, kind) == Some(&Node::Text("module".to_string()))
            && let Some(Node::Global(class)) = node(nodes, class)
        {
            return Err(refusal(class));
        }
        let [kind, class, key, _, elements, rest @ ..] = &parts[..] else { return Err(damaged()) };
        let (Some(Node::Text(kind)), Some(Node::Text(key))) = (node(nodes, *kind), node(nodes, *key)) else {
            return Err(damaged());
        };
        let (Some(Node::Global(class)), Some(elements)) = (node(nodes, *class), size(Some(elements))) else {
            return Err(damaged());
        };
        if kind != "storage" || key.len() > MOST_LETTERS {
            return Err(damaged());
        }
        if !matches!(rest, [] | [Value::None]) {
            let what = "has storages that are parts of others, as PyTorch before 0.4 wrote them; save it again with a \
                        newer one";
            return Err(what.to_string());
        }
        let dtype = storage_type(class).ok_or_else(|| {
            format!("holds tensors in a `{class}`, which is not read; save them as float32, float16 or bfloat16")
        })?;
        let storage = Storage { key: key.clone(), dtype, elements };
        if let Some(&number) = self.numbers.get(key) {
            let known = &self.all[number as usize];
            // The same bytes may be referred to by another type, but then how many there are must be the same.
            if *known != storage {
                return Err(format!("is damaged: it describes the storage `{key}` in two ways"));
            }
            return Ok(number);
        }
        let number = self.all.len() as u32;
        self.numbers.insert(key.clone(), number);
        self.all.push(storage);
        Ok(number)
    }
}

/// Makes an object, if it is one of those that are known.
pub(super) fn construct(name: &str, arguments: &[Value], nodes: &[Node], storages: &Storages) -> Parsed<Made> {
    let damaged = |what: &str| format!("is damaged: `{name}` {what}");
    match name {
        "collections.OrderedDict" | "builtins.dict" | "__builtin__.dict" => {
            let mut items = Vec::new();
            if let Some(&pairs) = arguments.first() {
                let Some(Node::List(pairs)) = node(nodes, pairs) else { return Err(damaged("is not made of a list")) };
                for &pair in pairs {
                    match node(nodes, pair) {
                        Some(Node::Tuple(pair) | Node::List(pair)) if pair.len() == 2 => items.push((pair[0], pair[1])),
                        _ => return Err(damaged("is not made of pairs")),
                    }
                }
            }
            Ok(Made::Node(Node::Dict(items)))
        }
        "torch._utils._rebuild_tensor" | "torch._utils._rebuild_tensor_v2" => {
            tensor(name, arguments, None, nodes, storages)
        }
        "torch._utils._rebuild_tensor_v3" => {
            let Some(Node::Global(given)) = arguments.get(6).and_then(|&value| node(nodes, value)) else {
                return Err(damaged("has no element type"));
            };
            let dtype = dtype(given)
                .ok_or_else(|| format!("holds a tensor of type `{given}`, which is not read; save it as float32"))?;
            tensor(name, arguments, Some(dtype), nodes, storages)
        }
        // A parameter is its tensor, and whether it is trained.
        "torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state" => match arguments.first() {
            Some(&value) if matches!(node(nodes, value), Some(Node::Tensor(_))) => Ok(Made::Value(value)),
            _ => Err(damaged("is not made of a tensor")),
        },
        "torch.Size" => match arguments.first() {
            Some(&value) if matches!(node(nodes, value), Some(Node::Tuple(_) | Node::List(_))) => {
                Ok(Made::Value(value))
            }
            _ => Err(damaged("is not made of a tuple")),
        },
        "builtins.set" | "__builtin__.set" | "builtins.frozenset" | "__builtin__.frozenset" => {
            match arguments.first() {
                Some(&value) if matches!(node(nodes, value), Some(Node::List(_))) => Ok(Made::Value(value)),
                None => Ok(Made::Node(Node::List(Vec::new()))),
                _ => Err(damaged("is not made of a list")),
            }
        }
        "torch.device" => Ok(Made::Node(Node::Ignored)),
        _ => Err(refusal(name)),
    }
}

/// What is said of an object that is not plain data.
fn refusal(name: &str) -> String {
    format!(
        "holds the Python object `{name}`, which is no weights: such objects can run any program when they are loaded, so \
         none are made here; save the weights alone, by `torch.save(model.state_dict(), …)` or as safetensors"
    )
}

/// A tensor of a storage, where it begins, its shape and its strides.
fn tensor(
    name: &str,
    arguments: &[Value],
    dtype: Option<ElementType>,
    nodes: &[Node],
    storages: &Storages,
) -> Parsed<Made> {
    let damaged = |what: String| format!("is damaged: a tensor made by `{name}` {what}");
    let storage = match arguments.first().and_then(|&value| node(nodes, value)) {
        Some(&Node::Storage(number)) => number,
        _ => return Err(damaged("has no storage".to_string())),
    };
    let known = storages.get(storage).ok_or_else(|| damaged("has no storage".to_string()))?;
    let (Some(offset), Some(shape), Some(strides)) =
        (size(arguments.get(1)), sizes(nodes, arguments.get(2)), sizes(nodes, arguments.get(3)))
    else {
        return Err(damaged("has a place, a shape or strides that are no numbers from 0, or too many".to_string()));
    };
    let told = || format!("of shape {shape:?} with strides {strides:?} from {offset}");
    if shape.len() != strides.len() {
        return Err(damaged(format!("{} has not one stride an axis", told())));
    }
    let dtype = dtype.unwrap_or(known.dtype);
    // An untyped storage is counted in bytes.
    let held = known.elements as u128 * known.dtype.bytes() as u128 / dtype.bytes() as u128;
    // Lengths of 0 count as 1, so that no product of what is left can overflow later.
    let elements = shape.iter().try_fold(1usize, |product, &n| product.checked_mul(n.max(1)));
    let last = shape.iter().zip(&strides).try_fold(offset as u128, |last, (&n, &stride)| {
        last.checked_add((n.max(1) as u128 - 1).checked_mul(stride as u128)?)
    });
    let empty = shape.contains(&0);
    match (elements, last) {
        (Some(_), Some(_)) if empty => {}
        (Some(elements), Some(last)) if last < held && elements as u128 <= held => {}
        (Some(_), Some(last)) if last < held => {
            let problem = format!("{} repeats elements of a storage of {held}; save it after `.contiguous()`", told());
            return Err(damaged(problem));
        }
        _ => return Err(damaged(format!("{} reaches outside of its storage of {held} elements", told()))),
    }
    Ok(Made::Node(Node::Tensor(StorageView { storage, dtype, offset, shape, strides })))
}
