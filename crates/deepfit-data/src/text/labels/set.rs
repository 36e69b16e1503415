//! Opening labelled sentences to train on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

use super::files::{self, Form, LabelFile};
use super::read::{Read, at_line, read};
use super::scheme::{OUTSIDE, Scheme, parts, to_iob2};
use super::sentences::{Cut, Sentences};
use super::source::LabelSource;
use super::words::{LabelForm, WordSplit};
use crate::dataset::{OpenOptions, Summary, Task};
use crate::error::{Error, Result};
use crate::split::{Part, number_groups, rarest_labels};
use crate::text::open::TextSurvey;
use crate::text::preprocessor::TextPreprocessor;
use crate::text::samples::TextForm;

/// Files that have been found to hold labelled sentences.
pub(crate) struct Files(pub(super) Vec<LabelFile>);

impl Files {
    /// The files that are meant, if they hold labelled sentences: one file, or those of a folder that are named for a part.
    ///
    /// # Errors
    /// If one cannot be read, or one that settings name is of another kind.
    pub(crate) fn find(path: &Path, options: &OpenOptions) -> Result<Option<Files>> {
        let found = files::find(path, options, None)?;
        Ok((!found.is_empty()).then_some(Files(found)))
    }
}

/// Labelled sentences ready to be split and prepared; its rows are their windows.
pub(crate) struct LabelSet {
    cut: Cut,
    pub(crate) form: TextForm,
    pub(crate) task: Task,
    pub(crate) parts: Vec<Option<Part>>,
    /// Windows of sentences that are alike share a number.
    pub(crate) groups: Vec<u32>,
    known: LabelForm,
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

    /// The rarest label in the sentence of each window.
    pub(crate) fn strata(&self) -> Vec<u32> {
        let labels = &self.cut.sentences.labels;
        let rows = self.cut.windows.rows.iter().map(|row| &labels[row.sentence as usize][..]);
        rarest_labels(rows, self.task.outputs())
    }

    pub(crate) fn prepare(&self) -> (impl crate::source::Source + 'static, TextPreprocessor) {
        let preprocessor = TextPreprocessor {
            version: TextPreprocessor::VERSION,
            task: self.task.clone(),
            target_scale: None,
            columns: None,
            most_tokens: self.form.most_tokens,
            terms: None,
            beside: None,
            labels: Some(self.known.clone()),
            tokenizer: Some(self.form.tokenizer.clone()),
        };
        (LabelSource::new(self.cut.clone(), true), preprocessor)
    }
}

/// Opens labelled sentences to train on.
pub(crate) fn open(
    path: &Path,
    Files(files): &Files,
    options: &mut OpenOptions,
    adapt: &mut dyn FnMut(&TextSurvey, &mut OpenOptions),
    summary: &mut Summary,
) -> Result<LabelSet> {
    let mut found = read(files)?;
    let form = &files[0].form;
    let name = path.to_string_lossy().into_owned();
    if found.sentences.is_empty() {
        return Err(Error::Table { name, problem: "there are no sentences with words".to_string() });
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
        summary.notes.push(format!("{}; the tags are {}{brought}", form.describe(), scheme.name()));
        if bare > 0 && scheme != Scheme::Iob1 {
            let spans = if bare == 1 { "1 span begins".to_string() } else { format!("{bare} spans begin") };
            summary.notes.push(format!("{spans} with an inside tag, which is taken for the beginning"));
        }
    } else {
        summary.notes.push(format!("{}; each word has a label of its own", form.describe()));
    }
    if found.empty > 0 {
        let have = if found.empty == 1 { "1 sentence has" } else { &format!("{} sentences have", found.empty) };
        summary.notes.push(format!("{have} no words, and no part in this"));
    }
    summary.notes.extend(found.cut_note());
    let tags: BTreeSet<&str> = found.sentences.iter().flat_map(|read| &read.tags).map(String::as_str).collect();
    let labels: Vec<String> = match scheme {
        Some(_) => {
            let of_spans: BTreeSet<&str> = tags.iter().filter_map(|tag| Some(parts(tag)?.1)).collect();
            let both = of_spans.iter().flat_map(|label| [format!("B-{label}"), format!("I-{label}")]);
            std::iter::once(OUTSIDE.to_string()).chain(both).collect()
        }
        None => tags.iter().map(|label| (*label).to_string()).collect(),
    };
    if let [] | [_] = &labels[..] {
        let only = labels.first().map_or(OUTSIDE, String::as_str);
        let problem = match form {
            Form::Spans { spans, .. } => format!("there is no span in '{spans}' of any sentence, and nothing to learn"),
            _ if only == OUTSIDE => "all words are tagged O, so that there is nothing to learn; tag some".to_string(),
            _ => format!("all words have the tag '{only}', so that there is nothing to learn; two are needed"),
        };
        return Err(Error::Table { name, problem });
    }
    let task = Task::Labels { labels, spans: scheme.is_some() };
    let all_words = || found.sentences.iter().flat_map(|read| read.words.iter().map(|word| &read.text[word.clone()]));
    let split = if let Form::Spans { .. } = form { WordSplit::Pieces } else { WordSplit::of(all_words()) };
    let known = LabelForm { split, fields: form.fields() };
    let letters = found.sentences.iter().map(|read| read.text.len()).sum::<usize>() / found.sentences.len();
    let texts = found.sentences.len();
    let survey = TextSurvey { texts, classes: task.outputs(), letters, pairs: false, partners: false, labelled: true };
    adapt(&survey, options);
    let most = options.max_tokens.unwrap_or(TextForm::MOST_TOKENS);
    let form = match &options.text_form {
        Some(form) => form.clone(),
        None => {
            // What is learned from must not know what it is measured by.
            let own = found.sentences.iter().filter(|read| matches!(read.part, None | Some(Part::Train)));
            TextForm::trained(options.tokens, own.map(|read| &read.text[..]), options.vocabulary, most, false)?
        }
    };
    let form =
        TextForm { most_tokens: options.max_tokens.unwrap_or(form.most_tokens), terms: false, pairs: false, ..form };
    let parts_of: Vec<Option<Part>> = found.sentences.iter().map(|read| read.part).collect();
    let contents = found.sentences.iter().map(|read| xxh3_64(read.text.as_bytes()));
    let groups_of = number_groups(contents);
    let sentences = numbered(files, found.sentences, &task)?;
    let distinct = groups_of.iter().max().map_or(0, |most| *most as usize + 1);
    let duplicates = sentences.len() - distinct;
    summary.class_counts = counts(&task, sentences.labels.iter());
    summary.notes.extend(rare_labels(&task, &sentences, &parts_of));
    let cut = Cut::new(sentences, &form, options.threads)?;
    summary.notes.extend(cut.notes(form.most_tokens));
    let of_rows =
        |of_sentences: &[u32]| cut.windows.rows.iter().map(|row| of_sentences[row.sentence as usize]).collect();
    let groups = of_rows(&groups_of);
    let parts: Vec<Option<Part>> = cut.windows.rows.iter().map(|row| parts_of[row.sentence as usize]).collect();
    let parts = if parts.iter().any(Option::is_some) { parts } else { Vec::new() };
    Ok(LabelSet { cut, form, task, parts, groups, known, duplicates })
}

