//! What all layers have in common.

use std::fmt;

use deepfit_graph::Tensor;

use crate::error::Result;

/// A part of a network with one input and one output.
///
/// `forward` runs once for each graph, on symbolic values. What a layer adds is traced within
/// [`Tracer::in_layer`](deepfit_graph::Tracer::in_layer), so that errors and costs name the layer.
pub trait Module: Send + Sync {
    /// Adds this part to the graph of `x` and returns its result.
    ///
    /// # Errors
    /// If the shape of `x` does not fit, naming the layer.
    fn forward(&self, x: &Tensor) -> Result<Tensor>;
}

/// Modules one after another.
#[derive(Default)]
pub struct Sequential {
    modules: Vec<Box<dyn Module>>,
}

impl Sequential {
    /// No module: the identity.
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more module at the end.
    #[must_use]
    pub fn with(mut self, module: impl Module + 'static) -> Self {
        self.push(module);
        self
    }

    /// Adds a module at the end.
    pub fn push(&mut self, module: impl Module + 'static) {
        self.modules.push(Box::new(module));
    }

    /// Number of modules.
    pub fn len(&self) -> usize {
        self.modules.len()
    }

    /// Whether there is no module.
    pub fn is_empty(&self) -> bool {
        self.modules.is_empty()
    }

    /// Some of the modules only, by their positions; those that there are not are left out.
    ///
    /// # Errors
    /// As [`Module::forward`].
    pub fn forward_range(&self, x: &Tensor, range: std::ops::Range<usize>) -> Result<Tensor> {
        let modules = self.modules.iter().take(range.end).skip(range.start);
        modules.into_iter().try_fold(x.clone(), |x, module| module.forward(&x))
    }
}

impl Module for Sequential {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_range(x, 0..self.modules.len())
    }
}

impl fmt::Debug for Sequential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sequential").field("modules", &self.modules.len()).finish()
    }
}
