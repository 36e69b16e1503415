//! Backpropagation on a real small graph: the nodes of a two-layer network, those that differentiation appends, their
//! values, and each gradient held against differences. `--svg FILE` draws the graph.

use std::fmt::Write;

use deepfit::graph::interpret::{self, Environment};
use deepfit::graph::passes::Pass;
use deepfit::graph::{Extents, Graph, Op, Reference, Value, gradients};
use deepfit::prelude::*;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// What is learned, with its values before the first step.
const PARAMETERS: [(&str, &[usize], &[f64]); 4] = [
    ("hidden.weight", &[2, 2], &[0.5, -0.3, 0.8, 0.2]),
    ("hidden.bias", &[2], &[0.1, -0.1]),
    ("output.weight", &[1, 2], &[0.7, -0.6]),
    ("output.bias", &[1], &[0.2]),
];

/// The exclusive or of -1 and 1 at two of its four points.
fn data() -> [(&'static str, Reference); 2] {
    [("x", Reference::new(&[2, 2], vec![1.0, -1.0, 1.0, 1.0])), ("y", Reference::new(&[2, 1], vec![1.0, -1.0]))]
}

/// The graph of loss and gradients, and how many of its nodes are there before differentiation.
pub fn graph() -> Result<(Graph, usize)> {
    let tracer = Tracer::new(Mode::Train);
    let (x, y) = (tracer.input("x", [2, 2], DType::F32), tracer.input("y", [2, 1], DType::F32));
    let parameter = |i: usize| tracer.parameter(PARAMETERS[i].0, PARAMETERS[i].1);
    let hidden = x.matmul_with(&parameter(0)?, false, true)?.add(&parameter(1)?)?.tanh()?;
    let output = hidden.matmul_with(&parameter(2)?, false, true)?.add(&parameter(3)?)?;
    let loss = losses::mse(&output, &y, Reduction::Mean)?;
    tracer.output("loss", &loss);
    let wanted = (0..4).map(parameter).collect::<std::result::Result<Vec<_>, _>>()?;
    for (gradient, (name, ..)) in gradients(&loss, &wanted)?.iter().zip(PARAMETERS) {
        tracer.output(name, gradient);
    }
    // What multiplies by the loss's own gradient, 1, goes, and what nobody reads.
    let constants = Pass::named("constants").ok_or("no pass `constants`")?;
    let graph = constants.apply(&tracer.graph());
    let forward = graph.output("loss").map_or(0, |loss| loss.node + 1);
    Ok((graph, forward))
}

/// Inputs and parameters by name.
fn environments() -> (Environment, Environment) {
    let inputs = data().map(|(name, values)| (name.to_string(), values));
    let parameters = PARAMETERS.map(|(name, shape, values)| (name.to_string(), Reference::new(shape, values.to_vec())));
    (inputs.into(), parameters.into())
}

/// The loss by other parameters.
fn loss(graph: &Graph, parameters: &Environment) -> Result<f64> {
    let values = interpret::run(graph, Extents::batch(2), &environments().0, &mut parameters.clone())?;
    Ok(values.get(graph.output("loss").ok_or("no loss")?).data[0])
}

/// Derivative of the loss by one number, as the difference between a little more of it and a little less.
fn by_difference(graph: &Graph, name: &str, i: usize) -> Result<f64> {
    let moved = |by: f64| {
        let mut parameters = environments().1;
        parameters.get_mut(name).ok_or("no such parameter")?.data[i] += by;
        loss(graph, &parameters)
    };
    Ok((moved(1e-5)? - moved(-1e-5)?) / 2e-5)
}

fn numbers(values: &Reference) -> String {
    values.data.iter().map(|v| format!("{v:.3}")).collect::<Vec<_>>().join(" ")
}

/// What stands for a value where it is read: its name, its number, or the node that computes it.
fn short(graph: &Graph, value: Value) -> String {
    match &graph.nodes()[value.node].op {
        Op::Constant(c) => numbers(&c.data.to_reference()),
        op if op.is_leaf() => op.name(),
        _ => format!("[{}]", value.node),
    }
}

/// The graph as text; an error if a gradient is not what differences say.
pub fn told() -> Result<String> {
    let (graph, forward) = graph()?;
    let (inputs, mut parameters) = environments();
    let values = interpret::run(&graph, Extents::batch(2), &inputs, &mut parameters)?;
    let mut text = String::new();
    for (i, node) in graph.nodes().iter().enumerate() {
        if i == 0 || i == forward {
            writeln!(text, "{}", if i == 0 { "forward" } else { "backward" })?;
        }
        if !matches!(node.op, Op::Constant(_)) {
            let reads: Vec<String> = node.inputs.iter().map(|&v| short(&graph, v)).collect();
            let shape = node.outputs[0].shape.to_string();
            let values = numbers(values.get(Value { node: i, port: 0 }));
            let line = format!("{i:>4}  {:<15} {:<20} {shape:<7} {values}", node.op.name(), reads.join(", "));
            writeln!(text, "{}", line.trim_end())?;
        }
    }
    writeln!(text, "gradients                   by the graph  by differences")?;
    for (name, ..) in PARAMETERS {
        let value = graph.output(name).ok_or("no gradient")?;
        for (i, gradient) in values.get(value).data.iter().enumerate() {
            let difference = by_difference(&graph, name, i)?;
            writeln!(text, "{:>4}  {:<20}{gradient:>14.6}{difference:>16.6}", value.node, format!("{name} {i}"))?;
            if (gradient - difference).abs() > 1e-8 {
                return Err(format!("{name}: {gradient} is not {difference}").into());
            }
        }
    }
    Ok(text)
}

/// A box of the drawing: left edge, top edge, class, words, numbers.
struct Place {
    x: f64,
    y: f64,
    class: &'static str,
    words: String,
    numbers: String,
}

const WIDTH: f64 = 190.0;
const HEIGHT: f64 = 36.0;
const STEP: f64 = 52.0;

/// The graph as SVG: what is given on the left, the forward nodes downwards, the backward nodes upwards beside them, and on
/// the right the gradients that they end in.
pub fn drawn() -> Result<String> {
    let (graph, forward) = graph()?;
    let (inputs, mut parameters) = environments();
    let values = interpret::run(&graph, Extents::batch(2), &inputs, &mut parameters)?;
    let nodes = graph.nodes();
    let computes = |i: &usize| !nodes[*i].op.is_leaf();
    let (down, up): (Vec<usize>, Vec<usize>) = (0..nodes.len()).filter(computes).partition(|&i| i < forward);
    let bottom = 44.0 + STEP * (down.len().max(up.len()) as f64 - 1.0);
    let spread = |n: usize, of: usize| (bottom - 44.0) * n as f64 / (of.max(2) - 1) as f64;
    let place = |i: usize, x: f64, y: f64, class| {
        let reads: Vec<String> = nodes[i].inputs.iter().map(|&v| short(&graph, v)).collect();
        let words = match nodes[i].op.is_leaf() {
            true => format!("{} {}", nodes[i].op.name(), nodes[i].outputs[0].shape),
            false => format!("[{i}] {}({})", nodes[i].op.name(), reads.join(", ")),
        };
        let numbers = numbers(values.get(Value { node: i, port: 0 }));
        (i, Place { x, y, class, words, numbers })
    };
    let mut places: Vec<(usize, Place)> = Vec::new();
    let columns = [12.0, 254.0, 518.0, 762.0];
    places.extend(down.iter().enumerate().map(|(n, &i)| place(i, columns[1], 44.0 + spread(n, down.len()), "forward")));
    places.extend(up.iter().enumerate().map(|(n, &i)| place(i, columns[2], bottom - spread(n, up.len()), "backward")));
    let at = |places: &[(usize, Place)], i: usize| places.iter().find(|(n, _)| *n == i).map(|(_, p)| (p.x, p.y));
    let mut next = 0.0_f64;
    for &reader in &down {
        for value in &nodes[reader].inputs {
            if matches!(nodes[value.node].op, Op::Input(_) | Op::Parameter(_)) && at(&places, value.node).is_none() {
                let y = at(&places, reader).map_or(0.0, |(_, y)| y).max(next);
                places.push(place(value.node, columns[0], y, "given"));
                next = y + STEP - 8.0;
            }
        }
    }
    let mut lines = String::new();
    let mut line = |from: (f64, f64), to: (f64, f64), class: &str| {
        let down = from.0 == to.0;
        let (a, b) = match (down, from.1 < to.1) {
            (true, true) => ((from.0 + WIDTH / 2.0, from.1 + HEIGHT), (to.0 + WIDTH / 2.0, to.1)),
            (true, false) => ((from.0 + WIDTH / 2.0, from.1), (to.0 + WIDTH / 2.0, to.1 + HEIGHT)),
            _ => ((from.0 + WIDTH, from.1 + HEIGHT / 2.0), (to.0, to.1 + HEIGHT / 2.0)),
        };
        // Past boxes that lie between, along their left side.
        let far = down && (from.1 - to.1).abs() > 1.6 * STEP;
        let path = match (far, down) {
            (true, _) => {
                let (x, a, b) = (from.0, from.1 + HEIGHT / 2.0, to.1 + HEIGHT / 2.0);
                format!("M{x:.0} {a:.0}C{:.0} {a:.0} {:.0} {b:.0} {x:.0} {b:.0}", x - 44.0, x - 44.0)
            }
            (_, true) => format!("M{:.0} {:.0}L{:.0} {:.0}", a.0, a.1, b.0, b.1),
            _ => {
                let middle = (a.0 + b.0) / 2.0;
                format!("M{:.0} {:.0}C{middle:.0} {:.0} {middle:.0} {:.0} {:.0} {:.0}", a.0, a.1, a.1, b.1, b.0, b.1)
            }
        };
        lines += &format!("<path class=\"{class}\" d=\"{path}\" marker-end=\"url(#tip)\"/>\n");
    };
    for &reader in down.iter().chain(&up) {
        for value in &nodes[reader].inputs {
            if let (Some(from), Some(to)) = (at(&places, value.node), at(&places, reader)) {
                let class = match (value.node < forward, reader < forward) {
                    (true, true) => "line forward",
                    (true, false) => "line kept",
                    _ => "line backward",
                };
                line(from, to, class);
            }
        }
    }
    for (name, ..) in PARAMETERS {
        let value = graph.output(name).ok_or("no gradient")?;
        let y = at(&places, value.node).map_or(0.0, |(_, y)| y);
        line((columns[2], y), (columns[3], y), "line backward");
        let (words, numbers) = (format!("gradient of {name}"), numbers(values.get(value)));
        places.push((usize::MAX, Place { x: columns[3], y, class: "gradient", words, numbers }));
    }
    let mut boxes = String::new();
    for (_, Place { x, y, class, words, numbers }) in &places {
        let (a, b) = (y + 15.0, y + 29.0);
        let middle = x + WIDTH / 2.0;
        writeln!(
            boxes,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y:.0}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"5\"/>"
        )?;
        writeln!(boxes, "<text x=\"{middle}\" y=\"{a:.0}\">{words}</text>")?;
        writeln!(boxes, "<text class=\"numbers\" x=\"{middle}\" y=\"{b:.0}\">{numbers}</text>")?;
    }
    for (x, heading) in columns.into_iter().zip(["given", "forward (down)", "backward (up)", "gradients"]) {
        writeln!(boxes, "<text class=\"heading\" x=\"{}\" y=\"24\">{heading}</text>", x + WIDTH / 2.0)?;
    }
    let (width, height) = (columns[3] + WIDTH + 12.0, bottom + HEIGHT + 14.0);
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         role=\"img\">\n<title>Backpropagation on a network of two layers</title>\n<style>{STYLE}</style>\n<defs><marker \
         id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\"><path \
         d=\"M0 0L8 4L0 8z\" fill=\"#555\"/></marker></defs>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         {lines}{boxes}</svg>\n"
    ))
}

const STYLE: &str = "text{font:11px sans-serif;text-anchor:middle;fill:#222}text.numbers{fill:#555;font-size:10px}\
                     text.heading{font-weight:bold;font-size:13px}rect.given{fill:#eee;stroke:#999}rect.forward\
                     {fill:#dbe9f9;stroke:#2a6db0}rect.backward{fill:#fde6cf;stroke:#c46a12}rect.gradient{fill:#fff3b8;\
                     stroke:#a58300}path.line{fill:none;stroke:#2a6db0;stroke-width:1.3}path.line.kept\
                     {stroke:#888;stroke-dasharray:4 3}path.line.backward{stroke:#c46a12}";

pub fn main() -> Result<()> {
    print!("{}", told()?);
    if let [flag, file] = &std::env::args().skip(1).collect::<Vec<_>>()[..]
        && flag == "--svg"
    {
        std::fs::write(file, drawn()?)?;
    }
    Ok(())
}
