//! Explanations of labels of words, of what comes next in a text, and of how near two texts are: the word that was planted is
//! found, and named in the report.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::program::Place;

const NAMES: [&str; 12] =
    ["ada", "berlin", "cairo", "dora", "emil", "florence", "georgia", "hector", "ivo", "jordan", "kent", "lima"];
const FILLERS: [&str; 8] = ["often", "today", "again", "slowly", "later", "always", "soon", "never"];

/// A number that looks as if it were drawn, below another.
fn drawn(i: usize, n: usize, below: usize) -> usize {
    let mut x = ((i * 131 + n) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 31)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    ((x >> 33) % below as u64) as usize
}

fn named(explanation: &Value) -> BTreeMap<String, f64> {
    serde_json::from_value(explanation["attributions"].clone()).unwrap()
}

/// The name with the largest attribution.
fn strongest(explanation: &Value) -> String {
    named(explanation).into_iter().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap().0
}

#[track_caller]
fn holds(explanation: &Value) {
    let test = &explanation["faithfulness"];
    assert!(explanation["warning"].is_null(), "{} {test}", explanation["warning"]);
    assert!(test["deletion"].as_f64().unwrap() < test["random"]["deletion"].as_f64().unwrap(), "{test}");
}

fn explained(place: &Place, run: &Path, input: &str, more: &[&str]) -> Value {
    place.run(&[&["explain", run.to_str().unwrap(), input, "--json"], more].concat()).succeeded().json()
}

/// The report with everything, as text.
fn full(place: &Place, run: &Path) -> String {
    place.run(&["report", run.to_str().unwrap(), "--full"]).succeeded();
    fs::read_to_string(run.join("report.html")).unwrap()
}

#[test]
fn the_word_before_is_found_to_decide_the_label_of_a_word() {
    let place = Place::new();
    let mut sentences = String::new();
    for i in 0..400 {
        // Whether a name is one of a person or of a place, the word before it alone tells.
        // One in twenty is labelled wrongly, so that there are mistakes to look at.
        let told = drawn(i, 1, 2);
        let (before, tag) = (["mister", "in"][told], ["B-PERSON", "B-PLACE"][told ^ usize::from(i % 20 == 7)]);
        let filler = |n: usize| FILLERS[drawn(i, n, 8)];
        let name = NAMES[drawn(i, 2, 12)];
        sentences += &format!("{} O\n{} O\n{before} O\n{name} {tag}\n{} O\n\n", filler(3), filler(4), filler(5));
    }
    place.write("words.conll", sentences);
    let run = place.trained("words.conll", "run", &["--from", "scratch", "--epochs", "12"]);
    place.write("new.txt", "never again mister lima often\nsoon later in emil today\nsoon later again\n");
    for method in ["occlusion", "integrated-gradients"] {
        let all = explained(&place, &run, "new.txt", &["--method", method]);
        assert_eq!(all.as_array().unwrap().len(), 2, "{all}");
        for (found, (tag, word, cue)) in
            all.as_array().unwrap().iter().zip([("B-PERSON", "lima", "mister"), ("B-PLACE", "emil", "in")])
        {
            assert_eq!((&found["prediction"], &found["word"]), (&tag.into(), &word.into()), "{found}");
            assert_eq!(strongest(found), cue, "{method}: {}", found["attributions"]);
            assert_eq!(found["completeness_error"].is_number(), method == "integrated-gradients");
            holds(found);
        }
    }
    let shown = place.run(&["explain", "run", "new.txt"]).succeeded();
    assert!(shown.out.contains("0, 'lima': B-PERSON"), "{shown:?}");
    assert!(shown.err.contains("2: no word of it has a label"), "{shown:?}");
    // Of a class, the word that is nearest to it is explained.
    let other = explained(&place, &run, "new.txt", &["--class", "PLACE"]);
    assert_eq!((&other[0]["class"], &other[0]["word"]), (&"B-PLACE".into(), &"lima".into()), "{other}");
    let refuses = |more: &[&str], words: &[&str]| {
        place.run(&[&["explain", "run", "new.txt"], more].concat()).is_refusal(words);
    };
    refuses(&["--class", "TOWN"], &["knows no class 'TOWN'", "B-PLACE"]);
    refuses(&["--method", "grad-cam"], &["not for a model of texts whose words are labelled", "occlusion"]);
    let page = full(&place, &run);
    assert!(page.contains("What counts most: the word 'mister'") || page.contains("What counts most: the word 'in'"));
    // The words that are wrong are explained, each beside what is true.
    assert!(page.contains("of the word '") && page.contains(", and the truth is 'B-P"), "{page}");
}

