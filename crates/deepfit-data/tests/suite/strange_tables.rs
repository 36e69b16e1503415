//! Tables as people have them: line ends, amounts, counts, files that are no tables.

use deepfit_data::{AmountForm, ColumnKind, Error, OpenOptions, Opened, Preprocessor, Result, Task, open};

use crate::made::{Folder, all, everything, flowers, grey, message, png, table, zip};

fn fitted(text: &str) -> Preprocessor {
    let data = table(text).unwrap();
    let rows: Vec<u32> = (0..data.len() as u32).collect();
    let saved = data.prepare(&rows).unwrap().preprocessor.to_json();
    Preprocessor::from_json(&saved).unwrap()
}

fn read(preprocessor: &Preprocessor, text: &str) -> Result<Opened> {
    preprocessor.read_inputs(text.as_bytes(), "-")
}

#[test]
fn lines_are_counted_as_an_editor_counts_them() {
    let lines = ["a,b,y", "", "1.5,\"two", "lines\",0", "  ", "", "2.5,x,1", "3.5,x,0,extra", "4.5,x,1"];
    for end in ["\n", "\r\n", "\r"] {
        for mark in ["", "\u{feff}"] {
            let text = format!("{mark}{}", lines.join(end));
            match table(&text) {
                Err(Error::Ragged { row, line, .. }) => assert_eq!((row, line), (3, 8), "{text:?}"),
                other => panic!("{text:?}: {:?}", other.err()),
            }
        }
    }
    // Line ends across the pieces that a file is read in, and far into a file.
    let mut text = "a,b,y\r\n".to_string();
    (0..30_000).for_each(|i| text += &format!("{i}.25,\"x\r\ny\",{}\r\n", i % 2));
    text += "1,2\r\n";
    assert!(matches!(table(&text), Err(Error::Ragged { line: 60_002, .. })), "{}", message(table(&text)));
}

#[test]
fn unreadable_values_are_told_and_a_column_of_them_is_an_error() {
    let mut text = String::from("n,b,d,y\n");
    (0..30).for_each(|i| {
        text += &format!("{}.5,{},2024-01-{:02},{}\n", i * 7 % 31, ["yes", "no"][i / 2 % 2], 1 + i % 28, i % 2)
    });
    let model = fitted(&text);
    let opened = read(&model, "n,b,d\r\n1.5,yes,2024-01-01\r\n\"12,5x\",maybe,soon\r\nNA,,\r\n").unwrap();
    assert_eq!(opened.source.len(), 3);
    let expected = [("'n'", "not a number", "'12,5x'"), ("'b'", "not yes or no", "'maybe'"), ("'d'", "date", "'soon'")];
    assert_eq!(opened.notes.len(), 3);
    for (note, (column, kind, value)) in opened.notes.iter().zip(expected) {
        assert!(note.contains(column) && note.contains(kind) && note.contains(value), "{note}");
        assert!(note.contains("1 of 2 values") && note.contains("(line 3)"), "{note}");
    }
    let batch = all(opened.source.as_ref());
    let numbers = batch.inputs[0].as_f32().unwrap();
    let width = numbers.len() / 3;
    assert_eq!(numbers[width..2 * width], numbers[2 * width..]);
    let text = message(read(&model, "n,b,d\nx,yes,\ny,no,\n"));
    assert!(
        text.contains("'n'") && text.contains("none of its 2 values is a number") && text.contains("line 2"),
        "{text}"
    );
    assert!(read(&model, "n,b,d\n,yes,\nNA,no,\n").unwrap().notes.is_empty());
}

#[test]
fn amounts_are_numbers_in_training_and_prediction() {
    let mut text = String::from("price,size,rate,y\n");
    for i in 0..40 {
        let size = format!("{},{:03}.50", 1 + i % 9, i * 37 % 1000);
        text += &format!("\"${},{:03}\",\"{size}\",{}.5%,{}.5\n", 1 + i % 7, i * 91 % 1000, i * 7 % 31, i * i % 50);
    }
    let data = table(&text).unwrap();
    let amount = ColumnKind::Amount(AmountForm::DecimalPoint);
    let expected = ["price", "size", "rate"].map(|name| (name.to_string(), amount));
    assert_eq!(data.summary().columns, expected);
    let plain = text.replace(['$', '%'], "").replace("\",\"", "|").replace("%,", "|");
    let stripped: String = plain
        .lines()
        .map(|line| match line.split('|').collect::<Vec<_>>()[..] {
            [price, rest] => {
                let (size, rest) = rest.rsplit_once('"').unwrap();
                format!("{},{}{rest}\n", price.replace([',', '"'], ""), size.replace(',', ""))
            }
            _ => format!("{line}\n"),
        })
        .collect();
    assert_eq!(everything(&data), everything(&table(stripped).unwrap()));
    let model = fitted(&text);
    let inputs = all(read(&model, &text).unwrap().source.as_ref()).inputs;
    assert_eq!(inputs, everything(&data).inputs);
}

