//! Ways to learn the same data, from the most frequent class to a network, compared within one limit of time: same splits,
//! same metric, one recommendation.

mod classical;
mod clock;
mod contest;
mod network;
mod paired;
mod published;
mod recommend;
mod store;
mod transfer_hint;
mod way;

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::error::{Result, TrainError};
use crate::event::{Event, Flow};
use crate::metrics::Scores;
use crate::settings::Settings;

use clock::Clock;
use contest::Contest;
pub use paired::Versus;
use store::Store;
use transfer_hint::Asked;
pub use transfer_hint::{Hints, Probe, Transferability};
use way::{Kind, Way};

/// Time that a comparison may take, where nothing else is asked for, in seconds.
pub const BUDGET: f64 = 120.0;
/// A classical way may take this share of the time that is left: what comes after it needs some, too.
const CLASSICAL_SHARE: f64 = 0.5;
/// Ways that had too little time are tried again where so many times as much is left in the end.
const WORTH_ANOTHER: f64 = 1.25;

/// What is compared, and how.
#[derive(Debug, Clone)]
pub struct CompareOptions {
    /// The data, and settings of its networks; `time` is the limit for everything together.
    pub settings: Settings,
    /// By which metric: accuracy or rmse, unless it is given.
    pub metric: Option<String>,
    /// Folder to write; one whose name tells data and settings where it is not given.
    pub out: Option<PathBuf>,
}

/// What a comparison tells whoever watches it.
#[derive(Debug)]
pub enum CompareEvent<'a> {
    /// The data is open, and this is what will be tried, in this order.
    Begin {
        /// What was found in the data, a line each.
        data: &'a [String],
        /// Names of the ways.
        ways: &'a [String],
        /// How they are compared, in words.
        how: &'a str,
    },
    /// A way begins.
    Way {
        /// Its number, from 1.
        number: usize,
        /// Number of ways.
        of: usize,
        /// Its name in words.
        title: &'a str,
        /// Seconds that are left for everything.
        left: f64,
    },
    /// One of the trainings of a classical way begins.
    Part {
        /// Its number, from 1.
        number: usize,
        /// Number of them.
        of: usize,
    },
    /// It is asked whether a published network will help.
    Transfer {
        /// Seconds that are left for everything.
        left: f64,
    },
    /// A network trains.
    Training(&'a Event<'a>),
    /// A way has ended.
    Done(&'a WayResult),
    /// A way was not tried, or not to its end.
    NotRun(&'a NotRun),
}

/// Watches a comparison.
pub trait CompareObserver {
    /// Is told what happened; may ask to stop, after which what was finished is kept.
    fn event(&mut self, event: &CompareEvent<'_>) -> Flow;
}

/// What one way has reached, and what it cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WayResult {
    /// Its name, by which it is recommended.
    pub name: String,
    /// Its name in words.
    pub title: String,
    /// What is compared.
    pub metric: String,
    /// The metric on rows that were held out: the mean over the folds, or on the validation part. It alone decides.
    pub selection_value: f64,
    /// The metric of each fold.
    pub selection_values: Vec<f64>,
    /// The metric on the test rows.
    pub value: Option<f64>,
    /// Its 95 % interval.
    pub interval: Option<[f64; 2]>,
    /// Log loss on the test rows, of classes.
    pub log_loss: Option<f64>,
    /// Expected calibration error on the test rows, of classes.
    pub ece: Option<f64>,
    /// All metrics on the test rows.
    pub test: Scores,
    /// Against the recommended way, on the same test rows.
    pub versus_recommended: Option<Versus>,
    /// Seconds of the training whose result is kept.
    pub train_seconds: f64,
    /// Seconds of everything: all folds, the final training, the test.
    pub total_seconds: f64,
    /// Seconds that the predictions of the test rows took.
    pub predict_seconds: f64,
    /// The test rows that were predicted.
    pub predict_rows: usize,
    /// Most memory that the process occupied meanwhile.
    pub memory_bytes: u64,
    /// Bytes of the model folder.
    pub size_bytes: u64,
    /// Joules of everything, estimated: seconds that processors worked, times the watts of a core.
    pub energy_joules: f64,
    /// What was chosen on the way, in words.
    pub chosen: String,
    /// Worth knowing.
    pub notes: Vec<String>,
    /// The run folder, which `predict` and `evaluate` take.
    pub run: PathBuf,
}

/// A way that was not tried, or not to its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NotRun {
    /// Its name.
    pub name: String,
    /// Its name in words.
    pub title: String,
    /// Why.
    pub why: String,
}

