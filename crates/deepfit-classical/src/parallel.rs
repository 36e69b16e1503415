//! Tasks on several threads, with results in the order of the tasks.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Calls `task` for each number below `count` and gives the results in order, whatever thread made them.
pub(crate) fn map<T: Send>(threads: usize, count: usize, task: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let threads = threads.clamp(1, count.max(1));
    if threads == 1 {
        return (0..count).map(task).collect();
    }
    let next = AtomicUsize::new(0);
    let made: Mutex<Vec<(usize, T)>> = Mutex::new(Vec::with_capacity(count));
    let work = || {
        let mut own = Vec::new();
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            if i >= count {
                break;
            }
            own.push((i, task(i)));
        }
        made.lock().unwrap_or_else(PoisonError::into_inner).extend(own);
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            // A machine that refuses a thread has fewer: results do not depend on the number.
            let _ = std::thread::Builder::new().spawn_scoped(scope, work);
        }
        work();
    });
    let mut made = made.into_inner().unwrap_or_else(PoisonError::into_inner);
    made.sort_by_key(|(i, _)| *i);
    made.into_iter().map(|(_, value)| value).collect()
}

/// Cuts `rows` into pieces of at most `size`.
pub(crate) fn pieces(rows: usize, size: usize) -> Vec<std::ops::Range<usize>> {
    (0..rows.div_ceil(size)).map(|i| i * size..((i + 1) * size).min(rows)).collect()
}
