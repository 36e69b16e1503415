//! Running the program in a folder of its own.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Cursor, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A folder in which the program is run, removed at the end.
pub struct Place {
    folder: TempDir,
}

/// How a run of the program ended.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// An example's path.
pub fn example(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name);
    path.canonicalize().unwrap().to_str().unwrap().to_string()
}

impl Place {
    pub fn new() -> Place {
        Place { folder: TempDir::with_prefix("deepfit-test-").unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// The weights of a run, or of a file.
    pub fn weights(&self, name: &str) -> BTreeMap<String, Vec<f32>> {
        let path = self.path(name);
        let file = if path.is_dir() { path.join("model/model.safetensors") } else { path };
        let weights = deepfit::train::read_weights(&file).unwrap().0;
        weights.into_iter().map(|(name, tensor)| (name, tensor.values)).collect()
    }

    /// Where the program keeps what it can make again.
    pub fn cache(&self) -> PathBuf {
        self.path(".cache")
    }

    pub fn command<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_deepfit"));
        command.current_dir(self.folder.path()).args(arguments).env_remove("NO_COLOR").env("RUST_BACKTRACE", "1");
        command.env("DEEPFIT_CACHE", self.cache());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn start<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Child {
        self.command(arguments).spawn().unwrap()
    }

    pub fn run<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Ran {
        Ran::of(self.command(arguments).output().unwrap())
    }

    /// Runs with something on standard input.
    pub fn feed<A: AsRef<OsStr>>(&self, arguments: &[A], input: &[u8]) -> Ran {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        // A program that refuses its input does not read it.
        let _ = child.stdin.take().unwrap().write_all(input);
        Ran::of(child.wait_with_output().unwrap())
    }

    /// Runs `train` and expects it to refuse the input: exit code 2, a message with all `words`, nothing else, nothing
    /// written.
    pub fn refuses(&self, arguments: &[&str], words: &[&str]) {
        let before = listing(self.folder.path());
        let ran = self.run(&[&["train"], arguments].concat());
        ran.is_refusal(words);
        assert_eq!(listing(self.folder.path()), before, "something was written: {}", ran.err);
    }

    /// Trains quickly and gives the run folder, which is `out` in this place.
    pub fn trained(&self, data: &str, out: &str, more: &[&str]) -> PathBuf {
        let epochs: &[&str] = if more.contains(&"--epochs") { &[] } else { &["--epochs", "2"] };
        let arguments = [&["train", data, "--out", out, "--quiet"], epochs, more].concat();
        self.run(&arguments).succeeded();
        self.path(out)
    }
}

impl Ran {
    pub fn of(output: Output) -> Ran {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    #[track_caller]
    pub fn succeeded(self) -> Ran {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self
    }

    /// The one JSON value that standard output holds.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:#?}"))
    }

    #[track_caller]
    pub fn is_refusal(&self, words: &[&str]) {
        assert_eq!(self.code, Some(2), "{self:#?}");
        assert_eq!(self.out, "", "{self:#?}");
        assert!(self.err.starts_with("error: "), "{self:#?}");
        assert!(!self.err.contains("panicked") && !self.err.contains("backtrace"), "{self:#?}");
        for word in words {
            assert!(self.err.contains(word), "`{word}` is not in {}", self.err);
        }
    }
}

/// A metric of the test rows in the report of a run.
pub fn metric(report: &Value, name: &str) -> f64 {
    report["metrics"]["test"][name].as_f64().unwrap_or_else(|| panic!("no {name}: {report}"))
}

/// The labels of each row of a prediction.
pub fn labels_of(told: Ran) -> Vec<Vec<String>> {
    let rows = told.succeeded().json();
    let of = |row: &Value| serde_json::from_value(row["labels"].clone()).unwrap_or_else(|_| panic!("{row}"));
    rows.as_array().unwrap().iter().map(of).collect()
}

/// Paths of all files and folders below a folder, sorted.
pub fn listing(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry.clone());
            }
            found.push(entry);
        }
    }
    found.sort();
    found
}

/// Some of the digits, as names such as `3/11.png` and PNG files.
pub fn digits(classes: &[&str], each: usize) -> Vec<(String, Vec<u8>)> {
    let bytes = fs::read(example("digits.zip")).unwrap();
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    let names: Vec<String> =
        archive.file_names().map(|n| n.unwrap().into_owned()).filter(|n| n.ends_with(".png")).collect();
    let mut found = Vec::new();
    for class in classes {
        let of_class = names.iter().filter(|n| Path::new(n).parent().is_some_and(|p| p.ends_with(class)));
        for (number, name) in of_class.take(each).enumerate() {
            let mut png = Vec::new();
            archive.by_name(name).unwrap().read_to_end(&mut png).unwrap();
            found.push((format!("{class}/{number}.png"), png));
        }
    }
    assert_eq!(found.len(), classes.len() * each);
    found
}

/// An archive of the given entries, whatever their names.
pub fn zipped(entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        writer.start_file(name.as_str(), zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// A small table that can be learned from: `a`, `b` and the class `kind`.
pub fn table(rows: usize) -> String {
    let mut text = String::from("a,b,kind\n");
    for row in 0..rows {
        let (a, b) = (row * 7 % 19, row * 5 % 13);
        text.push_str(&format!("{a}.5,{b}.25,{}\n", if a + b > 14 { "large" } else { "small" }));
    }
    text
}

/// Reads standard error until a line tells of an epoch; the reader goes on with the rest.
pub fn wait_for_epoch(child: &mut Child) -> impl FnOnce() -> String + use<> {
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let seen = lines.by_ref().map(Result::unwrap).find(|line| line.contains("epoch 1/"));
    assert!(seen.is_some(), "no epoch was told");
    move || lines.map(Result::unwrap).collect::<Vec<_>>().join("\n")
}

/// Sends a signal such as `INT` to a process that this test started.
pub fn signal(child: &Child, name: &str) {
    let status = Command::new("sh").args(["-c", &format!("kill -{name} {}", child.id())]).status().unwrap();
    assert!(status.success());
}
