//! How a run begins: settings and paths are found good, the data is opened and split.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use deepfit_data::{Dataset, OpenOptions, Survey, Task};
use deepfit_zoo::ModelConfig;

use super::Job;
use super::within::fitted;
use crate::error::{Result, TrainError};
use crate::fingerprint::Stamp;
use crate::published::{self, BUNDLED, BUNDLED_TEXT, HAS_BUNDLED};
use crate::recipe::Recipe;
use crate::repeats;
use crate::run_folder::RunFolder;
use crate::settings::{Settings, TEST_SHARE};
use crate::transfer::{self, Backbone, SCRATCH, Takes};

/// Opens the data, splits it, chooses what the settings leave open, builds the network and plans its memory. Writes
/// nothing.
///
/// # Errors
/// If the data or a setting is wrong, or the output folder is in use.
pub fn prepare(settings: Settings, out: Option<PathBuf>) -> Result<Job> {
    prepare_roughly(settings, out, false)
}

/// Like [`prepare`], for whoever asks what a run would cost: steps that take long are tried on few rows.
pub(crate) fn prepare_roughly(settings: Settings, out: Option<PathBuf>, roughly: bool) -> Result<Job> {
    settings.validate()?;
    for (key, path) in [
        ("data", Some(&settings.data)),
        ("labels", settings.labels.as_ref()),
        ("validation", settings.validation.as_ref()),
        ("test", settings.test.as_ref()),
    ] {
        path.map_or(Ok(()), |path| require_utf8(key, path).and_then(|()| require_lasting(path)))?;
    }
    out.as_ref().map_or(Ok(()), |out| require_utf8("out", out))?;
    if settings.data.join("settings.toml").is_file() && settings.data.join("checkpoint").is_dir() {
        let problem = "is a run folder, not data; continue it with --resume, or give the data that it was trained on";
        return Err(TrainError::run(&settings.data, problem));
    }
    repeats::check(&settings)?;
    let (automatic, given) = (out.is_none(), out.clone());
    let folder = out.map_or_else(|| RunFolder::next_for(&settings.data), RunFolder::at);
    if folder.settings().exists() {
        folder.lock()?;
        let problem = "holds a run already; choose another folder with --out, or continue it with --resume";
        return Err(TrainError::run(folder.root(), problem));
    }
    // Before anything is read.
    folder.require_free()?;
    let mut job = fitted(&settings, &folder, given.as_ref(), roughly)?;
    job.automatic = automatic;
    let repeats = job.recipe.settings.repeats;
    if repeats > 1 {
        job.description.notes.push(format!(
            "the split and the training are done {repeats} times, with seeds from {} on: all take {repeats} times what is \
             told here; the model is that of the first",
            job.recipe.settings.seed
        ));
    }
    Ok(job)
}

/// Data is read more than once: by the run, and by one that resumes it.
fn require_lasting(path: &Path) -> Result<()> {
    match std::fs::metadata(path) {
        Ok(found) if !found.is_file() && !found.is_dir() => {
            let problem = "is a pipe or a device, which can be read once at most; save the data in a file";
            Err(TrainError::run(path, problem))
        }
        // What does not exist is explained where the data is opened.
        _ => Ok(()),
    }
}

/// Settings and reports are text, and hold the paths that they name in full.
fn require_utf8(key: &str, path: &Path) -> Result<()> {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    if whole.to_str().is_some() {
        return Ok(());
    }
    let problem = format!(
        "the path '{}' is not UTF-8 text, so that a run cannot note it; rename it, or link to it by another name",
        whole.display()
    );
    Err(TrainError::setting(key, problem))
}

/// Data that was opened, for one plan or several.
#[derive(Clone)]
pub(crate) struct Begun {
    pub(crate) data: Arc<Dataset>,
    pub(crate) backbone: Option<Arc<Backbone>>,
    pub(crate) reason: Option<String>,
    /// Bytes of the process by then.
    pub(crate) base_bytes: u64,
    /// Most bytes of the process until then.
    pub(crate) read_bytes: u64,
    /// When it began to be opened.
    pub(crate) at: Instant,
    /// Whether slow steps are tried on few rows alone.
    pub(crate) roughly: bool,
    /// What the files looked like before they were opened.
    pub(crate) stamp: Arc<Stamp>,
}

