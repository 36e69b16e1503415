//! Tokens of difficult lines, against those of transformers by tokenizers in their older files.

use std::fs;
use std::path::{Path, PathBuf};

use deepfit_data::{Passage, Tokenizer};
use serde_json::Value;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tokenizers").join(name)
}

#[test]
fn tokens_are_those_of_transformers() {
    for name in ["bert", "roberta", "gpt2"] {
        let tokenizer = Tokenizer::open(&folder(name)).unwrap();
        let expected: Vec<Value> =
            serde_json::from_str(&fs::read_to_string(folder(name).join("expected.json")).unwrap()).unwrap();
        let texts: Vec<&str> = expected.iter().map(|row| row["text"].as_str().unwrap()).collect();
        let found = tokenizer.encode_all(&texts, usize::MAX, 3);
        assert!(texts.len() > 50 && found.len() == texts.len());
        for (row, found) in expected.iter().zip(found) {
            let ids: Vec<u32> = serde_json::from_value(row["ids"].clone()).unwrap();
            assert_eq!(found.unwrap().ids, ids, "{name}: {}", row["text"]);
        }
    }
}

#[test]
fn tokens_of_two_texts_are_those_of_transformers() {
    for name in ["bert", "roberta", "gpt2"] {
        let tokenizer = Tokenizer::open(&folder(name)).unwrap();
        let expected: Vec<Value> =
            serde_json::from_str(&fs::read_to_string(folder(name).join("pairs.json")).unwrap()).unwrap();
        assert_eq!(expected.len(), 30);
        for row in &expected {
            let text = |i: usize| row["texts"][i].as_str().unwrap().to_string();
            let passage = Passage { text: text(0), second: Some(text(1)) };
            let found = tokenizer.encode_passage(&passage, row["most"].as_u64().unwrap() as usize).unwrap();
            let ids: Vec<u32> = serde_json::from_value(row["ids"].clone()).unwrap();
            assert_eq!(found.ids, ids, "{name}: {row}");
            if let Some(second) = row["second"].as_u64() {
                assert_eq!(found.second, Some(second as usize), "{name}: {row}");
            }
        }
        let whole = tokenizer.encode("the sea", 9).unwrap();
        assert_eq!(tokenizer.encode_passage(&Passage::from("the sea".to_string()), 9).unwrap(), whole);
        for most in 0..5 {
            let passage = Passage { text: "a b c".to_string(), second: Some("d e f".to_string()) };
            assert!(tokenizer.encode_passage(&passage, most).unwrap().ids.len() <= most.max(4));
        }
    }
}

#[test]
fn each_token_tells_the_bytes_that_it_stands_for() {
    for name in ["bert", "gpt2"] {
        let tokenizer = Tokenizer::open(&folder(name)).unwrap();
        let pair = Passage { text: "the sea".to_string(), second: Some("a café of light".to_string()) };
        for passage in [Passage::from("the café by the sea, at 漢".to_string()), pair] {
            for most in [4, 6, 8, usize::MAX] {
                let places = tokenizer.places(&passage, most).unwrap();
                assert_eq!(places.len(), tokenizer.encode_passage(&passage, most).unwrap().ids.len(), "{name} {most}");
                // Within a text they go forward; all letters are some token's.
                let mut covered = [0, 0];
                for (text, bytes) in places.into_iter().flatten() {
                    let whole = if text == 0 { &passage.text } else { passage.second.as_ref().unwrap() };
                    let between = &whole[covered[text]..bytes.start.max(covered[text])];
                    assert!(between.trim().is_empty() && bytes.end <= whole.len(), "{name}: {between}");
                    covered[text] = covered[text].max(bytes.end);
                }
                if most == usize::MAX {
                    assert_eq!(covered, [passage.text.len(), passage.second.as_ref().map_or(0, String::len)]);
                }
            }
        }
    }
}

#[test]
fn a_text_is_cut_before_what_stands_at_every_end() {
    let tokenizer = Tokenizer::open(&folder("bert")).unwrap();
    let whole = tokenizer.encode("the sea of light, the sea", usize::MAX).unwrap();
    let (first, last) = (whole.ids[0], *whole.ids.last().unwrap());
    for most in 2..whole.ids.len() {
        let cut = tokenizer.encode("the sea of light, the sea", most).unwrap();
        assert_eq!((cut.ids.len(), cut.whole), (most, whole.ids.len()));
        assert_eq!(cut.ids[..most - 1], whole.ids[..most - 1]);
        assert_eq!((cut.ids[0], cut.ids[most - 1]), (first, last));
    }
    assert_eq!(tokenizer.encode("the", 1).unwrap().ids, [last]);
    let bytewise = Tokenizer::open(&folder("gpt2")).unwrap();
    let ids = bytewise.encode("the sea 漢字 🙂", usize::MAX).unwrap().ids;
    assert_eq!(bytewise.decode(&ids).unwrap(), "the sea 漢字 🙂");
    let mut told = String::new();
    let mut pieces = bytewise.decoder();
    ids.iter().for_each(|&id| told += &pieces(id).unwrap().unwrap_or_default());
    drop(pieces);
    assert_eq!(told, "the sea 漢字 🙂");
}
