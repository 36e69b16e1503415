//! Labels of words: learned, measured, and told with their characters.

use std::fs;

use serde_json::{Value, json};

use crate::drawn_texts;
use crate::program::{Place, Ran};

const NAMES: [&str; 5] = ["anna", "boris", "clara", "dmitri", "elena"];
const TOWNS: [&str; 4] = ["paris", "new york", "rome", "los angeles"];

type Sentence = (Vec<&'static str>, Vec<&'static str>);

/// Sentences in which people go to towns, as words and tags.
fn sentences(from: usize, count: usize) -> Vec<Sentence> {
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
    (from..from + count).map(sentence).collect()
}

fn conll(sentences: &[Sentence]) -> String {
    let lines = |(words, tags): &Sentence| {
        words.iter().zip(tags).map(|(word, tag)| format!("{word} x {tag}\n")).collect::<String>() + "\n"
    };
    "-DOCSTART- x O\n\n".to_string() + &sentences.iter().map(lines).collect::<String>()
}

/// The same as objects by other names than usual.
fn objects(sentences: &[Sentence], words: &str, tags: &str) -> String {
    sentences.iter().map(|(own, labels)| json!({words: own, tags: labels}).to_string() + "\n").collect()
}

/// The same as texts with spans.
fn spans(sentences: &[Sentence]) -> String {
    let line = |(words, tags): &Sentence| {
        let (mut text, mut found) = (String::new(), Vec::<(usize, usize, &str)>::new());
        for (word, tag) in words.iter().zip(tags) {
            text += if text.is_empty() { "" } else { " " };
            match tag.split_at(1.min(tag.len())) {
                ("B", label) => found.push((text.len(), text.len() + word.len(), &label[1..])),
                ("I", _) => found.last_mut().unwrap().1 = text.len() + word.len(),
                _ => {}
            }
            text += word;
        }
        let spans: Vec<Value> = found.iter().map(|(a, b, of)| json!({"start": a, "end": b, "label": of})).collect();
        json!({"text": text, "spans": spans}).to_string() + "\n"
    };
    sentences.iter().map(line).collect()
}

fn test_f1(ran: &Ran) -> f64 {
    ran.json()["metrics"]["test"]["f1"].as_f64().unwrap()
}

/// Label, text, first character and character after the last of each span.
fn entities(prediction: &Value) -> Vec<(String, String, u64, u64)> {
    let of = |one: &Value| {
        let text = |key: &str| one[key].as_str().unwrap().to_string();
        let number = |key: &str| one[key].as_u64().unwrap();
        (text("label"), text("text"), number("start"), number("end"))
    };
    prediction["entities"].as_array().unwrap().iter().map(of).collect()
}

fn span(label: &str, text: &str, start: u64) -> (String, String, u64, u64) {
    (label.to_string(), text.to_string(), start, start + text.chars().count() as u64)
}