impl Begun {
    pub(crate) fn new(opened: Opened, at: Instant, stamp: Stamp) -> Begun {
        let Opened { data, backbone, reason } = opened;
        Begun {
            data: Arc::new(data),
            backbone,
            reason,
            base_bytes: crate::process::resident_bytes(),
            read_bytes: crate::process::peak_bytes(),
            at,
            roughly: false,
            stamp: Arc::new(stamp),
        }
    }
}

/// Data with the network that a run on it begins with, if it does not begin from scratch.
pub(crate) struct Opened {
    pub(crate) data: Dataset,
    pub(crate) backbone: Option<Arc<Backbone>>,
    /// How that was decided, if the settings left it open.
    pub(crate) reason: Option<String>,
}

/// Opens the data. Whether to begin with a published network is decided once it is known how many images there are, and of
/// which size; the settings then say so.
pub(crate) fn open(settings: &mut Settings) -> Result<Opened> {
    let options = OpenOptions {
        target: settings.target.clone(),
        task: settings.task,
        text: settings.text.clone(),
        pairs: settings.pairs,
        tokens: settings.tokens.unwrap_or_default(),
        last_shares: last_shares(settings),
        vocabulary: settings.vocabulary.unwrap_or(deepfit_data::VOCABULARY),
        max_tokens: settings.max_tokens,
        image_size: settings.image_size,
        channels: settings.channels,
        scaling: settings.scaling.unwrap_or_default(),
        threads: settings.threads,
        seed: settings.seed,
        labels: settings.labels.clone(),
        validation: settings.validation.clone(),
        test: settings.test.clone(),
        group: settings.group.clone(),
        time_split: settings.time_split.clone(),
        split: settings.split.clone(),
        weight: settings.weight.clone(),
        by: settings.by.clone(),
        header: settings.header,
        ..OpenOptions::default()
    };
    let side = settings.image_size;
    let most = settings.max_tokens;
    // Folders are looked through for this, if there is a network to be read.
    let language =
        settings.from.as_deref().is_some_and(|from| from != SCRATCH) && deepfit_data::is_continued(&settings.data);
    let load = |from: &str| Backbone::load(from, language)?.for_images_of(side)?.for_texts_of(most).map(Arc::new);
    let mut backbone = match settings.from.as_deref() {
        Some(from) if from != SCRATCH => Some(load(from)?),
        _ => None,
    };
    let given = backbone.is_some();
    // A run is perhaps resumed from elsewhere.
    if let Some(path) = settings.from.as_ref().map(PathBuf::from).filter(|path| path.exists() && given) {
        let whole = std::path::absolute(&path).unwrap_or(path);
        settings.from = Some(whole.to_string_lossy().into_owned());
    }
    let asked = settings.from.clone();
    let mut reason = None;
    let mut failure = None;
    // A network that was asked for by its name, or that learns grey images as they are, begins from scratch.
    let is_open = settings.from.is_none() && settings.model == "auto" && settings.channels.is_none() && HAS_BUNDLED;
    let data = deepfit_data::open_adapted(&settings.data, &options, &mut |survey, options| {
        let labelled = matches!(survey, Survey::Texts(survey) if survey.labelled);
        if is_open && labelled {
            let why = "a table of words sees each by itself";
            reason = Some(format!("begins from scratch: {why}; from=MODEL begins with a published network"));
        }
        if let (true, Survey::Texts(survey)) =
            (is_open && !labelled && settings.vocabulary.is_none() && settings.tokens.is_none(), survey)
        {
            let (transfers, why) = match survey.partners {
                true => (true, "pairs of texts teach what a network knows of words".to_string()),
                false => transfer::decide_for_texts(survey),
            };
            let word = if transfers { BUNDLED_TEXT } else { SCRATCH };
            if survey.texts > 1 {
                reason = Some(match transfers {
                    // Pairs are learned by their meaning alone, and by nothing that begins with nothing.
                    true if survey.partners => {
                        format!(
                            "begins with {word}, a published table of words: {why}; from=MODEL begins with a network"
                        )
                    }
                    true => format!(
                        "begins with {word}, a published table of words, and the words of the texts: {why}; \
                                     from=MODEL begins with a network, from={SCRATCH} with nothing"
                    ),
                    false => format!("begins from scratch: {why}; from={BUNDLED_TEXT} begins with a table of words"),
                });
            }
            if transfers {
                match load(BUNDLED_TEXT) {
                    Ok(loaded) => backbone = Some(loaded),
                    Err(error) => failure = Some(error),
                }
            }
        }
        if let (true, Survey::Images(survey)) = (is_open, survey) {
            let (transfers, why) = transfer::decide(survey);
            reason = Some(match transfers {
                true => format!("begins with the published network {BUNDLED}: {why}; from={SCRATCH} declines"),
                false => format!("begins from scratch: {why}; from={BUNDLED} begins with a published network"),
            });
            if transfers {
                match load(BUNDLED) {
                    Ok(loaded) => backbone = Some(loaded),
                    Err(error) => failure = Some(error),
                }
            }
        }
        if labelled {
            change(&mut backbone, &mut failure, Backbone::for_labels);
        }
        if matches!(survey, Survey::Texts(survey) if survey.partners) {
            change(&mut backbone, &mut failure, Backbone::for_similarity);
        }
        if matches!(survey, Survey::Texts(survey) if survey.pairs) {
            change(&mut backbone, &mut failure, Backbone::for_pairs);
        }
        match (backbone.as_ref().map(|backbone| &backbone.takes), survey) {
            (Some(Takes::Images(preprocessing)), Survey::Images(_)) => {
                options.image_size = Some(preprocessing.crop.0);
                options.channels = Some(preprocessing.mean.len());
                options.resize = Some(published::resize(preprocessing));
            }
            (Some(Takes::Texts(form)), Survey::Texts(_)) => options.text_form = Some(form.clone()),
            _ => {}
        }
    })?;
    if let Some(error) = failure {
        return Err(error);
    }
    let other = match backbone.as_ref().map(|backbone| &backbone.takes) {
        Some(Takes::Images(_)) if !data.is_images() => Some("images"),
        Some(Takes::Texts(_)) if !data.is_texts() => Some("texts"),
        _ => None,
    };
    if let Some(other) = other {
        let is = match (data.is_images(), data.is_texts()) {
            (true, _) => "images",
            (_, true) => "texts",
            _ => "a table",
        };
        let problem = format!("is for {other}, and the data is {is}; leave it away, or use from=scratch");
        return Err(TrainError::setting("from", problem));
    }
    if data.is_images() || data.is_texts() {
        let from = || backbone.as_ref().map_or(SCRATCH, |backbone| &backbone.name).to_string();
        settings.from = asked.or_else(|| Some(from()));
    }
    if matches!(data.task(), Task::NextToken) && settings.test.is_none() {
        settings.test_share = last_shares(settings).1;
    }
    Ok(Opened { data, backbone, reason })
}

