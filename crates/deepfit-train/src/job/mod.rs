//! A run from data to report: opened and planned without writing anything, then carried out.

mod begin;
mod part;
mod resume;
mod within;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions as FileOptions};
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use deepfit_data::{Dataset, Loader, LoaderOptions, Prepared, Preprocessor, Source, Split};
use deepfit_zoo::ModelConfig;

pub(crate) use begin::choose as choose_network;
pub use begin::prepare;
pub(crate) use begin::prepare_roughly;
pub(crate) use begin::{Begun, Opened, open};
pub(crate) use part::{Permutation, prepare_part};
use resume::require_fit;
pub use resume::{resume, resume_with};

use crate::budget;
use crate::checks::{self, Finding, Subject};
use crate::data_times::DataTimes;
use crate::decision::{HeldOut, MOST_BYTES, Records};
use crate::error::{Result, TrainError};
use crate::event::{Event, Flow, Observer};
use crate::fingerprint::{FINGERPRINT, Stamp, fingerprint, with_model};
use crate::finish::{self, Times};
use crate::fit::{End, Fit, measured_of_training};
use crate::forecast::{Circumstances, Description, OVERHEAD_BYTES, TransferForecast, describe};
use crate::learner::{Blueprint, Learner, evaluation_batch};
use crate::limits;
use crate::progress::{self, Notes, Progress, Saved};
use crate::recipe::Recipe;
use crate::repeats;
use crate::report::Report;
use crate::run_folder::{
    Claim, Durability, FORMAT_VERSION, RunFolder, read_text, without_space, write_atomically, write_text,
};
use crate::search;
use crate::settings::Settings;
use crate::stage::{Purpose, Stage, Trial, choose, rates_so_far, selecting, stages};
use crate::tensors::Owned;
use crate::transfer::{Completion, Cut, Transfer, changed};

/// How a run ended.
#[derive(Debug)]
pub enum Outcome {
    /// It is complete.
    Finished(Box<Report>),
    /// It was asked to stop, and can be resumed.
    Interrupted {
        /// The run folder.
        run: PathBuf,
        /// Steps made so far.
        step: u64,
    },
}

/// A run that is ready to start.
pub struct Job {
    pub(crate) data: Arc<Dataset>,
    pub(crate) split: Split,
    pub(crate) recipe: Recipe,
    pub(crate) stages: Vec<Stage>,
    pub(crate) folder: RunFolder,
    pub(crate) progress: Progress,
    saved: Option<Saved>,
    finished: Option<Report>,
    is_new: bool,
    /// Whether the time of operations is recorded.
    records: bool,
    /// Whether what is predicted for the test rows is kept.
    pub(crate) remembers: bool,
    /// Epochs that it would have without a limit of time.
    pub(crate) wanted_epochs: u32,
    /// Whether the run folder was chosen, not given.
    automatic: bool,
    pub(crate) description: Description,
    /// What was found in the data before training.
    pub(crate) findings: Vec<Finding>,
    /// What the first stage to run is trained with, made while planning.
    workshop: Option<Workshop>,
    /// The network that it begins with, if there is one.
    transfer: Option<Transfer>,
    /// Bytes of the process when the data had been opened.
    pub(crate) base_bytes: u64,
    /// What the files of the data looked like before they were opened.
    pub(crate) stamp: Arc<Stamp>,
    /// When this process began to open the data, and seconds that had been trained before.
    begun: (Instant, f64),
}

/// What a stage is trained with.
pub(crate) struct Workshop {
    pub(crate) source: Arc<dyn Source>,
    /// The inputs as they are, of which what is learned from may be features.
    pub(crate) inputs: Arc<dyn Source>,
    pub(crate) preprocessor: Preprocessor,
    pub(crate) model: ModelConfig,
    pub(crate) learner: Learner,
    /// Of a transfer, what turns the trained weights into those of the whole network.
    pub(crate) completion: Option<Completion>,
}

