//! Settings as people write them: `key=value` on the command line, and files of settings.

use std::path::Path;

use toml::Value;
use toml::de::{DeTable, DeValue};

use super::Settings;
use crate::error::{Result, TrainError};
use crate::fingerprint::FINGERPRINT;
use crate::progress::check_version;
use crate::run_folder::read_text;

/// Settings that are text whatever it looks like: a column may be called 2020, and a file 1.
const TEXTS: [&str; 9] = ["data", "target", "labels", "positive", "validation", "test", "from", "weight", "by"];

impl Settings {
    /// Whether there is a setting of this name, or of the name before its first dot.
    pub fn is_key(key: &str) -> bool {
        let key = key.replace('-', "_");
        let first = key.split('.').next().unwrap_or_default();
        Settings::KEYS.iter().any(|(known, _)| *known == first)
    }

    /// Sets one setting from text, as `key=value` on the command line.
    ///
    /// # Errors
    /// If the key is unknown (the nearest known one is named) or the value does not fit.
    pub fn set(&mut self, key: &str, value: &str) -> Result<()> {
        let written = key;
        let key = &key.replace('-', "_");
        let (first, inner) = match key.split_once('.') {
            Some((first, inner)) => (first, Some(inner)),
            None => (&key[..], None),
        };
        check_key(first, key)?;
        if key == "time" {
            self.time = Some(parse_duration(value)?);
            return self.validate();
        }
        if key == "memory" {
            self.memory = Some(parse_memory(value)?);
            return self.validate();
        }
        let parsed = toml::from_str::<toml::Table>(&format!("value = {value}"));
        let parsed = parsed.ok().and_then(|mut t| t.remove("value")).filter(|_| !TEXTS.contains(&first));
        let parsed = parsed.unwrap_or_else(|| Value::String(value.to_string()));
        let changed = match inner {
            None => self.with(first, parsed, value)?,
            Some(part) if first == "schedule" => {
                let Some(mut schedule) = self.schedule.clone() else {
                    let problem = "the schedule is chosen first: write schedule=step, say, before its settings";
                    return Err(TrainError::setting(key, problem));
                };
                schedule.parts.insert(part.to_string(), parsed);
                Settings { schedule: Some(schedule), ..self.clone() }
            }
            // A class is called as it is.
            Some(_) if first == "cost" => {
                let mut costs = self.cost.clone().unwrap_or_default();
                costs.insert(written[first.len() + 1..].to_string(), parsed);
                Settings { cost: Some(costs), ..self.clone() }
            }
            Some(_) if first != "augment" => {
                let hint = Settings::meant_by(&key[first.len() + 1..])
                    .filter(|meant| *meant != first)
                    .map_or(String::new(), |meant| format!("; write {meant}={value}"));
                return Err(TrainError::setting(key, format!("`{first}` has no settings of its own{hint}")));
            }
            Some(inner) => {
                let mut group = self.augment.clone().unwrap_or_default();
                group.insert(inner.to_string(), parsed);
                Settings { augment: Some(group), ..self.clone() }
            }
        };
        changed.validate()?;
        *self = changed;
        Ok(())
    }

    /// The settings of a run, from its `settings.toml`, and the fingerprint of its data.
    ///
    /// # Errors
    /// If the file cannot be read, is damaged, or does not name the data.
    pub(crate) fn of_run(path: &Path) -> Result<(Settings, Option<String>)> {
        let text = read_text(path)?;
        let mut settings = Settings::default();
        settings.merge_toml(&text, path)?;
        if settings.data.as_os_str().is_empty() {
            let whole = "put back a whole copy of the file, or start a new run";
            let problem = if text.trim().is_empty() {
                format!("is empty, so that nobody knows the settings of this run: {whole}")
            } else {
                format!("does not name the data of this run: add the line data = \"PATH\", {whole}")
            };
            return Err(TrainError::run(path, problem));
        }
        let table: toml::Table =
            toml::from_str(&text).map_err(|e| TrainError::run(path, format!("is damaged: {e}")))?;
        Ok((settings, table.get(FINGERPRINT).and_then(Value::as_str).map(str::to_string)))
    }