#[test]
fn decimal_commas_are_read_where_the_whole_column_has_them() {
    let rows = |size: &dyn Fn(usize) -> String, delimiter: &str| {
        let mut text = ["size", "b", "y"].join(delimiter) + "\n";
        (0..40).for_each(|i| {
            text += &([size(i), format!("{}", i * 7 % 31), ["u", "v"][i % 2].into()].join(delimiter) + "\n")
        });
        text
    };
    let plain = everything(&table(rows(&|i| format!("{}.25", i * 37 % 41), ",")).unwrap());
    for delimiter in [";", "\t"] {
        let text = rows(&|i| format!("{},25", i * 37 % 41), delimiter);
        assert_eq!(everything(&table(&text).unwrap()), plain, "{delimiter:?}");
    }
    // 1.234 beside 999,5 is above a thousand, though it could be read by itself.
    let thousands = |i: usize| if i.is_multiple_of(2) { format!("1.{:03}", 100 + i) } else { format!("{},5", 900 + i) };
    let data = table(rows(&thousands, ";")).unwrap();
    assert_eq!(data.summary().columns[0].1, ColumnKind::Amount(AmountForm::DecimalComma));
    let long = |i: usize| if i.is_multiple_of(2) { format!("1{:03}", 100 + i) } else { format!("{}.5", 900 + i) };
    assert_eq!(everything(&data), everything(&table(rows(&long, ";")).unwrap()));
}

#[test]
fn a_target_of_amounts_is_a_regression_and_is_read_again() {
    let mut text = String::from("a,price\n");
    (0..40).for_each(|i| text += &format!("{}.5,\"$1,{:03}\"\n", i * 7 % 31, i * 37 % 1000));
    let data = table(&text).unwrap();
    assert_eq!(data.task(), &Task::Regression);
    let folder = Folder::new();
    let opened = fitted(&text).open_labelled(&folder.write("more.csv", &text), 1).unwrap();
    assert_eq!(all(opened.source.as_ref()), everything(&data));
}

#[test]
fn counts_are_numbers_and_codes_are_classes() {
    let kind = |values: &[usize]| {
        let mut text = String::from("a,y\n");
        values.iter().enumerate().for_each(|(i, y)| text += &format!("{}.5,{y}\n", i * 7 % 31));
        let data = table(text).unwrap();
        (matches!(data.task(), Task::Classification { .. }), data.describe()[1].clone())
    };
    let spread = |counts: &[usize]| -> Vec<usize> {
        counts.iter().enumerate().flat_map(|(value, &rows)| std::iter::repeat_n(value, rows)).collect()
    };
    // Counts: a Poisson distribution of mean 3, and thirteen values of equal frequency.
    let (classes, text) = kind(&spread(&[25, 75, 112, 112, 84, 50, 25, 11, 4, 1, 1]));
    assert!(!classes && text.contains("task=classification"), "{text}");
    assert!(!kind(&spread(&[180, 180, 90, 30, 16, 3, 1])).0);
    assert!(!kind(&(0..500).map(|i| i % 13).collect::<Vec<_>>()).0);
    assert!(!kind(&(0..60).map(|i| [100, 200, 300, 700][i % 4]).collect::<Vec<_>>()).0);
    assert!(!kind(&(0..60).map(|i| 2019 + i % 5).collect::<Vec<_>>()).0);
    assert!(!kind(&spread(&[57, 127, 137, 100, 34, 36, 4, 5])).0);
    assert!(!kind(&spread(&[0, 0, 0, 10, 53, 681, 638, 199, 18])).0);
    // Codes: seven kinds of trees of which some are rare, two values, rare third ones, marks from 1 to 10, with a gap.
    assert!(kind(&(0..60).map(|i| i % 2).collect::<Vec<_>>()).0);
    assert!(kind(&spread(&[0, 100, 100, 1])).0);
    assert!(kind(&spread(&[0, 212, 283, 36, 3, 10, 17, 21])).0);
    let (classes, text) = kind(&(0..500).map(|i| 1 + i % 10).collect::<Vec<_>>());
    assert!(classes && text.contains("task=regression"), "{text}");
    assert!(kind(&(0..60).map(|i| [1, 2, 3, 4, 5, 7][i % 6]).collect::<Vec<_>>()).0);
}