impl Workshop {
    /// Fits statistics on the stage's training rows, and builds and compiles the network for them.
    /// Other things are planned to take so many bytes.
    fn new(
        data: &Dataset,
        recipe: &Recipe,
        stage: &mut Stage,
        transfer: Option<&Transfer>,
        planned: u64,
    ) -> Result<Workshop> {
        let mut prepared = data.prepare(&stage.train)?;
        if let Some(of) = recipe.permutation.clone() {
            prepared.source = Arc::new(part::Permuted { inner: prepared.source, of });
        }
        stage.target_scale = prepared.preprocessor.target_scale();
        if let Some(transfer) = transfer {
            return transfer.workshop(recipe, stage, prepared, planned);
        }
        let recipe = &*recipe.of(&stage.trial);
        let model = recipe.model(&prepared, &stage.train)?;
        let planned = planned + loader_bytes(recipe, &*prepared.source, stage);
        let blueprint = Blueprint::from_scratch(recipe, &model)?;
        let learner = Learner::new(recipe, blueprint, recipe.settings.threads, planned)?;
        let Prepared { source, preprocessor } = prepared;
        let inputs = source.clone();
        Ok(Workshop { source, inputs, preprocessor, model, learner, completion: None })
    }
}

/// How batches of a stage are loaded.
pub(crate) fn loader_options(recipe: &Recipe, source: &dyn Source, stage: &Stage) -> LoaderOptions {
    let s = &recipe.settings;
    let workers = LoaderOptions::workers(source, s.threads);
    let batch = recipe.batch();
    // A last batch of very few rows gives batch statistics that mean nothing.
    let drop_last = stage.train.len() > batch && stage.train.len() % batch < batch.div_ceil(4);
    let augment = recipe.of(&stage.trial).augment();
    LoaderOptions { drop_last, ..LoaderOptions::train(batch, workers, s.seed, augment, stage.schedule_epochs) }
}

/// Bytes of the batches of a stage, in training and validation.
pub(crate) fn loader_bytes(recipe: &Recipe, source: &dyn Source, stage: &Stage) -> u64 {
    let options = loader_options(recipe, source, stage);
    let evaluating = LoaderOptions::evaluate(evaluation_batch(recipe), options.workers.min(1));
    let training = Loader::planned_bytes(source, stage.train.len(), &options);
    (training + Loader::planned_bytes(source, stage.validation.len(), &evaluating)) as u64
}