#[test]
fn spans_are_learned_measured_and_told_with_their_characters() {
    let place = Place::new();
    place.write("trips.conll", conll(&sentences(0, 240)));
    let run = place.run(&["train", "trips.conll", "--from", "scratch", "--out", "run", "--json"]).succeeded();
    assert!(test_f1(&run) > 0.95, "{}", run.out);
    let intervals = &run.json()["metrics"]["test_intervals"];
    for name in ["f1", "precision", "recall", "token_accuracy"] {
        assert!(intervals[name][0].as_f64().unwrap() <= intervals[name][1].as_f64().unwrap(), "{intervals}");
    }
    assert!(run.err.contains("IOB2") && run.err.contains("PER ("), "{}", run.err);
    let evaluated = place.run(&["evaluate", "run", "trips.conll", "--json"]).succeeded().json();
    assert!(evaluated["metrics"]["f1"].as_f64().unwrap() > 0.95, "{evaluated}");
    assert_eq!(evaluated["rows"], 240);
    let labels: Vec<&str> =
        evaluated["labels"].as_array().unwrap().iter().map(|one| one["label"].as_str().unwrap()).collect();
    assert_eq!(labels, ["LOC", "PER"]);

    let text = "soon  anna went to new york.\n\n👨‍👩‍👧 today boris goes to rome now\n";
    let found = place.feed(&["predict", "run", "-", "--json"], text.as_bytes()).succeeded().json();
    assert_eq!(entities(&found[0]), [span("PER", "anna", 6), span("LOC", "new york", 19)], "{found}");
    assert!(entities(&found[1]).is_empty(), "{found}");
    // A family is one letter and five characters.
    assert!(entities(&found[2]).contains(&span("PER", "boris", 12)), "{found}");
    let probability = found[0]["entities"][0]["probability"].as_f64().unwrap();
    assert!(probability > 0.5 && probability <= 1.0, "{found}");

    place.write("texts.txt", text);
    let csv = place.run(&["predict", "run", "texts.txt", "--format", "csv"]).succeeded().out;
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines[0], "input,label,text,start,end,probability");
    assert!(lines[1].starts_with("0,PER,anna,6,10,0.") || lines[1].starts_with("0,PER,anna,6,10,1"), "{csv}");
    assert!(lines[2].starts_with("0,LOC,new york,19,27,") && lines[3] == "1,,,,,", "{csv}");
    let shown = place.run(&["predict", "run", "texts.txt"]).succeeded().out;
    assert!(shown.contains("new york") && shown.contains("probability"), "{shown}");
    let told = place.run(&["explain", "run", "texts.txt"]).succeeded().out;
    assert!(told.contains("'new york': B-LOC") || told.contains("'new': B-LOC"), "{told}");
    place.run(&["embed", "run", "texts.txt"]).is_refusal(&["no embedding of a text"]);
}

#[test]
fn words_that_are_given_are_labelled_as_they_are_given() {
    let place = Place::new();
    let (known, new) = (sentences(0, 240), sentences(500, 30));
    place.write("trips.jsonl", objects(&known, "pieces", "marks"));
    let train = ["train", "trips.jsonl", "--text", "pieces", "--target", "marks", "--from", "scratch", "--out", "run"];
    place.run(&train).succeeded();
    place.write("new.jsonl", objects(&new, "pieces", "marks"));
    place.write("usual.jsonl", objects(&new, "tokens", "tags"));
    place.write("new.conll", conll(&new));
    place.write("spans.jsonl", spans(&new));
    let f1 = |file: &str| {
        let evaluated = place.run(&["evaluate", "run", file, "--json"]).succeeded().json();
        evaluated["metrics"]["f1"].as_f64().unwrap()
    };
    assert!(f1("new.jsonl") > 0.95);
    for other in ["usual.jsonl", "new.conll", "spans.jsonl"] {
        assert_eq!(f1(other), f1("new.jsonl"), "{other}");
    }
    let predict = |file: &str| place.run(&["predict", "run", file, "--json"]).succeeded().json();
    let found = predict("new.jsonl");
    assert_eq!(found.as_array().unwrap().len(), 30);
    assert_eq!((predict("usual.jsonl"), predict("new.conll")), (found.clone(), found.clone()));
    place.write("bare.conll", "soon\nclara\nwent\nto\nlos\nangeles\n");
    let bare = predict("bare.conll");
    assert_eq!(entities(&bare[0]), [span("PER", "clara", 5), span("LOC", "los angeles", 19)], "{bare}");
    // F1 by the characters of what was predicted.
    let (mut right, mut all) = (0, 0);
    for (one, line) in found.as_array().unwrap().iter().zip(spans(&new).lines()) {
        let truth: Value = serde_json::from_str(line).unwrap();
        let ends = |one: &Value| (one["label"].clone(), one["start"].clone(), one["end"].clone());
        let told: Vec<_> = one["entities"].as_array().unwrap().iter().map(ends).collect();
        let truth: Vec<_> = truth["spans"].as_array().unwrap().iter().map(ends).collect();
        right += told.iter().filter(|span| truth.contains(span)).count();
        all += told.len() + truth.len();
    }
    assert!((f1("new.jsonl") - 2.0 * right as f64 / all as f64).abs() < 1e-12);
    place.write("other.jsonl", objects(&new[..1], "words", "tags") + "{\"note\": \"a b\"}\n");
    place.run(&["predict", "run", "other.jsonl"]).is_refusal(&["line 2", "'pieces'", "note"]);
}

