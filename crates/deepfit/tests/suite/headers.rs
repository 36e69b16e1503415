//! Tables without a row of names.

use serde_json::json;

use crate::program::Place;

/// Rows of a class, two numbers and a place. The first looks like a header to whoever must guess, since a column may be called
/// `y`.
fn votes(rows: usize) -> String {
    let line = |i: usize| {
        let (a, b) = ((i * 7919 % 1009) as f64 / 1009.0, (i * 104_729 % 997) as f64 / 997.0);
        let class = if i == 0 || a + b > 1.0 { "y" } else { "n" };
        format!("{class},{:.4},{b:.4},{}\n", if i == 0 { 0.99 } else { a }, ["north", "south"][i % 2])
    };
    (0..rows).map(line).collect()
}

#[test]
fn columns_without_names_are_called_by_their_numbers() {
    let place = Place::new();
    place.write("votes.csv", votes(200));
    let quick = ["--epochs", "20", "members=2", "folds=2", "--json"];
    let train = ["train", "votes.csv", "header=false", "--target", "1", "--by", "4", "--out", "run"];
    let ran = place.run(&[&train[..], &quick].concat()).succeeded();
    assert!(ran.err.contains("200 rows") && ran.err.contains("classification of 'column_1'"), "{}", ran.err);
    assert!(!ran.err.contains("no header was found"), "what was asked for is no news: {}", ran.err);
    assert_eq!(ran.json()["subgroups"]["column"], "column_4");
    let predicted = place.run(&["predict", "run", "votes.csv", "--json"]).succeeded().json();
    assert_eq!((predicted.as_array().unwrap().len(), &predicted[0]["prediction"]), (200, &json!("y")));
    let evaluated = place.run(&["evaluate", "run", "votes.csv", "--by", "4", "--json"]).succeeded().json();
    assert_eq!(evaluated["rows"], 200);
    assert_eq!(evaluated["subgroups"]["groups"][0]["name"], "north", "{evaluated}");

    // Left to itself it takes the first row for names, which `header=true` says too.
    let guessed = place.run(&["train", "votes.csv", "--target", "y", "--epochs", "1", "--out", "guessed"]).succeeded();
    assert!(guessed.err.contains("199 rows"), "{}", guessed.err);
    place.run(&["train", "votes.csv", "header=true", "--target", "1"]).is_refusal(&["'1'"]);
    place.run(&["train", "votes.csv", "header=false", "--target", "7"]).is_refusal(&["column_7", "column_4"]);
    place.run(&["train", "votes.csv", "header=perhaps"]).is_refusal(&["header", "true or false"]);

    let plan = place.run(&["plan", "votes.csv", "header=false", "--target", "1", "members=2"]).succeeded();
    assert!((plan.out + &plan.err).contains("column_1"));
    let compare =
        ["compare", "votes.csv", "header=false", "--target", "1", "--time", "20s", "epochs=1", "--json", "--quiet"];
    let found = place.run(&[&compare[..], &["members=2", "folds=2"]].concat()).succeeded().json();
    let way = found["ways"][1]["run"].as_str().unwrap();
    assert_eq!(place.run(&["evaluate", way, "votes.csv", "--json"]).succeeded().json()["rows"], 200);
}

#[test]
fn texts_and_pictures_of_tables_without_names_are_found_by_number() {
    let place = Place::new();
    let words = [["lovely", "splendid"], ["awful", "dreadful"]];
    let line =
        |i: usize| format!("it was a {} day in town number {i},{}\n", words[i % 2][i / 2 % 2], ["good", "bad"][i % 2]);
    place.write("texts.csv", (0..80).map(line).collect::<String>());
    let train = ["train", "texts.csv", "header=false", "--text", "1", "--target", "2", "--out", "texts", "--json"];
    let ran = place.run(&train).succeeded();
    assert!(ran.err.contains("80 texts") && ran.err.contains("'column_2'"), "{}", ran.err);
    let evaluated = place.run(&["evaluate", "texts", "texts.csv", "--json"]).succeeded().json();
    assert_eq!(evaluated["rows"], 80);
    let rows = place.run(&["predict", "texts", "texts.csv", "--json"]).succeeded().json();
    assert_eq!(rows.as_array().unwrap().len(), 80);
    for i in 0..24 {
        let folder = if i % 2 == 0 { "0" } else { "1" };
        place.write(&format!("pictures/{i}.png"), &crate::program::digits(&[folder], 12)[i / 2].1);
    }
    let line = |i: usize| format!("pictures/{i}.png,{}\n", ["zero", "one"][i % 2]);
    place.write("pictures.csv", (0..24).map(line).collect::<String>());
    let train =
        ["train", "pictures.csv", "header=false", "--target", "2", "--epochs", "1", "from=scratch", "--out", "run"];
    let ran = place.run(&train).succeeded();
    assert!(ran.err.contains("24 images"), "{}", ran.err);
    assert_eq!(place.run(&["evaluate", "run", "pictures.csv", "--json"]).succeeded().json()["rows"], 24);
}