impl Job {
    fn plan(
        begun: &Begun,
        split: Split,
        settings: Settings,
        folder: RunFolder,
        saved: Option<Saved>,
        is_new: bool,
        permutation: Option<Permutation>,
    ) -> Result<Job> {
        let Begun { data, backbone, reason, base_bytes, read_bytes, at, roughly, stamp } = begun.clone();
        let planned = base_bytes + OVERHEAD_BYTES;
        let (mut recipe, mut notes) = Recipe::resolve(settings, &data, &split, backbone.as_deref())?;
        let transfer = backbone.map(Transfer::new);
        if let (Some(transfer), true) = (&transfer, is_new || saved.is_none()) {
            notes.splice(0..0, transfer.backbone.notes.iter().cloned());
        }
        notes.splice(0..0, reason);
        recipe.permutation = permutation;
        recipe.attempt = saved.as_ref().and_then(|saved| saved.progress.attempt.clone());
        let mut stages = stages(&recipe, &data, &split)?;
        let mut progress = saved.as_ref().map(|s| s.progress.clone()).unwrap_or_default();
        let current = progress.stage.min(stages.len() - 1);
        let mut beside = match &transfer {
            Some(transfer) => transfer.rehearse(&data, &split, &recipe, &stages, current, planned)?,
            None => TransferForecast::default(),
        };
        if let (Some(limit), Some(unfrozen), true) = (recipe.settings.time_of_each(), &beside.unfrozen, is_new)
            && beside.features.seconds + unfrozen.seconds(&recipe, &stages) > 0.8 * limit
            && recipe.keeps_blocks()
        {
            notes.push("the time is too short to try whether training the last blocks helps".to_string());
            beside.unfrozen = None;
            stages = self::stages(&recipe, &data, &split)?;
        }
        let planned = planned + beside.features.bytes;
        let mut workshop = Workshop::new(&data, &recipe, &mut stages[current], transfer.as_ref(), planned)?;
        if let Some(saved) = &saved {
            require_fit(&folder, &workshop.learner, saved)?;
        }
        let images = data.is_images();
        // The rehearsal already touches all that was allocated.
        limits::require(limits::Planned::resident(base_bytes, &workshop.learner), images)?;
        let mut searched = None;
        if is_new && recipe.settings.find_lr {
            searched = Some(search::find_rate(&mut recipe, &stages[current], &mut workshop)?);
        }
        let circumstances = Circumstances { base_bytes, read_bytes, run: folder.root(), is_new, begun: at, roughly };
        let mut description = describe(&data, &split, &recipe, &stages, &mut workshop, beside, circumstances)?;
        budget::require(&recipe.settings, description.planned_memory_bytes)?;
        let wanted_epochs = recipe.epochs();
        if is_new && description.epochs < recipe.epochs() {
            // The time allows fewer epochs: a decision, saved with the settings.
            recipe.settings.epochs = Some(description.epochs);
            for stage in &mut stages {
                let epochs = stage.epochs.min(description.epochs);
                (stage.epochs, stage.schedule_epochs) = (epochs, epochs);
            }
        }
        limits::require(limits::Planned::of(&description), images)?;
        description.notes.extend(notes.into_iter().chain(searched));
        description.notes.extend(limits::warn(description.planned_memory_bytes, images));
        if is_new && recipe.settings.warmup > f64::from(recipe.epochs()) {
            let epochs = recipe.epochs();
            let note = format!("`warmup` is cut to {epochs} epochs: `time` allows no more");
            description.notes.push(note);
            recipe.settings.warmup = f64::from(epochs);
        }
        if !is_new && saved.is_none() {
            let note = "there is no checkpoint in the run folder: training begins with its first step";
            description.notes.push(note.to_string());
        }
        description.settings_toml = recipe.settings.to_toml()?;
        progress.settings = Some(description.settings_toml.clone());
        description.resumed_at_step = (!is_new).then_some(progress.total_steps);
        let finished = if folder.result().is_file() && !is_new {
            let damaged = |e: serde_json::Error| {
                let again = crate::finish::shell_word(&folder.root().to_string_lossy());
                let advice = format!("delete it, then make it again with `deepfit train --resume {again}`");
                TrainError::run(folder.result(), format!("is damaged: {e}; {advice}"))
            };
            let mut report: Report = serde_json::from_str(&read_text(&folder.result())?).map_err(damaged)?;
            report.resumed_at_step = Some(progress.total_steps);
            // The folder may have been moved since.
            report.run = folder.root().to_path_buf();
            report.next = finish::next_commands(folder.root(), &data);
            Some(report)
        } else {
            None
        };
        let workshop = Some(workshop);
        let begun = (at, progress.seconds);
        Ok(Job {
            data,
            split,
            recipe,
            stages,
            folder,
            progress,
            saved,
            finished,
            is_new,
            records: false,
            remembers: false,
            wanted_epochs,
            automatic: false,
            description,
            findings: Vec::new(),
            workshop,
            transfer,
            base_bytes,
            stamp,
            begun,
        })
    }

    /// Seconds that are left of the time that the run may take, if that is limited.
    pub(crate) fn time_left(&self) -> Option<f64> {
        let (at, before) = self.begun;
        self.recipe.settings.time_of_each().map(|time| time - before - at.elapsed().as_secs_f64())
    }

    /// What will be done, and what it costs.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// Threads that it trains on.
    pub fn threads(&self) -> usize {
        self.recipe.settings.threads
    }

    /// Records the time of each operation: [`Event::Profile`] tells it at the end of each stage. The result stays the same.
    pub fn record(&mut self) {
        self.records = true;
    }

    /// Carries the run out, from where it stands.
    ///
    /// # Errors
    /// If numbers stop being finite, or a file cannot be read or written. What was written before stays.
    pub fn run(self, observer: &mut dyn Observer) -> Result<Outcome> {
        let (repeats, threads) = (self.recipe.settings.repeats, self.recipe.settings.threads);
        match self.run_once(observer)? {
            Outcome::Finished(report) if repeats > 1 && report.repeats.is_none() => {
                repeats::repeat(*report, threads, observer)
            }
            outcome => Ok(outcome),
        }
    }

