//! The files of tokenizers. Older ones are put in the form of the newer: `tokenizer.json`.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::tokenizer::settings;
use crate::error::{Error, Result};

/// The tokenizer in a folder: its file, the bytes of a `tokenizer.json`, and what is worth knowing about it.
pub(super) fn read(folder: &Path) -> Result<(PathBuf, Vec<u8>, Vec<String>)> {
    let file = |name: &str| folder.join(name);
    let bytes = |path: &Path| std::fs::read(path).map_err(|source| Error::io(path, source));
    let newer = file("tokenizer.json");
    if newer.is_file() {
        let json = bytes(&newer)?;
        return Ok((newer, json, Vec::new()));
    }
    let config = settings(&file("tokenizer_config.json"))?;
    let note = |name: &str| vec![format!("the tokenizer was made of `{name}`, since there is no `tokenizer.json`")];
    let words = file("vocab.txt");
    if words.is_file() {
        let text = text_of(&words, bytes(&words)?)?;
        let made = of_words(&text, &config).map_err(|problem| Error::Tokenizer { path: words.clone(), problem })?;
        return Ok((words, made.to_string().into_bytes(), note("vocab.txt")));
    }
    let (vocabulary, merges) = (file("vocab.json"), file("merges.txt"));
    if vocabulary.is_file() && merges.is_file() {
        let model = settings(&file("config.json"))?;
        let named = config["tokenizer_class"].as_str().or(model["model_type"].as_str()).unwrap_or_default();
        let kind = if named.to_lowercase().starts_with("roberta") { Kind::Roberta } else { Kind::Gpt2 };
        let merges = text_of(&merges, bytes(&merges)?)?;
        let made = of_merges(settings(&vocabulary)?, &merges, &config, kind)
            .map_err(|problem| Error::Tokenizer { path: vocabulary.clone(), problem })?;
        return Ok((vocabulary, made.to_string().into_bytes(), note("vocab.json")));
    }
    let problem = if ["tokenizer.model", "spiece.model", "sentencepiece.bpe.model"]
        .iter()
        .any(|name| file(name).is_file())
    {
        "holds a tokenizer in SentencePiece's format alone, which is not read; load it with transformers' AutoTokenizer \
         and `save_pretrained`, which writes a `tokenizer.json`"
    } else {
        "holds no tokenizer: put the model's `tokenizer.json` there, or its `vocab.txt`, or `vocab.json` with `merges.txt`"
    };
    Err(Error::Tokenizer { path: folder.to_path_buf(), problem: problem.to_string() })
}

fn text_of(path: &Path, bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes)
        .map_err(|_| Error::Tokenizer { path: path.to_path_buf(), problem: "is damaged: it is not UTF-8".to_string() })
}

/// The name of a special token in `tokenizer_config.json`, a word or an object with its content.
fn special<'c>(config: &'c Value, key: &str, usual: &'c str) -> &'c str {
    config[key].as_str().or(config[key]["content"].as_str()).unwrap_or(usual)
}

/// Entries of the list of tokens that are found before texts are cut into words: the special ones that a vocabulary has,
/// each once. Only of that for hidden words `tokenizer_config.json` may say that it takes the spaces before it.
fn added(vocabulary: &Map<String, Value>, tokens: &[&str], config: &Value) -> Vec<Value> {
    let mask = &config["mask_token"];
    let mut found: Vec<Value> = Vec::new();
    for (i, token) in tokens.iter().enumerate() {
        let Some(id) = vocabulary.get(*token).filter(|_| !tokens[..i].contains(token)) else { continue };
        let lstrip = mask["content"] == **token && mask["lstrip"] == true;
        found.push(json!({
            "id": id, "content": token, "single_word": false, "lstrip": lstrip, "rstrip": false, "normalized": false,
            "special": true,
        }));
    }
    found
}

