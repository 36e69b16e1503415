//! Networks that learn from texts: from nothing, and from published models.

use std::fs;

use serde_json::{Value, json};

use crate::drawn_texts;
use crate::program::{Place, Ran, signal, wait_for_epoch};

/// Reviews whose words tell what they think of what, and their class.
fn reviews(count: usize) -> Vec<(String, &'static str)> {
    const THINGS: [&str; 6] = ["film", "meal", "journey", "book", "concert", "garden"];
    const GOOD: [&str; 6] = ["lovely", "splendid", "delightful", "wonderful", "charming", "superb"];
    const BAD: [&str; 6] = ["dreadful", "dull", "tiresome", "awful", "shabby", "poor"];
    let random = |i: usize, n: usize| ((i * 31 + n) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) as usize % 7919 % 6;
    let review = |i: usize| {
        let (kind, words) = if i.is_multiple_of(2) { ("good", GOOD) } else { ("bad", BAD) };
        let mut text = format!("it was a {} {}", words[random(i, 1)], THINGS[random(i, 2)]);
        for more in 0..random(i, 3) {
            text += &format!(" and the {} was {}", THINGS[random(i, 4 + more)], words[random(i, 9 + more)]);
        }
        (text, kind)
    };
    (0..count).map(review).collect()
}

fn table(reviews: &[(String, &str)]) -> String {
    let rows = reviews.iter().enumerate().map(|(i, (text, kind))| format!("{i},\"{text}\",{kind}\n"));
    "id,review,opinion\n".to_string() + &rows.collect::<String>()
}

/// A BERT whose words are those of the reviews.
fn publish(place: &Place) {
    drawn_texts::publish(place, "bert", reviews(60).iter().flat_map(|(text, _)| text.split(' ')));
}

fn test_metric(ran: &Ran, name: &str) -> f64 {
    ran.json()["metrics"]["test"][name].as_f64().unwrap()
}

#[test]
fn every_network_learns_a_table_of_texts_and_is_used_on_lines_tables_and_standard_input() {
    let (place, texts) = (Place::new(), reviews(400));
    place.write("reviews.csv", table(&texts));
    for model in ["gru", "lstm", "rnn", "transformer"] {
        let run = place.run(&["train", "reviews.csv", "--model", model, "--from", "scratch", "--out", model, "--json"]);
        let run = run.succeeded();
        assert!(run.err.contains("400 texts") && run.err.contains("'id' (numbers the rows)"), "{}", run.err);
        assert!(test_metric(&run, "accuracy") >= 0.95, "{model}: {}", run.out);
    }
    let evaluated = place.run(&["evaluate", "gru", "reviews.csv", "--json"]).succeeded().json();
    assert!(evaluated["metrics"]["accuracy"].as_f64().unwrap() >= 0.95 && evaluated["rows"] == 400, "{evaluated}");
    // In the order of the lines, though the longest were first.
    let lines: String = texts.iter().map(|(text, _)| format!("{text}\n")).collect();
    let lines = place.write("lines.txt", lines);
    let of_lines = place.run(&["predict", "gru", "lines.txt", "--json"]).succeeded().json();
    let right = |row: &Value| {
        let place: usize = row["input"].as_str().unwrap().parse().unwrap();
        row["prediction"] == texts[place].1
    };
    let rows = of_lines.as_array().unwrap();
    assert!((0..400).all(|i: usize| rows[i]["input"] == i.to_string()[..]), "{of_lines}");
    assert!(rows.iter().filter(|row| right(row)).count() >= 380);
    let values = |ran: Ran| -> Vec<f64> {
        let rows = ran.succeeded().json();
        rows.as_array().unwrap().iter().map(|row| row["probabilities"]["good"].as_f64().unwrap()).collect()
    };
    let first = values(place.run(&["predict", "gru", "lines.txt", "--json"]));
    assert_eq!(first, values(place.run(&["predict", "gru", "reviews.csv", "--json"])));
    assert_eq!(first, values(place.feed(&["predict", "gru", "-", "--json"], &fs::read(lines).unwrap())));
    assert_eq!(first, values(place.feed(&["predict", "gru", "-", "--json"], table(&texts).as_bytes())));
    let embedded = place.run(&["embed", "gru", "lines.txt", "--json"]).succeeded().json();
    assert_eq!(embedded[399]["embedding"].as_array().unwrap().len(), 128);
}