    fn run_once(mut self, observer: &mut dyn Observer) -> Result<Outcome> {
        if let Some(report) = self.finished.take() {
            observer.event(&Event::Note("this run has ended already"));
            return Ok(Outcome::Finished(Box::new(report)));
        }
        let _claim = if self.is_new { Some(self.claim_folder(observer)?) } else { None };
        let (folder, is_new) = (self.folder.clone(), self.is_new);
        self.carry_out(observer).map_err(|error| without_space(error, &folder, is_new))
    }

    fn carry_out(mut self, observer: &mut dyn Observer) -> Result<Outcome> {
        if self.is_new {
            if let Err(error) = self.write_settings() {
                self.folder.discard();
                return Err(error);
            }
        } else {
            // Folders that were removed by hand.
            self.folder.restore()?;
        }
        let _lock = self.folder.lock()?;
        let journal_text: String = self.progress.epochs.iter().map(|e| e.to_json() + "\n").collect();
        write_text(&self.folder.metrics(), &journal_text)?;
        let journal_path = self.folder.metrics();
        let mut journal = FileOptions::new().append(true).open(&journal_path).map_err(|source| TrainError::Io {
            action: "write",
            path: journal_path.clone(),
            source,
        })?;

        let notes = self.progress.notes.clone();
        self.description.notes.iter().for_each(|note| {
            notes.add(note);
        });
        let mut watch = Watch { inner: observer, first_step_seconds: None, notes };
        self.look_at_data(&mut watch);
        let (epochs_before, mut fit_seconds) = (self.progress.epochs.len(), 0.0);
        let mut first_step = true;
        let mut data = DataTimes::default();
        // What a stage that begins with the result of the one before it takes over.
        let mut result: Option<BTreeMap<String, Owned>> = None;
        loop {
            let number = self.progress.stage;
            if self.is_in_vain(number) {
                self.workshop = None;
                self.progress.next_stage();
                continue;
            }
            self.counter(number, &mut |note| {
                watch.event(&Event::Note(note));
            })?;
            self.choose_refit(number, &mut watch);
            let count = self.stages.len();
            if self.make_features(number, &mut watch)? == Flow::Stop {
                let run = self.folder.root().to_path_buf();
                return Ok(Outcome::Interrupted { run, step: self.progress.total_steps });
            }
            let mut workshop = match self.workshop.take() {
                Some(workshop) => workshop,
                None => {
                    let planned = self.base_bytes + OVERHEAD_BYTES;
                    let stage = &mut self.stages[number];
                    Workshop::new(&self.data, &self.recipe, stage, self.transfer.as_ref(), planned)?
                }
            };
            if let Some(result) = result.take() {
                workshop.learner.begin_with(result)?;
            }
            let stage = &self.stages[number];
            watch.event(&Event::Stage {
                number: number + 1,
                of: count,
                purpose: &stage.describe(),
                epochs: stage.epochs,
            });
            let mut best_weights = BTreeMap::new();
            if let Some(saved) = self.saved.take() {
                workshop.learner.restore(saved.state.iter().map(|(name, tensor)| (&name[..], tensor)))?;
                best_weights = saved.best;
            }
            let mut loader = self.loader(&workshop, stage)?;
            if self.records {
                workshop.learner.record();
            }
            let recipe = self.recipe.of(&stage.trial);
            let mut fit = Fit {
                recipe: &recipe,
                stage,
                learner: &mut workshop.learner,
                loader: &mut loader,
                source: workshop.source.clone(),
                checkpoint: &self.folder.checkpoint(),
                best_weights: &mut best_weights,
                held_out: self.records(number),
                losses: self.loss_records(number),
                of_training: measured_of_training(&recipe, stage),
                deadline: self.deadline(number),
                ending: 0.0,
                journal: &mut journal,
                journal_path: &journal_path,
                last_synced: Instant::now(),
                first_step,
                data: DataTimes::default(),
            };
            let seconds_before = self.progress.seconds;
            let end = fit.run(&mut self.progress, &mut watch)?;
            fit_seconds += self.progress.seconds - seconds_before;
            first_step = fit.first_step;
            let mut of_stage = fit.data;
            if self.recipe.cut(&self.stages[number].trial).applied {
                // Features are copied from memory: nobody can prepare them faster.
                of_stage.waited = 0.0;
            }
            data.add(of_stage);
            if let Some(mut profile) = workshop.learner.profile() {
                profile.waited = of_stage.waited;
                watch.event(&Event::Profile(&profile));
            }
            let mut news = false;
            for failure in loader.failures() {
                news |= watch.notes.add(&format!("{}: {}", failure.name, failure.reason));
            }
            drop(loader);
            if end == End::Interrupted {
                if news {
                    let (path, progress) = (self.folder.checkpoint(), &self.progress);
                    progress::save(&path, Durability::Process, progress, &workshop.learner, &best_weights)?;
                }
                let run = self.folder.root().to_path_buf();
                return Ok(Outcome::Interrupted { run, step: self.progress.total_steps });
            }
            if number + 1 < count {
                if self.stages[number + 1].continues(stage) {
                    let best = if best_weights.is_empty() { workshop.learner.weights()? } else { best_weights };
                    result = Some(changed(workshop.completion.as_ref(), best));
                }
                self.progress.next_stage();
                continue;
            }
            let epochs = self.progress.epochs[epochs_before..].iter().filter(|e| e.epoch > 0).count();
            let seconds_per_epoch = fit_seconds / epochs.max(1) as f64;
            let times = Times { first_step: watch.first_step_seconds, per_epoch: seconds_per_epoch, data };
            return self.finish(workshop, best_weights, times);
        }
    }

