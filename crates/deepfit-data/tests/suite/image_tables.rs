//! Tables that name images: which columns, what is learned, where the files are, and what is wrong with them.

use std::path::Path;

use deepfit_data::{
    Array, Batch, Dataset, OpenOptions, Opened, Part, Preprocessor, RowId, SplitOptions, Task, TaskKind, open,
};

use crate::made::{Folder, all, everything, grey, message, png, zip};

/// `count` different images `pictures/0.png` and so on.
fn pictures(count: u8) -> Folder {
    let folder = Folder::new();
    for i in 0..count {
        folder.write(&format!("pictures/{i}.png"), png(&grey(8, 8, i, 1)));
    }
    folder
}

/// A table of the header and a line for each image.
fn lines(header: &str, count: usize, line: impl Fn(usize) -> String) -> String {
    let rows: String = (0..count).map(|i| line(i) + "\n").collect();
    format!("{header}\n{rows}")
}

fn opened(folder: &Folder, text: impl AsRef<[u8]>) -> deepfit_data::Result<Dataset> {
    opened_with(folder, text, OpenOptions::default())
}

fn opened_with(folder: &Folder, text: impl AsRef<[u8]>, options: OpenOptions) -> deepfit_data::Result<Dataset> {
    open(&folder.write("labels.csv", text), &options)
}

fn names(classes: &[&str]) -> Vec<String> {
    classes.iter().map(|class| class.to_string()).collect()
}

fn targets(data: &Dataset) -> Array {
    everything(data).targets
}

#[test]
fn a_column_of_image_files_is_recognised_and_words_are_classes() {
    let folder = pictures(20);
    let table = lines("age,file,kind", 20, |i| format!("{i},pictures/{i}.png,{}", ["cat", "dog"][i % 2]));
    let data = opened(&folder, table).unwrap();
    assert_eq!(data.task(), &Task::Classification { classes: names(&["cat", "dog"]) });
    assert_eq!((data.len(), data.image_shape(), data.is_images()), (20, Some([8, 8, 1]), true));
    assert_eq!(targets(&data), Array::I32((0..20).map(|i| i % 2).collect()));
    assert_eq!(data.summary().target.as_deref(), Some("kind"));
    assert_eq!(data.summary().class_counts, [10, 10]);
    let told = data.describe().join("\n");
    assert!(told.contains("'age' (images alone are learned from)"), "{told}");
    assert_eq!(data.row_id(3), RowId::Row(3));
    // The same pixels as those of the files.
    let pixels = everything(&data).inputs[0].as_u8().unwrap().to_vec();
    assert_eq!(pixels[64..128], *grey(8, 8, 1, 1).as_bytes());
}

#[test]
fn numbers_are_learned_in_their_own_unit() {
    let folder = pictures(20);
    let table = lines("path\tweight", 20, |i| format!("pictures/{i}.png\t{}.5", 100 + i));
    let path = folder.write("weights.tsv", table);
    let data = open(&path, &OpenOptions::default()).unwrap();
    assert_eq!(data.task(), &Task::Regression);
    let rows: Vec<u32> = (0..10).collect();
    let prepared = data.prepare(&rows).unwrap();
    let scale = prepared.preprocessor.target_scale().unwrap();
    assert!((scale.mean - 105.0).abs() < 1e-9, "of the training rows alone: {scale:?}");
    let batch = all(&*prepared.source);
    let values: Vec<f64> = batch.targets.as_f32().unwrap().iter().map(|&x| scale.inverse(f64::from(x))).collect();
    assert!(values.iter().enumerate().all(|(i, x)| (x - (100.5 + i as f64)).abs() < 1e-4), "{values:?}");
    // Whole numbers may be asked to be classes, and classes numbers.
    let whole = lines("path,stars", 20, |i| format!("pictures/{i}.png,{}", 1 + i % 4));
    assert!(opened(&folder, &whole).unwrap().task().is_classification());
    let options = OpenOptions { task: Some(TaskKind::Regression), ..OpenOptions::default() };
    assert_eq!(opened_with(&folder, &whole, options).unwrap().task(), &Task::Regression);
}

