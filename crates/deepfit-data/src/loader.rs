//! Batches prepared in the background while the one before them is in use.
//!
//! The order of the rows is a function of (seed, epoch), a sample's augmentation one of (seed, epoch,
//! row); so the batches do not depend on the number of threads, and a loader can start at any epoch
//! and step. A fixed number of buffers circulates between the workers and the caller: memory is
//! constant, and a worker that runs ahead waits.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::batch::{Batch, Failure};
use crate::clock;
use crate::error::{Error, Result};
use crate::image::augment::Augment;
use crate::rng::{Purpose, Rng};
use crate::source::{Pass, Source};

/// Batches whose rows are sorted by length among each other.
const SORTED: usize = 50;

/// How a [`Loader`] walks over its rows.
#[derive(Clone, Debug)]
pub struct LoaderOptions {
    /// Rows of a batch, 1 or more.
    pub batch_size: usize,
    /// Background threads; with 0 each batch is prepared when it is asked for.
    pub workers: usize,
    /// Batches that may wait ready, 1 or more (unused without workers).
    pub queue: usize,
    /// Whether each epoch has its own order.
    pub shuffle: bool,
    /// Whether a last, smaller batch is left out (never the only one).
    pub drop_last: bool,
    /// Seed of order and augmentation.
    pub seed: u64,
    /// How samples are augmented; `None` gives them as they are.
    pub augment: Option<Augment>,
    /// Epoch to begin with.
    pub first_epoch: u32,
    /// Step of that epoch to begin with; may be `steps_per_epoch`, which is the next epoch's first.
    pub first_step: u64,
    /// Epoch to end before.
    pub end_epoch: u32,
}

impl LoaderOptions {
    /// Background threads that suit a source where `threads` compute: none where data is held in memory as numbers, since
    /// it is prepared faster than a batch is handed from thread to thread.
    pub fn workers(source: &dyn Source, threads: usize) -> usize {
        if source.scratch_bytes() == 0 { 0 } else { threads.clamp(1, 4) }
    }

    /// One pass over the rows, unchanged: in their order, or sequences by their length.
    pub fn evaluate(batch_size: usize, workers: usize) -> LoaderOptions {
        LoaderOptions {
            batch_size,
            workers,
            queue: workers.max(1),
            shuffle: false,
            drop_last: false,
            seed: 0,
            augment: None,
            first_epoch: 0,
            first_step: 0,
            end_epoch: 1,
        }
    }

    /// `epochs` shuffled and augmented passes.
    pub fn train(batch_size: usize, workers: usize, seed: u64, augment: Augment, epochs: u32) -> LoaderOptions {
        LoaderOptions {
            shuffle: true,
            seed,
            augment: Some(augment),
            end_epoch: epochs,
            ..LoaderOptions::evaluate(batch_size, workers)
        }
    }

    fn steps(&self, rows: usize) -> u64 {
        let full = rows / self.batch_size;
        if self.drop_last && full > 0 { full as u64 } else { rows.div_ceil(self.batch_size) as u64 }
    }

    fn buffers(&self) -> usize {
        if self.workers == 0 { 1 } else { self.queue + self.workers + 1 }
    }
}

/// The plan all threads follow.
struct Course {
    source: Arc<dyn Source>,
    rows: Vec<u32>,
    options: LoaderOptions,
    steps: u64,
    /// Number of the last batch plus one; batches are numbered from epoch 0, step 0.
    end: u64,
}

impl Course {
    fn order(&self, epoch: u32) -> Vec<u32> {
        let mut order = self.rows.clone();
        let mut rng = Rng::new(self.options.seed, Purpose::Order, epoch, 0);
        if self.options.shuffle {
            rng.shuffle(&mut order);
        }
        let length = |&row: &u32| std::cmp::Reverse(self.source.length_of(row));
        if self.source.longest() == 1 {
            return order;
        }
        if !self.options.shuffle {
            // The longest come first, so that what lacks memory fails at once.
            order.sort_by_key(length);
            return order;
        }
        // Rows of similar lengths make a batch, so that little is filled up; which ones meet is still a matter of chance,
        // as are the order of batches and the rows of the last, smaller one.
        let batch = self.options.batch_size;
        let (full, rest) = order.split_at(order.len() / batch * batch);
        let mut full = full.to_vec();
        full.chunks_mut(batch * SORTED).for_each(|rows| rows.sort_by_key(length));
        let mut batches: Vec<&[u32]> = full.chunks(batch).collect();
        rng.shuffle(&mut batches);
        batches.into_iter().flatten().chain(rest).copied().collect()
    }

