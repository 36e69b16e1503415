//! Runs: from data and settings to a trained, measured and saved model.
//!
//! [`prepare`] opens the data and plans a [`Job`]; [`Job::run`] trains it in the loop of `fit`, with checkpoints from which
//! [`resume`] continues; [`Predictor`] uses the result. A [`Session`] is for a loop of one's own.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod baseline;
mod budget;
mod checks;
mod classical;
mod compare;
mod data_times;
mod decision;
mod diagnose;
mod embedder;
mod error;
mod event;
mod fingerprint;
mod finish;
mod fit;
mod forecast;
mod in_order;
mod inspect;
mod job;
mod learned;
mod learner;
mod limits;
mod measure;
pub mod metrics;
mod model_folder;
mod nearest;
mod overfitting;
mod pairs;
mod predictions;
mod predictor;
mod predicts;
mod process;
pub mod profile;
mod progress;
mod published;
mod recipe;
mod record;
mod repeats;
mod report;
mod run_folder;
mod search;
mod sentence_model;
mod session;
mod settings;
mod simpler;
mod stage;
mod stepper;
mod tagging;
mod tensors;
pub mod text;
mod text_model;
mod training_rows;
mod transfer;
mod weights;

pub use baseline::Baseline;
pub use budget::{Cost, cost, ways};
pub use checks::{Evidence, Finding, FindingKind, Place, Severity, Suspect, Twins};
pub use classical::{ClassicalModel, ClassicalPredictor};
pub use compare::{
    BUDGET, CompareEvent, CompareObserver, CompareOptions, CompareOutcome, Comparison, Hints, NotRun, Probe,
    Transferability, Versus, WayResult, compare,
};
pub use data_times::DataTimes;
pub use decision::{
    Calibration, CalibrationReport, Compared, Conformal, ConformalReport, CostReport, Costs, Covered, Decision,
    FamiliarityReport, Isotonic, Judged, Quality,
};
pub use diagnose::{
    Control, CurvePoint, DataCurve, DiagnoseOptions, DiagnoseOutcome, Diagnosis, GoalReport, HeldBack, LabelErrors,
    PowerLaw, SuspectRow, diagnose,
};
pub use embedder::{Embedder, Embedding, Layer};
pub use error::{ErrorKind, Result, TrainError};
pub use event::{Event, Flow, Observer, Silent};
pub use forecast::Description;
pub use inspect::{InspectOptions, Inspection, LayerRow, PassRow, inspect};
pub use job::{Job, Outcome, prepare, resume, resume_with};
pub use learned::learned_note;
pub use measure::{SubgroupRow, SubgroupScores};
pub use model_folder::{Model, ModelDescription, open_any as open_model};
pub use nearest::{Gallery, Neighbour, Neighbours, Search};
pub use overfitting::{Countermeasure, EpochLosses, FitReport, Gap, Verdict};
pub use pairs::{PairModel, evaluate_pairs};
pub use predictions::{MOST_ROWS, Mistake, Predictions};
pub use predictor::{Evaluation, Prediction, PredictionValue, Predictor};
pub use process::{available_bytes, cpu_seconds, peak_bytes, process_seconds, resident_bytes};
pub use progress::EpochRecord;
pub use published::{published_model, published_text, text_head};
pub use record::{RunRecord, State};
pub use repeats::{Repeated, RepeatsReport};
pub use report::{OnTest, Report, ReportMetrics};
pub use run_folder::{Durability, FORMAT_VERSION, write_atomically};
pub use session::{Epoch, Examples, Fit, Outputs, Session, SessionOptions, Values};
pub use settings::{Settings, Unfreeze, parse_duration, parse_memory};
pub use simpler::SimplerWay;
pub use tagging::{Entity, Tags};
pub use tensors::Owned;
pub use text_model::{Continuing, Finish, Generated, Generator, Sampling, TextEmbedder, TextPredictor, is_text_model};
pub use training_rows::{changed_note, test_rows, training_rows};
pub use weights::{Misfit, read as read_weights};
