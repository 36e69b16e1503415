//! Pairs of texts whose embeddings shall be near to each other: a table of two columns of texts, perhaps with a score.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::open::{TextSurvey, is_free_text};
use super::preprocessor::TextPreprocessor;
use super::samples::{LENGTHS, Ragged, SECOND, TOKENS, TextForm};
use super::tied::{SHARED, tied};
use crate::batch::{Array, Batch, DType, Slot};
use crate::dataset::{OpenOptions, Opened, Summary, Task, TaskKind};
use crate::error::{Error, Result, lacks};
use crate::source::{Pass, Source};
use crate::split::{Part, quantile_bins};
use crate::table;

/// Rows that are looked at to find out which columns hold texts.
const LOOKED_AT: usize = 1_000;
/// A column of no more different values may tell kinds of pairs apart.
const MOST_KINDS: usize = 10;

/// What is known of pairs of texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PairLabel {
    /// Both texts of each belong together; those of different pairs do not.
    Partners,
    /// How similar they are; the larger the more.
    Score,
    /// Whether they are related: 1 or 0.
    Related,
}

/// Which columns of a table are the texts, and which the score.
#[derive(Debug)]
pub(crate) struct PairTable {
    header: bool,
    texts: [String; 2],
    score: Option<String>,
    /// Columns that are neither.
    unused: Vec<String>,
}

/// Finds out whether a table holds pairs of texts to be embedded: if that is asked for, or if there is nothing else.
///
/// # Errors
/// If that is asked for, and there are not two columns of texts.
pub(crate) fn recognise(path: &Path, options: &OpenOptions) -> Result<Option<PairTable>> {
    let asked = options.task == Some(TaskKind::Similarity);
    if !asked
        && (options.task.is_some() || options.target.is_some() || options.text.is_some() || options.pairs.is_some())
    {
        return Ok(None);
    }
    let seen = table::preview(path, options.header, LOOKED_AT)?;
    let name = path.to_string_lossy();
    let values = |column: usize| seen.rows.iter().filter_map(move |row| row.get(column)).map(String::as_str);
    let free: Vec<usize> = (0..seen.columns.len()).filter(|&column| is_free_text(values(column))).collect();
    if !asked {
        // A table of nothing but two columns of texts has no other meaning.
        let two = seen.columns.len() == 2 && free.len() == 2;
        let texts = || [seen.columns[0].clone(), seen.columns[1].clone()];
        return Ok(two.then(|| PairTable { header: seen.header, texts: texts(), score: None, unused: Vec::new() }));
    }
    let find = |column: &str| table::named_column(&seen.columns, column, &name);
    let mut score = options.target.as_deref().map(find).transpose()?;
    let numbers = |column: usize| {
        let mut values = values(column).filter(|value| !value.trim().is_empty()).peekable();
        values.peek().is_some() && values.all(|value| value.trim().parse::<f64>().is_ok())
    };
    let texts: Vec<usize> = match &options.text {
        Some(named) => named.split(',').map(|column| find(column.trim())).collect::<Result<_>>()?,
        None if free.len() == 2 => free,
        None => (0..seen.columns.len()).filter(|&column| Some(column) != score && !numbers(column)).collect(),
    };
    let &[first, second] = &texts[..] else {
        let listed = texts.iter().map(|&column| &seen.columns[column][..]).collect::<Vec<_>>().join(", ");
        let problem = format!(
            "similarity is learned from two columns of texts that belong together, and '{name}' has {}{}; name two by \
             text=A,B",
            texts.len(),
            if texts.is_empty() { String::new() } else { format!(": {listed}") },
        );
        return Err(Error::Setting { setting: "task", problem });
    };
    if first == second || score.is_some_and(|score| texts.contains(&score)) {
        let problem = "names a column twice; two columns of texts and perhaps one of scores are needed".to_string();
        return Err(Error::Setting { setting: "text", problem });
    }
    if score.is_none() {
        let mut others = (0..seen.columns.len()).filter(|column| !texts.contains(column) && numbers(*column));
        score = others.next();
        if let (Some(one), Some(other)) = (score, others.next()) {
            let (one, other) = (&seen.columns[one], &seen.columns[other]);
            let problem = format!("is open: '{one}' and '{other}' hold numbers; name the scores by target=NAME");
            return Err(Error::Setting { setting: "target", problem });
        }
    }
    let others = (0..seen.columns.len()).filter(|column| !texts.contains(column) && Some(*column) != score);
    let named = |column: usize| seen.columns[column].clone();
    for column in others.clone() {
        let words: BTreeSet<&str> = values(column).map(str::trim).filter(|value| !value.is_empty()).collect();
        if score.is_none() && options.text.is_none() && (2..=MOST_KINDS).contains(&words.len()) {
            let kinds = words.into_iter().collect::<Vec<_>>().join("', '");
            let problem = format!(
                "is open: '{}' holds '{kinds}', and may tell which texts belong together. If it does, write 1 and 0 \
                 there, or scores; if all pairs belong together, name the texts by text={},{}",
                named(column),
                named(first),
                named(second),
            );
            return Err(Error::Setting { setting: "target", problem });
        }
    }
    let unused = others.map(named).collect();
    Ok(Some(PairTable { header: seen.header, texts: [named(first), named(second)], score: score.map(named), unused }))
}

