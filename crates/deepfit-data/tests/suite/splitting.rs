//! Splits: stratified, seeded, and no identical inputs on two sides.

use std::collections::{HashMap, HashSet};

use deepfit_data::{Dataset, Error, OpenOptions, SavedSplit, Split, SplitOptions, open};

use crate::made::{Folder, flowers, grey, message, png, table};

fn sizes(split: &Split) -> (usize, usize, usize) {
    (split.train.len(), split.validation.len(), split.test.len())
}

fn check(data: &Dataset, split: &Split, rows: usize) {
    let all: HashSet<u32> = split.train.iter().chain(&split.validation).chain(&split.test).copied().collect();
    assert_eq!(all.len(), rows);
    assert_eq!(split.train.len() + split.validation.len() + split.test.len(), rows);
    let mut side: HashMap<u32, usize> = HashMap::new();
    for (i, part) in [&split.train, &split.validation, &split.test].into_iter().enumerate() {
        for &row in part {
            assert_eq!(*side.entry(data.group_of(row)).or_insert(i), i, "row {row}");
        }
    }
}

#[test]
fn every_class_is_divided_seventy_ten_twenty() {
    let mut text = String::from("x,y\n");
    (0..1000).for_each(|i| text += &format!("{i}.5,{}\n", if i % 10 == 0 { "rare" } else { "common" }));
    let data = table(text).unwrap();
    let split = data.split(&SplitOptions::seeded(3)).unwrap();
    assert_eq!(sizes(&split), (700, 100, 200));
    let rare = |rows: &[u32]| rows.iter().filter(|&&row| data.class_of(row) == Some(1)).count();
    assert_eq!((rare(&split.train), rare(&split.validation), rare(&split.test)), (70, 10, 20));
    check(&data, &split, 1000);
    assert_eq!(split, data.split(&SplitOptions::seeded(3)).unwrap());
    assert_ne!(split, data.split(&SplitOptions::seeded(4)).unwrap());
}

#[test]
fn regression_targets_are_divided_by_quantiles() {
    let mut text = String::from("x,y\n");
    (0..500).for_each(|i| text += &format!("{},{}\n", (i * 37) % 500, (i as f64).powi(3)));
    let data = table(text).unwrap();
    let split = data.split(&SplitOptions::seeded(1)).unwrap();
    let low = split.test.iter().filter(|&&row| row < 50).count();
    let high = split.test.iter().filter(|&&row| row >= 450).count();
    assert_eq!((low, high, split.test.len()), (10, 10, 100));
}

#[test]
fn small_classes_do_not_starve_the_parts() {
    let mut text = String::from("x,y\n");
    (0..120).for_each(|i| text += &format!("{i}.5,class{}\n", i / 4));
    let data = table(text).unwrap();
    let split = data.split(&SplitOptions::seeded(1)).unwrap();
    assert_eq!(sizes(&split), (84, 12, 24));
    let trained: HashSet<_> = split.train.iter().map(|&row| data.class_of(row)).collect();
    assert_eq!(trained.len(), 30);
}

#[test]
fn a_class_with_one_example_is_trained_on_and_reported() {
    let data = table(flowers(30) + "99.5,1,red,unique\n").unwrap();
    let split = data.split(&SplitOptions::seeded(1)).unwrap();
    assert!(split.train.contains(&30));
    assert!(split.notes[0].contains("single example"), "{:?}", split.notes);
}

#[test]
fn identical_rows_stay_on_one_side() {
    let mut text = String::from("a,b,y\n");
    (0..600).for_each(|i| text += &format!("{}.0,{},{}\n", i % 150, ["p", "q"][(i / 7) % 2], i % 2));
    let data = table(text).unwrap();
    assert!(data.summary().duplicates >= 300);
    assert!(data.describe().iter().any(|line| line.contains("repeat")));
    for seed in 0..5 {
        let split = data.split(&SplitOptions::seeded(seed)).unwrap();
        check(&data, &split, 600);
        assert!(
            split.test.len().abs_diff(120) <= 12 && split.validation.len().abs_diff(60) <= 12,
            "{:?}",
            sizes(&split)
        );
    }
    // 1 and 1.0 are the same input.
    let data = table(flowers(20) + "1,7,red,virginica\n1.0,7,red,setosa\n").unwrap();
    assert_eq!(data.group_of(20), data.group_of(21));
}