#[test]
fn few_texts_begin_with_the_table_of_words_that_is_part_of_the_program() {
    let (place, texts) = (Place::new(), reviews(160));
    let line = |(text, kind): &(String, &str)| json!({"opinion": kind, "review": text}).to_string() + "\n";
    place.write("reviews.jsonl", texts.iter().map(line).collect::<String>());
    let run = ["train", "reviews.jsonl", "--target", "opinion", "--out", "run", "--json"];
    let run = place.run(&run).succeeded();
    assert!(run.err.contains("minilm-static") && run.err.contains("from=scratch"), "{}", run.err);
    assert!(test_metric(&run, "accuracy") >= 0.95 && run.err.contains(" further inputs: 2 outputs"), "{}", run.err);
    // Words that no training text has: what they mean is known.
    place.write("new.txt", "what a marvellous and beautiful evening\nterrible, ugly and boring\n");
    let predicted = place.run(&["predict", "run", "new.txt", "--json"]).succeeded().json();
    assert!(predicted[0]["prediction"] == "good" && predicted[1]["prediction"] == "bad", "{predicted}");
    let of_table = place.run(&["predict", "run", "reviews.jsonl", "--json"]).succeeded().json();
    assert_eq!(of_table.as_array().unwrap().len(), 160);
    let evaluated = place.run(&["evaluate", "run", "reviews.jsonl", "--json"]).succeeded().json();
    assert!(evaluated["metrics"]["accuracy"].as_f64().unwrap() >= 0.95, "{evaluated}");
    place.write("broken.jsonl", "{\"review\": \"a b c d\", \"opinion\": \"good\"}\n{\"review\": \n");
    place.refuses(&["broken.jsonl"], &["broken.jsonl", "line 2"]);

    // By itself it gives embeddings, in which what means the same is near.
    place.write("words.txt", "a small dog\na little puppy\nthe stock market\n");
    let rows = place.run(&["embed", "minilm-static", "words.txt", "--json"]).succeeded().json();
    let row = |i: usize| -> Vec<f64> { serde_json::from_value(rows[i]["embedding"].clone()).unwrap() };
    let near = |a: usize, b: usize| row(a).iter().zip(row(b)).map(|(x, y)| x * y).sum::<f64>();
    assert!(near(0, 1) > 0.4 && near(0, 2) < 0.3, "{} {}", near(0, 1), near(0, 2));
    let shown = place.run(&["models", "show", "minilm-static"]).succeeded().out;
    assert!(shown.contains("29524") && shown.contains("Apache-2.0"), "{shown}");
    place.run(&["predict", "minilm-static", "words.txt"]).is_refusal(&["gives embeddings"]);
}

