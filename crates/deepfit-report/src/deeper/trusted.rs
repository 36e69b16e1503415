//! Which explanations are relied on: others in the place of those that are no better than chance, and whether they depend on what
//! was learned.

use deepfit_data::{Opened, Passage};
use deepfit_explain::{Explainer, Explanation, FEWEST_PARTS, Method, Request, agreement, likeness};

use super::part;
use crate::error::Result;

/// Rows that are explained again by a network whose weights are shuffled.
const SHUFFLED: usize = 4;
/// Fewest parts of an input of which a single order tells whether it depends on the weights.
const MANY: usize = 10;
/// How often weights are shuffled for rows of fewer parts, whose order is often nearly the same by chance.
const SHUFFLES: usize = 3;
/// Methods for pictures on which Grad-CAM is no better than chance.
const INSTEAD: [Method; 2] = [Method::Occlusion, Method::IntegratedGradients];

/// The explanation of one row; nothing if it cannot be read.
pub(super) fn one(
    explainer: &mut Explainer,
    opened: &Opened,
    row: u32,
    passages: Option<&[Passage]>,
    request: &Request,
) -> Result<Option<Explanation>> {
    let mut found = None;
    let mut take = |explanation| {
        found = Some(explanation);
        Ok(())
    };
    explainer.explain_rows(&part(opened, vec![row]), passages, request, &mut take)?;
    Ok(found)
}

/// Explains pictures on which Grad-CAM is no better than chance by the first other method that is better, and says so: of a
/// network whose last layers see few places of a small picture, its map is too coarse.
pub(super) fn instead<'a>(
    explainer: &mut Explainer,
    opened: &Opened,
    pictures: impl Iterator<Item = (u32, &'a mut Explanation)>,
) -> Result<Option<String>> {
    let (mut count, mut failed, mut used) = (0, 0, Vec::new());
    for (row, found) in pictures {
        count += 1;
        if found.method != Method::GradCam || found.warning().is_none() {
            continue;
        }
        failed += 1;
        for method in INSTEAD {
            let class = found.class.as_ref().map(|(class, _)| class.clone());
            let request = Request { method: Some(method), class, ..Request::default() };
            if let Some(other) = one(explainer, opened, row, None, &request)?.filter(|one| one.warning().is_none()) {
                if !used.contains(&method.name()) {
                    used.push(method.name());
                }
                *found = other;
                break;
            }
        }
    }
    Ok((failed > 0).then(|| {
        let of = format!("grad-cam is no better than chance on {failed} of the {count} pictures that are explained");
        match used.is_empty() {
            true => format!("{of}, and so are {}", INSTEAD.map(Method::name).join(" and ")),
            false => format!("{of}, so that {} explains those on which it is better", used.join(" or ")),
        }
    }))
}

/// How alike explanations of rows stay when what the network has learned is destroyed: the mean over the rows, and the methods;
/// or why that cannot be told. Of rows of few parts an order is often nearly the same by chance, so that the mean is of
/// correlations with their signs, which chance makes 0, over several shuffles.
pub(super) fn shuffled(
    explainer: &mut Explainer,
    opened: &Opened,
    passages: Option<&[Passage]>,
    before: &[(u32, &Explanation)],
) -> std::result::Result<(f64, String), String> {
    if explainer.is_classical() {
        return Err("a classical model has no weights that could be shuffled".to_string());
    }
    let told = before.iter().filter(|(_, one)| one.attributions.len() >= FEWEST_PARTS);
    let told: Vec<&(u32, &Explanation)> = told.take(SHUFFLED).collect();
    let Some(least) = told.iter().map(|(_, one)| one.attributions.len()).min() else {
        return Err(format!("fewer than {FEWEST_PARTS} parts have too few orders to compare"));
    };
    let few = least < MANY;
    let (mut sum, mut count, mut methods) = (0.0, 0.0, Vec::new());
    for _ in 0..if few { SHUFFLES } else { 1 } {
        explainer.shuffle_weights();
        for (row, before) in &told {
            let class = before.class.as_ref().map(|(class, _)| class.clone());
            let request = Request { method: Some(before.method), class, ..Request::default() };
            let after = one(explainer, opened, *row, passages, &request);
            let after = after.map_err(|error| format!("with shuffled weights, it does not run: {error}"))?;
            let alike = after.and_then(|after| if few { agreement(before, &after) } else { likeness(before, &after) });
            sum += alike.ok_or("with shuffled weights, a row has other parts")?;
            count += 1.0;
            if !methods.contains(&before.method.name()) {
                methods.push(before.method.name());
            }
        }
    }
    let mean: f64 = sum / count;
    Ok((mean.abs(), methods.join(" and ")))
}
