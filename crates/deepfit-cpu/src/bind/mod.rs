//! Which kernel runs which operation: a file for each family of operations, as in `deepfit_graph::ops`.

mod attention;
mod conv;
mod ctc;
mod custom;
mod dropout;
mod elementwise;
mod embedding;
mod index;
mod leaf;
mod linear_loss;
mod loss;
mod matmul;
mod norm;
mod pool;
mod recurrent;
mod reduce;
mod resample;
mod rows;
mod segment;
mod shape;
mod softmax;
mod update;

use deepfit_graph::Op;

use crate::executor::Kernel;

/// Makes the kernel of an operation. Every operation of the list in `deepfit_graph` must have this.
trait Bind {
    fn bind(&self) -> Box<dyn Kernel>;
}

/// Operations that need nothing prepared are their own kernels.
macro_rules! is_kernel {
    ($($op:ident),* $(,)?) => {
        $(impl super::Bind for deepfit_graph::ops::$op {
            fn bind(&self) -> Box<dyn crate::executor::Kernel> {
                Box::new(self.clone())
            }
        })*
    };
}
use is_kernel;

macro_rules! define_kernel {
    ($($op:ident),* $(,)?) => {
        /// The kernel of an operation.
        pub(crate) fn kernel(op: &Op) -> Box<dyn Kernel> {
            match op { $(Op::$op(op) => op.bind()),* }
        }
    };
}
deepfit_graph::for_each_operation!(define_kernel);
