//! Opening labelled sentences: to train on, to measure by, to predict.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::read::{Files, Read};
use super::scheme::{OUTSIDE, Scheme, parts, to_iob2};
use super::sentences::{Cut, Sentences, Windows};
use super::source::LabelSource;
use super::words::WordSplit;
use crate::dataset::{OpenOptions, Opened, Summary, Task};
use crate::error::{Error, Result};
use crate::split::{Part, number_groups};
use crate::text::open::TextSurvey;
use crate::text::preprocessor::TextPreprocessor;
use crate::text::reader::TextRow;
use crate::text::samples::TextForm;

/// Labelled sentences ready to be split and prepared; its rows are their windows.
pub(crate) struct LabelSet {
    cut: Cut,
    pub(crate) form: TextForm,
    pub(crate) task: Task,
    pub(crate) parts: Vec<Option<Part>>,
    /// Windows of sentences that are alike share a number.
    pub(crate) groups: Vec<u32>,
    words: WordSplit,
    /// Sentences that are like earlier ones.
    pub(crate) duplicates: usize,
}

impl LabelSet {
    pub(crate) fn len(&self) -> usize {
        self.cut.windows.rows.len()
    }

    /// Number of sentences, and of their words.
    pub(crate) fn sizes(&self) -> (usize, usize) {
        (self.cut.sentences.len(), self.cut.sentences.words.iter().map(Vec::len).sum())
    }

    /// Tokens of the longest window.
    pub(crate) fn longest(&self) -> usize {
        self.cut.windows.longest
    }

    pub(crate) fn prepare(&self) -> (impl crate::source::Source + 'static, TextPreprocessor) {
        let preprocessor = TextPreprocessor {
            version: TextPreprocessor::VERSION,
            task: self.task.clone(),
            target_scale: None,
            columns: None,
            most_tokens: self.form.most_tokens,
            terms: None,
            words: Some(self.words),
            tokenizer: Some(self.form.tokenizer.clone()),
        };
        (LabelSource::new(self.cut.clone(), true), preprocessor)
    }
}

