//! Texts that are continued, token by token.

use std::path::Path;
use std::sync::Arc;

use deepfit_cpu::{Engine, ProgramId, View};
use deepfit_data::Tokenizer;
use deepfit_graph::philox;
use deepfit_graph::{DType, Dim, Extents, Graph, HostTensor, Shape, Symbol, Tensor};
use deepfit_nn::step::evaluation_graph;
use deepfit_zoo::{CacheSizes, Context, LENGTHS, Network, Pooling, TOKENS, TextHead, pooled};
use serde::Serialize;

use super::{TextModel, check_tokens, text};
use crate::error::{Result, TrainError};

/// Input of the graph of a token: its position.
const POSITION: &str = "position";
/// Output of the graphs: logits of the next token.
const NEXT: &str = "next";

/// How the next token is chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampling {
    /// Most tokens that are added.
    pub max_tokens: usize,
    /// What logits are divided by before a token is drawn; 0 takes the likeliest.
    pub temperature: f32,
    /// Only so many of the likeliest are drawn from.
    pub top_k: Option<usize>,
    /// Only the likeliest that together have this probability are drawn from.
    pub top_p: Option<f32>,
    /// Another seed draws others.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Sampling { max_tokens: 100, temperature: 0.0, top_k: None, top_p: None, seed: 1 }
    }
}

/// Why a text was not continued further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// The network said that it ends.
    End,
    /// As many tokens as were asked for were added.
    MaxTokens,
    /// The network takes no more.
    Positions,
}

/// A continued text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Generated {
    /// What it began with.
    pub prompt: String,
    /// What was added.
    pub text: String,
    /// Number of tokens that were added.
    pub tokens: usize,
    /// Why it ends there.
    pub finish: Finish,
}

/// A network that continues texts.
pub struct Generator {
    model: TextModel,
    engine: Engine,
    cache: CacheSizes,
}

/// A network that continues texts, to be looked into.
pub struct Continuing {
    /// The network, for texts of at most so many tokens as it takes.
    pub network: Box<dyn Network>,
    /// Makes tokens of texts.
    pub tokenizer: Arc<Tokenizer>,
    /// Most tokens of a text.
    pub positions: usize,
    /// An engine with its weights.
    pub engine: Engine,
    /// What is worth knowing about it, a sentence each.
    pub notes: Vec<String>,
}

impl Continuing {
    /// Opens what [`Generator::open`] opens.
    ///
    /// # Errors
    /// As there.
    pub fn open(path: &Path, threads: usize) -> Result<Continuing> {
        let Generator { model, engine, .. } = Generator::open(path, threads)?;
        let network = model.network(usize::MAX)?;
        let (tokenizer, positions, notes) = (model.tokenizer, model.sizes.positions, model.notes);
        Ok(Continuing { network, tokenizer, positions, engine, notes })
    }
}

impl Generator {
    /// Opens a published model.
    ///
    /// # Errors
    /// If it is damaged, or does not continue texts.
    pub fn open(path: &Path, threads: usize) -> Result<Generator> {
        let mut model = TextModel::open(path)?;
        let (TextHead::Vocabulary, Some(cache)) = (model.sizes.head, model.sizes.cache) else {
            let problem =
                "does not continue texts: that is for models such as GPT-2 and LLaMA with a layer for the next word";
            return Err(TrainError::run(path, problem));
        };
        let engine = model.engine(threads)?;
        Ok(Generator { model, engine, cache })
    }