#[test]
fn the_earlier_word_is_found_that_tells_what_comes_next() {
    let place = Place::new();
    // Two texts are woven into each other, each of which says a word again and again: the word before the last tells the next.
    let (mut words, mut text) = ([0, 1], String::new());
    for i in 0..6_000 {
        if drawn(i, 1, 6) == 0 {
            words[i % 2] = drawn(i, 2, 8);
        }
        text = text + FILLERS[words[i % 2]] + if i % 16 == 15 { "\n" } else { " " };
    }
    place.write("book.txt", text);
    let model = [
        "--from",
        "scratch",
        "--model",
        "gru",
        "tokens=wordpiece",
        "--epochs",
        "6",
        "--lr",
        "0.01",
        "--batch",
        "8",
        "max_tokens=32",
    ];
    let run = place.trained("book.txt", "run", &model);
    place.write("new.txt", "today slowly later often again soon\nagain always never later soon often\n");
    for method in ["occlusion", "integrated-gradients"] {
        let all = explained(&place, &run, "new.txt", &["--method", method]);
        for (found, cue) in all.as_array().unwrap().iter().zip(["again", "soon"]) {
            assert_eq!(found["prediction"].as_str().unwrap().trim(), cue, "{method}: {found}");
            assert_eq!(strongest(found), cue, "{method}: {}", found["attributions"]);
            holds(found);
        }
    }
    let other = explained(&place, &run, "new.txt", &["--class", "never"]);
    assert_eq!(other[0]["class"].as_str().unwrap().trim(), "never");
    let piped = place.feed(&["explain", "run", "-", "--json"], b"later often never soon\n").succeeded().json();
    assert_eq!(strongest(&piped[0]), "never");
    place.run(&["explain", "run", "new.txt", "--class", "xyzzy"]).is_refusal(&["knows no class 'xyzzy'"]);
    let attention = ["explain", "run", "new.txt", "--method", "attention-rollout"];
    place.run(&attention).is_refusal(&["weights of attention", "this network has none", "occlusion"]);
    let page = full(&place, &run);
    assert!(page.contains("What counts most") && page.contains("How it goes on"));
}

#[test]
fn the_word_is_found_by_which_two_texts_are_near() {
    let place = Place::new();
    let rows = (0..160).map(|i| {
        let (word, filler) = (NAMES[i % 12], |n: usize| FILLERS[drawn(i, n, 8)]);
        format!("{} {word} {} and so,it was {word} {} there\n", filler(1), filler(2), filler(3))
    });
    place.write("pairs.csv", format!("question,answer\n{}", rows.collect::<String>()));
    let run = place.trained("pairs.csv", "run", &["task=similarity", "--epochs", "4"]);
    place.write("new.csv", "question,answer\nsoon hector again and so,it was hector today there\n");
    for method in ["occlusion", "integrated-gradients"] {
        let all = explained(&place, &run, "new.csv", &["--method", method]);
        let found = &all[0];
        assert!(strongest(found).starts_with("hector ("), "{method}: {}", found["attributions"]);
        for name in ["hector (first text)", "hector (second text)"] {
            assert!(named(found).contains_key(name), "{found}");
        }
        assert_eq!(found["unit"], "similarity");
        assert!(found["prediction"].as_f64().unwrap() > 0.5, "{found}");
        holds(found);
    }
    let piped = place.feed(&["explain", "run", "-", "--json"], b"soon hector again\tit was hector there\n").succeeded();
    assert!(strongest(&piped.json()[0]).starts_with("hector"));
    place.feed(&["explain", "run", "-"], b"soon hector again\n").is_refusal(&["line 1", "tabulator"]);
    let shown = place.run(&["explain", "run", "new.csv"]).succeeded().out;
    assert!(shown.contains("first text: ") && shown.contains("second text: "), "{shown}");
    // Other columns are not taken for those that were learned from.
    place.write("other.csv", "title,body\nsoon hector again and so,it was hector today there\n");
    place.run(&["explain", "run", "other.csv"]).is_refusal(&["other.csv", "lacks the columns 'question', 'answer'"]);
    place.run(&["explain", "run", "new.csv", "--class", "yes"]).is_refusal(&["how near two texts are"]);
    place.run(&["explain", "run", "new.csv", "--method", "neighbours"]).is_refusal(&["pairs of texts", "occlusion"]);
    // A published table of words is explained in the same way.
    let published = explained(&place, Path::new("minilm-static"), "new.csv", &[]);
    assert!(strongest(&published[0]).starts_with("hector"), "{published}");
    let page = full(&place, &run);
    assert!(page.contains("Both texts have a similarity of") || page.contains("no mistake among the test texts"));
    assert!(!page.contains("Both texts have") || page.contains("First text: "));
}