    fn prepare(&self, number: u64, order: &[u32], batch: &mut Batch) -> Result<()> {
        let (epoch, step) = ((number / self.steps) as u32, number % self.steps);
        let begin = step as usize * self.options.batch_size;
        let rows = &order[begin..order.len().min(begin + self.options.batch_size)];
        let pass = match &self.options.augment {
            Some(augment) => Pass::Train { seed: self.options.seed, epoch, augment },
            None => Pass::Evaluate,
        };
        self.source.fill(rows, pass, batch)
    }
}

#[derive(Default)]
struct State {
    /// Next batch a worker will take up.
    next: u64,
    /// Next batch the caller will get.
    wanted: u64,
    ready: BTreeMap<u64, Result<Batch>>,
    free: Vec<Batch>,
    /// Row orders of the epochs being prepared.
    orders: Vec<(u32, Arc<Vec<u32>>)>,
    /// Time that processors worked on batches.
    worked: Duration,
    stop: bool,
    /// A worker panicked; the batch it had taken up will never arrive.
    broken: bool,
}

struct Shared {
    course: Course,
    state: Mutex<State>,
    /// A buffer became free, or the loader ends.
    room: Condvar,
    /// A batch became ready, or a worker panicked.
    arrival: Condvar,
}

impl Shared {
    /// A poisoned lock only says that some worker panicked, which `broken` reports to the caller.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn order(&self, state: &mut State, epoch: u32) -> Arc<Vec<u32>> {
        if let Some((_, order)) = state.orders.iter().find(|(e, _)| *e == epoch) {
            return order.clone();
        }
        let order = Arc::new(self.course.order(epoch));
        // Batches are taken up in order, so nobody asks for an older epoch again.
        state.orders.clear();
        state.orders.push((epoch, order.clone()));
        order
    }

    fn work(&self) {
        loop {
            let mut state = self.lock();
            let (number, order, mut batch) = loop {
                if state.stop || state.next >= self.course.end {
                    return;
                }
                // The buffer is taken before the number: whoever holds the lowest number has a buffer,
                // so the caller's next batch always arrives.
                if let Some(batch) = state.free.pop() {
                    let number = state.next;
                    state.next += 1;
                    let order = self.order(&mut state, (number / self.course.steps) as u32);
                    break (number, order, batch);
                }
                state = self.room.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
            };
            drop(state);
            let begun = clock::thread_time();
            let result = self.course.prepare(number, &order, &mut batch).map(|()| batch);
            let worked = clock::thread_time().saturating_sub(begun);
            let mut state = self.lock();
            state.worked += worked;
            state.ready.insert(number, result);
            drop(state);
            self.arrival.notify_all();
        }
    }
}

/// Tells the caller when a worker panics, so that nobody waits for its batch.
struct Watch<'a>(&'a Shared);

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lock().broken = true;
            self.0.arrival.notify_all();
        }
    }
}

/// Gives batches in a fixed order, prepared ahead by background threads.
pub struct Loader {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    failures: BTreeMap<u32, Failure>,
    waited: Duration,
}

/// What a [`Loader`] has cost so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LoaderTimes {
    /// Time that the caller spent in [`Loader::next`]: waiting for batches or, without workers, preparing them.
    pub waited: Duration,
    /// Time that processors worked on batches, of all workers together.
    pub worked: Duration,
}

/// A batch on loan; its buffers go back to the loader when it is dropped.
pub struct LoadedBatch {
    batch: Batch,
    /// Epoch, counted from 0.
    pub epoch: u32,
    /// Step within the epoch, counted from 0.
    pub step: u64,
    shared: Arc<Shared>,
}

impl Deref for LoadedBatch {
    type Target = Batch;
    fn deref(&self) -> &Batch {
        &self.batch
    }
}

impl Drop for LoadedBatch {
    fn drop(&mut self) {
        self.shared.lock().free.push(std::mem::take(&mut self.batch));
        self.shared.room.notify_one();
    }
}

