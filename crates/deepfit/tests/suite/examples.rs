//! The examples run, and end as they say.

use std::fs;
use std::path::Path;

#[path = "../../examples/network.rs"]
mod network;
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