/// The outcome of a comparison, as `result.json` and `compare --json` have it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Name of the recommended way; none where the time allowed too little to recommend anything.
    pub recommended: Option<String>,
    /// Why, in one sentence.
    pub reason: String,
    /// The data.
    pub data: PathBuf,
    /// `classification` or `regression`.
    pub task: String,
    /// What is compared.
    pub metric: String,
    /// How, in words: folds or a part that is held out.
    pub how: String,
    /// The ways that ran, in the order in which they did.
    pub ways: Vec<WayResult>,
    /// Those that did not, and why.
    pub not_run: Vec<NotRun>,
    /// Of images and texts, whether it helps to begin with a published network, and on what grounds.
    #[serde(default)]
    pub transfer: Option<Transferability>,
    /// Worth knowing.
    pub notes: Vec<String>,
    /// How energy was estimated.
    pub energy: String,
    /// Seconds that were allowed.
    pub budget_seconds: f64,
    /// Seconds that it took.
    pub seconds: f64,
    /// The folder of the comparison.
    pub folder: PathBuf,
    /// Whether it was known already, and cost nothing.
    #[serde(default)]
    pub cached: bool,
    /// What to do next.
    pub next: Vec<String>,
}

/// How a comparison ended.
#[derive(Debug)]
pub enum CompareOutcome {
    /// It is complete.
    Finished(Box<Comparison>),
    /// It was asked to stop. What was finished is kept, and the same comparison goes on from there.
    Interrupted {
        /// The folder of the comparison.
        folder: PathBuf,
    },
}

/// What a way made.
struct Ran {
    result: WayResult,
    /// Of each test row how good its prediction is, by the metric's own measure of a single row.
    rows: Vec<f32>,
}

/// How the trial of a way ended.
enum Ended {
    Ran(Box<Ran>),
    /// With the reason.
    NotRun(String),
    /// The seconds that it had were too few, with the reason: what other ways leave may be enough.
    Late(String, f64),
    /// Somebody asked for a stop.
    Stopped,
}

