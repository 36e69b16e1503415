//! Opening texts of which a network learns what comes next: a file, with others for validation and test if given.

use std::path::Path;
use std::sync::Arc;

use super::open::TextSurvey;
use super::preprocessor::TextPreprocessor;
use super::samples::TextForm;
use super::windows::{WindowSource, Windows, read};
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

/// Opens a text. Without validation and test texts of their own these are its last parts: what is foreseen must not stand
/// between what was learned.
pub(crate) fn open_language(
    path: &Path,
    options: &mut OpenOptions,
    adapt: &mut dyn FnMut(&TextSurvey, &mut OpenOptions),
    summary: &mut Summary,
) -> Result<LanguageSet> {
    let text = read(path)?;
    adapt(
        &TextSurvey { texts: 1, classes: 0, letters: text.len(), pairs: false, partners: false, labelled: false },
        options,
    );
    let of_form = options.text_form.as_ref().map(|form| form.most_tokens);
    let window = options.max_tokens.or(of_form).unwrap_or(TextForm::WINDOW);
    let share = |given: bool, share: f64| if given { 0.0 } else { share };
    let validation = share(options.validation.is_some(), options.last_shares.0);
    let test = share(options.test.is_some(), options.last_shares.1);
    let (learned, after) = cut(&text, 1.0 - validation - test);
    let (between, last) = cut(after, validation / (validation + test).max(f64::MIN_POSITIVE));
    let form = match &options.text_form {
        Some(form) => form.clone(),
        None => TextForm::trained(options.tokens, lines(learned), options.vocabulary, window, false)?,
    };
    let form = TextForm { most_tokens: window, ..form };
    let own = |path: &Option<std::path::PathBuf>| path.as_ref().map(|path| read(path)).transpose();
    let (given_validation, given_test) = (own(&options.validation)?, own(&options.test)?);
    let mut windows = Windows::new(window);
    let mut parts = Vec::new();
    for (part, text) in [
        (Part::Train, learned),
        (Part::Validation, given_validation.as_deref().unwrap_or(between)),
        (Part::Test, given_test.as_deref().unwrap_or(last)),
    ] {
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
    summary.notes.push(format!("windows of {window} tokens; the last parts of the text are for validation and test"));
    let groups = (0..windows.len() as u32).collect();
    Ok(LanguageSet { windows: Arc::new(windows), form, parts, groups })
}

/// Opens a text to measure a network by that has learned from another.
pub(crate) fn measured(path: &Path, form: &TextForm) -> Result<WindowSource> {
    let text = read(path)?;
    let mut windows = Windows::new(form.most_tokens);
    let wrong = |problem| Error::Tokenizer { path: path.to_path_buf(), problem };
    if windows.add(&text, form).map_err(wrong)? == 0 {
        let problem = format!("is too short: it has no {} tokens", form.most_tokens + 1);
        return Err(Error::Table { name: path.to_string_lossy().into_owned(), problem });
    }
    Ok(WindowSource::new(Arc::new(windows)))
}

/// A text in two, where a line ends.
fn cut(text: &str, share: f64) -> (&str, &str) {
    let mut at = ((text.len() as f64 * share) as usize).min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at = text[at..].find('\n').map_or(at, |line| at + line + 1);
    text.split_at(at)
}

/// Lines with their ends, from which a tokenizer learns.
fn lines(text: &str) -> impl Iterator<Item = &str> + Send {
    text.split_inclusive('\n')
}
