//! Settings that change nothing in a run, which are said instead of refused.

use deepfit_data::{Augment, Dataset, PairLabel, Part, Task};

use crate::settings::{Settings, TEST_SHARE, VALIDATION_SHARE};

/// Takes away the settings that change nothing in this run, and says of each why. They are no errors, since a file of
/// settings is used for more than one run.
pub(super) fn without_effect(settings: &mut Settings, data: &Dataset, transfers: bool) -> Vec<String> {
    let (images, texts) = (data.is_images(), data.is_texts());
    let classification = data.task().is_classification() || matches!(data.task(), Task::MultiLabel { .. });
    let mut notes = Vec::new();
    let mut drop = |key: &str, given: bool, why: String| {
        if given {
            notes.push(format!("`{key}` has no effect: {why}"));
        }
        given
    };
    let model = settings.model.clone();
    let tables = super::network::for_tables(&model);
    let why = format!("it is for tabm and mlp, and the model is {model}");
    if drop("hidden", settings.hidden.is_some() && !tables, why) {
        settings.hidden = None;
    }
    let why = format!("it is for tabm, and the model is {model}");
    if drop("members", settings.members.is_some() && model != "tabm", why) {
        settings.members = None;
    }
    let resnet = model.starts_with("resnet");
    let dropped = settings.dropout.is_some_and(|share| share > 0.0);
    if drop("dropout", dropped && resnet, format!("it is for mlp and cnn, and the model is {model}")) {
        settings.dropout = None;
    }
    let scratch = || "it is for a published model, and this run begins from scratch".to_string();
    if drop("unfreeze", settings.unfreeze.is_some() && !transfers, scratch()) {
        settings.unfreeze = None;
    }
    if drop("lora", settings.lora.is_some() && !transfers, scratch()) {
        settings.lora = None;
    }
    let is = if texts { "texts" } else { "a table" };
    let of_images = |key: &str| format!("{key} for images, and the data is {is}");
    let is = if images { "images" } else { "a table of features" };
    let of_texts = |key: &str| format!("{key} for texts, and the data is {is}");
    if drop("max_tokens", settings.max_tokens.is_some() && !texts, of_texts("they are")) {
        settings.max_tokens = None;
    }
    let known = "a published network has a vocabulary of its own".to_string();
    let why = if texts { known } else { of_texts("it is") };
    if drop("tokens", settings.tokens.is_some() && (!texts || transfers), why.clone()) {
        settings.tokens = None;
    }
    if drop("vocabulary", settings.vocabulary.is_some() && (!texts || transfers), why) {
        settings.vocabulary = None;
    }
    if drop("augment", settings.augment.is_some() && !images, of_images("it is")) {
        settings.augment = None;
    }
    if drop("image_size", settings.image_size.is_some() && !images, of_images("it is")) {
        settings.image_size = None;
    }
    if drop("channels", settings.channels.is_some() && !images, of_images("they are")) {
        settings.channels = None;
    }
    let is = if images { "images" } else { "texts" };
    let of_tables = format!("it is for columns of numbers, and the data is {is}");
    if drop("scaling", settings.scaling.is_some() && (images || texts), of_tables) {
        settings.scaling = None;
    }
    let labels = matches!(data.task(), Task::Labels { .. });
    let regression = || "it is for classification, and this is a regression".to_string();
    if drop("label_smoothing", settings.label_smoothing.is_some() && !classification && !labels, regression()) {
        settings.label_smoothing = None;
    }
    let why = if labels { "all words count alike".to_string() } else { regression() };
    if drop("class_weights", settings.class_weights && !classification, why) {
        settings.class_weights = false;
    }
    let probabilities = matches!(data.task(), Task::Classification { .. } | Task::MultiLabel { .. });
    let why = "it is for probabilities of classes or labels, and this is another task".to_string();
    if drop("calibration", settings.calibration != "auto" && !probabilities, why) {
        settings.calibration = "auto".to_string();
    }
    let covers = matches!(data.task(), Task::Classification { .. } | Task::Regression);
    let asked = settings.coverage != Settings::default().coverage && settings.coverage > 0.0;
    let why = "it is for sets of classes and intervals of a number, and this is another task".to_string();
    if drop("coverage", asked && !covers, why) {
        settings.coverage = Settings::default().coverage;
    }
    let adapted =
        settings.sets != Settings::default().sets && (!data.task().is_classification() || settings.coverage == 0.0);
    let why = "it is for sets of classes, and there are none".to_string();
    if drop("sets", adapted, why) {
        settings.sets = Settings::default().sets;
    }
    let files = !data.is_table() && settings.labels.is_none() && settings.data.is_dir();
    if drop("header", settings.header.is_some() && files, "it is for tables, and the data is a folder".to_string()) {
        settings.header = None;
    }
    let entropy = "it is for regression; a classification is trained by cross-entropy".to_string();
    if drop("loss", settings.loss.is_some() && (classification || labels), entropy) {
        settings.loss = None;
    }
    let partners = *data.task() == Task::Similarity { label: PairLabel::Partners };
    let negatives = "pairs without scores are trained by in-batch negatives".to_string();
    if drop("loss", settings.loss.is_some() && partners, negatives) {
        settings.loss = None;
    }
    let is_similarity = matches!(data.task(), Task::Similarity { .. });
    let before = "the published weights are the result where training does not help, and have no average".to_string();
    if drop("average", settings.average.is_some_and(|decay| decay > 0.0) && is_similarity, before) {
        settings.average = None;
    }
    let optimizer = settings.optimizer.clone();
    let of = |which: &str| format!("it is for {which}, and the optimizer is {optimizer}");
    let without = !["sgd", "rmsprop"].contains(&&optimizer[..]);
    if drop("momentum", settings.momentum.is_some() && without, of("sgd and rmsprop")) {
        settings.momentum = None;
    }
    if drop("find_lr", settings.find_lr && settings.lr.is_some(), "`lr` is given".to_string()) {
        settings.find_lr = false;
    }
    let own = "a published network has rates of its own; give `lr` to change them".to_string();
    if drop("find_lr", settings.find_lr && transfers, own) {
        settings.find_lr = false;
    }
    if drop("nesterov", settings.nesterov && optimizer != "sgd", of("sgd")) {
        settings.nesterov = false;
    }
    let still = settings.nesterov && settings.momentum == Some(0.0);
    if drop("nesterov", still, "sgd looks ahead along its momentum, which is 0".to_string()) {
        settings.nesterov = false;
    }
    let named = |part| settings.split.is_some() && data.has_part(part);
    let (says_validation, says_test) = (named(Part::Validation), named(Part::Test));
    let by = |column: bool, setting: &str| format!("given by `{}`", if column { "split" } else { setting });
    let own = (settings.validation.is_some() || says_validation) && settings.validation_share != VALIDATION_SHARE;
    if drop("validation_share", own, format!("the validation data is {}", by(says_validation, "validation"))) {
        settings.validation_share = VALIDATION_SHARE;
    }
    let own = (settings.test.is_some() || says_test) && settings.test_share != TEST_SHARE;
    if drop("test_share", own, format!("the test data is {}", by(says_test, "test"))) {
        settings.test_share = TEST_SHARE;
    }
    notes
}

