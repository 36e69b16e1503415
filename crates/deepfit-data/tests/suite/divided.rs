//! Splits and folds by columns: groups that stay whole, the later after the earlier, parts that a column names.

use std::collections::{BTreeMap, HashSet};

use deepfit_data::{Dataset, OpenOptions, Split, SplitOptions, Task, open};

use crate::made::{Folder, grey, message, png, table_with};

fn by_group(column: &str) -> OpenOptions {
    OpenOptions { group: Some(column.to_string()), ..OpenOptions::default() }
}

fn by_time(column: &str) -> OpenOptions {
    OpenOptions { time_split: Some(column.to_string()), ..OpenOptions::default() }
}

fn by_part(column: &str) -> OpenOptions {
    OpenOptions { split: Some(column.to_string()), ..OpenOptions::default() }
}

/// Rows of patients, of whom the i-th has i % 9 + 1; the column of patients is the last.
fn patients(count: usize) -> (String, Vec<usize>) {
    let (mut text, mut of) = (String::from("x,z,y,patient\n"), Vec::new());
    for patient in 0..count {
        for visit in 0..=patient % 9 {
            let row = of.len();
            text += &format!("{}.5,{},{},p{patient}\n", row * 31 % 997, row % 13, ["no", "yes"][(row / 3 + visit) % 2]);
            of.push(patient);
        }
    }
    (text, of)
}

/// The values of the rows of each part, none of which is in two.
fn apart<T: Copy + Eq + std::hash::Hash>(parts: &[&[u32]], of: &[T]) -> Vec<HashSet<T>> {
    let sets: Vec<HashSet<T>> = parts.iter().map(|rows| rows.iter().map(|&row| of[row as usize]).collect()).collect();
    for (i, set) in sets.iter().enumerate() {
        assert!(sets[..i].iter().all(|other| other.is_disjoint(set)), "part {i}");
    }
    sets
}

fn parts(split: &Split) -> [&[u32]; 3] {
    [&split.train, &split.validation, &split.test]
}

#[test]
fn dates_beside_texts_and_pictures_tell_of_which_years_these_are() {
    let words = ["a long and winding road to the sea", "the quick brown fox jumps over a lazy dog"];
    let line = |i: usize| {
        let seen = if i == 3 { String::new() } else { format!("{:02}.02.{}", 1 + i % 28, 1990 + i) };
        format!("{} number {i},{seen},2024-01-0{},x{i},{}\n", words[i % 2], 1 + i % 9, ["no", "yes"][i / 2 % 2])
    };
    let text = String::from("text,seen,kept,code,kind\n") + &(0..40).map(line).collect::<String>();
    let by_text = OpenOptions { text: Some("text".to_string()), ..OpenOptions::default() };
    let folder = Folder::new();
    let opened = |text: &str| open(&folder.write("texts.csv", text), &by_text).unwrap();
    let texts = opened(&text.replace("2024-01-0", "n"));
    let dates = texts.dates_beside(&[0, 3, 21]).unwrap().unwrap();
    assert_eq!(dates.columns, ["seen"]);
    assert_eq!(dates.years, [Some(1990), None, Some(2011)]);
    // Of several dates the latest counts.
    let dates = opened(&text).dates_beside(&[0, 3, 39]).unwrap().unwrap();
    assert_eq!((dates.columns.len(), dates.years), (2, vec![Some(2024), Some(2024), Some(2029)]));
    // A cell that is no date makes its column none.
    let other = opened(&text.replacen("02.02.1991", "then", 1));
    assert_eq!(other.dates_beside(&[0, 1]).unwrap().unwrap().columns, ["kept"]);
    // Where there is no column of dates, nothing is told; nor of rows of a table, whose dates are features.
    assert_eq!(opened(&text.replace(".02.", "/").replace("2024-01-0", "n")).dates_beside(&[0]).unwrap(), None);
    let rows = (0..30).map(|i| format!("{i},2024-01-{:02},{}\n", 1 + i % 28, ["no", "yes"][i % 2]));
    let rows = folder.write("rows.csv", String::from("a,seen,y\n") + &rows.collect::<String>());
    assert_eq!(open(&rows, &OpenOptions::default()).unwrap().dates_beside(&[0]).unwrap(), None);

    let mut labels = String::from("file,taken,kind\n");
    for i in 0..24 {
        folder.write(&format!("{i}.png"), png(&grey(8, 8, i as u8, 1)));
        labels += &format!("{i}.png,{}-06-01,{}\n", 2001 + i, ["no", "yes"][i % 2]);
    }
    let pictures = open(&folder.write("labels.csv", labels), &OpenOptions::default()).unwrap();
    let dates = pictures.dates_beside(&[0, 23]).unwrap().unwrap();
    assert_eq!((dates.columns, dates.years), (vec!["taken".to_string()], vec![Some(2001), Some(2024)]));
}

