//! How parameters are trained.

use std::collections::BTreeSet;

use deepfit_graph::Tensor;
use deepfit_graph::ops::RowGradient;

use crate::declaration::{Declaration, Parameter, Role};
use crate::error::{Result, require};
use crate::optim::{AVERAGE, Clip, MovingAverage, Optimizer, STATE};
use crate::pattern;

use super::names::ACCUMULATED;

/// How parameters are trained.
///
/// Weight decay shrinks weights alone: biases, and scale and shift of normalisation layers, keep out of it by their
/// [`Role`]. PyTorch's optimisers shrink all parameters that they are given; a group for all of them does the same:
///
/// ```
/// # use deepfit_nn::{Optimizer, step::{Group, Training}};
/// let optimizer = Optimizer::adamw();
/// let all = Group { weight_decay: Some(optimizer.weight_decay()), ..Group::new("*", 1.0) };
/// let training = Training { groups: vec![all], ..Training::new(optimizer) };
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Training {
    /// The optimiser.
    pub optimizer: Optimizer,
    /// Limit of the gradients; by default none.
    pub clip: Option<Clip>,
    /// Moving average of the weights; by default none.
    pub moving_average: Option<MovingAverage>,
    /// Names, or patterns as [`Group::pattern`], of parameters that stay as they are: they get no gradient nodes. A tied
    /// parameter may go by either name. By default none.
    pub frozen: BTreeSet<String>,
    /// Settings of their own for some parameters: the first group whose pattern fits a name counts. By default none.
    pub groups: Vec<Group>,
    /// Names of tables of which a step updates only the rows that its batch has used: their gradients are never made as
    /// large as the tables. See [`Optimizer::update_rows`]. By default none.
    pub rows_only: BTreeSet<String>,
    /// Whether a step gives its gradients, before they are limited, as outputs [`GRADIENT`](super::GRADIENT)`.<name>`.
    /// Their memory is then not used for anything else. By default it does not.
    pub keep_gradients: bool,
    /// Whether steps go up and not down: the loss grows, as with PyTorch's `maximize`. By default they go down.
    pub maximize: bool,
}

/// Settings of the parameters whose names fit a pattern, as PyTorch's parameter groups.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// A name in which each `*` stands for any letters, dots among them: `backbone.*`, `*.bias`. A tied parameter may
    /// go by either name.
    pub pattern: String,
    /// What their learning rate is multiplied by, not negative.
    pub rate_factor: f64,
    /// Their weight decay, if it is not the optimiser's. It applies whatever the role of the parameter.
    pub weight_decay: Option<f64>,
    /// Their optimiser, if it is not that of the others: another kind, or other settings. Its weight decay applies to
    /// weights alone, as that of the others does; [`Group::weight_decay`] counts more. There is one learning rate, which
    /// the factor fits to it.
    pub optimizer: Option<Optimizer>,
}

impl Group {
    /// A group that learns at a share of the rate: `Group::new("backbone.*", 0.1)`.
    pub fn new(pattern: &str, rate_factor: f64) -> Self {
        Group { pattern: pattern.to_string(), rate_factor, weight_decay: None, optimizer: None }
    }

    /// Whether a name fits the pattern.
    pub fn fits(&self, name: &str) -> bool {
        pattern::fits(&self.pattern, name)
    }
}

impl Training {
    /// Training of everything by the given optimiser alone.
    pub fn new(optimizer: Optimizer) -> Self {
        Training {
            optimizer,
            clip: None,
            moving_average: None,
            frozen: BTreeSet::new(),
            groups: Vec::new(),
            rows_only: BTreeSet::new(),
            keep_gradients: false,
            maximize: false,
        }
    }

    /// The parameters that gradients train, in the order of their declarations.
    pub fn trained(&self, declarations: &[Declaration]) -> Vec<Parameter> {
        self.trained_declarations(declarations).map(Declaration::parameter).collect()
    }

