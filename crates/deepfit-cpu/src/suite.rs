//! The suite that tests any operation on its samples: the kernel against the f64 reference, on every instruction set and
//! several numbers of threads, as a batch smaller than planned, in place, and with NaN and infinity; and its derivative
//! against central differences.
//!
//! The project runs it on all operations; whoever defines one of their own calls [`check`] with samples of it.

use deepfit_graph::interpret::{self, Environment};
use deepfit_graph::{
    DType, Extents, Graph, HostData, HostTensor, Mode, Op, Reference, Shape, Symbol, Tensor, Tracer, differences,
    sample::Sample,
};

use crate::executor::{Engine, View};
use crate::simd::Isa;

/// Numbers of threads that must give the same bits.
const THREADS: [usize; 3] = [1, 2, 7];

/// Runs every check on one sample.
///
/// # Errors
/// In words, what differs from what.
pub fn check(sample: &Sample) -> Result<(), String> {
    let describe = |what: &str, problem: String| {
        let shapes: Vec<&[usize]> = sample.inputs.iter().map(|i| i.shape()).collect();
        format!("{} on {shapes:?}, {what}: {problem}", sample.op.name())
    };
    differences::check(sample)?;
    for (what, setup) in setups(sample) {
        check_setup(sample, &setup, &sample.inputs).map_err(|problem| describe(what, problem))?;
    }
    let plain = Setup { through_arena: true, ..Setup::default() };
    if sample.op.updates().is_empty() {
        for (position, special) in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY].into_iter().enumerate() {
            for input in 0..sample.inputs.len() {
                if let Some(inputs) = with_special(&sample.inputs, input, position * 7, special) {
                    check_setup(sample, &plain, &inputs)
                        .map_err(|p| describe(&format!("{special} in input {input}"), p))?;
                }
            }
        }
    }
    Ok(())
}

/// How the sample is put into a graph.
#[derive(Debug, Clone, Copy, Default)]
struct Setup {
    /// The first axis of the marked inputs is a batch axis, planned for three more examples.
    batch: Option<usize>,
    /// Inputs are copied into the arena first, where the operation may write its output over them.
    through_arena: bool,
    /// The passes run.
    optimised: bool,
}

fn setups(sample: &Sample) -> Vec<(&'static str, Setup)> {
    let mut setups = vec![
        ("through the arena", Setup { through_arena: true, ..Setup::default() }),
        ("as it is", Setup::default()),
        ("optimised", Setup { through_arena: true, optimised: true, ..Setup::default() }),
    ];
    if let Some(first) = sample.batched.iter().position(|&b| b) {
        let batch = Some(sample.inputs[first].shape()[0]);
        setups.push(("as a smaller batch than planned", Setup { batch, ..Setup::default() }));
        setups.push(("as a smaller batch through the arena", Setup { batch, through_arena: true, ..Setup::default() }));
    }
    setups
}

/// A copy of the inputs with one value replaced, if that input is floating point and not empty.
fn with_special(inputs: &[HostTensor], input: usize, position: usize, special: f32) -> Option<Vec<HostTensor>> {
    let mut inputs = inputs.to_vec();
    match inputs[input].f32_mut() {
        Some(values) if !values.is_empty() => {
            let position = position % values.len();
            values[position] = special;
            Some(inputs)
        }
        _ => None,
    }
}

struct Built {
    graph: Graph,
    outputs: usize,
    extents: Extents,
    maximum: Extents,
}

fn build(sample: &Sample, setup: &Setup) -> Result<Built, String> {
    let tracer = Tracer::new(Mode::Train);
    let updated: Vec<usize> = sample.op.updates().iter().map(|&(input, _)| input).collect();
    let mut tensors: Vec<Tensor> = Vec::new();
    for (i, host) in sample.inputs.iter().enumerate() {
        let mut shape = Shape::from(host.shape());
        if setup.batch.is_some() && sample.batched.get(i) == Some(&true) {
            let mut dims = shape.dims().to_vec();
            dims[0] = Symbol::Batch.into();
            shape = dims.into();
        }
        let tensor = if updated.contains(&i) {
            tracer.parameter(&name(i), shape).map_err(|e| e.to_string())?
        } else {
            tracer.input(&name(i), shape, host.data().dtype())
        };
        let copied = setup.through_arena && tensor.dtype() == DType::F32 && !updated.contains(&i);
        tensors.push(if copied { tensor.mul_scalar(1.0).map_err(|e| e.to_string())? } else { tensor });
    }
    let inputs: Vec<&Tensor> = tensors.iter().collect();
    let outputs = tracer.apply(sample.op.clone(), &inputs).map_err(|e| e.to_string())?;
    for (i, output) in outputs.iter().enumerate() {
        // Integers are compared as numbers.
        tracer.output(&name(i), &output.to_f32().map_err(|e| e.to_string())?);
    }
    let batch = setup.batch.unwrap_or(1);
    let spare = if setup.batch.is_some() { 3 } else { 0 };
    Ok(Built {
        graph: tracer.graph(),
        outputs: outputs.len(),
        extents: Extents::batch(batch),
        maximum: Extents::batch(batch + spare),
    })
}