/// Texts, each once, in tokens.
#[derive(Debug)]
struct Texts {
    tokens: Ragged,
    /// Of each pair, the numbers of its texts.
    pairs: Vec<[u32; 2]>,
    /// Of each pair, its score; none of partners.
    scores: Vec<f32>,
    /// Tokens of both texts of the longest pair.
    longest: usize,
}

/// Pairs of texts ready to be split.
pub(crate) struct PairSet {
    texts: Arc<Texts>,
    pub(crate) label: PairLabel,
    pub(crate) parts: Vec<Option<Part>>,
    pub(crate) groups: Vec<u32>,
    pub(crate) file_rows: Vec<u32>,
    pub(crate) form: TextForm,
    /// Pairs of which the same stands further above.
    pub(crate) repeated: usize,
}

/// A pair as it is read.
struct Row {
    texts: [String; 2],
    score: f64,
    row: u32,
    part: Option<Part>,
}

/// Opens pairs of texts, with validation and test pairs of their own if given.
///
/// # Errors
/// If a table cannot be read, a score is none, or nothing can be learned of the pairs.
pub(crate) fn open(
    path: &Path,
    table: PairTable,
    options: &mut OpenOptions,
    adapt: &mut dyn FnMut(&TextSurvey, &mut OpenOptions),
    summary: &mut Summary,
) -> Result<PairSet> {
    let mut rows = Vec::new();
    let files = [
        (Some(path), None),
        (options.validation.as_deref(), Some(Part::Validation)),
        (options.test.as_deref(), Some(Part::Test)),
    ];
    let mut empty = 0;
    for (file, part) in files {
        if let Some(file) = file {
            empty += read(file, &table, part, options.threads, &mut rows)?;
        }
    }
    let name = path.to_string_lossy().into_owned();
    let wrong = |problem: String| Error::Table { name: name.clone(), problem };
    if empty > 0 {
        let pairs = if empty == 1 { "1 pair is" } else { &format!("{empty} pairs are") };
        summary.notes.push(format!("{pairs} left out: one of the texts is empty"));
    }
    if rows.is_empty() {
        return Err(wrong(format!(
            "has no pair of texts: '{}' or '{}' is empty in each row",
            table.texts[0], table.texts[1]
        )));
    }
    for (side, column) in table.texts.iter().enumerate() {
        if rows.len() > 1 && rows.iter().all(|row| row.texts[side] == rows[0].texts[side]) {
            let problem =
                format!("has the same text in the column '{column}' of all rows; there is nothing to tell apart");
            return Err(wrong(problem));
        }
    }
    let label = match &table.score {
        None => PairLabel::Partners,
        Some(column) => {
            if rows.iter().all(|row| row.score == rows[0].score) {
                let problem = format!(
                    "has the score {} in all rows of '{column}'; scores must differ, and pairs that all belong together need none",
                    rows[0].score
                );
                return Err(wrong(problem));
            }
            if rows.iter().all(|row| row.score == 0.0 || row.score == 1.0) {
                PairLabel::Related
            } else {
                PairLabel::Score
            }
        }
    };
    summary.target = table.score.clone();
    if !table.unused.is_empty() {
        summary.notes.push(format!("not used: '{}'", table.unused.join("', '")));
    }
    let letters: usize = rows.iter().flat_map(|row| &row.texts).map(String::len).sum();
    let survey = TextSurvey {
        texts: rows.len(),
        classes: 0,
        letters: letters / rows.len(),
        pairs: false,
        partners: true,
        labelled: false,
    };
    adapt(&survey, options);
    let Some(form) = options.text_form.clone() else {
        let problem = "similarity is learned by a published network for texts; give one by from=MODEL".to_string();
        return Err(Error::Setting { setting: "from", problem });
    };
    let (texts, cut) = Texts::new(&rows, &form, label, options.threads, path)?;
    if cut > 0 {
        summary.notes.push(super::preprocessor::cut_note(cut, texts.tokens.len(), form.most_tokens));
    }
    let (groups, repeated, tied) = tied(&texts.pairs, texts.tokens.len());
    if !tied {
        summary.notes.push(SHARED.to_string());
    }
    let given = rows.iter().any(|row| row.part.is_some());
    Ok(PairSet {
        label,
        parts: if given { rows.iter().map(|row| row.part).collect() } else { Vec::new() },
        groups,
        file_rows: rows.iter().map(|row| row.row).collect(),
        texts: Arc::new(texts),
        form,
        repeated,
    })
}