    fn finish(self, workshop: Workshop, best_weights: BTreeMap<String, Owned>, times: Times) -> Result<Outcome> {
        let report = finish::finish(&self, workshop, best_weights, times)?;
        let text =
            serde_json::to_string_pretty(&report).map_err(|e| TrainError::run(self.folder.result(), e.to_string()))?;
        write_text(&self.folder.result(), &(text + "\n"))?;
        Ok(Outcome::Finished(Box::new(report)))
    }

    /// Creates the run folder. One that was chosen, not given, may have been taken by another run meanwhile.
    fn claim_folder(&mut self, observer: &mut dyn Observer) -> Result<Claim> {
        loop {
            let taken = match self.automatic && self.folder.root().exists() {
                true => None,
                false => Some(self.folder.create()),
            };
            match taken {
                // Another process took it between the two.
                Some(Err(TrainError::Run { .. })) if self.automatic => {}
                Some(claimed) => return claimed,
                None => {}
            }
            self.folder = RunFolder::next_for(&self.recipe.settings.data);
            observer.event(&Event::Note(&format!(
                "another run took that folder; this one is {}",
                self.folder.root().display()
            )));
        }
    }

    fn write_settings(&self) -> Result<()> {
        write_atomically(&self.folder.split(), Durability::Disk, |path| {
            let mut out = BufWriter::new(File::create(path)?);
            self.data.write_split(&self.split, &mut out)?;
            out.flush()
        })?;
        // Last, since a folder with settings is a run that can be resumed.
        let mut fingerprint = fingerprint(&self.recipe.settings.data, self.recipe.settings.labels.as_deref())?;
        if let Some(transfer) = &self.transfer {
            fingerprint = with_model(&fingerprint, transfer.backbone.digest);
        }
        // The fingerprint is that of what was read.
        self.stamp.check()?;
        let settings = self.absolute_settings()?.to_toml()?;
        let text = format!("version = {FORMAT_VERSION}\n{FINGERPRINT} = \"{fingerprint}\"\n{settings}");
        write_text(&self.folder.settings(), &text)
    }

    /// Settings whose paths mean the same wherever the run is resumed from.
    fn absolute_settings(&self) -> Result<Settings> {
        let absolute = |path: &PathBuf| {
            std::path::absolute(path).map_err(|source| TrainError::Io { action: "read", path: path.clone(), source })
        };
        let mut settings = self.recipe.settings.clone();
        settings.data = absolute(&settings.data)?;
        settings.labels = settings.labels.as_ref().map(absolute).transpose()?;
        settings.validation = settings.validation.as_ref().map(absolute).transpose()?;
        settings.test = settings.test.as_ref().map(absolute).transpose()?;
        Ok(settings)
    }

