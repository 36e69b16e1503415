//! How data is opened, and what is known of it then.

use std::path::PathBuf;

use super::task::TaskKind;
use crate::image::{self, ImageSurvey};
use crate::table::{ColumnKind, Scaling};
use crate::text::{TextForm, TextSurvey, Tokens};

/// Tokens of a tokenizer that is learned, where nothing says how many.
pub const VOCABULARY: usize = 8_000;

/// What is known of data when its files have been listed, and before it is prepared.
#[derive(Clone, Debug, PartialEq)]
pub enum Survey {
    /// Of images.
    Images(ImageSurvey),
    /// Of texts.
    Texts(TextSurvey),
}

/// How data is opened; `None` means that it is inferred.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// Target column of a table; of a table of images also several, divided by commas.
    pub target: Option<String>,
    /// Task of a table.
    pub task: Option<TaskKind>,
    /// Side of the images in pixels, 4 to 1024.
    pub image_size: Option<usize>,
    /// 1 (grey) or 3 (colour).
    pub channels: Option<usize>,
    /// How images are resized before their centre is cut out, as a published network wants it.
    pub resize: Option<image::Resize>,
    /// Scaling of numeric features.
    pub scaling: Scaling,
    /// Images are kept in memory if all of them, at their final size, take no more bytes than this.
    pub cache_bytes: usize,
    /// Columns of a table that hold texts, divided by commas; without, those that can hold nothing else.
    pub text: Option<String>,
    /// Whether two columns of texts are compared, rather than read one after the other; without, two are, and more are not.
    pub pairs: Option<bool>,
    /// How texts are cut; without, by a tokenizer that is learned from them.
    pub text_form: Option<TextForm>,
    /// What that one cuts them into.
    pub tokens: Tokens,
    /// Most tokens of that one's vocabulary.
    pub vocabulary: usize,
    /// Most tokens of a text that it cuts; [`TextForm::MOST_TOKENS`] without.
    pub max_tokens: Option<usize>,
    /// Of a text whose continuation is learned, the shares of its last parts that are for validation and test.
    pub last_shares: (f64, f64),
    /// Threads that look through the files.
    pub threads: usize,
    /// Chooses which whole documents are for validation and test, of several whose continuation is learned.
    pub seed: u64,
    /// Table that names images of the folder and what is on them.
    pub labels: Option<PathBuf>,
    /// Validation data of its own.
    pub validation: Option<PathBuf>,
    /// Test data of its own.
    pub test: Option<PathBuf>,
    /// Column of a table whose equal values say that rows belong together: they stay on one side of every split.
    pub group: Option<String>,
    /// Column of times of a table: the earlier rows are learned from, the later measured.
    pub time_split: Option<String>,
    /// Column of a table that says of each row whether it is for training, validation or test.
    pub split: Option<String>,
    /// Column of a table that says how much each row counts.
    pub weight: Option<String>,
    /// Column of a table by whose values rows are also looked at by themselves.
    pub by: Option<String>,
    /// Whether delimited tables begin with a row of names; without, what the first rows look like decides. Columns without
    /// names are `column_1`, `column_2` and so on, and settings that name columns may say `1` and `2`.
    pub header: Option<bool>,
}

impl Default for OpenOptions {
    fn default() -> Self {
        OpenOptions {
            target: None,
            task: None,
            image_size: None,
            channels: None,
            resize: None,
            scaling: Scaling::default(),
            cache_bytes: 64 << 20,
            text: None,
            pairs: None,
            text_form: None,
            tokens: Tokens::default(),
            vocabulary: VOCABULARY,
            max_tokens: None,
            last_shares: (0.1, 0.1),
            threads: 2,
            seed: 1,
            labels: None,
            validation: None,
            test: None,
            group: None,
            time_split: None,
            split: None,
            weight: None,
            by: None,
            header: None,
        }
    }
}

impl OpenOptions {
    /// The same; where columns have no names, settings may name them by their numbers.
    pub(crate) fn with_columns_by_number(&self) -> OpenOptions {
        let mut options = self.clone();
        if options.header == Some(false) {
            let OpenOptions { target, text, group, time_split, split, weight, by, .. } = &mut options;
            for names in [target, text, group, time_split, split, weight, by].into_iter().flatten() {
                *names = numbered(names);
            }
        }
        options
    }
}

/// Names of columns divided by commas, of which numbers are those of columns without names.
pub(crate) fn numbered(names: &str) -> String {
    let is_number = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    let of = |name: &str| if is_number(name) { format!("column_{name}") } else { name.to_string() };
    names.split(',').map(|name| of(name.trim())).collect::<Vec<_>>().join(",")
}

/// What was found and inferred while data was opened.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Images that cannot be read, with the reason.
    pub skipped: Vec<(String, String)>,
    /// Files that are not images of a class: hidden, of another kind, outside of the class folders.
    pub ignored: usize,
    /// Training examples of each class (of all rows, where the data gives no parts).
    pub class_counts: Vec<usize>,
    /// Features and how they are read.
    pub columns: Vec<(String, ColumnKind)>,
    /// Columns not used, with the reason.
    pub dropped_columns: Vec<(String, String)>,
    /// Features with missing values, and how many.
    pub missing: Vec<(String, u64)>,
    /// Rows left out because they have no target.
    pub dropped_rows: u64,
    /// Rows whose inputs equal those of an earlier row.
    pub duplicates: usize,
    /// Character between the fields of a table.
    pub delimiter: Option<char>,
    /// Target column of a table.
    pub target: Option<String>,
    /// Whether each sample is two texts that are compared.
    pub pairs: bool,
    /// Why the task was inferred from whole numbers, and the setting that changes it.
    pub other_task: Option<&'static str>,
    /// What else a reader should know, one sentence each.
    pub notes: Vec<String>,
}
