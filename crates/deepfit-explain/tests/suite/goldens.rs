//! Grad-CAM and integrated gradients are Captum's, and Shapley values SHAP's.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use deepfit_data::{
    Array, ColumnKind, ColumnSpec, Encoding, Facet, ImagePreprocessor, Preprocessor, Scale, TablePreprocessor, Task,
    TextPreprocessor, Tokenizer,
};
use deepfit_explain::{Columns, OfRow, Rows, Subject, Unit, exact, grad_cam, integrated, last_convolution, sampled};
use deepfit_graph::Reference;
use deepfit_train::Owned;
use deepfit_zoo::{
    Block, EmbeddingConfig, ImageConfig, MlpConfig, ModelConfig, RecurrentCell, RecurrentTextConfig, ResnetConfig,
    TextHead,
};

use crate::golden::{Golden, close};

fn numbers(golden: &Golden, name: &str) -> Vec<f32> {
    golden.get(name).data.iter().map(|&x| x as f32).collect()
}

fn integers(golden: &Golden, name: &str) -> Vec<i32> {
    golden.get(name).data.iter().map(|&x| x as i32).collect()
}

fn weights(golden: &Golden) -> BTreeMap<String, Owned> {
    let owned = |array: &Reference| Owned {
        shape: array.shape.clone(),
        values: array.data.iter().map(|&x| x as f32).collect(),
    };
    golden.under("param.").into_iter().map(|(name, array)| (name, owned(array))).collect()
}

fn task(classes: usize) -> Task {
    Task::Classification { classes: (0..classes).map(|class| class.to_string()).collect() }
}

fn classes(golden: &Golden) -> Vec<usize> {
    serde_json::from_value(golden.config["classes"].clone()).unwrap()
}

/// Fails unless the values are a row of an array, to within a share of its largest.
#[track_caller]
fn same_row(golden: &Golden, name: &str, row: usize, found: &[f64], tolerance: f64) {
    let expected = &golden.get(name).data[row * found.len()..(row + 1) * found.len()];
    let reference = |values: &[f64]| Reference::new(&[values.len()], values.to_vec());
    let (found, expected) = (reference(found), reference(expected));
    close(&format!("{name} of row {row}"), &found, &expected, tolerance);
}

#[test]
fn pictures_are_explained_as_by_captum() {
    let golden = Golden::read("explain-resnet");
    let config = ModelConfig::Resnet(ResnetConfig {
        image: ImageConfig::new(16, 16, 3),
        outputs: 10,
        block: Block::Basic,
        depths: vec![1, 1],
        widths: vec![8, 16],
        small_stem: true,
    });
    let preprocessor = Preprocessor::Image(ImagePreprocessor {
        version: ImagePreprocessor::VERSION,
        height: 16,
        width: 16,
        channels: 3,
        resize: None,
        task: task(10),
        target_scale: None,
        columns: None,
    });
    let mut subject = Subject::with_weights(&config, preprocessor, &weights(&golden), 2).unwrap();
    let layer = last_convolution(&subject).unwrap();
    assert!(layer.starts_with("layer2"), "{layer}");
    let pixels = numbers(&golden, "input");
    for (row, (pixels, class)) in pixels.chunks(pixels.len() / 2).zip(classes(&golden)).enumerate() {
        let image = Rows { len: 1, sequence: 1, inputs: vec![Array::F32(pixels.to_vec())] };
        let black = Rows { inputs: vec![Array::F32(vec![0.0; pixels.len()])], ..image.clone() };
        let logits: Vec<f64> = subject.logits(&image).unwrap()[0].iter().map(|&x| f64::from(x)).collect();
        same_row(&golden, "logits", row, &logits, 1e-4);
        let map = grad_cam(&mut subject, &image, &layer, class).unwrap();
        assert_eq!((map.height, map.width), (8, 8));
        same_row(&golden, "grad_cam", row, &map.values, 1e-4);
        let found = integrated(&mut subject, &image, &black, class).unwrap();
        same_row(&golden, "integrated", row, &found.inputs[0], 1e-3);
        // The error of 50 points is the same where it is not that of rounding.
        let delta = golden.get("delta").data[row].abs();
        assert!((found.completeness_error - delta).abs() < 1e-5, "{} {delta}", found.completeness_error);
    }
}