    /// Takes over the settings of a TOML text; what it does not mention stays.
    ///
    /// # Errors
    /// If it is not TOML, or a setting is unknown or does not fit; the line is named.
    pub fn merge_toml(&mut self, text: &str, path: &Path) -> Result<()> {
        let fail = |problem: String| TrainError::SettingsFile { path: path.to_path_buf(), problem };
        let mut given: toml::Table = toml::from_str(text).map_err(|e| fail(syntax(text, &e)))?;
        let at_line = |error: TrainError| match &error {
            TrainError::Setting { key, .. } => fail(match line_of(text, key) {
                Some(line) => format!("line {line}: {error}"),
                None => error.to_string(),
            }),
            TrainError::Data(deepfit_data::Error::Setting { setting, .. }) => fail(match line_of(text, setting) {
                Some(line) => format!("line {line}: {error}"),
                None => error.to_string(),
            }),
            _ => error,
        };
        // The settings of a run say which version of this format they have, and which data they were for.
        given.remove(FINGERPRINT);
        if let Some(version) = given.remove("version") {
            check_version(path, version.as_integer().and_then(|v| u64::try_from(v).ok()))?;
        }
        let mut changed = self.clone();
        for (key, value) in given {
            check_key(&key, &key).map_err(at_line)?;
            changed = match (&key[..], value.as_str()) {
                ("time", Some(text)) => Settings { time: Some(parse_duration(text).map_err(at_line)?), ..changed },
                ("memory", Some(text)) => Settings { memory: Some(parse_memory(text).map_err(at_line)?), ..changed },
                _ => {
                    let told = shown(&value);
                    changed.with(&key, value, &told).map_err(at_line)?
                }
            };
        }
        changed.validate().map_err(at_line)?;
        *self = changed;
        Ok(())
    }

    /// These settings with one of them changed; `told` is its value as it was written.
    fn with(&self, key: &str, value: Value, told: &str) -> Result<Settings> {
        let mut table = toml::Table::try_from(self).map_err(|e| TrainError::setting(key, e.to_string()))?;
        table.insert(key.to_string(), value);
        table
            .try_into()
            .map_err(|_: toml::de::Error| TrainError::setting(key, format!("must be {}, not `{told}`", expected(key))))
    }

    /// The error for a setting whose value is not in its range.
    pub(super) fn out_of_range(&self, key: &str) -> TrainError {
        let value = toml::Table::try_from(self).ok().and_then(|mut table| table.remove(key));
        let found = value.map_or(String::new(), |value| format!(", not `{}`", shown(&value)));
        TrainError::setting(key, format!("must be {}{found}", expected(key)))
    }
}

/// The values that a setting takes.
fn expected(key: &str) -> &'static str {
    Settings::EXPECTED.iter().find(|(known, _)| *known == key).map_or("something else", |(_, expected)| expected)
}