#[test]
fn groups_stay_whole_in_splits_and_folds() {
    let (text, of) = patients(60);
    let data = table_with(&text, &by_group("patient")).unwrap();
    let names: Vec<&str> = data.summary().columns.iter().map(|(name, _)| &name[..]).collect();
    assert_eq!((names, data.summary().target.as_deref()), (vec!["x", "z"], Some("y")), "groups are no features");
    let told = data.describe().join("\n");
    assert!(told.contains("'patient' (says which rows belong together)") && told.contains("60 groups"), "{told}");
    let mut seen = HashSet::new();
    for seed in 0..30 {
        let split = data.split(&SplitOptions::seeded(seed)).unwrap();
        apart(&parts(&split), &of);
        let rows = of.len() as f64;
        assert_eq!(split.train.len() + split.validation.len() + split.test.len(), of.len());
        assert!((split.test.len() as f64 - 0.2 * rows).abs() <= 5.0, "{}", split.test.len());
        assert!((split.validation.len() as f64 - 0.1 * rows).abs() <= 5.0, "{}", split.validation.len());
        assert_eq!(split, data.split(&SplitOptions::seeded(seed)).unwrap());
        assert_eq!(data.restore_split(&data.save_split(&split)).unwrap().test, split.test);
        seen.insert(split.test);
        let folds = data.folds(&split.train, 4, seed).unwrap();
        let held: Vec<&[u32]> = folds.iter().map(|(_, held)| &held[..]).collect();
        apart(&held, &of);
        for (others, held) in &folds {
            apart(&[others, held], &of);
            assert_eq!(others.len() + held.len(), split.train.len());
            assert!((held.len() as f64 - split.train.len() as f64 / 4.0).abs() <= 5.0, "{}", held.len());
        }
    }
    assert!(seen.len() > 25, "chance decides");
}

#[test]
fn a_few_groups_of_any_size_are_divided_and_too_few_are_refused() {
    // One group has nearly all rows, the others one each.
    let text = |groups: usize| {
        let rows = (0..60).map(|i| format!("{i}.5,{},g{}\n", ["a", "b"][i / 2 % 2], i.saturating_sub(60 - groups)));
        String::from("x,y,g\n") + &rows.collect::<String>()
    };
    for groups in 3..8 {
        let data = table_with(text(groups), &by_group("g")).unwrap();
        let of: Vec<usize> = (0..60_usize).map(|i| i.saturating_sub(60 - groups)).collect();
        for seed in 0..10 {
            let split = data.split(&SplitOptions::seeded(seed)).unwrap();
            let sets = apart(&parts(&split), &of);
            assert!(sets.iter().all(|set| !set.is_empty()), "{groups} groups");
        }
        let all: Vec<u32> = (0..60).collect();
        assert_eq!(data.most_folds(&all), groups);
        let told = message(data.folds(&all, groups + 1, 1));
        assert!(told.contains(&format!("{} folds of {groups} different groups", groups + 1)), "{told}");
    }
    let two = table_with(text(2), &by_group("g")).unwrap();
    let told = message(two.split(&SplitOptions::default()));
    assert!(told.contains("2 group(s) are too few for 3 parts"), "{told}");
    let told = message(table_with(text(1), &by_group("g")));
    assert!(told.contains("one value in the column 'g'"), "{told}");
    let told = message(table_with("x,y,g\n".to_string() + &"1,a,p\n2,b,\n".repeat(20), &by_group("g")));
    assert!(told.contains("row 2 (line 3)") && told.contains("column 'g'") && told.contains("no group"), "{told}");
}

#[test]
fn training_rows_of_groups_of_the_test_data_are_left_out() {
    let (text, of) = patients(40);
    let folder = Folder::new();
    let path = folder.write("data.csv", &text);
    let test = folder.write("test.csv", "x,z,y,patient\n5000,1,no,p7\n5001,2,yes,new\n");
    let data = open(&path, &OpenOptions { test: Some(test), ..by_group("patient") }).unwrap();
    let split = data.split(&SplitOptions::default()).unwrap();
    let rows = of.len() as u32;
    assert_eq!(split.test, [rows, rows + 1]);
    assert!(split.train.iter().chain(&split.validation).all(|&row| of[row as usize] != 7));
    let told = split.notes.join("\n");
    assert!(told.contains("8 training rows left out: their groups are also in"), "{told}");
}

