//! What a network that stays as it is makes of the samples of another source: computed once, kept in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use crate::batch::{Array, Batch, DType, Failure, Slot};
use crate::error::{Error, Result};
use crate::source::{Pass, Source};

/// Features of the rows of a source, with the targets of that source.
///
/// Until [`FeatureSource::set`] gives them, all are zero: a plan knows shapes and times before there is a value.
pub struct FeatureSource {
    base: Arc<dyn Source>,
    slots: Vec<Slot>,
    features: Arc<OnceLock<Features>>,
    scale: Option<(Vec<f32>, Vec<f32>)>,
}

/// The features of all rows.
#[derive(Debug, Default)]
pub struct Features {
    /// Row after row; anything for a row that failed.
    pub values: Vec<f32>,
    /// Rows whose samples cannot be read.
    pub failed: BTreeMap<u32, Failure>,
}

impl FeatureSource {
    /// Features of a shape, by the name of the input that takes them.
    pub fn new(base: Arc<dyn Source>, name: &str, shape: &[usize]) -> FeatureSource {
        let slot = Slot::new(name, shape, DType::F32);
        let slots = std::iter::once(slot).chain(base.beside_slots().iter().cloned()).collect();
        FeatureSource { base, slots, features: Arc::default(), scale: None }
    }

    /// The same features, with the targets of another source of the same samples: a regression's are standardised by the rows
    /// that each stage trains on, as is what goes to the last layer beside the features.
    pub fn with_targets_of(&self, base: Arc<dyn Source>) -> FeatureSource {
        let (features, scale) = (self.features.clone(), self.scale.clone());
        let slots = self.slots[..1].iter().chain(base.beside_slots()).cloned().collect();
        FeatureSource { base, slots, features, scale }
    }

    /// The source of the samples themselves.
    pub fn base(&self) -> &Arc<dyn Source> {
        &self.base
    }

    /// Gives the features, once; they are shared with all that were made of this by [`FeatureSource::standardised`].
    ///
    /// # Panics
    /// If they are not as many as the rows have.
    pub fn set(&self, features: Features) {
        assert_eq!(features.values.len(), self.len() * self.slots[0].values(), "a row has other features");
        // A second set of the same features changes nothing.
        let _ = self.features.set(features);
    }

    /// Whether there are values.
    pub fn is_set(&self) -> bool {
        self.features.get().is_some()
    }

    /// The same, with mean 0 over the given rows, and of such a scale that all features of a row are of length 1 on average,
    /// as are, among them, all groups of features; with what was subtracted and what that was divided by. `groups` are
    /// numbers of features that belong together, all of them if there are none.
    pub fn standardised(&self, rows: &[u32], groups: &[usize]) -> (FeatureSource, Vec<f32>, Vec<f32>) {
        let width = self.slots[0].values();
        let groups = if groups.is_empty() { &[width] } else { groups };
        let (mut mean, mut deviation) = (vec![0.0; width], vec![1.0; width]);
        if let Some(features) = self.features.get() {
            let of = |row: &u32| &features.values[*row as usize * width..][..width];
            let used = || rows.iter().filter(|row| !features.failed.contains_key(row)).map(of);
            let count = used().count().max(1) as f64;
            let mut sums = vec![0.0; width];
            used().for_each(|values| sums.iter_mut().zip(values).for_each(|(sum, &x)| *sum += f64::from(x)));
            let means: Vec<f64> = sums.iter().map(|sum| sum / count).collect();
            let mut squares = vec![0.0; width];
            for values in used() {
                for ((square, &x), m) in squares.iter_mut().zip(values).zip(&means) {
                    *square += (f64::from(x) - m).powi(2);
                }
            }
            let mut begin = 0;
            for &size in groups {
                let group = begin..begin + size;
                let typical = (squares[group.clone()].iter().sum::<f64>() / (count * size as f64)).sqrt();
                let share = ((size * groups.len()) as f64).sqrt();
                for i in group {
                    // What hardly ever differs says little, and must not be blown up to as much as the others.
                    let spread = (squares[i] / count).sqrt().max(typical * 0.05);
                    mean[i] = means[i] as f32;
                    deviation[i] = if spread > 0.0 { (spread * share) as f32 } else { 1.0 };
                }
                begin += size;
            }
        }
        let scale = Some((mean.clone(), deviation.iter().map(|d| 1.0 / d).collect()));
        let (base, slots, features) = (self.base.clone(), self.slots.clone(), self.features.clone());
        (FeatureSource { base, slots, features, scale }, mean, deviation)
    }
}

impl Source for FeatureSource {
    fn len(&self) -> usize {
        self.base.len()
    }

    fn slots(&self) -> &[Slot] {
        &self.slots
    }

    fn target_dtype(&self) -> DType {
        self.base.target_dtype()
    }

    fn target_width(&self) -> usize {
        self.base.target_width()
    }

    fn has_targets(&self) -> bool {
        self.base.has_targets()
    }

    fn fill(&self, rows: &[u32], pass: Pass<'_>, out: &mut Batch) -> Result<()> {
        out.reset(&self.slots, (self.target_dtype(), self.target_width()), rows.len());
        let width = self.slots[0].values();
        let failures = self.features.get().map(|features| &features.failed);
        let failure = |row: u32| failures.and_then(|failed| failed.get(&row));
        let mut used = Vec::with_capacity(rows.len());
        for (i, &row) in rows.iter().enumerate() {
            if let Some(failure) = failure(row) {
                out.failures.push(failure.clone());
            }
            // As with images, another row of a training batch stands in for one that cannot be read.
            let candidates = if matches!(pass, Pass::Train { .. }) { rows.len() } else { 1 };
            used.extend((0..candidates).map(|k| rows[(i + k) % rows.len()]).find(|&row| failure(row).is_none()));
        }
        if let (Pass::Train { .. }, true, Some(first)) = (pass, used.is_empty(), out.failures.first()) {
            return Err(Error::Image { name: first.name.clone(), reason: first.reason.clone() });
        }
        let Array::F32(values) = &mut out.inputs[0] else { unreachable!("reset made an array of numbers") };
        for &row in &used {
            let begin = values.len();
            match self.features.get() {
                Some(features) => values.extend_from_slice(&features.values[row as usize * width..][..width]),
                None => values.resize(begin + width, 0.0),
            }
            if let Some((mean, factor)) = &self.scale {
                for ((x, m), f) in values[begin..].iter_mut().zip(mean).zip(factor) {
                    *x = (*x - m) * f;
                }
            }
        }
        if let [_, beside] = &mut out.inputs[..] {
            self.base.beside(&used, beside)?;
        }
        self.base.targets(&used, &mut out.targets);
        out.rows.extend_from_slice(&used);
        out.len = used.len();
        Ok(())
    }

    fn targets(&self, rows: &[u32], out: &mut Array) {
        self.base.targets(rows, out);
    }

    fn resident_bytes(&self) -> usize {
        self.len() * self.slots[0].bytes()
    }

    fn scratch_bytes(&self) -> usize {
        0
    }
}