    /// What is worth knowing so far, one sentence each. Each is given once.
    pub fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.model.notes)
    }

    /// Continues a text, and gives each piece that is added to `each` as soon as it is there.
    ///
    /// # Errors
    /// If a setting is impossible, the prompt is empty or longer than what the network takes, or `each` fails.
    pub fn generate(
        &mut self,
        prompt: &str,
        sampling: &Sampling,
        each: &mut dyn FnMut(&str) -> Result<()>,
    ) -> Result<Generated> {
        validate(sampling)?;
        let ids = self.prompt(prompt)?;
        let positions = self.model.sizes.positions;
        let most = ids.len().saturating_add(sampling.max_tokens).min(positions);
        let mut cached = Cached::start(&mut self.engine, &*self.model.network(most)?, self.cache, &ids, most)?;
        let tokenizer = &self.model.tokenizer;
        let mut pieces = tokenizer.decoder();
        for id in &ids {
            pieces(*id)?;
        }
        let mut draws = philox::Stream::new(sampling.seed, "generate");
        let (mut added, mut told) = (Vec::new(), String::new());
        let finish = loop {
            if added.len() == sampling.max_tokens {
                break Finish::MaxTokens;
            }
            let next = choose(cached.next(), sampling, &mut draws);
            if self.model.published.end_tokens.contains(&next) {
                break Finish::End;
            }
            added.push(next);
            if let Some(piece) = pieces(next)? {
                each(&piece)?;
                told += &piece;
            }
            if ids.len() + added.len() == positions {
                break if added.len() == sampling.max_tokens { Finish::MaxTokens } else { Finish::Positions };
            }
            if added.len() < sampling.max_tokens {
                cached.push(&mut self.engine, next)?;
            }
        };
        let text = continuation(tokenizer, &ids, &added)?;
        // Letters that were not whole when they were told.
        if let Some(rest) = text.strip_prefix(&told[..]).filter(|rest| !rest.is_empty()) {
            each(rest)?;
        }
        Ok(Generated { prompt: prompt.to_string(), text, tokens: added.len(), finish })
    }

    /// The tokens of a prompt.
    fn prompt(&self, prompt: &str) -> Result<Vec<u32>> {
        let wrong = |problem: String| TrainError::setting("prompt", problem);
        let ids = self.model.tokenizer.encode(prompt, usize::MAX).map_err(wrong)?.ids;
        if ids.is_empty() {
            return Err(wrong("is empty, and the model puts nothing before it; give a word to begin with".to_string()));
        }
        let positions = self.model.sizes.positions;
        if ids.len() >= positions {
            let tokens = ids.len();
            let problem =
                format!("has {tokens} tokens, and the model takes {positions} with those it adds; shorten it");
            return Err(wrong(problem));
        }
        check_tokens(&ids, &self.model.sizes).map_err(wrong)?;
        Ok(ids)
    }
}

/// The text that tokens add to those before them, spaces between both included.
fn continuation(tokenizer: &Tokenizer, ids: &[u32], added: &[u32]) -> Result<String> {
    let whole = tokenizer.decode(&[ids, added].concat())?;
    match whole.strip_prefix(&tokenizer.decode(ids)?[..]) {
        Some(text) => Ok(text.to_string()),
        None => Ok(tokenizer.decode(added)?),
    }
}

fn validate(sampling: &Sampling) -> Result<()> {
    let Sampling { max_tokens, temperature, top_k, top_p, .. } = sampling;
    if *max_tokens == 0 {
        return Err(TrainError::setting("max_tokens", "is 0, but must be at least 1"));
    }
    if !(0.0..=1000.0).contains(temperature) {
        return Err(TrainError::setting("temperature", format!("is {temperature}, but must be from 0 to 1000")));
    }
    if *top_k == Some(0) {
        return Err(TrainError::setting("top_k", "is 0, but must be at least 1"));
    }
    if let Some(top_p) = top_p.filter(|p| !(*p > 0.0 && *p <= 1.0)) {
        return Err(TrainError::setting("top_p", format!("is {top_p}, but must be above 0 and at most 1")));
    }
    Ok(())
}

/// A text on its way, with what the network keeps of its tokens.
struct Cached {
    program: ProgramId,
    /// Keys and values of all tokens so far, by layer.
    kept: Vec<Vec<f32>>,
    names: Vec<Names>,
    /// Number of values that are kept of a token, by layer and kind, or of all tokens.
    row: usize,
    /// Whether they are of each token.
    each_token: bool,
    length: usize,
    /// Logits of the next token.
    next: Vec<f32>,
}

/// Names of what is kept of the earlier tokens, the graph's input, and of the new ones, its output.
struct Names {
    past: String,
    new: String,
}

