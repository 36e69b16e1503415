//! Published networks that continue texts, and learn to continue another one.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use crate::drawn_texts;
use crate::program::{Place, signal, wait_for_epoch};

/// A text of sentences of a small language, in which one word often tells the next.
fn book(sentences: usize) -> String {
    const PEOPLE: [&str; 4] = ["the baker", "a sailor", "the old queen", "my neighbour"];
    const DEEDS: [&str; 4] = ["sold", "painted", "lost", "admired"];
    const THINGS: [&str; 4] = ["a loaf of bread", "the blue boat", "seven keys", "an unusual clock"];
    let random = |i: usize, n: usize| ((i * 31 + n) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) as usize % 7919 % 4;
    let sentence =
        |i: usize| format!("Today {} {} {}.\n", PEOPLE[random(i, 1)], DEEDS[random(i, 2)], THINGS[random(i, 3)]);
    (0..sentences).map(sentence).collect()
}

/// A network whose tokens are the words of the book, each with what stands behind it.
fn publish(place: &Place, golden: &str) {
    let text = book(200);
    let split = json!({"type": "Split", "pattern": {"Regex": "[^ \n]*[ \n]"}, "behavior": "Isolated", "invert": false});
    let parts = json!({"pre_tokenizer": split, "decoder": {"type": "Fuse"}});
    drawn_texts::publish_with(place, golden, &[], text.split_inclusive([' ', '\n']), parts);
}

#[test]
fn networks_that_continue_texts_learn_from_another_text() {
    let place = Place::new();
    place.write("book.txt", book(900));
    place.write("other.txt", book(1000).lines().rev().take(60).map(|line| format!("{line}\n")).collect::<String>());
    for golden in ["gpt2", "llama"] {
        publish(&place, golden);
        let run = ["train", "book.txt", "--from", golden, "--out", "run", "lr=1", "--epochs", "4", "--json"];
        let run = place.run(&run).succeeded();
        assert!(run.err.contains("before training, on validation: bits_per_byte"), "{}", run.err);
        let report = run.json();
        let perplexity =
            |part: &str| report["metrics"][part]["perplexity"].as_f64().unwrap_or_else(|| panic!("{report}"));
        let before = perplexity("published_validation");
        assert!(perplexity("validation") < 0.7 * before, "{golden}: {report}");
        assert!(perplexity("test") < 0.7 * perplexity("published"), "{golden}: {report}");
        let evaluated = place.run(&["evaluate", "run", "other.txt", "--json"]).succeeded().json();
        assert!(evaluated["metrics"]["perplexity"].as_f64().unwrap() < 0.8 * before, "{golden}: {evaluated}");
        let continued = place.run(&["generate", "run", "Today the baker ", "--max-tokens", "5"]).succeeded();
        assert!(continued.out.split_whitespace().count() >= 5, "{golden}: {}", continued.out);
        assert!(place.run(&["inspect", "run"]).succeeded().out.contains(golden));
        fs::remove_dir_all(place.path("run")).unwrap();
    }
}

#[test]
fn published_weights_stay_where_training_makes_them_worse() {
    let place = Place::new();
    place.write("book.txt", book(400));
    publish(&place, "gpt2");
    let published = place.weights("gpt2/model.safetensors");
    // Also an average of weights, of which there is none before the first step.
    for (out, more) in [("plain", None), ("average", Some("average=0.9"))] {
        let run = ["train", "book.txt", "--from", "gpt2", "--lr", "30000", "--epochs", "2", "--out", out];
        let run = place.run(&[&run[..], &more.into_iter().collect::<Vec<_>>(), &["--json"]].concat()).succeeded();
        let report = run.json();
        assert_eq!(report["best_epoch"], 0, "{report}");
        assert!(report["notes"].to_string().contains("training did not help"), "{report}");
        for (before, after) in [("published_validation", "validation"), ("published", "test")] {
            let perplexity = |part: &str| report["metrics"][part]["perplexity"].as_f64().unwrap();
            assert!((perplexity(before) / perplexity(after) - 1.0).abs() < 1e-9, "{out}: {report}");
        }
        let kept = place.weights(out);
        assert_eq!(kept.len(), published.len());
        for (name, values) in &published {
            let of = kept.keys().find(|key| key.ends_with(&name[..])).unwrap_or_else(|| panic!("{name}"));
            assert!(kept[of] == *values, "{out}: {name}");
        }
        let lines = fs::read_to_string(place.path(out).join("metrics.jsonl")).unwrap();
        assert!(lines.starts_with("{\"stage\":1,\"epoch\":0,"), "{lines}");
    }
    let shown = place.run(&["train", "--resume", "plain"]).succeeded().out;
    assert!(shown.contains("none: the published weights are kept") && shown.contains("validation before"), "{shown}");
}

