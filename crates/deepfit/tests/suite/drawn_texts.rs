//! Small published networks for texts: weights that are drawn, and words for tokens.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::drawn;
use crate::program::Place;

/// The token of all words that are not known.
const UNKNOWN: &str = "unknown";

/// Writes a network as transformers publishes it, of the name and shapes of a golden file, into a folder of that name. Its
/// tokens are words, told apart by white space.
pub fn publish<'a>(place: &Place, golden: &str, words: impl Iterator<Item = &'a str>) {
    publish_with(place, golden, &[], words, json!({"pre_tokenizer": {"type": "WhitespaceSplit"}}));
}

/// As [`publish`], with tokens of a meaning of their own, numbered from 1, and other parts of the tokenizer.
pub fn publish_with<'a>(
    place: &Place,
    golden: &str,
    special: &[&'a str],
    words: impl Iterator<Item = &'a str>,
    parts: Value,
) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deepfit-zoo/tests/goldens/texts");
    let content = fs::read_to_string(path.join(format!("{golden}.json"))).unwrap();
    let content: Value = serde_json::from_str(&content).unwrap();
    let words: BTreeSet<&str> = words.collect();
    let known = std::iter::once(UNKNOWN).chain(special.iter().copied()).chain(words).zip(0_u32..);
    let vocabulary: Map<String, Value> = known.map(|(word, i)| (word.to_string(), i.into())).collect();
    let mut tokenizer = json!({
        "version": "1.0", "added_tokens": [], "normalizer": null, "pre_tokenizer": null, "post_processor": null,
        "decoder": null,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": UNKNOWN},
    });
    parts.as_object().unwrap().iter().for_each(|(name, part)| tokenizer[name] = part.clone());
    place.write(&format!("{golden}/config.json"), content["config"].to_string());
    place.write(&format!("{golden}/tokenizer.json"), tokenizer.to_string());
    let tensors = serde_json::from_value(content["tensors"].clone()).unwrap();
    drawn::write(&place.path(&format!("{golden}/model.safetensors")), &tensors);
}
