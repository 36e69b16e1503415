use std::cell::RefCell;

use deepfit_graph::ops::AttentionOptions;
use deepfit_graph::{Dim, Tensor, Tracer};
use deepfit_nn::{Parameter, Result};

/// Where tokens stand and what they see beside themselves.
#[derive(Debug)]
pub struct Context {
    /// Positions of the tokens, i32 `[T]`, or `[batch, T]` where they differ.
    positions: Tensor,
    /// The same, but of texts that stand side by side counted from the first of both, i32 `[T]`.
    places: Tensor,
    /// Number of tokens of each text, i32 `[batch]`; all that there are without.
    lengths: Option<Tensor>,
    /// Of two texts that are read together, where the second begins, i32 `[batch]`.
    second: Option<Tensor>,
    /// Of two texts that stand side by side, a bias `[batch, 1, T, T]` that hides keys of the other one from a query.
    other: Option<Tensor>,
    /// Keys and values of all tokens so far, by layer.
    past: Option<Vec<(Tensor, Tensor)>>,
    /// Keys and values of the tokens, by layer.
    kept: RefCell<Vec<(Tensor, Tensor)>>,
}

/// Which tokens an attention may see, apart from those behind the end of a text.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sight {
    /// Whether none that comes later.
    pub(crate) causal: bool,
    /// Whether none further away.
    pub(crate) window: Option<usize>,
}

impl Context {
    /// Of whole texts: tokens i32 `[batch, T]` with their lengths i32 `[batch]`.
    ///
    /// # Errors
    /// If the tokens are no batch of sequences.
    pub fn whole(tokens: &Tensor, lengths: &Tensor) -> Result<Context> {
        let &[_, length] = tokens.shape().dims() else {
            return Err(tokens.error("tokens", format!("must be [batch, T], not {}", tokens.shape())).into());
        };
        let positions = tokens.tracer().arange(length)?;
        let (places, lengths) = (positions.clone(), Some(lengths.clone()));
        Ok(Context { positions, places, lengths, second: None, other: None, past: None, kept: RefCell::default() })
    }

    /// Of two texts that stand side by side and see nothing of each other: tokens i32 `[batch, T]` with their positions i32
    /// `[batch, T]`, the lengths i32 `[batch]` of both together, and the place of the second i32 `[batch]`.
    ///
    /// # Errors
    /// If the tokens are no batch of sequences.
    pub(crate) fn side_by_side(
        tokens: &Tensor,
        positions: &Tensor,
        lengths: &Tensor,
        second: &Tensor,
    ) -> Result<Context> {
        let whole = Context::whole(tokens, lengths)?;
        let of_second = from_place(&whole.places, second)?.to_f32()?;
        let &[batch, length] = tokens.shape().dims() else { return Ok(whole) };
        let queries = of_second.reshape(vec![batch, 1.into(), length, 1.into()])?;
        let keys = of_second.reshape(vec![batch, 1.into(), 1.into(), length])?;
        let (same, tracer) = (queries.equal(&keys)?, tokens.tracer());
        let other = same.select(&tracer.scalar(0.0), &tracer.scalar(f32::NEG_INFINITY))?;
        Ok(Context { positions: positions.clone(), other: Some(other), ..whole })
    }

    /// Of two texts that are read together, the second from its place i32 `[batch]` on.
    pub fn in_pairs(self, second: &Tensor) -> Context {
        Context { second: Some(second.clone()), ..self }
    }

    /// Of one token more, at a position i32 `[1]`: keys and values f32 `[batch, S, heads, width]` of each layer hold those
    /// of the tokens before it, with room for its own at its position, the last.
    pub fn next(position: &Tensor, past: Vec<(Tensor, Tensor)>) -> Context {
        let (positions, places) = (position.clone(), position.clone());
        let (lengths, second, other, kept) = (None, None, None, RefCell::default());
        Context { positions, places, lengths, second, other, past: Some(past), kept }
    }

    /// Keys and values f32 `[batch, T, heads, width]` of the tokens, by layer: what later tokens need of them. Known as
    /// soon as the network has been added to the graph.
    pub fn kept(&self) -> Vec<(Tensor, Tensor)> {
        self.kept.borrow().clone()
    }

    /// The states that a recurrent network has kept of the tokens before, `[layers, batch, width]`.
    pub(crate) fn states(&self) -> Option<(&Tensor, &Tensor)> {
        self.past.as_ref()?.first().map(|(hidden, cell)| (hidden, cell))
    }

    /// Keeps a recurrent network's states after the last token.
    pub(crate) fn keep(&self, hidden: Tensor, cell: Tensor) {
        self.kept.borrow_mut().push((hidden, cell));
    }

    /// Numbers of tokens of each text, i32 `[batch]`, if not all are there.
    pub(crate) fn lengths(&self) -> Option<&Tensor> {
        self.lengths.as_ref()
    }

