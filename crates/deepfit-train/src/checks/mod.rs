//! What the data itself may get wrong.

pub(crate) mod confident;
