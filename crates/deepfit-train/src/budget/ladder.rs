//! What is tried, one after the other, where a run does not fit into a limit.

use std::fmt;

use deepfit_cpu::{Engine, Precision};
use deepfit_data::Dataset;

use super::Kind;
use crate::error::Result;
use crate::published::HAS_BUNDLED;
use crate::recipe::Recipe;
use crate::settings::{AUTO, Settings};
use crate::transfer::SCRATCH;

/// Settings that are changed to make a run smaller or faster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rung {
    /// Names and values, as on the command line.
    pub(crate) changes: Vec<(&'static str, String)>,
}

impl Rung {
    fn of(changes: &[(&'static str, &str)]) -> Rung {
        Rung { changes: changes.iter().map(|(key, value)| (*key, value.to_string())).collect() }
    }

    /// Whether the data must be opened again, since it is prepared in another way.
    pub(crate) fn reopens(&self) -> bool {
        self.changes.iter().any(|(key, _)| ["from", "image_size", "vocabulary", "max_tokens"].contains(key))
    }

    /// Settings with these changes.
    ///
    /// # Errors
    /// If they suit no others.
    pub(crate) fn apply(&self, settings: &Settings) -> Result<Settings> {
        let mut settings = settings.clone();
        for (key, value) in &self.changes {
            settings.set(key, value)?;
        }
        Ok(settings)
    }
}

impl fmt::Display for Rung {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> = self.changes.iter().map(|(key, value)| format!("{key}={value}")).collect();
        to.write_str(&words.join(" "))
    }
}

/// Batches are not made smaller than this: what batch normalisation knows of fewer examples means little.
const LEAST_BATCH: usize = 8;
/// Of long sequences, whose rows are many steps.
const LEAST_SEQUENCES: usize = 1;

/// Smaller batches for a recipe, whose gradients are added up so that an update still sees as many rows; none where the
/// settings fix one of both, or the rows of a batch are each other's negatives.
pub(crate) fn smaller_batches(asked: &Settings, recipe: &Recipe, kind: Kind) -> Vec<Rung> {
    let mut rungs = Vec::new();
    if asked.batch.is_some() || asked.accumulate > 1 || kind == Kind::Similarity {
        return rungs;
    }
    let least = if recipe.longest > 1 { LEAST_SEQUENCES } else { LEAST_BATCH };
    let (mut batch, mut accumulate) = (recipe.batch(), 1);
    while batch / 2 >= least {
        (batch, accumulate) = (batch / 2, accumulate * 2);
        let changes = vec![("batch", batch.to_string()), ("accumulate", accumulate.to_string())];
        rungs.push(Rung { changes });
    }
    rungs
}

/// Whether the settings leave the model open.
fn is_open(settings: &Settings) -> bool {
    settings.model == "auto" && settings.from.is_none()
}

/// Smaller models than the one that the data would get, each with less memory than the one before it.
pub(crate) fn smaller(asked: &Settings, data: &Dataset) -> Vec<Rung> {
    let open = is_open(asked) && asked.hidden.is_none() && asked.members.is_none();
    let size = asked.image_size.is_none();
    let tokens = asked.vocabulary.is_none() && asked.tokens.is_none();
    match Kind::of(data) {
        Kind::Table if open => vec![
            Rung::of(&[("model", "tabm"), ("members", "4")]),
            Rung::of(&[("model", "mlp")]),
            Rung::of(&[("model", "mlp"), ("hidden", "[32]")]),
            Rung::of(&[("model", "mlp"), ("hidden", "[8]")]),
        ],
        Kind::Images if open && asked.unfreeze.is_none() && asked.channels.is_none() => {
            let side = data.image_shape().map_or(0, |[height, width, _]| height.max(width));
            let mut rungs = vec![Rung::of(&[("unfreeze", "none")]), Rung::of(&[("from", SCRATCH)])];
            if !HAS_BUNDLED {
                rungs.clear();
            }
            let sides = [96, 64, 48, 32, 16].into_iter().filter(|other| size && *other < side);
            rungs.extend(
                sides.map(|side| Rung::of(&[("from", SCRATCH), ("model", "cnn"), ("image_size", &side.to_string())])),
            );
            rungs
        }
        Kind::Texts if open && tokens => vec![
            Rung::of(&[("from", SCRATCH), ("model", "gru"), ("vocabulary", "2000")]),
            Rung::of(&[("from", SCRATCH), ("model", "rnn"), ("vocabulary", "500")]),
        ],
        Kind::Labels | Kind::Language if open && tokens => vec![
            Rung::of(&[("from", SCRATCH), ("model", "gru"), ("vocabulary", "2000")]),
            Rung::of(&[("from", SCRATCH), ("model", "rnn"), ("tokens", "bytes")]),
        ],
        _ => Vec::new(),
    }
}

/// Matrices multiplied in bfloat16, where the processor can do that and the settings leave it open.
pub(crate) fn rounded(asked: &Settings) -> Option<Rung> {
    let can = || Engine::new(1).is_ok_and(|engine| engine.precision(Precision::Bf16).is_ok());
    (asked.precision == AUTO && can()).then(|| Rung::of(&[("precision", Precision::Bf16.name())]))
}

/// Faster models than the one that the data would get.
pub(crate) fn faster(asked: &Settings, data: &Dataset) -> Vec<Rung> {
    if !is_open(asked) || asked.hidden.is_some() || asked.members.is_some() {
        return Vec::new();
    }
    match Kind::of(data) {
        Kind::Table => vec![Rung::of(&[("model", "mlp")])],
        Kind::Images if asked.image_size.is_none() && asked.unfreeze.is_none() && asked.lora.is_none() => {
            let side = data.image_shape().map_or(0, |[height, width, _]| height.max(width));
            let sides = [64, 32].into_iter().filter(|other| *other < side);
            sides
                .map(|side| Rung::of(&[("from", SCRATCH), ("model", "cnn"), ("image_size", &side.to_string())]))
                .collect()
        }
        Kind::Language => vec![Rung::of(&[("from", SCRATCH), ("model", "gru")])],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bfloat16_is_tried_where_it_is_left_open_and_the_processor_has_it() {
        let has = Engine::new(1).unwrap().precision(Precision::Bf16).is_ok();
        let told = |precision: &str| {
            rounded(&Settings { precision: precision.to_string(), ..Settings::default() }).map(|rung| rung.to_string())
        };
        assert_eq!(told(AUTO), has.then(|| "precision=bf16".to_string()));
        assert_eq!((told("f32"), told("bf16")), (None, None));
    }
}