    pub(super) fn trained_declarations<'a>(
        &'a self,
        declarations: &'a [Declaration],
    ) -> impl Iterator<Item = &'a Declaration> {
        let frozen = |d: &Declaration| self.frozen.iter().any(|pattern| d.fits(pattern));
        declarations.iter().filter(move |d| d.role.is_trained() && !frozen(d))
    }

    fn group_of(&self, declaration: &Declaration) -> Option<&Group> {
        self.groups.iter().find(|group| declaration.fits(&group.pattern))
    }

    /// The optimiser of a parameter, with the weight decay that is its own.
    pub fn optimizer_of(&self, declaration: &Declaration) -> Optimizer {
        let group = self.group_of(declaration);
        let optimizer = group.and_then(|group| group.optimizer).unwrap_or(self.optimizer);
        group.and_then(|group| group.weight_decay).map_or(optimizer, |share| optimizer.with_weight_decay(share))
    }

    /// Adds the update of one parameter to the graph and returns its new value. `rows` are the gradient of a table, if
    /// only those that have one are updated; or tell which have been looked up, if these are scaled down.
    pub(super) fn update(
        &self,
        declaration: &Declaration,
        gradient: &Tensor,
        rows: Option<&RowGradient>,
        rate: &Tensor,
        step: &Tensor,
    ) -> Result<Tensor> {
        let group = self.group_of(declaration);
        let rate = &match group {
            Some(group) if group.rate_factor != 1.0 => rate.mul_scalar(group.rate_factor as f32)?,
            _ => rate.clone(),
        };
        let mut parameter = declaration.parameter();
        if group.is_some_and(|group| group.weight_decay.is_some()) {
            parameter.role = Role::Weight;
        }
        let gradient = if self.maximize { &gradient.neg()? } else { gradient };
        let (optimizer, limit) = (self.optimizer_of(declaration), declaration.max_norm);
        match (rows, limit) {
            (Some(rows), _) if self.rows_only.contains(&declaration.name) => {
                let rows = RowGradient { rows: gradient.clone(), ..rows.clone() };
                optimizer.update_limited_rows(&parameter, limit, &rows, rate, step)
            }
            (Some(rows), Some(limit)) => optimizer.update_limited(&parameter, limit, rows, gradient, rate, step),
            _ => optimizer.update(&parameter, gradient, rate, step),
        }
    }

    /// Checks all settings.
    ///
    /// # Errors
    /// If one is out of range, if a pattern fits nothing, if a frozen name is no parameter, or if nothing is left to
    /// train.
    pub fn validate(&self, declarations: &[Declaration]) -> Result<()> {
        self.optimizer.validate()?;
        declarations.iter().try_for_each(Declaration::validate)?;
        self.clip.iter().try_for_each(Clip::validate)?;
        self.moving_average.iter().try_for_each(MovingAverage::validate)?;
        let known = |pattern: &str| declarations.iter().any(|d| d.fits(pattern));
        for name in &self.frozen {
            require(known(name), "training", "frozen", || {
                format!("names `{name}`, which is no parameter of the network")
            })?;
        }
        for Group { pattern, rate_factor, weight_decay, optimizer } in &self.groups {
            require(known(pattern), "training", "groups", || {
                format!("has the pattern `{pattern}`, which fits no parameter of the network")
            })?;
            require(rate_factor.is_finite() && *rate_factor >= 0.0, "training", "groups", || {
                format!("gives `{pattern}` the rate factor {rate_factor}, which must not be negative")
            })?;
            let optimizer = optimizer.unwrap_or(self.optimizer);
            weight_decay.map_or(optimizer, |share| optimizer.with_weight_decay(share)).validate()?;
        }
        for name in &self.rows_only {
            let table = declarations.iter().find(|d| &d.name == name);
            require(table.is_some(), "training", "rows_only", || {
                format!(
                    "names `{name}`, which is no parameter of the network (one that is tied to others has the name by \
                     which it was first declared)"
                )
            })?;
            table.map_or(Ok(()), |table| self.optimizer_of(table).validate_rows_only())?;
        }
        for table in self.trained_declarations(declarations).filter(|d| d.max_norm.is_some()) {
            self.optimizer_of(table).validate_limited(&table.name)?;
        }
        require(declarations.iter().any(|d| d.role.is_trained()), "training", "scope", || {
            "holds no parameter: were the layers of the network made with this scope?".to_string()
        })?;
        require(self.trained_declarations(declarations).next().is_some(), "training", "frozen", || {
            "leaves no parameter to train".to_string()
        })?;
        self.check_state_names(declarations)
    }

    /// State is kept in parameters of its own: a declared one of the same name would be taken for it.
    fn check_state_names(&self, declarations: &[Declaration]) -> Result<()> {
        let declared: BTreeSet<&str> = declarations.iter().map(|d| &d.name[..]).collect();
        for d in self.trained_declarations(declarations) {
            let kinds = self.optimizer_of(d);
            let states = kinds.state_kinds().iter().map(|kind| format!("{STATE}.{kind}.{}", d.name));
            let others = [ACCUMULATED, AVERAGE].map(|prefix| format!("{prefix}.{}", d.name));
            if let Some(name) = states.chain(others).find(|name| declared.contains(&name[..])) {
                return require(false, &name, "name", || {
                    format!("is also that of what the training keeps for `{}`: choose another", d.name)
                });
            }
        }
        Ok(())
    }
}