/// Opens labelled sentences to train on.
pub(crate) fn open(
    path: &Path,
    files: &Files,
    options: &mut OpenOptions,
    adapt: &mut dyn FnMut(&TextSurvey, &mut OpenOptions),
    summary: &mut Summary,
) -> Result<LabelSet> {
    let mut found = files.read()?;
    let name = path.to_string_lossy().into_owned();
    if found.sentences.is_empty() {
        return Err(Error::Table { name, problem: "has no sentences with words".to_string() });
    }
    let scheme = Scheme::of(found.sentences.iter().map(|read| &read.tags[..]));
    let mut bare = 0;
    if let Some(scheme) = scheme {
        for read in &mut found.sentences {
            require_prefixes(files, read)?;
            let (tags, count) = to_iob2(&read.tags);
            read.tags = tags;
            bare += count;
        }
        let brought = if scheme == Scheme::Iob2 { "" } else { ", brought to IOB2" };
        summary.notes.push(format!("{}; the tags are {}{brought}", found.form, scheme.name()));
        if bare > 0 && scheme != Scheme::Iob1 {
            let spans = if bare == 1 { "1 span begins".to_string() } else { format!("{bare} spans begin") };
            summary.notes.push(format!("{spans} with an inside tag, which is taken for the beginning"));
        }
    } else {
        summary.notes.push(format!("{}; each word has a label of its own", found.form));
    }
    if found.empty > 0 {
        summary.notes.push(format!("{} of the sentences have no words and are left out", found.empty));
    }
    if found.cut_words > 0 {
        summary.notes.push(format!("{} words are cut where spans begin or end inside of them", found.cut_words));
    }
    let known: BTreeSet<&str> = found.sentences.iter().flat_map(|read| &read.tags).map(String::as_str).collect();
    let labels: Vec<String> = match scheme {
        Some(_) => {
            let of_spans: BTreeSet<&str> = known.iter().filter_map(|tag| Some(parts(tag)?.1)).collect();
            let both = of_spans.iter().flat_map(|label| [format!("B-{label}"), format!("I-{label}")]);
            std::iter::once(OUTSIDE.to_string()).chain(both).collect()
        }
        None => known.iter().map(|label| (*label).to_string()).collect(),
    };
    if labels.len() < 2 {
        let class = labels.first().cloned().unwrap_or_default();
        let what = "tag words with two labels at least";
        return Err(Error::OneClass { path: path.to_path_buf(), class, what });
    }
    let task = Task::Labels { labels, spans: scheme.is_some() };
    let split = match found.given_words {
        true => WordSplit::of(
            found.sentences.iter().flat_map(|read| read.words.iter().map(|word| &read.text[word.clone()])),
        ),
        false => WordSplit::Pieces,
    };
    let letters = found.sentences.iter().map(|read| read.text.len()).sum::<usize>() / found.sentences.len();
    let survey = TextSurvey { texts: found.sentences.len(), classes: task.outputs(), letters, labelled: true };
    adapt(&survey, options);
    let most = options.max_tokens.unwrap_or(TextForm::MOST_TOKENS);
    let form = match &options.text_form {
        Some(form) => form.clone(),
        None => {
            // What is learned from must not know what it is measured by.
            let own = found.sentences.iter().filter(|read| matches!(read.part, None | Some(Part::Train)));
            TextForm::trained(own.map(|read| &read.text[..]), options.vocabulary, most)?
        }
    };
    let form = TextForm { most_tokens: options.max_tokens.unwrap_or(form.most_tokens), terms: false, ..form };
    let parts_of: Vec<Option<Part>> = found.sentences.iter().map(|read| read.part).collect();
    let contents = found.sentences.iter().map(|read| xxh3_64(read.text.as_bytes()));
    let groups_of = number_groups(contents);
    let sentences = numbered(files, found.sentences, &task)?;
    let distinct = groups_of.iter().max().map_or(0, |most| *most as usize + 1);
    let duplicates = sentences.len() - distinct;
    let mut counts = vec![0; task.outputs()];
    sentences.labels.iter().flatten().for_each(|&label| counts[label as usize] += 1);
    let mut rare = Vec::new();
    for (label, &count) in task.classes().iter().zip(&counts) {
        let of_span = label.strip_prefix("B-").filter(|_| scheme.is_some());
        if count == 1 && (scheme.is_none() || of_span.is_some()) {
            rare.push(format!("'{}'", of_span.unwrap_or(label)));
        }
    }
    if !rare.is_empty() {
        let is = if rare.len() == 1 { "the label" } else { "the labels" };
        summary.notes.push(format!("{is} {} occur once alone, too seldom to be learned and measured", rare.join(", ")));
    }
    summary.class_counts = counts;
    let cut = cut(sentences, &form, options.threads)?;
    if cut.windows.cut > 0 {
        let have = if cut.windows.cut == 1 { "sentence has" } else { "sentences have" };
        summary.notes.push(format!(
            "{} {have} more than {} tokens and are read in several parts",
            cut.windows.cut, form.most_tokens
        ));
    }
    let of_rows =
        |of_sentences: &[u32]| cut.windows.rows.iter().map(|row| of_sentences[row.sentence as usize]).collect();
    let groups = of_rows(&groups_of);
    let parts: Vec<Option<Part>> = cut.windows.rows.iter().map(|row| parts_of[row.sentence as usize]).collect();
    let parts = if parts.iter().any(Option::is_some) { parts } else { Vec::new() };
    Ok(LabelSet { cut, form, task, parts, groups, words: split, duplicates })
}