/// A value as it stands in a file of settings, on one line.
pub(super) fn shown(value: &Value) -> String {
    value.to_string().lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

/// What is wrong with a text that is not TOML.
fn syntax(text: &str, error: &toml::de::Error) -> String {
    let start = error.span().map_or(0, |span| span.start.min(text.len()));
    let before = text.get(..start).unwrap_or(text);
    let number = before.matches('\n').count();
    let line = text.lines().nth(number).unwrap_or_default().trim();
    if error.message().contains("duplicate key") {
        return format!("line {}: `{line}` sets something for the second time; keep one of the two", number + 1);
    }
    format!(
        "line {}: `{line}` cannot be read; a line is KEY = VALUE with text in quotes, such as lr = 0.01 or model = \"cnn\"",
        number + 1
    )
}

/// The line of a TOML text, from 1, in which a key such as `augment.shift` stands.
fn line_of(text: &str, key: &str) -> Option<usize> {
    let document = DeTable::parse(text).ok()?;
    let mut table = document.get_ref();
    let mut start = None;
    for part in key.split('.') {
        let Some((name, value)) = table.iter().find(|(name, _)| name.get_ref() == part) else { break };
        start = Some(name.span().start);
        match value.get_ref() {
            DeValue::Table(inner) => table = inner,
            _ => break,
        }
    }
    Some(text.get(..start?)?.matches('\n').count() + 1)
}

/// Refuses what is no setting; `whole` is the name with what follows its first dot.
fn check_key(key: &str, whole: &str) -> Result<()> {
    if Settings::KEYS.iter().any(|(known, _)| *known == key) {
        return Ok(());
    }
    let hint = Settings::meant_by(whole)
        .map_or_else(|| "`deepfit train --help` lists all settings".to_string(), |n| format!("did you mean `{n}`?"));
    Err(TrainError::setting(whole, format!("there is no such setting; {hint}")))
}

/// Seconds of a duration such as `90s`, `2m`, `1h` or `45` (seconds).
///
/// # Errors
/// If it is not one, or not above zero.
pub fn parse_duration(text: &str) -> Result<f64> {
    let text = text.trim().trim_matches('"');
    let (number, unit) = match text.char_indices().find(|(_, c)| c.is_ascii_alphabetic()) {
        Some((at, _)) => text.split_at(at),
        None => (text, "s"),
    };
    let factor = match unit {
        "s" => Some(1.0),
        "m" => Some(60.0),
        "h" => Some(3600.0),
        _ => None,
    };
    let seconds = number.trim().parse::<f64>().ok().zip(factor).map(|(n, f)| n * f);
    seconds
        .filter(|s| *s > 0.0 && s.is_finite())
        .ok_or_else(|| TrainError::setting("time", format!("`{text}` is not a duration such as 90s, 2m or 1h")))
}

/// Bytes of an amount of memory such as `500MB`, `1.5 GB`, `512MiB`; a number without unit is bytes.
///
/// # Errors
/// If it is none.
pub fn parse_memory(text: &str) -> Result<u64> {
    let text = text.trim().trim_matches('"');
    let (number, unit) = match text.char_indices().find(|(_, c)| c.is_ascii_alphabetic()) {
        Some((at, _)) => text.split_at(at),
        None => (text, "b"),
    };
    let factor = match &unit.to_ascii_lowercase()[..] {
        "b" => Some(1.0),
        "k" | "kb" => Some(1e3),
        "m" | "mb" => Some(1e6),
        "g" | "gb" => Some(1e9),
        "kib" => Some(1024.0),
        "mib" => Some(1024.0 * 1024.0),
        "gib" => Some(1024.0 * 1024.0 * 1024.0),
        _ => None,
    };
    let bytes = number.trim().parse::<f64>().ok().zip(factor).map(|(n, f)| n * f);
    bytes
        .filter(|bytes| (1.0..1e18).contains(bytes))
        .map(|bytes| bytes as u64)
        .ok_or_else(|| TrainError::setting("memory", format!("`{text}` is no amount of memory such as 500MB or 2GB")))
}

#[cfg(test)]
mod tests {
    use deepfit_data::Augment;

    use super::*;

    #[test]
    fn settings_are_set_from_text() {
        let mut settings = Settings::new("x.csv");
        settings.set("lr", "0.01").unwrap();
        settings.set("hidden", "[32, 16]").unwrap();
        settings.set("model", "mlp").unwrap();
        settings.set("target", "price").unwrap();
        settings.set("time", "2m").unwrap();
        settings.set("augment.shift", "0.1").unwrap();
        settings.set("class-weights", "true").unwrap();
        settings.set("schedule", "step").unwrap();
        settings.set("schedule.gamma", "0.5").unwrap();
        assert_eq!(settings.lr, Some(0.01));
        assert_eq!(settings.hidden, Some(vec![32, 16]));
        assert_eq!(settings.target.as_deref(), Some("price"));
        assert_eq!(settings.time, Some(120.0));
        assert_eq!(settings.augment_over(&Augment::none()).unwrap().shift, 0.1);
        assert!(settings.class_weights);
        let mut again = Settings::default();
        again.merge_toml(&settings.to_toml().unwrap(), Path::new("settings.toml")).unwrap();
        assert_eq!(again, settings);
    }

    #[test]
    fn wrong_settings_name_the_nearest() {
        let mut settings = Settings::new("x.csv");
        let message = |r: Result<()>| r.unwrap_err().to_string();
        assert!(message(settings.set("epoch", "3")).contains("`epochs`"));
        assert!(message(settings.set("augment.shfit", "0.1")).contains("`shift`"));
        assert!(message(settings.set("model", "resnet")).contains("`resnet18`"));
        assert!(message(settings.set("epochs", "many")).contains("epochs"));
        assert!(message(settings.set("lr", "-1")).contains("above 0"));
        assert!(parse_duration("3 weeks").is_err());
        assert_eq!(settings, Settings::new("x.csv"), "a setting that is refused changes nothing");
    }

    #[test]
    fn memory_is_read_with_its_unit() {
        for (text, bytes) in
            [("500MB", 500_000_000), ("1.5 GB", 1_500_000_000), ("2g", 2_000_000_000), ("1KiB", 1024), ("4096", 4096)]
        {
            assert_eq!(parse_memory(text).unwrap(), bytes, "{text}");
        }
        for text in ["much", "0", "-5MB", "3 apples", "", "1e30GB", "nan"] {
            let told = parse_memory(text).unwrap_err().to_string();
            assert!(told.contains("500MB"), "{text}: {told}");
        }
        let mut settings = Settings::new("x.csv");
        settings.set("memory", "300MB").unwrap();
        settings.merge_toml("memory = \"250MB\"", Path::new("s.toml")).unwrap();
        let mut again = Settings::new("x.csv");
        again.merge_toml(&settings.to_toml().unwrap(), Path::new("s.toml")).unwrap();
        assert_eq!(again.memory, Some(250_000_000));
    }

    #[test]
    fn values_of_a_wrong_type_are_explained_in_words_with_an_example() {
        let mut settings = Settings::new("x.csv");
        for (key, value, words) in [
            ("epochs", "many", "a whole number from 1 to 1000000, such as 20, not `many`"),
            ("epochs", "-3", "not `-3`"),
            ("epochs", "2.5", "not `2.5`"),
            ("lr", "fast", "a number above 0, such as 0.001"),
            ("hidden", "64", "such as [64, 64], not `64`"),
            ("nesterov", "yes", "true or false, not `yes`"),
            ("model", "5", "auto, tabm, mlp, cnn"),
            ("task", "ranking", "classification, regression, multi_label or similarity"),
            ("augment", "3", "augment.shift=0.1"),
            ("augment.shift", "much", "a number, such as 0.1, not"),
            ("augment.flip", "1", "true or false"),
            ("augment.border", "mirror", "edge or reflect"),
            ("lr.top", "1", "no settings of its own"),
            ("model.hidden", "[3]", "`model` has no settings of its own; write hidden=[3]"),
            ("optimizer.wd", "0.1", "write weight_decay=0.1"),
            ("trainer.num_epochs", "3", "did you mean `epochs`?"),
            ("learning_rate", "3", "did you mean `lr`?"),
            ("wibble", "3", "lists all settings"),
            ("schedule", "7", "must be constant, cosine, one_cycle"),
            ("schedule.gamma", "0.5", "write schedule=step, say, before"),
            ("seed", "9223372036854775808", "from 0 to 9223372036854775807"),
            ("seed", "18446744073709551616", "from 0 to 9223372036854775807"),
        ] {
            let told = settings.set(key, value).unwrap_err().to_string();
            assert!(told.contains(words), "{key}={value}: {told}");
            for jargon in ["u32", "u64", "usize", "f64", "struct", "expected", "invalid", "literal"] {
                assert!(!told.contains(jargon), "{key}={value}: {told}");
            }
        }
        settings.set("seed", "9223372036854775807").unwrap();
        let mut again = Settings::default();
        again.merge_toml(&settings.to_toml().unwrap(), Path::new("settings.toml")).unwrap();
        assert_eq!(again, settings);
        settings.seed = u64::MAX;
        assert!(settings.validate().unwrap_err().to_string().contains("seed"));
    }

    #[test]
    fn what_is_wrong_in_a_file_is_told_with_its_line() {
        for (text, words) in [
            ("# mine\n\nepochs = \"20\"\n", "line 3: setting `epochs`: must be a whole number"),
            ("lr = 0.1\nepochs = 0\n", "line 2: setting `epochs`"),
            ("bacth = 3\n", "line 1: setting `bacth`: there is no such setting; did you mean `batch`?"),
            ("lr = 0.1\ntime = \"3 weeks\"\n", "line 2: setting `time`"),
            ("lr = 0.1\ntarget = 2020\n", "line 2: setting `target`: must be the name of a column in quotes"),
            ("lr = 0.1\n[augment]\nflip = true\nshift = \"x\"\n", "line 4: setting `augment.shift`"),
            ("lr = 0.1\n[augment]\nflip = true\nshift = 7\n", "line 4: setting 'augment.shift'"),
            ("lr = 0.1\naugment.shfit = 1\n", "line 2: setting `augment.shfit`"),
            ("hidden = [\n  64,\n  \"x\",\n]\n", "line 1: setting `hidden`"),
            ("model = [1]\nseed = -1\n", "line 1: setting `model`"),
            ("lr = 0.1\nseed = -1\n", "line 2: setting `seed`"),
            ("lr = 0.1\n[schedule]\nname = \"step\"\ngama = 1\n", "line 4: setting `schedule.gama`"),
            ("lr = 0.1\n[schedule]\ngamma = 1\n", "line 2: setting `schedule`: must be constant"),
        ] {
            let error = Settings::default().merge_toml(text, Path::new("fit.toml")).unwrap_err();
            let told = error.to_string();
            assert!(told.starts_with("'fit.toml': ") && told.contains(words), "{text}: {told}");
        }
    }

    #[test]
    fn text_that_is_not_toml_is_told_with_its_line() {
        for (text, words) in [
            ("lr = 0.1\nepochs = \n", "line 2: `epochs =` cannot be read"),
            ("lr = 0.1\nmodel = cnn\n", "line 2: `model = cnn` cannot be read"),
            ("# settings\nepochs 3\n", "line 2: `epochs 3` cannot be read"),
            ("lr = 0.1\nbatch = 8\nlr = 0.2\n", "line 3: `lr = 0.2` sets something for the second time"),
            ("[augment\n", "line 1: "),
        ] {
            let told = Settings::default().merge_toml(text, Path::new("fit.toml")).unwrap_err().to_string();
            assert!(told.contains(words), "{text}: {told}");
        }
    }

    #[test]
    fn absurd_values_are_out_of_range() {
        let mut settings = Settings::new("x.csv");
        for (key, value) in [
            ("warmup", "1e9"),
            ("warmup", "nan"),
            ("lr", "1e39"),
            ("lr", "inf"),
            ("clip", "1e39"),
            ("weight_decay", "1e9"),
            ("momentum", "0.99999999999"),
            ("average", "0.99999999999"),
            ("patience", "4000000000"),
            ("hidden", &format!("{:?}", [8; 101])),
            ("time", "1e400"),
        ] {
            let told = settings.set(key, value).unwrap_err().to_string();
            assert!(told.contains(key), "{key}={value}: {told}");
        }
        assert_eq!(settings, Settings::new("x.csv"));
    }
}
