//! Tables: what is inferred, and what the network gets.

use deepfit_data::{
    ColumnKind, DateForm, Encoding, OpenOptions, Preprocessor, Scale, Scaling, TablePreprocessor, Task, TaskKind,
};

use crate::made::{all, everything, flowers, table, table_with};

fn fitted(data: &deepfit_data::Dataset, rows: &[u32]) -> TablePreprocessor {
    match data.prepare(rows).unwrap().preprocessor {
        Preprocessor::Table(table) => (*table).clone(),
        Preprocessor::Image(_) | Preprocessor::Text(_) => panic!("a table was opened"),
    }
}

fn all_rows(data: &deepfit_data::Dataset) -> Vec<u32> {
    (0..data.len() as u32).collect()
}

#[test]
fn columns_are_inferred_by_their_values() {
    let mut text = String::from("id,day,when,us,price,open,city,remark,always,nothing,target\n");
    for i in 0..40 {
        text += &format!(
            "{i},2024-01-{:02},{}.2.2023,{}/28/2023,{}.25,{},{},the quick brown fox number {i} jumps,same,,{}\n",
            1 + i % 28,
            1 + i % 28,
            1 + i % 12,
            i * 3 % 17,
            if i % 3 == 0 { "yes" } else { "no" },
            ["Paris", "Rome", "Oslo"][i % 3],
            i as f64 * 1.5
        );
    }
    // Left alone, texts are a column that is not used.
    let data = table_with(text, &OpenOptions { text: Some("none".to_string()), ..OpenOptions::default() }).unwrap();
    let columns = &data.summary().columns;
    let expected = [
        ("day", ColumnKind::Date(DateForm::YearFirst)),
        ("when", ColumnKind::Date(DateForm::DayFirst)),
        ("us", ColumnKind::Date(DateForm::MonthFirst)),
        ("price", ColumnKind::Number),
        ("open", ColumnKind::Boolean),
        ("city", ColumnKind::Category),
    ];
    assert_eq!(columns.iter().map(|(n, k)| (n.as_str(), *k)).collect::<Vec<_>>(), expected);
    let dropped: Vec<&str> = data.summary().dropped_columns.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(dropped, ["id", "remark", "always", "nothing"]);
    assert_eq!(data.task(), &Task::Regression);
    let names = fitted(&data, &all_rows(&data)).numeric_names();
    assert_eq!(names[..4], ["day", "day weekday sine", "day weekday cosine", "when"]);
    let lines = data.describe();
    assert!(lines[0].contains("40 rows, 6 features") && lines[1].contains("regression of 'target'"), "{lines:?}");
}

#[test]
fn dates_become_days_and_angles_of_what_comes_round_where_it_varies() {
    let mut text = String::from("at,y\n");
    let stamp = |i: usize| format!("2024-{:02}-{:02} {:02}:30", 1 + i % 12, 1 + i % 28, i % 24);
    (0..48).for_each(|i| text += &format!("{},{}\n", stamp(i), i % 2));
    let data = table(&text).unwrap();
    let names = fitted(&data, &all_rows(&data)).numeric_names();
    let angles = ["month sine", "month cosine", "weekday sine", "weekday cosine", "hour sine", "hour cosine"];
    let expected: Vec<String> =
        std::iter::once("at".to_string()).chain(angles.map(|name| format!("at {name}"))).collect();
    assert_eq!(names, expected, "all are of one year");
    let told = data.describe().join("\n");
    assert!(told.contains("dates become days passed") && told.contains("'at'"), "{told}");
    // At prediction, too: a midnight hour lies between the last and the first hour, and a year later nothing but the days and
    // the weekday differ.
    let model = data.prepare(&all_rows(&data)).unwrap().preprocessor;
    let rows = "at\n2024-03-05 23:00\n2024-03-05 00:00\n2024-03-05 01:00\n2025-03-05 01:00\n";
    let batch = all(model.read_inputs(rows.as_bytes(), "-").unwrap().source.as_ref());
    let rows: Vec<&[f32]> = batch.inputs[0].as_f32().unwrap().chunks(names.len()).collect();
    let apart = |a: usize, b: usize| (5..7).map(|i| (rows[a][i] - rows[b][i]).powi(2)).sum::<f32>();
    assert!((apart(0, 1) - apart(1, 2)).abs() < 1e-4 && apart(0, 1) < apart(0, 2), "{rows:?}");
    assert_eq!(rows[2][1..3], rows[3][1..3]);
    assert!(rows[2][0] < rows[3][0]);
}

