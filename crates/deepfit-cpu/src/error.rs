//! What can go wrong in this crate.

/// Errors of the CPU kernels.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The environment variable `DEEPFIT_ISA` names no known instruction set.
    #[error("DEEPFIT_ISA={value:?} is not an instruction set: use `portable`, `avx2` or `avx512`, or unset it")]
    UnknownIsa { value: String },
    /// The environment variable `DEEPFIT_ISA` names an instruction set this processor does not have.
    #[error("DEEPFIT_ISA={value} is not supported by this processor: use one of {available}, or unset it")]
    UnsupportedIsa { value: String, available: String },
    /// An index of an embedding or of a gather lies outside of its table.
    #[error(
        "index {index} at position {position} lies outside of a table of {rows} rows: indices must be in 0..{rows}"
    )]
    IndexOutOfRange { index: i32, position: usize, rows: usize },
    /// A class number is that of no class, and not the one that is ignored.
    #[error(
        "the class number {class} of row {row} is none of {classes} classes: they are counted from 0, in 0..{classes}"
    )]
    ClassOutOfRange { class: i32, row: usize, classes: usize },
    /// A label of a sequence is that of no class, or stands for "no label".
    #[error(
        "label {position} of example {example} is {label}, but labels must be in 0..{classes} and not the blank, {blank}"
    )]
    Label { label: i32, position: usize, example: usize, classes: usize, blank: usize },
    /// Labels in a row are fewer than their numbers say.
    #[error("the numbers of labels of all examples add up to {all}, but there are {labels} labels")]
    LabelCount { all: usize, labels: usize },
    /// A query sees no key.
    #[error(
        "query {query} of example {example} sees no key in head {head}: masks, bias and numbers of keys hide all of them, or \
         its scores are minus infinity; let it see one, or allow it with `allow_hidden`, by which it gets zeros"
    )]
    HiddenQuery { example: usize, head: usize, query: usize },
    /// An extent is 0 in a run, and something is computed of no elements.
    #[error(
        "`{symbol}` is 0 in this run, but `{operation}`{} has no result of nothing: leave the run out",
        at_layer(layer)
    )]
    EmptyExtent { symbol: &'static str, operation: String, layer: String },
    /// A sequence has a length that is not among its steps.
    #[error("the length {length} of row {row} is not in 1..={steps}: leave empty sequences out of the batch")]
    SequenceLength { length: i32, row: usize, steps: usize },
    /// There are row numbers, but no offset says where their bag begins.
    #[error("there are {numbers} row numbers, but no offset: the first bag begins at offset 0")]
    NoBag { numbers: usize },
    /// A length, or a place where a part begins, does not fit the memory that it speaks of.
    #[error("{what} {position} is {length}, but must be in {least}..={most}")]
    Length { what: &'static str, position: usize, length: i32, least: usize, most: usize },
    /// A graph cannot be compiled: a mistake was made when it was traced.
    #[error(transparent)]
    Graph(#[from] deepfit_graph::GraphError),
    /// A parameter does not fit what is done with it.
    #[error("the parameter `{name}` does not fit: {problem}")]
    Parameter { name: String, problem: String },
    /// An input of a run is missing or does not fit.
    #[error("the input `{name}` {problem}")]
    Input { name: String, problem: String },
    /// An output cannot be read.
    #[error("the output `{name}` {problem}")]
    Output { name: String, problem: String },
    /// A run asks for more than was planned.
    #[error("a run with {asked} is larger than planned, {planned}: compile the graph for larger extents")]
    Extents { asked: String, planned: String },
    /// The system gives no memory of this size.
    #[error(
        "the system gives no more memory, and {} MB more are needed: lower `batch` (or `image_size`), choose a smaller model, or raise the limit of memory",
        bytes.div_ceil(1_000_000)
    )]
    Memory { bytes: usize },
    /// A program does not fit into the memory it is given, even if the backward pass computes again what it can.
    #[error(
        "a step of {batch} examples needs {} of memory, or {} if the backward pass computes again what it needs, but the \
         limit is {}: choose a smaller batch or a smaller network, or raise the limit",
        megabytes(*needed), megabytes(*smallest), megabytes(*limit)
    )]
    MemoryLimit { needed: usize, smallest: usize, limit: usize, batch: usize },
    /// A value that must be finite is not: a loss that is guarded, or the gradient that an update is given.
    #[error("`{operation}`{} met a value that is NaN or infinite", at_layer(layer))]
    NonFinite { operation: String, layer: String },
    /// A user's operation does not do what it says.
    #[error("its reference gives {given} where {expected} must be")]
    Reference { given: String, expected: String },
    /// A row number or a length is out of range.
    #[error("`{operation}`{}: {source}", at_layer(layer))]
    Index { operation: String, layer: String, source: Box<Error> },
}

fn megabytes(bytes: usize) -> String {
    format!("{:.3} MB", bytes as f64 / 1e6)
}

fn at_layer(layer: &str) -> String {
    if layer.is_empty() { String::new() } else { format!(" of layer `{layer}`") }
}