fn name(i: usize) -> String {
    format!("value{i}")
}

fn check_setup(sample: &Sample, setup: &Setup, inputs: &[HostTensor]) -> Result<(), String> {
    let built = build(sample, setup)?;
    let expected = expected(&built, inputs)?;
    let special = inputs.iter().any(|i| matches!(&i.data(), HostData::F32(v) if v.iter().any(|v| !v.is_finite())));
    for isa in Isa::available() {
        let mut first: Option<Vec<Vec<f32>>> = None;
        for threads in THREADS {
            let found = run(&built, setup, inputs, *isa, threads)?;
            match &first {
                None => {
                    compare(sample, special, &expected, &found).map_err(|p| format!("{isa}: {p}"))?;
                    first = Some(found);
                }
                Some(first) => same_bits(first, &found)
                    .map_err(|p| format!("{isa}: {threads} threads differ from {}: {p}", THREADS[0]))?,
            }
        }
    }
    Ok(())
}

fn expected(built: &Built, inputs: &[HostTensor]) -> Result<Vec<Reference>, String> {
    let given: Environment = inputs.iter().enumerate().map(|(i, host)| (name(i), host.to_reference())).collect();
    let values = interpret::run(&built.graph, built.extents, &given, &mut given.clone())?;
    let output = |i| values.get(built.graph.output(&name(i)).expect("named when built")).clone();
    Ok((0..built.outputs).map(output).collect())
}

fn run(built: &Built, setup: &Setup, inputs: &[HostTensor], isa: Isa, threads: usize) -> Result<Vec<Vec<f32>>, String> {
    let mut engine = Engine::with_isa(threads, isa);
    let mut views = Vec::new();
    let names: Vec<String> = (0..inputs.len()).map(name).collect();
    for (name, host) in names.iter().zip(inputs) {
        let is_parameter = built.graph.nodes().iter().any(|n| matches!(&n.op, Op::Parameter(p) if p.name == *name));
        match &host.data() {
            HostData::F32(values) if is_parameter => {
                engine.set_parameter(name, host.shape(), values).map_err(|e| e.to_string())?;
            }
            HostData::F32(values) => views.push((&name[..], View::F32(values))),
            HostData::U8(values) => views.push((&name[..], View::U8(values))),
            HostData::I32(values) => views.push((&name[..], View::I32(values))),
        }
    }
    let program = if setup.optimised {
        engine.compile(&built.graph, built.maximum)
    } else {
        engine.compile_as_it_is(built.graph.clone(), built.maximum)
    };
    let program = program.map_err(|e| e.to_string())?;
    engine.run(program, built.extents, &views).map_err(|e| e.to_string())?;
    let output = |i| engine.output(program, &name(i)).map(<[f32]>::to_vec).map_err(|e| e.to_string());
    (0..built.outputs).map(output).collect()
}

fn compare(sample: &Sample, special: bool, expected: &[Reference], found: &[Vec<f32>]) -> Result<(), String> {
    for (port, (expected, found)) in expected.iter().zip(found).enumerate() {
        if expected.data.len() != found.len() {
            return Err(format!("output {port} has {} values, not {}", found.len(), expected.data.len()));
        }
        let largest = expected.data.iter().filter(|v| v.is_finite()).fold(1.0f64, |m, v| m.max(v.abs()));
        for (i, (&e, &f)) in expected.data.iter().zip(found).enumerate() {
            let f = f64::from(f);
            let fits = if e.is_finite() {
                (e - f).abs() <= sample.tolerance * largest
                    || (sample.non_finite_may_spread && special && !f.is_finite())
            } else if sample.non_finite_may_spread {
                !f.is_finite()
            } else {
                (e.is_nan() && f.is_nan()) || e == f
            };
            if !fits {
                return Err(format!("output {port}, element {i} is {f:e}, the reference says {e:e}"));
            }
        }
    }
    Ok(())
}

fn same_bits(a: &[Vec<f32>], b: &[Vec<f32>]) -> Result<(), String> {
    for (port, (a, b)) in a.iter().zip(b).enumerate() {
        if let Some(i) = (0..a.len()).find(|&i| a[i].to_bits() != b[i].to_bits()) {
            return Err(format!("output {port}, element {i}: {:e} and {:e}", a[i], b[i]));
        }
    }
    Ok(())
}
