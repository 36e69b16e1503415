//! Published models for texts: embedded, classified and continued, against transformers; and what is wrong with others.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::drawn;
use crate::program::{Place, Ran};

/// A model with drawn weights as transformers publishes it, with what that makes of some texts.
struct Golden(Value);

impl Golden {
    fn read(name: &str) -> Golden {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deepfit-zoo/tests/goldens/texts");
        Golden(serde_json::from_str(&fs::read_to_string(path.join(format!("{name}.json"))).unwrap()).unwrap())
    }

    /// Writes the model with a tokenizer whose words are the numbers of their tokens.
    fn publish(&self, place: &Place) {
        place.write("model/config.json", self.0["config"].to_string());
        let tensors = serde_json::from_value(self.0["tensors"].clone()).unwrap();
        drawn::write(&place.path("model/model.safetensors"), &tensors);
        place.write("model/tokenizer.json", tokenizer(101).to_string());
    }

    /// Texts of numbers, a line each.
    fn texts(&self) -> Vec<String> {
        let texts: Vec<Vec<u32>> = serde_json::from_value(self.0["texts"].clone()).unwrap();
        texts.iter().map(|text| words(text)).collect()
    }

    fn rows(&self, key: &str) -> Vec<Vec<f64>> {
        serde_json::from_value(self.0[key].clone()).unwrap()
    }
}

fn words(ids: &[u32]) -> String {
    ids.iter().map(u32::to_string).collect::<Vec<_>>().join(" ")
}

fn tokenizer(words: usize) -> Value {
    let vocabulary: serde_json::Map<String, Value> = (0..words).map(|id| (id.to_string(), id.into())).collect();
    json!({
        "version": "1.0", "added_tokens": [], "normalizer": null, "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "0"},
    })
}

fn close(found: &Value, expected: &[f64]) {
    let found: Vec<f64> = serde_json::from_value(found.clone()).unwrap();
    let largest = expected.iter().fold(0f64, |most, v| most.max(v.abs()));
    let error = found.iter().zip(expected).fold(0f64, |most, (a, b)| most.max((a - b).abs()));
    assert!(found.len() == expected.len() && error < 1e-4 * largest, "{error}: {found:?} {expected:?}");
}

fn json_rows(ran: Ran) -> Vec<Value> {
    ran.json().as_array().unwrap().clone()
}

