//! Tables that cannot be used: every message names the row, the column and what to do.

use deepfit_data::{Error, OpenOptions, TaskKind, open};

use crate::made::{Folder, flowers, message, table, table_with};

fn wanted(target: &str) -> OpenOptions {
    OpenOptions { target: Some(target.into()), ..OpenOptions::default() }
}

#[test]
fn ragged_rows_are_named_by_row_and_line() {
    let text = flowers(12).replace("3.5,10,blue,setosa", "3.5,10,blue,setosa,extra");
    match table(text) {
        Err(Error::Ragged { row: 4, line: 5, found: 5, expected: 4, delimiter: ',', .. }) => {}
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("accepted"),
    }
}

#[test]
fn text_that_is_not_utf8_is_named_by_row_and_byte() {
    let mut bytes = flowers(12).into_bytes();
    let at = bytes.windows(4).rposition(|w| w == b"blue").unwrap() + 2;
    bytes[at] = 0xE9;
    match table(&bytes) {
        Err(Error::NotUtf8 { row, byte, .. }) => assert_eq!((row, byte), (10, at as u64)),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("accepted"),
    }
    let utf16: Vec<u8> =
        std::iter::once(0xFEFFu16).chain(flowers(12).encode_utf16()).flat_map(u16::to_le_bytes).collect();
    assert!(message(table(utf16)).contains("UTF-16 text"));
}

#[test]
fn an_absent_target_names_the_columns_and_the_nearest() {
    let text = message(table_with(flowers(12), &wanted("Speices")));
    assert!(text.contains("did you mean 'species'") && text.contains("length, width, colour, species"), "{text}");
}

#[test]
fn columns_without_names_are_told_by_their_number() {
    let plain = flowers(12).lines().skip(1).collect::<Vec<_>>().join("\n");
    let absent = |target: &str| {
        let options = OpenOptions { header: Some(false), ..wanted(target) };
        message(table_with(&plain, &options))
    };
    let text = absent("9");
    assert!(text.contains("the 4 from column_1 to column_4") && !text.contains("did you mean"), "{text}");
}

#[test]
fn a_target_that_often_reads_as_missing_is_a_class() {
    let words = |word: &str, every: usize, others: usize| {
        let class = |i: usize| if i % every == 1 { word } else { ["animal", "plant"][i % 7 % others] };
        table((0..40).fold("a,label\n".to_string(), |text, i| text + &format!("{i}.5,{}\n", class(i))))
    };
    for word in ["none", "NA", "null", "nan", "N/A"] {
        let data = words(word, 2, 1).unwrap_or_else(|error| panic!("{word}: {error}"));
        let mut classes = data.task().classes().to_vec();
        classes.sort_by_key(|class| class != "animal");
        assert_eq!((data.len(), &classes[..]), (40, &["animal".to_string(), word.to_string()][..]));
        let notes = data.summary().notes.join("\n");
        assert!(notes.contains(&format!("'{word}' in 'label' is taken for a class, as 20 rows have it")), "{notes}");
    }
    // One row of 40 was left open, and so is what is empty.
    let data = words("NA", 40, 2).unwrap();
    assert_eq!((data.len(), data.task().classes().len()), (39, 2));
    assert_eq!(words("", 2, 2).unwrap().len(), 20);
}

#[test]
fn constant_targets_are_refused() {
    let constant: String = flowers(12).replace("virginica", "setosa").replace("other", "setosa");
    assert!(matches!(table(constant), Err(Error::ConstantTarget { value, .. }) if value == "setosa"));
    let mut numbers = String::from("a,y\n");
    (0..12).for_each(|i| numbers += &format!("{i}.5,4.25\n"));
    assert!(matches!(table(numbers), Err(Error::ConstantTarget { .. })));
}

#[test]
fn nan_and_infinity_are_named() {
    let regression = |bad: &str| {
        let mut text = String::from("a,y\n");
        (0..30).for_each(|i| text += &format!("{i}.25,{}\n", if i == 7 { bad.into() } else { format!("{i}.5") }));
        table(text)
    };
    for bad in ["NaN", "inf", "-Infinity", "1e999"] {
        match regression(bad) {
            Err(Error::Value { row: 8, line: 9, column, value, .. }) => {
                assert_eq!((&column[..], &value[..]), ("y", bad))
            }
            Err(other) => panic!("{bad}: {other}"),
            Ok(_) => panic!("{bad} was accepted"),
        }
    }
    assert_eq!(regression("NA").unwrap().len(), 29);
    let feature = flowers(30).replace("\n9.5,", "\ninf,");
    let text = message(table(feature));
    assert!(text.contains("row 10") && text.contains("'length'") && text.contains("infinite"), "{text}");
}

