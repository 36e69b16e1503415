//! Tests of the graph: operations, derivatives, passes and plans, all measured in f64.

mod derivatives;
mod mistakes;
mod networks;
mod passes;
mod plan;
mod random;
mod random_graphs;
mod recompute;
mod references;
mod setup;
mod shapes;
mod simulator;
mod sizes;
mod speed;
mod symbolic;
mod updates;
mod watch;
