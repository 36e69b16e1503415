//! Every operation of the list on all of its samples.

use deepfit_cpu::suite;
use deepfit_graph::Op;

macro_rules! suite_of_every_operation {
    ($($op:ident),* $(,)?) => {
        $(#[test]
        #[allow(non_snake_case)]
        fn $op() {
            let samples = Op::all_samples().into_iter().find(|(kind, _)| *kind == stringify!($op)).expect("in the list").1;
            let failures: Vec<String> = samples.iter().filter_map(|sample| suite::check(sample).err()).collect();
            assert!(failures.is_empty(), "{} of {} samples fail:\n{}", failures.len(), samples.len(), failures.join("\n"));
        })*
    };
}
deepfit_graph::for_each_operation!(suite_of_every_operation);
