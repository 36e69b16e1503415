//! The stack machine: operations of pickle protocols 0 to 5 on plain data.

use std::collections::HashMap;
use std::io::BufRead;

use super::objects::{self, Storages};
use super::reader::{MOST_BYTES, MOST_LETTERS, Reader, long, shortened};
use super::{Node, Value};
use crate::weights::Parsed;

/// Operations of one pickle; a tensor takes about forty.
const MOST_STEPS: u64 = 20_000_000;
/// Values that are not held by the stack itself.
const MOST_NODES: usize = 1_000_000;
/// Places of the memo, values on the stack, open marks.
const MOST_HELD: usize = 4_000_000;

/// Reads pickles one after another.
pub(in crate::weights) struct Machine<R> {
    input: Reader<R>,
    steps: u64,
    stack: Vec<Value>,
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
    nodes: Vec<Node>,
    storages: Storages,
    /// Items that were copied from one value to another.
    copied: usize,
}

impl<R: BufRead> Machine<R> {
    pub(in crate::weights) fn new(input: R) -> Self {
        Machine {
            input: Reader::new(input),
            steps: 0,
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            nodes: Vec::new(),
            storages: Storages::default(),
            copied: 0,
        }
    }

    /// Bytes read so far, of all pickles.
    pub(in crate::weights) fn position(&self) -> u64 {
        self.input.position
    }

    /// The node of a value, if it has one.
    pub(in crate::weights) fn node(&self, value: Value) -> Option<&Node> {
        match value {
            Value::Node(index) => self.nodes.get(index as usize),
            _ => None,
        }
    }

