//! Embeddings that learn which texts belong together, and what is searched by them.

use std::fs;

use serde_json::Value;

use crate::drawn_texts;
use crate::program::Place;

const WORDS: [&str; 40] = [
    "boat", "garden", "piano", "bicycle", "castle", "kitchen", "volcano", "library", "airport", "wolf", "candle",
    "river", "mountain", "doctor", "window", "coffee", "engine", "shadow", "market", "silver", "forest", "bridge",
    "school", "winter", "orange", "needle", "rocket", "thunder", "village", "mirror", "lemon", "tiger", "ladder",
    "pocket", "island", "hammer", "butter", "camera", "desert", "planet",
];

/// Pairs of which nothing but the data says that they belong together: a word is answered by another.
fn planted(count: usize) -> Vec<[String; 2]> {
    let pair = |i: usize| {
        let (a, b) = (i % 40, (i * 7 + i / 40) % 40);
        let other = |word: usize| WORDS[(word * 13 + 5) % 40];
        [format!("tell me of the {} and a {}", WORDS[a], WORDS[b]), format!("this is {} with {}", other(a), other(b))]
    };
    (0..count).map(pair).collect()
}

fn table(rows: &[[String; 2]]) -> String {
    "question,answer\n".to_string() + &rows.iter().map(|row| row.join(",") + "\n").collect::<String>()
}

fn metric(report: &Value, part: &str, name: &str) -> f64 {
    report["metrics"][part][name].as_f64().unwrap_or_else(|| panic!("no {name} of {part} in {report}"))
}

#[test]
fn planted_pairs_are_learned_and_searched() {
    let (place, rows) = (Place::new(), planted(400));
    place.write("pairs.csv", table(&rows));
    let arguments = ["train", "pairs.csv", "--epochs", "40", "--out", "run", "--json"];
    let ran = place.run(&arguments).succeeded();
    assert!(ran.err.contains("the texts of a pair belong together"), "{}", ran.err);
    assert!(ran.err.contains("before training, on validation"), "{}", ran.err);
    assert!(ran.err.contains("begins with minilm-static") && !ran.err.contains("words of the texts"), "{}", ran.err);
    let report = ran.json();
    assert_eq!(report["task"], "similarity");
    let (before, after) = (metric(&report, "published", "mrr"), metric(&report, "test", "mrr"));
    assert!(before < 0.2 && after > 0.45 && after > 4.0 * before, "{before} {after}");
    // The same run once more has the same bits.
    place.run(&["train", "pairs.csv", "--epochs", "40", "--out", "again"]).succeeded();
    let weights = |run: &str| fs::read(place.path(run).join("model/model.safetensors")).unwrap();
    assert!(weights("run") == weights("again"));

    let (questions, answers): (Vec<String>, Vec<String>) = rows.iter().map(|[a, b]| (a.clone(), b.clone())).unzip();
    place.write("answers.txt", answers.join("\n"));
    place.write("questions.txt", questions[..40].join("\n"));
    let search = |of: &str| ["embed", "run", "answers.txt", "--nearest", "3", "--of", of, "--json"].map(str::to_string);
    let arguments = search("questions.txt");
    let found = place.run(&arguments.each_ref().map(String::as_str)).succeeded().json();
    let hits = (0..40).filter(|&i| {
        let nearest = found[i]["nearest"].as_array().unwrap();
        assert_eq!(nearest.len(), 3);
        assert_eq!(found[i]["text"], questions[i]);
        nearest.iter().any(|one| one["text"] == answers[i])
    });
    let hits = hits.count();
    // Of 400 answers.
    assert!(hits >= 12, "{hits} of 40");
    let arguments = search("-");
    let lines = questions[..40].join("\n");
    let fed = place.feed(&arguments.each_ref().map(String::as_str), lines.as_bytes()).succeeded().json();
    assert_eq!(found, fed);
    let shown = place.run(&["embed", "run", "answers.txt", "--nearest", "1", "--of", "questions.txt"]).succeeded();
    assert!(shown.out.contains("this is") && shown.out.contains("tell me of the"), "{}", shown.out);
    place.feed(&["embed", "run", "-", "--nearest", "1", "--of", "-"], b"x\n").is_refusal(&["standard input", "once"]);
    // Embeddings are 1 long.
    let embedded = place.run(&["embed", "run", "questions.txt", "--json"]).succeeded().json();
    let values = embedded[0]["embedding"].as_array().unwrap();
    let length: f64 = values.iter().map(|value| value.as_f64().unwrap().powi(2)).sum();
    assert!((length - 1.0).abs() < 1e-4, "{length}");
    // Other pairs measure the run, and the published table of words beside it.
    place.write("train.csv", table(&rows[..300]));
    let evaluated = |model: &str, data: &str| {
        let ran = place.run(&["evaluate", model, data, "--json"]).succeeded().json();
        ran["metrics"]["mrr"].as_f64().unwrap_or_else(|| panic!("{ran}"))
    };
    assert!(evaluated("run", "train.csv") > 4.0 * evaluated("minilm-static", "train.csv"));
    assert_eq!(evaluated("run/model", "train.csv"), evaluated("run", "train.csv"));
    let told = place.run(&["evaluate", "run", "train.csv"]).succeeded().out;
    assert!(told.contains("recall_at_10") && told.contains("300 rows"), "{told}");
    let wrong = place.run(&["evaluate", "run", "questions.txt"]);
    assert!(wrong.code == Some(2) && wrong.err.contains("'questions.txt' has no column"), "{wrong:?}");
    // A run is a published model, which the next one begins with.
    let next = place.run(&["train", "pairs.csv", "--from", "run", "--out", "next", "--epochs", "1", "--json"]);
    let next = next.succeeded().json();
    assert!((metric(&next, "published", "mrr") - after).abs() < 1e-3, "{next}");
}