#[test]
fn texts_are_embedded_in_their_order_as_transformers_does_it() {
    let (place, golden) = (Place::new(), Golden::read("bert"));
    golden.publish(&place);
    let texts = golden.texts();
    // Many of each, so that there are several batches, and some of other lengths between them.
    let lines: Vec<String> = (0..700).map(|i| texts[i * 7 % 3].clone()).collect();
    place.write("texts.txt", lines.join("\n"));
    let rows = json_rows(place.run(&["embed", "model", "texts.txt", "--json"]).succeeded());
    let means: Vec<Vec<f64>> = golden
        .rows("hidden")
        .iter()
        .map(|hidden| {
            (0..35).map(|i| hidden.iter().skip(i).step_by(35).sum::<f64>() * 35.0 / hidden.len() as f64).collect()
        })
        .collect();
    assert_eq!(rows.len(), 700);
    for (i, row) in rows.iter().enumerate() {
        assert_eq!(row["input"], i.to_string());
        close(&row["embedding"], &means[i * 7 % 3]);
    }
    let hidden = json_rows(place.run(&["embed", "model", "texts.txt", "--hidden"]).succeeded());
    for (i, row) in hidden.iter().take(3).enumerate() {
        let tokens: Vec<Vec<f64>> = serde_json::from_value(row["hidden"].clone()).unwrap();
        close(&json!(tokens.concat()), &golden.rows("hidden")[i * 7 % 3]);
    }
    // As sentence-transformers says.
    let modules = json!([
        {"type": "sentence_transformers.models.Transformer", "path": ""},
        {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"},
        {"type": "sentence_transformers.models.Normalize", "path": "2_Normalize"},
    ]);
    place.write("model/modules.json", modules.to_string());
    place.write("model/1_Pooling/config.json", json!({"pooling_mode_cls_token": true}).to_string());
    let rows = json_rows(place.run(&["embed", "model", "texts.txt", "--json"]).succeeded());
    let first = &golden.rows("hidden")[0][..35];
    let length = first.iter().map(|v| v * v).sum::<f64>().sqrt();
    close(&rows[0]["embedding"], &first.iter().map(|v| v / length).collect::<Vec<_>>());
    place.write("model/1_Pooling/config.json", json!({"pooling_mode_weightedmean_tokens": true}).to_string());
    place.run(&["embed", "model", "texts.txt"]).is_refusal(&[
        "1_Pooling",
        "pooling_mode_weightedmean_tokens",
        "not read",
    ]);
}

#[test]
fn texts_come_from_lines_tables_folders_and_standard_input() {
    let (place, golden) = (Place::new(), Golden::read("bert"));
    golden.publish(&place);
    place.write("a.txt", "3 4\r\n5 6 7\n");
    place.write("b.csv", "id,text\n1,\"5 6 7\"\n2,3 4\n");
    place.write("c.tsv", "title\tnumber\n3 4\t1\n");
    place.write("folder/x.txt", "5 6\n7");
    place.write("folder/deep/y.txt", "\u{feff}3 4");
    place.write("folder/z.md", "no text");
    let embed = |inputs: &[&str]| {
        json_rows(place.run(&[&["embed", "model"], inputs, &["--json"]].concat()).succeeded())
            .into_iter()
            .map(|row| (row["input"].as_str().unwrap().to_string(), row["embedding"].clone()))
            .collect::<Vec<_>>()
    };
    let a = embed(&["a.txt"]);
    assert_eq!((a.len(), &a[0].0[..], &a[1].0[..]), (2, "0", "1"));
    let b = embed(&["b.csv"]);
    assert_eq!((&b[0].1, &b[1].1), (&a[1].1, &a[0].1));
    assert_eq!(embed(&["c.tsv"])[0].1, a[0].1);
    assert_eq!(embed(&["c.tsv", "--column", "title"])[0].1, a[0].1);
    let folder = embed(&["folder"]);
    assert_eq!(folder.iter().map(|(name, _)| &name[..]).collect::<Vec<_>>(), ["folder/deep/y.txt", "folder/x.txt"]);
    assert_eq!((&folder[0].1, &folder[1].1), (&a[0].1, &a[1].1));
    let both = embed(&["a.txt", "b.csv"]);
    assert_eq!((&both[1].0[..], &both[2].0[..]), ("a.txt:1", "b.csv:0"));
    let piped = place.feed(&["embed", "model", "-", "--json"], b"3 4\n").succeeded();
    assert_eq!(json_rows(piped)[0]["embedding"], a[0].1);
    place.write("d.csv", "one,two\n3,4\n");
    place.run(&["embed", "model", "d.csv"]).is_refusal(&["d.csv", "one, two", "--column NAME"]);
    place.run(&["embed", "model", "b.csv", "--column", "txt"]).is_refusal(&["no column 'txt'", "'text'"]);
    place.run(&["embed", "model", "nothing.txt"]).is_refusal(&["nothing.txt", "does not exist"]);
    // Where there are others, they are embedded.
    let ran = place.run(&["embed", "model", "nothing.txt", "a.txt", "--json"]);
    assert!(ran.code == Some(2) && ran.err.contains("nothing.txt: does not exist"), "{ran:?}");
    assert_eq!(json_rows(ran).len(), 2);
    let told = place.run(&["embed", "model", "b.csv", "--json"]).succeeded().err;
    assert!(told.contains("of its column 'text', of id, text"), "{told}");
}

#[test]
fn texts_get_the_classes_that_transformers_gives_them() {
    for name in ["bert-classes", "roberta-classes", "distilbert-classes", "gpt2-classes", "llama-classes"] {
        let (place, golden) = (Place::new(), Golden::read(name));
        golden.publish(&place);
        place.write("texts.txt", golden.texts().join("\n"));
        let rows = json_rows(place.run(&["predict", "model", "texts.txt", "--json"]).succeeded());
        for (row, logits) in rows.iter().zip(golden.rows("logits")) {
            close(&row["logits"], &logits);
            let best = (0..3).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap();
            let label = golden.0["config"]["id2label"][best.to_string()].as_str().unwrap_or("LABEL").to_string();
            assert!(row["prediction"].as_str().unwrap().starts_with(&label), "{name}: {row}");
            let sum: f64 = row["probabilities"].as_object().unwrap().values().map(|p| p.as_f64().unwrap()).sum();
            assert!((sum - 1.0).abs() < 1e-6);
        }
    }
    let (place, golden) = (Place::new(), Golden::read("bert"));
    golden.publish(&place);
    place.write("texts.txt", "3 4");
    place.run(&["predict", "model", "texts.txt"]).is_refusal(&["no classes", "deepfit embed"]);
    place.run(&["generate", "model", "3"]).is_refusal(&["does not continue texts"]);
    place.run(&["evaluate", "model", "texts.txt"]).is_refusal(&["two columns of texts"]);
}

#[test]
fn texts_are_continued_as_transformers_does_it() {
    for name in ["gpt2", "llama", "llama-tied", "llama-yarn", "mistral", "qwen2", "qwen3"] {
        let (place, golden) = (Place::new(), Golden::read(name));
        golden.publish(&place);
        let texts: Vec<Vec<u32>> = serde_json::from_value(golden.0["texts"].clone()).unwrap();
        let expected: Vec<u32> = serde_json::from_value(golden.0["continued"].clone()).unwrap();
        let prompt = words(&texts[0][..4]);
        let ran = place.run(&["generate", "model", &prompt, "--json"]).succeeded();
        let found = ran.json();
        let added = format!(" {}", words(&expected));
        assert_eq!((found["text"].as_str(), found["prompt"].as_str()), (Some(&added[..]), Some(&prompt[..])), "{name}");
        let finish = if expected.len() == 11 { "positions" } else { "end" };
        assert_eq!((&found["finish"], &found["tokens"]), (&json!(finish), &json!(expected.len())), "{name}");
        assert_eq!(place.run(&["generate", "model", &prompt]).succeeded().out, format!("{prompt}{added}\n"));
        let fewer = place.run(&["generate", "model", &prompt, "--max-tokens", "2", "--threads", "1"]).succeeded().out;
        assert_eq!(fewer, format!("{prompt} {}\n", words(&expected[..2])));
    }
    let place = Place::new();
    Golden::read("gpt2").publish(&place);
    let draw = |seed: &str| {
        place.run(&["generate", "model", "5 6", "--temperature", "2", "--top-k", "50", "--seed", seed]).succeeded().out
    };
    assert_eq!(draw("3"), draw("3"));
    assert_ne!(draw("3"), draw("4"));
    let long = words(&[5; 15]);
    place.run(&["generate", "model", &long]).is_refusal(&["prompt", "15 tokens", "shorten"]);
    place.run(&["generate", "model", ""]).is_refusal(&["is empty", "a word to begin with"]);
    place.run(&["generate", "model", "5", "--top-p", "1.5"]).is_refusal(&["top_p", "at most 1"]);
    place.run(&["generate", "model", "5", "--max-tokens", "0"]).is_refusal(&["max_tokens", "at least 1"]);
}

#[test]
fn each_token_of_a_vocabulary_is_embedded_by_itself() {
    let (place, golden) = (Place::new(), Golden::read("bert"));
    golden.publish(&place);
    // What is put around every text is put around a token.
    let mut around = tokenizer(101);
    around["post_processor"] = json!({"type": "BertProcessing", "cls": ["1", 1], "sep": ["2", 2]});
    place.write("model/tokenizer.json", around.to_string());
    let tokens: Vec<String> = (0..101).map(|id| id.to_string()).collect();
    place.write("tokens.txt", tokens.join("\n"));
    let rows = json_rows(place.run(&["embed", "model", "--vocabulary", "--json"]).succeeded());
    let texts = json_rows(place.run(&["embed", "model", "tokens.txt", "--json"]).succeeded());
    assert_eq!(rows, texts);
    let hidden = json_rows(place.run(&["embed", "model", "--vocabulary", "--hidden"]).succeeded());
    assert!(hidden.len() == 101 && hidden[100]["input"] == "100", "{}", hidden.len());
    assert!(hidden.iter().all(|row| row["hidden"].as_array().unwrap().len() == 3));
    let csv = place.run(&["embed", "model", "--vocabulary"]).succeeded().out;
    assert!(csv.starts_with("input,embedding_0,") && csv.lines().count() == 102, "{csv}");
    place.run(&["embed", "model", "tokens.txt", "--vocabulary"]).is_refusal(&["--vocabulary", "cannot be used"]);
    place.run(&["embed", "model"]).is_refusal(&["INPUT"]);
    place.run(&["embed", "efficientnet-lite0", "--vocabulary"]).is_refusal(&[
        "efficientnet-lite0",
        "--vocabulary",
        "models for texts",
    ]);
}

#[test]
fn bad_texts_are_named_and_the_others_are_embedded() {
    let (place, golden) = (Place::new(), Golden::read("bert"));
    golden.publish(&place);
    let long = "7 ".repeat(500_000);
    place.write("texts.txt", [&b"3 4\n\xff\xfe\n\n"[..], long.as_bytes(), b"\n\0 \x01 4\n"].concat());
    let ran = place.run(&["embed", "model", "texts.txt", "--json"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    for told in
        ["1: is not UTF-8", "2: is empty", "1 of 3 texts", "15 tokens", "2 inputs could not be read, 3 embedded"]
    {
        assert!(ran.err.contains(told), "`{told}` is not in {}", ran.err);
    }
    let rows = json_rows(ran);
    assert_eq!(rows.iter().map(|row| row["input"].as_str().unwrap()).collect::<Vec<_>>(), ["0", "3", "4"]);
    place.write("picture.txt", b"\x89PNG\r\n");
    place.run(&["embed", "model", "picture.txt"]).is_refusal(&["picture.txt", "a PNG image, not text"]);
    fs::create_dir(place.path("empty")).unwrap();
    place.run(&["embed", "model", "empty"]).is_refusal(&["empty", "without .txt files"]);
}

#[test]
fn a_model_that_is_not_whole_is_told() {
    let (place, golden) = (Place::new(), Golden::read("bert"));
    golden.publish(&place);
    place.write("texts.txt", "3 4");
    let refused = |told: &[&str]| place.run(&["embed", "model", "texts.txt"]).is_refusal(told);
    place.write("model/tokenizer.json", tokenizer(102).to_string());
    refused(&["tokenizer.json", "up to number 101", "101 rows", "another model"]);
    place.write("model/tokenizer.json", "{");
    refused(&["tokenizer.json", "is damaged"]);
    fs::remove_file(place.path("model/tokenizer.json")).unwrap();
    refused(&["holds no tokenizer", "tokenizer.json", "vocab.txt", "merges.txt"]);
    place.write("model/tokenizer.model", "x");
    refused(&["SentencePiece", "save_pretrained"]);
    place.write("model/vocab.txt", "[UNK]\n[CLS]\n3\n4\n");
    refused(&["vocab.txt", "has no `[SEP]`"]);
    place.write("model/vocab.txt", "[UNK]\n[CLS]\n[SEP]\n3\n4\n");
    let ran = place.run(&["tokenize", "model", "texts.txt", "--json"]).succeeded();
    assert_eq!(ran.out, "{\"input\":\"0\",\"ids\":[1,3,4,2],\"tokens\":[\"[CLS]\",\"3\",\"4\",\"[SEP]\"]}\n");
    assert!(place.run(&["embed", "model", "texts.txt"]).succeeded().err.contains("made of `vocab.txt`"));
    place.write("model/config.json", "[]");
    refused(&["model"]);
    let mut config = golden.0["config"].clone();
    config["num_attention_heads"] = 0.into();
    place.write("model/config.json", config.to_string());
    refused(&["config.json", "num_attention_heads"]);
}

#[test]
fn what_a_model_is_made_of_is_shown() {
    let (place, golden) = (Place::new(), Golden::read("bert-classes"));
    golden.publish(&place);
    let shown = place.run(&["inspect", "model"]).succeeded().out;
    for told in ["a published BERT", "names of transformers", "encoder.layer", "up to 15 tokens", "bad, fair, good"] {
        assert!(shown.contains(told), "`{told}` is not in {shown}");
    }
    let shown = place.run(&["inspect", "model", "--json"]).succeeded().json();
    let tensors: std::collections::BTreeMap<String, Vec<usize>> =
        serde_json::from_value(golden.0["tensors"].clone()).unwrap();
    let parameters: usize = tensors.values().map(|shape| shape.iter().product::<usize>()).sum();
    assert_eq!(shown["parameters"], parameters);
}
