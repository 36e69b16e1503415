//! New data for a trained model: other column orders, no target, single files, damaged files.

use deepfit_data::{Batch, Error, OpenOptions, Pass, Preprocessor, open};

use crate::made::{Folder, all, everything, flowers, grey, message, photo, png, table};

fn trained() -> (Batch, Preprocessor) {
    let data = table(flowers(30)).unwrap();
    let rows: Vec<u32> = (0..30).collect();
    let text = data.prepare(&rows).unwrap().preprocessor.to_json();
    (everything(&data), Preprocessor::from_json(&text).unwrap())
}

/// The same table with its columns in another order, one more column, and another delimiter.
fn rearranged(with_target: bool) -> String {
    let mut text = String::new();
    for (i, line) in flowers(30).lines().enumerate() {
        let fields: Vec<&str> = line.split(',').collect();
        let extra = if i == 0 { "extra" } else { "?" };
        text += &format!("{};{extra};{};{}", fields[2], fields[0], fields[1]);
        text += &if with_target { format!(";{}\n", fields[3]) } else { "\n".into() };
    }
    text
}

#[test]
fn columns_are_found_by_name_and_the_target_may_be_missing() {
    let (expected, preprocessor) = trained();
    for with_target in [true, false] {
        let opened = preprocessor.read_inputs(rearranged(with_target).as_bytes(), "standard input").unwrap();
        assert!(!opened.source.has_targets());
        assert_eq!(all(opened.source.as_ref()).inputs, expected.inputs);
        assert_eq!((opened.names.len(), opened.names[7].as_str()), (30, "7"));
    }
}

#[test]
fn labelled_tables_give_the_same_targets() {
    let (expected, preprocessor) = trained();
    let folder = Folder::new();
    let path = folder.write("other.csv", rearranged(true));
    let opened = preprocessor.open_labelled(&path, 1).unwrap();
    assert_eq!(all(opened.source.as_ref()), expected);
    assert_eq!(opened.rows.len(), 30);
    let without = folder.write("without.csv", rearranged(false));
    assert!(
        matches!(preprocessor.open_labelled(&without, 1), Err(Error::NoColumn { column, .. }) if column == "species")
    );
}

#[test]
fn a_missing_feature_is_named_and_an_unseen_category_is_unknown() {
    let (_, preprocessor) = trained();
    let text = message(preprocessor.read_inputs("length,colour\n1.5,red\n".as_bytes(), "standard input"));
    assert!(text.contains("'width'") && text.contains("standard input"), "{text}");
    let opened = preprocessor.read_inputs("length,width,colour\n1.5,2,green\n,,\nodd,1,red\n".as_bytes(), "-").unwrap();
    let batch = all(opened.source.as_ref());
    assert_eq!(batch.inputs[1].as_i32().unwrap(), [1, 0, 3]);
    assert!(batch.inputs[0].as_f32().unwrap().iter().all(|x| x.is_finite()));
    let expected = [
        "'-', column 'length': 1 of 2 values is not a number and counted as missing, first 'odd' (line 4)",
        "'-', column 'colour': 1 value was not among the words known from training and taken as unknown, first 'green' \
         (line 2)",
    ];
    assert_eq!(opened.notes, expected);
    assert!(message(preprocessor.read_inputs("".as_bytes(), "-")).contains("is empty; the model was trained on"));
    assert!(matches!(
        preprocessor.read_inputs("length,width,colour\n1,inf,red\n".as_bytes(), "-"),
        Err(Error::Value { row: 1, .. })
    ));
}

#[test]
fn tables_without_header_are_read_with_and_without_their_target() {
    for target in [1, 3] {
        let row = |i: usize, with: bool| {
            let mut fields = vec![format!("{}.5", i * 7 % 31), (i * 5 % 13).to_string()];
            if with {
                fields.insert(target - 1, (i % 3).to_string());
            }
            fields.join(",") + "\n"
        };
        let full: String = (0..30).map(|i| row(i, true)).collect();
        let folder = Folder::new();
        let options = OpenOptions { target: Some(format!("column_{target}")), ..OpenOptions::default() };
        let data = open(&folder.write("data.csv", &full), &options).unwrap();
        let expected = everything(&data);
        let preprocessor = data.prepare(&(0..30).collect::<Vec<_>>()).unwrap().preprocessor;
        let bare: String = (0..30).map(|i| row(i, false)).collect();
        for text in [&full, &bare] {
            let opened = preprocessor.read_inputs(text.as_bytes(), "-").unwrap();
            assert_eq!(all(opened.source.as_ref()).inputs, expected.inputs, "target {target}");
        }
    }
}