    /// The string that a value is.
    pub(in crate::weights) fn text(&self, value: Value) -> Option<&str> {
        match self.node(value) {
            Some(Node::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The storages that were referred to.
    pub(in crate::weights) fn storages(&self) -> &Storages {
        &self.storages
    }

    /// Runs the next pickle and returns its value. Values of those before stay.
    pub(in crate::weights) fn run(&mut self) -> Parsed<Value> {
        self.stack.clear();
        self.marks.clear();
        self.memo.clear();
        loop {
            let place = self.input.position;
            match self.step() {
                Ok(None) => {}
                Ok(Some(value)) => return Ok(value),
                Err(problem) => return Err(format!("{problem} (at byte {place} of its pickle)")),
            }
        }
    }

    /// One operation; the pickle's value at its end.
    fn step(&mut self) -> Parsed<Option<Value>> {
        self.steps += 1;
        if self.steps > MOST_STEPS || self.input.position > MOST_BYTES {
            return Err("describes more than any model's weights need".to_string());
        }
        if self.stack.len().max(self.marks.len()).max(self.memo.len()) > MOST_HELD {
            return Err("holds more values at once than any model's weights need".to_string());
        }
        let code = self.input.byte()?;
        match code {
            b'.' => return self.pop().map(Some),
            // Protocol and frames say nothing about the value.
            0x80 => _ = self.input.byte()?,
            0x95 => _ = self.input.bytes::<8>()?,
            b'(' => self.marks.push(self.stack.len()),
            b'0' => self.drop_one()?,
            b'1' => _ = self.since_mark()?,
            b'2' => {
                let top = self.peek()?;
                self.stack.push(top);
            }
            b'N' => self.stack.push(Value::None),
            0x88 => self.stack.push(Value::Bool(true)),
            0x89 => self.stack.push(Value::Bool(false)),
            b'K' | b'M' | b'J' | b'I' | b'L' | 0x8a | 0x8b => self.number(code)?,
            b'G' => {
                self.input.bytes::<8>()?;
                self.stack.push(Value::Float);
            }
            b'F' => {
                self.input.line()?;
                self.stack.push(Value::Float);
            }
            b'X' | 0x8c | 0x8d | b'V' | b'S' | b'T' | b'U' | b'B' | b'C' | 0x8e => self.string(code)?,
            b')' => self.push(Node::Tuple(Vec::new()))?,
            0x85..=0x87 => {
                let count = usize::from(code - 0x84);
                let items = self.pop_many(count)?;
                self.push(Node::Tuple(items))?;
            }
            b't' | b'l' | 0x91 => {
                let items = self.since_mark()?;
                self.push(if code == b't' { Node::Tuple(items) } else { Node::List(items) })?;
            }
            b']' | 0x8f => self.push(Node::List(Vec::new()))?,
            b'}' => self.push(Node::Dict(Vec::new()))?,
            b'd' => {
                let items = self.since_mark()?;
                self.push(Node::Dict(Vec::new()))?;
                self.put_items(items)?;
            }
            b'a' => {
                let item = self.pop()?;
                self.extend(vec![item])?;
            }
            b'e' | 0x90 => {
                let items = self.since_mark()?;
                self.extend(items)?;
            }
            b's' => {
                let items = self.pop_many(2)?;
                self.put_items(items)?;
            }
            b'u' => {
                let items = self.since_mark()?;
                self.put_items(items)?;
            }
            b'p' | b'q' | b'r' | 0x94 => self.memorise(code)?,
            b'g' | b'h' | b'j' => self.recall(code)?,
            b'c' => {
                let (module, name) = (self.input.line()?, self.input.line()?);
                self.push(Node::Global(format!("{module}.{name}")))?;
            }
            0x93 => {
                let names = self.pop_many(2)?;
                let name = |value| self.text(value).filter(|name| name.len() <= MOST_LETTERS);
                let (Some(module), Some(name)) = (name(names[0]), name(names[1])) else {
                    return Err("is damaged: it names a class by something that is no name".to_string());
                };
                let global = format!("{module}.{name}");
                self.push(Node::Global(global))?;
            }
            b'R' | 0x81 => {
                let parts = self.pop_many(2)?;
                self.construct(parts[0], parts[1])?;
            }
            b'b' => self.build()?,
            b'Q' => {
                let id = self.pop()?;
                let index = self.storages.refer(&self.nodes, id)?;
                self.push(Node::Storage(index))?;
            }
            other => {
                let known =
                    if other.is_ascii_graphic() { format!("`{}`", other as char) } else { format!("{other:#04x}") };
                return Err(format!(
                    "uses the pickle operation {known}, which weights do not need; it is damaged, or no file of weights"
                ));
            }
        }
        Ok(None)
    }

    /// Makes the object that a class or function and its arguments describe, if it is plain data.
    fn construct(&mut self, what: Value, arguments: Value) -> Parsed<()> {
        let Some(Node::Global(name)) = self.node(what) else {
            return Err("is damaged: it calls something that is no class or function".to_string());
        };
        let Some(Node::Tuple(arguments)) = self.node(arguments) else {
            return Err(format!("is damaged: the arguments of `{name}` are no tuple"));
        };
        match objects::construct(name, arguments, &self.nodes, &self.storages)? {
            objects::Made::Node(node) => {
                // The same list may be copied again and again by a few bytes of the file.
                if let Node::Dict(items) = &node {
                    self.copied += items.len();
                }
                if self.copied > MOST_HELD {
                    return Err("copies more values than any model's weights need".to_string());
                }
                self.push(node)
            }
            objects::Made::Value(value) => {
                self.stack.push(value);
                Ok(())
            }
        }
    }

    /// Attributes of an object: those of a state dictionary say which version its layers have.
    fn build(&mut self) -> Parsed<()> {
        self.pop()?;
        match self.node(self.peek()?) {
            Some(Node::Dict(_) | Node::Tensor(_) | Node::Ignored) => Ok(()),
            _ => Err("is damaged: it gives attributes to something that has none".to_string()),
        }
    }

    fn number(&mut self, code: u8) -> Parsed<()> {
        let value = match code {
            b'K' => Value::Int(i64::from(self.input.byte()?)),
            b'M' => Value::Int(i64::from(u16::from_le_bytes(self.input.bytes()?))),
            b'J' => Value::Int(i64::from(i32::from_le_bytes(self.input.bytes()?))),
            b'I' | b'L' => {
                let line = self.input.line()?;
                match (code, &line[..]) {
                    (b'I', "00") => Value::Bool(false),
                    (b'I', "01") => Value::Bool(true),
                    _ => match line.trim_end_matches('L').parse() {
                        Ok(number) => Value::Int(number),
                        Err(_) => return Err(format!("is damaged: `{}` is no number", shortened(&line))),
                    },
                }
            }
            _ => {
                let length = if code == 0x8a {
                    usize::from(self.input.byte()?)
                } else {
                    u32::from_le_bytes(self.input.bytes()?) as usize
                };
                let bytes = self.input.take(length as u64)?;
                long(&bytes)
            }
        };
        self.stack.push(value);
        Ok(())
    }

    fn string(&mut self, code: u8) -> Parsed<()> {
        let length = match code {
            0x8c | b'U' | b'C' => u64::from(self.input.byte()?),
            b'X' | b'T' | b'B' => u64::from(u32::from_le_bytes(self.input.bytes()?)),
            0x8d | 0x8e => u64::from_le_bytes(self.input.bytes()?),
            _ => {
                let line = self.input.line()?;
                return self.push(Node::Text(line.trim_matches(['\'', '"']).to_string()));
            }
        };
        let bytes = self.input.take(length)?;
        if matches!(code, b'B' | b'C' | 0x8e) {
            return self.push(Node::Bytes);
        }
        match String::from_utf8(bytes) {
            Ok(text) => self.push(Node::Text(text)),
            // Python 2 wrote bytes as strings.
            Err(_) if matches!(code, b'U' | b'T') => self.push(Node::Bytes),
            Err(_) => Err("is damaged: a string is not UTF-8".to_string()),
        }
    }

    fn memorise(&mut self, code: u8) -> Parsed<()> {
        let place = match code {
            b'q' => u32::from(self.input.byte()?),
            b'r' => u32::from_le_bytes(self.input.bytes()?),
            b'p' => self.place()?,
            _ => self.memo.len() as u32,
        };
        let top = self.peek()?;
        self.memo.insert(place, top);
        Ok(())
    }

    fn recall(&mut self, code: u8) -> Parsed<()> {
        let place = match code {
            b'h' => u32::from(self.input.byte()?),
            b'j' => u32::from_le_bytes(self.input.bytes()?),
            _ => self.place()?,
        };
        match self.memo.get(&place) {
            Some(&value) => self.stack.push(value),
            None => return Err(format!("is damaged: it refers to the value {place}, which it never stored")),
        }
        Ok(())
    }

    fn place(&mut self) -> Parsed<u32> {
        let line = self.input.line()?;
        line.parse().map_err(|_| format!("is damaged: `{}` is no place in a memo", shortened(&line)))
    }

    /// Adds items to the list on top of the stack.
    fn extend(&mut self, items: Vec<Value>) -> Parsed<()> {
        match self.top_node()? {
            Node::List(list) => list.extend(items),
            _ => return Err("is damaged: it appends to something that is no list".to_string()),
        }
        Ok(())
    }

    /// Adds keys and values to the dictionary on top of the stack.
    fn put_items(&mut self, items: Vec<Value>) -> Parsed<()> {
        if items.len() % 2 == 1 {
            return Err("is damaged: a dictionary has a key without a value".to_string());
        }
        match self.top_node()? {
            Node::Dict(dict) => dict.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1]))),
            _ => return Err("is damaged: it sets an item of something that is no dictionary".to_string()),
        }
        Ok(())
    }

    fn top_node(&mut self) -> Parsed<&mut Node> {
        let node = match self.peek()? {
            Value::Node(index) => self.nodes.get_mut(index as usize),
            _ => None,
        };
        node.ok_or_else(|| "is damaged: it adds items to a plain value".to_string())
    }

    fn push(&mut self, node: Node) -> Parsed<()> {
        if self.nodes.len() >= MOST_NODES {
            return Err("describes more objects than any model's weights need".to_string());
        }
        self.stack.push(Value::Node(self.nodes.len() as u32));
        self.nodes.push(node);
        Ok(())
    }

    fn peek(&self) -> Parsed<Value> {
        // What lies below an open mark belongs to what the mark is for.
        let bottom = self.marks.last().copied().unwrap_or(0);
        self.stack[bottom.min(self.stack.len())..].last().copied().ok_or_else(empty)
    }

    fn pop(&mut self) -> Parsed<Value> {
        let value = self.peek()?;
        self.stack.pop();
        Ok(value)
    }

    /// Drops the top of the stack, or a mark that lies there.
    fn drop_one(&mut self) -> Parsed<()> {
        if self.marks.last() == Some(&self.stack.len()) {
            self.marks.pop();
            return Ok(());
        }
        self.pop().map(|_| ())
    }

    fn pop_many(&mut self, count: usize) -> Parsed<Vec<Value>> {
        let bottom = self.marks.last().copied().unwrap_or(0);
        match self.stack.len().checked_sub(count) {
            Some(first) if first >= bottom => Ok(self.stack.split_off(first)),
            _ => Err(empty()),
        }
    }

    /// Everything above the last mark, which is taken away.
    fn since_mark(&mut self) -> Parsed<Vec<Value>> {
        let mark = self.marks.pop().ok_or_else(|| "is damaged: a mark is missing".to_string())?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }
}

fn empty() -> String {
    "is damaged: its stack is empty where a value is needed".to_string()
}