impl Cached {
    /// Reads the first tokens at once.
    fn start(
        engine: &mut Engine,
        network: &dyn Network,
        cache: CacheSizes,
        ids: &[u32],
        most: usize,
    ) -> Result<Cached> {
        let row = cache.row();
        let kinds = ["keys", "values"];
        let of = |layer| {
            kinds.map(|kind| Names { past: format!("past {kind} {layer}"), new: format!("new {kind} {layer}") })
        };
        let names: Vec<Names> = (0..if cache.each_token { cache.layers } else { 1 }).flat_map(of).collect();
        let whole = engine.compile(&whole(network, &names)?, Extents { batch: 1, sequence: ids.len() })?;
        let program = engine.compile(&further(network, &names, cache)?, Extents { batch: 1, sequence: most })?;
        let tokens: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
        let length = [ids.len() as i32];
        let views = [(TOKENS, View::I32(&tokens)), (LENGTHS, View::I32(&length))];
        engine.run(whole, Extents { batch: 1, sequence: ids.len() }, &views)?;
        let mut kept = Vec::with_capacity(names.len());
        for Names { new, .. } in &names {
            let mut rows = Vec::with_capacity(most * row);
            rows.extend_from_slice(engine.output(whole, new)?);
            kept.push(rows);
        }
        let next = finite(engine.output(whole, NEXT)?)?;
        let each_token = cache.each_token;
        Ok(Cached { program, kept, names, row, each_token, length: ids.len(), next })
    }

    /// Logits of the next token.
    fn next(&self) -> &[f32] {
        &self.next
    }

    /// Reads one more token.
    fn push(&mut self, engine: &mut Engine, id: u32) -> Result<()> {
        let position = self.length;
        self.length += 1;
        if self.each_token {
            self.kept.iter_mut().for_each(|rows| rows.resize(self.length * self.row, 0.0));
        }
        let (token, place) = ([id as i32], [position as i32]);
        let mut views = vec![(TOKENS, View::I32(&token))];
        // A recurrent network does not count.
        views.extend(self.each_token.then_some((POSITION, View::I32(&place))));
        views.extend(self.names.iter().zip(&self.kept).map(|(names, rows)| (&names.past[..], View::F32(rows))));
        engine.run(self.program, Extents { batch: 1, sequence: self.length }, &views)?;
        for (Names { new, .. }, rows) in self.names.iter().zip(&mut self.kept) {
            let begin = if self.each_token { position * self.row } else { 0 };
            rows[begin..].copy_from_slice(engine.output(self.program, new)?);
        }
        self.next = finite(engine.output(self.program, NEXT)?)?;
        Ok(())
    }
}

fn finite(logits: &[f32]) -> Result<Vec<f32>> {
    match logits.iter().all(|value| value.is_finite()) {
        true => Ok(logits.to_vec()),
        false => Err(TrainError::Predictions { what: "a logit of the next token".to_string() }),
    }
}

/// The graph of whole texts: what their tokens leave for later ones, and the logits of the next.
fn whole(network: &dyn Network, names: &[Names]) -> Result<Graph> {
    Ok(evaluation_graph(|tracer| {
        let inputs: Vec<Tensor> = network.inputs().iter().map(|slot| slot.on(tracer)).collect();
        let network = text(network)?;
        let context = Context::whole(&inputs[0], &inputs[1])?;
        let last = pooled(Pooling::Last, &network.hidden(&inputs[0], &context)?, &inputs[1])?;
        Ok(outputs(network.next_words(&last)?, &context, names))
    })?)
}

