//! A pool of threads that share the tasks of one kernel call.
//!
//! The calling thread takes part, so a pool of `n` threads starts `n - 1` workers. Tasks are handed out by an
//! atomic counter; which thread runs a task must not change the result, so kernels cut their *output* into
//! tasks by shape alone. Idle workers spin for some tens of microseconds, then sleep; when there are more
//! threads than cores they sleep at once, because spinning would take the core from a thread with work.

use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, Thread};

/// What a run calls: task index, then worker index.
type Task<'a> = dyn Fn(usize, usize) + Sync + 'a;

/// How many times an idle worker looks for work before it sleeps (each look takes some 20 to 40 ns).
const SPINS: u32 = 3000;

thread_local! {
    /// The worker index of this thread while it runs a task, `usize::MAX` otherwise.
    static RUNNING_AS: Cell<usize> = const { Cell::new(usize::MAX) };
}

#[derive(Clone, Copy)]
struct Job {
    task: *const Task<'static>,
    tasks: usize,
}

/// What the caller and the workers share.
struct Shared {
    /// Odd while a job is open; a new odd value for each job.
    state: AtomicU64,
    job: UnsafeCell<Job>,
    /// The next task to hand out.
    next: AtomicUsize,
    /// Workers that may be looking at the job.
    inside: AtomicUsize,
    stop: AtomicBool,
    /// Workers that have begun to look for work.
    started: AtomicUsize,
    spin: bool,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    /// For each worker, whether it sleeps or is about to.
    asleep: Vec<AtomicBool>,
}

// SAFETY: `job` is written only by the thread that holds the run lock while no job is open and no worker is
// `inside`, and read only by workers that are `inside` and have seen the job open.
unsafe impl Sync for Shared {}
// SAFETY: as above; the task pointer is used only while `run`, which borrows the closure, has not returned.
unsafe impl Send for Shared {}

/// A fixed set of threads for data-parallel loops.
pub struct ThreadPool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    handles: Vec<Thread>,
    /// Held by the thread whose tasks are running.
    run_lock: Mutex<()>,
}

impl ThreadPool {
    /// Starts `threads - 1` workers (`threads` of 0 counts as 1) and waits until all have started. More threads than
    /// cores are allowed.
    pub fn new(threads: usize) -> ThreadPool {
        let workers = threads.max(1) - 1;
        let cores = thread::available_parallelism().map_or(1, |n| n.get());
        let nothing: &Task<'static> = &|_, _| {};
        let shared = Arc::new(Shared {
            state: AtomicU64::new(0),
            job: UnsafeCell::new(Job { task: nothing, tasks: 0 }),
            next: AtomicUsize::new(0),
            inside: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            started: AtomicUsize::new(0),
            spin: workers < cores,
            panic: Mutex::new(None),
            asleep: (0..workers).map(|_| AtomicBool::new(false)).collect(),
        });
        // A machine that refuses a thread gets a smaller pool: results do not depend on the number.
        let started: Vec<JoinHandle<()>> = (0..workers)
            .map_while(|w| {
                let shared = Arc::clone(&shared);
                thread::Builder::new().name(format!("deepfit-{}", w + 1)).spawn(move || work(&shared, w)).ok()
            })
            .collect();
        let handles = started.iter().map(|w| w.thread().clone()).collect();
        // A thread allocates while it starts. On a busy machine one may start seconds late: in the middle of a run,
        // which is to allocate nothing.
        while shared.started.load(SeqCst) < started.len() {
            thread::yield_now();
        }
        ThreadPool { shared, workers: started, handles, run_lock: Mutex::new(()) }
    }

