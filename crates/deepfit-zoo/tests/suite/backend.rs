//! Two ways to run a graph: the f64 interpreter and the CPU engine.

use std::collections::BTreeMap;

use deepfit_cpu::{Engine, ProgramId, View};
use deepfit_graph::interpret::Environment;
use deepfit_graph::{DType, Extents, Graph, Op, Reference};

use crate::golden::run;

/// Keeps parameters and runs graphs.
pub trait Backend {
    /// Sets a parameter.
    fn set(&mut self, name: &str, value: &Reference);
    /// The value of a parameter.
    fn get(&self, name: &str) -> Reference;
    /// One run; state that nobody set starts at zero. Returns the named outputs.
    fn run(&mut self, graph: &Graph, batch: usize, inputs: &Environment) -> BTreeMap<String, Reference>;
}

/// The reference interpreter.
#[derive(Default)]
pub struct Interpreter {
    parameters: Environment,
}

impl Backend for Interpreter {
    fn set(&mut self, name: &str, value: &Reference) {
        self.parameters.insert(name.to_string(), value.clone());
    }

    fn get(&self, name: &str) -> Reference {
        self.parameters[name].clone()
    }

    fn run(&mut self, graph: &Graph, batch: usize, inputs: &Environment) -> BTreeMap<String, Reference> {
        for node in graph.nodes() {
            if let Op::Parameter(p) = &node.op {
                let zero = || Reference::full(&p.ty.shape.resolve(&Extents::batch(batch)), 0.0);
                self.parameters.entry(p.name.clone()).or_insert_with(zero);
            }
        }
        run(graph, batch, inputs, &mut self.parameters)
    }
}

/// The engine on two threads, planned for more examples than are given.
pub struct Cpu {
    engine: Engine,
    shapes: BTreeMap<String, Vec<usize>>,
    programs: Vec<(*const Graph, ProgramId)>,
}

impl Cpu {
    pub fn new() -> Self {
        Cpu { engine: Engine::new(2).expect("an engine"), shapes: BTreeMap::new(), programs: Vec::new() }
    }
}

enum Data {
    F32(Vec<f32>),
    I32(Vec<i32>),
    U8(Vec<u8>),
}

impl Data {
    fn view(&self) -> View<'_> {
        match self {
            Data::F32(v) => View::F32(v),
            Data::I32(v) => View::I32(v),
            Data::U8(v) => View::U8(v),
        }
    }
}

impl Backend for Cpu {
    fn set(&mut self, name: &str, value: &Reference) {
        let values: Vec<f32> = value.data.iter().map(|&v| v as f32).collect();
        self.engine.set_parameter(name, &value.shape, &values).expect("a parameter");
        self.shapes.insert(name.to_string(), value.shape.clone());
    }

    fn get(&self, name: &str) -> Reference {
        let values = self.engine.parameter(name).unwrap_or_else(|| panic!("no parameter `{name}`"));
        Reference::new(&self.shapes[name], values.iter().map(|&v| f64::from(v)).collect())
    }

    fn run(&mut self, graph: &Graph, batch: usize, inputs: &Environment) -> BTreeMap<String, Reference> {
        // A graph that was compiled before is known by its address: callers keep their graphs.
        let program = match self.programs.iter().find(|(known, _)| std::ptr::eq(*known, graph)) {
            Some(&(_, program)) => program,
            None => {
                let program = self.engine.compile(graph, Extents::batch(batch + 3)).expect("the graph compiles");
                self.programs.push((graph, program));
                program
            }
        };
        let mut data: Vec<(&str, Data)> = Vec::new();
        for node in graph.nodes() {
            if let Op::Input(input) = &node.op {
                let values = &inputs[&input.name].data;
                let typed = match input.ty.dtype {
                    DType::F32 => Data::F32(values.iter().map(|&v| v as f32).collect()),
                    DType::I32 => Data::I32(values.iter().map(|&v| v as i32).collect()),
                    DType::U8 => Data::U8(values.iter().map(|&v| v as u8).collect()),
                };
                data.push((&input.name, typed));
            }
        }
        let views: Vec<(&str, View<'_>)> = data.iter().map(|(name, data)| (*name, data.view())).collect();
        self.engine.run(program, Extents::batch(batch), &views).expect("the graph runs");
        let outputs = graph.outputs().iter().map(|(name, _)| {
            let shape = self.engine.output_shape(program, name).expect("a shape");
            let values = self.engine.output(program, name).expect("an output");
            (name.clone(), Reference::new(&shape, values.iter().map(|&v| f64::from(v)).collect()))
        });
        outputs.collect()
    }
}
