//! Loaders: the same batches whatever the threads, resumed anywhere, in constant memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use deepfit_data::{
    Augment, Batch, DType, Dataset, Error, Loader, LoaderOptions, OpenOptions, Pass, Result, Slot, Source, open,
};

use crate::made::{Folder, encode, flowers, photo, table};

fn photos() -> Folder {
    let folder = Folder::new();
    for i in 0..30 {
        let bytes = encode(&photo(70, 66, i), image::ImageFormat::Png);
        folder.write(&format!("{}/{i:02}.png", i % 3), bytes);
    }
    folder
}

fn everything_on() -> Augment {
    Augment { rotate: 10.0, mixup: 0.4, cutmix: 1.0, ..Augment::for_images(64, 64, 3) }
}

fn collect(source: &Arc<dyn Source>, options: LoaderOptions) -> Vec<(u32, u64, Batch)> {
    let rows = (0..source.len() as u32).filter(|row| row % 5 != 0).collect();
    let mut loader = Loader::new(source.clone(), rows, options).unwrap();
    let mut batches = Vec::new();
    while let Some(batch) = loader.next().unwrap() {
        batches.push((batch.epoch, batch.step, (*batch).clone()));
    }
    batches
}

fn source(data: &Dataset) -> Arc<dyn Source> {
    data.prepare(&[0, 1, 2]).unwrap().source
}

#[test]
fn batches_do_not_depend_on_threads_or_queue() {
    let folder = photos();
    for cache_bytes in [0, 64 << 20] {
        let data = open(folder.path(), &OpenOptions { cache_bytes, ..OpenOptions::default() }).unwrap();
        let source = source(&data);
        let base = LoaderOptions::train(7, 0, 11, everything_on(), 3);
        let expected = collect(&source, base.clone());
        assert_eq!(expected.len(), 3 * 4);
        assert!(expected.iter().all(|(.., batch)| batch.mix.is_some() == (batch.len > 1)));
        for (workers, queue) in [(1, 1), (1, 4), (3, 1), (3, 5)] {
            assert_eq!(collect(&source, LoaderOptions { workers, queue, ..base.clone() }), expected);
        }
    }
}

#[test]
fn a_resumed_loader_continues_with_the_same_bits() {
    let folder = photos();
    let source = source(&folder.open().unwrap());
    let base = LoaderOptions::train(7, 2, 11, everything_on(), 3);
    let expected = collect(&source, base.clone());
    for skipped in [1, 4, 6, 11, 12] {
        let (first_epoch, first_step) = (skipped as u32 / 4, skipped as u64 % 4);
        let resumed = collect(&source, LoaderOptions { first_epoch, first_step, ..base.clone() });
        assert_eq!(resumed, expected[skipped..]);
    }
    // The step after an epoch's last is the next epoch's first.
    assert_eq!(collect(&source, LoaderOptions { first_step: 4, ..base.clone() }), expected[4..]);
}

#[test]
fn every_epoch_has_all_rows_in_an_order_of_its_own() {
    let data = table(flowers(50)).unwrap();
    let rows: Vec<u32> = (5..45).collect();
    let mut orders = Vec::new();
    for seed in [1, 2] {
        let options = LoaderOptions::train(16, 2, seed, Augment::none(), 2);
        let mut loader = Loader::new(source(&data), rows.clone(), options).unwrap();
        assert_eq!((loader.steps_per_epoch(), loader.remaining()), (3, 6));
        let mut epochs = vec![Vec::new(), Vec::new()];
        while let Some(batch) = loader.next().unwrap() {
            epochs[batch.epoch as usize].extend(batch.rows.iter().copied());
        }
        orders.extend(epochs);
    }
    for (i, order) in orders.iter().enumerate() {
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, rows);
        assert!(orders[..i].iter().all(|other| other != order));
    }
}