#[test]
fn delimiters_quotes_byte_order_marks_and_line_ends_do_not_matter() {
    let plain = everything(&table(flowers(12)).unwrap());
    for delimiter in ["\t", ";", "|"] {
        let text = format!("\u{FEFF}{}", flowers(12).replace(',', delimiter).replace('\n', "\r\n"));
        assert_eq!(everything(&table(text).unwrap()), plain, "{delimiter:?}");
    }
    let quoted = flowers(12).replace("red", "\"red, \"\"dark\"\"\nwine\"");
    let data = table(quoted).unwrap();
    assert_eq!(everything(&data).inputs[0], plain.inputs[0]);
    let decimal_commas = flowers(12).replace(',', ";").replace(".5", ",5");
    assert_eq!(everything(&table(decimal_commas).unwrap()), plain);
}

#[test]
fn the_target_is_the_one_asked_for_or_named_or_last() {
    let target = |header: &str, wanted: Option<&str>| {
        let mut text = format!("{header}\n");
        (0..30).for_each(|i| text += &format!("{}.5,{},{}.25\n", i % 7, i % 2, i % 11));
        let options = OpenOptions { target: wanted.map(Into::into), ..OpenOptions::default() };
        table_with(text, &options).unwrap().summary().target.clone().unwrap()
    };
    assert_eq!(target("a,b,c", None), "c");
    assert_eq!(target("a,Class,c", None), "Class");
    assert_eq!(target("y,Target,c", None), "Target");
    assert_eq!(target("a,b,c", Some("b")), "b");
}

#[test]
fn the_task_is_inferred_from_the_target_and_can_be_forced() {
    let task = |value: &dyn Fn(usize) -> String, kind: Option<TaskKind>| {
        let mut text = String::from("a,target\n");
        (0..60).for_each(|i| text += &format!("{i}.5,{}\n", value(i)));
        table_with(text, &OpenOptions { task: kind, ..OpenOptions::default() }).map(|data| data.task().clone())
    };
    let classes = |names: &[&str]| Task::Classification { classes: names.iter().map(|n| n.to_string()).collect() };
    assert_eq!(task(&|i| (i % 3).to_string(), None).unwrap(), classes(&["0", "1", "2"]));
    assert_eq!(task(&|i| format!("{}.0", 10 - i % 3), None).unwrap(), classes(&["8", "9", "10"]));
    assert_eq!(task(&|i| ["no", "yes"][i % 2].into(), None).unwrap(), classes(&["no", "yes"]));
    assert_eq!(task(&|i| (i * i).to_string(), None).unwrap(), Task::Regression);
    assert_eq!(task(&|i| format!("{}.5", i % 2), None).unwrap(), Task::Regression);
    assert_eq!(task(&|i| (i % 3).to_string(), Some(TaskKind::Regression)).unwrap(), Task::Regression);
    assert_eq!(task(&|i| format!("{}.5", i % 2), Some(TaskKind::Classification)).unwrap(), classes(&["0.5", "1.5"]));
}

#[test]
fn missing_values_have_a_median_an_indicator_or_a_class_of_their_own() {
    let mut text = String::from("n,c,y\n");
    for (i, missing) in ["", "NA", "nan", "null", "?", "N/A", "none"].iter().enumerate() {
        text += &format!("{missing},{missing},{}\n", i % 2);
    }
    (0..20).for_each(|i| text += &format!("{},{},{}\n", i as f64 * 1.5, ["a", "b"][i % 2], i % 2));
    let data = table(text).unwrap();
    assert_eq!(data.summary().missing, [("n".to_string(), 7), ("c".to_string(), 7)]);
    let batch = everything(&data);
    let numeric = batch.inputs[0].as_f32().unwrap();
    let categories = batch.inputs[1].as_i32().unwrap();
    // The median of the values scales to 0.
    assert!((0..7).all(|row| numeric[2 * row] == 0.0 && numeric[2 * row + 1] == 1.0 && categories[row] == 0));
    assert!((7..27).all(|row| numeric[2 * row + 1] == 0.0 && categories[row] >= 2));
}

#[test]
fn rare_and_unseen_categories_share_the_unknown_index() {
    let mut text = String::from("n,c,y\n");
    (0..20).for_each(|i| text += &format!("{i}.5,{},{}\n", ["a", "b"][i % 2], i % 2));
    text += "7.25,once,0\n8.25,held,1\n8.5,held,0\n";
    let data = table(text).unwrap();
    let train: Vec<u32> = (0..21).collect();
    let prepared = data.prepare(&train).unwrap();
    let slot = &prepared.source.slots()[1];
    assert_eq!((slot.name.as_str(), &slot.cardinalities[..]), ("categories", &[4][..]));
    let batch = crate::made::all(prepared.source.as_ref());
    assert_eq!(batch.inputs[1].as_i32().unwrap()[18..], [2, 3, 1, 1, 1]);
}

