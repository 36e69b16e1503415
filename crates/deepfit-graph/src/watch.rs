//! Intermediates on request: a layer's output, attention weights, gate values, for explanation and debugging.
//!
//! Whoever traces a network asks before its `forward` runs: `tracer.watch("encoder.layers.0", "output")`. What is asked
//! for becomes an output of the graph named `encoder.layers.0.output` (the second use of a shared layer adds `@2`). What
//! nobody asks for costs no node. There are three ways to offer an intermediate:
//!
//! * A **layer's output** needs nothing: it is what the body of [`Tracer::in_layer`] returns, by the name [`OUTPUT`].
//!   Types other than tensors say by [`LayerResult`] which tensor that is.
//! * A **layer** calls [`Tracer::offer`] within `in_layer`, with a name and a closure that computes the value. The closure
//!   runs only if the value is asked for, and may add any nodes.
//! * A coarse **operation** whose inner values its kernel never writes overrides
//!   [`Operation::intermediates`](crate::Operation::intermediates), their names, and
//!   [`Operation::intermediate`](crate::Operation::intermediate), which computes one from the operation's inputs by
//!   decomposition. It is asked for by the path of the layer in which the operation is applied.
//!
//! [`Tracer::check_watches`], which those who make graphs call at the end, refuses what no layer offered and says what
//! there is.
//!
//! A layer's output can also be **replaced** by something that is computed from it, [`Tracer::replace`]: a point on the way
//! from nothing to a token's embedding, an activation that is switched off.

use std::fmt;
use std::rc::Rc;

use crate::error::{GraphError, Result};
use crate::graph::Value;
use crate::trace::{Tensor, Tracer};

/// Name under which every layer offers what it returns.
pub const OUTPUT: &str = "output";

/// What was asked for, and what was found.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    wanted: Vec<Watch>,
    /// Everything that layers offered, as (layer, name), in order of tracing and without repetition.
    offered: Vec<(String, String)>,
    /// Not 0 while nodes are added that belong to no layer's forward: derivatives, and intermediates themselves.
    paused: usize,
    replaced: Vec<Replacement>,
}

/// What makes of a layer's output what stands in its place.
type Replace = Rc<dyn Fn(&Tensor) -> Result<Tensor>>;

struct Replacement {
    layer: String,
    replace: Replace,
    used: bool,
}

impl fmt::Debug for Replacement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "replacement of {}", self.layer)
    }
}

#[derive(Debug)]
struct Watch {
    layer: String,
    name: String,
    /// Values, not tensors: those would hold the graph that holds them.
    found: Vec<Value>,
}

/// What the body of [`Tracer::in_layer`] may return: which tensor, if any, is the layer's output.
pub trait LayerResult {
    /// The output: by default none.
    fn output(&self) -> Option<&Tensor> {
        None
    }

    /// The same with another output, made of its own, if it has one.
    #[must_use]
    fn map_output(self, replace: &mut dyn FnMut(Tensor) -> Tensor) -> Self
    where
        Self: Sized,
    {
        let _ = replace;
        self
    }
}

impl LayerResult for Tensor {
    fn output(&self) -> Option<&Tensor> {
        Some(self)
    }
    fn map_output(self, replace: &mut dyn FnMut(Tensor) -> Tensor) -> Self {
        replace(self)
    }
}

impl LayerResult for () {}
impl<T> LayerResult for Vec<T> {}

impl<T: LayerResult, E> LayerResult for Result<T, E> {
    fn output(&self) -> Option<&Tensor> {
        self.as_ref().ok().and_then(T::output)
    }
    fn map_output(self, replace: &mut dyn FnMut(Tensor) -> Tensor) -> Self {
        self.map(|result| result.map_output(replace))
    }
}

impl<T: LayerResult> LayerResult for Option<T> {
    fn output(&self) -> Option<&Tensor> {
        self.as_ref().and_then(T::output)
    }
    fn map_output(self, replace: &mut dyn FnMut(Tensor) -> Tensor) -> Self {
        self.map(|result| result.map_output(replace))
    }
}

/// The first of several results is the output.
impl<A: LayerResult, B> LayerResult for (A, B) {
    fn output(&self) -> Option<&Tensor> {
        self.0.output()
    }
    fn map_output(self, replace: &mut dyn FnMut(Tensor) -> Tensor) -> Self {
        (self.0.map_output(replace), self.1)
    }
}

/// The first of several results is the output.
impl<A: LayerResult, B, C> LayerResult for (A, B, C) {
    fn output(&self) -> Option<&Tensor> {
        self.0.output()
    }
    fn map_output(self, replace: &mut dyn FnMut(Tensor) -> Tensor) -> Self {
        (self.0.map_output(replace), self.1, self.2)
    }
}

impl Tracer {
    /// Asks for an intermediate of the layer with this path, such as [`OUTPUT`] or `weights`, before it is traced. It
    /// becomes the output `layer.name` of the graph; a layer used more than once adds `@2`, `@3`, ...
    pub fn watch(&self, layer: &str, name: &str) {
        self.with_watches(|watches| {
            if !watches.wanted.iter().any(|w| w.layer == layer && w.name == name) {
                watches.wanted.push(Watch { layer: layer.to_string(), name: name.to_string(), found: Vec::new() });
            }
        });
    }