/// The time of each row, in no order: 3 rows a day, dates across a change of year.
fn in_time(rows: usize, shown: impl Fn(usize) -> String) -> (String, Vec<usize>) {
    let days: Vec<usize> = (0..rows).map(|i| i * 37 % rows / 3).collect();
    let line = |(i, &day): (usize, &usize)| format!("{i}.5,{},{}\n", ["a", "b"][i % 2], shown(day));
    (String::from("x,y,when\n") + &days.iter().enumerate().map(line).collect::<String>(), days)
}

#[test]
fn the_later_rows_are_the_test_and_equal_times_are_not_divided() {
    let date = |day: usize| format!("{}-{:02}-{:02}", 2023 + day / 60, 1 + day / 28 % 12, 1 + day % 28);
    let spoken = |day: usize| format!("{} Mar {}", 1 + day % 28, 2000 + day / 28);
    let number = |day: usize| format!("{}", day as f64 * 0.5 - 7.0);
    let shown: [&dyn Fn(usize) -> String; 3] = [&date, &spoken, &number];
    for shown in shown {
        let (text, days) = in_time(300, shown);
        // Months of 28 days begin again each year in the first of these.
        let order: Vec<usize> = if shown(0) == date(0) {
            days.iter().map(|day| day / 60 * 400 + day / 28 % 12 * 31 + day % 28).collect()
        } else {
            days
        };
        let data = table_with(&text, &by_time("when")).unwrap();
        assert_eq!(data.summary().columns.len(), 1, "a column of times is no feature");
        let split = data.split(&SplitOptions::seeded(5)).unwrap();
        apart(&parts(&split), &order);
        let range = |rows: &[u32]| {
            let of = || rows.iter().map(|&row| order[row as usize]);
            (of().min().unwrap(), of().max().unwrap())
        };
        let [train, validation, test] = parts(&split).map(range);
        assert!(train.1 < validation.0 && validation.1 < test.0, "{train:?} {validation:?} {test:?}");
        assert!(split.test.len().abs_diff(60) <= 3 && split.validation.len().abs_diff(30) <= 3);
        assert_eq!(split, data.split(&SplitOptions::seeded(6)).unwrap(), "chance has no say");
        let all: Vec<u32> = split.train.iter().chain(&split.validation).copied().collect();
        let folds = data.folds(&all, 5, 1).unwrap();
        assert_eq!(folds.len(), 5);
        for (before, held) in &folds {
            assert!(range(before).1 < range(held).0);
        }
        assert_eq!(folds[4].0.len() + folds[4].1.len(), all.len());
        assert!(folds.iter().all(|(_, held)| held.len().abs_diff(40) <= 3));
    }
}

#[test]
fn times_that_cannot_divide_rows_are_refused() {
    let text = |when: &dyn Fn(usize) -> String| in_time(60, when).0;
    let told =
        |text: String| message(table_with(text, &by_time("when")).and_then(|d| d.split(&SplitOptions::default())));
    let same = told(text(&|_| "2024-01-05".to_string()));
    assert!(same.contains("60 rows have 1 different time(s), and 3 are needed"), "{same}");
    let two = told(text(&|day| format!("2024-01-{:02}", 1 + day / 10)));
    assert!(two.contains("2 different time(s)"), "{two}");
    let odd = told(text(&|day| if day == 4 { "soon".to_string() } else { format!("2024-01-{:02}", 1 + day) }));
    assert!(odd.contains("'soon' is no time") && odd.contains("column 'when'"), "{odd}");
    let missing = told(text(&|day| if day == 4 { String::new() } else { day.to_string() }));
    assert!(missing.contains("'' is no time"), "{missing}");
    // Of three days, the last is the test and the one before it validation, however many rows they have.
    let data = table_with(text(&|day| format!("2024-01-{:02}", 1 + day / 9)), &by_time("when")).unwrap();
    let split = data.split(&SplitOptions::default()).unwrap();
    assert_eq!((split.train.len(), split.validation.len(), split.test.len()), (27, 27, 6));
    let told = message(data.folds(&split.train, 2, 1));
    assert!(told.contains("2 folds of 1 different times"), "{told}");
}

