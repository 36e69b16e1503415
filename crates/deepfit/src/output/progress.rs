//! Progress of training on standard error: a bar on a terminal, a line now and then elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use deepfit_cpu::Profile;
use deepfit_train::metrics::Scores;
use deepfit_train::{Event, Flow, Observer};
use indicatif::{ProgressBar, ProgressStyle};

use super::findings::found;
use super::say;
use crate::interrupt::Interrupt;
use deepfit_train::text::{Style, words};

/// The bar is brought up to date this often; reading the clock is cheap beside a training step, formatting is not.
const REFRESH: Duration = Duration::from_millis(100);
/// Without a terminal, epochs are told at most this often.
const LINE_INTERVAL: Duration = Duration::from_secs(1);
/// And the features of images, which are alike.
const FEATURES_INTERVAL: Duration = Duration::from_secs(5);

/// Shows what training tells, and hands a request to stop back to it.
pub struct Progress<'a> {
    view: View,
    interrupt: &'a Interrupt,
    stop_told: bool,
    /// Where the time went, if that is recorded.
    profile: Option<Profile>,
    quiet: bool,
    style: Style,
    /// When something was last shown.
    shown: Option<Instant>,
    stage: String,
    last_stage: bool,
    /// The last epoch's validation in words.
    validation: String,
    /// The last step's speed and time left in words.
    pace: (f64, f64),
    /// How much of the last epoch was spent waiting for data, in words, if it was much.
    waiting: String,
}

enum View {
    Nothing,
    Bar(ProgressBar),
    Lines,
}

