//! Pictures that cannot be trained on.

use crate::program::{Place, digits, zipped};

fn folder(place: &Place, classes: &[&str], each: usize) {
    for (name, png) in digits(classes, each) {
        place.write(&format!("data/{name}"), png);
    }
}

#[test]
fn missing_and_empty_folders_and_a_single_class_are_refused() {
    let place = Place::new();
    place.refuses(&["nowhere/"], &["nowhere", "does not exist"]);
    std::fs::create_dir(place.path("empty")).unwrap();
    place.refuses(&["empty"], &["empty", "sub-folder"]);
    folder(&place, &["4"], 20);
    place.refuses(&["data"], &["data", "one class", "'4'"]);
}

#[test]
fn a_few_unreadable_pictures_are_skipped_and_listed_many_are_refused() {
    let place = Place::new();
    folder(&place, &["1", "4"], 30);
    let torn = &digits(&["1"], 1)[0].1[..50];
    place.write("data/1/torn.png", torn);
    place.write("data/4/words.png", "these are words");
    let ran = place.run(&["train", "data", "--epochs", "1"]).succeeded();
    for word in ["torn.png", "words.png", "2"] {
        assert!(ran.err.contains(word), "`{word}` is not in {}", ran.err);
    }
    for number in 0..20 {
        place.write(&format!("data/1/torn{number}.png"), torn);
    }
    place.refuses(&["data"], &["22 of 82", ".png"]);
}

#[test]
fn archives_made_to_harm_are_refused() {
    let place = Place::new();
    let pictures = digits(&["1", "4"], 10);
    let with = |name: &str, bytes: Vec<u8>| zipped(&[pictures.clone(), vec![(name.to_string(), bytes)]].concat());
    place.write("bomb.zip", with("1/bomb.png", vec![0; 20 << 20]));
    place.refuses(&["bomb.zip"], &["bomb.zip", "1/bomb.png", "zip bomb"]);
    for name in ["../evil.png", "/tmp/evil.png", "1/../../evil.png"] {
        place.write("outside.zip", with(name, pictures[0].1.clone()));
        place.refuses(&["outside.zip"], &["outside.zip", "evil.png"]);
    }
    let whole = zipped(&pictures);
    place.write("torn.zip", &whole[..whole.len() / 2]);
    place.refuses(&["torn.zip"], &["torn.zip", "cannot be read as a zip archive"]);
    place.write("words.zip", "these are words");
    place.refuses(&["words.zip"], &["words.zip"]);
}
