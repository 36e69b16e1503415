//! Two texts that are compared, and texts beside numbers and categories.

use std::fs;

use serde_json::json;

use crate::drawn_texts;
use crate::program::{Place, Ran};

fn random(i: usize, n: usize, below: usize) -> usize {
    // SplitMix64 (Steele et al., 2014): of neighbours, nothing is alike.
    let mut x = (i as u64 * 1009 + n as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (x ^ (x >> 31)) as usize % below
}

const THINGS: [&str; 12] = [
    "boat", "garden", "piano", "bicycle", "castle", "kitchen", "volcano", "library", "airport", "wolf", "candle",
    "river",
];

/// Words that say nothing of what is to be learned.
fn filler(i: usize, n: usize) -> String {
    const WORDS: [&str; 15] = [
        "with", "some", "of", "our", "friends", "before", "noon", "when", "it", "rained", "and", "nobody", "else",
        "came", "by",
    ];
    format!("{} {}", WORDS[random(i, n, 15)], WORDS[random(i, n + 1, 15)])
}

/// Words that are near to these.
const NEAR: [&str; 12] = [
    "ship", "plants", "keyboard", "bike", "fortress", "stove", "eruption", "books", "runway", "wolves", "lamp",
    "stream",
];

/// Two sentences each, and whether they are about the same thing; single words say nothing.
fn pairs(count: usize, second: &[&str; 12]) -> Vec<[String; 3]> {
    let pair = |i: usize| {
        let thing = random(i, 1, 12);
        let other = if i.is_multiple_of(2) { thing } else { (thing + 1 + random(i, 2, 11)) % 12 };
        let same = if thing == other { "same" } else { "different" };
        [
            format!("we saw a {} yesterday {}", THINGS[thing], filler(i, 3)),
            format!("they told us of the {} there {}", second[other], filler(i, 5)),
            same.to_string(),
        ]
    };
    (0..count).map(pair).collect()
}

fn table(rows: &[[String; 3]]) -> String {
    let rows = rows.iter().map(|row| row.join(",") + "\n");
    "first,second,relation\n".to_string() + &rows.collect::<String>()
}

fn metric(ran: &Ran, name: &str) -> f64 {
    ran.json()["metrics"]["test"][name].as_f64().unwrap()
}

fn probabilities(ran: Ran, class: &str) -> Vec<f64> {
    let rows = ran.succeeded().json();
    rows.as_array().unwrap().iter().map(|row| row["probabilities"][class].as_f64().unwrap()).collect()
}

#[test]
fn two_columns_of_texts_are_compared() {
    let (place, rows) = (Place::new(), pairs(400, &NEAR));
    place.write("pairs.csv", table(&rows));
    let run = place.run(&["train", "pairs.csv", "--out", "run", "--json"]).succeeded();
    assert!(run.err.contains("400 pairs of texts, compared, of up to"), "{}", run.err);
    assert!(metric(&run, "accuracy") >= 0.9, "{}", run.out);
    // Read one after the other, words tell less.
    let one = place.run(&["train", "pairs.csv", "pairs=false", "--out", "one", "--json"]).succeeded();
    assert!(metric(&one, "accuracy") <= 0.85 && metric(&one, "accuracy") < metric(&run, "accuracy"), "{}", one.out);

    let evaluated = place.run(&["evaluate", "run", "pairs.csv", "--json"]).succeeded().json();
    assert!(evaluated["metrics"]["accuracy"].as_f64().unwrap() >= 0.9, "{evaluated}");
    let of_table = probabilities(place.run(&["predict", "run", "pairs.csv", "--json"]), "same");
    assert_eq!(of_table.len(), 400);
    assert_eq!(
        of_table,
        probabilities(place.feed(&["predict", "run", "-", "--json"], table(&rows).as_bytes()), "same")
    );
    let lines = rows.iter().map(|[first, second, _]| json!({"second": second, "first": first}).to_string() + "\n");
    place.write("pairs.jsonl", lines.collect::<String>());
    assert_eq!(of_table, probabilities(place.run(&["predict", "run", "pairs.jsonl", "--json"]), "same"));
    let embedded = place.run(&["embed", "run", "pairs.csv", "--json"]).succeeded().json();
    assert!(embedded[0]["embedding"].as_array().unwrap().len() >= 4 * 256, "{}", embedded[0]);

    place.write("lines.txt", "a line\n");
    place.run(&["predict", "run", "lines.txt"]).is_refusal(&["compares two texts", "first and second"]);
    place.feed(&["predict", "run", "-"], b"a line\n").is_refusal(&["first and second"]);
    place.write("one.csv", "first,relation\nabc,same\n");
    place.run(&["predict", "run", "one.csv"]).is_refusal(&["one.csv"]);
    place.refuses(&["pairs.csv", "--text", "first", "pairs=true"], &["pairs", "there is one: first"]);
    // Texts without a letter, and of more letters than any network takes.
    let long = "word ".repeat(100_000);
    place.write("odd.csv", format!("first,second\n,\n,something\nsomething,\n\"{long}\",\"{long}\"\n"));
    let odd = place.run(&["predict", "run", "odd.csv", "--json"]).succeeded();
    assert_eq!(odd.json().as_array().unwrap().len(), 4);
    assert!(odd.err.contains("1 of 4 texts has more than"), "{}", odd.err);
}

#[test]
fn networks_from_scratch_compare_texts_too() {
    let (place, rows) = (Place::new(), pairs(600, &THINGS));
    place.write("pairs.csv", table(&rows));
    for model in ["gru", "transformer"] {
        let run = place.run(&["train", "pairs.csv", "--from", "scratch", "--model", model, "--out", model, "--json"]);
        let run = run.succeeded();
        assert!(metric(&run, "accuracy") >= 0.9, "{model}: {}", run.out);
    }
}

/// A BERT whose words are those of the pairs, with what it puts around two texts.
fn publish(place: &Place) {
    let rows = pairs(100, &THINGS);
    let words = rows.iter().flat_map(|row| row[..2].iter().flat_map(|text| text.split(' ')));
    let special = |name: &str, id: u32| json!({"id": name, "ids": [id], "tokens": [name]});
    let token = |name: &str, kind: u32| json!({"SpecialToken": {"id": name, "type_id": kind}});
    let text = |name: &str, kind: u32| json!({"Sequence": {"id": name, "type_id": kind}});
    let around = json!({
        "type": "TemplateProcessing",
        "single": [token("[CLS]", 0), text("A", 0), token("[SEP]", 0)],
        "pair": [token("[CLS]", 0), text("A", 0), token("[SEP]", 0), text("B", 1), token("[SEP]", 1)],
        "special_tokens": {"[CLS]": special("[CLS]", 1), "[SEP]": special("[SEP]", 2)},
    });
    let parts = json!({"pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": around});
    drawn_texts::publish_with(place, "bert", &["[CLS]", "[SEP]"], words, parts);
}

#[test]
fn a_published_network_tells_the_second_text_from_the_first() {
    let (place, rows) = (Place::new(), pairs(400, &THINGS));
    publish(&place);
    place.write("pairs.csv", table(&rows));
    let before = place.weights("bert/model.safetensors");
    let run = ["train", "pairs.csv", "--from", "bert", "--unfreeze", "all", "--out", "run", "--json"];
    let run = place.run(&run).succeeded();
    assert!(metric(&run, "accuracy") >= 0.8, "{}", run.out);
    let after = place.weights("run");
    let name = after.keys().find(|name| name.ends_with("token_type_embeddings.weight")).unwrap();
    let old = &before["embeddings.token_type_embeddings.weight"];
    let (width, new) = (old.len() / 2, &after[name]);
    assert!(old[..width] != new[..width] && old[width..] != new[width..], "both rows were trained");
    // Low-rank changes leave them as they are, and what stands beside the texts goes on to the last layer.
    place.run(&["train", "pairs.csv", "--from", "bert", "--lora", "2", "--out", "lora", "--epochs", "2"]).succeeded();
    let adapted = place.weights("lora");
    assert!(adapted[name] == *old);
    // Attention leads to words and to what stands around them, and tells nothing of what stands beside them.
    place.write("two.csv", table(&rows[..2]));
    let told = place.run(&["explain", "lora", "two.csv", "--method", "attention-rollout", "--json"]).succeeded();
    assert!(told.err.contains("of which attention tells nothing"), "{}", told.err);
    for found in told.json().as_array().unwrap() {
        let shares = found["attributions"].as_object().unwrap();
        assert!(shares["[beginning and end]"].as_f64().unwrap() > 0.1, "{found}");
        assert!((shares.values().map(|share| share.as_f64().unwrap()).sum::<f64>() - 1.0).abs() < 1e-5, "{found}");
    }
}

/// Ratings that a word, a number and a category make together.
fn ratings(count: usize) -> String {
    const WORDS: [&str; 4] = ["dreadful", "dull", "pleasant", "wonderful"];
    const PLACES: [&str; 3] = ["north", "south", "west"];
    let row = |i: usize| {
        let (word, km, place) = (random(i, 1, 4), random(i, 2, 1000), random(i, 3, 3));
        // The number counts only beyond its middle, which no straight line tells.
        let stars = word as f64 + 3.0 * (km as f64 / 1000.0 - 0.5).max(0.0) - 2.0 * f64::from(u8::from(place == 1));
        format!("{i},what a {} place that was {},{km},{},{stars}\n", WORDS[word], filler(i, 7), PLACES[place])
    };
    "id,review,km,region,stars\n".to_string() + &(0..count).map(row).collect::<String>()
}

#[test]
fn numbers_and_categories_beside_texts_are_learned_from_in_one_network() {
    let place = Place::new();
    place.write("ratings.csv", ratings(600));
    for (from, out, least) in [("minilm-static", "table", 0.95), ("scratch", "gru", 0.6)] {
        let run = place.run(&["train", "ratings.csv", "--from", from, "--target", "stars", "--out", out, "--json"]);
        let run = run.succeeded();
        assert!(
            run.err.contains("600 texts of up to") && run.err.contains("beside them 'km', 'region'"),
            "{}",
            run.err
        );
        assert!(run.err.contains("'id' ("), "{}", run.err);
        assert!(metric(&run, "r2") >= least, "{from}: {}", run.out);
    }
    // Without one of the three it is another matter.
    let all = ratings(600);
    let less = all.lines().map(|line| line.split(',').enumerate()).map(|fields| {
        let kept: Vec<&str> = fields.filter(|(i, _)| *i != 3).map(|(_, field)| field).collect();
        kept.join(",") + "\n"
    });
    place.write("less.csv", less.collect::<String>());
    let run = place.run(&["train", "less.csv", "--target", "stars", "--out", "less", "--json"]).succeeded();
    assert!(metric(&run, "r2") <= 0.8, "{}", run.out);

    let new = "region,km,review\nsouth,900,what a wonderful place that was\n,,what a dull place that was\neast,0,\n";
    let new = place.write("new.csv", new);
    let of_file = place.run(&["predict", "table", "new.csv", "--json"]).succeeded().json();
    let value = |row: usize| of_file[row]["prediction"].as_f64().unwrap();
    assert!((value(0) - (3.0 + 1.2 - 2.0)).abs() < 0.5, "{of_file}");
    assert!(of_file.as_array().unwrap().len() == 3 && value(2).is_finite(), "{of_file}");
    let fed = place.feed(&["predict", "table", "-", "--json"], &fs::read(&new).unwrap()).succeeded().json();
    assert_eq!(of_file, fed);
    let two = place.run(&["predict", "table", "new.csv", "new.csv", "--json"]).succeeded().json();
    assert_eq!(
        (two[3]["prediction"].clone(), two[3]["input"].clone()),
        (of_file[0]["prediction"].clone(), json!("new.csv:0"))
    );
    // What the number and the category say is told beside the words, and the other words say nothing.
    for method in ["occlusion", "integrated-gradients"] {
        let told = place.run(&["explain", "table", "new.csv", "--method", method, "--json"]).succeeded().json();
        let said = |name: &str| told[0]["attributions"][name].as_f64().unwrap_or_else(|| panic!("{name}: {told}"));
        assert!(said("km") > 0.5 && said("region") < -0.5 && said("wonderful") > 0.5, "{told}");
        assert!(said("place").abs() < 0.25 * said("wonderful"), "{told}");
    }
    let evaluated = place.run(&["evaluate", "gru", "ratings.csv", "--json"]).succeeded().json();
    assert!(evaluated["metrics"]["r2"].as_f64().unwrap() >= 0.6, "{evaluated}");
    place.write("lines.txt", "what a wonderful place that was\n");
    place.run(&["predict", "table", "lines.txt"]).is_refusal(&["lines.txt", "km"]);
    place.write("none.csv", "region,review\nsouth,what a place\n");
    place.run(&["predict", "table", "none.csv"]).is_refusal(&["none.csv", "km"]);
    // A damaged file of settings is told, whatever it says.
    let path = place.path("table/model/config.json");
    let config = fs::read_to_string(&path).unwrap();
    fs::write(
        &path,
        config.replacen("\"borders\":[[", "\"borders\":[[5e9,", 1).replacen(
            "\"borders\": [\n",
            "\"borders\": [ [],\n",
            1,
        ),
    )
    .unwrap();
    assert!(fs::read_to_string(&path).unwrap() != config, "{config}");
    place.run(&["predict", "table", "new.csv"]).is_refusal(&["config.json"]);
}

#[test]
fn a_column_of_texts_is_left_alone_where_that_is_asked_for() {
    let place = Place::new();
    place.write("ratings.csv", ratings(300));
    let run = place.run(&["train", "ratings.csv", "--text", "none", "--out", "run", "--epochs", "2"]).succeeded();
    assert!(run.err.contains("300 rows, ") && run.out.contains("tabm"), "{} {}", run.err, run.out);
}