#[test]
fn targets_beyond_32_bits_and_headers_that_are_not_utf8_are_named() {
    let with = |y: &str| {
        let mut text = String::from("a,y\n");
        (0..30).for_each(|i| text += &format!("{}.5,{}.5\n", i * 7 % 31, i * i));
        message(table(text + &format!("1.5,{y}\n")))
    };
    let text = with("1e300");
    assert!(text.contains("row 31 (line 32)") && text.contains("'y'") && text.contains("logarithm"), "{text}");
    let text = message(table(b"gr\xf6\xdfe,y\n1,2\n"));
    assert!(text.contains("header, byte 2"), "{text}");
}

#[test]
fn files_of_another_kind_say_what_is_needed() {
    let folder = Folder::new();
    let model = fitted(&flowers(30));
    let picture = folder.write("picture.csv", png(&grey(8, 8, 1, 1)));
    let book = folder.write("book.xlsx", zip(&[("xl/workbook.xml", b"<x/>".to_vec())]));
    let header = folder.write("header.csv", "length,width,colour,species\n");
    let wide = folder.write("wide.csv", b"\xFF\xFEa\0,\0b\0\n\0");
    let good = folder.write("good.csv", flowers(30));
    for (path, what) in
        [(folder.path().to_path_buf(), "a folder"), (picture.clone(), "a PNG image"), (book, "Excel"), (wide, "UTF-16")]
    {
        for text in [message(model.open_inputs(std::slice::from_ref(&path), 1)), message(model.open_labelled(&path, 1))]
        {
            assert!(text.contains(what) && text.contains("with the columns length, width, colour: give"), "{text}");
        }
    }
    let none = "has a header (columns length, width, colour, species) and no rows below it";
    assert!(message(model.open_inputs(std::slice::from_ref(&header), 1)).contains(none));
    assert!(message(model.open_labelled(&header, 1)).contains(none));
    assert!(message(open(&header, &OpenOptions::default())).contains(none));
    assert!(message(open(&picture, &OpenOptions::default())).contains("it is a PNG image"));
    let images = Folder::with_classes(&["cat", "dog"], 6).open().unwrap().prepare(&[0]).unwrap().preprocessor;
    for text in [message(images.open_inputs(std::slice::from_ref(&good), 1)), message(images.open_labelled(&good, 1))] {
        assert!(text.contains("good.csv") && text.contains("images of the classes cat, dog: give"), "{text}");
    }
}

#[test]
fn a_nul_byte_in_text_is_told_with_its_row() {
    let folder = Folder::new();
    let mut rows: Vec<String> = flowers(40).lines().map(str::to_string).collect();
    // Far behind what is looked at to tell what the file is, too.
    let many = |rows: &[String]| format!("{}\n{}", rows[0], (rows[1..].join("\n") + "\n").repeat(200));
    let end = folder.write("end.csv", many(&rows) + "1.5,2,re\0d,setosa\n");
    let text = message(open(&end, &OpenOptions::default()));
    assert!(text.contains("end.csv', row 8001 (line 8002): holds a NUL byte") && text.contains("tr -d"), "{text}");
    rows[7].push('\0');
    for (name, text) in [("few.csv", rows.join("\n")), ("quoted.csv", rows.join("\n").replacen("1", "\"1\"", 1))] {
        let path = folder.write(name, text);
        let text = message(open(&path, &OpenOptions::default()));
        assert!(text.contains("row 7 (line 8): holds a NUL byte"), "{text}");
    }
    rows[0].insert(2, '\0');
    let path = folder.write("header.csv", rows.join("\n"));
    let text = message(open(&path, &OpenOptions::default()));
    assert!(text.contains("header (line 1): holds a NUL byte"), "{text}");
    // Half of it NUL bytes is no text at all.
    let wide: Vec<u8> = flowers(40).bytes().flat_map(|byte| [byte, 0]).collect();
    let path = folder.write("wide.csv", wide);
    assert!(message(open(&path, &OpenOptions::default())).contains("binary, not text"));
}

#[test]
fn single_things_are_told_in_the_singular() {
    let folder = Folder::with_classes(&["a", "b"], 12);
    folder.write("c/1.png", png(&grey(8, 8, 99, 7)));
    folder.write("readme.txt", "text");
    let data = folder.open().unwrap();
    let lines = data.describe();
    assert!(lines.iter().any(|line| line == "ignored 1 file that is not an image of a class"), "{lines:?}");
    let notes = data.split(&deepfit_data::SplitOptions::seeded(1)).unwrap().notes;
    assert!(notes.iter().any(|note| note.starts_with("1 class has a single example")), "{notes:?}");
}
