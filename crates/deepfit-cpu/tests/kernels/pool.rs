use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::SeqCst};

use deepfit_cpu::pool::ThreadPool;

#[test]
fn every_task_runs_exactly_once_in_each_of_many_runs() {
    for threads in [1, 2, 3, 7] {
        let pool = ThreadPool::new(threads);
        for round in 0..300 {
            let tasks = round % 23;
            let counts: Vec<AtomicU32> = (0..tasks).map(|_| AtomicU32::new(0)).collect();
            pool.run(tasks, &|i, worker| {
                assert!(worker < threads);
                counts[i].fetch_add(1, SeqCst);
            });
            assert!(counts.iter().all(|c| c.load(SeqCst) == 1));
        }
    }
}

#[test]
fn workers_at_work_at_once_have_different_indices() {
    let pool = ThreadPool::new(4);
    let busy: Vec<AtomicUsize> = (0..4).map(|_| AtomicUsize::new(0)).collect();
    pool.run(200, &|_, worker| {
        assert_eq!(busy[worker].fetch_add(1, SeqCst), 0);
        std::thread::yield_now();
        busy[worker].fetch_sub(1, SeqCst);
    });
}

#[test]
fn a_panic_reaches_the_caller_and_the_pool_lives_on() {
    for threads in [1, 2, 7] {
        let pool = ThreadPool::new(threads);
        for _ in 0..20 {
            let result = catch_unwind(AssertUnwindSafe(|| {
                pool.run(50, &|i, _| {
                    if i == 13 {
                        std::panic::panic_any("thirteen");
                    }
                })
            }));
            assert_eq!(*result.unwrap_err().downcast::<&str>().unwrap(), "thirteen");
            let sum = AtomicUsize::new(0);
            pool.run(10, &|i, _| {
                sum.fetch_add(i, SeqCst);
            });
            assert_eq!(sum.into_inner(), 45);
        }
    }
}

#[test]
fn a_run_inside_a_task_runs_inline() {
    let pool = ThreadPool::new(3);
    let sum = AtomicUsize::new(0);
    pool.run(8, &|_, outer| {
        pool.run(5, &|i, inner| {
            assert_eq!(inner, outer);
            sum.fetch_add(i, SeqCst);
        });
    });
    assert_eq!(sum.into_inner(), 80);
}

#[test]
fn callers_on_different_threads_take_turns() {
    let pool = ThreadPool::new(2);
    let sum = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..100 {
                    pool.run(6, &|i, _| {
                        sum.fetch_add(i, SeqCst);
                    });
                }
            });
        }
    });
    assert_eq!(sum.into_inner(), 4 * 100 * 15);
}

#[test]
fn chunks_cover_the_slice() {
    let pool = ThreadPool::new(3);
    let mut data = vec![0usize; 103];
    pool.for_each_chunk(&mut data, 10, |i, chunk| {
        assert_eq!(chunk.len(), if i == 10 { 3 } else { 10 });
        chunk.fill(i + 1);
    });
    assert!(data.iter().enumerate().all(|(i, &v)| v == i / 10 + 1));
}
