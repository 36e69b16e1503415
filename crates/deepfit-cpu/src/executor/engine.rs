//! The engine: parameters by name, compiled programs, one arena for all of them.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;

use deepfit_graph::plan::Place;
use deepfit_graph::{DType, Extents, Graph, HostData, Op, Shape, Value, mutation, passes};

use super::call::{Call, Fault, Raw};
use super::memory::AlignedBuffer;
use super::prepared::Prepared;
use super::profile::{Profile, Recorder};
use super::program::Program;
use crate::error::Error;
use crate::kernels::conv::Algorithms;
use crate::kernels::{Caches, Compute, Precision, Products};
use crate::pool::ThreadPool;
use crate::simd::Isa;

/// Values that the caller gives for an input.
#[derive(Debug, Clone, Copy)]
pub enum View<'a> {
    /// Floating point.
    F32(&'a [f32]),
    /// Bytes.
    U8(&'a [u8]),
    /// Integers.
    I32(&'a [i32]),
}

impl View<'_> {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.raw().len
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values as f32: bytes exactly, and integers up to 2^24.
    pub fn to_f32(&self) -> Vec<f32> {
        match self {
            View::F32(values) => values.to_vec(),
            View::U8(values) => values.iter().map(|&v| f32::from(v)).collect(),
            View::I32(values) => values.iter().map(|&v| v as f32).collect(),
        }
    }

    fn raw(&self) -> Raw {
        // Inputs are only read: see `Call`.
        match self {
            View::F32(v) => Raw { start: v.as_ptr().cast_mut().cast(), len: v.len(), dtype: DType::F32 },
            View::U8(v) => Raw { start: v.as_ptr().cast_mut(), len: v.len(), dtype: DType::U8 },
            View::I32(v) => Raw { start: v.as_ptr().cast_mut().cast(), len: v.len(), dtype: DType::I32 },
        }
    }
}

impl<'a> From<&'a HostData> for View<'a> {
    fn from(values: &'a HostData) -> Self {
        match values {
            HostData::F32(values) => View::F32(values),
            HostData::U8(values) => View::U8(values),
            HostData::I32(values) => View::I32(values),
        }
    }
}

/// A program that an [`Engine`] has compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProgramId(usize);

impl ProgramId {
    pub(super) fn index(self) -> usize {
        self.0
    }
}

struct Parameter {
    name: String,
    shape: Vec<usize>,
    data: AlignedBuffer,
    /// Another number whenever the values may have changed.
    state: u64,
}

/// Runs graphs on the CPU.
///
/// Parameters live in the engine by name and are shared by all programs; everything else lives in one arena, as large
/// as the largest program needs. Running allocates nothing.
pub struct Engine {
    pool: ThreadPool,
    isa: Isa,
    caches: Caches,
    exact: bool,
    products: Products,
    for_inference: bool,
    arena: AlignedBuffer,
    parameters: Vec<Parameter>,
    by_name: HashMap<String, usize>,
    programs: Vec<Program>,
    /// The program whose outputs are in the arena.
    last_run: Option<ProgramId>,
    inputs: Vec<Raw>,
    node_inputs: Vec<Raw>,
    node_outputs: Vec<Raw>,
    /// Where runs are recorded, if they are.
    recorder: Option<Recorder>,
}

impl Engine {
    /// An engine with its own threads, the calling one among them.
    ///
    /// # Errors
    /// If the environment variable `DEEPFIT_ISA` asks for an instruction set that is unknown or missing.
    pub fn new(threads: usize) -> Result<Self, Error> {
        Ok(Self::with_isa(threads, Isa::detect()?))
    }

    /// An engine that uses the given instruction set.
    pub fn with_isa(threads: usize, isa: Isa) -> Self {
        Engine {
            pool: ThreadPool::new(threads),
            isa,
            caches: Caches::detect(),
            exact: false,
            products: Products::F32,
            for_inference: false,
            arena: AlignedBuffer::empty(),
            parameters: Vec::new(),
            by_name: HashMap::new(),
            programs: Vec::new(),
            last_run: None,
            inputs: Vec::new(),
            node_inputs: Vec::new(),
            node_outputs: Vec::new(),
            recorder: None,
        }
    }

