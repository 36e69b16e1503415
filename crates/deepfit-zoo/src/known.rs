//! Published models that are known to be read, for those who look for one.

/// A published model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownModel {
    /// Its name at Hugging Face's hub, or of one that is part of the program.
    pub name: &'static str,
    /// The architecture.
    pub architecture: &'static str,
    /// What it was trained for.
    pub task: &'static str,
    /// Bytes of its weights.
    pub bytes: u64,
    /// Licence of the weights.
    pub licence: &'static str,
    /// Year in which it was trained or published, where that is known.
    pub trained: Option<u16>,
    /// Where it is from.
    pub source: &'static str,
}

const CLASSES: &str = "1000 classes of ImageNet";
const TIMM: &str = "timm, at huggingface.co";

const fn timm(name: &'static str, architecture: &'static str, bytes: u64, trained: Option<u16>) -> KnownModel {
    KnownModel { name, architecture, task: CLASSES, bytes, licence: "Apache-2.0", trained, source: TIMM }
}

/// Smaller ones first. Sizes and licences of images' are those that timm 1.0.31 tells.
pub const KNOWN: [KnownModel; 14] = [
    KnownModel {
        name: "minilm-static",
        architecture: "table of words",
        task: "embeddings of texts",
        bytes: 8_121_640,
        licence: "Apache-2.0",
        trained: Some(2021),
        source: "part of deepfit; distilled from all-MiniLM-L6-v2",
    },
    KnownModel {
        name: "efficientnet-lite0",
        architecture: "EfficientNet-Lite0",
        task: CLASSES,
        bytes: 9_493_912,
        licence: "Apache-2.0",
        trained: Some(2020),
        source: "part of deepfit; Google, converted by ML Illustrated",
    },
    timm("timm/mobilenetv3_small_100.lamb_in1k", "MobileNetV3-Small", 10_220_008, None),
    timm("timm/mobilenetv2_100.ra_in1k", "MobileNetV2", 14_156_144, None),
    timm("timm/efficientnet_b0.ra_in1k", "EfficientNet-B0", 21_322_452, None),
    timm("timm/mobilenetv3_large_100.ra_in1k", "MobileNetV3-Large", 22_029_912, None),
    timm("timm/deit_tiny_patch16_224.fb_in1k", "DeiT-Tiny", 22_869_664, Some(2020)),
    timm("timm/resnet18.a1_in1k", "ResNet-18", 46_796_528, Some(2021)),
    timm("timm/tf_efficientnet_lite4.in1k", "EfficientNet-Lite4", 52_476_108, Some(2020)),
    timm("timm/vit_small_patch16_224.augreg_in21k_ft_in1k", "ViT-Small", 88_202_656, Some(2021)),
    KnownModel {
        name: "sentence-transformers/all-MiniLM-L6-v2",
        architecture: "MiniLM-L6 (BERT)",
        task: "embeddings of sentences",
        bytes: 90_868_376,
        licence: "Apache-2.0",
        trained: Some(2021),
        source: "sentence-transformers, at huggingface.co",
    },
    timm("timm/resnet50.a1_in1k", "ResNet-50", 102_440_820, Some(2021)),
    timm("timm/convnext_tiny.in12k_ft_in1k", "ConvNeXt-Tiny", 114_356_512, None),
    timm("timm/vit_base_patch16_224.augreg2_in21k_ft_in1k", "ViT-Base", 346_270_624, None),
];