/// BERT's tokenizer: words are cut into the longest pieces that a list of them has.
fn of_words(text: &str, config: &Value) -> Result<Value, String> {
    let mut vocabulary = Map::new();
    for (id, word) in text.lines().enumerate() {
        vocabulary.insert(word.trim_end().to_string(), id.into());
    }
    let token = |key, usual| special(config, key, usual);
    let (unknown, cls, sep) = (token("unk_token", "[UNK]"), token("cls_token", "[CLS]"), token("sep_token", "[SEP]"));
    let id = |token: &str| vocabulary.get(token).cloned().ok_or_else(|| format!("is damaged: it has no `{token}`"));
    let (cls_id, sep_id, _) = (id(cls)?, id(sep)?, id(unknown)?);
    let tokens = [unknown, sep, token("pad_token", "[PAD]"), cls, token("mask_token", "[MASK]")];
    let piece = |token: &str| json!({"SpecialToken": {"id": token, "type_id": 0}});
    let mut named = Map::new();
    for (token, id) in [(cls, &cls_id), (sep, &sep_id)] {
        named.insert(token.to_string(), json!({"id": token, "ids": [id], "tokens": [token]}));
    }
    let flag = |key: &str, usual: bool| config[key].as_bool().unwrap_or(usual);
    Ok(json!({
        "version": "1.0",
        "added_tokens": added(&vocabulary, &tokens, config),
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": true,
            "handle_chinese_chars": flag("tokenize_chinese_chars", true),
            "strip_accents": config["strip_accents"],
            "lowercase": flag("do_lower_case", true),
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [piece(cls), {"Sequence": {"id": "A", "type_id": 0}}, piece(sep)],
            "pair": [
                piece(cls), {"Sequence": {"id": "A", "type_id": 0}}, piece(sep),
                {"Sequence": {"id": "B", "type_id": 1}}, {"SpecialToken": {"id": sep, "type_id": 1}},
            ],
            "special_tokens": named,
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {
            "type": "WordPiece",
            "unk_token": unknown,
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": vocabulary,
        },
    }))
}

/// What a tokenizer of bytes and merges puts around texts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Gpt2,
    Roberta,
}

/// The tokenizer of GPT-2 and RoBERTa: bytes are merged in the order of a list.
fn of_merges(vocabulary: Value, merges: &str, config: &Value, kind: Kind) -> Result<Value, String> {
    let Value::Object(vocabulary) = vocabulary else { return Err("is damaged: it must be an object".to_string()) };
    // A word may begin with `#`: only the first line is a comment.
    let lines = merges.lines().enumerate().filter(|(i, line)| !(*i == 0 && line.starts_with("#version")));
    let merges: Vec<&str> = lines.map(|(_, line)| line).filter(|line| !line.is_empty()).collect();
    let token = |key, usual| special(config, key, usual);
    let space = config["add_prefix_space"].as_bool().unwrap_or(false);
    let (tokens, post) = match kind {
        Kind::Gpt2 => {
            let end = "<|endoftext|>";
            let tokens = vec![token("unk_token", end), token("bos_token", end), token("eos_token", end)];
            (tokens, Value::Null)
        }
        Kind::Roberta => {
            let (cls, sep) = (token("cls_token", "<s>"), token("sep_token", "</s>"));
            let id = |token: &str| vocabulary.get(token).ok_or_else(|| format!("is damaged: it has no `{token}`"));
            let post = json!({
                "type": "RobertaProcessing", "sep": [sep, id(sep)?], "cls": [cls, id(cls)?],
                "trim_offsets": true, "add_prefix_space": space,
            });
            (
                vec![cls, token("pad_token", "<pad>"), sep, token("unk_token", "<unk>"), token("mask_token", "<mask>")],
                post,
            )
        }
    };
    Ok(json!({
        "version": "1.0",
        "added_tokens": added(&vocabulary, &tokens, config),
        "normalizer": null,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": space, "trim_offsets": true, "use_regex": true},
        "post_processor": post,
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "",
            "end_of_word_suffix": "", "fuse_unk": false, "byte_fallback": false, "vocab": vocabulary, "merges": merges,
        },
    }))
}