/// Compares the ways that suit the data.
///
/// `stop` is asked from other threads while classical learners work; what it says is what an observer's [`Flow::Stop`] says.
///
/// # Errors
/// If the data or a setting is wrong, the folder is in use, or reading the data takes longer than there is time.
pub fn compare(
    options: CompareOptions,
    observer: &mut dyn CompareObserver,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<CompareOutcome> {
    let begun = Instant::now();
    let CompareOptions { mut settings, metric, out } = options;
    settings.validate()?;
    let budget = settings.time.unwrap_or(BUDGET);
    let clock = Clock::new(begun, budget);
    let store = Store::open(&settings, metric.as_deref(), budget, out)?;
    if let Some(known) = store.result()? {
        return Ok(CompareOutcome::Finished(Box::new(known)));
    }
    settings.time = None;
    let contest = Contest::open(settings, metric)?;
    if clock.left() <= 0.0 {
        let problem = format!(
            "is {budget} s, and reading the data alone took {:.1} s; allow more, such as --time {}",
            clock.passed(),
            clock::asked(10.0 * clock.passed())
        );
        return Err(TrainError::setting("time", problem));
    }
    store.begin()?;
    let ways = Way::all(&contest)?;
    let names: Vec<String> = ways.iter().map(|way| way.title.clone()).collect();
    let how = contest.how();
    observer.event(&CompareEvent::Begin { data: &contest.description(), ways: &names, how: &how });
    let (mut ran, mut not_run): (Vec<Ran>, Vec<NotRun>) = (Vec::new(), Vec::new());
    let mut transfer = store.transfer()?;
    let mut late: Vec<(&Way, f64)> = Vec::new();
    for (i, way) in ways.iter().enumerate() {
        // Networks take all the time that is left.
        let is_last = i + 1 == ways.len();
        if (matches!(way.kind, Kind::Network(_)) || is_last)
            && transfer.is_none()
            && let Some(published) = &contest.published
        {
            let begin = CompareEvent::Transfer { left: clock.left().max(0.0) };
            let stopped = observer.event(&begin) == Flow::Stop || stop();
            let asked =
                if stopped { Asked::Stopped } else { transfer_hint::ask(&contest, published, &clock, observer, stop)? };
            let Asked::Found(found) = asked else {
                return Ok(CompareOutcome::Interrupted { folder: store.folder().to_path_buf() });
            };
            store.keep_transfer(&found)?;
            transfer = Some(*found);
        }
        let mut done = store.way(&way.name)?;
        if done.is_none() {
            let begin =
                CompareEvent::Way { number: i + 1, of: ways.len(), title: &way.title, left: clock.left().max(0.0) };
            if observer.event(&begin) == Flow::Stop || stop() {
                return Ok(CompareOutcome::Interrupted { folder: store.folder().to_path_buf() });
            }
            // What comes later has its share of the time that is left.
            let later = ways[i + 1..].iter().filter(|later| matches!(later.kind, Kind::Network(_))).count();
            let share = match way.kind {
                Kind::Classical(..) => CLASSICAL_SHARE,
                Kind::Network(_) => 1.0 / (later + 1) as f64,
            };
            let run = store.run_folder(&way.name)?;
            match try_way(&contest, way, share, &run, &clock, observer, stop)? {
                Ended::Stopped => {
                    return Ok(CompareOutcome::Interrupted { folder: store.folder().to_path_buf() });
                }
                Ended::NotRun(why) => not_run.push(left_out(way, why, &run, observer)),
                Ended::Late(why, had) => {
                    not_run.push(left_out(way, why, &run, observer));
                    late.push((way, had));
                }
                Ended::Ran(made) => {
                    store.keep(&made)?;
                    done = Some(*made);
                }
            }
        }
        if let Some(made) = done {
            observer.event(&CompareEvent::Done(&made.result));
            ran.push(made);
        }
    }
    // What some ways have left of the time is for those that had too little of it.
    for (i, &(way, had)) in late.iter().enumerate() {
        if clock.left() < WORTH_ANOTHER * had {
            continue;
        }
        let begin = CompareEvent::Way { number: i + 1, of: late.len(), title: &way.title, left: clock.left() };
        if observer.event(&begin) == Flow::Stop || stop() {
            return Ok(CompareOutcome::Interrupted { folder: store.folder().to_path_buf() });
        }
        let run = store.run_folder(&way.name)?;
        let why = match try_way(&contest, way, 1.0, &run, &clock, observer, stop)? {
            Ended::Stopped => return Ok(CompareOutcome::Interrupted { folder: store.folder().to_path_buf() }),
            Ended::Ran(made) => {
                store.keep(&made)?;
                observer.event(&CompareEvent::Done(&made.result));
                ran.push(*made);
                not_run.retain(|one| one.name != way.name);
                continue;
            }
            Ended::NotRun(why) | Ended::Late(why, _) => why,
        };
        let one = left_out(way, why, &run, observer);
        not_run.iter_mut().filter(|other| other.name == one.name).for_each(|other| other.why.clone_from(&one.why));
    }
    let mut comparison = recommend::recommend(&contest, &ways, ran, not_run, budget, store.folder());
    recommend::add_transfer(&contest, &ways, transfer, &mut comparison);
    comparison.seconds = clock.passed();
    store.finish(&comparison)?;
    Ok(CompareOutcome::Finished(Box::new(comparison)))
}

/// A way that did not run, told.
fn left_out(way: &Way, why: String, run: &Path, observer: &mut dyn CompareObserver) -> NotRun {
    let _ = std::fs::remove_dir_all(run);
    let one = NotRun { name: way.name.clone(), title: way.title.clone(), why };
    observer.event(&CompareEvent::NotRun(&one));
    one
}

fn try_way(
    contest: &Contest,
    way: &Way,
    share: f64,
    run: &Path,
    clock: &Clock,
    observer: &mut dyn CompareObserver,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<Ended> {
    if clock.left() <= 0.0 && !matches!(way.kind, Kind::Classical(deepfit_classical::Learner::Constant, _)) {
        return Ok(Ended::NotRun("the time was used up before".to_string()));
    }
    match &way.kind {
        Kind::Classical(learner, features) => {
            classical::run(contest, way, *learner, *features, share, run, clock, observer, stop)
        }
        Kind::Network(network) => network::run(contest, way, network, share, run, clock, observer),
    }
}