#[test]
fn identical_images_stay_on_one_side_also_in_other_formats() {
    let folder = Folder::new();
    for i in 0..40 {
        let image = grey(8, 8, i / 2, 0);
        let bytes = if i % 2 == 0 { png(&image) } else { crate::made::encode(&image, image::ImageFormat::Bmp) };
        folder.write(&format!("{}/{i}.img", ["a", "b"][i as usize / 20]), bytes);
    }
    let data = folder.open().unwrap();
    assert_eq!(data.summary().duplicates, 20);
    check(&data, &data.split(&SplitOptions::seeded(1)).unwrap(), 40);
}

#[test]
fn identical_files_stay_on_one_side_when_images_are_not_kept() {
    let folder = Folder::new();
    for i in 0..40 {
        folder.write(&format!("{}/{i}.png", i % 2), png(&grey(8, 8, i / 4, 0)));
    }
    let data = open(folder.path(), &OpenOptions { cache_bytes: 0, ..OpenOptions::default() }).unwrap();
    assert_eq!(data.summary().duplicates, 30);
    check(&data, &data.split(&SplitOptions::seeded(2)).unwrap(), 40);
}

#[test]
fn training_rows_that_are_also_in_a_given_test_part_are_left_out() {
    let folder = Folder::new();
    for i in 0..20 {
        folder.write(&format!("train/{}/{i}.png", i % 2), png(&grey(8, 8, i, 0)));
    }
    for i in [3, 4, 50, 51] {
        folder.write(&format!("test/{}/{i}.png", i % 2), png(&grey(8, 8, i, 0)));
    }
    let data = folder.open().unwrap();
    let split = data.split(&SplitOptions::seeded(1)).unwrap();
    assert_eq!(split.test.len(), 4);
    check(&data, &split, 22);
    assert!(split.notes.iter().any(|note| note.contains("2 training rows left out")), "{:?}", split.notes);
}

#[test]
fn saved_splits_are_restored_by_row_and_by_path() {
    let table = table(flowers(40)).unwrap();
    let images = Folder::with_classes(&["a", "b"], 12).open().unwrap();
    for data in [&table, &images] {
        let split = data.split(&SplitOptions::seeded(1)).unwrap();
        let text = serde_json::to_string(&data.save_split(&split)).unwrap();
        let saved: SavedSplit = serde_json::from_str(&text).unwrap();
        assert_eq!(data.restore_split(&saved).unwrap(), Split { notes: Vec::new(), ..split });
    }
    let saved = table.save_split(&table.split(&SplitOptions::seeded(1)).unwrap());
    assert!(message(crate::made::table(flowers(20)).unwrap().restore_split(&saved)).contains("was the data changed"));
    let newer = SavedSplit { version: 7, ..saved };
    assert!(matches!(table.restore_split(&newer), Err(Error::NewerVersion { found: 7, .. })));
}

#[test]
fn folds_cover_every_row_once_and_are_stratified() {
    let data = table(flowers(60)).unwrap();
    let rows: Vec<u32> = (0..50).collect();
    let folds = data.folds(&rows, 5, 9).unwrap();
    let mut held: Vec<u32> = folds.iter().flat_map(|(_, fold)| fold.iter().copied()).collect();
    held.sort_unstable();
    assert_eq!(held, rows);
    for (others, fold) in &folds {
        assert_eq!((others.len(), fold.len()), (40, 10));
        for class in 0..3 {
            let count = fold.iter().filter(|&&row| data.class_of(row) == Some(class)).count();
            assert!((3..=4).contains(&count));
        }
    }
    assert!(matches!(data.folds(&rows, 1, 9), Err(Error::Split { .. })));
}

#[test]
fn fractions_out_of_range_and_inputs_all_alike_are_refused() {
    let data = table(flowers(20)).unwrap();
    let options = SplitOptions { test: 0.9, ..SplitOptions::default() };
    assert!(message(data.split(&options)).contains("split.test"));
    let mut text = String::from("a,y\n");
    (0..30).for_each(|i| text += &format!("{},{}\n", i / 29, i % 2));
    let text = message(table(text).unwrap().split(&SplitOptions::default()));
    assert!(text.contains("2 different inputs"), "{text}");
}

#[test]
fn the_same_data_for_training_and_validation_is_refused_with_the_reason() {
    let folder = Folder::new();
    let path = folder.write("data.csv", flowers(30));
    let options = OpenOptions { validation: Some(path.clone()), ..OpenOptions::default() };
    let data = open(&path, &options).unwrap();
    let text = message(data.split(&SplitOptions::seeded(1)));
    assert!(text.contains("the inputs of all 30 also occur in the validation or test data"), "{text}");
    assert!(text.contains("kept there only; give validation and test data of other rows"), "{text}");
}