#[test]
fn augmentation_changes_training_and_never_evaluation() {
    let folder = photos();
    let data = folder.open().unwrap();
    let source = source(&data);
    let rows: Vec<u32> = (0..30).collect();
    let fill = |pass: Pass<'_>| {
        let mut batch = Batch::new();
        source.fill(&rows, pass, &mut batch).unwrap();
        batch
    };
    let plain = fill(Pass::Evaluate);
    let augment = data.default_augment();
    assert!(augment.flip && augment.crop > 0.0 && augment.mixup == 0.0);
    let train = |epoch| fill(Pass::Train { seed: 1, epoch, augment: &augment });
    assert_ne!(train(0).inputs, plain.inputs);
    assert_ne!(train(0).inputs, train(1).inputs);
    assert_eq!(train(0), train(0));
    assert_eq!(fill(Pass::Train { seed: 1, epoch: 0, augment: &Augment::none() }).inputs, plain.inputs);
}

#[test]
fn digits_are_moved_but_not_mirrored_by_default() {
    let data = Folder::with_classes(&["1", "2"], 8).open().unwrap();
    let augment = data.default_augment();
    assert!(!augment.flip && augment.shift > 0.0 && augment.mixup == 0.0 && augment.brightness == 0.0);
    assert_eq!(table(flowers(20)).unwrap().default_augment(), Augment::none());
}

#[test]
fn the_last_smaller_batch_can_be_left_out() {
    let data = table(flowers(50)).unwrap();
    let lengths = |batch_size, drop_last| -> Vec<usize> {
        let options = LoaderOptions { drop_last, ..LoaderOptions::evaluate(batch_size, 1) };
        collect(&source(&data), options).iter().map(|(.., batch)| batch.len).collect()
    };
    assert_eq!(lengths(16, false), [16, 16, 8]);
    assert_eq!(lengths(16, true), [16, 16]);
    assert_eq!(lengths(64, true), [40]);
}

#[test]
fn memory_is_constant_and_as_planned() {
    let folder = photos();
    let data = open(folder.path(), &OpenOptions { cache_bytes: 0, ..OpenOptions::default() }).unwrap();
    let source = source(&data);
    let options = LoaderOptions::train(8, 2, 1, data.default_augment(), 6);
    let planned = Loader::planned_bytes(source.as_ref(), 30, &options);
    let batch = source.batch_bytes(8);
    assert_eq!(batch, 8 * (66 * 70 * 3 + 16));
    assert!(planned >= 5 * batch && planned < 5 * batch + (1 << 20), "{planned}");
    let mut loader = Loader::new(source, (0..30).collect(), options).unwrap();
    let mut buffers = std::collections::HashSet::new();
    let mut count = 0;
    while let Some(batch) = loader.next().unwrap() {
        buffers.insert(batch.inputs[0].as_u8().unwrap().as_ptr() as usize);
        count += 1;
    }
    assert_eq!(count, 24);
    // Queue, workers and the one on loan: no buffer beyond these was ever made.
    assert!(buffers.len() <= 5, "{}", buffers.len());
}

/// A source that fails or panics at one row and counts what it was asked for.
struct Trap {
    slots: Vec<Slot>,
    panics: bool,
    filled: AtomicUsize,
}

impl Source for Trap {
    fn len(&self) -> usize {
        100
    }
    fn slots(&self) -> &[Slot] {
        &self.slots
    }
    fn target_dtype(&self) -> DType {
        DType::I32
    }
    fn has_targets(&self) -> bool {
        false
    }
    fn targets(&self, _: &[u32], _: &mut deepfit_data::Array) {}
    fn fill(&self, rows: &[u32], _: Pass<'_>, out: &mut Batch) -> Result<()> {
        self.filled.fetch_add(1, Ordering::SeqCst);
        if rows.contains(&30) {
            assert!(!self.panics, "a worker panics, as this test wants");
            return Err(Error::WorkerEnded);
        }
        out.len = rows.len();
        Ok(())
    }
    fn resident_bytes(&self) -> usize {
        0
    }
    fn scratch_bytes(&self) -> usize {
        0
    }
}

