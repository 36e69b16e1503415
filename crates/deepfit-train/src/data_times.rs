//! What the preparation of data costs training: time that it waits, and work of processors beside it.

use std::time::Duration;

use deepfit_data::LoaderTimes;
use serde::{Deserialize, Serialize};

/// Where more of the time is spent waiting, and more seconds than this, whoever trains should know.
const MUCH: f64 = 0.03;
const MUCH_SECONDS: f64 = 0.1;

/// Times of training steps and of the data for them, seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct DataTimes {
    /// From the first step to the last, without validation.
    pub training: f64,
    /// How much of it was spent waiting for batches or, where no thread of their own prepares them, preparing them.
    pub waited: f64,
    /// How long processors worked to prepare batches.
    pub worked: f64,
}

impl DataTimes {
    /// What a loader did in so much time.
    pub(crate) fn between(before: LoaderTimes, after: LoaderTimes, training: Duration) -> DataTimes {
        DataTimes {
            training: training.as_secs_f64(),
            waited: after.waited.saturating_sub(before.waited).as_secs_f64(),
            worked: after.worked.saturating_sub(before.worked).as_secs_f64(),
        }
    }

    pub(crate) fn add(&mut self, more: DataTimes) {
        self.training += more.training;
        self.waited += more.waited;
        self.worked += more.worked;
    }

    /// The share of the time that training waits for data, 0 to 1.
    pub fn waiting(&self) -> f64 {
        if self.training > 0.0 { (self.waited / self.training).min(1.0) } else { 0.0 }
    }

    /// How many processors the preparation of data keeps busy.
    pub fn cores(&self) -> f64 {
        if self.training > 0.0 { self.worked / self.training } else { 0.0 }
    }

    /// Whether training waits for so long that it matters.
    pub fn waits(&self) -> bool {
        self.waiting() >= MUCH && self.waited >= MUCH_SECONDS
    }

    /// What helps where training waits for its data, by what that is: `image`, `table` or `text`.
    pub fn advice(&self, input: &str) -> Option<&'static str> {
        self.waits().then_some(match input {
            "image" => {
                "training waited for its data: give more threads (--threads N); images are best stored at the size that is \
                 trained on"
            }
            // Rows that lie in memory are prepared between the steps, by the thread that makes these.
            _ => {
                "training waited for its data: its rows are prepared between short steps, which no thread makes faster; \
                 larger batches (batch=N) need fewer of them"
            }
        })
    }

    /// Both in words: `0.2 % of it waiting for data, which 0.14 cores prepare`.
    pub fn in_words(&self) -> String {
        let (share, cores) = (100.0 * self.waiting(), self.cores());
        let plural = if format!("{cores:.2}") == "1.00" { "core prepares" } else { "cores prepare" };
        format!("{share:.1} % of it waiting for data, which {cores:.2} {plural}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_the_time_of_training() {
        let mut times = DataTimes { training: 8.0, waited: 0.1, worked: 4.0 };
        assert_eq!((times.waiting(), times.cores(), times.waits()), (0.0125, 0.5, false));
        times.add(DataTimes { training: 2.0, waited: 1.9, worked: 6.0 });
        assert!((times.waiting() - 0.2).abs() < 1e-12 && times.waits());
        assert_eq!(times.in_words(), "20.0 % of it waiting for data, which 1.00 core prepares");
        let advice = |input: &str| times.advice(input).unwrap();
        assert!(advice("image").contains("images are best stored") && advice("image").contains("threads"));
        for input in ["table", "text"] {
            assert!(!advice(input).contains("images") && advice(input).contains("batch=N"), "{}", advice(input));
        }
        assert_eq!(DataTimes::default().advice("image"), None);
        assert_eq!((DataTimes::default().waiting(), DataTimes::default().cores()), (0.0, 0.0));
    }
}