#[test]
fn scores_and_relations_are_learned_in_order() {
    let (place, rows) = (Place::new(), planted(300));
    let scored = |score: &dyn Fn(usize) -> String| {
        let row = |i: usize| {
            let other = if i.is_multiple_of(3) { i } else { (i + 7 * (i % 3)) % 300 };
            format!("{},{},{}\n", rows[i][0], rows[other][1], score(i))
        };
        "question,answer,score\n".to_string() + &(0..300).map(row).collect::<String>()
    };
    place.write("scores.csv", scored(&|i| ["5", "0.5", "1.5"][i % 3].to_string()));
    place.write("related.csv", scored(&|i| u8::from(i.is_multiple_of(3)).to_string()));
    for loss in ["ranking", "squared"] {
        let loss_is = format!("loss={loss}");
        let arguments =
            ["train", "scores.csv", "task=similarity", "--epochs", "30", "patience=0", "--out", loss, "--json"];
        let report = place.run(&[&arguments[..], &[&loss_is[..]]].concat()).succeeded().json();
        // Which words answer which is nothing that other words could tell: what was learned is seen where it was learned.
        let (before, after) = (metric(&report, "published", "spearman"), metric(&report, "train", "spearman"));
        assert!(after > 0.4 && after > before + 0.2, "{loss}: {before} {after}");
    }
    let arguments =
        ["train", "related.csv", "task=similarity", "--epochs", "30", "patience=0", "--out", "related", "--json"];
    let report = place.run(&arguments).succeeded().json();
    assert!(metric(&report, "train", "roc_auc") > 0.8, "{report}");
}