/// Opens pairs of texts to measure a network by that embeds them; the columns are those that `options` name, or are found as
/// for training. Also tells what is known of the pairs.
///
/// # Errors
/// As for training on such a table.
pub fn open_pairs(path: &Path, options: &OpenOptions) -> Result<(Opened, Task)> {
    let options = &options.with_columns_by_number();
    let table = recognised(path, options)?;
    let mut options = OpenOptions { task: Some(TaskKind::Similarity), ..options.clone() };
    let mut summary = Summary::default();
    let set = open(path, table, &mut options, &mut |_, _| {}, &mut summary)?;
    let names = set.file_rows.iter().map(u32::to_string).collect();
    let (source, preprocessor) = set.prepare();
    let mut opened = Opened::new(Arc::new(source), names, Vec::new(), &[]);
    opened.notes.append(&mut summary.notes);
    Ok((opened, preprocessor.task))
}

/// Pairs of texts as they stand in a table, each with the number of its row; the columns are those that `options` name, or are
/// found as for training. Scores are not read. Pairs of which a text is empty are left out.
///
/// # Errors
/// If it is no table with two columns of texts.
pub fn read_pairs(path: &Path, options: &OpenOptions) -> Result<Vec<(u32, [String; 2])>> {
    let table = match &options.text {
        Some(named) if !path.is_dir() => of_names(path, named)?,
        _ => recognised(path, options)?,
    };
    let mut rows = Vec::new();
    read(path, &PairTable { score: None, ..table }, None, options.threads, &mut rows)?;
    Ok(rows.into_iter().map(|row| (row.row, row.texts)).collect())
}

/// The columns of texts of a table of pairs, as [`read_pairs`] finds them; nothing if it is none, or cannot be read.
pub fn pair_columns(path: &Path, options: &OpenOptions) -> Option<[String; 2]> {
    recognised(path, options).ok().map(|table| table.texts)
}

/// A table of pairs whose columns of texts are named, divided by a comma.
fn of_names(path: &Path, named: &str) -> Result<PairTable> {
    let seen = table::preview(path, None, LOOKED_AT)?;
    let names: Vec<&str> = named.split(',').map(str::trim).collect();
    let missing: Vec<&str> = names.iter().copied().filter(|name| !seen.columns.iter().any(|c| c == name)).collect();
    let wrong = |problem: String| Error::NotATable { path: path.to_path_buf(), problem, needed: String::new() };
    if !missing.is_empty() {
        return Err(wrong(lacks(&missing, &seen.columns)));
    }
    let &[first, second] = &names[..] else {
        return Err(wrong(format!("is read by two columns of texts, and text={named} names {}", names.len())));
    };
    let texts = [first.to_string(), second.to_string()];
    Ok(PairTable { header: seen.header, texts, score: None, unused: Vec::new() })
}

