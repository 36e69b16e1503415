//! The time that a comparison may take.

use std::time::Instant;

use super::{CompareEvent, CompareObserver};
use crate::event::{Event, Flow, Observer};
use crate::process::cpu_seconds;

/// Watts of a processor's core at work, by which energy is estimated where nothing measures it: between the 5 of a laptop's
/// and the 15 of a server's.
const WATTS: f64 = 10.0;

/// The limit, and what of it has passed.
pub(super) struct Clock {
    begun: Instant,
    budget: f64,
}

impl Clock {
    pub(super) fn new(begun: Instant, budget: f64) -> Clock {
        Clock { begun, budget }
    }

    /// Seconds since the beginning.
    pub(super) fn passed(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }

    /// Seconds until the end; negative behind it.
    pub(super) fn left(&self) -> f64 {
        self.budget - self.passed()
    }
}

/// Passes events of a training on, and stops it when the time is used up.
pub(super) struct Watch<'a> {
    inner: &'a mut dyn CompareObserver,
    clock: &'a Clock,
    asked: bool,
}

impl<'a> Watch<'a> {
    pub(super) fn new(inner: &'a mut dyn CompareObserver, clock: &'a Clock) -> Watch<'a> {
        Watch { inner, clock, asked: false }
    }

    /// Whether it was the observer who asked to stop.
    pub(super) fn asked(&self) -> bool {
        self.asked
    }
}

impl Observer for Watch<'_> {
    fn event(&mut self, event: &Event<'_>) -> Flow {
        if self.inner.event(&CompareEvent::Training(event)) == Flow::Stop {
            self.asked = true;
            return Flow::Stop;
        }
        if self.clock.left() < 0.0 { Flow::Stop } else { Flow::Continue }
    }
}

/// A duration as `--time` takes it.
pub(super) fn asked(seconds: f64) -> String {
    if seconds < 90.0 { format!("{}s", seconds.ceil().max(1.0)) } else { format!("{}m", (seconds / 60.0).ceil()) }
}

/// What a way costs beside time.
pub(super) struct Cost {
    begun: Instant,
    processors: f64,
}

impl Cost {
    pub(super) fn begin() -> Cost {
        crate::process::reset_peak();
        Cost { begun: Instant::now(), processors: cpu_seconds() }
    }

    /// Seconds so far.
    pub(super) fn seconds(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }

    /// Joules so far, estimated.
    pub(super) fn joules(&self) -> f64 {
        (cpu_seconds() - self.processors) * WATTS
    }
}

/// How energy is estimated, in words.
pub(super) fn energy_in_words() -> String {
    format!("estimated: seconds that processors worked, times {WATTS} watts a core; nothing was measured")
}
