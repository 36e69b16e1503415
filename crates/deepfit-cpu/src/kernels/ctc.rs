//! Connectionist temporal classification (Graves et al., 2006): forward-backward over label sequences, in f64 logarithms.
//!
//! State `s` of `2 * labels + 1` is the blank where `s` is even and label `s / 2` where it is odd. The error of a loss is a
//! few roundings of the result to f32; the gradient is that of the log-probabilities.

use super::Compute;
use crate::error::Error;
use crate::pool::SharedMut;

/// Log-probabilities `[batch, time, classes]` and label sequences `[batch, labels]`, or those of all examples in a row.
#[derive(Debug, Clone, Copy)]
pub struct Alignment<'a> {
    /// Log-probabilities.
    pub scores: &'a [f32],
    /// Labels: classes other than the blank.
    pub targets: &'a [i32],
    /// Frames of each example; all, if not given.
    pub input_lengths: Option<&'a [i32]>,
    /// Labels of each example; all, if not given.
    pub target_lengths: Option<&'a [i32]>,
    /// Examples.
    pub batch: usize,
    /// Frames of the longest example.
    pub time: usize,
    /// Classes, with the blank.
    pub classes: usize,
    /// Labels of the longest sequence.
    pub labels: usize,
    /// Whether the labels of all examples stand in a row, as many of each as `target_lengths` says.
    pub in_a_row: bool,
    /// The class that stands for "no label".
    pub blank: usize,
    /// Whether an infinite loss becomes 0, without gradient.
    pub zero_infinity: bool,
}

/// One example.
#[derive(Clone, Copy)]
struct Example<'a> {
    scores: &'a [f32],
    labels: &'a [i32],
    frames: usize,
    classes: usize,
    blank: usize,
}

/// How many `f64` of scratch memory the loss (or its gradient) of one example needs.
pub fn scratch(time: usize, labels: usize, gradient: bool) -> usize {
    let states = 2 * labels + 1;
    if gradient { (time + 2) * states } else { 2 * states }
}

impl<'a> Alignment<'a> {
    fn frames(&self, n: usize) -> usize {
        self.input_lengths.map_or(self.time, |lengths| lengths[n] as usize)
    }

    fn target(&self, n: usize) -> &'a [i32] {
        let length = self.target_lengths.map_or(self.labels, |lengths| lengths[n] as usize);
        &self.targets[self.start(n)..][..length]
    }

    /// Where the labels of an example begin.
    fn start(&self, n: usize) -> usize {
        match self.target_lengths {
            Some(lengths) if self.in_a_row => lengths[..n].iter().map(|&length| length as usize).sum(),
            _ => n * self.labels,
        }
    }

    fn example(&self, n: usize) -> Example<'a> {
        Example {
            scores: &self.scores[n * self.time * self.classes..][..self.time * self.classes],
            labels: self.target(n),
            frames: self.frames(n),
            classes: self.classes,
            blank: self.blank,
        }
    }

    /// Lengths must fit the memory, labels the classes.
    fn check(&self) -> Result<(), Error> {
        assert!(self.scores.len() == self.batch * self.time * self.classes);
        let rows = if self.in_a_row { 1 } else { self.batch };
        assert!(self.targets.len() == rows * self.labels && (!self.in_a_row || self.target_lengths.is_some()));
        let lengths = [
            (self.input_lengths, self.time, "the number of frames of example"),
            (self.target_lengths, self.labels, "the number of labels of example"),
        ];
        for (list, most, what) in lengths {
            let wrong = |&length: &i32| length < 0 || length as usize > most;
            if let Some((position, &length)) = list.and_then(|l| l.iter().enumerate().find(|(_, n)| wrong(n))) {
                return Err(Error::Length { what, position, length, least: 0, most });
            }
        }
        if self.in_a_row {
            let all: usize = self.target_lengths.into_iter().flatten().map(|&length| length as usize).sum();
            if all > self.labels {
                return Err(Error::LabelCount { all, labels: self.labels });
            }
        }
        for example in 0..self.batch {
            let wrong = |&label: &i32| label < 0 || label as usize >= self.classes || label as usize == self.blank;
            let labels = self.target(example);
            if let Some(position) = labels.iter().position(wrong) {
                let (label, classes, blank) = (labels[position], self.classes, self.blank);
                return Err(Error::Label { label, position, example, classes, blank });
            }
        }
        if self.batch > 0 && self.blank >= self.classes {
            return Err(Error::IndexOutOfRange { index: self.blank as i32, position: 0, rows: self.classes });
        }
        Ok(())
    }
}

fn log_sum_exp(a: f64, b: f64, c: f64) -> f64 {
    let largest = a.max(b).max(c);
    if largest == f64::NEG_INFINITY {
        return a + b + c;
    }
    largest + ((a - largest).exp() + (b - largest).exp() + (c - largest).exp()).ln()
}

