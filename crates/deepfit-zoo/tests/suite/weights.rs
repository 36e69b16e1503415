//! Files of weights: what PyTorch and others wrote is read, whatever its type and strides.

use std::fs;
use std::path::{Path, PathBuf};

use deepfit_zoo::{Array, Weights};
use safetensors::tensor::{Dtype, TensorView};

pub fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(name)
}

fn array(shape: &[usize], values: &[f32]) -> Array {
    Array { shape: shape.to_vec(), values: values.to_vec() }
}

/// Names and shapes of a file.
fn shapes(weights: &Weights) -> Vec<(String, Vec<usize>)> {
    weights.iter().map(|(name, _, shape)| (name.to_string(), shape.to_vec())).collect()
}

#[test]
fn both_forms_of_torch_save_are_read_in_all_types_and_strides() {
    let whole: Vec<f32> = (0..24u8).map(f32::from).collect();
    // Axes in the order 2, 0, 1.
    let turned: Vec<f32> = (0..24).map(|i| (i % 3 * 4 + i / 3 % 2 * 12 + i / 6) as f32).collect();
    for name in ["zip.pth", "older.pth"] {
        let mut weights = Weights::open(&golden(name)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(weights.len(), 15, "{name}");
        let mut read = |tensor: &str| weights.read(tensor).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(read("whole"), array(&[2, 3, 4], &whole));
        assert_eq!(read("turned"), array(&[4, 2, 3], &turned));
        assert_eq!(read("part"), array(&[3, 2], &[13.0, 14.0, 17.0, 18.0, 21.0, 22.0]));
        assert_eq!(read("scalar"), array(&[], &[2.5]));
        assert_eq!(read("empty"), array(&[0, 3], &[]));
        assert_eq!(read("parameter"), array(&[1, 2], &[-1.0, 0.5]));
        for dtype in ["float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8"] {
            assert_eq!(read(dtype), array(&[3], &[0.0, 1.0, 3.0]), "{dtype}");
        }
        assert_eq!(read("bool"), array(&[3], &[0.0, 1.0, 1.0]));
    }
}

#[test]
fn weights_are_found_within_a_checkpoint() {
    for name in ["checkpoint.pt", "checkpoint-older.pt"] {
        let mut weights = Weights::open(&golden(name)).unwrap_or_else(|error| panic!("{error}"));
        let names: Vec<String> = shapes(&weights).into_iter().map(|(name, _)| name).collect();
        let expected =
            ["0.bias", "0.weight", "1.bias", "1.num_batches_tracked", "1.running_mean", "1.running_var", "1.weight"];
        assert_eq!(names, expected);
        assert_eq!(weights.read("0.weight").expect("a tensor"), array(&[2, 2], &[0.25; 4]));
        assert!(weights.notes()[0].contains("`model`"), "{:?}", weights.notes());
    }
}

#[test]
fn a_whole_module_is_refused_by_name() {
    let told = Weights::open(&golden("module-older.pt")).expect_err("an error").to_string();
    assert!(told.contains("`torch.nn.modules.linear.Linear`") && told.contains("state_dict"), "{told}");
}

/// Writes a safetensors file.
fn save(path: &Path, tensors: &[(&str, Dtype, Vec<usize>, Vec<u8>)]) {
    let views = tensors
        .iter()
        .map(|(name, dtype, shape, bytes)| (*name, TensorView::new(*dtype, shape.clone(), bytes).unwrap()));
    safetensors::serialize_to_file(views, None, path).expect("a file");
}

#[test]
fn safetensors_are_read_in_all_types() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("any-name");
    let half = [0x00, 0x3C, 0x00, 0xC0].to_vec();
    let tensors = [
        ("half", Dtype::F16, vec![2], half),
        ("brain", Dtype::BF16, vec![1, 2], [0x80, 0x3F, 0x00, 0xC0].to_vec()),
        ("whole", Dtype::I64, vec![2], [1i64, -2].iter().flat_map(|v| v.to_le_bytes()).collect()),
        ("wide", Dtype::F64, vec![2, 1], [1f64, -2.0].iter().flat_map(|v| v.to_le_bytes()).collect()),
        ("none", Dtype::F32, vec![0], Vec::new()),
    ];
    save(&path, &tensors);
    let mut weights = Weights::open(&path).expect("weights");
    for (name, _, shape, _) in &tensors[..4] {
        assert_eq!(weights.read(name).expect("a tensor"), array(shape, &[1.0, -2.0]), "{name}");
    }
    assert_eq!(weights.read("none").expect("a tensor"), array(&[0], &[]));
    let told = weights.read("other").expect_err("no such tensor").to_string();
    assert!(told.contains("`other`"), "{told}");
    save(&path, &[("eighth", Dtype::F8_E4M3, vec![1], vec![0])]);
    let told = Weights::open(&path).expect_err("a type that is not read").to_string();
    assert!(told.contains("`eighth`") && told.contains("F8_E4M3"), "{told}");
}

#[test]
fn a_model_in_several_files_is_read_by_its_index() {
    let folder = tempfile::tempdir().expect("a folder");
    let one = 1f32.to_le_bytes().to_vec();
    save(&folder.path().join("a.safetensors"), &[("x", Dtype::F32, vec![1], one.clone())]);
    save(&folder.path().join("b.safetensors"), &[("y", Dtype::F32, vec![1], one)]);
    let index = folder.path().join("model.safetensors.index.json");
    let open = |map: &str| {
        fs::write(&index, format!("{{\"metadata\": {{}}, \"weight_map\": {map}}}")).expect("a file");
        Weights::open(&index)
    };
    let mut weights = open("{\"x\": \"a.safetensors\", \"y\": \"b.safetensors\"}").expect("weights");
    assert_eq!(weights.read("y").expect("a tensor").values, [1.0]);
    for (map, expected) in [
        ("{\"x\": \"b.safetensors\"}", "'b.safetensors' holds `x`, but it does not"),
        ("{\"x\": \"c.safetensors\"}", "cannot read"),
        ("{\"x\": \"../a.safetensors\"}", "not beside it"),
        ("{\"x\": \"/etc/passwd\"}", "not beside it"),
        ("{\"x\": 3}", "no index of weights"),
        ("{\"x\": \"a.safetensors\", \"y\": \"a.safetensors\", \"z\": \"b.safetensors\"}", "b.safetensors' does"),
    ] {
        let told = open(map).expect_err(map).to_string();
        assert!(told.contains(expected), "{told}");
    }
}

#[test]
fn what_is_no_file_of_weights_is_told_by_what_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("weights");
    for (bytes, expected) in [
        (&b""[..], "is empty"),
        (b"hello, this is no model", "neither safetensors"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
        (b"\x89HDF\r\n\x1a\nrest of the file", "HDF5"),
        (b"{\"a\": 1}", "no index of weights"),
        (b"\x80\x04N.", "not one of `torch.save`"),
        (b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "without a `data.pkl`"),
        (b"PK\x03\x04", "zip archive"),
    ] {
        fs::write(&path, bytes).expect("a file");
        let told = Weights::open(&path).expect_err(expected).to_string();
        assert!(told.contains(expected) && told.contains("weights'"), "{told}");
    }
    assert!(Weights::open(folder.path()).expect_err("a folder").to_string().contains("is a folder"));
    assert!(Weights::open(&folder.path().join("no")).expect_err("nothing").to_string().contains("cannot read"));
}
