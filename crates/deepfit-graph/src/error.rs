use thiserror::Error;

/// Everything that can go wrong while a network is traced, differentiated, optimised or planned.
///
/// All of these are found before the first step runs.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GraphError {
    /// The inputs of an operation do not fit together.
    #[error("{layer}{operation}: {problem}")]
    Shape {
        /// Name of the operation, as in `inspect`.
        operation: String,
        /// Path of the layer that asked for it, followed by `: `; empty outside of layers.
        layer: String,
        /// What does not fit, with the shapes as a person writes them.
        problem: String,
    },
    /// A trained parameter is reached through an operation that has no derivative.
    #[error(
        "{layer}{operation} has no derivative with respect to its input {input}, but a trained parameter depends on it; \
         freeze the parameter or cut the path with `stop_gradient`"
    )]
    NoDerivative {
        /// Name of the operation.
        operation: String,
        /// Path of the layer, followed by `: `; empty outside of layers.
        layer: String,
        /// Position of the input.
        input: usize,
    },
    /// A gradient was asked for a value that the loss does not depend on.
    #[error("the loss does not depend on `{name}`: it would never be trained; freeze it or use it in the network")]
    Unreachable {
        /// Name of the parameter or value.
        name: String,
    },
    /// Two parameters or outputs share a name, or one name has two shapes.
    #[error("the name `{name}` is used twice: {problem}")]
    Name {
        /// The name.
        name: String,
        /// What differs.
        problem: String,
    },
    /// An intermediate was asked for that no layer offered.
    #[error("`{name}` of the layer `{layer}` cannot be watched: {problem}")]
    Watch {
        /// Path of the layer.
        layer: String,
        /// Name of the intermediate.
        name: String,
        /// What there is instead.
        problem: String,
    },
    /// An array has another number of values than its shape says.
    #[error("{given} values do not fill an array of shape {shape:?}")]
    Values {
        /// Its axis lengths.
        shape: Vec<usize>,
        /// How many values it has.
        given: usize,
    },
    /// Values of two different graphs were combined.
    #[error(
        "{layer}{operation}: its inputs {shapes} belong to different graphs; a value lives in the graph that it was traced in: \
         trace the whole network in one graph, and keep layers, not values, from one to the next"
    )]
    ForeignValue {
        /// Name of the operation.
        operation: String,
        /// Path of the layer that asked for it, followed by `: `; empty outside of layers.
        layer: String,
        /// The shapes of the inputs.
        shapes: String,
    },
    /// The graph grows beyond what can be planned in a reasonable time.
    #[error(
        "{layer}{operation}: the graph has {nodes} nodes already, the most there may be: a loop in the network is unrolled \
         too often; use fewer steps or layers, or an operation that loops inside"
    )]
    Size {
        /// Name of the operation that would have been added.
        operation: String,
        /// Path of the layer, followed by `: `; empty outside of layers.
        layer: String,
        /// Nodes of the graph.
        nodes: usize,
    },
    /// A run-time extent is larger than what was planned, or an input has the wrong size.
    #[error("{0}")]
    Extent(String),
}

/// Result of building or transforming a graph.
pub type Result<T, E = GraphError> = std::result::Result<T, E>;
