//! Opening texts of which a network learns what comes next: a file or a folder of documents, with others for validation and
//! test if given.

use std::path::Path;
use std::sync::Arc;

use super::corpus::Corpus;
use super::open::TextSurvey;
use super::preprocessor::TextPreprocessor;
use super::samples::TextForm;
use super::windows::{WindowSource, Windows};
use crate::dataset::{OpenOptions, Summary, Task};
use crate::error::{Error, Result};
use crate::split::Part;

/// Texts that are cut into windows, each of which belongs to a part.
pub(crate) struct LanguageSet {
    windows: Arc<Windows>,
    pub(crate) form: TextForm,
    pub(crate) parts: Vec<Option<Part>>,
    /// Every window is one of its own.
    pub(crate) groups: Vec<u32>,
    /// How many documents they are of.
    pub(crate) documents: usize,
}

impl LanguageSet {
    pub(crate) fn len(&self) -> usize {
        self.windows.len()
    }

    pub(crate) fn prepare(&self) -> (WindowSource, TextPreprocessor) {
        let preprocessor = TextPreprocessor {
            version: TextPreprocessor::VERSION,
            task: Task::NextToken,
            target_scale: None,
            columns: None,
            most_tokens: self.form.most_tokens,
            terms: None,
            beside: None,
            labels: None,
            tokenizer: Some(self.form.tokenizer.clone()),
        };
        (WindowSource::new(self.windows.clone()), preprocessor)
    }

    /// Number of all tokens, and of the bytes that they stand for.
    pub(crate) fn sizes(&self) -> (usize, usize) {
        self.windows.sizes()
    }
}

/// Opens texts. Without validation and test texts of their own these are some of the documents, or the last parts of each.
pub(crate) fn open_language(
    path: &Path,
    options: &mut OpenOptions,
    adapt: &mut dyn FnMut(&TextSurvey, &mut OpenOptions),
    summary: &mut Summary,
) -> Result<LanguageSet> {
    let corpus = Corpus::read(path)?;
    // However many documents there are, they are read as one text.
    adapt(
        &TextSurvey { texts: 1, classes: 0, letters: corpus.bytes(), pairs: false, partners: false, labelled: false },
        options,
    );
    let of_form = options.text_form.as_ref().map(|form| form.most_tokens);
    let window = options.max_tokens.or(of_form).unwrap_or(TextForm::WINDOW);
    let share = |given: bool, share: f64| if given { 0.0 } else { share };
    let validation = share(options.validation.is_some(), options.last_shares.0);
    let test = share(options.test.is_some(), options.last_shares.1);
    let mut divided = corpus.divide((validation, test), options.seed);
    let form = match &options.text_form {
        Some(form) => form.clone(),
        None => TextForm::trained(options.tokens, lines(&divided.train), options.vocabulary, window, false)?,
    };
    let form = TextForm { most_tokens: window, ..form };
    let mut failed = corpus.failed.clone();
    for (path, text) in [(&options.validation, &mut divided.validation), (&options.test, &mut divided.test)] {
        let Some(path) = path else { continue };
        let given = Corpus::read(path)?;
        failed.extend(given.failed.iter().cloned());
        *text = given.whole();
    }
    let mut windows = Windows::new(window);
    let mut parts = Vec::new();
    for (part, text) in
        [(Part::Train, &divided.train), (Part::Validation, &divided.validation), (Part::Test, &divided.test)]
    {
        let name = path.to_string_lossy().into_owned();
        let wrong = |problem| Error::Tokenizer { path: path.to_path_buf(), problem };
        let count = windows.add(text, &form).map_err(wrong)?;
        if count == 0 {
            let problem = format!(
                "is too short: a window of text has {window} tokens, and training, validation and test need one at least; \
                 give more text, or fewer tokens by max_tokens"
            );
            return Err(Error::Table { name, problem });
        }
        parts.resize(windows.len(), Some(part));
    }
    summary.notes.push(format!(
        "windows of {window} tokens, what fills none at the end of a part is left out; {}",
        divided.note
    ));
    summary.skipped.append(&mut failed);
    let groups = (0..windows.len() as u32).collect();
    Ok(LanguageSet { windows: Arc::new(windows), form, parts, groups, documents: corpus.len() })
}

/// Texts that a network is measured by.
pub(crate) struct Measured {
    pub(crate) source: WindowSource,
    /// Files that cannot be used, and why.
    pub(crate) failed: Vec<(String, String)>,
    /// What is not measured.
    pub(crate) note: Option<String>,
}

/// Opens texts to measure a network by that has learned from others; also tells which files cannot be used, and why, and what is not measured.
pub(crate) fn measured(path: &Path, form: &TextForm) -> Result<Measured> {
    let corpus = Corpus::read(path)?;
    let text = corpus.whole();
    let mut windows = Windows::new(form.most_tokens);
    let wrong = |problem| Error::Tokenizer { path: path.to_path_buf(), problem };
    if windows.add(&text, form).map_err(wrong)? == 0 {
        let problem = format!(
            "is too short: it has fewer than {} tokens, a window of {} and what comes next",
            form.most_tokens + 1,
            form.most_tokens
        );
        return Err(Error::Table { name: path.to_string_lossy().into_owned(), problem });
    }
    let note = windows.note();
    Ok(Measured { source: WindowSource::new(Arc::new(windows)), failed: corpus.failed, note })
}

/// Lines with their ends, from which a tokenizer learns.
fn lines(text: &str) -> impl Iterator<Item = &str> + Send {
    text.split_inclusive('\n')
}
