//! Leaves stand for memory: the executor never runs them.

use deepfit_graph::ops::{Constant, Input, Parameter};

use super::is_kernel;
use crate::executor::{Call, Fault, Kernel};

macro_rules! never_runs {
    ($($op:ident),*) => {
        is_kernel!($($op),*);
        $(impl Kernel for $op {
            fn run(&self, _: &Call<'_>) -> Result<(), Fault> {
                Ok(())
            }
        })*
    };
}
never_runs!(Input, Parameter, Constant);