#[test]
fn a_folder_has_its_parts_and_what_a_model_does_not_know_is_told_by_its_line() {
    let place = Place::new();
    place.write("data/train.jsonl", spans(&sentences(0, 200)));
    place.write("data/dev.conll", conll(&sentences(300, 40)));
    place.write("data/test.jsonl", spans(&sentences(400, 40)));
    let run =
        place.run(&["train", "data", "--from", "scratch", "--model", "gru", "--out", "run", "--json"]).succeeded();
    assert!(run.err.contains("validation and test part") && test_f1(&run) > 0.95, "{}{}", run.err, run.out);
    // What is also in the test has no part in training.
    assert!(run.err.contains(" 40 test") && run.err.contains("training rows left out"), "{}", run.err);
    // Only the test part of a folder is measured.
    let evaluated = place.run(&["evaluate", "run", "data", "--json"]).succeeded().json();
    assert_eq!(evaluated["rows"], 40);
    assert_eq!(evaluated["metrics"]["f1"].as_f64().unwrap(), test_f1(&run));
    place.write("strange.conll", "anna B-PER\nwent O\n\nrome B-LOC\nand O\nmars B-PLANET\n");
    place.run(&["evaluate", "run", "strange.conll"]).is_refusal(&[
        "strange.conll",
        "line 6",
        "'PLANET'",
        "'mars'",
        "PER",
    ]);
    place.run(&["evaluate", "run", "data/none.jsonl"]).is_refusal(&["does not exist"]);
    // Nobody tells predictions where words are cut.
    place.write("within.jsonl", json!({"text": "preparis", "spans": [[3, 8, "LOC"]]}).to_string() + "\n");
    let within = place.run(&["evaluate", "run", "within.jsonl"]).succeeded();
    assert!(within.err.contains("1 word is cut") && within.err.contains("do not cut words"), "{}", within.err);
    place.write("table.csv", "a,b\n1,2\n");
    place.run(&["evaluate", "run", "table.csv"]).is_refusal(&["no labelled sentences"]);
}

#[test]
fn every_word_of_a_long_sentence_is_labelled_and_its_parts_are_told() {
    let place = Place::new();
    place.write("trips.jsonl", objects(&sentences(0, 240), "tokens", "tags"));
    let short = place.run(&["train", "trips.jsonl", "--from", "scratch", "--out", "run", "--json"]).succeeded();
    assert!(!short.err.contains("read in parts"), "{}", short.err);
    let all: Vec<Sentence> = sentences(600, 60);
    let long: Vec<&str> = all.iter().flat_map(|(words, _)| words.clone()).collect();
    place.write("long.jsonl", json!({"tokens": long}).to_string() + "\n");
    let ran = place.run(&["predict", "run", "long.jsonl", "--json"]).succeeded();
    assert!(ran.err.contains("1 of 1 sentence has more than 256 tokens, and is read in parts"), "{}", ran.err);
    let people = entities(&ran.json()[0]).into_iter().filter(|(label, ..)| label == "PER").count();
    assert!(people > 54, "{people} of 60 people are found");
    let cut = place.run(&["train", "trips.jsonl", "--from", "scratch", "max_tokens=4", "--out", "parts"]).succeeded();
    assert!(cut.err.contains("have more than 4 tokens, and are read in parts"), "{}", cut.err);
    // A word of more tokens than there is room for is seen by its beginning.
    let word = "x".repeat(3000);
    place.write("word.jsonl", json!({"tokens": ["anna", word, "rome"]}).to_string() + "\n");
    let ran = place.run(&["predict", "run", "word.jsonl"]).succeeded();
    assert!(ran.err.contains("1 word has more tokens by itself"), "{}", ran.err);
}