#[test]
fn image_files_and_folders_are_read_with_an_error_for_each_bad_one() {
    let folder = Folder::with_classes(&["a", "b"], 6);
    let preprocessor = folder.open().unwrap().prepare(&[0]).unwrap().preprocessor;
    let inputs = Folder::new();
    let single = inputs.write("one.png", png(&grey(8, 8, 2, 1)));
    inputs.write("more/large.jpg", crate::made::encode(&photo(60, 40, 1), image::ImageFormat::Jpeg));
    inputs.write("more/readme.txt", "text");
    let text = inputs.write("note.txt", "text");
    let empty = inputs.write("empty.png", "");
    let cut = inputs.write("cut.bmp", &crate::made::encode(&photo(30, 30, 1), image::ImageFormat::Bmp)[..400]);
    let opened = preprocessor.open_inputs(&[single.clone(), inputs.path().join("more"), text, empty, cut], 2).unwrap();
    assert_eq!(opened.names.len(), 3);
    assert_eq!(opened.names[0], single.to_string_lossy());
    assert!(opened.names[1].ends_with("more/large.jpg"));
    let failed: Vec<&str> = opened.failed.iter().map(|(_, reason)| reason.as_str()).collect();
    assert_eq!(failed, ["the content is not an image", "the file is empty"]);
    let mut batch = Batch::new();
    opened.source.fill(&[0, 1, 2], Pass::Evaluate, &mut batch).unwrap();
    assert_eq!(batch.rows, [0, 1]);
    assert!(batch.failures[0].name.ends_with("cut.bmp"));
    let pixels = batch.inputs[0].as_u8().unwrap();
    assert_eq!(pixels[..64], grey(8, 8, 2, 1).to_luma8().into_raw());
}

#[test]
fn inputs_of_the_wrong_kind_are_refused() {
    let (_, preprocessor) = trained();
    assert!(message(preprocessor.open_inputs(&["/no/such.csv".into()], 1)).contains("does not exist"));
    assert!(message(preprocessor.open_inputs(&["a".into(), "b".into()], 1)).contains("one table at a time"));
    let images = Folder::with_classes(&["a", "b"], 6).open().unwrap().prepare(&[0]).unwrap().preprocessor;
    let text = message(images.read_inputs("a,b".as_bytes(), "standard input"));
    assert!(
        text.starts_with("'standard input' is read as a table; the model was trained on images of the classes a, b")
    );
    let empty = Folder::new();
    let text = message(images.open_inputs(&[empty.path().to_path_buf()], 1));
    assert!(text.contains("holds no images") && !text.contains("sub-folder"), "{text}");
    assert!(message(images.open_inputs(&["/no/such.png".into()], 1)).contains("does not exist"));
}

#[test]
fn an_input_that_is_missing_or_empty_does_not_keep_others_from_being_read() {
    let folder = Folder::with_classes(&["a", "b"], 6);
    let preprocessor = folder.open().unwrap().prepare(&[0]).unwrap().preprocessor;
    let good = folder.path().join("a/001.png");
    let missing = folder.path().join("missing.png");
    let torn = folder.write("torn.zip", "PK\x03\x04 and no more");
    let empty = Folder::new();
    let inputs = [missing, good.clone(), torn, empty.path().to_path_buf()];
    let opened = preprocessor.open_inputs(&inputs, 1).unwrap();
    assert_eq!(opened.names, [good.to_string_lossy()]);
    let failed: Vec<&str> = opened.failed.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(failed, [&inputs[0], &inputs[2], &inputs[3]].map(|path| path.to_str().unwrap()));
    for (place, words) in ["does not exist", "cannot be read as a zip archive", "no images"].iter().enumerate() {
        assert!(opened.failed[place].1.contains(words), "{:?}", opened.failed);
    }
    // Several inputs of which none is readable: each has its reason, and no row is left.
    let opened = preprocessor.open_inputs(&[inputs[0].clone(), inputs[2].clone()], 1).unwrap();
    assert_eq!((opened.rows.len(), opened.failed.len()), (0, 2));
}
