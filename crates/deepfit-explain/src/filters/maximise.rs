//! Activation maximisation (Erhan, Bengio, Courville and Vincent, 2009): the picture that excites a channel most, by gradient ascent
//! on its pixels. Regularised as in Olah, Mordvintsev and Schubert (2017): the picture trembles, its gradient is blurred at first,
//! and colours are drawn towards grey.

use deepfit_cpu::View;
use deepfit_data::Array;
use deepfit_graph::philox::Stream;
use deepfit_graph::{DType, OUTPUT, Shape, Symbol, gradients};
use deepfit_nn::step::evaluation_graph;

use super::layers::{Layer, Patch};
use crate::error::Result;
use crate::rows::Rows;
use crate::subject::{LOGITS, Subject};

/// Steps of the ascent.
const STEPS: usize = 96;
/// Steps at the end without trembling and blur.
const FREE: usize = 32;
/// How far a pixel moves at most in a step at the beginning, of the range from black to white.
const RATE: f32 = 0.06;
/// Standard deviation of the noise on grey that the ascent begins with.
const NOISE: f32 = 0.02;
/// Share of the distance from grey that is lost with each step.
const DECAY: f32 = 0.002;
/// Least side of a field in which pictures tremble and gradients are blurred: in smaller ones each pixel counts.
const SMOOTH: usize = 16;
const GREY: f32 = 0.5;

const CHANNEL: &str = "explain:channel";
const GRADIENT: &str = "explain:pixels";

/// A picture that was made, and the activation that it reaches.
pub(super) struct Made {
    pub pixels: Vec<f32>,
    pub activation: f32,
}

/// Height, width and numbers of a pixel.
type Size = [usize; 3];

/// A picture moved down and to the right, around its edges.
fn rolled(pixels: &[f32], [height, width, channels]: Size, down: usize, right: usize) -> Vec<f32> {
    let mut out = vec![0.0; pixels.len()];
    for y in 0..height {
        let to = (y + down) % height;
        for x in 0..width {
            let (from, to) = ((y * width + x) * channels, (to * width + (x + right) % width) * channels);
            out[to..to + channels].copy_from_slice(&pixels[from..from + channels]);
        }
    }
    out
}

/// Each number becomes a weighted mean of its neighbours', 1 2 1 along both sides.
fn blurred(pixels: &[f32], [height, width, channels]: Size) -> Vec<f32> {
    let along = |from: &[f32], step: usize, length: usize, place: &dyn Fn(usize) -> usize| {
        let mut out = vec![0.0; from.len()];
        for (i, out) in out.iter_mut().enumerate() {
            let at = place(i);
            let before = if at > 0 { from[i - step] } else { from[i] };
            let after = if at + 1 < length { from[i + step] } else { from[i] };
            *out = 0.25 * before + 0.5 * from[i] + 0.25 * after;
        }
        out
    };
    let rows = along(pixels, channels, width, &|i| i / channels % width);
    along(&rows, channels * width, height, &|i| i / (channels * width))
}

