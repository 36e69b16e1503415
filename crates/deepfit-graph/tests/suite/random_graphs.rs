//! Graphs made by chance, from a seed: what nobody would think of writing.

use deepfit_graph::ops::{BinaryKind, ReduceKind, Sgd, UnaryKind};
use deepfit_graph::philox::Stream;
use deepfit_graph::{DType, Graph, HostTensor, Mode, Shape, Tensor, Tracer};

struct Dice(Stream);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0.next_u32() as usize % n
    }

    fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }
}

/// A graph of about `size` operations over `[batch, 4]`, `[4]` and scalars, with views, updates, guards, constants, bytes
/// and several results. Whatever tracing refuses is left out.
pub fn random_graph(seed: u64, size: usize) -> Graph {
    let mut dice = Dice(Stream::new(seed, "graph"));
    let tracer = Tracer::new(Mode::Train);
    let batch = Shape::batch_of(&[4]);
    let mut pool: Vec<Tensor> = vec![
        tracer.input("bytes", batch.clone(), DType::U8).to_f32().expect("converts"),
        tracer.input("x", batch.clone(), DType::F32),
        tracer.constant(HostTensor::f32(&[4], vec![0.5, -1.0, 0.25, 2.0])),
        tracer.scalar(0.5),
        tracer.scalar(1.0),
    ];
    let mut parameters: Vec<Tensor> =
        (0..4).map(|i| tracer.parameter(&format!("p{i}"), [4]).expect("a new name")).collect();
    let matrices: Vec<Tensor> =
        (0..2).map(|i| tracer.parameter(&format!("m{i}"), [4, 4]).expect("a new name")).collect();
    let rate = tracer.scalar(0.125);
    pool.extend(parameters.clone());
    let unary = [
        UnaryKind::Tanh,
        UnaryKind::Sigmoid,
        UnaryKind::Relu,
        UnaryKind::Neg,
        UnaryKind::MulScalar(0.5),
        UnaryKind::MulScalar(1.0),
        UnaryKind::AddScalar(0.25),
        UnaryKind::AddScalar(0.0),
        UnaryKind::Clamp(-2.0, 1.0),
    ];
    let binary = [BinaryKind::Add, BinaryKind::Sub, BinaryKind::Mul, BinaryKind::Maximum, BinaryKind::Gate];
    let mut results = 0;
    for _ in 0..size {
        // Recent values more often than old ones: chains as well as trees.
        let from = if dice.below(2) == 0 { pool.len().saturating_sub(6) } else { 0 };
        let a = dice.pick(&pool[from..]).clone();
        let b = dice.pick(&pool).clone();
        let is_batch = a.shape() == &batch;
        let made = match dice.below(21) {
            0..=4 => a.unary(*dice.pick(&unary)),
            5..=9 => a.binary(*dice.pick(&binary), &b),
            10 => a.select(&b, dice.pick(&pool)),
            11 if is_batch => a.matmul(dice.pick(&matrices)).and_then(|y| y.tanh()),
            12 if is_batch => a.reduce(ReduceKind::Mean, &[0], false),
            12 => a.reduce(ReduceKind::Sum, &(0..a.shape().rank()).collect::<Vec<_>>(), false).and_then(|y| y.tanh()),
            // Views: rows of two, and back.
            13 if is_batch => {
                let dims = batch.dims();
                a.reshape(vec![dims[0] * 2.into(), 2.into()])
                    .and_then(|v| v.tanh())
                    .and_then(|v| v.reshape(batch.clone()))
            }
            13 if a.shape().rank() == 1 => {
                a.reshape([2, 2]).and_then(|v| v.permute(&[1, 0])).and_then(|v| v.reshape([4]))
            }
            14 if is_batch => a.slice(1, 1, 2).and_then(|s| s.concat(&[&s], 1)),
            15 => a.broadcast_to(batch.clone()),
            16 | 17 if a.shape().rank() == 1 && !parameters.is_empty() => {
                let parameter = parameters.swap_remove(dice.below(parameters.len()));
                if dice.below(2) == 0 {
                    parameter.assign(&a)
                } else {
                    let op = Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.0 };
                    tracer.apply_one(op, &[&parameter, &a, &rate])
                }
            }
            18 => {
                tracer.guard(&a).expect("floating point");
                continue;
            }
            19 if is_batch && !parameters.is_empty() => {
                let (scale, shift) = (dice.pick(&parameters).clone(), dice.pick(&parameters).clone());
                a.batch_norm(&scale, &shift, 0.5).map(|(y, mean, variance)| {
                    pool.extend([mean, variance]);
                    y
                })
            }
            _ => {
                tracer.output(&format!("result {results}"), &a);
                results += 1;
                continue;
            }
        };
        // Tracing refuses shapes that do not fit and old values that no order of computation keeps.
        if let Ok(made) = made {
            pool.push(made);
        }
    }
    tracer.output("last", &pool[pool.len() - 1]);
    tracer.graph()
}
