//! The examples run, and end as they say.

use std::fs;
use std::path::Path;

#[path = "../../examples/backpropagation.rs"]
mod backpropagation;
#[path = "../../examples/network.rs"]
mod network;
#[path = "../../examples/own_layer.rs"]
mod own_layer;
#[path = "../../examples/own_loss.rs"]
mod own_loss;
#[path = "../../examples/own_operation.rs"]
mod own_operation;
#[path = "../../examples/save_load.rs"]
mod save_load;
#[path = "../../examples/step_loop.rs"]
mod step_loop;

#[test]
fn a_network_is_defined_and_fitted() {
    network::main().expect("the example runs");
}

#[test]
fn weights_are_saved_and_loaded_for_use() {
    save_load::main().expect("the example runs");
}

#[test]
fn a_step_loop_reads_gradients_and_steers_the_rate() {
    step_loop::main().expect("the example runs");
}

#[test]
fn a_loss_of_ones_own_is_trained() {
    own_loss::main().expect("the example runs");
}

#[test]
fn an_operation_of_ones_own_is_tested_and_trained() {
    own_operation::main().expect("the example runs");
}

#[test]
fn the_readme_shows_the_examples_as_they_are_run() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("../../README.md")).expect("the README");
    for name in ["network", "own_loss", "own_operation", "save_load", "step_loop"] {
        let program = fs::read_to_string(root.join(format!("examples/{name}.rs"))).expect("an example");
        assert!(readme.contains(program.trim_end()), "the README shows another {name}.rs");
        assert!(program.lines().count() <= 30, "{name}.rs is longer than promised");
    }
}

#[test]
fn a_layer_of_ones_own_is_trained() {
    own_layer::main().expect("the example runs");
}

#[test]
fn the_guide_shows_programs_and_what_they_say_as_they_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = |name: &str| fs::read_to_string(root.join("../../docs/src").join(name)).expect("a page");
    let adding = page("adding.md");
    for name in ["own_operation", "own_layer", "network"] {
        let program = fs::read_to_string(root.join(format!("examples/{name}.rs"))).expect("an example");
        assert!(adding.contains(program.trim_end()), "the guide shows another {name}.rs");
    }
    backpropagation::main().expect("the example runs");
    let told = backpropagation::told().expect("gradients as differences say");
    assert!(page("how-it-works.md").contains(told.trim_end()), "the guide tells of another graph than\n{told}");
    let drawn = backpropagation::drawn().expect("a drawing");
    assert_eq!(page("images/backpropagation.svg"), drawn, "the guide draws another graph");
}
