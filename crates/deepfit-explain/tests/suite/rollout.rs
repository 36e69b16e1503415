//! Attention roll-out is what the weights of attention that transformers gives make of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs, process};

use deepfit_data::{Array, Preprocessor, Task, TextPreprocessor, Tokenizer};
use deepfit_explain::{Rows, Subject, rollout};
use deepfit_train::Owned;
use deepfit_zoo::{
    ModelConfig, PooledTextConfig, Pooling, PublishedText, RecurrentCell, RecurrentTextConfig, SentencePairsConfig,
    TextHead,
};
use serde_json::Value;

use crate::drawn;

fn golden(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deepfit-zoo/tests/goldens/texts");
    serde_json::from_str(&fs::read_to_string(path.join(format!("{name}.json"))).unwrap()).unwrap()
}

/// The network of a golden file, with drawn weights.
fn published(name: &str, content: &Value) -> PublishedText {
    let folder: PathBuf = env::temp_dir().join(format!("rollout-{name}-{}", process::id()));
    fs::create_dir_all(&folder).unwrap();
    let tensors = serde_json::from_value(content["tensors"].clone()).unwrap();
    drawn::write(&folder.join("model.safetensors"), &tensors);
    fs::write(folder.join("config.json"), content["config"].to_string()).unwrap();
    let published = PublishedText::load(&folder).unwrap();
    fs::remove_dir_all(&folder).unwrap();
    published
}

/// A network with the weights that it has from another, and drawn ones where it has none.
fn subject(config: &ModelConfig, weights: &BTreeMap<String, Owned>) -> Subject {
    let json = serde_json::json!({
        "version": "1.0", "added_tokens": [], "normalizer": null, "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": null, "decoder": null, "model": {"type": "WordLevel", "vocab": {"0": 0}, "unk_token": "0"},
    });
    let tokenizer = Tokenizer::from_json(json.to_string().as_bytes(), Path::new("tokenizer.json")).unwrap();
    let task = Task::Classification { classes: (0..3).map(|class| class.to_string()).collect() };
    let preprocessor = Preprocessor::Text(Box::new(TextPreprocessor::published(tokenizer.into(), task, 15)));
    let scope = deepfit_nn::Scope::root();
    deepfit_zoo::build(config, &scope).unwrap();
    let of = |declared: deepfit_nn::Declaration| {
        let drawn = || Owned { shape: declared.shape.clone(), values: drawn::draw(&declared.name, &declared.shape) };
        let tensor = weights.get(&declared.name).map_or_else(drawn, Owned::clone);
        (declared.name, tensor)
    };
    let weights = scope.declarations().into_iter().map(of).collect();
    Subject::with_weights(config, preprocessor, &weights, 2).unwrap()
}

fn weights(published: &PublishedText) -> BTreeMap<String, Owned> {
    let owned = |array: &deepfit_zoo::Array| Owned { shape: array.shape.clone(), values: array.values.clone() };
    published.weights.iter().map(|(name, array)| (name.clone(), owned(array))).collect()
}

fn texts(content: &Value) -> Vec<Vec<i32>> {
    serde_json::from_value(content["texts"].clone()).unwrap()
}

/// A text, perhaps with tokens behind its end.
fn row(text: &[i32], behind: usize) -> Rows {
    let tokens: Vec<i32> = text.iter().copied().chain(std::iter::repeat_n(5, behind)).collect();
    let lengths = vec![text.len() as i32];
    Rows { len: 1, sequence: tokens.len(), inputs: vec![Array::I32(tokens), Array::I32(lengths)] }
}

#[track_caller]
fn near(what: &str, found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() <= 1e-5, "{what}: {found:?}\n{expected:?}");
    }
}

#[test]
fn what_the_last_layer_reads_has_come_from_tokens_as_by_the_weights_of_transformers() {
    // Encoders whose first token is read, or the mean of all, with windows among them; decoders whose last is.
    let all = [
        "bert-classes",
        "distilbert-classes",
        "roberta-classes",
        "modernbert-classes",
        "modernbert-biases",
        "gpt2",
        "llama",
        "mistral",
    ];
    for name in all {
        let content = golden(name);
        let published = published(name, &content);
        let mut subject = subject(&published.config, &weights(&published));
        let expected: Vec<Vec<f64>> = serde_json::from_value(content["rollout"].clone()).unwrap();
        for (text, expected) in texts(&content).iter().zip(&expected) {
            // RoBERTa has no positions for more than its longest text.
            for behind in if name == "roberta-classes" { [0, 11 - text.len()] } else { [0, 3] } {
                let found = rollout(&mut subject, &row(text, behind)).unwrap();
                near(name, &found[0][..text.len()], expected);
                assert!(found[0].iter().all(|&share| share >= 0.0), "{name}: {found:?}");
                assert!((found[0].iter().sum::<f64>() - 1.0).abs() < 1e-6, "{name}: {found:?}");
                assert!(found[0][text.len()..].iter().all(|&share| share == 0.0), "{name}: {found:?}");
                assert!(found[1].is_empty(), "lengths have no share");
            }
        }
    }
}

#[test]
fn of_several_vectors_each_is_read_as_much() {
    let content = golden("bert-classes");
    let (published, texts) = (published("pairs", &content), texts(&content));
    let weights = weights(&published);
    let backbone = Box::new(published.config.clone());
    // The mean of all tokens, of each text by itself.
    let pooled = PooledTextConfig {
        backbone: backbone.clone(),
        pooling: Pooling::Mean,
        normalise: true,
        pairs: false,
        terms: 0,
        dropout: 0.0,
        outputs: 3,
    };
    let mut alone = subject(&ModelConfig::PooledText(pooled), &weights);
    let [first, second] = [&texts[0], &texts[1]].map(|text| rollout(&mut alone, &row(text, 0)).unwrap().swap_remove(0));
    // Side by side, where they see nothing of each other, half of what is read is of each.
    let pairs = ModelConfig::SentencePairs(SentencePairsConfig { backbone, pooling: Pooling::Mean });
    let mut pairs = subject(&pairs, &weights);
    let numbers = |numbers: Vec<i32>| Array::I32(numbers);
    let (begin, length) = (texts[0].len() as i32, (texts[0].len() + texts[1].len()) as i32);
    let both = Rows {
        len: 1,
        sequence: length as usize,
        inputs: vec![
            numbers([&texts[0][..], &texts[1]].concat()),
            numbers((0..begin).chain(0..length - begin).collect()),
            numbers(vec![length]),
            numbers(vec![begin]),
        ],
    };
    let found = rollout(&mut pairs, &both).unwrap();
    let halves: Vec<f64> = first.iter().chain(&second).map(|share| share / 2.0).collect();
    near("pairs", &found[0], &halves);
}

#[test]
fn a_network_without_attention_is_refused() {
    let config = ModelConfig::RecurrentText(RecurrentTextConfig {
        cell: RecurrentCell::Lstm,
        vocab_size: 13,
        embedding_size: 6,
        hidden_size: 8,
        num_layers: 1,
        bidirectional: false,
        dropout: 0.0,
        head: TextHead::Classes(3),
    });
    let mut subject = subject(&config, &BTreeMap::new());
    let told = rollout(&mut subject, &row(&[3, 4], 0)).unwrap_err().to_string();
    assert!(told.contains("weights of attention") && told.contains("integrated-gradients, occlusion"), "{told}");
}