#[test]
fn a_column_may_name_the_part_of_each_row() {
    let word = |i: usize| ["train", "Training", "val", "TEST", "train"][i % 5];
    let line = |i: usize| format!("{i}.5,{},{}\n", word(i), ["a", "b"][i % 2]);
    let text = String::from("x,part,y\n") + &(0..100).map(line).collect::<String>();
    let data = table_with(&text, &by_part("part")).unwrap();
    let split = data.split(&SplitOptions::default()).unwrap();
    assert_eq!((split.train.len(), split.validation.len(), split.test.len()), (60, 20, 20));
    assert!(split.test.iter().all(|row| row % 5 == 3) && split.validation.iter().all(|row| row % 5 == 2));
    assert_eq!(data.restore_split(&data.save_split(&split)).unwrap().validation, split.validation);
    let told = message(table_with(text.replace("6.5,Training", "6.5,later"), &by_part("part")));
    assert!(told.contains("row 7 (line 8)") && told.contains("'later' is neither train"), "{told}");
}

#[test]
fn columns_that_do_not_exist_or_mean_two_things_are_refused() {
    let (text, _) = patients(20);
    let told = |options: OpenOptions| message(table_with(&text, &options));
    assert!(told(by_group("patiant")).contains("did you mean 'patient'"));
    let target = Some("patient".to_string());
    assert!(told(OpenOptions { target, ..by_group("patient") }).contains("which is also the target"));
    let both = OpenOptions { time_split: Some("x".to_string()), ..by_group("patient") };
    assert!(told(both).contains("give one of them"));
    let folder = Folder::with_classes(&["cat", "dog"], 10);
    let told = message(open(folder.path(), &by_group("patient")));
    assert!(told.contains("'group'") && told.contains("column of a table"), "{told}");
}

fn opened(folder: &Folder, text: &str, options: &OpenOptions) -> Dataset {
    open(&folder.write("table.csv", text), options).unwrap()
}

#[test]
fn texts_and_pictures_of_tables_are_divided_by_the_same_columns() {
    let folder = Folder::new();
    let mut pictures = String::from("file,label,patient,day\n");
    let mut texts = String::from("review,label,patient,day\n");
    for i in 0..60_u8 {
        folder.write(&format!("{i}.png"), png(&grey(8, 8, i, 1)));
        let (label, patient) = (["a", "b"][usize::from(i % 2)], i / 4);
        pictures += &format!("{i}.png,{label},p{patient},{}\n", i / 3);
        texts += &format!("the visit number {i} was quite long and wearisome,{label},p{patient},{}\n", i / 3);
    }
    for text in [&pictures, &texts] {
        let of = |by: usize| (0..60).map(|i| i / by).collect::<Vec<usize>>();
        let grouped = opened(&folder, text, &by_group("patient"));
        assert!(matches!(grouped.task(), Task::Classification { .. }));
        assert!(grouped.is_images() || grouped.is_texts());
        apart(&parts(&grouped.split(&SplitOptions::seeded(2)).unwrap()), &of(4));
        let timed = opened(&folder, text, &by_time("day"));
        let split = timed.split(&SplitOptions::seeded(2)).unwrap();
        apart(&parts(&split), &of(3));
        let counts: BTreeMap<&str, usize> =
            [("train", split.train.len()), ("validation", split.validation.len()), ("test", split.test.len())].into();
        assert_eq!(counts, [("test", 12), ("train", 42), ("validation", 6)].into());
        assert_eq!(split.train, (0..42).collect::<Vec<u32>>());
    }
}

#[test]
fn pairs_of_texts_that_share_one_stay_on_one_side() {
    let folder = Folder::new();
    let mut text = String::from("premise,hypothesis,label\n");
    for i in 0..90 {
        let (premise, label) = (i * 2 / 3, ["follows", "contradicts"][i % 2]);
        text += &format!("they walked {premise} miles along the river,somebody was walking for {i} hours,{label}\n");
    }
    let data = opened(&folder, &text, &OpenOptions::default());
    assert!(data.is_texts() && data.summary().pairs && data.summary().duplicates == 0);
    for seed in 1..4 {
        let split = data.split(&SplitOptions::seeded(seed)).unwrap();
        apart(&parts(&split), &(0..90).map(|i| i * 2 / 3).collect::<Vec<usize>>());
    }
}