/// Pictures that excite channels of a layer at a place of its result, whose field is `field`: the same for the same layer and
/// channel.
pub(super) fn maximise(
    subject: &mut Subject,
    layer: &Layer,
    channels: &[usize],
    (y, x): (usize, usize),
    field: Patch,
    size: Size,
) -> Result<Vec<Made>> {
    let length: usize = size.iter().product();
    let mut pixels = Vec::with_capacity(channels.len() * length);
    let mut streams: Vec<Stream> = channels.iter().map(|&channel| Stream::new(channel as u64, &layer.name)).collect();
    for stream in &mut streams {
        pixels.extend((0..length).map(|_| GREY + NOISE * stream.normal()));
    }
    let whole = Rows { len: channels.len(), sequence: 1, inputs: vec![Array::F32(pixels.clone())] };
    let compiled = subject.program(&format!("maximise {} {}", layer.name, channels.len()), &whole, |subject| {
        Ok(evaluation_graph(|tracer| {
            tracer.watch(&layer.seen, OUTPUT);
            let inputs = subject.inputs(tracer);
            subject.network().forward(&inputs)?;
            let name = format!("{}.{OUTPUT}", layer.seen);
            let watched = tracer.watched();
            let Some((_, result)) = watched.iter().find(|(found, _)| *found == name) else { return Ok(Vec::new()) };
            let shape = Shape::new(&[Symbol::Batch.into(), deepfit_graph::Dim::fixed(layer.channels)]);
            let here = result.slice(1, y, 1)?.slice(2, x, 1)?.reshape(shape.clone())?;
            let chosen = here.mul(&tracer.input(CHANNEL, shape, DType::F32))?;
            let gradient = gradients(&chosen.sum()?, &inputs[..1])?.swap_remove(0);
            Ok(vec![(LOGITS.to_string(), here), (GRADIENT.to_string(), gradient)])
        })?)
    })?;
    let side = field[2].min(field[3]);
    let tremble = if side < SMOOTH { 0 } else { (side / 16).min(8) };
    let mut made = Vec::with_capacity(channels.len());
    for begin in (0..channels.len()).step_by(compiled.batch) {
        let end = channels.len().min(begin + compiled.batch);
        let rows = end - begin;
        let mut now = pixels[begin * length..end * length].to_vec();
        let mut one_hot = vec![0.0_f32; rows * layer.channels];
        channels[begin..end].iter().enumerate().for_each(|(i, &channel)| one_hot[i * layer.channels + channel] = 1.0);
        let (mut first, mut second) = (vec![0.0_f32; now.len()], vec![0.0_f32; now.len()]);
        let mut best: Vec<Made> =
            (0..rows).map(|_| Made { pixels: Vec::new(), activation: f32::NEG_INFINITY }).collect();
        for step in 0..=STEPS {
            let free = step + FREE >= STEPS;
            let moved = streams[begin..end].iter_mut().map(|stream| {
                let mut one = |length: usize| match tremble {
                    0 => 0,
                    _ if free => 0,
                    most => (stream.next_u32() as usize % (2 * most + 1) + length - most) % length,
                };
                (one(size[0]), one(size[1]))
            });
            let moved: Vec<(usize, usize)> = moved.collect();
            let shown = now.chunks_exact(length).zip(&moved).flat_map(|(one, m)| rolled(one, size, m.0, m.1)).collect();
            let input = Rows { len: rows, sequence: 1, inputs: vec![Array::F32(shown)] };
            subject.run(compiled, &input, &[(CHANNEL, View::F32(&one_hot))])?;
            let reached = subject.output(compiled, LOGITS)?;
            if free {
                for (i, best) in best.iter_mut().enumerate() {
                    let activation = reached[i * layer.channels + channels[begin + i]];
                    if activation > best.activation {
                        *best = Made { pixels: now[i * length..(i + 1) * length].to_vec(), activation };
                    }
                }
            }
            if step == STEPS {
                break;
            }
            let gradient = subject.output(compiled, GRADIENT)?;
            let rate = RATE * (1.0 - 0.9 * step as f32 / STEPS as f32);
            // Adam, with its corrections for the first steps.
            let (keep, keep_square) = (0.9_f32, 0.99_f32);
            let correct = |keep: f32| 1.0 - keep.powi(step as i32 + 1);
            for (i, m) in moved.iter().enumerate() {
                let own = &gradient[i * length..(i + 1) * length];
                let mut own = rolled(own, size, size[0] - m.0, size[1] - m.1);
                if side >= SMOOTH && !free {
                    own = blurred(&own, size);
                }
                let here = i * length..(i + 1) * length;
                let state = first[here.clone()].iter_mut().zip(&mut second[here.clone()]);
                for ((pixel, (first, second)), g) in now[here].iter_mut().zip(state).zip(own) {
                    *first = keep * *first + (1.0 - keep) * g;
                    *second = keep_square * *second + (1.0 - keep_square) * g * g;
                    let deviation = (*second / correct(keep_square)).sqrt();
                    let up = if deviation > 0.0 { *first / correct(keep) / (deviation + 1e-12) } else { 0.0 };
                    *pixel = (GREY + (*pixel - GREY) * (1.0 - DECAY) + rate * up).clamp(0.0, 1.0);
                }
            }
        }
        made.append(&mut best);
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_moved_there_and_back_is_the_same_and_blur_keeps_the_sum_within() {
        let size = [5, 4, 2];
        let pixels: Vec<f32> = (0..40).map(|i| i as f32).collect();
        assert_eq!(rolled(&rolled(&pixels, size, 2, 3), size, 3, 1), pixels);
        let mut one = vec![0.0; 40];
        one[(2 * 4 + 1) * 2] = 16.0;
        let blurred = blurred(&one, size);
        assert_eq!((blurred[(2 * 4 + 1) * 2], blurred[(4 + 1) * 2], blurred[4 * 2], blurred[1]), (4.0, 2.0, 1.0, 0.0));
        assert_eq!(blurred.iter().sum::<f32>(), 16.0);
    }
}