/// A small drawn transformer learns, is stopped and goes on to the same bits, and keeps the form of its publisher.
#[test]
fn a_transformer_that_is_resumed_has_the_same_bits() {
    let place = Place::new();
    let rows = planted(200);
    drawn_texts::publish(&place, "bert", rows.iter().flatten().flat_map(|text| text.split(' ')));
    place.write("pairs.csv", table(&rows));
    let arguments = ["train", "pairs.csv", "--from", "bert", "--epochs", "6", "--lr", "0.002", "--out"];
    let whole = place.run(&[&arguments[..], &["whole", "--json"]].concat()).succeeded().json();
    assert!(metric(&whole, "test", "mrr") > metric(&whole, "published", "mrr"), "{whole}");
    let config = fs::read_to_string(place.path("whole/model/config.json")).unwrap();
    assert!(config.contains("\"model_type\": \"bert\""), "{config}");
    let weights = deepfit::train::read_weights(&place.path("whole/model/model.safetensors")).unwrap().0;
    assert!(weights.contains_key("embeddings.word_embeddings.weight"), "{:?}", weights.keys());
    let mut child = place.start(&[&arguments[..], &["stopped"]].concat());
    let rest = crate::program::wait_for_epoch(&mut child);
    crate::program::signal(&child, "INT");
    let told = rest();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{told}");
    place.run(&["train", "--resume", "stopped"]).succeeded();
    let bytes = |run: &str| fs::read(place.path(run).join("model/model.safetensors")).unwrap();
    assert!(bytes("whole") == bytes("stopped"));
}

#[test]
fn pairs_of_which_nothing_can_be_learned_are_refused_in_words() {
    let place = Place::new();
    let many = |row: &dyn Fn(usize) -> String| (0..30).map(|i| row(i) + "\n").collect::<String>();
    place.write("one.csv", "text\n".to_string() + &many(&|i| format!("the text of number {i}")));
    place.refuses(&["one.csv", "task=similarity"], &["two columns of texts", "has 1"]);
    place.write("alike.csv", "a,b\n".to_string() + &many(&|i| format!("always the same text,the text of number {i}")));
    place.refuses(&["alike.csv", "task=similarity"], &["same text", "'a'"]);
    place.write("empty.csv", "a,b\n".to_string() + &many(&|i| format!("the text of number {i},")));
    place.refuses(&["empty.csv", "task=similarity", "text=a,b"], &["no pair of texts"]);
    let scored = |score: &dyn Fn(usize) -> String| {
        "a,b,score\n".to_string() + &many(&|i| format!("one text of number {i},another text of {i},{}", score(i)))
    };
    place.write("constant.csv", scored(&|_| "3".to_string()));
    place.refuses(&["constant.csv", "task=similarity"], &["score", "3", "must differ"]);
    place.write("word.csv", scored(&|i| if i == 7 { "good".to_string() } else { i.to_string() }));
    place.refuses(&["word.csv", "task=similarity", "target=score"], &["score", "good", "number"]);
    let kinds = planted(60).into_iter().enumerate().map(|(i, [a, b])| {
        let kind = if i % 2 == 0 { "related" } else { "unrelated" };
        format!("{a},{b},{kind}\n")
    });
    place.write("kinds.csv", "question,answer,relation\n".to_string() + &kinds.collect::<String>());
    place.refuses(&["kinds.csv", "task=similarity"], &["relation", "'related', 'unrelated'", "text=question,answer"]);
    let named = ["train", "kinds.csv", "task=similarity", "text=question,answer", "--epochs", "1", "--out", "named"];
    let named = place.run(&named).succeeded();
    assert!(named.err.contains("not used: 'relation'"), "{}", named.err);
    place.write("good.csv", table(&planted(60)));
    place.refuses(&["good.csv", "--freeze"], &["unfreeze", "nothing to train"]);
    place.refuses(&["good.csv", "--lora", "4"], &["lora"]);
    place.refuses(&["good.csv", "folds=3"], &["folds", "similarity"]);
    place.refuses(&["good.csv", "--from", "scratch"], &["from", "published network"]);
    // Fewer pairs than a batch are one batch.
    place.run(&["train", "good.csv", "--out", "few", "--epochs", "1"]).succeeded();
}