impl<'a> Progress<'a> {
    /// Shows nothing if `quiet`; `interrupt` is asked after each step.
    pub fn new(quiet: bool, interrupt: &'a Interrupt) -> Progress<'a> {
        let view = match (quiet, std::io::stderr().is_terminal()) {
            (true, _) => View::Nothing,
            (false, true) => View::Bar(bar()),
            (false, false) => View::Lines,
        };
        Progress {
            view,
            interrupt,
            stop_told: false,
            profile: None,
            quiet,
            style: Style::stderr(),
            shown: None,
            stage: String::new(),
            last_stage: false,
            validation: String::new(),
            pace: (f64::NAN, f64::NAN),
            waiting: String::new(),
        }
    }

    /// Shows a line beside or in place of what training tells.
    pub fn say(&self, line: &str) {
        self.tell(line);
    }

    /// Shows what is being done, where training tells nothing: on a terminal alone.
    pub fn doing(&self, what: &str, part: usize, of: usize) {
        if let View::Bar(bar) = &self.view {
            bar.set_prefix(String::new());
            bar.set_length(of as u64);
            bar.set_position(part as u64);
            bar.set_message(what.to_string());
        }
    }

    /// Whether somebody has asked for a stop.
    pub fn is_stopped(&self) -> bool {
        self.interrupt.requested()
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let View::Bar(bar) = &self.view {
            bar.finish_and_clear();
        }
    }

    /// Where the time of all stages went, if it was recorded.
    pub fn take_profile(&mut self) -> Option<Profile> {
        self.profile.take()
    }

    fn tell(&self, line: &str) {
        match &self.view {
            View::Nothing => {}
            View::Bar(bar) => bar.suspend(|| say(line)),
            View::Lines => say(line),
        }
    }

    fn due(&mut self, interval: Duration) -> bool {
        let due = self.shown.is_none_or(|shown| shown.elapsed() >= interval);
        if due {
            self.shown = Some(Instant::now());
        }
        due
    }

    fn show(&mut self, event: &Event<'_>) {
        match *event {
            Event::Stage { number, of, purpose, .. } => {
                self.validation.clear();
                self.last_stage = number == of;
                self.stage = if of > 1 { format!("{purpose} ({number} of {of})  ") } else { String::new() };
                if let View::Bar(bar) = &self.view {
                    bar.reset();
                    bar.set_prefix(self.stage.clone());
                }
            }
            Event::Features { done, total, per_second, seconds_left } => {
                self.pace = (per_second, seconds_left);
                let told = format!("features of {} samples  {}", words::count(total as u64), self.pace_in_words());
                let due = matches!(self.view, View::Lines) && (self.due(FEATURES_INTERVAL) || done == total);
                if let View::Bar(bar) = &self.view {
                    bar.set_prefix(String::new());
                    bar.set_length(total as u64);
                    bar.set_position(done as u64);
                    bar.set_message(told.clone());
                }
                if due {
                    say(&format!("{} of the {told}", words::count(done as u64)));
                }
            }
            Event::FirstStep => {}
            Event::Step { epoch, epochs, step, steps, loss, samples_per_second, seconds_left } => {
                self.pace = (samples_per_second, seconds_left);
                let refresh = matches!(self.view, View::Bar(_)) && self.due(REFRESH);
                if let (View::Bar(bar), true) = (&self.view, refresh) {
                    bar.set_length(steps * u64::from(epochs));
                    bar.set_position(steps * u64::from(epoch.saturating_sub(1)) + step);
                    bar.set_message(format!(
                        "epoch {epoch}/{epochs}  loss {}{}  {}",
                        words::number(loss),
                        self.validation,
                        self.pace_in_words()
                    ));
                }
            }
            Event::Epoch { epoch, epochs, train_loss, validation, monitored, best, data, .. } => {
                self.validation = validation_in_words(validation, monitored, best);
                self.waiting = if data.waits() {
                    format!("  {:.0} % waiting for data", 100.0 * data.waiting())
                } else {
                    String::new()
                };
                let last = self.last_stage && epoch == epochs;
                if matches!(self.view, View::Lines) && (self.due(LINE_INTERVAL) || last) {
                    say(&format!(
                        "{}epoch {epoch}/{epochs}  loss {}{}  {}",
                        self.stage,
                        words::number(train_loss),
                        self.validation,
                        self.pace_in_words()
                    ));
                }
            }
            Event::Profile(_) => {}
            Event::Finding(finding) => self.tell(&self.style.yellow(&words::printable(&found(finding)))),
            Event::Note(note) => self.tell(&words::printable(note)),
        }
    }

    fn pace_in_words(&self) -> String {
        let (samples, left) = self.pace;
        let samples = if samples.is_finite() { words::count(samples.max(0.0).round() as u64) } else { "?".to_string() };
        // At the end of a stage nothing is left to tell.
        let left = if left > 0.0 { format!("  {} left", words::duration(left)) } else { String::new() };
        format!("{samples} samples/s{}{left}", self.waiting)
    }
}

impl Observer for Progress<'_> {
    fn event(&mut self, event: &Event<'_>) -> Flow {
        if let Event::Profile(profile) = event {
            self.profile.get_or_insert_default().append((*profile).clone());
        } else if !matches!(self.view, View::Nothing) {
            self.show(event);
        }
        if !self.interrupt.requested() {
            return Flow::Continue;
        }
        if !self.stop_told {
            self.stop_told = true;
            if !self.quiet {
                self.tell(&self.style.yellow("stopping: the checkpoint is being written; once more ends at once"));
            }
        }
        Flow::Stop
    }
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix:.dim}{bar:24} {percent:>3}%  {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(1).with_style(style.progress_chars("━╸─"))
}

/// The metric that decides, and the one that people know.
fn validation_in_words(scores: Option<&Scores>, monitored: Option<(&str, f64)>, best: bool) -> String {
    let known = scores.and_then(|s| ["accuracy", "r2"].into_iter().find_map(|name| Some((name, s.get(name)?))));
    let mut text = String::new();
    for (name, value) in monitored.into_iter().chain(known.filter(|k| monitored.is_none_or(|m| m.0 != k.0))) {
        text.push_str(&format!("  {name} {}", words::number(value)));
    }
    if best {
        text.push_str(" (best)");
    }
    text
}