    /// The number of threads that share a run, the caller among them. Worker indices are below it.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `task(i, worker)` once for each `i` in `0..tasks` and returns when all calls have. Calls that run at
    /// the same time have different `worker`, in `0..threads()`. Nothing is allocated.
    ///
    /// With one task or one thread, and inside a task of any pool, all runs on the calling thread. If a task panics,
    /// the tasks not yet begun are skipped and the panic goes on in the caller; the pool stays usable.
    pub fn run(&self, tasks: usize, task: &Task<'_>) {
        let nested = RUNNING_AS.get();
        if nested != usize::MAX || tasks <= 1 || self.workers.is_empty() {
            let worker = if nested == usize::MAX || nested >= self.threads() { 0 } else { nested };
            for i in 0..tasks {
                task(i, worker);
            }
            return;
        }
        let guard = lock(&self.run_lock);
        let shared = &*self.shared;
        // SAFETY: only the lifetime changes; the pointer is not used after this function returns (see below).
        let task: *const Task<'static> = unsafe { std::mem::transmute(task as *const Task<'_>) };
        let job = Job { task, tasks };
        // SAFETY: this thread holds the run lock, no job is open and no worker is inside: nobody else looks at it.
        unsafe { *shared.job.get() = job };
        shared.next.store(0, SeqCst);
        shared.state.fetch_add(1, SeqCst);
        for (asleep, handle) in shared.asleep.iter().zip(&self.handles).take(tasks - 1) {
            if asleep.swap(false, SeqCst) {
                handle.unpark();
            }
        }
        take_part(shared, job, 0);
        // Close the job; from here on no worker can enter, and those inside are waited for.
        shared.state.fetch_add(1, SeqCst);
        let mut looks = 0u32;
        while shared.inside.load(SeqCst) != 0 {
            looks += 1;
            if shared.spin && looks < SPINS { std::hint::spin_loop() } else { thread::yield_now() }
        }
        let panic = lock(&shared.panic).take();
        drop(guard);
        if let Some(payload) = panic {
            resume_unwind(payload);
        }
    }

    /// Cuts `data` into chunks of `chunk_len` (the last may be shorter) and calls `f(i, chunk)` for each.
    pub fn for_each_chunk<T: Send>(&self, data: &mut [T], chunk_len: usize, f: impl Fn(usize, &mut [T]) + Sync) {
        let chunk_len = chunk_len.max(1);
        let len = data.len();
        let base = SharedMut::new(data);
        self.run(len.div_ceil(chunk_len), &|i, _| {
            let start = i * chunk_len;
            // SAFETY: the ranges of different tasks are disjoint.
            f(i, unsafe { base.slice(start, chunk_len.min(len - start)) });
        });
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        self.shared.stop.store(true, SeqCst);
        for handle in &self.handles {
            handle.unpark();
        }
        for worker in self.workers.drain(..) {
            // A worker catches the panics of its tasks, so there is nothing to pass on.
            let _ = worker.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs tasks of the job until none is left.
fn take_part(shared: &Shared, job: Job, worker: usize) {
    RUNNING_AS.set(worker);
    let result = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: the caller of `run` waits until nobody takes part any more, so the closure is alive.
        let task = unsafe { &*job.task };
        loop {
            let i = shared.next.fetch_add(1, SeqCst);
            if i >= job.tasks {
                break;
            }
            task(i, worker);
        }
    }));
    RUNNING_AS.set(usize::MAX);
    if let Err(payload) = result {
        // Large enough that nobody begins another task, small enough that counting on cannot wrap.
        shared.next.store(usize::MAX / 2, SeqCst);
        lock(&shared.panic).get_or_insert(payload);
    }
}

/// The life of one worker.
fn work(shared: &Shared, index: usize) {
    shared.started.fetch_add(1, SeqCst);
    let mut seen = 0;
    let mut looks = 0u32;
    while !shared.stop.load(SeqCst) {
        let state = shared.state.load(SeqCst);
        if state % 2 == 1 && state != seen {
            // Announce first, then look again: either the caller sees the announcement and waits, or this thread sees
            // that the job is closed.
            shared.inside.fetch_add(1, SeqCst);
            if shared.state.load(SeqCst) == state {
                // SAFETY: the job is open and this thread is announced, so the job is not being written.
                let job = unsafe { *shared.job.get() };
                take_part(shared, job, index + 1);
            }
            shared.inside.fetch_sub(1, SeqCst);
            seen = state;
            looks = 0;
            continue;
        }
        looks += 1;
        if shared.spin && looks < SPINS {
            std::hint::spin_loop();
            continue;
        }
        looks = 0;
        // Announce the sleep, then look once more: a job opened before the announcement is seen here, and one
        // opened after it wakes this thread.
        shared.asleep[index].store(true, SeqCst);
        let now = shared.state.load(SeqCst);
        if (now % 2 == 1 && now != seen) || shared.stop.load(SeqCst) {
            shared.asleep[index].store(false, SeqCst);
            continue;
        }
        thread::park();
        shared.asleep[index].store(false, SeqCst);
    }
}

/// A mutable slice that several tasks write at once, each its own part.
#[derive(Clone, Copy)]
pub struct SharedMut<'a, T> {
    start: *mut T,
    len: usize,
    slice: PhantomData<&'a mut [T]>,
}

// SAFETY: the parts are handed out by unsafe methods whose callers promise that no two overlap.
unsafe impl<T: Send> Sync for SharedMut<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for SharedMut<'_, T> {}

impl<'a, T> SharedMut<'a, T> {
    /// Borrows `data` until the last copy is gone.
    pub fn new(data: &'a mut [T]) -> Self {
        SharedMut { start: data.as_mut_ptr(), len: data.len(), slice: PhantomData }
    }

    /// Elements in the whole slice.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the slice has no elements.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The part `start..start + len`.
    ///
    /// # Panics
    /// If the part does not lie inside of the slice.
    ///
    /// # Safety
    /// No other part in use at the same time, in any thread, may overlap this one.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn slice(&self, start: usize, len: usize) -> &'a mut [T] {
        assert!(start <= self.len && len <= self.len - start, "part {start}+{len} of a slice of {}", self.len);
        // SAFETY: inside of the slice, and the caller promises that nobody else uses this part.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), len) }
    }

    /// The first element. Writing through it is bound by the same rule as [`slice`](SharedMut::slice).
    pub fn as_mut_ptr(&self) -> *mut T {
        self.start
    }
}
