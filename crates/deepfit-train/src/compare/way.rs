//! The ways that are compared: cheap ones first.

use deepfit_classical::Learner;

use super::contest::Contest;
use crate::classical::Features;
use crate::error::Result;
use crate::published::HAS_BUNDLED;

/// A way to learn.
pub(super) struct Way {
    /// By which it is known.
    pub(super) name: String,
    /// The same in words.
    pub(super) title: String,
    pub(super) kind: Kind,
    /// How much there is to understand, to keep and to run: of ways that are as good, the least is recommended.
    pub(super) effort: u32,
}

/// What a way is made of.
pub(super) enum Kind {
    Classical(Learner, Features),
    Network(Network),
}

/// How a network is trained.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Network {
    /// From nothing.
    Scratch,
    /// A last layer on a published network.
    LastLayer(String),
    /// A published network as a whole.
    FineTuning(String),
}

impl Way {
    fn classical(contest: &Contest, learner: Learner, features: Features) -> Way {
        let (name, title, effort) = match (learner, contest.is_classification()) {
            (Learner::Constant, _) if contest.is_of_labels() => ("label-shares", "share of each label", 0),
            (Learner::Linear(_), _) if contest.is_of_labels() => {
                ("logistic-regression", "logistic regression of each label", 10)
            }
            (Learner::Trees(_), _) if contest.is_of_labels() => ("boosted-trees", "boosted trees of each label", 30),
            (Learner::Constant, true) => ("majority-class", "majority class", 0),
            (Learner::Constant, false) => ("mean", "mean", 0),
            (Learner::Linear(_), true) => ("logistic-regression", "logistic regression", 10),
            (Learner::Linear(_), false) => ("ridge-regression", "ridge regression", 10),
            (Learner::Neighbours(_), _) => ("nearest-neighbours", "nearest neighbours", 20),
            (Learner::Trees(_), _) => ("boosted-trees", "boosted trees", 30),
        };
        let kind = Kind::Classical(learner, features);
        // A network that makes features must be kept and run, too.
        let (suffix, words, more) = match features {
            Features::Frozen => ("-on-features", " on features", 30),
            Features::Terms | Features::FrequentTerms => ("", " on words", 0),
            Features::Histograms => ("", " on histograms", 0),
            Features::Nothing | Features::OneHot | Features::Columns => ("", "", 0),
        };
        Way { name: format!("{name}{suffix}"), title: format!("{title}{words}"), kind, effort: effort + more }
    }

    fn network(name: &str, title: &str, network: Network, effort: u32) -> Way {
        Way { name: name.to_string(), title: title.to_string(), kind: Kind::Network(network), effort }
    }

    /// Whether it learns from what a published network knows.
    pub(super) fn begins_with_a_network(&self) -> bool {
        match &self.kind {
            Kind::Classical(_, features) => *features == Features::Frozen,
            Kind::Network(network) => *network != Network::Scratch,
        }
    }

    /// All that suit the data.
    pub(super) fn all(contest: &Contest) -> Result<Vec<Way>> {
        let (linear, neighbours) = (Learner::Linear(Default::default()), Learner::Neighbours(Default::default()));
        let trees = Learner::Trees(Default::default());
        let natural = match (contest.data.is_images(), contest.data.is_texts()) {
            (true, _) => Some((Features::Histograms, Features::Histograms)),
            // Without the table of words that is part of the program, words are not weighted.
            (_, true) => HAS_BUNDLED.then_some((Features::Terms, Features::FrequentTerms)),
            _ => Some((Features::OneHot, Features::Columns)),
        };
        // Each label would need a neighbourhood of its own: all rows, once more for each.
        let neighbours = (!contest.is_of_labels()).then_some(neighbours);
        let mut ways = vec![Way::classical(contest, Learner::Constant, Features::Nothing)];
        if let Some((wide, columns)) = natural {
            ways.push(Way::classical(contest, linear, wide));
            ways.extend(neighbours.map(|neighbours| Way::classical(contest, neighbours, wide)));
            ways.push(Way::classical(contest, trees, columns));
        }
        let scratch = Way::network("network", "network from scratch", Network::Scratch, 80);
        let Some(published) = &contest.published else {
            ways.push(scratch);
            return Ok(ways);
        };
        let on_features = [Some(linear), neighbours, Some(trees)].into_iter().flatten();
        ways.extend(on_features.map(|learner| Way::classical(contest, learner, Features::Frozen)));
        let from = published.name().to_string();
        ways.push(Way::network(
            "last-layer",
            "last layer of a published network",
            Network::LastLayer(from.clone()),
            42,
        ));
        ways.push(scratch);
        if published.blocks()? > 0 {
            ways.push(Way::network("fine-tuning", "fine-tuning", Network::FineTuning(from), 90));
        }
        Ok(ways)
    }
}