#[test]
fn folders_of_text_files_are_classes_and_numbers_are_a_regression() {
    let (place, texts) = (Place::new(), reviews(160));
    for (i, (text, kind)) in texts.iter().enumerate() {
        let part = if i < 120 { "train" } else { "test" };
        place.write(&format!("letters/{part}/{kind}/{i}.txt"), text);
    }
    place.write("letters/train/good/no.txt", b"\xFF\xFE");
    let run = ["train", "letters", "--model", "gru", "--from", "scratch", "--out", "run", "--json", "--epochs", "30"];
    let run = place.run(&run).succeeded();
    assert!(run.err.contains("bad (60), good (60)") && run.err.contains("its own test part"), "{}", run.err);
    assert!(run.err.contains("skipped 1 unreadable text: 'train/good/no.txt'"), "{}", run.err);
    assert!(test_metric(&run, "accuracy") >= 0.9, "{}", run.out);
    let evaluated = place.run(&["evaluate", "run", "letters", "--json"]).succeeded().json();
    assert_eq!(evaluated["rows"], 40, "{evaluated}");
    let predicted = place.run(&["predict", "run", "letters/test", "--json"]).succeeded().json();
    assert_eq!(predicted.as_array().unwrap().len(), 40);

    // How often a word stands there.
    let rows = texts.iter().map(|(text, _)| format!("{text},{}\n", text.matches(" and ").count() as f32 + 0.5));
    place.write("numbers.csv", "words,count\n".to_string() + &rows.collect::<String>());
    let run = ["train", "numbers.csv", "--model", "gru", "--from", "scratch", "--json", "--task", "regression"];
    let run = place.run(&[&run[..7], &["task=regression", "--epochs", "30"]].concat()).succeeded();
    assert!(test_metric(&run, "r2") >= 0.6, "{}", run.out);
}

#[test]
fn a_published_model_for_texts_is_a_beginning() {
    let (place, texts) = (Place::new(), reviews(120));
    publish(&place);
    place.write("reviews.csv", table(&texts));
    let train = |out: &str, more: &[&str]| {
        let run = [&["train", "reviews.csv", "--from", "bert", "--out", out, "--json"], more].concat();
        place.run(&run).succeeded()
    };
    let first = train("frozen", &["--freeze"]);
    assert!(first.err.contains("of the features of"), "{}", first.err);
    let second = train("again", &["--freeze"]);
    assert!(!second.err.contains("of the features of"), "{}", second.err);
    assert!(place.weights("frozen") == place.weights("again"));
    let more = ["folds=1", "--epochs", "4"];
    train("unfrozen", &[&["--unfreeze", "all"], &more[..]].concat());
    train("last", &[&["--unfreeze", "1"], &more[..]].concat());
    let lora = train("lora", &[&["--lora", "4", "lr=0.5"], &more[..]].concat());
    // What was saved does what was measured, on all texts of the test.
    for (run, out) in [(&first, "frozen"), (&lora, "lora")] {
        let split: Value =
            serde_json::from_str(&fs::read_to_string(place.path(&format!("{out}/split.json"))).unwrap()).unwrap();
        let rows = split["test"].as_array().unwrap().iter().map(|row| row.as_u64().unwrap() as usize);
        let test: Vec<(String, &str)> = rows.map(|row| texts[row].clone()).collect();
        place.write("test.csv", table(&test));
        let evaluated = place.run(&["evaluate", out, "test.csv", "--json"]).succeeded().json();
        let (trained, used) = (test_metric(run, "log_loss"), evaluated["metrics"]["log_loss"].as_f64().unwrap());
        assert!((trained - used).abs() < 1e-4 * trained.max(0.1), "{out}: {trained} {used}");
    }
    let (frozen, unfrozen, last) = (place.weights("frozen"), place.weights("unfrozen"), place.weights("last"));
    let low_rank = place.weights("lora");
    assert_eq!(frozen.keys().collect::<Vec<_>>(), low_rank.keys().collect::<Vec<_>>());
    let word = "bert.embeddings.word_embeddings.weight";
    let (low, high) = ("bert.encoder.layer.0.output.dense.weight", "bert.encoder.layer.1.output.dense.weight");
    for (name, whole, of_last, of_lora) in
        [(word, true, false, false), (low, true, false, true), (high, true, true, true)]
    {
        assert_eq!(unfrozen[name] != frozen[name], whole, "{name}");
        assert_eq!(last[name] != frozen[name], of_last, "{name}");
        assert_eq!(low_rank[name] != frozen[name], of_lora, "{name}");
    }
    assert!(place.path("frozen/model/tokenizer.json").is_file());
    let embedded = place.run(&["embed", "frozen", "reviews.csv", "--json"]).succeeded().json();
    let published = place.run(&["embed", "bert", "reviews.csv", "--column", "review", "--json"]).succeeded().json();
    for row in [0, 77] {
        let one: Vec<f64> = serde_json::from_value(embedded[row]["embedding"].clone()).unwrap();
        let other: Vec<f64> = serde_json::from_value(published[row]["embedding"].clone()).unwrap();
        assert!(one.iter().zip(&other).all(|(a, b)| (a - b).abs() < 1e-5), "{one:?} {other:?}");
    }
}

