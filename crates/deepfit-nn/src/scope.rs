//! Names of parameters: where a layer says what it learns.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use deepfit_graph::{Tensor, Tracer};

use crate::error::{Result, require};
use crate::init::Init;

/// What a parameter is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Trained, and shrunk by weight decay: weights of linear layers and convolutions, embeddings.
    Weight,
    /// Trained without weight decay: biases, and scale and shift of normalisation layers, which must be free to leave
    /// zero whatever the size of the weights.
    NoDecay,
    /// Not trained by gradients: running statistics.
    Buffer,
}

impl Role {
    /// Whether gradients train it.
    pub fn is_trained(self) -> bool {
        self != Role::Buffer
    }

    /// Whether weight decay shrinks it.
    pub fn decays(self) -> bool {
        self == Role::Weight
    }
}

/// A parameter as a layer declares it.
#[derive(Debug, Clone, PartialEq)]
pub struct Declaration {
    /// Full name, as in PyTorch's `state_dict`.
    pub name: String,
    /// Axis lengths.
    pub shape: Vec<usize>,
    /// How its first values are drawn.
    pub init: Init,
    /// What it is for.
    pub role: Role,
}

impl Declaration {
    /// Number of values.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// The first values: a function of seed and name alone, so that a layer more or less changes no other.
    pub fn values(&self, seed: u64) -> Vec<f32> {
        self.init.values(seed, &self.name, &self.shape)
    }

    /// Whether the first values can be drawn.
    ///
    /// # Errors
    /// As [`Init::validate`].
    pub fn validate(&self) -> Result<()> {
        self.init.validate(&self.name, &self.shape)
    }

    /// The parameter declared.
    pub fn parameter(&self) -> Parameter {
        Parameter { name: self.name.clone(), shape: self.shape.clone(), role: self.role }
    }
}

/// A parameter as a layer holds it: a name, not values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Full name, as in PyTorch's `state_dict`.
    pub name: String,
    /// Axis lengths.
    pub shape: Vec<usize>,
    /// What it is for.
    pub role: Role,
}

impl Parameter {
    /// The parameter as a value of a graph, the same one at each call.
    ///
    /// # Errors
    /// If the graph has a parameter of this name with another shape.
    pub fn on(&self, tracer: &Tracer) -> Result<Tensor> {
        Ok(tracer.parameter(&self.name, &self.shape[..])?)
    }
}

/// A place in the tree of layers. Cheap to clone; all places of one tree share the list of declarations.
///
/// Names are those of PyTorch's `state_dict`, so that published weights fit: `conv1.weight`, `layer1.0.bn1.running_mean`.
/// `num_batches_tracked`, which PyTorch needs only for averages without momentum, is left out.
#[derive(Debug, Clone)]
pub struct Scope {
    path: String,
    tree: Rc<RefCell<Tree>>,
}

#[derive(Debug, Default)]
struct Tree {
    declarations: Vec<Declaration>,
    /// Positions of the declarations by name.
    positions: BTreeMap<String, usize>,
    /// Other names of parameters, with the name that each stands for.
    aliases: BTreeMap<String, String>,
}

impl Scope {
    /// The top of a new tree.
    pub fn root() -> Self {
        Scope { path: String::new(), tree: Rc::default() }
    }

    /// The place of a part: `root.child("layer1").child("0")` is `layer1.0`.
    pub fn child(&self, name: impl std::fmt::Display) -> Self {
        Scope { path: self.name_of(&name.to_string()), tree: Rc::clone(&self.tree) }
    }

    /// Path from the top, with dots; empty at the top.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Declares a parameter of this place.
    ///
    /// A name declared twice stays declared once: two layers at one place share their parameters, and if these differ in
    /// shape, tracing says so.
    pub fn parameter(&self, name: &str, shape: &[usize], init: Init, role: Role) -> Parameter {
        let tree = &mut *self.tree.borrow_mut();
        let name = self.name_of(name);
        let name = tree.aliases.get(&name).cloned().unwrap_or(name);
        let declaration = Declaration { name, shape: shape.to_vec(), init, role };
        let parameter = declaration.parameter();
        if !tree.positions.contains_key(&declaration.name) {
            tree.positions.insert(declaration.name.clone(), tree.declarations.len());
            tree.declarations.push(declaration);
        }
        parameter
    }

    /// Ties two parameters: what is declared as `alias` from now on is the parameter `name`. Both are names within this
    /// place. One is trained and saved, under `name`; `alias` is another name for it when values are set or read.
    ///
    /// ```
    /// # use deepfit_nn::{Scope, layers::{Embedding, Linear}};
    /// let scope = Scope::root();
    /// scope.tie("head.weight", "words.weight")?;
    /// let words = Embedding::new(&scope.child("words"), 100, 16);
    /// let head = Linear::without_bias(&scope.child("head"), 16, 100, deepfit_nn::Init::default_weight());
    /// assert_eq!(scope.declarations().len(), 1);
    /// # Ok::<(), deepfit_nn::NnError>(())
    /// ```
    ///
    /// # Errors
    /// If `alias` has been declared or tied already, or is `name` itself.
    pub fn tie(&self, alias: &str, name: &str) -> Result<()> {
        let tree = &mut *self.tree.borrow_mut();
        let (alias, name) = (self.name_of(alias), self.name_of(name));
        let name = tree.aliases.get(&name).cloned().unwrap_or(name);
        let known = tree.positions.contains_key(&alias) || tree.aliases.contains_key(&alias);
        let is_target = alias == name || tree.aliases.values().any(|target| target == &alias);
        require(!known && !is_target, &alias, "tie", || {
            format!("to `{name}` comes too late: tie parameters before the layers that hold them are made, each once")
        })?;
        tree.aliases.insert(alias, name);
        Ok(())
    }

    /// Other names of parameters, with the name that each stands for.
    pub fn aliases(&self) -> BTreeMap<String, String> {
        self.tree.borrow().aliases.clone()
    }

    /// All parameters of the tree, in the order in which they were declared.
    pub fn declarations(&self) -> Vec<Declaration> {
        self.tree.borrow().declarations.clone()
    }

    fn name_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_string() } else { format!("{}.{name}", self.path) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_paths_and_are_declared_once() {
        let root = Scope::root();
        let block = root.child("layer1").child(0);
        let weight = block.child("conv1").parameter("weight", &[2, 3], Init::Zeros, Role::Weight);
        assert_eq!(weight.name, "layer1.0.conv1.weight");
        block.child("conv1").parameter("weight", &[2, 3], Init::Zeros, Role::Weight);
        root.parameter("bias", &[2], Init::Ones, Role::NoDecay);
        let names: Vec<String> = root.declarations().into_iter().map(|d| d.name).collect();
        assert_eq!(names, ["layer1.0.conv1.weight", "bias"]);
    }
}