#[test]
fn a_published_network_labels_words_and_its_blocks_are_trained_as_asked() {
    let place = Place::new();
    let all = sentences(0, 120);
    drawn_texts::publish(&place, "bert", all.iter().flat_map(|(words, _)| words.clone()));
    place.write("trips.conll", conll(&all));
    let train = |out: &str, more: &[&str]| {
        let run = ["train", "trips.conll", "--from", "bert", "--epochs", "6", "lr=1", "--out", out];
        place.run(&[&run[..], more].concat()).succeeded()
    };
    let folded = train("run", &["folds=3"]);
    assert!(folded.err.contains("refit, the last 2 blocks too (4 of 4)"), "{}", folded.err);
    // Each fold begins with the published weights, and not with what has learned from the rows that it holds out.
    let journal = fs::read_to_string(place.path("run/metrics.jsonl")).unwrap();
    let epochs: Vec<Value> = journal.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let losses = |epoch: u64| -> Vec<f64> {
        epochs.iter().filter(|one| one["epoch"] == epoch).map(|one| one["train_loss"].as_f64().unwrap()).collect()
    };
    let (first, third) = (losses(1), losses(3));
    assert_eq!(first.len(), 4, "{journal}");
    assert!(third[0] < 0.8 * first[0], "{journal}");
    assert!(first.iter().all(|loss| *loss > 0.9 * first[0]), "{journal}");

    let evaluated = place.run(&["evaluate", "run", "trips.conll", "--json"]).succeeded().json();
    assert!(evaluated["metrics"]["log_loss"].as_f64().unwrap().is_finite(), "{evaluated}");
    for (out, more) in [
        ("frozen", &["--freeze", "refit=false"][..]),
        ("all", &["--unfreeze", "all", "refit=false"]),
        ("last", &["--unfreeze", "1", "refit=false"]),
        ("lora", &["--lora", "2", "refit=false"]),
    ] {
        train(out, &[&["folds=1"], more].concat());
    }
    let [usual, frozen, whole, last, lora] = ["run", "frozen", "all", "last", "lora"].map(|out| place.weights(out));
    let word = "bert.embeddings.word_embeddings.weight";
    let (low, high) = ("bert.encoder.layer.0.output.dense.weight", "bert.encoder.layer.1.output.dense.weight");
    for (name, of_usual, of_all, of_last, of_lora) in
        [(word, false, true, false, false), (low, true, true, false, true), (high, true, true, true, true)]
    {
        assert_eq!(usual[name] != frozen[name], of_usual, "{name}");
        assert_eq!(whole[name] != frozen[name], of_all, "{name}");
        assert_eq!(last[name] != frozen[name], of_last, "{name}");
        assert_eq!(lora[name] != frozen[name], of_lora, "{name}");
    }
    place.refuses(&["trips.conll", "--from", "minilm-static"], &["sees each word by itself"]);
    place.refuses(&["trips.conll", "--from", "bert", "--unfreeze", "4"], &["has 3 blocks"]);
}

