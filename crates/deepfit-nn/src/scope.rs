//! Names of parameters: where a layer says what it learns.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::declaration::{Declaration, Parameter, Role};
use crate::error::{Result, require};
use crate::init::Init;
use crate::low_rank::LowRank;
use crate::max_norm::MaxNorm;
use crate::pattern;

/// A place in the tree of layers. Cheap to clone; all places of one tree share the list of declarations.
///
/// Names are those of PyTorch's `state_dict`, so that published weights fit: `conv1.weight`, `layer1.0.bn1.running_mean`.
/// `num_batches_tracked`, which PyTorch needs only for averages without momentum, is declared for these alone.
///
/// A layer made at the [root](Scope::root) has no path of its own. Errors, costs and
/// [watches](deepfit_graph::Tracer::watch) name it by its kind: `linear`, `lstm`, `transformer`.
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
    /// Names under which layers have declared something, before aliases are resolved.
    asked_for: BTreeSet<String>,
    /// How weights are adapted that are declared from now on.
    low_rank: Option<LowRank>,
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

    /// The same place in a tree of its own: for a network of which only some parameters are [declared](Scope::declare).
    pub fn apart(&self) -> Self {
        let low_rank = self.tree.borrow().low_rank.clone();
        Scope { path: self.path.clone(), tree: Rc::new(RefCell::new(Tree { low_rank, ..Tree::default() })) }
    }

    /// Takes over a parameter that a layer has declared [apart](Scope::apart).
    pub fn declare(&self, declaration: Declaration) {
        let tree = &mut *self.tree.borrow_mut();
        tree.asked_for.insert(declaration.name.clone());
        if !tree.positions.contains_key(&declaration.name) {
            tree.positions.insert(declaration.name.clone(), tree.declarations.len());
            tree.declarations.push(declaration);
        }
    }

    /// Path from the top, with dots; empty at the top.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The path, and at the top, where there is none, the kind of a layer made there: by what errors and watches name it.
    pub fn place(&self, kind: &str) -> String {
        if self.path.is_empty() { kind } else { &self.path }.to_string()
    }

    /// Declares a parameter of this place.
    ///
    /// A name declared twice stays declared once: two layers at one place share their parameters, and if these differ in
    /// shape, tracing says so. A shape that is too large, or that the initialisation does not fit, is refused by
    /// [`Scope::validate`] and wherever the declaration is used.
    pub fn parameter(&self, name: &str, shape: &[usize], init: Init, role: Role) -> Parameter {
        let tree = &mut *self.tree.borrow_mut();
        let name = self.name_of(name);
        tree.asked_for.insert(name.clone());
        let name = tree.aliases.get(&name).cloned().unwrap_or(name);
        let parameter = Parameter { name, shape: shape.to_vec(), role };
        if !tree.positions.contains_key(&parameter.name) {
            tree.positions.insert(parameter.name.clone(), tree.declarations.len());
            let Parameter { name, shape, role } = parameter.clone();
            tree.declarations.push(Declaration { name, shape, init, role, aliases: Vec::new(), max_norm: None });
        }
        parameter
    }

    /// Notes that rows of a declared table are scaled down to a norm when they are looked up.
    pub(crate) fn limit_rows(&self, table: &Parameter, limit: MaxNorm) {
        let tree = &mut *self.tree.borrow_mut();
        if let Some(&position) = tree.positions.get(&table.name) {
            tree.declarations[position].max_norm = Some(limit);
        }
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
    /// scope.validate()?;
    /// assert_eq!(scope.declarations().len(), 1);
    /// # Ok::<(), deepfit_nn::NnError>(())
    /// ```
    ///
    /// # Errors
    /// If `alias` has been declared or tied already, or is `name` itself. That a layer declares both names is checked by
    /// [`Scope::validate`], when all layers have been made.
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

    /// Adapts the weights of linear layers and attention that are made from now on, anywhere in the tree: beside each
    /// `weight` they declare factors `lora_a` and `lora_b` (beside `in_proj_weight`, `in_proj_lora_a`), for a training in
    /// which these learn and the weights are [frozen](crate::step::Training::frozen).
    pub fn adapt(&self, low_rank: LowRank) {
        self.tree.borrow_mut().low_rank = Some(low_rank);
    }

    /// How the weights of this place are adapted.
    pub(crate) fn low_rank(&self) -> Option<LowRank> {
        let fits = |low_rank: &LowRank| low_rank.places.iter().any(|place| pattern::fits(place, &self.path));
        self.tree.borrow().low_rank.clone().filter(fits)
    }

    /// All parameters of the tree, in the order in which they were declared.
    pub fn declarations(&self) -> Vec<Declaration> {
        let tree = self.tree.borrow();
        let mut declarations = tree.declarations.clone();
        for (alias, name) in &tree.aliases {
            if let Some(&position) = tree.positions.get(name) {
                declarations[position].aliases.push(alias.clone());
            }
        }
        declarations
    }

    /// Draws the first values of parameters in another way than their layers say, as `torch.nn.init` does: of all that
    /// have been declared, wherever in the tree, and whose full name fits the pattern. In a pattern each `*` stands for
    /// any letters, dots among them; a tied parameter may go by either name. Running statistics are left out, and all
    /// other parameters keep their values.
    ///
    /// ```
    /// # use deepfit_nn::{Init, Scope, layers::{Linear, Lstm, RecurrentConfig}};
    /// let scope = Scope::root();
    /// let lstm = Lstm::new(&scope.child("lstm"), 8, 16, RecurrentConfig::default())?;
    /// let head = Linear::new(&scope.child("head"), 16, 2);
    /// scope.initialise("lstm.weight_hh*", Init::Orthogonal { gain: 1.0 })?;
    /// scope.initialise("*.bias*", Init::Zeros)?;
    /// # Ok::<(), deepfit_nn::NnError>(())
    /// ```
    ///
    /// # Errors
    /// If no parameter fits the pattern, or one that does cannot be initialised so. Then nothing is changed.
    pub fn initialise(&self, pattern: &str, init: Init) -> Result<()> {
        let fitting: Vec<Declaration> =
            self.declarations().into_iter().filter(|d| d.role.is_trained() && d.fits(pattern)).collect();
        require(!fitting.is_empty(), pattern, "init", || {
            "fits no parameter that has been declared: initialise parameters after the layers that hold them are made"
                .to_string()
        })?;
        fitting.iter().try_for_each(|d| init.validate(&d.name, &d.shape))?;
        let tree = &mut *self.tree.borrow_mut();
        for declaration in &fitting {
            if let Some(&position) = tree.positions.get(&declaration.name) {
                tree.declarations[position].init = init;
            }
        }
        Ok(())
    }

    /// Checks the whole tree, when all layers have been made: whoever trains or uses the declarations calls it first.
    ///
    /// # Errors
    /// If a parameter is too large ([`MOST_BYTES`](crate::MOST_BYTES)) or cannot be initialised as declared; or if one of
    /// two tied names is declared by no layer, which would leave them apart.
    pub fn validate(&self) -> Result<()> {
        self.declarations().iter().try_for_each(Declaration::validate)?;
        let tree = self.tree.borrow();
        for (alias, name) in &tree.aliases {
            for (lost, other) in [(alias, name), (name, alias)] {
                require(tree.asked_for.contains(lost), lost, "tie", || {
                    format!("with `{other}` ties nothing: no layer has declared a parameter `{lost}`")
                })?;
            }
        }
        Ok(())
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
