//! The search for a learning rate before a run begins.

use deepfit_data::{Loader, LoaderOptions};
use deepfit_nn::schedule::{RateCurve, RateSearch};

use crate::error::{Result, TrainError};
use crate::job::{Workshop, loader_options};
use crate::learner::Place;
use crate::recipe::Recipe;
use crate::stage::Stage;

/// Tries rising learning rates, puts the network back to its first values, and takes the rate at which the loss fell
/// fastest, if it fell. Says in words what was found.
pub(crate) fn find_rate(recipe: &mut Recipe, stage: &Stage, workshop: &mut Workshop) -> Result<String> {
    let search = RateSearch::default();
    let curve = try_rates(&search, recipe, stage, workshop);
    workshop.learner.reset()?;
    let curve = curve?;
    // The rate is saved as if it had been given.
    recipe.settings.find_lr = false;
    let last = curve.rates.last().copied().unwrap_or(search.first);
    let first = search.first;
    let tried = format!("`find_lr` tried {} learning rates from {first:e} to {}", curve.rates.len(), rounded(last));
    Ok(match curve.suggestion() {
        Some(rate) => {
            let rate = rounded(rate);
            recipe.settings.lr = Some(rate);
            format!("{tried}: the loss fell fastest at {rate}, which is taken")
        }
        None => {
            let rate = recipe.settings.lr.unwrap_or(1e-3);
            format!("{tried}: the loss did not fall at any, so that lr={rate} stays")
        }
    })
}

fn try_rates(search: &RateSearch, recipe: &Recipe, stage: &Stage, workshop: &mut Workshop) -> Result<RateCurve> {
    let options = loader_options(recipe, &*workshop.source, stage);
    let options = LoaderOptions { end_epoch: options.end_epoch.max(search.steps as u32), ..options };
    let mut loader = Loader::new(workshop.source.clone(), stage.train.clone(), options)?;
    let mut curve = RateCurve::default();
    while let Some(batch) = loader.next()? {
        let step = curve.rates.len() as u64;
        let loss = match workshop.learner.step(&batch, Place::alone(search.rate(step), step + 1)) {
            // Where the numbers end, the search ends.
            Err(TrainError::Engine(deepfit_cpu::Error::NonFinite { .. })) if step > 0 => f64::NAN,
            loss => loss?,
        };
        if !search.observe(&mut curve, loss) {
            break;
        }
    }
    Ok(curve)
}

/// Two digits are all that such a search can tell.
fn rounded(rate: f64) -> f64 {
    format!("{rate:.1e}").parse().unwrap_or(rate)
}