    /// Whether the convolutions of programs compiled from here on are plain sums of products. Otherwise those of three by
    /// three taps may be computed with fewer multiplications, which round more: see [`Algorithms`].
    pub fn exact(self, exact: bool) -> Self {
        Engine { exact, ..self }
    }

    /// In which precision matrices are multiplied by programs compiled from here on: those of linear layers, of convolutions
    /// that are products, and of recurrences. All else, and what is kept of parameters and values, is in f32.
    ///
    /// # Errors
    /// [`Error::NoBf16`] if the processor has no instructions for it, or the engine is not to use its widest vectors.
    pub fn precision(self, precision: Precision) -> Result<Self, Error> {
        Ok(Engine { products: Products::of(precision, self.isa)?, ..self })
    }

    /// Whether parameters seldom change. Then programs compiled from here on that change none keep weights in the form in
    /// which kernels read them, beside the weights as they are. No result depends on it.
    pub fn for_inference(self, for_inference: bool) -> Self {
        Engine { for_inference, ..self }
    }

    /// What kernels of programs with these algorithms are given.
    fn compute(&self, convolution: Algorithms) -> Compute<'_> {
        let Engine { pool, isa, caches, products, .. } = self;
        Compute { pool, isa: *isa, caches: *caches, convolution, products: *products }
    }

    /// The algorithms that suit a graph.
    fn algorithms(&self, graph: &Graph) -> Algorithms {
        match (self.exact, trains(graph)) {
            (true, _) => Algorithms::Exact,
            (false, true) => Algorithms::Training,
            (false, false) => Algorithms::Inference,
        }
    }

    /// Number of threads.
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// The instruction set in use.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Creates a parameter, or replaces its values.
    ///
    /// # Errors
    /// If it exists with another shape, the number of values does not fit the shape, or there is no memory for it.
    pub fn set_parameter(&mut self, name: &str, shape: &[usize], values: &[f32]) -> Result<(), Error> {
        if elements(shape) != Some(values.len()) {
            let problem = format!("{} values do not fill its shape {shape:?}", values.len());
            return Err(Error::Parameter { name: name.to_string(), problem });
        }
        let index = self.declare(name, shape)?;
        self.changing(index).f32_mut().copy_from_slice(values);
        Ok(())
    }

    /// Position of a parameter, which is created with zeros if it is new.
    fn declare(&mut self, name: &str, shape: &[usize]) -> Result<usize, Error> {
        if let Some(&index) = self.by_name.get(name) {
            if self.parameters[index].shape != shape {
                let problem = format!("its shape is {:?}, not {shape:?}", self.parameters[index].shape);
                return Err(Error::Parameter { name: name.to_string(), problem });
            }
            return Ok(index);
        }
        let bytes = elements(shape).and_then(|n| n.checked_mul(4)).unwrap_or(usize::MAX);
        let data = AlignedBuffer::new(bytes)?;
        self.parameters.push(Parameter { name: name.to_string(), shape: shape.to_vec(), data, state: 0 });
        self.by_name.insert(name.to_string(), self.parameters.len() - 1);
        Ok(self.parameters.len() - 1)
    }

    /// Values of a parameter.
    pub fn parameter(&self, name: &str) -> Option<&[f32]> {
        self.by_name.get(name).map(|&i| self.parameters[i].data.f32())
    }

    /// Values of a parameter, to change them.
    pub fn parameter_mut(&mut self, name: &str) -> Option<&mut [f32]> {
        self.by_name.get(name).copied().map(|index| self.changing(index).f32_mut())
    }

    /// The memory of a parameter whose values are about to change.
    fn changing(&mut self, index: usize) -> &mut AlignedBuffer {
        let parameter = &mut self.parameters[index];
        parameter.state += 1;
        &mut parameter.data
    }

    /// Exchanges the values of two parameters of the same shape, at no cost.
    ///
    /// # Errors
    /// If one does not exist or the shapes differ.
    pub fn swap_parameters(&mut self, a: &str, b: &str) -> Result<(), Error> {
        let find = |name: &str| {
            let missing = || Error::Parameter { name: name.to_string(), problem: "it does not exist".to_string() };
            self.by_name.get(name).copied().ok_or_else(missing)
        };
        let (i, j) = (find(a)?, find(b)?);
        if self.parameters[i].shape != self.parameters[j].shape {
            let problem = format!("its shape differs from that of `{b}`");
            return Err(Error::Parameter { name: a.to_string(), problem });
        }
        if i != j {
            let (low, high) = self.parameters.split_at_mut(i.max(j));
            std::mem::swap(&mut low[i.min(j)].data, &mut high[0].data);
            self.changing(i);
            self.changing(j);
        }
        Ok(())
    }

    /// All parameters: name, shape, values.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &[usize], &[f32])> {
        self.parameters.iter().map(|p| (&p.name[..], &p.shape[..], p.data.f32()))
    }

    /// Optimises and plans a graph for extents up to `maximum`. Parameters that do not exist yet begin as zeros.
    ///
    /// # Errors
    /// If a mistake was made when the graph was traced (see [`Graph::check`]), a parameter exists with another shape, or
    /// there is no memory for the arena or a new parameter.
    pub fn compile(&mut self, graph: &Graph, maximum: Extents) -> Result<ProgramId, Error> {
        graph.check(&maximum)?;
        self.compile_as_it_is(passes::optimise(graph), maximum)
    }

    /// Like [`Engine::compile`], but within `limit` bytes of arena for this program: if need be, the backward pass computes
    /// values of the forward pass again instead of keeping them, as few of them as bring it below the limit. The results
    /// are the same to the last bit. `loss` is the output with which the forward pass ends.
    ///
    /// # Errors
    /// If no recomputation brings it below the limit, or as for [`Engine::compile`].
    pub fn compile_within(
        &mut self,
        graph: &Graph,
        loss: &str,
        maximum: Extents,
        limit: usize,
    ) -> Result<ProgramId, Error> {
        graph.check(&maximum)?;
        let graph = passes::optimise(graph);
        let loss = graph.output(loss).ok_or_else(|| {
            let problem = "does not exist, but the backward pass begins there".to_string();
            Error::Output { name: loss.to_string(), problem }
        })?;
        let bytes = |graph: Graph| {
            let cx = self.compute(self.algorithms(&graph));
            Program::new(graph, maximum, &cx, false).plan.arena_bytes
        };
        let needed = bytes(graph.clone());
        if needed <= limit {
            return self.compile_as_it_is(graph, maximum);
        }
        let mut smallest = needed;
        let mut segments = 2;
        while segments <= loss.node.max(2) {
            let candidate = passes::recompute(&graph, loss, segments, &maximum);
            let found = bytes(candidate.clone());
            if found <= limit {
                return self.compile_as_it_is(candidate, maximum);
            }
            smallest = smallest.min(found);
            segments += (segments / 2).max(1);
        }
        Err(Error::MemoryLimit { needed, smallest, limit, batch: maximum.batch })
    }

    /// Bytes of arena that a graph needs at most, without taking them: whoever can choose the size of a batch asks first.
    ///
    /// # Errors
    /// If a mistake was made when the graph was traced, or it is larger than any memory.
    pub fn planned_bytes(&self, graph: &Graph, maximum: Extents) -> Result<usize, Error> {
        graph.check(&maximum)?;
        let graph = passes::optimise(graph);
        let cx = self.compute(self.algorithms(&graph));
        Ok(Program::new(graph, maximum, &cx, false).plan.arena_bytes)
    }

    /// Plans a graph without optimising it.
    ///
    /// # Errors
    /// As for [`Engine::compile`].
    pub fn compile_as_it_is(&mut self, graph: Graph, maximum: Extents) -> Result<ProgramId, Error> {
        // What follows trusts shapes and places: memory is read and written by them.
        graph.check(&maximum)?;
        let cx = self.compute(self.algorithms(&graph));
        let changes_parameters = changes_parameters(&graph);
        let keeps = self.for_inference && !changes_parameters;
        let mut program = Program::new(graph, maximum, &cx, keeps);
        program.changes_parameters = changes_parameters;
        if keeps {
            program.prepared = Prepared::of(&program.plan, &program.kernels, &program.shapes, &cx)?;
        }
        for (name, ty) in program.plan.parameters.clone() {
            program.parameters.push(self.declare(&name, &ty.shape.resolve(&maximum))?);
        }
        if program.plan.arena_bytes > self.arena.bytes() {
            // The old arena goes before the new one comes: both together would be more than was planned.
            self.arena = AlignedBuffer::empty();
            self.arena = AlignedBuffer::new(program.plan.arena_bytes)?;
            self.last_run = None;
        }
        self.programs.push(program);
        Ok(ProgramId(self.programs.len() - 1))
    }

    /// Bytes of the arena that all programs share.
    pub fn arena_bytes(&self) -> usize {
        self.arena.bytes()
    }

    /// Bytes of all parameters, the optimiser's state and the prepared forms of weights among them.
    pub fn parameter_bytes(&self) -> usize {
        let prepared = self.programs.iter().flat_map(|program| &program.prepared).flatten();
        let prepared: usize = prepared.map(Prepared::bytes).sum();
        prepared + self.parameters.iter().map(|p| p.data.bytes()).sum::<usize>()
    }

    /// The plan of a program.
    pub fn plan(&self, program: ProgramId) -> &deepfit_graph::plan::Plan {
        &self.programs[program.0].plan
    }

    /// The graphs of all programs.
    pub(super) fn graphs(&self) -> impl Iterator<Item = &Graph> {
        self.programs.iter().map(|program| &program.plan.graph)
    }

    /// Runs a program. `inputs` are found by name; those that the program does not have are ignored.
    ///
    /// An extent may be 0, and all that depends on it is empty, unless the program computes something of it that has no
    /// result of nothing: a mean, a maximum or a normalisation over the axis, a recurrence along it, or an attention over
    /// it, unless that allows hidden queries.
    ///
    /// # Errors
    /// If an extent is 0 that must not be, an input is missing or of the wrong type or length, the extents are larger than planned, a row number is out
    /// of range, or a guarded value is not finite. Parameters updated before that stay updated.
    pub fn run(&mut self, program: ProgramId, extents: Extents, inputs: &[(&str, View<'_>)]) -> Result<(), Error> {
        let Some(mut recorder) = self.recorder.take() else {
            return self.run_observed(program, extents, inputs, &mut |_, _, _| true);
        };
        recorder.begin(program, &self.programs[program.0].plan.graph, extents);
        let result = self.run_observed(program, extents, inputs, &mut |node, done, _| {
            recorder.note(program, node, done);
            true
        });
        recorder.end();
        self.recorder = Some(recorder);
        result
    }

    /// From now on the time of each operation of a run is recorded, until [`Engine::profile`] is called.
    pub fn record(&mut self) {
        self.recorder = Some(Recorder::new());
    }

    /// What has been recorded since [`Engine::record`], which ends with it; `None` if nothing was to be.
    pub fn profile(&mut self) -> Option<Profile> {
        let recorder = self.recorder.take()?;
        Some(recorder.profile(self.graphs()))
    }

    /// Runs a program; before each step, `observe` is told the step's node and decides whether it runs; after it, it is
    /// told the node and its outputs.
    pub(super) fn run_observed(
        &mut self,
        program: ProgramId,
        extents: Extents,
        inputs: &[(&str, View<'_>)],
        observe: &mut dyn FnMut(usize, bool, &[Raw]) -> bool,
    ) -> Result<(), Error> {
        self.prepare(program, extents, inputs)?;
        let arena = self.arena.as_mut_ptr();
        let compiled = &self.programs[program.0];
        let Program { plan, kernels, shapes, parameters, prepared, .. } = compiled;
        let cx = compiled.compute(&self.pool, self.isa, self.caches);
        let nodes = plan.graph.nodes();
        for (step, (&index, kernel)) in plan.order.iter().zip(kernels).enumerate() {
            if !observe(index, false, &[]) {
                continue;
            }
            let node = &nodes[index];
            let locate = |value: Value, parameters_data: &mut [Parameter]| -> Raw {
                let ty = plan.graph.type_of(value);
                let len = ty.shape.count(&extents);
                let start = match plan.place(value) {
                    Place::Input(i) => self.inputs[i].start,
                    Place::Parameter(i) => parameters_data[parameters[i]].data.as_mut_ptr(),
                    Place::Constant(i) => constant_pointer(&nodes[i].op),
                    // SAFETY: the plan places every value inside of the arena.
                    Place::Arena(offset) => unsafe { arena.add(offset) },
                };
                Raw { start, len, dtype: ty.dtype }
            };
            self.node_inputs.clear();
            self.node_outputs.clear();
            for &value in &node.inputs {
                let raw = locate(value, &mut self.parameters);
                self.node_inputs.push(raw);
            }
            for port in 0..node.outputs.len() {
                let raw = locate(Value { node: index, port }, &mut self.parameters);
                self.node_outputs.push(raw);
            }
            let kept = prepared.get(step).and_then(Option::as_ref);
            let (offset, bytes) = plan.scratch[index];
            // SAFETY: the plan places scratch memory inside of the arena.
            let scratch = Raw { start: unsafe { arena.add(offset) }, len: bytes / 4, dtype: DType::F32 };
            let call = Call {
                cx,
                inputs: &self.node_inputs,
                outputs: &self.node_outputs,
                scratch,
                prepared: kept.and_then(|kept| kept.values(&**kernel, &cx, &shapes[step])),
                shapes: &shapes[step],
                extents,
                taken: AtomicU64::new(0),
            };
            kernel.run(&call).map_err(|fault| explain(fault, node))?;
            if mutation::planted("kernel", node.op.kind()) {
                perturb(&self.node_outputs);
            }
            observe(index, true, &self.node_outputs);
        }
        self.last_run = Some(program);
        Ok(())
    }

    /// Checks extents and inputs, and brings shapes up to date.
    fn prepare(&mut self, program: ProgramId, extents: Extents, inputs: &[(&str, View<'_>)]) -> Result<(), Error> {
        let compiled = &mut self.programs[program.0];
        if !extents.within(&compiled.plan.maximum) {
            let maximum = compiled.plan.maximum;
            return Err(Error::Extents { asked: extents.to_string(), planned: maximum.to_string() });
        }
        compiled.needs.check(&compiled.plan.graph, &extents)?;
        compiled.set_extents(extents);
        self.last_run = None;
        self.inputs.clear();
        for (name, ty) in &compiled.plan.inputs {
            let given = inputs.iter().find(|(given, _)| given == name);
            let Some((_, view)) = given else {
                return Err(Error::Input {
                    name: name.clone(),
                    problem: format!("is missing; the graph expects {ty}"),
                });
            };
            let raw = view.raw();
            let expected = ty.shape.count(&extents);
            if raw.dtype != ty.dtype || raw.len != expected {
                let problem =
                    format!("has {} values of type {}, but must have {expected} of {}", raw.len, raw.dtype, ty.dtype);
                return Err(Error::Input { name: name.clone(), problem });
            }
            self.inputs.push(raw);
        }
        self.update_prepared(program);
        Ok(())
    }

    /// Brings the prepared weights of a program up to date, and marks the parameters that it may change.
    fn update_prepared(&mut self, program: ProgramId) {
        let compiled = &mut self.programs[program.0];
        let cx = compiled.compute(&self.pool, self.isa, self.caches);
        let Program { kernels, shapes, parameters, prepared, changes_parameters, .. } = compiled;
        for (step, kept) in prepared.iter_mut().enumerate() {
            if let Some(kept) = kept {
                let parameter = &self.parameters[parameters[kept.parameter]];
                kept.update(&*kernels[step], &cx, &shapes[step], parameter.state, parameter.data.f32());
            }
        }
        if self.for_inference && *changes_parameters {
            self.parameters.iter_mut().for_each(|parameter| parameter.state += 1);
        }
    }

    /// A named output of the program that ran last, which must be floating point; see [`Engine::output_view`] for others.
    ///
    /// # Errors
    /// If there is no such output, it is not floating point, or another program has run since.
    pub fn output(&self, program: ProgramId, name: &str) -> Result<&[f32], Error> {
        match self.output_view(program, name)? {
            View::F32(values) => Ok(values),
            _ => {
                let problem = "is not floating point: read it with `output_view`".to_string();
                Err(Error::Output { name: name.to_string(), problem })
            }
        }
    }

    /// A named output of the program that ran last, in its own element type; [`View::to_f32`] makes numbers of any.
    ///
    /// # Errors
    /// If there is no such output, or another program has run since.
    pub fn output_view(&self, program: ProgramId, name: &str) -> Result<View<'_>, Error> {
        let Program { plan, extents, parameters, .. } = &self.programs[program.0];
        let fail = |problem: &str| Error::Output { name: name.to_string(), problem: problem.to_string() };
        if self.last_run != Some(program) {
            return Err(fail("is gone: another program has used the arena, or the run failed"));
        }
        let value = plan.graph.output(name).ok_or_else(|| fail("does not exist"))?;
        let ty = plan.graph.type_of(value);
        let len = ty.shape.count(extents);
        match plan.place(value) {
            Place::Arena(offset) => Ok(self.arena.view(offset, len, ty.dtype)),
            Place::Parameter(i) => Ok(self.parameters[parameters[i]].data.view(0, len, ty.dtype)),
            Place::Constant(i) => match &plan.graph.nodes()[i].op {
                Op::Constant(constant) => Ok(constant.data.data().into()),
                _ => Err(fail("is not a constant")),
            },
            Place::Input(_) => Err(fail("was not copied when the graph was planned")),
        }
    }

    /// Shape of a named output in the last run.
    pub fn output_shape(&self, program: ProgramId, name: &str) -> Option<Vec<usize>> {
        let Program { plan, extents, .. } = &self.programs[program.0];
        let shape: &Shape = &plan.graph.type_of(plan.graph.output(name)?).shape;
        Some(shape.resolve(extents))
    }
}

/// Whether a graph computes gradients or changes parameters.
fn trains(graph: &Graph) -> bool {
    let gradient = |op: &Op| matches!(op, Op::Conv2dInputGrad(_) | Op::Conv2dWeightGrad(_));
    changes_parameters(graph) || graph.nodes().iter().any(|node| gradient(&node.op))
}

fn changes_parameters(graph: &Graph) -> bool {
    graph.nodes().iter().any(|node| !node.op.updates().is_empty())
}

/// The product of axis lengths, if it can be counted.
fn elements(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |n, &length| n.checked_mul(length))
}

fn constant_pointer(op: &Op) -> *mut u8 {
    let Op::Constant(constant) = op else { unreachable!("the plan places constants at constant nodes") };
    // Constants are only read: see `Call`.
    match &constant.data.data() {
        HostData::F32(v) => v.as_ptr().cast_mut().cast(),
        HostData::U8(v) => v.as_ptr().cast_mut(),
        HostData::I32(v) => v.as_ptr().cast_mut().cast(),
    }
}

fn explain(fault: Fault, node: &deepfit_graph::Node) -> Error {
    let (operation, layer) = (node.op.name(), node.layer.clone());
    match fault {
        Fault::NonFinite => Error::NonFinite { operation, layer },
        Fault::Index(source) => Error::Index { operation, layer, source: Box::new(source) },
    }
}

/// The planted fault of a kernel: every output is off by a thousandth.
fn perturb(outputs: &[Raw]) {
    for raw in outputs.iter().filter(|raw| raw.dtype == DType::F32) {
        // SAFETY: the outputs of the step that has just ended; nobody else uses them now.
        let values = unsafe { std::slice::from_raw_parts_mut(raw.start.cast::<f32>(), raw.len) };
        values.iter_mut().for_each(|v| *v += 1e-3 * v.abs().max(1.0));
    }
}