    /// Replaces the output of the layer with this path by what `replace` makes of it, before it is traced: all that comes
    /// after the layer sees the replacement, and [`Tracer::watch`] gives it. An error of `replace` is a mistake that
    /// [`Tracer::check`] tells; that there is no such layer, [`Tracer::check_watches`].
    pub fn replace(&self, layer: &str, replace: impl Fn(&Tensor) -> Result<Tensor> + 'static) {
        let replacement = Replacement { layer: layer.to_string(), replace: Rc::new(replace), used: false };
        self.with_watches(|watches| watches.replaced.push(replacement));
    }

    /// What a layer has returned, with its output replaced if it should be.
    pub(crate) fn replaced<T: LayerResult>(&self, layer: &str, result: T) -> T {
        let find = |watches: &mut Watches| {
            let found = watches.replaced.iter_mut().find(|replacement| replacement.layer == layer)?;
            found.used = true;
            Some(found.replace.clone())
        };
        let Some(replace) = self.with_watches(find) else { return result };
        result.map_output(&mut |output| {
            replace(&output).unwrap_or_else(|error| {
                self.remember(error);
                output
            })
        })
    }

    /// Offers an intermediate of the current layer; `value` runs only if it is asked for.
    ///
    /// # Errors
    /// Those of `value`.
    pub fn offer<E>(&self, name: &str, value: impl FnOnce() -> Result<Tensor, E>) -> Result<(), E> {
        let layer = self.layer();
        if !self.note(&layer, name) {
            return Ok(());
        }
        self.with_watches(|watches| watches.paused += 1);
        let tensor = value();
        self.with_watches(|watches| watches.paused -= 1);
        self.found(&layer, name, &tensor?);
        Ok(())
    }

    /// What was asked for and found so far, by the name of its output. Gradients of a loss may be taken with respect to
    /// these tensors if the loss is computed from them, as it is from layers' outputs.
    pub fn watched(&self) -> Vec<(String, Tensor)> {
        let found: Vec<(String, Value)> = self.with_watches(|watches| {
            let named = |w: &Watch| {
                let named = w.found.iter().enumerate().map(|(i, &v)| (output_name(&w.layer, &w.name, i), v));
                named.collect::<Vec<_>>()
            };
            watches.wanted.iter().flat_map(named).collect()
        });
        found.into_iter().map(|(name, value)| (name, self.tensor(value))).collect()
    }

    /// Everything that the layers traced so far can be asked for, as (path of the layer, name).
    pub fn offered(&self) -> Vec<(String, String)> {
        self.with_watches(|watches| watches.offered.clone())
    }

    /// Checks that everything asked for was found.
    ///
    /// # Errors
    /// If no layer of such a path offered such a name, saying what is offered; as [`Tracer::check`].
    pub fn check_watches(&self) -> Result<()> {
        self.check()?;
        self.with_watches(|watches| {
            let unfound = watches.wanted.iter().find(|w| w.found.is_empty()).map(|w| (&w.layer, &w.name[..]));
            let unused = watches.replaced.iter().find(|r| !r.used).map(|r| (&r.layer, OUTPUT));
            let Some((lost, name)) = unfound.or(unused) else { return Ok(()) };
            let of_layer = watches.offered.iter().filter(|(layer, _)| layer == lost);
            let names: Vec<&str> = of_layer.map(|(_, name)| &name[..]).collect();
            let problem = if names.is_empty() {
                let mut layers: Vec<&str> = watches.offered.iter().map(|(layer, _)| &layer[..]).collect();
                layers.dedup();
                format!("there is no such layer; the layers are {}", layers.join(", "))
            } else {
                format!("the layer offers {}", names.join(", "))
            };
            Err(GraphError::Watch { layer: lost.clone(), name: name.to_string(), problem })
        })
    }

    /// Remembers what is offered; whether it is asked for.
    pub(crate) fn note(&self, layer: &str, name: &str) -> bool {
        if layer.is_empty() {
            return false;
        }
        self.with_watches(|watches| {
            if watches.paused > 0 {
                return false;
            }
            if !watches.offered.iter().any(|(l, n)| l == layer && n == name) {
                watches.offered.push((layer.to_string(), name.to_string()));
            }
            watches.wanted.iter().any(|w| w.layer == layer && w.name == name)
        })
    }

    /// Makes an intermediate that was asked for an output of the graph.
    pub(crate) fn found(&self, layer: &str, name: &str, tensor: &Tensor) {
        let times = self.with_watches(|watches| {
            let watch = watches.wanted.iter_mut().find(|w| w.layer == layer && w.name == name)?;
            watch.found.push(tensor.value());
            Some(watch.found.len())
        });
        if let Some(times) = times {
            self.output(&output_name(layer, name, times - 1), tensor);
        }
    }

    /// Runs `body`, whose nodes belong to `layer` but are no part of its forward.
    pub(crate) fn behind_layer<T>(&self, layer: &str, body: impl FnOnce() -> T) -> T {
        self.with_watches(|watches| watches.paused += 1);
        let outer = self.enter(layer);
        let result = body();
        self.enter(&outer);
        self.with_watches(|watches| watches.paused -= 1);
        result
    }
}

fn output_name(layer: &str, name: &str, earlier: usize) -> String {
    if earlier == 0 { format!("{layer}.{name}") } else { format!("{layer}.{name}@{}", earlier + 1) }
}