#[test]
fn labels_are_divided_in_their_cell() {
    let folder = pictures(12);
    let cells = ["sea|sky", "sky", "", "sea | sky|sea", "tree"];
    let table = lines("image,tags", 12, |i| format!("pictures/{i}.png,{}", cells[i % 5]));
    let data = opened(&folder, table).unwrap();
    assert_eq!(data.task(), &Task::MultiLabel { classes: names(&["sea", "sky", "tree"]) });
    let batch = everything(&data);
    let expected = [[1.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.0; 3], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    let expected: Vec<f32> = (0..12).flat_map(|i| expected[i % 5]).collect();
    assert_eq!(batch.targets, Array::F32(expected));
    assert_eq!(data.labels_of(3), [0, 1]);
    let told = data.describe().join("\n");
    for words in ["any of 3 labels: sea (5)", "divided at '|'", "2 rows have none of the labels"] {
        assert!(told.contains(words), "`{words}` is not in {told}");
    }
    // Each cell as one class, if that is asked for.
    let table = lines("image,tags", 12, |i| format!("pictures/{i}.png,{}", ["a|b", "b"][i % 2]));
    let options = OpenOptions { task: Some(TaskKind::Classification), ..OpenOptions::default() };
    let data = opened_with(&folder, table, options).unwrap();
    assert_eq!(data.task(), &Task::Classification { classes: names(&["a|b", "b"]) });
}

#[test]
fn spaces_and_commas_divide_labels_where_that_is_asked_for() {
    let folder = pictures(12);
    let asked = || OpenOptions { task: Some(TaskKind::MultiLabel), ..OpenOptions::default() };
    let labels = Task::MultiLabel { classes: names(&["clear", "haze", "road"]) };
    for cells in [["haze road", "clear"], ["\"haze, road\"", "clear"], ["haze;road", "clear"]] {
        let table = lines("image,tags", 12, |i| format!("pictures/{i}.png,{}", cells[i % 2]));
        assert_eq!(opened_with(&folder, table, asked()).unwrap().task(), &labels, "{cells:?}");
    }
    // Without asking, a class may have a name of two words.
    let table = lines("image,kind", 12, |i| format!("pictures/{i}.png,{}", ["golden retriever", "pug"][i % 2]));
    let task = opened(&folder, &table).unwrap().task().clone();
    assert_eq!(task, Task::Classification { classes: names(&["golden retriever", "pug"]) });
    // One label a row is a list of one.
    let table = lines("image,kind", 12, |i| format!("pictures/{i}.png,{}", ["a", "b"][i % 2]));
    assert_eq!(opened_with(&folder, table, asked()).unwrap().task(), &Task::MultiLabel { classes: names(&["a", "b"]) });
}

#[test]
fn columns_of_0_and_1_are_labels() {
    let folder = pictures(12);
    let table = lines("image,mass,nodule,note", 12, |i| {
        format!("pictures/{i}.png,{},{}.0,x", ["yes", "no"][i % 2], usize::from(i % 3 == 0))
    });
    let target = |target: &str| OpenOptions { target: Some(target.to_string()), ..OpenOptions::default() };
    let data = opened_with(&folder, &table, target("mass, nodule")).unwrap();
    assert_eq!(data.task(), &Task::MultiLabel { classes: names(&["mass", "nodule"]) });
    assert_eq!(targets(&data).as_f32().unwrap()[..8], [1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0]);
    // With one 1 in each row they may be classes.
    let table =
        lines("image,a,b,c", 12, |i| format!("pictures/{i}.png,{}", [["1,0,0"], ["0,1,0"], ["0,0,1"]][i % 3].concat()));
    let data = opened_with(&folder, &table, target("a,b,c")).unwrap();
    assert!(data.describe().join("\n").contains("task=classification makes them classes"));
    let options = OpenOptions { task: Some(TaskKind::Classification), ..target("a,b,c") };
    let data = opened_with(&folder, &table, options).unwrap();
    assert_eq!(data.task(), &Task::Classification { classes: names(&["a", "b", "c"]) });
    assert_eq!(targets(&data).as_i32().unwrap()[..4], [0, 1, 2, 0]);
}

#[test]
fn a_column_says_which_part_a_row_belongs_to() {
    let folder = pictures(20);
    let parts = ["train", "Train", "valid", "train", "test"];
    let table =
        lines("image,kind,Split", 20, |i| format!("pictures/{i}.png,{},{}", ["cat", "dog"][i % 2], parts[i % 5]));
    let data = opened(&folder, &table).unwrap();
    assert_eq!(data.summary().target.as_deref(), Some("kind"), "the last that is no part");
    assert!(data.has_part(Part::Test) && data.has_part(Part::Validation));
    let split = data.split(&SplitOptions::seeded(3)).unwrap();
    assert_eq!(split.test, [4, 9, 14, 19]);
    assert_eq!(split.validation, [2, 7, 12, 17]);
    let again = data.restore_split(&data.save_split(&split)).unwrap();
    assert_eq!((again.train, again.test), (split.train, split.test));
    let wrong = table.replacen(",valid", ",vaild", 1);
    let told = message(opened(&folder, wrong));
    for words in ["labels.csv", "row 3 (line 4)", "'Split'", "'vaild' is neither train, validation nor test"] {
        assert!(told.contains(words), "`{words}` is not in {told}");
    }
}

#[test]
fn tables_of_their_own_are_parts() {
    let folder = pictures(30);
    let table = |from: usize, count: usize| {
        lines("image,tags", count, |i| format!("pictures/{}.png,{}", from + i, ["a|b", "b", "c"][i % 3]))
    };
    let test = folder.write("test.csv", table(20, 10));
    let options = OpenOptions { test: Some(test.clone()), ..OpenOptions::default() };
    let data = opened_with(&folder, table(0, 20), options.clone()).unwrap();
    let split = data.split(&SplitOptions::seeded(1)).unwrap();
    assert_eq!(split.test, (20..30).collect::<Vec<_>>());
    let again = data.restore_split(&data.save_split(&split)).unwrap();
    assert_eq!(again.test, split.test);
    folder.write("test.csv", table(20, 10) + "pictures/1.png,zebra\n");
    let told = message(opened_with(&folder, table(0, 20), options));
    assert!(told.contains("test.csv") && told.contains("'zebra'") && told.contains("a, b, c"), "{told}");
}

#[test]
fn images_of_a_folder_are_found_by_path_by_name_and_without_their_ending() {
    let folder = Folder::new();
    for i in 0..12u8 {
        folder.write(&format!("scans/part{}/scan{i}.png", i % 2), png(&grey(8, 8, i, 1)));
    }
    folder.write("scans/readme.txt", "about");
    let scans = folder.path().join("scans");
    for cell in [
        "part{p}/scan{i}.png",
        "./part{p}/scan{i}.png",
        "part{p}\\scan{i}.png",
        "part{p}/scan{i}",
        "scan{i}.png",
        "scan{i}",
    ] {
        let table = lines("id,kind", 12, |i| {
            let cell = cell.replace("{p}", &(i % 2).to_string()).replace("{i}", &i.to_string());
            format!("{cell},{}", ["cat", "dog"][i % 2])
        });
        let labels = folder.write("labels.csv", table);
        let options = OpenOptions { labels: Some(labels.clone()), ..OpenOptions::default() };
        let data = open(&scans, &options).unwrap();
        assert_eq!(data.len(), 12, "{cell}");
        assert_eq!(everything(&data).inputs[0].as_u8().unwrap()[64..128], *grey(8, 8, 1, 1).as_bytes(), "{cell}");
    }
    // Two files of one name: their paths tell them apart, their name does not.
    folder.write("scans/part1/scan0.png", png(&grey(8, 8, 50, 1)));
    let labels = folder.path().join("labels.csv");
    let told =
        open(&scans, &OpenOptions { labels: Some(labels), ..OpenOptions::default() }).unwrap().describe().join("\n");
    assert!(
        told.contains("several files are called so") && told.contains("2 files of the folder are not named"),
        "{told}"
    );
}

#[test]
fn images_may_be_in_an_archive() {
    let folder = Folder::new();
    let entries: Vec<(String, Vec<u8>)> = (0..12).map(|i| (format!("all/{i}.png"), png(&grey(8, 8, i, 1)))).collect();
    let entries: Vec<(&str, Vec<u8>)> = entries.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    let archive = folder.write("scans.zip", zip(&entries));
    let labels = folder.write("labels.csv", lines("file,kind", 12, |i| format!("{i}.png,{}", ["cat", "dog"][i % 2])));
    let data = open(&archive, &OpenOptions { labels: Some(labels), ..OpenOptions::default() }).unwrap();
    assert_eq!((data.len(), data.task().outputs()), (12, 2));
}

#[test]
fn measurements_name_no_files_and_of_many_columns_the_first_are_looked_for() {
    let folder = Folder::new();
    for i in 0..20 {
        folder.write(&format!("{i}.25.png"), png(&grey(8, 8, i, 1)));
        folder.write(&format!("s{i}.png"), png(&grey(8, 8, i, 1)));
    }
    let kind = |i: usize| ["cat", "dog"][i % 2];
    let measured = lines("size,kind", 20, |i| format!("{i}.25,{}", kind(i)));
    assert!(!opened(&folder, measured).unwrap().is_images());
    let wide = |columns: usize, ending: &str| {
        let header = (0..columns).map(|column| format!("c{column},")).collect::<String>() + "file,kind";
        let row = |i: usize| (0..columns).map(|column| format!("{}.5,", i * column % 7)).collect::<String>();
        opened(&folder, lines(&header, 20, |i| format!("{}s{i}{ending},{}", row(i), kind(i)))).unwrap().is_images()
    };
    assert_eq!([wide(3, ""), wide(250, ".png"), wide(250, "")], [true, true, false]);
}

#[test]
fn a_class_that_is_called_like_a_file_is_no_image() {
    let folder = pictures(20);
    for header in ["kind,file", "kind,id"] {
        let ending = if header.ends_with("id") { "" } else { ".png" };
        let table = lines(header, 20, |i| format!("{},{i}{ending}", i % 2));
        let labels = Some(folder.write("labels.csv", table));
        let data = open(&folder.path().join("pictures"), &OpenOptions { labels, ..OpenOptions::default() }).unwrap();
        assert_eq!(data.summary().target.as_deref(), Some("kind"), "{header}");
        assert_eq!(targets(&data), Array::I32((0..20).map(|i| i % 2).collect()));
    }
}

#[test]
fn a_table_without_header_is_read_as_one() {
    let folder = pictures(12);
    let table: String = (0..12).map(|i| format!("pictures/{i}.png,{}\n", ["cat", "dog"][i % 2])).collect();
    let data = opened(&folder, table).unwrap();
    assert_eq!(data.len(), 12);
    assert_eq!(data.summary().target.as_deref(), Some("column_2"));
    assert!(data.describe().join("\n").contains("no header was found"));
}

#[test]
fn missing_and_damaged_files_are_listed_and_many_are_an_error() {
    let folder = pictures(20);
    let table = |gone: usize| {
        lines("file,kind", 20, |i| {
            let name = if i < gone { format!("gone{i}") } else { i.to_string() };
            format!("pictures/{name}.png,{}", ["cat", "dog"][i % 2])
        })
    };
    let data = opened(&folder, table(1)).unwrap();
    assert_eq!(data.len(), 19);
    let told = data.describe().join("\n");
    assert!(told.contains("gone0.png") && told.contains("does not exist"), "{told}");
    // What is left keeps its row and its target.
    assert_eq!((data.row_id(0), targets(&data).as_i32().unwrap()[0]), (RowId::Row(1), 1));
    folder.write("pictures/5.png", &png(&grey(8, 8, 5, 1))[..40]);
    let data = opened(&folder, table(1)).unwrap();
    assert_eq!((data.len(), data.summary().skipped.len()), (18, 2));
    let told = message(opened(&folder, table(2)));
    for words in ["labels.csv", "3 of 20 images", "does not exist"] {
        assert!(told.contains(words), "`{words}` is not in {told}");
    }
    folder.write("pictures/7.png", "these are words");
    let told = message(opened(&folder, table(1)));
    assert!(told.contains("3 of 20"), "{told}");
}

#[test]
fn tables_that_name_no_images_say_what_to_do() {
    let folder = pictures(12);
    // Paths that lead nowhere, and nothing else to learn from.
    let told = message(opened(&folder, lines("file,kind", 12, |i| format!("elsewhere/{i}.png,k{}", i % 2))));
    for words in ["column 'file' names images", "'elsewhere/0.png'", "deepfit train FOLDER --labels TABLE"] {
        assert!(told.contains(words), "`{words}` is not in {told}");
    }
    // With other columns it is a table like any other, which a note says.
    let table = lines("file,a,b,kind", 40, |i| format!("x/{i}.png,{},{},k{}", i * 7 % 5, i * 3 % 7, i % 2));
    let data = opened(&folder, table).unwrap();
    assert!(!data.is_images() && data.describe().join("\n").contains("'x/0.png' is not beside the table"));
    // Addresses of the web are no files.
    let table = lines("link,a,kind", 40, |i| format!("https://example.org/{i}.png,{},k{}", i % 5, i % 2));
    assert!(!opened(&folder, table).unwrap().describe().join("\n").contains("beside the table"));

    let with = |table: &str| {
        let labels = Some(folder.write("labels.csv", table));
        open(&folder.path().join("pictures"), &OpenOptions { labels, ..OpenOptions::default() })
    };
    let told = message(with(&lines("a,b", 12, |i| format!("{}.5,k{}", i, i % 2))));
    assert!(told.contains("no column names image files of") && told.contains("its columns are a, b"), "{told}");
    let told = message(with("file\n0.png\n1.png\n"));
    assert!(told.contains("beside 'file', which names images, no column says"), "{told}");
}

#[test]
fn targets_that_cannot_be_learned_are_explained() {
    let folder = pictures(12);
    let table = |cell: &dyn Fn(usize) -> String| lines("file,kind", 12, |i| format!("pictures/{i}.png,{}", cell(i)));
    let target = |target: &str| OpenOptions { target: Some(target.to_string()), ..OpenOptions::default() };
    for (text, options, words) in [
        (table(&|_| "cat".into()), OpenOptions::default(), vec!["'kind' is 'cat' in every row"]),
        (table(&|_| "a|b".into()), OpenOptions::default(), vec!["'kind' is 'a, b' in every row"]),
        (
            table(&|i| if i == 4 { "NaN".into() } else { format!("{i}.5") }),
            OpenOptions::default(),
            vec!["row 5 (line 6)", "'kind'", "not a number"],
        ),
        (
            table(&|i| if i == 4 { "inf".into() } else { format!("{i}.5") }),
            OpenOptions::default(),
            vec!["row 5 (line 6)", "infinite"],
        ),
        (table(&|i| format!("k{}", i % 2)), target("knd"), vec!["no column 'knd'", "did you mean 'kind'?"]),
        (table(&|i| format!("k{}", i % 2)), target("file"), vec!["'file' is the column that names the images"]),
        (table(&|i| format!("k{}", i % 2)), target("kind,kind"), vec!["names 'kind' twice"]),
        (table(&|_| String::new()), OpenOptions::default(), vec!["0 usable row(s) with a target"]),
        (
            lines("file,a,b", 12, |i| format!("pictures/{i}.png,{},{}", i % 2, i % 3)),
            target("a,b"),
            vec!["row 3 (line 4)", "column 'b'", "'2' is neither 0 nor 1"],
        ),
        (
            lines("file,a,b", 12, |i| format!("pictures/{i}.png,{},1", i % 2)),
            OpenOptions { task: Some(TaskKind::Classification), ..target("a,b") },
            vec!["row 2 has a 1 in 2 of the target columns"],
        ),
        (
            lines("file,a,b", 12, |i| format!("pictures/{i}.png,{},1", i % 2)),
            OpenOptions { task: Some(TaskKind::Regression), ..target("a,b") },
            vec!["regression has one target column, but 2"],
        ),
        ("file,kind\n".to_string() + "pictures/0.png,a\n", OpenOptions::default(), vec!["every row"]),
        (
            lines("file,kind", 6, |i| format!("pictures/{i}.png,k{}", i % 2)),
            OpenOptions::default(),
            vec!["6 usable image(s), at least 10"],
        ),
    ] {
        let told = message(opened_with(&folder, &text, options));
        for words in words {
            assert!(told.contains(words), "`{words}` is not in {told}");
        }
    }
    // Rows without a target are left out, and told.
    let data = opened(&folder, table(&|i| if i == 4 { String::new() } else { format!("k{}", i % 2) })).unwrap();
    assert!(data.len() == 11 && data.describe().join("\n").contains("1 row without target"));
}

#[test]
fn what_is_for_tables_or_for_folders_is_told_apart() {
    let folder = Folder::with_classes(&["cat", "dog"], 10);
    let labels = Some(folder.write("labels.csv", "a,b\n1,2\n"));
    let table = folder.path().join("labels.csv");
    let told = message(open(&table, &OpenOptions { labels: labels.clone(), ..OpenOptions::default() }));
    assert!(told.contains("'labels'") && told.contains("is a table"), "{told}");
    let archive = Some(folder.path().join("cat"));
    let told = message(open(folder.path(), &OpenOptions { labels: archive, ..OpenOptions::default() }));
    assert!(told.contains("is a folder or an archive, and no table"), "{told}");
    let task = Some(TaskKind::MultiLabel);
    let told = message(open(&folder.path().join("cat"), &OpenOptions { task, ..OpenOptions::default() }));
    assert!(told.contains("see --labels"), "{told}");
    // Images side by side with a table of them: the table is what to train on.
    std::fs::rename(&table, folder.path().join("cat/about.csv")).unwrap();
    let told = message(open(&folder.path().join("cat"), &OpenOptions::default()));
    assert!(told.contains("about.csv' says what is on them"), "{told}");
}

#[test]
fn a_file_in_several_rows_stays_on_one_side() {
    let folder = pictures(20);
    let table = lines("file,kind", 40, |i| format!("pictures/{}.png,{}", i / 2, ["cat", "dog"][i % 2]));
    let data = opened(&folder, table).unwrap();
    let told = data.describe().join("\n");
    assert!(told.contains("20 images are named by more than one row"), "{told}");
    let split = data.split(&SplitOptions::seeded(5)).unwrap();
    let part_of = |row: u32| [&split.train, &split.validation, &split.test].iter().position(|p| p.contains(&row));
    assert!((0..20).all(|i| part_of(2 * i) == part_of(2 * i + 1)));
    let again = data.restore_split(&data.save_split(&split)).unwrap();
    assert_eq!((again.train, again.validation, again.test), (split.train, split.validation, split.test));
}

#[test]
fn every_part_has_its_share_of_a_rare_label() {
    let folder = pictures(200);
    let table = lines("file,tags", 200, |i| {
        let tags = if i % 20 == 0 {
            "rare|common"
        } else if i % 3 == 0 {
            "common|other"
        } else {
            "other"
        };
        format!("pictures/{i}.png,{tags}")
    });
    let data = opened(&folder, table).unwrap();
    let rare = |rows: &[u32]| rows.iter().filter(|&&row| data.labels_of(row).contains(&2)).count();
    for seed in 1..6 {
        let split = data.split(&SplitOptions::seeded(seed)).unwrap();
        assert_eq!([rare(&split.train), rare(&split.validation), rare(&split.test)], [7, 1, 2], "seed {seed}");
    }
}

/// The preprocessor as it is read back from a model.
fn reread(data: &Dataset) -> Preprocessor {
    let rows: Vec<u32> = (0..data.len() as u32).collect();
    Preprocessor::from_json(&data.prepare(&rows).unwrap().preprocessor.to_json()).unwrap()
}

fn batch_of(opened: &Opened) -> Batch {
    all(&*opened.source)
}

fn write(folder: &Folder, name: &str, text: &str) -> std::path::PathBuf {
    folder.write(name, text)
}

#[test]
fn a_model_is_evaluated_on_such_a_table() {
    let folder = pictures(20);
    let data = opened(&folder, lines("file,w", 20, |i| format!("pictures/{i}.png,{}.5", 10 * i))).unwrap();
    let model = reread(&data);
    let scale = model.target_scale().unwrap();
    let table = write(&folder, "new.csv", "w,picture\n20.0,pictures/3.png\n,pictures/4.png\n40.0,pictures/5.png\n");
    let opened_again = model.open_labelled(&table, 2).unwrap();
    let values: Vec<f64> =
        batch_of(&opened_again).targets.as_f32().unwrap().iter().map(|&x| scale.inverse(f64::from(x))).collect();
    assert!((values[0] - 20.0).abs() < 1e-3 && (values[1] - 40.0).abs() < 1e-3 && values.len() == 2, "{values:?}");
    assert!(opened_again.names[1].ends_with("5.png") && opened_again.notes[0].contains("1 row without target"));
    // A folder says no numbers.
    let told = message(model.open_labelled(&folder.path().join("pictures"), 1));
    assert!(told.contains("says no more of images than a class") && told.contains("the numbers of 'w'"), "{told}");
    let told = message(model.open_labelled(&write(&folder, "bad.csv", "file,v\npictures/3.png,1\n"), 1));
    assert!(told.contains("lacks the column 'w'"), "{told}");
    let told = message(model.open_labelled(&write(&folder, "bad.csv", "file,w\npictures/3.png,x\n"), 1));
    assert!(told.contains("is not a number"), "{told}");
    // The folder apart from the table.
    let table = write(&folder, "apart.csv", "file,w\n3,20.0\n4,30.0\n");
    let opened_again = model.open_images_with(&folder.path().join("pictures"), &table, 1).unwrap();
    assert_eq!(opened_again.rows.len(), 2);
    // New images need no table.
    assert_eq!(model.open_inputs(&[folder.path().join("pictures")], 1).unwrap().rows.len(), 20);
}

#[test]
fn labels_of_an_evaluation_must_be_known() {
    let folder = pictures(20);
    let data =
        opened(&folder, lines("file,tags", 20, |i| format!("pictures/{i}.png,{}", ["a;b", "b"][i % 2]))).unwrap();
    let model = reread(&data);
    let table = write(&folder, "new.csv", "file,tags\npictures/3.png,a;b\npictures/4.png,\npictures/5.png,b\n");
    let batch = batch_of(&model.open_labelled(&table, 1).unwrap());
    assert_eq!(batch.targets, Array::F32(vec![1.0, 1.0, 0.0, 0.0, 0.0, 1.0]));
    let table = write(&folder, "new.csv", "file,tags\npictures/3.png,a;zebra\n");
    let told = message(model.open_labelled(&table, 1));
    assert!(told.contains("'zebra'") && told.contains("a, b") && told.contains("new.csv"), "{told}");
    let table = write(&folder, "new.csv", "file,tags\ngone.png,a\nalso.png,b\npictures/3.png,b\n");
    let told = message(model.open_labelled(&table, 1));
    assert!(told.contains("2 of 3 images"), "{told}");
}

#[test]
fn a_model_of_class_folders_is_evaluated_on_a_table_and_the_other_way_round() {
    let folder = Folder::with_classes(&["cat", "dog"], 10);
    let model = reread(&folder.open().unwrap());
    let table = folder.write("new.csv", "file,label\ncat/001.png,cat\ndog/002.png,dog\n");
    assert_eq!(batch_of(&model.open_labelled(&table, 1).unwrap()).targets, Array::I32(vec![0, 1]));
    let told = message(model.open_labelled(&folder.write("new.csv", "file,label\ncat/001.png,cow\n"), 1));
    assert!(told.contains("'cow'") && told.contains("cat, dog"), "{told}");
    let told = message(model.open_labelled(&folder.write("new.csv", "a,label\n1.5,cat\n"), 1));
    assert!(told.contains("a table of images"), "{told}");

    let all: String = (0..20).map(|i| format!("{}/{:03}.png,{0}\n", ["cat", "dog"][i % 2], i / 2)).collect();
    let data = open(&folder.write("all.csv", format!("file,label\n{all}")), &OpenOptions::default()).unwrap();
    let opened = reread(&data).open_labelled(Path::new(folder.path()), 1).unwrap();
    assert_eq!(opened.rows.len(), 20);
}