/// The graph of one token more.
fn further(network: &dyn Network, names: &[Names], cache: CacheSizes) -> Result<Graph> {
    Ok(evaluation_graph(|tracer| {
        let network = text(network)?;
        let steps = match cache.each_token {
            true => vec![Dim::fixed(1), Dim::symbol(Symbol::Sequence), cache.heads.into(), cache.width.into()],
            false => vec![cache.layers.into(), Dim::fixed(1), (cache.heads * cache.width).into()],
        };
        let past = |names: &Names| tracer.input(&names.past, Shape::from(steps.clone()), DType::F32);
        let past: Vec<Tensor> = names.iter().map(past).collect();
        let past = past.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
        let token = tracer.input(TOKENS, Shape::from(&[1, 1][..]), DType::I32);
        let position = match cache.each_token {
            true => tracer.input(POSITION, Shape::from(&[1][..]), DType::I32),
            false => tracer.constant(HostTensor::i32(&[1], vec![0])),
        };
        let context = Context::next(&position, past);
        let hidden = network.hidden(&token, &context)?;
        Ok(outputs(network.next_words(&hidden)?, &context, names))
    })?)
}

fn outputs(next: Tensor, context: &Context, names: &[Names]) -> Vec<(String, Tensor)> {
    let kept = context.kept().into_iter().flat_map(|(key, value)| [key, value]);
    let mut outputs: Vec<(String, Tensor)> = names.iter().map(|names| names.new.clone()).zip(kept).collect();
    outputs.push((NEXT.to_string(), next));
    outputs
}

/// The next token: the likeliest, or one that is drawn.
fn choose(logits: &[f32], sampling: &Sampling, draws: &mut philox::Stream) -> u32 {
    if sampling.temperature == 0.0 {
        let best = logits
            .iter()
            .enumerate()
            .fold((0, f32::NEG_INFINITY), |best, (id, &logit)| if logit > best.1 { (id, logit) } else { best });
        return best.0 as u32;
    }
    let mut order: Vec<u32> = (0..logits.len() as u32).collect();
    // Equal ones in the order of their numbers, so that the same seed draws the same.
    let likeliest = |&a: &u32, &b: &u32| logits[b as usize].total_cmp(&logits[a as usize]).then(a.cmp(&b));
    if let Some(top_k) = sampling.top_k.filter(|&k| k < order.len()) {
        order.select_nth_unstable_by(top_k, likeliest);
        order.truncate(top_k);
    }
    order.sort_unstable_by(likeliest);
    let largest = order.first().map_or(0.0, |&id| logits[id as usize]);
    let weight = |&id: &u32| f64::from((logits[id as usize] - largest) / sampling.temperature).exp();
    let weights: Vec<f64> = order.iter().map(weight).collect();
    let all: f64 = weights.iter().sum();
    let share = f64::from(sampling.top_p.unwrap_or(1.0)) * all;
    let (mut within, mut sum) = (0, 0.0);
    while within < weights.len() && (within == 0 || sum < share) {
        sum += weights[within];
        within += 1;
    }
    let mut left = f64::from(draws.uniform()) * sum;
    for (id, weight) in order.iter().zip(&weights[..within]) {
        left -= weight;
        if left < 0.0 {
            return *id;
        }
    }
    order.get(within.saturating_sub(1)).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_drawn_from_the_likeliest_alone() {
        let logits = [1.0, 3.0, 2.0, -1.0, 3.0];
        let mut draws = philox::Stream::new(1, "test");
        let mut drawn = |sampling: &Sampling| {
            let mut counts = [0; 5];
            (0..2000).for_each(|_| counts[choose(&logits, sampling, &mut draws) as usize] += 1);
            counts
        };
        assert_eq!(drawn(&Sampling::default()), [0, 2000, 0, 0, 0]);
        let warm = Sampling { temperature: 1.0, ..Sampling::default() };
        let counts = drawn(&warm);
        assert!(counts.iter().all(|&count| count > 0) && counts[1] > counts[2] && counts[2] > counts[0], "{counts:?}");
        assert_eq!(drawn(&Sampling { top_k: Some(2), ..warm.clone() })[2], 0);
        let counts = drawn(&Sampling { top_p: Some(0.5), ..warm.clone() });
        assert!(counts[1] > 500 && counts[4] > 500 && counts[2] == 0, "{counts:?}");
        assert_eq!(drawn(&Sampling { top_p: Some(1e-9), ..warm }), [0, 2000, 0, 0, 0]);
    }
}
