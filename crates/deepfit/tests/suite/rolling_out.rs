//! Attention roll-out: shares of all that is read, for texts and networks of every kind that attends, and refused for others.

use serde_json::Value;

use crate::drawn_texts;
use crate::program::Place;

const WORDS: [&str; 12] =
    ["stone", "horse", "river", "night", "music", "paper", "glass", "bread", "north", "awful", "lovely", "green"];
const METHOD: [&str; 2] = ["--method", "attention-rollout"];

fn rolled_out(place: &Place, model: &str, input: &str) -> Value {
    place.run(&[&["explain", model, input, "--json"], &METHOD[..]].concat()).succeeded().json()
}

/// Shares are told as such, add up to all that is read, and are tested like any other explanation.
#[track_caller]
fn are_shares(found: &Value) {
    let shares = found["attributions"].as_object().unwrap();
    let values: Vec<f64> = shares.values().map(|value| value.as_f64().unwrap()).collect();
    assert!(!values.is_empty() && values.iter().all(|&share| share >= 0.0), "{found}");
    assert!((values.iter().sum::<f64>() - 1.0).abs() < 1e-5, "{found}");
    assert_eq!((&found["method"], &found["unit"]), (&"attention-rollout".into(), &"attention".into()), "{found}");
    assert!(found["meaning"].as_str().unwrap().contains("not what speaks for its answer"), "{found}");
    assert!(found["completeness_error"].is_null(), "{found}");
    let test = &found["faithfulness"];
    assert!(test["deletion"].is_number() && test["insertion"].is_number() && test["orders"] == 5, "{found}");
    let worse = test["better_than"].as_u64().unwrap();
    assert!(found["warning"].is_null() || found["warning"].as_str().unwrap().contains(&format!("{worse} of 5")));
}

#[test]
fn published_networks_of_each_kind_tell_what_has_come_from_each_word() {
    let place = Place::new();
    place.write("new.txt", "stone horse lovely river night\nmusic paper the awful glass and bread\n");
    place.write("two.csv", "question,answer\nstone horse,lovely river night\nmusic,paper awful glass\n");
    for model in ["bert-classes", "modernbert-biases", "gpt2", "llama", "bert"] {
        drawn_texts::publish(&place, model, WORDS.into_iter());
        let input = if model == "bert" { "two.csv" } else { "new.txt" };
        let all = rolled_out(&place, model, input);
        assert_eq!(all.as_array().unwrap().len(), 2, "{model}: {all}");
        all.as_array().unwrap().iter().for_each(are_shares);
        let threads = [&["explain", model, input, "--json", "--threads", "1"], &METHOD[..]].concat();
        assert_eq!(place.run(&threads).succeeded().json(), all, "{model}");
    }
    let told =
        place.run(&[&["explain", "bert-classes", "new.txt", "--out", "pages"], &METHOD[..]].concat()).succeeded();
    assert!(told.out.contains(", by attention-rollout") && told.out.contains("where the network looks"), "{told:?}");
    assert!(told.out.contains(" of 5 random orders"), "{told:?}");
    let page = std::fs::read_to_string(place.path("pages/row-0-attention-rollout.html")).unwrap();
    assert!(page.contains("where the network looks") && page.contains(">lovely</span>"), "{page}");
    let refuses = |arguments: &[&str], words: &[&str]| {
        place.run(&[&["explain"], arguments, &METHOD[..]].concat()).is_refusal(words);
    };
    refuses(&["bert-classes", "new.txt", "--class", "good"], &["--class has no meaning", "is of no class"]);
    refuses(&["gpt2", "new.txt", "--class", "river"], &["--class has no meaning", "is of no class"]);
    refuses(&["minilm-static", "two.csv"], &["follows the weights of attention", "integrated-gradients, occlusion"]);
    refuses(&["efficientnet-lite0", "new.txt"], &["is not for a model of images", "grad-cam"]);
}

#[test]
fn a_network_that_is_trained_from_scratch_tells_where_it_looks() {
    let place = Place::new();
    let mut table = String::from("text,class\n");
    for i in 0..240 {
        // The last words alone decide; all others are drawn.
        let word = |k: usize| WORDS[(i * 7 + k * (5 + i / 9)) % 9];
        let (cue, class) = [("awful", "bad"), ("lovely", "good")][i % 2];
        table += &format!("{} {} {cue} {} {},{class}\n", word(0), word(1), word(2), word(3));
    }
    place.write("texts.csv", table);
    place.write("new.txt", "stone horse lovely river night\nmusic paper awful glass bread\n");
    let settings = ["--target", "class", "--from", "scratch", "--model", "transformer", "--epochs", "8"];
    place.trained("texts.csv", "run", &settings);
    let all = rolled_out(&place, "run", "new.txt");
    for (found, class) in all.as_array().unwrap().iter().zip(["good", "bad"]) {
        assert_eq!(found["prediction"], class, "{found}");
        are_shares(found);
        // The mean of all tokens is read, each of which has passed half of itself on in each layer, so that none has nothing.
        let shares = found["attributions"].as_object().unwrap();
        assert!(shares.len() == 5 && shares.values().all(|share| share.as_f64().unwrap() > 0.01), "{found}");
    }
}
