//! JSON Lines: an object a line, read as a table whose columns are all names that occur, in the order of their first
//! appearance.

use std::collections::HashMap;
use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::error::{Error, Result};

/// Whether a path has the ending of such a file.
pub(crate) fn is_json_lines(path: &Path) -> bool {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    matches!(ending.as_deref(), Some("jsonl" | "ndjson"))
}

/// Names and values of an object, in their order.
struct Object(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Object, D::Error> {
        struct Pairs;

        impl<'de> Visitor<'de> for Pairs {
            type Value = Object;

            fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
                to.write_str("an object, such as {\"text\": \"fine\", \"label\": 1}")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Object(pairs))
            }
        }

        from.deserialize_map(Pairs)
    }
}

/// The same table as CSV: nothing for what is null or missing, numbers and texts as they are, lists and objects as JSON.
///
/// # Errors
/// If it cannot be read, or a line is no object.
pub(crate) fn as_csv(reader: impl Read, name: &Path) -> Result<Vec<u8>> {
    let failed = |source| Error::io(name, source);
    let (mut columns, mut places, mut rows) = (Vec::new(), HashMap::new(), Vec::new());
    for (number, line) in BufReader::new(reader).split(b'\n').enumerate() {
        let line = line.map_err(failed)?;
        let line = if number == 0 { line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&line) } else { &line };
        if line.trim_ascii().is_empty() {
            continue;
        }
        let Object(pairs) = serde_json::from_slice(line).map_err(|error| Error::NotATable {
            path: name.to_path_buf(),
            problem: format!("is not JSON Lines: line {} is no JSON object: {error}", number + 1),
            needed: String::new(),
        })?;
        let mut row: Vec<String> = vec![String::new(); columns.len()];
        for (key, value) in pairs {
            let place = *places.entry(key).or_insert_with_key(|key| {
                columns.push(key.clone());
                columns.len() - 1
            });
            row.resize(columns.len(), String::new());
            row[place] = match value {
                Value::Null => String::new(),
                Value::String(text) => text,
                other => other.to_string(),
            };
        }
        rows.push(row);
    }
    if rows.is_empty() {
        return Err(Error::EmptyFile { path: name.to_path_buf() });
    }
    let mut csv = csv::Writer::from_writer(Vec::new());
    let wrong = |error: csv::Error| failed(std::io::Error::other(error));
    csv.write_record(&columns).map_err(wrong)?;
    for mut row in rows {
        row.resize(columns.len(), String::new());
        csv.write_record(&row).map_err(wrong)?;
    }
    csv.into_inner().map_err(|error| failed(error.into_error()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_become_rows_in_the_order_of_their_names() {
        let lines =
            "{\"text\": \"a, \\\"b\\\"\", \"stars\": 4.5}\n\n{\"stars\": null, \"ok\": true, \"tags\": [1, 2]}\n";
        let csv = as_csv(lines.as_bytes(), Path::new("x.jsonl")).unwrap();
        let expected = "text,stars,ok,tags\n\"a, \"\"b\"\"\",4.5,,\n,,true,\"[1,2]\"\n";
        assert_eq!(String::from_utf8(csv).unwrap(), expected);
        for (bad, words) in [("{\"a\": 1}\n[2]\n", "line 2"), ("{\"a\": 1\n", "line 1"), ("\n", "is empty")] {
            let error = as_csv(bad.as_bytes(), Path::new("x.jsonl")).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