    /// Which tokens belong to the second of two texts, `[batch, T, 1]`; nothing where there is one.
    pub(crate) fn of_second(&self) -> Result<Option<Tensor>> {
        self.second.as_ref().map(|second| from_place(&self.places, second)).transpose()
    }

    /// Positions of the tokens, i32 `[T]`, or `[batch, T]` where they differ.
    pub(crate) fn positions(&self) -> &Tensor {
        &self.positions
    }

    /// Attention of a query `[batch, T, heads, d]` over key and value `[batch, T, kv_heads, d]` of the same tokens and, if
    /// there are any, those before them: `[batch, T, heads * d]`. Called once for each layer, in their order.
    pub(crate) fn attend(&self, query: &Tensor, key: &Tensor, value: &Tensor, sight: Sight) -> Result<Tensor> {
        let &[batch, length, heads, width] = query.shape().dims() else {
            return Err(query.error("attention", format!("needs [batch, T, heads, d], not {}", query.shape())).into());
        };
        let layer = self.kept.borrow().len();
        self.kept.borrow_mut().push((key.clone(), value.clone()));
        let (lengths, bias) = (self.lengths.clone(), self.other.clone());
        let mut options = AttentionOptions { lengths, bias, ..AttentionOptions::default() };
        let past = self.past.as_ref().map(|past| past.get(layer).ok_or_else(|| too_few(query, past.len())));
        let (key, value) = match past.transpose()? {
            None => {
                options.causal = sight.causal;
                (key.clone(), value.clone())
            }
            Some((keys, values)) => (self.among(key, keys)?, self.among(value, values)?),
        };
        if let Some(window) = sight.window {
            let keys = key.shape().dims()[1];
            let far = self.hidden_beyond(query.tracer(), keys, window)?;
            options.bias = Some(match &options.bias {
                Some(other) => other.add(&far)?,
                None => far,
            });
            // What stands behind the end of a text may be too far away to see any of it, and means nothing.
            options.allow_hidden = true;
        }
        Ok(query.attention(&key, &value, &options)?.reshape(vec![batch, length, heads * width])?)
    }

    /// `past` `[batch, S, heads, d]` with `own` `[batch, 1, heads, d]` at its position.
    fn among(&self, own: &Tensor, past: &Tensor) -> Result<Tensor> {
        let length = past.shape().dims()[1];
        let place = |x: Tensor, length: Dim| x.to_f32()?.reshape(vec![length, 1.into(), 1.into()]);
        let places = place(past.tracer().arange(length)?, length)?;
        let here = places.equal(&place(self.places.clone(), 1.into())?)?;
        Ok(here.select(own, past)?)
    }

    /// A bias `[T, keys]` that hides what is further away than `window` positions.
    fn hidden_beyond(&self, tracer: &Tracer, keys: Dim, window: usize) -> Result<Tensor> {
        let length = self.places.shape().dims()[0];
        let rows = self.places.to_f32()?.reshape(vec![length, 1.into()])?;
        let distance = tracer.arange(keys)?.to_f32()?.sub(&rows)?.abs()?;
        let far = distance.greater(&tracer.scalar(window as f32))?;
        Ok(far.select(&tracer.scalar(f32::NEG_INFINITY), &tracer.scalar(0.0))?)
    }
}

/// Which of the positions i32 `[T]` are a place i32 `[batch]` or behind it: `[batch, T, 1]`.
pub(super) fn from_place(positions: &Tensor, place: &Tensor) -> Result<Tensor> {
    let (batch, length) = (place.shape().dims()[0], positions.shape().dims()[0]);
    let place = place.to_f32()?.reshape(vec![batch, 1.into(), 1.into()])?;
    let positions = positions.to_f32()?.reshape(vec![length, 1.into()])?;
    // Both are whole numbers.
    Ok(positions.add_scalar(0.5)?.greater(&place)?)
}

/// Learned vectors of the tokens' positions `[T, width]`, or of each text's own `[batch, T, width]`, the first of which has row `first` of a table.
pub(crate) fn learned_positions(table: &Parameter, first: usize, context: &Context) -> Result<Tensor> {
    let tracer = context.positions.tracer();
    tracer.in_layer(table.name.strip_suffix(".weight").unwrap_or(&table.name), || {
        let mut rows = table.on(tracer)?;
        if first > 0 {
            rows = rows.slice(0, first, table.shape[0] - first)?;
        }
        Ok(rows.embedding(&context.positions)?)
    })
}

/// The error for keys and values of fewer layers than there are.
fn too_few(query: &Tensor, layers: usize) -> deepfit_graph::GraphError {
    query.error("attention", format!("there are keys and values of {layers} layers, which are too few"))
}

/// The heads of `x` `[batch, T, heads * width]`: `[batch, T, heads, width]`.
pub(crate) fn split_heads(x: &Tensor, heads: usize, width: usize) -> Result<Tensor> {
    let dims = x.shape().dims();
    Ok(x.reshape(vec![dims[0], dims[1], heads.into(), width.into()])?)
}