impl Loader {
    /// A loader over `rows` of `source`, starting its workers at once.
    ///
    /// # Errors
    /// If there are no rows, a row is outside the source, or a setting is out of range.
    pub fn new(source: Arc<dyn Source>, rows: Vec<u32>, options: LoaderOptions) -> Result<Loader> {
        let setting = |setting, problem: &str| Err(Error::Setting { setting, problem: problem.to_string() });
        if options.batch_size == 0 {
            return setting("batch", "must be 1 or more");
        }
        if options.workers > 0 && options.queue == 0 {
            return setting("queue", "must be 1 or more");
        }
        if rows.is_empty() {
            return Err(Error::Split { problem: "a loader was given no rows".into() });
        }
        if let Some(row) = rows.iter().find(|&&row| row as usize >= source.len()) {
            return Err(Error::Split {
                problem: format!("row {row} is outside the {} rows of the data", source.len()),
            });
        }
        let steps = options.steps(rows.len());
        if options.first_step > steps {
            return setting("first_step", &format!("{} is beyond the {steps} steps of an epoch", options.first_step));
        }
        let start = u64::from(options.first_epoch) * steps + options.first_step;
        let end = u64::from(options.end_epoch) * steps;
        let workers = options.workers;
        let largest = options.batch_size.min(rows.len());
        let buffer = |_| {
            let mut batch = Batch::new();
            batch.occupy(source.slots(), (source.target_dtype(), source.target_width()), largest);
            batch
        };
        let free = (0..options.buffers()).map(buffer).collect();
        let shared = Arc::new(Shared {
            course: Course { source, rows, options, steps, end },
            state: Mutex::new(State { next: start, wanted: start, free, ..State::default() }),
            room: Condvar::new(),
            arrival: Condvar::new(),
        });
        let mut loader =
            Loader { shared: shared.clone(), workers: Vec::new(), failures: BTreeMap::new(), waited: Duration::ZERO };
        for number in 0..workers {
            let shared = shared.clone();
            let spawned = std::thread::Builder::new().name(format!("deepfit-data-{number}")).spawn(move || {
                let _watch = Watch(&shared);
                shared.work();
            });
            match spawned {
                Ok(handle) => loader.workers.push(handle),
                Err(source) => return Err(Error::Thread { source }),
            }
        }
        Ok(loader)
    }

    /// Batches of one epoch.
    pub fn steps_per_epoch(&self) -> u64 {
        self.shared.course.steps
    }

    /// Batches left until the last epoch ends.
    pub fn remaining(&self) -> u64 {
        self.shared.course.end.saturating_sub(self.shared.lock().wanted)
    }

    /// Rows that could not be read so far, by row; those of batches that [`next`](Self::next) passed over included.
    pub fn failures(&self) -> impl Iterator<Item = &Failure> {
        self.failures.values()
    }

    /// What the batches so far have cost.
    pub fn times(&self) -> LoaderTimes {
        LoaderTimes { waited: self.waited, worked: self.shared.lock().worked }
    }

    /// The next batch, or `None` after the last. Batches of which no row could be read are passed over;
    /// [`failures`](Self::failures) names their rows.
    ///
    /// With workers, at most `queue` batches may be on loan at a time beside this one.
    ///
    /// # Errors
    /// When the source cannot prepare the batch.
    #[allow(clippy::should_implement_trait)] // It can fail, and the name is the one readers look for.
    pub fn next(&mut self) -> Result<Option<LoadedBatch>> {
        loop {
            let begun = Instant::now();
            let taken = self.take();
            self.waited += begun.elapsed();
            let Some((number, batch)) = taken? else { return Ok(None) };
            for failure in &batch.failures {
                self.failures.entry(failure.row).or_insert_with(|| failure.clone());
            }
            let steps = self.shared.course.steps;
            let loaded = LoadedBatch {
                batch,
                epoch: (number / steps) as u32,
                step: number % steps,
                shared: self.shared.clone(),
            };
            if loaded.len > 0 {
                return Ok(Some(loaded));
            }
        }
    }

    fn take(&mut self) -> Result<Option<(u64, Batch)>> {
        let shared = &self.shared;
        let mut state = shared.lock();
        let number = state.wanted;
        if number >= shared.course.end {
            return Ok(None);
        }
        state.wanted += 1;
        if shared.course.options.workers == 0 {
            let order = shared.order(&mut state, (number / shared.course.steps) as u32);
            let mut batch = state.free.pop().unwrap_or_default();
            drop(state);
            let begun = clock::thread_time();
            let prepared = shared.course.prepare(number, &order, &mut batch);
            shared.lock().worked += clock::thread_time().saturating_sub(begun);
            return prepared.map(|()| Some((number, batch)));
        }
        loop {
            if let Some(result) = state.ready.remove(&number) {
                return result.map(|batch| Some((number, batch)));
            }
            if state.broken {
                return Err(Error::WorkerEnded);
            }
            state = shared.arrival.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
    }

    /// Bytes a loader over `rows` rows holds beside its source: batches in circulation, what its
    /// threads need to fill them, and the orders of two epochs.
    pub fn planned_bytes(source: &dyn Source, rows: usize, options: &LoaderOptions) -> usize {
        /// Stack a worker touches, measured as about 40 KiB.
        const STACK: usize = 64 << 10;
        let batches = options.buffers() * source.batch_bytes(options.batch_size.min(rows));
        let threads = options.workers.max(1) * source.scratch_bytes() + options.workers * STACK;
        batches + threads + 3 * 4 * rows
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.room.notify_all();
        for worker in self.workers.drain(..) {
            // A worker's panic has already reached the caller as an error.
            let _ = worker.join();
        }
    }
}