impl Example<'_> {
    fn states(&self) -> usize {
        2 * self.labels.len() + 1
    }

    fn class(&self, s: usize) -> usize {
        if s.is_multiple_of(2) { self.blank } else { self.labels[s / 2] as usize }
    }

    fn score(&self, t: usize, s: usize) -> f64 {
        f64::from(self.scores[t * self.classes + self.class(s)])
    }

    /// Whether state `s` can follow `s - 2`: a label after another label.
    fn skips(&self, s: usize) -> bool {
        s >= 2 && self.class(s) != self.blank && self.class(s) != self.class(s - 2)
    }

    /// Probabilities of all beginnings at time `t`, from those at the time before.
    fn forward(&self, t: usize, before: &[f64], now: &mut [f64]) {
        for s in 0..now.len() {
            let ways = if t == 0 {
                if s < 2 { 0.0 } else { f64::NEG_INFINITY }
            } else {
                let second = if s >= 1 { before[s - 1] } else { f64::NEG_INFINITY };
                let third = if self.skips(s) { before[s - 2] } else { f64::NEG_INFINITY };
                log_sum_exp(before[s], second, third)
            };
            now[s] = ways + self.score(t, s);
        }
    }

    /// Probabilities of all endings after time `t`, from those after the next.
    fn backward(&self, t: usize, next: &[f64], now: &mut [f64]) {
        let states = now.len();
        for s in 0..states {
            now[s] = if t + 1 == self.frames {
                if s + 2 >= states { 0.0 } else { f64::NEG_INFINITY }
            } else {
                let after = |s: usize| next[s] + self.score(t + 1, s);
                let second = if s + 1 < states { after(s + 1) } else { f64::NEG_INFINITY };
                let third = if s + 2 < states && self.skips(s + 2) { after(s + 2) } else { f64::NEG_INFINITY };
                log_sum_exp(after(s), second, third)
            };
        }
    }

    /// Logarithm of the likelihood, from the probabilities at the last frame.
    fn likelihood(&self, last: &[f64]) -> f64 {
        let states = self.states();
        if self.frames == 0 {
            return if states == 1 { 0.0 } else { f64::NEG_INFINITY };
        }
        let other = if states > 1 { last[states - 2] } else { f64::NEG_INFINITY };
        log_sum_exp(last[states - 1], other, f64::NEG_INFINITY)
    }

    fn loss(&self, scratch: &mut [f64]) -> f64 {
        let states = self.states();
        let (mut before, rest) = scratch.split_at_mut(states);
        let mut now = &mut rest[..states];
        for t in 0..self.frames {
            self.forward(t, before, now);
            std::mem::swap(&mut before, &mut now);
        }
        -self.likelihood(before)
    }

    fn gradient(&self, up: f64, zero_infinity: bool, scratch: &mut [f64], out: &mut [f32]) {
        let states = self.states();
        let (alpha, rest) = scratch.split_at_mut(self.frames * states);
        for t in 0..self.frames {
            let (before, now) = alpha.split_at_mut(t * states);
            self.forward(t, &before[t.saturating_sub(1) * states..], &mut now[..states]);
        }
        let total = self.likelihood(&alpha[self.frames.saturating_sub(1) * states..]);
        if zero_infinity && total == f64::NEG_INFINITY {
            return;
        }
        let (mut next, rest) = rest.split_at_mut(states);
        let mut now = &mut rest[..states];
        for t in (0..self.frames).rev() {
            self.backward(t, next, now);
            let out = &mut out[t * self.classes..][..self.classes];
            for (s, beta) in now.iter().enumerate() {
                out[self.class(s)] -= (up * (alpha[t * states + s] + beta - total).exp()) as f32;
            }
            std::mem::swap(&mut next, &mut now);
        }
    }
}

/// The memory of one thread.
fn of_worker<'a>(scratch: &SharedMut<'a, f64>, worker: usize, each: usize) -> &'a mut [f64] {
    // SAFETY: a worker runs one task at a time and has a part of its own.
    unsafe { scratch.slice(worker * each, each) }
}

/// Negative log-likelihood of each example. `memory` has room for each thread as [`scratch`] says.
///
/// # Errors
/// If a length or label is out of range, before anything is written.
pub fn ctc(cx: &Compute, alignment: Alignment, loss: &mut [f32], memory: &mut [f64]) -> Result<(), Error> {
    alignment.check()?;
    assert_eq!(loss.len(), alignment.batch);
    let each = scratch(alignment.time, alignment.labels, false);
    let (loss, memory) = (SharedMut::new(loss), SharedMut::new(memory));
    cx.pool.run(alignment.batch, &|n, worker| {
        let found = alignment.example(n).loss(of_worker(&memory, worker, each));
        let found = if alignment.zero_infinity && found == f64::INFINITY { 0.0 } else { found };
        // SAFETY: each task has an example of its own.
        unsafe { loss.slice(n, 1)[0] = found as f32 };
    });
    Ok(())
}

/// Gradient of [`ctc`] with respect to the log-probabilities, given that of each loss.
///
/// # Errors
/// If a length or label is out of range, before anything is written.
pub fn ctc_backward(
    cx: &Compute,
    alignment: Alignment,
    dloss: &[f32],
    dscores: &mut [f32],
    memory: &mut [f64],
) -> Result<(), Error> {
    alignment.check()?;
    assert!(dloss.len() == alignment.batch && dscores.len() == alignment.scores.len());
    let each = scratch(alignment.time, alignment.labels, true);
    let size = alignment.time * alignment.classes;
    let (dscores, memory) = (SharedMut::new(dscores), SharedMut::new(memory));
    cx.pool.run(alignment.batch, &|n, worker| {
        // SAFETY: each task has an example of its own.
        let out = unsafe { dscores.slice(n * size, size) };
        out.fill(0.0);
        let memory = of_worker(&memory, worker, each);
        alignment.example(n).gradient(f64::from(dloss[n]), alignment.zero_infinity, memory, out);
    });
    Ok(())
}