#[test]
fn a_run_on_texts_that_is_stopped_goes_on_to_the_same_weights() {
    let place = Place::new();
    place.write("reviews.csv", table(&reviews(300)));
    let run = ["train", "reviews.csv", "--model", "lstm", "--from", "scratch", "--epochs", "100", "--out"];
    place.run(&[&run[..], &["whole"]].concat()).succeeded();
    let mut child = place.start(&[&run[..], &["stopped"]].concat());
    let rest = wait_for_epoch(&mut child);
    signal(&child, "INT");
    let told = rest();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{told}");
    place.run(&["train", "--resume", "stopped"]).succeeded();
    assert!(place.weights("whole") == place.weights("stopped"));
}

#[test]
fn what_is_wrong_with_texts_is_said() {
    let (place, texts) = (Place::new(), reviews(60));
    place.write("reviews.csv", table(&texts));
    place.refuses(&["reviews.csv", "--text", "reveiw"], &["reveiw", "id, review, opinion"]);
    place.refuses(&["reviews.csv", "--text", "review", "--target", "review"], &["text", "the target"]);
    place.refuses(&["reviews.csv", "--model", "cnn", "--from", "scratch"], &["model", "lstm"]);
    place.refuses(&["reviews.csv", "--from", "efficientnet-lite0"], &["from", "for images", "texts"]);
    place.refuses(&["reviews.csv", "vocabulary=10"], &["vocabulary", "256"]);
    place.refuses(&["reviews.csv", "--text", "review", "--target", "id", "task=classification"], &["id", "too many"]);
    place.write("table.csv", crate::program::table(40));
    place.refuses(&["table.csv", "--model", "lstm"], &["model", "for texts"]);
    publish(&place);
    place.refuses(&["table.csv", "--from", "bert"], &["from", "for texts", "a table"]);
    place.refuses(&["reviews.csv", "--from", "bert", "--unfreeze", "99"], &["unfreeze", "3 blocks"]);
    place.refuses(&["reviews.csv", "--from", "bert", "max_tokens=100000"], &["max_tokens", "positions"]);
    let mut bad = table(&texts).into_bytes();
    let place_of_text = bad.windows(6).position(|w| w == b"it was").unwrap();
    bad[place_of_text] = 0xFF;
    place.write("bad.csv", bad);
    place.refuses(&["bad.csv"], &["bad.csv", "UTF-8"]);
    for kind in ["good", "bad"] {
        place.write(&format!("letters/{kind}/1.txt"), "one");
    }
    place.refuses(&["letters"], &["letters", "2 usable text(s)"]);
    place.write("one/good/1.txt", "a text");
    place.refuses(&["one"], &["only one class", "good"]);
    place.refuses(&["letters", "--target", "x"], &["target", "folder"]);

    place.run(&["train", "reviews.csv", "--from", "scratch", "--epochs", "1", "--out", "run"]).succeeded();
    place.write("letters/ugly/1.txt", "two");
    place.run(&["evaluate", "run", "letters"]).is_refusal(&["ugly", "good"]);
    place.write("other.csv", "title,kind\na b c d,good\ne f g h,bad\n");
    place.run(&["evaluate", "run", "other.csv"]).is_refusal(&["opinion"]);
    // Empty and long texts are texts.
    place.write("lines.txt", format!("\n{}\nshort\n", "word ".repeat(200_000)));
    let rows = place.run(&["predict", "run", "lines.txt", "--json"]).succeeded();
    assert_eq!(rows.json().as_array().unwrap().len(), 3);
    assert!(rows.err.contains("1 of 3 texts has more than 256 tokens"), "{}", rows.err);
    fs::write(place.path("run/model/tokenizer.json"), "{").unwrap();
    place.run(&["predict", "run", "lines.txt"]).is_refusal(&["tokenizer.json", "damaged"]);
    fs::remove_file(place.path("run/model/tokenizer.json")).unwrap();
    place.run(&["predict", "run", "lines.txt"]).is_refusal(&["tokenizer.json"]);
}

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

