//! Tables in the formats that people have: compressed text, JSON Lines, Parquet, Arrow. They are made by
//! `scripts/make-table-files.py`.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::program::{Place, digits};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deepfit-data/tests/tables").join(name)
}

/// Copies a file into the place.
fn copy(place: &Place, name: &str) -> String {
    let last = name.rsplit('/').next().unwrap();
    place.write(last, fs::read(file(name)).unwrap());
    last.to_string()
}

/// What the run says, without what depends on the clock.
fn metrics(place: &Place, arguments: &[&str]) -> Value {
    let all = [&["train"], arguments, &["epochs=4", "folds=1", "--json"]].concat();
    place.run(&all).succeeded().json()["metrics"].take()
}

#[test]
fn a_table_makes_the_same_model_from_every_format() {
    let place = Place::new();
    let expected = metrics(&place, &[&copy(&place, "kinds.csv"), "--out", "run"]);
    assert!(expected["test"]["accuracy"].is_number(), "{expected}");
    let rows = place.run(&["predict", "run", "kinds.csv", "--json"]).succeeded().json();
    let measured = place.run(&["evaluate", "run", "kinds.csv", "--json"]).succeeded().json();
    for name in ["zstd.parquet", "kinds.feather", "stream.arrow", "kinds.jsonl.gz", "kinds.csv.zst", "kinds.csv.gz"] {
        let name = copy(&place, name);
        assert_eq!(metrics(&place, &[&name]), expected, "{name}");
        assert_eq!(place.run(&["predict", "run", &name, "--json"]).succeeded().json(), rows, "{name}");
        assert_eq!(place.run(&["evaluate", "run", &name, "--json"]).succeeded().json(), measured, "{name}");
        let streamed = place.feed(&["predict", "run", "-", "--json"], &fs::read(place.path(&name)).unwrap());
        assert_eq!(streamed.succeeded().json(), rows, "{name}");
    }
    let embedded = place.run(&["embed", "run", "zstd.parquet"]).succeeded();
    assert_eq!(embedded.out, place.run(&["embed", "run", "kinds.csv"]).succeeded().out);
    let inspected = place.run(&["inspect", "zstd.parquet"]).succeeded();
    assert!(inspected.out.contains("60 rows") && inspected.out.contains("3 dates"), "{}", inspected.out);
    assert!(inspected.out.contains("'note'"), "{}", inspected.out);
}

#[test]
fn training_and_test_may_be_in_different_formats() {
    let place = Place::new();
    let mut other = String::new();
    for line in fs::read_to_string(file("kinds.jsonl")).unwrap().lines() {
        let mut row: Value = serde_json::from_str(line).unwrap();
        row["whole"] = (row["whole"].as_i64().unwrap_or(0) + 5000).into();
        other += &format!("{row}\n");
    }
    place.write("test.jsonl", &other);
    let own = metrics(&place, &[&copy(&place, "gzip.parquet"), "--test", "test.jsonl"]);
    assert!(own["test"]["accuracy"].is_number(), "{own}");
    // A column of numbers that holds words now, and one that is missing.
    let words = other.replace("\"double\":", "\"double\":\"many\",\"d\":");
    place.write("words.jsonl", &words);
    let told = place.run(&["train", "gzip.parquet", "--test", "words.jsonl"]);
    told.is_refusal(&["words.jsonl", "'double'", "none of its", "is a number", "line 1"]);
    place.write("few.jsonl", other.replace("\"double\":", "\"d\":"));
    place.run(&["train", "gzip.parquet", "--test", "few.jsonl"]).is_refusal(&["few.jsonl", "lacks", "'double'"]);
}

#[test]
fn texts_in_columns_are_learned_and_used() {
    let place = Place::new();
    for name in ["reviews.parquet", "reviews.arrow", "reviews.jsonl.gz"] {
        copy(&place, &format!("others/{name}"));
    }
    let run = ["train", "reviews.arrow", "--target", "mood", "--epochs", "3", "--out", "run", "--json"];
    assert_eq!(place.run(&run).succeeded().json()["task"], "classification");
    let rows = place.run(&["predict", "run", "reviews.parquet", "--json"]).succeeded().json();
    assert_eq!(rows.as_array().unwrap().len(), 80);
    assert_eq!(place.run(&["predict", "run", "reviews.jsonl.gz", "--json"]).succeeded().json(), rows);
    let evaluated = place.run(&["evaluate", "run", "reviews.jsonl.gz", "--json"]).succeeded().json();
    assert_eq!(evaluated["rows"], 80);
    let by_name = ["embed", "minilm-static", "reviews.parquet", "--column", "review"];
    let told = place.run(&by_name).succeeded();
    assert_eq!(told.out.lines().count(), 81);
}

#[test]
fn a_table_in_columns_may_name_pictures() {
    let place = Place::new();
    for (i, (_, png)) in digits(&["1", "8"], 10).iter().enumerate() {
        place.write(&format!("{i}.png"), png);
    }
    copy(&place, "others/pictures.parquet");
    let run = ["train", "pictures.parquet", "from=scratch", "--epochs", "1", "--out", "run", "--json"];
    assert_eq!(place.run(&run).succeeded().json()["task"], "classification");
    let evaluated = place.run(&["evaluate", "run", "pictures.parquet", "--json"]).succeeded().json();
    assert_eq!(evaluated["rows"], 20);
}

#[test]
fn files_that_cannot_be_read_are_refused_by_name() {
    let place = Place::new();
    for (name, words) in [
        ("others/nested.parquet", "nested column, 'tags', of lists"),
        ("others/structs.parquet", "nested column, 'b', of structs"),
        ("others/brotli.parquet", "Brotli"),
        ("others/bytes.parquet", "column 'a'"),
        ("others/empty.parquet", "no rows"),
        ("others/empty.feather", "no rows"),
    ] {
        let name = copy(&place, name);
        place.refuses(&[&name], &[&name, words]);
    }
    for (name, part) in [("zstd.parquet", 30_000), ("kinds.csv.gz", 1500), ("kinds.csv.zst", 1500)] {
        let name = copy(&place, name);
        let bytes = fs::read(place.path(&name)).unwrap();
        place.write(&name, &bytes[..part]);
        place.refuses(&[&name], &[&name, "cut off"]);
    }
    place.write("table.parquet", "a,b\n1,2\n");
    place.refuses(&["table.parquet"], &["table.parquet", "does not begin as one"]);
}
