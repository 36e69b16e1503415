//! What filters respond to: of gratings, channels that tell their directions apart; and what has no filters says so.

use std::path::{Path, PathBuf};

use image::{GrayImage, Luma};
use serde_json::Value;

use crate::program::Place;

const SIDE: u32 = 20;

/// Pictures of stripes that lie or stand, of random places and widths, and a network that was trained on them.
fn gratings(place: &Place) -> PathBuf {
    for (class, stands) in [("lying", false), ("standing", true)] {
        std::fs::create_dir_all(place.path(&format!("pictures/{class}"))).unwrap();
        for i in 0..50_u32 {
            let picture = GrayImage::from_fn(SIDE, SIDE, |x, y| {
                let at = if stands { x } else { y };
                let noise = ((x * 31 + y * 17 + i * 101).wrapping_mul(2_654_435_761) >> 9) % 40;
                Luma([if (at + i) / (2 + i % 2) % 2 == 0 { 60 + noise as u8 } else { 160 + noise as u8 }])
            });
            picture.save(place.path(&format!("pictures/{class}/{i}.png"))).unwrap();
        }
    }
    place.trained(
        "pictures",
        "run",
        &["--from", "scratch", "--epochs", "8", "--seed", "3", "augment.shift=0", "augment.flip=false"],
    )
}

fn told(place: &Place, run: &Path, more: &[&str]) -> Vec<Value> {
    let ran = place.run(&[&["explain", run.to_str().unwrap(), "--filters", "--json"], more].concat()).succeeded();
    ran.json().as_array().unwrap().clone()
}

#[test]
fn a_channel_of_a_network_for_stripes_is_excited_by_those_of_one_direction() {
    let place = Place::new();
    let run = gratings(&place);
    let all = told(&place, &run, &["--channels", "6"]);
    let class = |picture: &Value| picture["input"].as_str().unwrap().contains("standing");
    let pure = |channel: &&Value| {
        let pictures = channel["pictures"].as_array().unwrap();
        assert_eq!(pictures.len(), 4);
        pictures.iter().all(|one| class(one) == class(&pictures[0]))
    };
    let mut layers: Vec<&str> = all.iter().map(|channel| channel["layer"].as_str().unwrap()).collect();
    layers.dedup();
    assert!(layers.len() >= 2, "{layers:?}");
    let early = || all.iter().filter(|channel| layers[..2].contains(&channel["layer"].as_str().unwrap()));
    assert!(early().filter(pure).count() >= 2, "{all:?}");
    // The ascent finds more than any picture holds for most channels, and says where it does not.
    let reached = |channel: &&Value| {
        let number = |value: &Value| value.as_f64().unwrap();
        let made = number(&channel["maximised"]["activation"]);
        assert_eq!(channel["maximised"]["reached"], made > number(&channel["largest"]), "{channel}");
        made > number(&channel["largest"])
    };
    assert!(2 * all.iter().filter(reached).count() > all.len(), "{all:?}");
    // Patches lie within the picture, and grow with depth; the first layer's are as large as its kernels.
    let patch =
        |channel: &Value| -> [u64; 4] { serde_json::from_value(channel["pictures"][0]["patch"].clone()).unwrap() };
    let area = |layer: &str| {
        let of_layer = all.iter().filter(|channel| channel["layer"] == layer).map(patch);
        of_layer
            .map(|[top, left, height, width]| {
                assert!(top + height <= u64::from(SIDE) && left + width <= u64::from(SIDE));
                height * width
            })
            .max()
            .unwrap()
    };
    assert!(area(layers[0]) < area(layers[1]), "{layers:?}");
    // The same again, and a page that needs no network.
    assert_eq!(all, told(&place, &run, &["--channels", "6"]));
    let pages: Vec<PathBuf> =
        std::fs::read_dir(run.join("filters")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(pages.len(), layers.len());
    let first = std::fs::read_to_string(run.join(format!("filters/{}.html", layers[0]))).unwrap();
    assert!(first.contains("data:image/png;base64,") && !first.contains("://"), "{first}");
    assert!(first.contains("The filter of channel"));
    let second = std::fs::read_to_string(run.join(format!("filters/{}.html", layers[1]))).unwrap();
    assert!(second.contains("its filters have no picture"));
    // In words, of one layer, in a folder of one's own, of other pictures.
    let out = place.path("out");
    let run = run.to_str().unwrap();
    let other = place.path("pictures/lying");
    let options = ["--filters", "--layer", layers[0], "--channels", "2", "--out", out.to_str().unwrap()];
    let ran = place.run(&[&["explain", run, other.to_str().unwrap()], &options[..]].concat()).succeeded();
    assert!(
        ran.out.contains("2 of") && ran.out.contains("in 50 pictures") && !ran.out.contains("standing"),
        "{}",
        ran.out
    );
    assert!(out.join(format!("{}.html", layers[0])).is_file());
    // What is wrong is told.
    place
        .run(&["explain", run, "--filters", "--layer", "convv"])
        .is_refusal(&["no convolutional layer 'convv'", layers[1]]);
    place.run(&["explain", run, "--filters", "--channels", "0"]).is_refusal(&[]);
    place.run(&["explain", run, "--filters", "--method", "grad-cam"]).is_refusal(&[]);
    place.run(&["explain", run]).is_refusal(&["INPUT"]);
}

#[test]
fn models_without_convolutions_or_pictures_are_refused() {
    let place = Place::new();
    place.write("numbers.csv", crate::program::table(60));
    let run = place.trained("numbers.csv", "table", &["--target", "kind", "--epochs", "1"]);
    let told = "--filters is for networks that take images alone";
    place.run(&["explain", run.to_str().unwrap(), "--filters"]).is_refusal(&[told]);
    // A published network knows no training pictures.
    place.run(&["explain", "efficientnet-lite0", "--filters"]).is_refusal(&["give pictures"]);
}