#[test]
fn what_comes_next_in_a_text_is_learned_measured_and_continued() {
    let place = Place::new();
    place.write("book.txt", book(900));
    place.write("other.txt", book(1000).split_off(book(900).len()));
    for (model, vocabulary) in
        [("lstm", "vocabulary=257"), ("gru", "vocabulary=300"), ("transformer", "vocabulary=300")]
    {
        let run = ["train", "book.txt", "--model", model, vocabulary, "max_tokens=32", "--epochs", "5", "--out", model];
        let run = place.run(&[&run[..], &["--json"]].concat()).succeeded();
        let found = test_metric(&run, "bits_per_byte");
        // Each sentence is one of 64: six bits for some 40 bytes.
        assert!(found < 0.6, "{model}: {}", run.out);
        assert!((test_metric(&run, "perplexity").ln() - test_metric(&run, "log_loss")).abs() < 1e-6);
        let other = place.run(&["evaluate", model, "other.txt", "--json"]).succeeded().json();
        assert!((other["metrics"]["bits_per_byte"].as_f64().unwrap() - found).abs() < 0.3, "{found} {other}");
        let more = ["--temperature", "1", "--max-tokens", "60", "--json"];
        let drawn = |seed: &str| {
            let ran = place.run(&[&["generate", model, "Today the baker", "--seed", seed], &more[..]].concat());
            ran.succeeded().json()["text"].as_str().unwrap().to_string()
        };
        assert_eq!(drawn("1"), drawn("1"));
        let told: std::collections::BTreeSet<String> = (1..6).map(|seed| drawn(&seed.to_string())).collect();
        assert!(told.len() > 1, "{told:?}");
        let deeds = [" sold ", " painted ", " lost ", " admired "];
        let sound = told.iter().filter(|text| deeds.iter().any(|deed| text.starts_with(deed))).count();
        assert!(2 * sound >= told.len(), "{told:?}");
    }
    // Token by token it is the same as read at once.
    let likeliest = |prompt: &str, tokens: &str| {
        let ran = place.run(&["generate", "lstm", prompt, "--max-tokens", tokens, "--json"]).succeeded();
        ran.json()["text"].as_str().unwrap().to_string()
    };
    let all = likeliest("Today a sailor", "30");
    let (first, rest) = all.split_at(12);
    assert_eq!(likeliest(&format!("Today a sailor{first}"), "18"), rest);

    place.run(&["predict", "lstm", "book.txt"]).is_refusal(&["continues texts", "deepfit generate"]);
    place.refuses(&["book.txt", "--target", "x"], &["target", "what comes next"]);
    place.refuses(&["book.txt", "--model", "resnet18"], &["model", "lstm"]);
    place.write("short.txt", "Hardly a text.");
    place.refuses(&["short.txt"], &["short.txt", "too short", "max_tokens"]);
    place.write("reviews.csv", table(&reviews(40)));
    place.run(&["train", "reviews.csv", "--from", "scratch", "--epochs", "1", "--out", "classes"]).succeeded();
    place.run(&["generate", "classes", "it was"]).is_refusal(&["not trained to continue", ".txt"]);
}