/// Makes of a network for texts what labels of words, or two texts at a time, need.
fn change(
    backbone: &mut Option<Arc<Backbone>>,
    failure: &mut Option<TrainError>,
    into: impl Fn(&Backbone) -> Result<Backbone>,
) {
    if let Some(one) = backbone.as_ref().filter(|backbone| backbone.takes_texts()) {
        match into(one) {
            Ok(other) => *backbone = Some(Arc::new(other)),
            Err(error) => *failure = Some(error),
        }
    }
}

/// Of a text whose continuation is learned, the shares that its last parts are for validation and test. A test is as large as
/// the validation, where nothing else is asked for: what comes last is what is most recent, and is learned from rather.
fn last_shares(settings: &Settings) -> (f64, f64) {
    let validation = settings.validation_share;
    (validation, if settings.test_share == TEST_SHARE { validation.min(TEST_SHARE) } else { settings.test_share })
}

/// What would be trained on data: its description, the recipe and the whole network.
pub(crate) fn choose(mut settings: Settings) -> Result<(Vec<String>, Recipe, ModelConfig)> {
    let Opened { data, backbone, .. } = open(&mut settings)?;
    let split = data.split(&settings.split_options())?;
    let (recipe, _) = Recipe::resolve(settings, &data, &split, backbone.as_deref())?;
    let prepared = data.prepare(&split.train)?;
    let model = match backbone {
        Some(backbone) => backbone.config_with(recipe.task.outputs(), transfer::beside(&*prepared.source)),
        None => recipe.model(&prepared, &split.train)?,
    };
    Ok((data.describe(), recipe, model))
}
