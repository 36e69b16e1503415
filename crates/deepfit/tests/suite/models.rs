//! `deepfit models`, without a network.

use crate::program::Place;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A place with the bundled network as if it had been fetched as `org/net`.
fn with_model() -> Place {
    let place = Place::new();
    let home = "home/hub/models--org--net";
    let backbone = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../deepfit-backbone-efficientnet-lite0");
    place.write(&format!("{home}/refs/main"), COMMIT);
    for name in ["model.safetensors", "config.json"] {
        let bytes = std::fs::read(backbone.join(name)).unwrap();
        place.write(&format!("{home}/snapshots/{COMMIT}/{name}"), &bytes);
        place.write(&format!("{home}/blobs/{name}"), &bytes);
    }
    place
}

fn run(place: &Place, arguments: &[&str]) -> crate::program::Ran {
    let mut command = place.command(arguments);
    // Nobody listens at this address: whatever asked the hub would fail.
    command.env("HF_HOME", place.path("home")).env("HF_ENDPOINT", "http://127.0.0.1:9");
    command.env_remove("HF_HUB_CACHE").env_remove("HF_TOKEN");
    crate::program::Ran::of(command.output().unwrap())
}

#[test]
fn models_are_listed_shown_used_and_removed_without_a_network() {
    let place = with_model();
    let listed = run(&place, &["models"]).succeeded().out;
    assert!(listed.contains("efficientnet-lite0") && listed.contains("timm/resnet50.a1_in1k"), "{listed}");
    assert!(listed.lines().any(|line| line.contains("org/net") && line.contains("yes")), "{listed}");
    let rows = run(&place, &["models", "list", "--json"]).succeeded().json();
    assert!(rows.as_array().unwrap().iter().any(|r| r["licence"] == "Apache-2.0" && r["here"] == false));
    let shown = run(&place, &["models", "show", "org/net"]).succeeded().out;
    assert!(shown.contains("EfficientNet-Lite0") && shown.contains("224x224"), "{shown}");
    let shown = run(&place, &["models", "show", "timm/resnet50.a1_in1k"]).succeeded().out;
    assert!(shown.contains("not here: deepfit models pull timm/resnet50.a1_in1k"), "{shown}");
    assert!(run(&place, &["models", "show", "efficientnet-lite0"]).succeeded().out.contains("tench"));

    let picture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/photographs/coffee.jpg");
    let predicted = run(&place, &["predict", "org/net", picture, "--json"]).succeeded().json();
    assert_eq!(predicted[0]["prediction"], "espresso");
    run(&place, &["predict", "timm/resnet50.a1_in1k", picture]).is_refusal(&["models pull timm/resnet50.a1_in1k"]);

    run(&place, &["models", "remove", "org/net"]).succeeded();
    assert!(!place.path("home/hub/models--org--net").exists());
    run(&place, &["models", "remove", "org/net"]).is_refusal(&["org/net", "not on this computer"]);
    run(&place, &["models", "remove", "../org"]).is_refusal(&["no name of a model"]);
}

#[test]
fn a_hub_that_does_not_answer_is_told() {
    let ran = run(&Place::new(), &["models", "pull", "org/net"]);
    assert!(ran.code == Some(1) && ran.err.contains("127.0.0.1:9") && ran.err.contains("HF_ENDPOINT"), "{ran:#?}");
}