/// Numbers as they are, and categories by their index.
fn as_it_is() -> Arc<TablePreprocessor> {
    let number = |i: usize| ColumnSpec {
        name: format!("number {i}"),
        kind: ColumnKind::Number,
        encoding: Encoding::Numeric {
            fill: 0.0,
            indicator: false,
            facets: vec![(Facet::Value, Scale::Standard { mean: 0.0, deviation: 1.0 })],
        },
    };
    let category = |words: usize| ColumnSpec {
        name: format!("one of {words}"),
        kind: ColumnKind::Category,
        encoding: Encoding::Category { words: (2..words).map(|word| word.to_string()).collect() },
    };
    Arc::new(TablePreprocessor {
        version: TablePreprocessor::VERSION,
        header: true,
        columns: (0..5).map(number).chain([category(4), category(7)]).collect(),
        target: "class".to_string(),
        task: task(3),
        target_scale: None,
        target_amount: None,
        labels: None,
    })
}

#[test]
fn rows_of_tables_are_explained_as_by_captum_and_shap() {
    let golden = Golden::read("explain-mlp");
    let config = ModelConfig::Mlp(MlpConfig {
        embeddings: vec![EmbeddingConfig::of(4), EmbeddingConfig::of(7)],
        hidden: vec![32],
        batch_norm: true,
        ..MlpConfig::new(5, 3)
    });
    let table = as_it_is();
    let mut subject = Subject::with_weights(&config, Preprocessor::Table(table.clone()), &weights(&golden), 2).unwrap();
    let columns = Columns::of(&table, subject.names());
    let of = |numeric: &str, category: &str, rows: usize| Rows {
        len: rows,
        sequence: 1,
        inputs: vec![Array::F32(numbers(&golden, numeric)), Array::I32(integers(&golden, category))],
    };
    let rows = of("input.numeric", "input.category", 3);
    let background = of("input.others.numeric", "input.others.category", 12);
    for (i, output) in classes(&golden).into_iter().enumerate() {
        let row = &rows.slice(i, i + 1);
        let unit = Unit::Probability;
        let prediction = subject.scores(row, output, unit).unwrap()[0];
        let mut of_row = OfRow { subject: &mut subject, columns: &columns, row, background: &background, output, unit };
        let found = exact(&mut of_row).unwrap();
        same_row(&golden, "shapley", i, &found.values, 1e-4);
        same_row(&golden, "expectation", i, &[found.expectation], 1e-5);
        // Drawn orders come near, and add up as exactly.
        let drawn = sampled(&mut of_row, 400).unwrap();
        for (value, expected) in drawn.values.iter().zip(&found.values) {
            assert!((value - expected).abs() < 0.03, "{drawn:?} {found:?}");
        }
        assert!((drawn.values.iter().sum::<f64>() - (prediction - found.expectation)).abs() < 1e-5);
        let baseline = columns.mean_row(row, &background);
        let found = integrated(&mut subject, row, &baseline, output).unwrap();
        same_row(&golden, "integrated", i, &columns.sums(&found.inputs), 1e-3);
        let delta = golden.get("delta").data[i].abs();
        assert!((found.completeness_error - delta).abs() < 1e-4, "{} {delta}", found.completeness_error);
    }
}

#[test]
fn tokens_are_explained_as_by_captum() {
    let golden = Golden::read("explain-gru");
    let config = ModelConfig::RecurrentText(RecurrentTextConfig {
        cell: RecurrentCell::Gru,
        vocab_size: 13,
        embedding_size: 6,
        hidden_size: 8,
        num_layers: 1,
        bidirectional: false,
        dropout: 0.0,
        head: TextHead::Classes(3),
    });
    let vocabulary: serde_json::Map<String, serde_json::Value> =
        (0..13).map(|id| (id.to_string(), id.into())).collect();
    let json = serde_json::json!({
        "version": "1.0", "added_tokens": [], "normalizer": null, "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "0"},
    });
    let tokenizer = Tokenizer::from_json(json.to_string().as_bytes(), Path::new("tokenizer.json")).unwrap();
    let preprocessor = TextPreprocessor::published(Arc::new(tokenizer), task(3), 100);
    let preprocessor = Preprocessor::Text(Box::new(preprocessor));
    let mut subject = Subject::with_weights(&config, preprocessor, &weights(&golden), 2).unwrap();
    let tokens = integers(&golden, "input.tokens");
    let length = tokens.len();
    let row = Rows { len: 1, sequence: length, inputs: vec![Array::I32(tokens), Array::I32(vec![length as i32])] };
    let found = integrated(&mut subject, &row, &row, classes(&golden)[0]).unwrap();
    same_row(&golden, "integrated", 0, &found.inputs[0], 1e-3);
    assert!(found.inputs[1].is_empty() && found.completeness_error < 1e-5, "{}", found.completeness_error);
}