#[test]
fn blocks_are_left_alone_or_changed_a_little() {
    let place = Place::new();
    place.write("book.txt", book(400));
    publish(&place, "gpt2");
    let published = place.weights("gpt2/model.safetensors");
    let train = |more: &[&str], out: &str| {
        let run = ["train", "book.txt", "--from", "gpt2", "--epochs", "1", "--out", out];
        place.run(&[&run[..], more].concat()).succeeded();
        let after = place.weights(out);
        let changed = published.iter().filter(|(name, values)| {
            let name = after.keys().find(|key| key.ends_with(&name[..])).unwrap_or_else(|| panic!("{name} {after:?}"));
            after[name] != **values
        });
        (changed.map(|(name, _)| name.clone()).collect::<BTreeSet<String>>(), after.len())
    };
    let (last, count) = train(&["--unfreeze", "1"], "last");
    assert!(
        last.contains("transformer.h.1.attn.c_attn.weight") && !last.contains("transformer.wte.weight"),
        "{last:?}"
    );
    assert!(!last.iter().any(|name| name.contains("h.0.")), "{last:?}");
    let (all, _) = train(&["--unfreeze", "all"], "all");
    assert_eq!(all.len(), published.len());
    // Low-rank changes are merged: no tensor more, and tables and normalisations as they were.
    let (adapted, merged) = train(&["--lora", "2"], "lora");
    assert_eq!(merged, count);
    assert!(adapted.contains("transformer.h.0.attn.c_attn.weight") && !adapted.contains("transformer.wte.weight"));
    assert!(!adapted.iter().any(|name| name.contains("ln_")), "{adapted:?}");
}

#[test]
fn what_cannot_continue_a_text_is_refused() {
    let place = Place::new();
    place.write("book.txt", book(300));
    ["bert", "gpt2"].iter().for_each(|name| publish(&place, name));
    place.refuses(&["book.txt", "--from", "bert"], &["from", "tells no next token", "GPT-2"]);
    place.refuses(&["book.txt", "--from", "minilm-static"], &["from", "tells no next token"]);
    place.refuses(&["book.txt", "--from", "gpt2", "--freeze"], &["unfreeze", "learns to continue"]);
    place.refuses(&["book.txt", "--from", "gpt2", "max_tokens=100"], &["max_tokens", "15 positions"]);
    place.refuses(&["book.txt", "--from", "gpt2", "--unfreeze", "9"], &["unfreeze", "3 blocks"]);
    place.refuses(&["book.txt", "--from", "gpt2", "refit=true"], &["refit", "the best epoch"]);
    place.refuses(&["book.txt", "--from", "gpt2", "folds=3"], &["folds", "the best epoch"]);
}

#[test]
fn a_run_that_is_stopped_goes_on_to_the_same_weights() {
    let place = Place::new();
    place.write("book.txt", book(900));
    publish(&place, "gpt2");
    let run = ["train", "book.txt", "--from", "gpt2", "--epochs", "20", "patience=0", "--out"];
    place.run(&[&run[..], &["whole"]].concat()).succeeded();
    let mut child = place.start(&[&run[..], &["stopped"]].concat());
    let rest = wait_for_epoch(&mut child);
    signal(&child, "INT");
    let told = rest();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{told}");
    place.run(&["train", "--resume", "stopped"]).succeeded();
    let of = |run: &str| place.weights(run);
    assert!(of("whole") == of("stopped"));
}

#[test]
fn texts_are_cut_into_bytes_characters_pairs_or_parts_of_words() {
    let place = Place::new();
    let text = book(700).replace("bread", "Käse");
    place.write("book.txt", &text);
    // Nobody can have learned what these characters are.
    let strange: String = text.chars().take(8_000).map(|c| if c == 'a' { '漢' } else { c }).collect();
    place.write("strange.txt", strange);
    for tokens in ["bytes", "characters", "wordpiece", "bpe"] {
        let kind = format!("tokens={tokens}");
        let run =
            ["train", "book.txt", "--model", "gru", &kind, "--epochs", "3", "max_tokens=32", "--out", tokens, "--json"];
        let run = place.run(&run).succeeded();
        let bits = |of: &Value| of["bits_per_byte"].as_f64().unwrap();
        let known = bits(&run.json()["metrics"]["test"]);
        assert!((0.05..4.0).contains(&known), "{tokens}: {}", run.out);
        let continued = place.run(&["generate", tokens, "Today the baker", "--max-tokens", "30"]).succeeded().out;
        assert!(
            !continued.contains("##") && !continued.contains("[UNK]") && continued.len() > 15,
            "{tokens}: {continued}"
        );
        let strange = place.run(&["evaluate", tokens, "strange.txt", "--json"]).succeeded().json();
        assert!(bits(&strange["metrics"]) > known, "{tokens}: {known} {strange}");
    }
    let letters = fs::read_to_string(place.path("characters/model/tokenizer.json")).unwrap();
    assert!(letters.contains("\"ä\"") && !letters.contains("\"aK\""), "{letters}");
    place.refuses(&["book.txt", "tokens=words"], &["tokens", "wordpiece"]);
    place.refuses(&["book.txt", "tokens=bpe", "vocabulary=200"], &["vocabulary", "256"]);
}

