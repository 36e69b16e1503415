//! The examples run, and end as they say.

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