fn trap(panics: bool) -> Arc<Trap> {
    Arc::new(Trap { slots: Vec::new(), panics, filled: AtomicUsize::new(0) })
}

#[test]
fn failures_and_panics_of_workers_reach_the_caller() {
    for panics in [false, true] {
        for workers in [1, 3] {
            let mut loader =
                Loader::new(trap(panics), (0..100).collect(), LoaderOptions::evaluate(10, workers)).unwrap();
            for _ in 0..3 {
                assert!(loader.next().unwrap().is_some());
            }
            assert!(loader.next().is_err());
        }
    }
}

#[test]
fn workers_wait_when_the_queue_is_full_and_end_with_the_loader() {
    let source = trap(false);
    let options = LoaderOptions { queue: 2, ..LoaderOptions::evaluate(1, 1) };
    let loader = Loader::new(source.clone(), (0..20).collect(), options).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert!(source.filled.load(Ordering::SeqCst) <= 4);
    drop(loader);
    assert_eq!(Arc::strong_count(&source), 1);
}

#[test]
fn loaders_without_rows_or_with_bad_settings_are_refused() {
    let data = table(flowers(20)).unwrap();
    let make = |rows: Vec<u32>, options| Loader::new(source(&data), rows, options).err().unwrap().to_string();
    assert!(make(vec![], LoaderOptions::evaluate(4, 0)).contains("no rows"));
    assert!(make(vec![99], LoaderOptions::evaluate(4, 0)).contains("row 99"));
    assert!(make(vec![1], LoaderOptions::evaluate(0, 0)).contains("'batch'"));
    let far = LoaderOptions { first_step: 9, ..LoaderOptions::evaluate(4, 0) };
    assert!(make(vec![1], far).contains("first_step"));
}

#[test]
fn texts_of_similar_lengths_come_together_and_each_comes_once() {
    let text = |i: usize| format!("{}{}", "word ".repeat(1 + i * 7919 % 97), i);
    let rows: String = (0..1000).map(|i| format!("{},{}\n", text(i), ["a", "b"][i % 2])).collect();
    let folder = Folder::new();
    folder.write("texts.csv", format!("text,kind\n{rows}"));
    let data = open(&folder.path().join("texts.csv"), &OpenOptions::default()).unwrap();
    assert!(data.is_texts());
    let source = data.prepare(&[0, 1, 2]).unwrap().source;
    let mut orders = Vec::new();
    for (options, epochs) in [
        (LoaderOptions::train(16, 0, 3, Augment::none(), 2), 2),
        (LoaderOptions::train(16, 2, 3, Augment::none(), 2), 2),
        (LoaderOptions::evaluate(16, 1), 1),
    ] {
        let mut loader = Loader::new(source.clone(), (0..1000).collect(), options).unwrap();
        let (mut own, mut all, mut seen) = (0, 0, vec![0; 1000]);
        let mut order = Vec::new();
        while let Some(batch) = loader.next().unwrap() {
            let lengths = batch.inputs[1].as_i32().unwrap();
            assert_eq!(batch.inputs[0].len(), batch.len * batch.sequence);
            assert_eq!(batch.sequence, *lengths.iter().max().unwrap() as usize);
            own += lengths.iter().sum::<i32>();
            all += (batch.len * batch.sequence) as i32;
            batch.rows.iter().for_each(|&row| seen[row as usize] += 1);
            order.extend(batch.rows.clone());
        }
        assert!(seen.iter().all(|&times| times == epochs));
        assert!((all - own) * 10 < all, "{own} of {all}");
        orders.push(order);
    }
    assert_eq!(orders[0], orders[1]);
    assert_ne!(orders[0][..1000], orders[0][1000..]);
}