/// The columns of a table of pairs.
fn recognised(path: &Path, options: &OpenOptions) -> Result<PairTable> {
    if path.is_dir() {
        let problem = "is a folder; give a table with two columns of texts".to_string();
        return Err(Error::NotATable { path: path.to_path_buf(), problem, needed: String::new() });
    }
    let options = OpenOptions { task: Some(TaskKind::Similarity), ..options.with_columns_by_number() };
    let none = || {
        let problem = "has no two columns of texts that are meant without doubt; give a table of two, and perhaps one of scores, \
                       or with the columns that were learned from";
        Error::NotATable { path: path.to_path_buf(), problem: problem.to_string(), needed: String::new() }
    };
    match recognise(path, &options) {
        Ok(table) => table.ok_or_else(none),
        Err(Error::Setting { .. }) => Err(none()),
        Err(other) => Err(other),
    }
}

/// Reads a table; returns how many of its pairs have an empty text.
fn read(path: &Path, table: &PairTable, part: Option<Part>, threads: usize, rows: &mut Vec<Row>) -> Result<usize> {
    let mut columns: Vec<&str> = table.texts.iter().map(String::as_str).collect();
    columns.extend(table.score.as_deref());
    let texts = table::texts(path, table.header, &columns, threads)?;
    let mut empty = 0;
    for row in 0..texts.len() {
        let fields = texts.row(row);
        if fields[..2].iter().any(|text| text.trim().is_empty()) {
            empty += 1;
            continue;
        }
        let score = match (fields.get(2), &table.score) {
            (Some(score), Some(column)) => {
                let value = score.trim().parse::<f64>().ok().filter(|value| (*value as f32).is_finite());
                value.ok_or_else(|| {
                    let name = path.to_string_lossy();
                    table::value_error(&name, texts.place(row), column, score, "is no score: a number is needed")
                })?
            }
            _ => 1.0,
        };
        rows.push(Row { texts: [fields[0].clone(), fields[1].clone()], score, row: row as u32, part });
    }
    Ok(empty)
}

impl Texts {
    /// Cuts texts into tokens. Also tells how many were too long.
    fn new(rows: &[Row], form: &TextForm, label: PairLabel, threads: usize, path: &Path) -> Result<(Texts, usize)> {
        let mut numbers: HashMap<&str, u32> = HashMap::new();
        let mut all: Vec<&str> = Vec::new();
        let mut pairs = Vec::with_capacity(rows.len());
        for row in rows {
            pairs.push([0, 1].map(|side| {
                let text = &row.texts[side][..];
                *numbers.entry(text).or_insert_with(|| {
                    all.push(text);
                    all.len() as u32 - 1
                })
            }));
        }
        let (mut tokens, mut cut) = (Ragged::default(), 0);
        for (text, encoded) in all.iter().zip(form.tokenizer.encode_all(&all, form.most_tokens, threads)) {
            let encoded = encoded.map_err(|problem| Error::Tokenizer {
                path: path.to_path_buf(),
                problem: format!("the text '{}' {problem}", text.chars().take(40).collect::<String>()),
            })?;
            cut += usize::from(encoded.whole > encoded.ids.len());
            // Something must be seen of each text.
            tokens.push(if encoded.ids.is_empty() { vec![0] } else { encoded.ids });
        }
        let scores = if label == PairLabel::Partners { Vec::new() } else { scaled(rows) };
        let both = |pair: &[u32; 2]| pair.iter().map(|&text| tokens.get(text as usize).len()).sum();
        let longest = pairs.iter().map(both).max().unwrap_or(2);
        Ok((Texts { tokens, pairs, scores, longest }, cut))
    }

    /// Tokens of both texts of a pair.
    fn length(&self, row: u32) -> usize {
        self.pairs[row as usize].iter().map(|&text| self.tokens.get(text as usize).len()).sum()
    }
}

/// Scores from 0 to 1, as cosines of what has more or less in common are.
fn scaled(rows: &[Row]) -> Vec<f32> {
    let scores = || rows.iter().map(|row| row.score);
    let (least, most) = (scores().fold(f64::INFINITY, f64::min), scores().fold(f64::NEG_INFINITY, f64::max));
    scores().map(|score| ((score - least) / (most - least)) as f32).collect()
}

impl PairSet {
    /// Quantile bin of each score, or one for all.
    pub(crate) fn strata(&self) -> Vec<u32> {
        match self.label {
            PairLabel::Partners => vec![0; self.texts.pairs.len()],
            PairLabel::Related => self.texts.scores.iter().map(|&score| score as u32).collect(),
            PairLabel::Score => quantile_bins(&self.texts.scores.iter().map(|&s| f64::from(s)).collect::<Vec<_>>()),
        }
    }

