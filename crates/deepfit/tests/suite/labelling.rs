//! Labels of words: learned, measured, and told with their characters.

use serde_json::{Value, json};

use crate::program::Place;

const NAMES: [&str; 5] = ["anna", "boris", "clara", "dmitri", "elena"];
const TOWNS: [&str; 4] = ["paris", "new york", "rome", "los angeles"];

/// Sentences in which people go to towns, as words and tags.
fn sentences(count: usize) -> Vec<(Vec<&'static str>, Vec<&'static str>)> {
    let random = |i: usize, n: usize| ((i * 31 + n) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) as usize % 7919;
    let sentence = |i: usize| {
        let (name, town) = (NAMES[random(i, 1) % 5], TOWNS[random(i, 2) % 4]);
        let mut words =
            vec![["yesterday", "today", "soon"][random(i, 3) % 3], name, ["goes", "went"][random(i, 4) % 2], "to"];
        let mut tags = vec!["O", "B-PER", "O", "O"];
        for (place, word) in town.split(' ').enumerate() {
            words.push(word);
            tags.push(if place == 0 { "B-LOC" } else { "I-LOC" });
        }
        words.push(["again", "alone", "now", "."][random(i, 5) % 4]);
        tags.push("O");
        (words, tags)
    };
    (0..count).map(sentence).collect()
}

fn conll(count: usize) -> String {
    let lines = |(words, tags): (Vec<&str>, Vec<&str>)| {
        words.iter().zip(tags).map(|(word, tag)| format!("{word} x {tag}\n")).collect::<String>() + "\n"
    };
    "-DOCSTART- x O\n\n".to_string() + &sentences(count).into_iter().map(lines).collect::<String>()
}

#[test]
fn spans_are_learned_measured_and_told_with_their_characters() {
    let place = Place::new();
    place.write("trips.conll", conll(240));
    let run = place.run(&["train", "trips.conll", "--from", "scratch", "--out", "run", "--json"]).succeeded();
    assert!(run.json()["metrics"]["test"]["f1"].as_f64().unwrap() > 0.95, "{}", run.out);
    assert!(run.err.contains("IOB2") && run.err.contains("PER ("), "{}", run.err);
    let evaluated = place.run(&["evaluate", "run", "trips.conll", "--json"]).succeeded().json();
    assert!(evaluated["metrics"]["f1"].as_f64().unwrap() > 0.95, "{evaluated}");
    assert_eq!(evaluated["labels"].as_array().unwrap().len(), 2);
    let text = "soon  anna went to new york.\n\n👨‍👩‍👧 today boris goes to rome now\n";
    let found = place.feed(&["predict", "run", "-", "--json"], text.as_bytes()).succeeded().json();
    let spans = |row: usize| -> Vec<(String, u64, u64)> {
        let of = |one: &Value| {
            (one["text"].as_str().unwrap().to_string(), one["start"].as_u64().unwrap(), one["end"].as_u64().unwrap())
        };
        found[row]["entities"].as_array().unwrap().iter().map(of).collect()
    };
    assert_eq!(spans(0), [("anna".to_string(), 6, 10), ("new york".to_string(), 19, 27)], "{found}");
    assert!(spans(1).is_empty(), "{found}");
    let (begin, end) = (6 + 6, 6 + 11);
    assert!(spans(2).contains(&("boris".to_string(), begin, end)), "{found}");
}

#[test]
fn labelled_sentences_that_are_wrong_are_refused_by_their_line() {
    let place = Place::new();
    let refuses = |name: &str, content: &str, words: &[&str]| {
        place.write(name, content);
        place.refuses(&[name], words);
    };
    let line = |tokens: Value, tags: Value| json!({"tokens": tokens, "tags": tags}).to_string() + "\n";
    let good = line(json!(["a", "b"]), json!(["B-X", "O"]));
    refuses("short.jsonl", &(good.clone() + &line(json!(["a", "b"]), json!(["O"]))), &["line 2", "2 elements"]);
    refuses("bare.conll", "a B-X\nb X\nc B-X\n", &["line 2", "no prefix"]);
    refuses("one.conll", "a B-X\n\nb\n", &["line 3", "has no tag"]);
    let span =
        |start: usize, end: usize| json!({"text": "e\u{301}a b", "spans": [[start, end, "X"]]}).to_string() + "\n";
    refuses("far.jsonl", &(span(0, 2) + &span(3, 9)), &["line 2", "outside of the text"]);
    refuses("within.jsonl", &(span(0, 2) + &span(1, 3)), &["line 2", "cuts a letter"]);
    let both = json!({"text": "a b", "spans": [[0, 3, "X"], [2, 3, "Y"]]}).to_string();
    refuses("overlap.jsonl", &(span(0, 2) + &both), &["line 2", "overlap"]);
}
