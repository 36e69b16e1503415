//! `deepfit evaluate`.

use crate::program::{Place, digits, example, table};

#[test]
fn metrics_of_other_data_come_as_json_and_as_a_table() {
    let place = Place::new();
    place.trained(&example("breast-cancer.csv"), "run", &[]);
    let ran = place.run(&["evaluate", "run", &example("breast-cancer.csv"), "--json"]).succeeded();
    assert_eq!(ran.out.trim_end().lines().count(), 1);
    let result = ran.json();
    assert!(result["metrics"]["accuracy"].as_f64().unwrap() > 0.85, "{result}");
    assert_eq!(result["rows"], 569);
    let ran = place.run(&["evaluate", "run", &example("breast-cancer.csv")]).succeeded();
    for word in ["569 rows", "accuracy", "roc_auc", " to ", "Confusion", "malignant"] {
        assert!(ran.out.contains(word), "`{word}` is not in {}", ran.out);
    }
    // The model folder alone is enough.
    let moved = place.path("moved");
    std::fs::rename(place.path("run/model"), &moved).unwrap();
    let again = place.run(&["evaluate", "moved", &example("breast-cancer.csv"), "--json"]).succeeded().json();
    assert_eq!(again["metrics"], result["metrics"]);
}

#[test]
fn a_folder_of_pictures_is_evaluated_and_damaged_ones_are_listed() {
    let place = Place::new();
    place.trained(&example("digits.zip"), "run", &[]);
    for (name, png) in digits(&["3", "5"], 20) {
        place.write(&format!("new/{name}"), png);
    }
    place.write("new/3/torn.png", &digits(&["3"], 1)[0].1[..60]);
    let ran = place.run(&["evaluate", "run", "new", "--json"]).succeeded();
    assert_eq!(ran.json()["rows"], 40);
    assert!(ran.json()["skipped"].to_string().contains("torn.png"), "{}", ran.out);
    let ran = place.run(&["evaluate", "run", "new"]).succeeded();
    assert!(ran.out.contains("Skipped") && ran.out.contains("torn.png"), "{}", ran.out);
}

#[test]
fn data_that_does_not_fit_is_refused() {
    let place = Place::new();
    place.trained(&example("breast-cancer.csv"), "run", &[]);
    place.run(&["evaluate", "run", &example("diabetes.csv")]).is_refusal(&["diabetes.csv", "mean_radius"]);
    place.run(&["evaluate", "run", "nowhere.csv"]).is_refusal(&["nowhere.csv", "does not exist"]);
    place.run(&["evaluate", "nowhere", &example("diabetes.csv")]).is_refusal(&["nowhere", "does not exist"]);
    place.write("data.csv", table(40));
    place.run(&["evaluate", "run", "data.csv"]).is_refusal(&["data.csv", "column"]);
}
