//! Running a program allocates nothing, on any thread.
//!
//! The count is of the whole process, and the usual test harness has a thread of its own that allocates while tests run; so
//! this test is a program by itself.

use std::alloc::{GlobalAlloc, Layout, System};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use deepfit_graph::Extents;

#[allow(dead_code, reason = "the other test program uses all of it")]
#[path = "suite/small_network.rs"]
mod small_network;

use small_network::{Rows, evaluating, training_engine};

/// The system's allocator, counting.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is handed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise about the layout is handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, start: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: `start` came from this allocator, which is the system's.
        unsafe { System.realloc(start, layout, size) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(start, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Large enough that kernels share their work among seven threads.
const BATCH: usize = 200;

/// The name under which this test can be chosen, as with the usual harness.
const NAME: &str = "running_allocates_nothing";

fn main() -> ExitCode {
    let chosen: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    if std::env::args().any(|argument| argument == "--list") {
        println!("{NAME}: test");
        return ExitCode::SUCCESS;
    }
    if !chosen.is_empty() && !chosen.iter().any(|name| NAME.contains(&name[..])) {
        return ExitCode::SUCCESS;
    }
    // A failed assertion ends the process with its message.
    running_allocates_nothing();
    println!("test {NAME} ... ok");
    ExitCode::SUCCESS
}

fn running_allocates_nothing() {
    let before = ALLOCATIONS.load(Ordering::SeqCst);
    drop(std::hint::black_box(Box::new(1)));
    assert!(ALLOCATIONS.load(Ordering::SeqCst) > before, "the counter counts nothing");

    for threads in [1, 2, 7] {
        let (mut engine, train) = training_engine(threads, BATCH);
        let using = engine.compile(&evaluating(), Extents::batch(BATCH)).unwrap();
        let (full, part) = (Rows::new(0, BATCH), Rows::new(3, 8));
        let keys = [[7, 0, 0, 0], [7, 0, 1, 0]];
        let (first, second) = (full.views(&keys[0], &[0.01, 1.0]), full.views(&keys[1], &[0.01, 2.0]));
        let (smaller, evaluated) = (part.views(&keys[1], &[0.01, 3.0]), part.views(&keys[1], &[0.0, 0.0]));
        let mut counts = Vec::new();
        for _ in 0..2 {
            let before = ALLOCATIONS.load(Ordering::SeqCst);
            engine.run(train, Extents::batch(BATCH), &first).unwrap();
            engine.run(train, Extents::batch(BATCH), &second).unwrap();
            engine.run(train, Extents::batch(5), &smaller).unwrap();
            engine.run(using, Extents::batch(5), &evaluated).unwrap();
            let loss = engine.output(using, "logits").unwrap()[0];
            counts.push(ALLOCATIONS.load(Ordering::SeqCst) - before);
            assert!(loss.is_finite());
        }
        assert_eq!(counts[1], 0, "{threads} threads: {counts:?}");
    }
}