    pub(crate) fn prepare(&self) -> (PairSource, TextPreprocessor) {
        let preprocessor = TextPreprocessor {
            version: TextPreprocessor::VERSION,
            task: Task::Similarity { label: self.label },
            target_scale: None,
            columns: None,
            most_tokens: self.form.most_tokens,
            terms: None,
            beside: None,
            labels: None,
            tokenizer: Some(self.form.tokenizer.clone()),
        };
        (PairSource { texts: self.texts.clone(), label: self.label, slots: slots() }, preprocessor)
    }

    /// Tokens of both texts of the longest pair.
    pub(crate) fn longest(&self) -> usize {
        self.texts.longest
    }
}

/// Name of the input of the tokens' positions in their text.
const POSITIONS: &str = "positions";

/// The inputs: of each pair the tokens of both texts, one behind the other, with their positions; how many these are, and where
/// the second begins.
pub(super) fn slots() -> Vec<Slot> {
    let sequence = |name| Slot { sequence: true, ..Slot::new(name, &[], DType::I32) };
    let number = |name| Slot::new(name, &[], DType::I32);
    vec![sequence(TOKENS), sequence(POSITIONS), number(LENGTHS), number(SECOND)]
}

/// Pairs of texts as batches. Their targets are scores, f32, or, of partners, the numbers of both texts, i32 `[batch, 2]`, by
/// which texts that are the same are known.
pub(crate) struct PairSource {
    texts: Arc<Texts>,
    label: PairLabel,
    slots: Vec<Slot>,
}

impl Source for PairSource {
    fn len(&self) -> usize {
        self.texts.pairs.len()
    }

    fn slots(&self) -> &[Slot] {
        &self.slots
    }

    fn target_dtype(&self) -> DType {
        if self.label == PairLabel::Partners { DType::I32 } else { DType::F32 }
    }

    fn target_width(&self) -> usize {
        if self.label == PairLabel::Partners { 2 } else { 1 }
    }

    fn has_targets(&self) -> bool {
        true
    }

    fn fill(&self, rows: &[u32], _pass: Pass<'_>, out: &mut Batch) -> Result<()> {
        out.reset(&self.slots, (self.target_dtype(), self.target_width()), rows.len());
        let longest = rows.iter().map(|&row| self.texts.length(row)).max().unwrap_or(1);
        for (slot, input) in self.slots.iter().zip(&mut out.inputs) {
            let Array::I32(input) = input else { unreachable!("all inputs of pairs are whole numbers") };
            for &row in rows {
                let both = self.texts.pairs[row as usize].map(|text| self.texts.tokens.get(text as usize));
                let end = input.len() + longest;
                match &slot.name[..] {
                    LENGTHS => input.push((both[0].len() + both[1].len()) as i32),
                    SECOND => input.push(both[0].len() as i32),
                    POSITIONS => input.extend(both.iter().flat_map(|tokens| 0..tokens.len() as i32)),
                    _ => input.extend(both.iter().flat_map(|tokens| tokens.iter()).map(|&token| token as i32)),
                }
                if slot.sequence {
                    input.resize(end, 0);
                }
            }
        }
        self.targets(rows, &mut out.targets);
        out.rows.extend_from_slice(rows);
        out.sequence = longest;
        out.len = rows.len();
        Ok(())
    }

    fn targets(&self, rows: &[u32], out: &mut Array) {
        *out = match self.label {
            PairLabel::Partners => Array::I32(
                rows.iter().flat_map(|&row| self.texts.pairs[row as usize]).map(|text| text as i32).collect(),
            ),
            _ => Array::F32(rows.iter().map(|&row| self.texts.scores[row as usize]).collect()),
        };
    }

    fn length_of(&self, row: u32) -> Option<usize> {
        Some(self.texts.length(row))
    }

    fn longest(&self) -> usize {
        self.texts.longest
    }

    fn resident_bytes(&self) -> usize {
        self.texts.tokens.bytes() + 12 * self.texts.pairs.len()
    }

    fn scratch_bytes(&self) -> usize {
        0
    }
}