#[test]
fn statistics_come_from_the_training_rows_alone() {
    let mut text = String::from("x,g,y\n");
    (0..20).for_each(|i| text += &format!("{i}.5,{},{}\n", ["a", "b"][i % 2], i * i));
    let changed = text.clone() + "1000000.5,zzz,1e9\n,zzz,-1e9\n";
    let train: Vec<u32> = (0..20).collect();
    let (alone, beside) = (table(text).unwrap(), table(changed).unwrap());
    assert_eq!(fitted(&alone, &train), fitted(&beside, &train));
    assert_ne!(fitted(&beside, &train), fitted(&beside, &all_rows(&beside)));
    let scale = alone.prepare(&train).unwrap().preprocessor.target_scale().unwrap();
    let mean = (0..20).map(|i| f64::from(i * i)).sum::<f64>() / 20.0;
    assert!((scale.mean - mean).abs() < 1e-9 && (scale.inverse(scale.forward(17.0)) - 17.0).abs() < 1e-9);
    let targets = everything(&alone);
    let targets = targets.targets.as_f32().unwrap();
    assert!(targets.iter().sum::<f32>().abs() < 1e-4);
    assert!((targets.iter().map(|t| t * t).sum::<f32>() / 20.0 - 1.0).abs() < 1e-4);
}

#[test]
fn each_scaling_is_fitted_and_survives_json() {
    for scaling in [Scaling::Standard, Scaling::Robust, Scaling::Quantile] {
        let data = table_with(flowers(30), &OpenOptions { scaling, ..OpenOptions::default() }).unwrap();
        let prepared = data.prepare(&all_rows(&data)).unwrap();
        let Preprocessor::Table(fitted) = &prepared.preprocessor else { panic!() };
        let Encoding::Numeric { facets, .. } = &fitted.columns[0].encoding else { panic!() };
        let kind = matches!(
            (&facets[0].1, scaling),
            (Scale::Standard { .. }, Scaling::Standard)
                | (Scale::Robust { .. }, Scaling::Robust)
                | (Scale::Quantile { .. }, Scaling::Quantile)
        );
        assert!(kind);
        let numbers = everything(&data);
        let numbers = numbers.inputs[0].as_f32().unwrap();
        assert!(numbers.iter().all(|x| x.abs() < 3.5) && numbers.iter().any(|x| x.abs() > 0.5));
        assert_eq!(Preprocessor::from_json(&prepared.preprocessor.to_json()).unwrap(), prepared.preprocessor);
    }
}

#[test]
fn rows_without_target_are_left_out_and_keep_their_numbers() {
    let text = flowers(12).replace("1.5,7,red,virginica", "1.5,7,red,");
    let data = table(text).unwrap();
    assert_eq!((data.len(), data.summary().dropped_rows), (11, 1));
    assert_eq!(data.row_id(1), deepfit_data::RowId::Row(2));
    assert!(data.describe().iter().any(|line| line.contains("1 row without target is left out")));
}

#[test]
fn tables_without_header_get_numbered_columns() {
    let mut text = String::new();
    (0..30).for_each(|i| text += &format!("{}.5,{},{}\n", i * 7 % 31, i * 5 % 13, i % 3));
    let data = table(text).unwrap();
    assert_eq!((data.len(), data.summary().target.as_deref()), (30, Some("column_3")));
}

