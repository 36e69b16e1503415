//! Fetching from a server of the test's own.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use deepfit_hub::{Hub, HubError};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// Files by name, with the hash that is announced for each.
type Files = BTreeMap<&'static str, (Vec<u8>, String)>;

/// What a server was asked: path, range, and token.
type Asked = Arc<Mutex<Vec<(String, String, String)>>>;

fn hash(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn file(bytes: &[u8]) -> (Vec<u8>, String) {
    (bytes.to_vec(), hash(bytes))
}

/// Starts a hub with one model, `org/net`. It ends with the test.
fn server(files: Files) -> (String, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let asked: Asked = Asked::default();
    let seen = asked.clone();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (files, seen) = (files.clone(), seen.clone());
            thread::spawn(move || while answer(&stream, &files, &seen) {});
        }
    });
    (address, asked)
}

/// Answers one request; false at the end of the connection.
fn answer(stream: &TcpStream, files: &Files, asked: &Asked) -> bool {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    if reader.read_line(&mut line).unwrap_or(0) == 0 {
        return false;
    }
    let path = line.split(' ').nth(1).unwrap_or_default().to_string();
    let (mut range, mut token) = (String::new(), String::new());
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).expect("a header");
        let header = header.trim();
        if header.is_empty() {
            break;
        }
        let (name, value) = header.split_once(':').expect("a header");
        match &name.to_ascii_lowercase()[..] {
            "range" => range = value.trim().to_string(),
            "authorization" => token = value.trim().to_string(),
            _ => {}
        }
    }
    asked.lock().expect("a lock").push((path.clone(), range.clone(), token));
    let mut stream = stream;
    let mut send = |status: &str, headers: &str, body: &[u8]| {
        let length = body.len();
        write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{headers}\r\n").expect("a head");
        stream.write_all(body).expect("a body");
    };
    if path == "/api/models/org/net/revision/main" {
        let names: Vec<String> = files.keys().map(|name| format!("{{\"rfilename\": \"{name}\"}}")).collect();
        let body = format!("{{\"sha\": \"{COMMIT}\", \"siblings\": [{}]}}", names.join(", "));
        send("200 OK", "Content-Type: application/json\r\n", body.as_bytes());
        return true;
    }
    let name = path.strip_prefix("/org/net/resolve/main/").unwrap_or_default();
    let Some((bytes, hash)) = files.get(name) else {
        send("404 Not Found", "", b"");
        return true;
    };
    let (first, last) = range.strip_prefix("bytes=").and_then(|range| range.split_once('-')).unwrap_or(("0", ""));
    let first: usize = first.parse().unwrap_or(0);
    let last = last.parse().unwrap_or(bytes.len().saturating_sub(1)).min(bytes.len().saturating_sub(1));
    let part = bytes.get(first..=last).unwrap_or_default();
    let headers = format!(
        "ETag: \"{hash}\"\r\nX-Repo-Commit: {COMMIT}\r\nContent-Range: bytes {first}-{last}/{}\r\n",
        bytes.len()
    );
    send("206 Partial Content", &headers, part);
    true
}

fn model() -> Files {
    let weights: Vec<u8> = (0..100_000u32).map(|i| (i % 251) as u8).collect();
    BTreeMap::from([
        ("config.json", file(b"{}")),
        ("model.safetensors", file(&weights)),
        ("README.md", file(b"read me")),
    ])
}

