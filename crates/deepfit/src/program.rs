//! Commands to type next.

use std::path::Path;

/// `deepfit` as it was called, so that a command shown can be pasted: its path if it was called by path.
pub fn name() -> String {
    let called = std::env::args().next().unwrap_or_default();
    if called.contains(std::path::MAIN_SEPARATOR) { quoted(&called) } else { "deepfit".to_string() }
}

/// A path as a shell takes it.
pub fn path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

/// The text in single quotes if a shell would read something else.
pub fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+=:,@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_string();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_can_be_pasted() {
        assert_eq!(quoted("runs/digits-1"), "runs/digits-1");
        assert_eq!(quoted("my data.csv"), "'my data.csv'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