#[test]
fn a_first_row_whose_values_come_again_is_no_header_unless_it_names_numbers() {
    let names = |header: &str| {
        let mut text = format!("{header}\n");
        (0..40).for_each(|i| text += &format!("{}.5,{}.25,{}\n", i * 7 % 31, i % 9, ["red", "white"][i % 2]));
        let data = table(text).unwrap();
        (data.len(), data.summary().target.clone().unwrap())
    };
    assert_eq!(names("5.1,3.5,red"), (41, "column_3".to_string()));
    assert_eq!(names("5.1,3.5,blue"), (40, "blue".to_string()));
    // A column of numbers has a name, and so have those beside one with a usual name.
    assert_eq!(names("width,3.5,red"), (40, "red".to_string()));
    assert_eq!(names("1,2,label"), (40, "label".to_string()));
    assert_eq!(names("0,1,2"), (40, "2".to_string()));
    let of = |header: &str, row: &dyn Fn(usize) -> String| {
        let lines: String = (0..60).map(|i| row(i) + "\n").collect();
        table(format!("{header}\n{lines}")).unwrap().len()
    };
    let kinds = |i: usize| ["spam", "ham"][i % 2];
    let text = |i: usize| format!("a message of several words, number {i}").replace(',', "");
    for (header, count) in [("message,spam", 60), ("0,1", 60), ("hello to all of you,ham", 61)] {
        assert_eq!(of(header, &|i| format!("{},{}", text(i), kinds(i))), count, "{header}");
    }
    // A class that is met nowhere else is a name.
    assert_eq!(
        of("one,two,outcome", &|i| format!("{},{},{}", ["one", "x"][i % 2], ["o", "two"][i % 3 / 2], kinds(i))),
        60
    );
}

#[test]
fn a_first_text_of_any_length_or_with_a_single_quote_is_a_text() {
    let long = format!("\"{}\"", "and more of it, \n".repeat(20_000));
    for first in ["\"it begins with a quote that nothing closes", &long] {
        let mut text = format!("text,label\n{first},a\n");
        (0..3000).for_each(|i| text += &format!("the sentence number {i} of this text,{}\n", ["a", "b"][i % 2]));
        let data = table(text).unwrap();
        assert!(data.is_texts() && data.len() == 3001, "{}", data.len());
    }
}

/// Lines of a class and a sentence, without header, in one of which a quote opens that nothing closes.
#[test]
fn texts_with_single_quotes_and_their_classes_before_them_are_all_read() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/sentences.tsv");
    let data = deepfit_data::open(&path, &OpenOptions::default()).unwrap();
    let classes = ["algebra", "graphs", "learning", "tables"].map(str::to_string).to_vec();
    assert_eq!((data.len(), data.task()), (1760, &Task::Classification { classes }));
    assert_eq!(data.summary().class_counts, [440; 4]);
}

#[test]
fn a_column_of_numbers_with_a_few_odd_words_is_numeric() {
    let mut text = String::from("a,y\n");
    (0..60).for_each(|i| text += &format!("{},{}\n", if i == 30 { "broken".into() } else { format!("{i}.5") }, i % 2));
    let data = table(text).unwrap();
    assert_eq!(data.summary().columns, [("a".to_string(), ColumnKind::Number)]);
    assert!(data.summary().notes.iter().any(|note| note.contains("broken")), "{:?}", data.summary().notes);
}

#[test]
fn a_column_that_counts_the_rows_is_used_if_the_target_follows_it_or_nothing_else_is_there() {
    let text = |header: &str, target: &dyn Fn(usize) -> String| {
        let mut text = format!("{header}\n");
        (0..60).for_each(|i| text += &format!("{i},{}.5,{}\n", i * 7 % 31, target(i)));
        text
    };
    let used = |text: String| -> Vec<String> {
        table(text).unwrap().summary().columns.iter().map(|(name, _)| name.clone()).collect()
    };
    let (shuffled, trend) = (|i: usize| format!("{}.25", i * 37 % 61), |i: usize| format!("{}.25", i + i * 7 % 20));
    assert_eq!(used(text("week,b,y", &shuffled)), ["b"]);
    assert_eq!(used(text("week,b,y", &trend)), ["b", "week"]);
    assert_eq!(used(text("row_id,b,y", &trend)), ["b"]);
    let lines = table(text("week,b,y", &trend)).unwrap().describe();
    assert!(lines.iter().any(|line| line.contains("'week' numbers the rows and is used")), "{lines:?}");
    let lines = table(text("week,b,y", &shuffled)).unwrap().describe();
    assert!(lines.iter().any(|line| line.contains("'week' (numbers the rows, and the target does not")), "{lines:?}");
    // Classes that become more frequent are a trend; rows sorted by class are an artefact.
    let more = |i: usize| ["no", "yes"][usize::from(i > 30) ^ usize::from(i.is_multiple_of(9))].to_string();
    assert_eq!(used(text("week,b,y", &more)), ["b", "week"]);
    assert_eq!(used(text("week,b,y", &|i| ["no", "yes"][i % 2].into())), ["b"]);
    assert_eq!(used(text("week,b,y", &|i| ["no", "yes"][i / 30].into())), ["b"]);
    let mut curve = String::from("x,y\n");
    (0..30).for_each(|i| curve += &format!("{i},{}.5\n", i * i));
    assert_eq!(used(curve), ["x"]);
}
