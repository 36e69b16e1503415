//! Colours, on a terminal only.

use std::io::IsTerminal;

/// Whether text is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    on: bool,
}

impl Style {
    /// Never coloured.
    pub const PLAIN: Style = Style { on: false };

    /// For standard output.
    pub fn stdout() -> Style {
        Style { on: allowed() && std::io::stdout().is_terminal() }
    }

    /// For standard error.
    pub fn stderr() -> Style {
        Style { on: allowed() && std::io::stderr().is_terminal() }
    }

    /// For headings.
    pub fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    /// For what is read second.
    pub fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    /// For errors.
    pub fn red(self, text: &str) -> String {
        self.wrap("1;31", text)
    }

    /// For warnings.
    pub fn yellow(self, text: &str) -> String {
        self.wrap("33", text)
    }

    /// For a word that speaks for something, on red, or against it, on blue, by its share of the strongest, -1 to 1.
    pub fn shaded(self, text: &str, share: f64) -> String {
        // The paper of a terminal may be white or black: a word of little weight stays as it is.
        let level = (share.abs().min(1.0) * 4.0).round() as usize;
        // Of the colours of 256 that go from faint to full, with letters that can be read on them.
        let (red, blue) = (
            ["", "48;5;224;30", "48;5;217;30", "48;5;210;30", "48;5;203;30"],
            ["", "48;5;189;30", "48;5;153;30", "48;5;111;30", "48;5;75;30"],
        );
        let code = if share > 0.0 { red[level] } else { blue[level] };
        if code.is_empty() { text.to_string() } else { self.wrap(code, text) }
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.on { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_string() }
    }
}

/// <https://no-color.org>, and terminals that say that they know no colours.
fn allowed() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}