    /// Looks at the data before it is learned from; a run that is resumed finds the same again.
    fn look_at_data(&mut self, observer: &mut dyn Observer) {
        let Some(Workshop { inputs: source, preprocessor, .. }) = &self.workshop else { return };
        let begun = Instant::now();
        let (data, split, settings) = (&self.data, &self.split, &self.recipe.settings);
        let (findings, notes) = checks::before(&Subject { data, split, source, preprocessor, settings });
        // Whoever wants to stop is asked again by the first step.
        for finding in &findings {
            observer.event(&Event::Finding(finding));
        }
        for note in &notes {
            observer.event(&Event::Note(note));
        }
        self.findings = findings;
        self.progress.seconds += begun.elapsed().as_secs_f64();
    }

    /// Whether a stage tries to train more blocks, though fewer have not helped.
    fn is_in_vain(&self, number: usize) -> bool {
        let Stage { purpose, trial, .. } = self.stages[number];
        if purpose != Purpose::Select || trial.unfrozen == 0 || self.progress.epoch > 0 || self.progress.step > 0 {
            return false;
        }
        let so_far = |counts: &dyn Fn(&Trial) -> bool| choose(&self.recipe, &self.stages, &self.progress, counts);
        let Some(fewer) = so_far(&|other| (1..trial.unfrozen).contains(&other.unfrozen)) else { return false };
        so_far(&|other| other.unfrozen == 0).is_some_and(|without| without.value <= fewer.value)
    }

    /// Before a refit, its way and number of epochs are chosen from the stages before it.
    fn choose_refit(&mut self, number: usize, observer: &mut dyn Observer) {
        if self.stages[number].purpose != Purpose::Refit {
            return;
        }
        let recipe = &self.recipe;
        let choose = |counts: &dyn Fn(&Trial) -> bool| choose(recipe, &self.stages, &self.progress, counts);
        let trained = self.stages[number].trial.unfrozen > 0;
        let best = choose(&|trial| recipe.admits(trial));
        let unfreezes = best.is_some_and(|best| best.trial.unfrozen > 0);
        // What the last blocks begin with is the last layer as it was before they were trained in the stages so far.
        let before = recipe.trials().into_iter().rfind(|trial| trial.unfrozen == 0);
        let of_stage = self.stages[number].trial;
        let chosen = match (trained, unfreezes) {
            (true, _) => choose(&|trial| trial.unfrozen == of_stage.unfrozen),
            (false, true) => choose(&|trial| Some(trial) == before.as_ref()),
            (false, false) => choose(&|trial| trial.unfrozen == 0 && (!trial.stronger || recipe.admits(trial))),
        };
        let Some(chosen) = chosen else { return };
        let most = best.map_or(0, |best| best.trial.unfrozen);
        let mut at = 0..;
        self.stages.retain(|stage| at.next() <= Some(number) || stage.trial.unfrozen <= most);
        if recipe.transfer.is_some()
            && recipe.trials().len() > 1
            && let (Some(best), false) = (best, trained)
        {
            observer.event(&Event::Note(&recipe.describe_choice(&best)));
        }
        self.progress.chosen_epochs = Some(chosen.epochs);
        let stage = &mut self.stages[number];
        (stage.trial, stage.epochs) = (chosen.trial, chosen.epochs);
        if chosen.trial.stronger {
            stage.schedule_epochs = recipe.attempt.as_ref().map_or(chosen.epochs, |attempt| attempt.epochs);
            // What was planned with is of the usual way.
            self.workshop = None;
        }
        if self.recipe.rates().plateau().is_some() {
            let selecting = selecting(&self.stages, &chosen.trial);
            self.stages[number].rates = Some(rates_so_far(&self.recipe, &self.progress, &selecting, &chosen.trial));
        }
    }

    /// Computes the features that a stage learns from, if it learns from any.
    fn make_features(&mut self, number: usize, observer: &mut dyn Observer) -> Result<Flow> {
        let Some(transfer) = &self.transfer else { return Ok(Flow::Continue) };
        let cut = self.recipe.cut(&self.stages[number].trial);
        let later = &self.stages[number..];
        transfer.keep_only(|blocks| later.iter().any(|stage| self.recipe.cut(&stage.trial).blocks == blocks));
        if !cut.applied {
            return Ok(Flow::Continue);
        }
        let base = self.data.prepare(&self.stages[number].train)?.source;
        if transfer.source(&base, cut.blocks)?.is_set() {
            return Ok(Flow::Continue);
        }
        // What was planned with knew no values, by which features are standardised.
        self.workshop = None;
        let begun = Instant::now();
        let cuts: Vec<Cut> = later.iter().map(|stage| self.recipe.cut(&stage.trial)).collect();
        let flow = transfer.compute(&base, &cuts, &self.recipe.settings, observer);
        let seconds = begun.elapsed().as_secs_f64();
        self.progress.seconds += seconds;
        self.progress.features_seconds += seconds;
        flow
    }