#[test]
fn labelled_sentences_that_are_wrong_are_refused_by_their_line() {
    let place = Place::new();
    let refuses = |name: &str, content: &[u8], words: &[&str]| {
        place.write(name, content);
        place.refuses(&[name], &[&[name], words].concat());
    };
    let line = |tokens: Value, tags: Value| json!({"tokens": tokens, "tags": tags}).to_string() + "\n";
    let good = line(json!(["a", "b"]), json!(["B-X", "O"]));
    let after = |second: String| (good.clone() + &second).into_bytes();
    refuses("short.jsonl", &after(line(json!(["a", "b"]), json!(["O"]))), &["line 2", "2 elements"]);
    refuses("number.jsonl", &after(line(json!(["a"]), json!([3]))), &["line 2", "the number 3"]);
    refuses("nothing.jsonl", &after(line(json!([" "]), json!(["O"]))), &["line 2", "element 1", "is empty"]);
    refuses("broken.jsonl", &after("{\"tokens\": [\"a\"".to_string()), &["line 2", "is no object"]);
    refuses("other.jsonl", &after("{\"text\": \"a\"}".to_string()), &["line 2", "no array 'tokens'"]);
    refuses("bare.conll", b"a B-X\nb X\nc B-X\n", &["line 2", "no prefix"]);
    refuses("one.conll", b"a B-X\n\nb\n", &["line 3", "has no tag"]);
    refuses("latin.conll", b"a B-X\nb\xE9 O\n", &["line 2", "not UTF-8"]);
    refuses("blank.conll", b" \n\n", &["is empty"]);
    refuses("outside.conll", "a O\nb O\n\n".repeat(20).as_bytes(), &["all words are tagged O"]);
    refuses("same.conll", "a NOUN\nb NOUN\n\n".repeat(20).as_bytes(), &["all words have the tag 'NOUN'"]);
    refuses("few.conll", b"a B-X\nb O\n", &["sentence(s)"]);
    let none = json!({"text": "a b", "spans": []}).to_string() + "\n";
    refuses("none.jsonl", none.repeat(20).as_bytes(), &["no span in 'spans'"]);
    let empty = json!({"tokens": [], "tags": []}).to_string() + "\n";
    refuses("empty.jsonl", empty.repeat(20).as_bytes(), &["no sentences with words"]);
    let span =
        |start: usize, end: usize| json!({"text": "e\u{301}a b", "spans": [[start, end, "X"]]}).to_string() + "\n";
    refuses("far.jsonl", (span(0, 2) + &span(3, 9)).as_bytes(), &["line 2", "outside of the text"]);
    refuses("turned.jsonl", (span(0, 2) + &span(3, 2)).as_bytes(), &["line 2", "outside of the text"]);
    refuses("within.jsonl", (span(0, 2) + &span(1, 3)).as_bytes(), &["line 2", "cuts a letter"]);
    let both = json!({"text": "a b", "spans": [[0, 3, "X"], [2, 3, "Y"]]}).to_string();
    refuses("overlap.jsonl", (span(0, 2) + &both).as_bytes(), &["line 2", "overlap"]);
    place.write("good.conll", conll(&sentences(0, 40)));
    place.refuses(&["good.conll", "--group", "x"], &["group", "column of a table"]);
    place.refuses(&["good.conll", "--test", "far.csv"], &["far.csv", "does not exist"]);
    place.refuses(&["good.conll", "--test", "far.jsonl"], &["far.jsonl", "line 2"]);
    // What can be told is noted, and not refused: an inside without a beginning, and sentences without words.
    let mut kept = objects(&sentences(0, 40), "tokens", "tags") + &empty;
    kept += &line(json!(["x", "y"]), json!(["O", "I-PER"]));
    place.write("kept.jsonl", kept);
    let ran = place.run(&["train", "kept.jsonl", "--from", "scratch", "--epochs", "1", "--out", "kept"]).succeeded();
    assert!(ran.err.contains("1 span begins with an inside tag"), "{}", ran.err);
    assert!(ran.err.contains("1 sentence has no words"), "{}", ran.err);
}

#[test]
fn words_without_spans_are_labelled_one_by_one() {
    let place = Place::new();
    let kinds = |word: &str| {
        if NAMES.contains(&word) {
            "NAME"
        } else if word == "to" {
            "PREP"
        } else {
            "WORD"
        }
    };
    let lines = |(words, _): &Sentence| words.iter().map(|w| format!("{w}\t{}\n", kinds(w))).collect::<String>() + "\n";
    place.write("speech.conll", sentences(0, 200).iter().map(lines).collect::<String>());
    let run = place.run(&["train", "speech.conll", "--from", "scratch", "--out", "run", "--json"]).succeeded();
    assert!(run.err.contains("each word has a label of its own"), "{}", run.err);
    let scores = &run.json()["metrics"]["test"];
    assert_eq!(scores["f1"], scores["token_accuracy"], "{scores}");
    assert!(test_f1(&run) > 0.95);
    let found = place.feed(&["predict", "run", "-", "--json"], b"soon anna went to rome\n").succeeded().json();
    assert_eq!(entities(&found[0]).len(), 5, "{found}");
    assert_eq!(entities(&found[0])[1], span("NAME", "anna", 5));
}