#[test]
fn the_last_parts_of_a_text_are_as_long_as_was_asked_for() {
    let place = Place::new();
    place.write("book.txt", book(900));
    let rows = |more: &[&str], out: &str| -> Vec<f64> {
        let run = ["train", "book.txt", "--model", "gru", "--epochs", "1", "max_tokens=16", "--out", out];
        let told = place.run(&[&run[..], more].concat()).succeeded().err;
        let rows = told.split("rows: ").nth(1).unwrap_or_else(|| panic!("{told}")).lines().next().unwrap();
        rows.split(' ').filter_map(|word| word.replace(',', "").parse().ok()).collect()
    };
    let share = |rows: &[f64], part: usize| rows[part] / rows.iter().sum::<f64>();
    let plain = rows(&[], "plain");
    assert!((share(&plain, 1) - 0.1).abs() < 0.02 && (share(&plain, 2) - 0.1).abs() < 0.02, "{plain:?}");
    let asked = rows(&["validation_share=0.3", "test_share=0.15"], "asked");
    assert!((share(&asked, 1) - 0.3).abs() < 0.02 && (share(&asked, 2) - 0.15).abs() < 0.02, "{asked:?}");
}

/// Texts of a small language side by side, each of its own size and with a line that no other has.
fn corpus(place: &Place, folder: &str, count: usize) {
    let lines: Vec<String> = book(40 * count).lines().map(str::to_string).collect();
    for (i, lines) in lines.chunks(40).enumerate() {
        let text = format!("Chapter {i}\n{}\n", lines[..30 + i % 11].join("\n"));
        place.write(&format!("{folder}/{i:03}.txt"), text);
    }
}

#[test]
fn a_folder_of_texts_side_by_side_is_learned_as_one() {
    let place = Place::new();
    corpus(&place, "books", 40);
    place.write("books/empty.txt", " \n");
    place.write("books/old.txt", b"caf\xe9 au lait".repeat(20));
    place.write("books/.hidden.txt", b"\xff");
    let arguments = ["train", "books/", "--model", "gru", "--epochs", "4", "max_tokens=16", "--out"];
    let run = place.run(&[&arguments[..], &["run", "--json"]].concat()).succeeded();
    let told = &run.err;
    assert!(told.contains("40 texts of ") && told.contains("next token"), "{told}");
    assert!(told.contains("40 documents: 32 to learn from, 4 for validation, 4 for the test"), "{told}");
    assert!(told.contains("'empty.txt' (is empty)") && told.contains("'old.txt' (is not UTF-8"), "{told}");
    assert!(!told.contains("hidden"), "{told}");
    let perplexity = |report: &Value| report["metrics"]["test"]["perplexity"].as_f64().unwrap();
    assert!(perplexity(&run.json()) < 20.0, "{}", run.out);
    // The same bits again, and other documents with another seed.
    let again = place.run(&[&arguments[..], &["again", "--json"]].concat()).succeeded().json();
    assert_eq!(perplexity(&run.json()), perplexity(&again));
    let other = place.run(&[&arguments[..], &["other", "--seed", "5", "--json"]].concat()).succeeded().json();
    assert_ne!(perplexity(&run.json()), perplexity(&other));
    let evaluated = place.run(&["evaluate", "run", "books/", "--json"]).succeeded().json();
    assert!(evaluated["skipped"].to_string().contains("empty.txt"), "{evaluated}");
    publish(&place, "gpt2");
    let begun = place.run(&["train", "books/", "--from", "gpt2", "--epochs", "1", "--out", "begun", "--json"]);
    assert_eq!(begun.succeeded().json()["task"], "next_token");

    // Few files are cut each; folders may name the parts.
    corpus(&place, "few", 3);
    let few = place.run(&["train", "few", "--model", "gru", "--epochs", "1", "max_tokens=16", "--out", "few-run"]);
    let few = few.succeeded().err;
    assert!(few.contains("3 documents, too few") && few.contains("the last parts of each"), "{few}");
    corpus(&place, "given/train", 12);
    corpus(&place, "given/test", 2);
    let given =
        place.run(&["train", "given", "--model", "gru", "--epochs", "1", "max_tokens=16", "--out", "given-run"]);
    let given = given.succeeded().err;
    assert!(given.contains("14 documents: 11 to learn from, 1 for validation, 2 for the test"), "{given}");

    place.write("nothing/a.txt", "");
    place.refuses(&["nothing"], &["nothing", "'a.txt' is empty"]);
    place.refuses(&["books", "--target", "x"], &["target", "is for tables"]);
    for i in 0..20 {
        place.write(&format!("mixed/{i}.txt"), "text");
        place.write(&format!("mixed/pictures/{i}.png"), if i < 9 { "no picture" } else { continue });
    }
    place.refuses(&["mixed"], &["9 images and 20 .txt files", "move one kind elsewhere"]);
}
