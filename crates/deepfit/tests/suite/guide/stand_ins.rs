//! Small data and models in place of those that readers of the guide have themselves.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use image::RgbImage;
use image::imageops::crop_imm;
use serde_json::{Value, json};

use crate::drawn;
use crate::drawn_texts;
use crate::program::{Place, digits, example};

const GOOD: [&str; 6] = ["lovely", "splendid", "delightful", "wonderful", "charming", "superb"];
const BAD: [&str; 6] = ["dreadful", "dull", "tiresome", "awful", "shabby", "poor"];
const THINGS: [&str; 6] = ["film", "meal", "journey", "book", "concert", "garden"];

/// One of `n` things that looks drawn.
fn drawn(i: usize, salt: usize, n: usize) -> usize {
    let mut x = ((i * 31 + salt) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x2545_F491_4F6C_DD1D;
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (x ^ (x >> 31)) as usize % n
}

fn photograph(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/photographs").join(format!("{name}.jpg"))
}

fn open(name: &str) -> RgbImage {
    image::open(photograph(name)).unwrap().to_rgb8()
}

/// A piece of a photograph, another for each number.
fn piece(of: &RgbImage, i: usize) -> RgbImage {
    let side = 40;
    let (x, y) = (drawn(i, 1, (of.width() - side) as usize), drawn(i, 2, (of.height() - side) as usize));
    crop_imm(of, x as u32, y as u32, side, side).to_image()
}

/// Folders of pieces of photographs, a class each.
fn pictures(place: &Place, folder: &str, each: usize) {
    for (class, name) in [("cats", "chelsea"), ("cups", "coffee")] {
        let whole = open(name);
        for i in 0..each {
            let path = place.path(&format!("{folder}/{class}/{i}.png"));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            piece(&whole, i).save(path).unwrap();
        }
    }
}

fn review(i: usize) -> (String, usize) {
    let good = i.is_multiple_of(2);
    let words = if good { GOOD } else { BAD };
    let mut text = format!("it was a {} {}", words[drawn(i, 1, 6)], THINGS[drawn(i, 2, 6)]);
    for more in 0..drawn(i, 3, 4) {
        text += &format!(" and the {} was {}", THINGS[drawn(i, 4 + more, 6)], words[drawn(i, 9 + more, 6)]);
    }
    (text, if good { 5 - drawn(i, 20, 2) } else { 1 + drawn(i, 21, 2) })
}

fn table(header: &str, rows: usize, row: impl Fn(usize) -> String) -> String {
    format!("{header}\n{}", (0..rows).map(|i| row(i) + "\n").collect::<String>())
}

fn houses(from: usize, rows: usize) -> String {
    table("rooms,area,age,town,price", rows, |i| {
        let i = from + i;
        let (rooms, age, town) = (1 + drawn(i, 1, 6), drawn(i, 2, 90), drawn(i, 3, 3));
        let area = 20 * rooms + drawn(i, 4, 25);
        let price = 2000 * area + 40_000 * town + drawn(i, 5, 20_000) - 300 * age;
        format!("{rooms},{area},{age},{},{price}", ["Ulm", "Bonn", "Kiel"][town])
    })
}

/// Some of the tumours, each with the hospital that saw it.
fn tumours() -> String {
    let text = fs::read_to_string(example("breast-cancer.csv")).unwrap();
    let rows = text.lines().skip(1).step_by(14).enumerate();
    let rows = rows.map(|(i, row)| format!("hospital {},{row}\n", i % 12)).collect::<String>();
    format!("hospital,{}\n{rows}", text.lines().next().unwrap())
}

fn conll(sentences: usize) -> String {
    let sentence = |i: usize| {
        let (name, town) = (["Anna", "Boris", "Clara"][drawn(i, 1, 3)], ["Paris", "Rome", "Oslo"][drawn(i, 2, 3)]);
        let words = [(["Today", "Soon"][drawn(i, 3, 2)], "O"), (name, "B-PER"), ("goes", "O"), ("to", "O")];
        let words = words.into_iter().chain([(town, "B-LOC"), (".", "O")]);
        words.map(|(word, tag)| format!("{word} {tag}\n")).collect::<String>() + "\n"
    };
    (0..sentences).map(sentence).collect()
}

fn book() -> String {
    fs::read_to_string(example("reference.txt")).unwrap().chars().take(12_000).collect()
}

/// A small network for images as it is published, of the shapes of a golden file.
fn published(place: &Place, folder: &str, golden: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deepfit-zoo/tests/goldens");
    let text = fs::read_to_string(path.join(format!("{golden}.json"))).unwrap();
    let content: Value = serde_json::from_str(&text).unwrap();
    let tensors: BTreeMap<String, Vec<usize>> = serde_json::from_value(content["tensors"].clone()).unwrap();
    place.write(&format!("{folder}/preprocessor_config.json"), content["preprocessor"].to_string());
    if !content["config"].is_null() {
        place.write(&format!("{folder}/config.json"), content["config"].to_string());
    }
    drawn::write(&place.path(&format!("{folder}/model.safetensors")), &tensors);
}

/// A small network for texts as it is published, whose tokens are the words of texts, moved to where it is wanted.
fn published_texts(place: &Place, folder: &str, golden: &str) {
    let texts: Vec<String> = (0..200).map(|i| review(i).0).collect();
    if golden == "gpt2" {
        let text = format!("{} Once upon a time", book());
        let split =
            json!({"type": "Split", "pattern": {"Regex": "[^ \n]*[ \n]"}, "behavior": "Isolated", "invert": false});
        let parts = json!({"pre_tokenizer": split, "decoder": {"type": "Fuse"}});
        // As many words as the network has.
        let words = text.split_inclusive([' ', '\n']).take(90);
        drawn_texts::publish_with(place, golden, &[], words, parts);
    } else {
        drawn_texts::publish(place, golden, texts.iter().flat_map(|text| text.split(' ')));
    }
    let to = place.path(folder);
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::rename(place.path(golden), to).unwrap();
}

/// Makes what a page asks for.
pub fn make(place: &Place, name: &str) {
    let exists = place.path(name.trim_end_matches('/')).exists();
    if exists {
        return;
    }
    let train = |arguments: &[&str]| {
        let all = [&["train"], arguments, &["epochs=1", "--out", name, "--quiet"]].concat();
        place.run(&all).succeeded();
    };
    match name {
        "photos/" | "more-pictures/" | "other-photos/" => pictures(place, name, if name == "photos/" { 20 } else { 3 }),
        "photo.jpg" | "cat.jpg" | "new.jpg" => {
            fs::copy(photograph("chelsea"), place.path(name)).map(drop).unwrap();
        }
        "picture.png" => open("coffee").save(place.path(name)).unwrap(),
        "labels.csv" => {
            pictures(place, "pictures/", 20);
            let row = |i: usize| format!("pictures/{0}/{1}.png,{0}", ["cats", "cups"][i % 2], i / 2);
            place.write(name, table("picture,animal", 40, row));
        }
        "scans/" | "findings.csv" | "new-scans/" | "new-findings.csv" => {
            let new = if name.starts_with("new-") { "new-" } else { "" };
            let (cats, cups) = (open("chelsea"), open("coffee"));
            fs::create_dir_all(place.path(&format!("{new}scans"))).unwrap();
            for i in 0..40 {
                let whole = if i % 4 < 2 { &cats } else { &cups };
                piece(whole, i).save(place.path(&format!("{new}scans/{i}.png"))).unwrap();
            }
            let row = |i: usize| format!("{i}.png,{},{}", usize::from(i % 4 < 2), usize::from(i.is_multiple_of(2)));
            place.write(&format!("{new}findings.csv"), table("scan,mass,nodule", 40, row));
        }
        "other-digits/" | "digits/" => digits(&["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"], 6)
            .iter()
            .for_each(|(path, png)| drop(place.write(&format!("{name}{path}"), png))),
        "houses.csv" => drop(place.write(name, houses(0, 150))),
        "new-houses.csv" => drop(place.write(name, houses(1000, 20))),
        "churn.csv" => {
            let row = |i: usize| {
                format!("{},{},{}", drawn(i, 1, 60), drawn(i, 2, 9), drawn(i, 1, 60) + 3 * drawn(i, 3, 9) > 40)
            };
            drop(place.write(name, table("months,calls,left", 120, row)));
        }
        "patients.csv" | "labelled.csv" => drop(place.write(name, tumours())),
        // To be explained one by one, which takes a while.
        "two-patients.csv" => {
            let rows = tumours();
            drop(place.write(name, rows.lines().take(3).map(|row| format!("{row}\n")).collect::<String>()));
        }
        "reviews.csv" => {
            let row = |i: usize| format!("\"{}\",{}", review(i).0, review(i).1);
            drop(place.write(name, table("review,stars", 160, row)));
        }
        "topics.csv" | "more-topics.csv" => {
            let row = |i: usize| {
                let topics = [(0, "sport", "match"), (1, "money", "bank"), (2, "music", "singer")];
                let told = topics.into_iter().filter(|(salt, ..)| drawn(i, *salt, 2) == 0);
                let (names, words): (Vec<&str>, Vec<&str>) = told.map(|(_, name, word)| (name, word)).unzip();
                format!("on day {i} they spoke of the {} in town,{}", words.join(" and the "), names.join("|"))
            };
            drop(place.write(name, table("text,topics", 80, row)));
        }
        "letters/" => {
            for i in 0..60 {
                let class = if i % 2 == 0 { "praise" } else { "complaint" };
                place.write(&format!("{name}{class}/{i}.txt"), review(i).0);
            }
        }
        "texts.txt" | "corpus.txt" | "new.txt" | "questions.txt" => {
            let lines = match name {
                "corpus.txt" => 0..40,
                "texts.txt" => 40..44,
                _ => 44..47,
            };
            drop(place.write(name, lines.map(|i| review(i).0 + "\n").collect::<String>()));
        }
        "names.conll" | "new.conll" => drop(place.write(name, conll(if name == "new.conll" { 6 } else { 80 }))),
        "book.txt" => drop(place.write(name, book())),
        "books/" => {
            let text = book();
            for (i, part) in text.as_bytes().chunks(2_000).enumerate() {
                place.write(&format!("{name}{i}.txt"), part);
            }
        }
        "pairs.csv" => {
            let row = |i: usize| format!("what of the {} {i}?,\"{}\"", THINGS[drawn(i, 2, 6)], review(i).0);
            drop(place.write(name, table("question,answer", 120, row)));
        }
        "two-pairs.csv" => {
            drop(place.write(name, "question,answer\nwhat of the lamp?,a good lamp\nis it here?,not at all\n"))
        }
        "sentences.txt" => drop(place.write(name, "Today Anna goes to Oslo .\nSoon Boris goes to Rome .\n")),
        "beginnings.txt" => drop(place.write(name, "Once upon a time\nThe first of them\n")),
        "models/vit/" => published(place, name, "vit-transformers"),
        "models/resnet50/" => published(place, name, "resnet-timm"),
        "models/all-MiniLM-L6-v2/" => published_texts(place, name, "bert"),
        "models/sentiment/" => published_texts(place, name, "bert-classes"),
        "models/gpt2/" => published_texts(place, name, "gpt2"),
        "runs/digits-1" => train(&["examples/digits.zip"]),
        "runs/houses-1" => {
            make(place, "houses.csv");
            train(&["houses.csv", "--target", "price"]);
        }
        "runs/tumours-1" => {
            make(place, "patients.csv");
            train(&["patients.csv", "--target", "diagnosis"]);
        }
        "runs/photos-1" | "runs/photos-2" => {
            make(place, "photos/");
            train(&["photos/", "--from", "scratch"]);
        }
        "runs/scans-1" => {
            make(place, "scans/");
            train(&["scans/", "--labels", "findings.csv", "--target", "mass,nodule", "--from", "scratch"]);
        }
        "runs/reviews-1" => {
            make(place, "reviews.csv");
            train(&["reviews.csv", "--target", "stars"]);
        }
        "runs/names-1" => {
            make(place, "names.conll");
            train(&["names.conll", "--from", "scratch"]);
        }
        "runs/pairs-1" => {
            make(place, "pairs.csv");
            train(&["pairs.csv"]);
        }
        "runs/book-1" => {
            make(place, "book.txt");
            train(&["book.txt", "--model", "gru"]);
        }
        other => panic!("nothing stands for `{other}`: `guide/stand_ins.rs` makes what pages ask for"),
    }
}