#[test]
fn words_in_a_regression_target_are_named() {
    let options = OpenOptions { task: Some(TaskKind::Regression), ..OpenOptions::default() };
    let text = message(table_with(flowers(12), &options));
    assert!(text.contains("row 1 ") && text.contains("'setosa'") && text.contains("species"), "{text}");
}

#[test]
fn too_few_rows_are_counted() {
    for (rows, found) in [(1, 1), (5, 5)] {
        match table(flowers(rows)) {
            Err(Error::TooFewRows { rows, least: 10, .. }) => assert_eq!(rows, found),
            Err(other) => panic!("{rows}: {other}"),
            Ok(_) => panic!("{rows} rows were accepted"),
        }
    }
}

#[test]
fn empty_files_duplicate_columns_and_single_columns_are_refused() {
    assert!(matches!(table(""), Err(Error::EmptyFile { .. })));
    assert!(matches!(table("\n  \n"), Err(Error::EmptyFile { .. })));
    let doubled = flowers(12).replace("length,width", "length,length");
    assert!(matches!(table(doubled), Err(Error::DuplicateColumn { first: 1, second: 2, .. })));
    let text = message(table("y\n1\n2\n3\n"));
    assert!(text.contains("only one column"), "{text}");
}

#[test]
fn tables_without_a_usable_feature_or_with_too_many_classes_are_refused() {
    let mut text = String::from("id,same,y\n");
    (0..30).for_each(|i| text += &format!("{i},x,{}\n", i % 2));
    let problem = message(table(text));
    assert!(problem.contains("'id' numbers the rows") && problem.contains("'same' is always 'x'"), "{problem}");
    let mut names = String::from("a,name\n");
    (0..30).for_each(|i| names += &format!("{i}.5,person{i}\n"));
    let problem = message(table(names));
    assert!(problem.contains("30 different values"), "{problem}");
}

#[test]
fn files_of_other_kinds_are_recognised() {
    let folder = Folder::new();
    let binary = folder.write("model.bin", [0u8, 1, 2, 3, 0, 0]);
    assert!(matches!(open(&binary, &OpenOptions::default()), Err(Error::UnknownFormat { .. })));
    let nothing = folder.write("data.csv", "");
    assert!(matches!(open(&nothing, &OpenOptions::default()), Err(Error::EmptyFile { .. })));
    let table = folder.write("good.csv", flowers(20));
    let options = OpenOptions { test: Some(folder.path().into()), ..OpenOptions::default() };
    assert!(matches!(open(&table, &options), Err(Error::UnknownFormat { .. })));
}

#[test]
fn validation_tables_must_have_the_same_columns_and_classes() {
    let folder = Folder::new();
    let train = folder.write("train.csv", flowers(20));
    let with = |text: String| {
        let options = OpenOptions { validation: Some(folder.write("other.csv", text)), ..OpenOptions::default() };
        open(&train, &options)
    };
    assert_eq!(with(flowers(6)).unwrap().len(), 26);
    assert!(
        matches!(with(flowers(6).replace("width", "breadth")), Err(Error::NoColumn { column, .. }) if column == "width")
    );
    assert!(
        matches!(with(flowers(6).replace("setosa", "new")), Err(Error::UnknownClass { class, .. }) if class == "new")
    );
    assert!(message(with(flowers(0))).contains("no rows below it"));
}

#[test]
fn damaged_and_newer_preprocessors_are_told_apart() {
    let text = table(flowers(20)).unwrap().prepare(&[0, 1, 2]).unwrap().preprocessor.to_json();
    assert!(matches!(deepfit_data::Preprocessor::from_json(&text[..text.len() / 2]), Err(Error::Damaged { .. })));
    let empty = text.replace("\"deviation\"", "\"other\"").replace("\"facets\": [", "\"facets\": [], \"unused\": [");
    assert!(matches!(deepfit_data::Preprocessor::from_json(&empty), Err(Error::Damaged { .. })));
    let images = Folder::with_classes(&["a", "b"], 6).open().unwrap().prepare(&[0]).unwrap().preprocessor.to_json();
    let flat = images.replace("\"height\": 8", "\"height\": 0");
    assert!(matches!(deepfit_data::Preprocessor::from_json(&flat), Err(Error::Damaged { .. })));
    let newer = text.replace("\"version\": 2", "\"version\": 9");
    assert!(matches!(deepfit_data::Preprocessor::from_json(&newer), Err(Error::NewerVersion { found: 9, .. })));
}