/// Refuses a tag without prefix where others have one.
fn require_prefixes(files: &Files, read: &Read) -> Result<()> {
    let strange = read.tags.iter().position(|tag| tag != OUTSIDE && parts(tag).is_none());
    strange.map_or(Ok(()), |word| {
        let problem = format!(
            "line {}: the tag '{}' has no prefix such as B- or I-, as the others have; words in no span are tagged O",
            read.line_of(word),
            read.tags[word]
        );
        Err(Error::Table { name: files.paths[read.file].0.to_string_lossy().into_owned(), problem })
    })
}

/// Tags as the numbers of a task's labels.
fn numbered(files: &Files, found: Vec<Read>, task: &Task) -> Result<Sentences> {
    let known: BTreeMap<&str, u32> = task.classes().iter().map(String::as_str).zip(0..).collect();
    let mut sentences = Sentences::default();
    for (number, read) in found.into_iter().enumerate() {
        let find = |tag: &String| {
            known.get(&tag[..]).copied().ok_or_else(|| Error::UnknownClass {
                path: files.paths[read.file].0.clone(),
                class: tag.clone(),
                known: task.classes().join(", "),
            })
        };
        let labels = read.tags.iter().map(find).collect::<Result<Vec<u32>>>()?;
        sentences.push(number.to_string(), read.text, read.words, labels);
    }
    Ok(sentences)
}

fn cut(sentences: Sentences, form: &TextForm, threads: usize) -> Result<Cut> {
    let windows = Windows::new(&sentences, form, threads).map_err(|(sentence, problem)| Error::Tokenizer {
        path: form.tokenizer.path().to_path_buf(),
        problem: format!("{problem}, in sentence {}", sentences.names.get(sentence).map_or("", String::as_str)),
    })?;
    Ok(Cut { sentences: Arc::new(sentences), windows: Arc::new(windows) })
}

/// Opens labelled sentences to measure a network by that has learned from others.
pub(crate) fn measured(path: &Path, form: &TextForm, task: &Task, threads: usize) -> Result<Opened> {
    let Some(files) = Files::find(path, &OpenOptions::default())? else {
        let problem = "holds no labelled sentences".to_string();
        let needed =
            ": a word and its tag a line in a .conll file, or JSON Lines with `tokens` and `tags`, or `text` and \
                      `spans`"
                .to_string();
        return Err(Error::NotATable { path: path.to_path_buf(), problem, needed });
    };
    let mut found = files.read()?;
    if matches!(task, Task::Labels { spans: true, .. }) {
        for read in &mut found.sentences {
            require_prefixes(&files, read)?;
            read.tags = to_iob2(&read.tags).0;
        }
    }
    let parts_of: Vec<Option<Part>> = found.sentences.iter().map(|read| read.part).collect();
    let cut = cut(numbered(&files, found.sentences, task)?, form, threads)?;
    let parts: Vec<Option<Part>> = cut.windows.rows.iter().map(|row| parts_of[row.sentence as usize]).collect();
    let names = cut.windows.rows.iter().map(|row| cut.sentences.name(row.sentence as usize).to_string()).collect();
    let sentences = cut.sentences.clone();
    let opened = Opened::new(Arc::new(LabelSource::new(cut, true)), names, Vec::new(), &parts);
    Ok(Opened { sentences: Some(sentences), ..opened })
}

/// Opens texts whose words are to be labelled.
pub(crate) fn predicted(rows: Vec<TextRow>, form: &TextForm, split: WordSplit, threads: usize) -> Result<Opened> {
    let (mut sentences, mut failed) = (Sentences::default(), Vec::new());
    for row in rows {
        match row.text {
            Ok(text) => {
                let words = split.words(&text);
                sentences.push(row.name, text, words, Vec::new());
            }
            Err(problem) => failed.push((row.name, problem)),
        }
    }
    let cut = cut(sentences, form, threads)?;
    let names = cut.windows.rows.iter().map(|row| cut.sentences.name(row.sentence as usize).to_string()).collect();
    let sentences = cut.sentences.clone();
    let opened = Opened::new(Arc::new(LabelSource::new(cut, false)), names, failed, &[]);
    Ok(Opened { sentences: Some(sentences), ..opened })
}