/// Switches off the changes of images that others rule out; those that were asked for are noted.
pub(super) fn augment_in_effect(
    notes: &mut Vec<String>,
    settings: &Settings,
    augment: Augment,
    data: &Dataset,
) -> Augment {
    let none = Augment::none();
    let asked = |key: &str| settings.augment.as_ref().is_some_and(|given| given.contains_key(key));
    let mut drop = |key: &str, idle: bool, why: &str| {
        if idle && asked(key) {
            notes.push(format!("`augment.{key}` has no effect: {why}"));
        }
        idle
    };
    let mut used = augment.clone();
    let cropped = "`augment.crop` is on, which moves and resizes by itself; augment.crop=0 switches that off";
    if drop("shift", augment.crop > 0.0 && augment.shift > 0.0, cropped) {
        used.shift = none.shift;
    }
    if drop("scale", augment.crop > 0.0 && augment.scale > 0.0, cropped) {
        used.scale = none.scale;
    }
    let grey = data.image_shape().is_some_and(|[.., channels]| channels == 1);
    if drop("saturation", grey && augment.saturation > 0.0, "the images are grey") {
        used.saturation = none.saturation;
    }
    let moved = used.shift > 0.0 || used.scale > 0.0 || used.rotate > 0.0;
    if drop("border", augment.border != none.border && !moved, "nothing moves, turns or resizes the images") {
        used.border = none.border;
    }
    let mixed = augment.mixup > 0.0 || augment.cutmix > 0.0;
    let part = augment.mix_probability != none.mix_probability;
    if drop("mix_probability", part && !mixed, "neither `augment.mixup` nor `augment.cutmix` is on") {
        used.mix_probability = none.mix_probability;
    }
    used
}