#[test]
fn a_model_is_fetched_once_and_then_found_without_the_hub() {
    let folder = tempfile::tempdir().expect("a folder");
    let (address, asked) = server(model());
    let hub = Hub::new(&address, folder.path(), Some("secret".to_string()));
    assert_eq!((hub.find("org/net"), hub.cached()), (None, Ok(Vec::new())));
    let mut told = Vec::new();
    let path = hub.pull("org/net", &mut |line| told.push(line.to_string())).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(fs::read(path.join("model.safetensors")).expect("a file"), model()["model.safetensors"].0);
    assert!(path.join("config.json").is_file() && !path.join("README.md").exists());
    assert!(told.iter().any(|line| line.contains("model.safetensors: 100000 bytes")), "{told:?}");
    assert!(asked.lock().expect("a lock").iter().all(|(_, _, token)| token == "Bearer secret"));

    // Once more: what is there is not sent again.
    let before = asked.lock().expect("a lock").len();
    hub.pull("org/net", &mut |line| assert!(line.contains("there already"), "{line}")).expect("a folder");
    let again: Vec<String> =
        asked.lock().expect("a lock")[before..].iter().map(|(_, range, _)| range.clone()).collect();
    assert!(again.iter().all(|range| range.is_empty() || range == "bytes=0-0"), "{again:?}");

    // Without the hub.
    let offline = Hub::new("http://127.0.0.1:9", folder.path(), None);
    assert_eq!(offline.find("org/net"), Some(path));
    let cached = offline.cached().expect("models");
    assert_eq!((cached.len(), &cached[0].name[..]), (1, "org/net"));
    assert!(cached[0].bytes >= 100_000);
    assert!(offline.remove("org/net").expect("bytes") >= 100_000);
    assert_eq!(offline.find("org/net"), None);
    assert!(matches!(offline.remove("org/net"), Err(HubError::Absent { .. })));
}

#[test]
fn what_was_begun_is_continued() {
    let folder = tempfile::tempdir().expect("a folder");
    let (address, asked) = server(model());
    let hub = Hub::new(&address, folder.path(), None);
    let (weights, hash) = &model()["model.safetensors"];
    let blobs = folder.path().join("models--org--net/blobs");
    fs::create_dir_all(&blobs).expect("a folder");
    fs::write(blobs.join(format!("{hash}.part")), &weights[..40_000]).expect("a file");
    let path = hub.pull("org/net", &mut |_| {}).expect("a folder");
    assert_eq!(&fs::read(path.join("model.safetensors")).expect("a file"), weights);
    assert!(asked.lock().expect("a lock").iter().any(|(_, range, _)| range == "bytes=40000-"));
}

#[test]
fn what_is_not_what_was_announced_is_refused_and_removed() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut files = model();
    files.insert("model.safetensors", (b"other bytes".to_vec(), hash(b"these bytes")));
    let (address, _) = server(files);
    let hub = Hub::new(&address, folder.path(), None);
    let error = hub.pull("org/net", &mut |_| {}).expect_err("an error");
    assert!(matches!(&error, HubError::Hash { .. }), "{error}");
    let left = fs::read_dir(folder.path().join("models--org--net/blobs")).expect("a folder").flatten();
    assert!(left.filter_map(|entry| entry.metadata().ok()).all(|metadata| metadata.len() != 11));
    // Hashes become names of files: what is none never does.
    let mut files = model();
    files.insert("config.json", (b"{}".to_vec(), "../../../../evil".to_string()));
    let hub = Hub::new(&server(files).0, folder.path(), None);
    let error = hub.pull("org/net", &mut |_| {}).expect_err("an error").to_string();
    assert!(error.contains("no hash"), "{error}");
}

#[test]
fn what_cannot_be_fetched_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let hub = Hub::new(&server(model()).0, folder.path(), None);
    let told = |hub: &Hub, name: &str| hub.pull(name, &mut |_| {}).expect_err("an error").to_string();
    assert!(told(&hub, "org/other").contains("there is no model `org/other`"));
    assert!(told(&hub, "../etc").contains("no name of a model"));
    let hub = Hub::new(&server(BTreeMap::from([("README.md", file(b"x"))])).0, folder.path(), None);
    assert!(told(&hub, "org/net").contains("model.safetensors"));
    // Nobody listens there.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let error = told(&Hub::new(&address, folder.path(), None), "org/net");
    assert!(error.contains(&address) && error.contains("check the connection"), "{error}");
}
