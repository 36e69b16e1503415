//! What can go wrong in this crate.

/// Errors of the CPU kernels.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The environment variable `DEEPFIT_ISA` names no known instruction set.
    #[error("DEEPFIT_ISA={value:?} is not an instruction set: use `portable`, `avx2` or `avx512`, or unset it")]
    UnknownIsa {
        /// What the variable holds.
        value: String,
    },
    /// The environment variable `DEEPFIT_ISA` names an instruction set this processor does not have.
    #[error("DEEPFIT_ISA={value} is not supported by this processor: use one of {available}, or unset it")]
    UnsupportedIsa {
        /// What the variable holds.
        value: String,
        /// The instruction sets of this processor, as the variable takes them, divided by commas.
        available: String,
    },
    /// Products are to be in bfloat16, and the processor has no instructions for it, or they are not to be used.
    #[error("products in bf16 need the instructions AVX512-BF16, but {reason}: use precision f32")]
    NoBf16 {
        /// Why not, as the end of a sentence.
        reason: String,
    },
    /// An index of an embedding or of a gather lies outside of its table.
    #[error(
        "index {index} at position {position} lies outside of a table of {rows} rows: indices must be in 0..{rows}"
    )]
    IndexOutOfRange {
        /// The index.
        index: i32,
        /// Its position among the indices, counted from 0.
        position: usize,
        /// Rows of the table.
        rows: usize,
    },
    /// A class number is that of no class, and not the one that is ignored.
    #[error(
        "the class number {class} of row {row} is none of {classes} classes: they are counted from 0, in 0..{classes}"
    )]
    ClassOutOfRange {
        /// The class number.
        class: i32,
        /// The row that has it, counted from 0.
        row: usize,
        /// Number of classes.
        classes: usize,
    },
    /// A label of a sequence is that of no class, or stands for "no label".
    #[error(
        "label {position} of example {example} is {label}, but labels must be in 0..{classes} and not the blank, {blank}"
    )]
    Label {
        /// The label.
        label: i32,
        /// Its position among the labels of its example, counted from 0.
        position: usize,
        /// The example, counted from 0.
        example: usize,
        /// Number of classes, with the blank.
        classes: usize,
        /// The class that stands for "no label".
        blank: usize,
    },
    /// Labels in a row are fewer than their numbers say.
    #[error("the numbers of labels of all examples add up to {all}, but there are {labels} labels")]
    LabelCount {
        /// Sum of the numbers of labels of all examples.
        all: usize,
        /// Labels that are there.
        labels: usize,
    },
    /// A query sees no key.
    #[error(
        "query {query} of example {example} sees no key in head {head}: masks, bias and numbers of keys hide all of them, or \
         its scores are minus infinity; let it see one, or allow it with `allow_hidden`, by which it gets zeros"
    )]
    HiddenQuery {
        /// The example, counted from 0.
        example: usize,
        /// The head, counted from 0.
        head: usize,
        /// The position of the query, counted from 0.
        query: usize,
    },
    /// An extent is 0 in a run, and something is computed of no elements.
    #[error(
        "`{symbol}` is 0 in this run, but `{operation}`{} has no result of nothing: leave the run out",
        at_layer(layer)
    )]
    EmptyExtent {
        /// The axis that has no length: `batch` or `sequence`.
        symbol: &'static str,
        /// Name of the operation.
        operation: String,
        /// Path of the layer that asked for it; empty outside of layers.
        layer: String,
    },
    /// A sequence has a length that is not among its steps.
    #[error("the length {length} of row {row} is not in 1..={steps}: leave empty sequences out of the batch")]
    SequenceLength {
        /// The length that was given.
        length: i32,
        /// The row of the batch, counted from 0.
        row: usize,
        /// Steps that the batch has: the largest length allowed.
        steps: usize,
    },
    /// There are row numbers, but no offset says where their bag begins.
    #[error("there are {numbers} row numbers, but no offset: the first bag begins at offset 0")]
    NoBag {
        /// Row numbers that are given.
        numbers: usize,
    },
    /// A length, or a place where a part begins, does not fit the memory that it speaks of.
    #[error("{what} {position} is {length}, but must be in {least}..={most}")]
    Length {
        /// What it is the length of, in words.
        what: &'static str,
        /// Which of these, counted from 0.
        position: usize,
        /// The length that was given.
        length: i32,
        /// The smallest that is allowed.
        least: usize,
        /// The largest that is allowed.
        most: usize,
    },
    /// A graph cannot be compiled: a mistake was made when it was traced.
    #[error(transparent)]
    Graph(#[from] deepfit_graph::GraphError),
    /// A parameter does not fit what is done with it.
    #[error("the parameter `{name}` does not fit: {problem}")]
    Parameter {
        /// Name of the parameter.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// An input of a run is missing or does not fit.
    #[error("the input `{name}` {problem}")]
    Input {
        /// Name of the input.
        name: String,
        /// What is wrong with it, as the end of a sentence that begins with the input.
        problem: String,
    },
    /// An output cannot be read.
    #[error("the output `{name}` {problem}")]
    Output {
        /// Name of the output.
        name: String,
        /// What is wrong with it, as the end of a sentence that begins with the output.
        problem: String,
    },
    /// A run asks for more than was planned.
    #[error("a run with {asked} is larger than planned, {planned}: compile the graph for larger extents")]
    Extents {
        /// Extents of the run.
        asked: String,
        /// The largest extents that the program was compiled for.
        planned: String,
    },
    /// The system gives no memory of this size.
    #[error(
        "the system gives no more memory, and {} MB more are needed: lower `batch` (or `image_size`), choose a smaller model, or raise the limit of memory",
        bytes.div_ceil(1_000_000)
    )]
    Memory {
        /// Bytes that were asked for.
        bytes: usize,
    },
    /// A program does not fit into the memory it is given, even if the backward pass computes again what it can.
    #[error(
        "a step of {batch} examples needs {} of memory, or {} if the backward pass computes again what it needs, but the \
         limit is {}: choose a smaller batch or a smaller network, or raise the limit",
        megabytes(*needed), megabytes(*smallest), megabytes(*limit)
    )]
    MemoryLimit {
        /// Bytes that the program needs as it is.
        needed: usize,
        /// Bytes that it needs if the backward pass computes again what it can.
        smallest: usize,
        /// Bytes that it may take.
        limit: usize,
        /// Examples of a step.
        batch: usize,
    },
    /// A value that must be finite is not: a loss that is guarded, or the gradient that an update is given.
    #[error("`{operation}`{} met a value that is NaN or infinite", at_layer(layer))]
    NonFinite {
        /// Name of the operation.
        operation: String,
        /// Path of the layer that asked for it; empty outside of layers.
        layer: String,
    },
    /// A user's operation does not do what it says.
    #[error("its reference gives {given} where {expected} must be")]
    Reference {
        /// What the reference gives.
        given: String,
        /// What it must give.
        expected: String,
    },
    /// A row number or a length is out of range.
    #[error("`{operation}`{}: {source}", at_layer(layer))]
    Index {
        /// Name of the operation.
        operation: String,
        /// Path of the layer that asked for it; empty outside of layers.
        layer: String,
        /// What is out of range.
        source: Box<Error>,
    },
}

fn megabytes(bytes: usize) -> String {
    format!("{:.3} MB", bytes as f64 / 1e6)
}

fn at_layer(layer: &str) -> String {
    if layer.is_empty() { String::new() } else { format!(" of layer `{layer}`") }
}
