//! The same seed gives the same bits on any number of threads.

use std::fs;

use crate::program::{Place, example};

fn weights(place: &Place, data: &str, out: &str, more: &[&str]) -> Vec<u8> {
    let run = place.trained(&example(data), out, more);
    fs::read(run.join("model/model.safetensors")).unwrap()
}

#[test]
fn the_model_does_not_depend_on_the_number_of_threads() {
    for data in ["digits.zip", "breast-cancer.csv"] {
        let place = Place::new();
        let one = weights(&place, data, "one", &["--threads", "1"]);
        for threads in ["2", "7"] {
            assert!(one == weights(&place, data, threads, &["--threads", threads]), "{data}, {threads} threads");
        }
        assert!(one != weights(&place, data, "other", &["--seed", "2"]), "{data}: the seed has no effect");
    }
}
