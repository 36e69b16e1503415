//! MobileNetV2, MobileNetV3 and EfficientNet as torchvision, timm and efficientnet-pytorch name their parts.

mod configs;

use deepfit_nn::Activation;

use super::tensors::Shapes;
use super::{Hints, Recognised};
use crate::mbconv::{BlockNames, MbConvConfig, PartNames};

use configs::{efficientnet, mobilenet_v2, mobilenet_v3};

/// An implementation's names. Places are given by `{s}`, the stage, `{i}`, the block in it, or `{n}`, the block.
struct Naming {
    name: &'static str,
    parts: PartNames,
    stem: [&'static str; 2],
    /// Beginning of the blocks' names; the number of the first of them or of the first stage.
    blocks: (&'static str, usize),
    /// Whether blocks are counted within stages.
    staged: bool,
    /// The convolution after the blocks; `#` stands for the number after the last.
    last: [&'static str; 2],
    /// A linear layer before the last one.
    hidden: Option<&'static str>,
    classifier: &'static str,
}

/// The first that fits is taken: those with more parts stand before those with fewer.
const NAMINGS: [Naming; 6] = [
    Naming {
        name: "torchvision",
        parts: PartNames::TorchvisionV2,
        stem: ["features.0.0", "features.0.1"],
        blocks: ("features.", 1),
        staged: false,
        last: ["features.#.0", "features.#.1"],
        hidden: None,
        classifier: "classifier.1",
    },
    Naming {
        name: "torchvision",
        parts: PartNames::Torchvision,
        stem: ["features.0.0", "features.0.1"],
        blocks: ("features.", 1),
        staged: false,
        last: ["features.#.0", "features.#.1"],
        hidden: Some("classifier.0"),
        classifier: "classifier.3",
    },
    Naming {
        name: "torchvision",
        parts: PartNames::Torchvision,
        stem: ["features.0.0", "features.0.1"],
        blocks: ("features.", 1),
        staged: true,
        last: ["features.#.0", "features.#.1"],
        hidden: None,
        classifier: "classifier.1",
    },
    Naming {
        name: "timm",
        parts: PartNames::Timm,
        stem: ["conv_stem", "bn1"],
        blocks: ("blocks.", 0),
        staged: true,
        last: ["blocks.#.0.conv", "blocks.#.0.bn1"],
        hidden: Some("conv_head"),
        classifier: "classifier",
    },
    Naming {
        name: "timm",
        parts: PartNames::Timm,
        stem: ["conv_stem", "bn1"],
        blocks: ("blocks.", 0),
        staged: true,
        last: ["conv_head", "bn2"],
        hidden: None,
        classifier: "classifier",
    },
    Naming {
        name: "efficientnet-pytorch",
        parts: PartNames::EfficientnetPytorch,
        stem: ["_conv_stem", "_bn0"],
        blocks: ("_blocks.", 0),
        staged: false,
        last: ["_conv_head", "_bn1"],
        hidden: None,
        classifier: "_fc",
    },
];

/// A block that was found.
struct Block {
    place: String,
    names: BlockNames,
    stage: Option<usize>,
    config: MbConvConfig,
}

/// A network that was found.
struct Found {
    naming: &'static Naming,
    stem: usize,
    blocks: Vec<Block>,
    /// The convolution after the blocks, and its channels.
    last: ([String; 2], usize),
}

/// The network, if it is one of these.
pub(super) fn recognise(shapes: &Shapes, hints: &Hints) -> Option<Result<Recognised, String>> {
    let found = NAMINGS.iter().find_map(|naming| naming.find(shapes))?;
    let squeezes = found.blocks.iter().any(|block| block.config.squeezed > 0);
    let threes = found.blocks.iter().all(|block| block.config.kernel == 3);
    let named = |part: &str| hints.architecture.as_deref().is_some_and(|name| name.contains(part));
    Some(if found.naming.hidden.is_some() {
        if squeezes { mobilenet_v3(&found, shapes, hints) } else { Err(MINIMAL.to_string()) }
    } else if found.naming.parts == PartNames::TorchvisionV2 || (!squeezes && threes && !named("efficientnet")) {
        mobilenet_v2(&found, shapes, hints)
    } else {
        efficientnet(&found, shapes, hints, squeezes)
    })
}

const MINIMAL: &str =
    "is a MobileNetV3 without squeeze-and-excitations, a variant that is not read; use the standard one";

impl Naming {
    fn find(&'static self, shapes: &Shapes) -> Option<Found> {
        let stem = shapes.axis(&format!("{}.weight", self.stem[0]), 0)?;
        let (beginning, first) = self.blocks;
        let mut blocks = Vec::new();
        let mut place = first;
        loop {
            let start = format!("{beginning}{place}");
            let before = blocks.len();
            if self.staged {
                for i in 0.. {
                    match self.block(shapes, format!("{start}.{i}"), Some(place - first)) {
                        Some(block) => blocks.push(block),
                        None => break,
                    }
                }
            } else {
                blocks.extend(self.block(shapes, start, None));
            }
            if blocks.len() == before {
                break;
            }
            place += 1;
        }
        let last = self.last.map(|name| name.replace('#', &place.to_string()));
        let channels = shapes.axis(&format!("{}.weight", last[0]), 0)?;
        // Where two namings begin in the same way, the end tells.
        let hidden = |name: &str| shapes.has(&format!("{name}.bias"));
        let fits = self.hidden.is_none_or(hidden) && !blocks.is_empty();
        fits.then_some(Found { naming: self, stem, blocks, last: (last, channels) })
    }

    fn block(&self, shapes: &Shapes, place: String, stage: Option<usize>) -> Option<Block> {
        let has = |name: &str| shapes.has(&format!("{place}.{name}.weight"));
        let axis = |name: &str, axis| shapes.axis(&format!("{place}.{name}.weight"), axis);
        let expands = match self.parts {
            PartNames::Timm => has("conv_pwl"),
            PartNames::EfficientnetPytorch => has("_expand_conv"),
            PartNames::TorchvisionV2 => has("conv.3"),
            PartNames::Torchvision => axis("block.0.0", 2) == Some(1),
        };
        let squeezes = self.parts.of(expands, true).squeeze.is_some_and(|[reduce, _]| has(&reduce));
        let names = self.parts.of(expands, squeezes);
        let outputs = |name: &Option<[String; 2]>| name.as_ref().map_or(Some(0), |[first, _]| axis(first, 0));
        let config = MbConvConfig {
            expanded: outputs(&names.expand)?,
            kernel: axis(&names.depthwise[0], 2)?,
            stride: 1,
            squeezed: outputs(&names.squeeze)?,
            channels: axis(&names.project[0], 0)?,
            activation: Activation::Relu6,
        };
        Some(Block { place, names, stage, config })
    }
}

impl Found {
    /// Number of the stage of each block, and of the block in it; a new stage begins where channels change, if names do not
    /// tell.
    fn places(&self) -> Vec<(usize, usize)> {
        let (mut places, mut stage, mut within) = (Vec::new(), 0, 0);
        for (i, block) in self.blocks.iter().enumerate() {
            let begins = i > 0
                && match block.stage {
                    Some(number) => number != stage,
                    None => block.config.channels != self.blocks[i - 1].config.channels,
                };
            if begins {
                (stage, within) = (stage + 1, 0);
            }
            places.push((stage, within));
            within += 1;
        }
        places
    }

    /// Beginnings of names here and in the network, given the names of the latter.
    fn pairs(&self, stem: [&str; 2], place: impl Fn(usize) -> String, parts: PartNames, last: [String; 2]) -> Pairs {
        let mut pairs = Pairs::default();
        pairs.both(&self.naming.stem.map(str::to_string), &stem.map(str::to_string));
        for (n, block) in self.blocks.iter().enumerate() {
            let there = place(n);
            let names = parts.of(block.names.expand.is_some(), block.names.squeeze.is_some());
            let all = [
                (block.names.expand.as_ref(), names.expand.as_ref()),
                (Some(&block.names.depthwise), Some(&names.depthwise)),
                (block.names.squeeze.as_ref(), names.squeeze.as_ref()),
                (Some(&block.names.project), Some(&names.project)),
            ];
            for (here, known) in all.into_iter().filter_map(|(here, known)| here.zip(known)) {
                let under = |place: &str, names: &[String; 2]| [0, 1].map(|i| format!("{place}.{}", names[i]));
                pairs.both(&under(&block.place, here), &under(&there, known));
            }
        }
        pairs.both(&self.last.0, &last);
        pairs
    }
}

/// Beginnings of names in a file and in the network.
#[derive(Default)]
struct Pairs(Vec<(String, String)>);

impl Pairs {
    fn both(&mut self, here: &[String; 2], there: &[String; 2]) {
        self.0.extend(here.iter().cloned().zip(there.iter().cloned()));
    }

    fn one(mut self, here: &str, there: &str) -> Self {
        self.0.push((here.to_string(), there.to_string()));
        self
    }

    fn rename(&self, name: &str) -> Option<String> {
        let (beginning, leaf) = name.rsplit_once('.')?;
        let (_, there) = self.0.iter().find(|(here, _)| here == beginning)?;
        Some(format!("{there}.{leaf}"))
    }
}