/// How often each output of a task is right.
fn counts<'a>(task: &Task, labels: impl Iterator<Item = &'a Vec<u32>>) -> Vec<usize> {
    let mut counts = vec![0; task.outputs()];
    labels.flatten().for_each(|&label| counts[label as usize] += 1);
    counts
}

/// What to know about labels that occur hardly ever, or never where they could be learned.
fn rare_labels(task: &Task, sentences: &Sentences, parts: &[Option<Part>]) -> Vec<String> {
    let is_learned = |part: &Option<Part>| matches!(part, None | Some(Part::Train));
    let learned = sentences.labels.iter().zip(parts).filter(|(_, part)| is_learned(part)).map(|(labels, _)| labels);
    let (all, learned) = (counts(task, sentences.labels.iter()), counts(task, learned));
    let spans = matches!(task, Task::Labels { spans: true, .. });
    let (mut alone, mut unknown) = (Vec::new(), Vec::new());
    for ((label, &all), &learned) in task.classes().iter().zip(&all).zip(&learned) {
        let Some(name) = (if spans { label.strip_prefix("B-") } else { Some(&label[..]) }) else { continue };
        if learned == 0 {
            unknown.push(format!("'{name}'"));
        } else if all == 1 {
            alone.push(format!("'{name}'"));
        }
    }
    let told = |names: Vec<String>, what: &str| {
        let the = if names.len() == 1 { "the label" } else { "the labels" };
        (!names.is_empty()).then(|| format!("{the} {} {what}", names.join(", ")))
    };
    let unknown = told(unknown, "occur in no training sentence, and cannot be learned");
    unknown.into_iter().chain(told(alone, "occur once alone, too seldom to be learned and measured")).collect()
}

/// Refuses a tag without prefix where others have one.
pub(super) fn require_prefixes(files: &[LabelFile], read: &Read) -> Result<()> {
    let strange = read.tags.iter().position(|tag| tag != OUTSIDE && parts(tag).is_none());
    strange.map_or(Ok(()), |word| {
        let problem = format!(
            "the tag '{}' has no prefix such as B- or I-, as the others have; words in no span are tagged O",
            read.tags[word]
        );
        Err(at_line(&files[read.file].path.to_string_lossy(), (read.line_of(word), problem)))
    })
}

/// Tags as the numbers of a task's labels.
///
/// # Errors
/// If there is one that the task does not know, by its line.
pub(super) fn numbered(files: &[LabelFile], found: Vec<Read>, task: &Task) -> Result<Sentences> {
    let known: BTreeMap<&str, u32> = task.classes().iter().map(String::as_str).zip(0..).collect();
    let spans = matches!(task, Task::Labels { spans: true, .. });
    let mut sentences = Sentences::default();
    for (number, read) in found.into_iter().enumerate() {
        let find = |(word, tag): (usize, &String)| {
            known.get(&tag[..]).copied().ok_or_else(|| {
                let label = if spans { parts(tag).map_or(&tag[..], |(_, label)| label) } else { tag };
                let of =
                    task.classes().iter().filter_map(|name| if spans { name.strip_prefix("B-") } else { Some(name) });
                let problem = format!(
                    "the model does not know the label '{label}', which the word '{}' has; it knows {}",
                    &read.text[read.words[word].clone()],
                    of.collect::<Vec<_>>().join(", ")
                );
                at_line(&files[read.file].path.to_string_lossy(), (read.line_of(word), problem))
            })
        };
        let labels = read.tags.iter().enumerate().map(find).collect::<Result<Vec<u32>>>()?;
        sentences.push(number.to_string(), read.text, read.words, labels);
    }
    Ok(sentences)
}