    /// Where a stage keeps what it predicts of its validation rows: where something is fitted to that, and it is not too much.
    fn records(&self, number: usize) -> Option<Records> {
        let stage = &self.stages[number];
        let all = matches!(stage.purpose, Purpose::Fold(_));
        let epochs = if all { u64::from(stage.epochs) } else { 1 };
        let of_row = 4 * (self.recipe.task.outputs() as u64 + 1);
        let bytes = (stage.validation.len() as u64).saturating_mul(of_row).saturating_mul(epochs);
        let kept = self.recipe.decides() && stage.purpose != Purpose::Refit && bytes <= MOST_BYTES;
        kept.then(|| Records::new(&self.folder.checkpoint(), number, all))
    }

    /// Where a stage keeps the losses of its validation rows, unless these are too many.
    pub(crate) fn loss_records(&self, number: usize) -> Option<Records> {
        let stage = &self.stages[number];
        let bytes = (stage.validation.len() as u64).saturating_mul(8).saturating_mul(u64::from(stage.epochs));
        let kept = stage.purpose != Purpose::Refit && bytes <= MOST_BYTES / 4;
        kept.then(|| Records::of_losses(&self.folder.checkpoint(), number))
    }

    /// What the stages that chose the last one's way and epochs predicted of their validation rows in such an epoch, with
    /// targets left open; or why that is not there.
    pub(crate) fn held_out(&self, epoch: u32) -> std::result::Result<HeldOut, &'static str> {
        let mut held = HeldOut::default();
        for number in selecting(&self.stages, &self.stages[self.progress.stage].trial) {
            let Some(records) = self.records(number) else {
                return Err("predictions of all validation rows in all epochs are too many to be kept");
            };
            let Some(mut record) = records.read(epoch) else {
                return Err("the predictions of the validation rows are no longer there");
            };
            held.rows.append(&mut record.rows);
            held.values.append(&mut record.values);
        }
        if held.rows.iter().any(|&row| row as usize >= self.data.len()) {
            return Err("the predictions of the validation rows are of other data");
        }
        held.groups = held.rows.iter().map(|&row| self.data.group_of(row)).collect();
        if let Some(weights) = &self.recipe.weights {
            held.weights = held.rows.iter().map(|&row| weights[row as usize]).collect();
        }
        Ok(held)
    }

    fn loader(&self, workshop: &Workshop, stage: &Stage) -> Result<Loader> {
        let options = LoaderOptions {
            first_epoch: self.progress.epoch,
            first_step: self.progress.step,
            ..loader_options(&self.recipe, &*workshop.source, stage)
        };
        Ok(Loader::new(workshop.source.clone(), stage.train.clone(), options)?)
    }

    /// With a limit of time, each stage ends when its share of it, and that of those before it, is used. What features took
    /// is gone, as is what it took to open the data; and the end of the run takes some, too.
    fn deadline(&self, number: usize) -> Option<f64> {
        let share = (number + 1) as f64 / self.stages.len() as f64;
        let features = self.progress.features_seconds;
        let Description { seconds_before, seconds_after, .. } = self.description;
        let for_training = |time: f64| (time - seconds_before - seconds_after).max(0.0);
        let of_stages = |time: f64| features + (for_training(time) - features).max(0.0) * share;
        self.recipe.settings.time_of_each().map(of_stages)
    }
}

/// Passes events on, and remembers what the report tells.
struct Watch<'a> {
    inner: &'a mut dyn Observer,
    first_step_seconds: Option<f64>,
    notes: Notes,
}

impl Observer for Watch<'_> {
    fn event(&mut self, event: &Event<'_>) -> crate::event::Flow {
        match event {
            Event::FirstStep => self.first_step_seconds = Some(crate::process::process_seconds()),
            Event::Note(note) => {
                self.notes.add(note);
            }
            _ => {}
        }
        self.inner.event(event)
    }
}
