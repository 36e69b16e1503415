//! Commands in Markdown: blocks marked `sh` hold commands, blocks marked `console` commands behind `$ ` and what they print.
//!
//! A comment before a block says what it needs:
//!
//! ```text
//! <!-- with: reviews.csv, photos/ -->          files that the test makes, since they are the reader's own
//! <!-- quick: epochs=1 -->                     is added to the commands that train, whose output is then not compared
//! <!-- instead: --time 2m => --time 4s -->     is changed in the commands; output is then not compared, either
//! <!-- varies: the map -->                     what differs from computer to computer in the output, which is not compared
//! ```

/// A block of commands.
#[derive(Debug, Default, Clone)]
pub struct Block {
    /// Line at which it begins.
    pub line: usize,
    /// What must be there.
    pub with: Vec<String>,
    /// What is added to commands that train.
    pub quick: Option<String>,
    /// Whether the output is another on other computers.
    pub varies: bool,
    /// What stands in place of what.
    pub instead: Vec<(String, String)>,
    /// The commands, each with the lines that it is said to print.
    pub commands: Vec<(String, Vec<String>)>,
}

/// A part of a page that begins with a heading of the second level; the first has none.
#[derive(Debug, Default)]
pub struct Section {
    pub heading: String,
    pub blocks: Vec<Block>,
}

/// The sections of a page, those without commands as well.
pub fn sections(markdown: &str) -> Vec<Section> {
    let mut sections = vec![Section::default()];
    let mut next = Block::default();
    let mut open: Option<(String, Block)> = None;
    for (number, line) in markdown.lines().enumerate() {
        if let Some(language) = line.strip_prefix("```") {
            let Some((language, block)) = open.take() else {
                let block = Block { line: number + 1, ..std::mem::take(&mut next) };
                open = Some((language.to_string(), block));
                continue;
            };
            let commands = language == "sh" || language == "console";
            let said = !block.with.is_empty() || block.quick.is_some() || !block.instead.is_empty();
            assert!(commands || !said, "line {}: a comment before a block without commands", block.line);
            if commands {
                assert!(!block.commands.is_empty(), "line {}: a block without commands", block.line);
                sections.last_mut().unwrap().blocks.push(block);
            }
        } else if let Some((language, block)) = &mut open {
            block.read(language, line);
        } else {
            if let Some(heading) = line.strip_prefix("## ") {
                sections.push(Section { heading: heading.to_string(), blocks: Vec::new() });
            }
            next.comment(line);
        }
    }
    assert!(open.is_none(), "a block is not closed");
    sections
}

impl Block {
    fn comment(&mut self, line: &str) {
        let Some((name, value)) =
            line.strip_prefix("<!-- ").and_then(|l| l.strip_suffix(" -->")).and_then(|l| l.split_once(": "))
        else {
            return;
        };
        match name {
            "with" => self.with.extend(value.split(", ").map(str::to_string)),
            "varies" => self.varies = true,
            "quick" => self.quick = Some(value.to_string()),
            "instead" => {
                let (old, new) = value.split_once("=>").expect("old => new");
                self.instead.push((old.trim().to_string(), new.trim().to_string()));
            }
            other => panic!("unknown comment `{other}`"),
        }
    }

    fn read(&mut self, language: &str, line: &str) {
        match (language, line.strip_prefix("$ "), self.commands.last_mut()) {
            ("console", Some(command), _) => self.commands.push((command.to_string(), Vec::new())),
            ("console", None, Some((command, _))) if command.ends_with('\\') => {
                command.pop();
                command.push_str(line.trim());
            }
            ("console", None, Some((_, printed))) => printed.push(line.to_string()),
            ("console", None, None) => panic!("line {}: begins with no command", self.line),
            ("sh", ..) if !line.trim().is_empty() => {
                let command = line.split("  #").next().unwrap_or_default().trim();
                self.commands.push((command.to_string(), Vec::new()));
            }
            _ => {}
        }
    }

    /// Whether the commands are run as they stand, so that what they print is what the page shows.
    pub fn is_as_shown(&self) -> bool {
        self.quick.is_none() && self.instead.is_empty() && !self.varies
    }

    /// A command as it is run.
    pub fn command(&self, shown: &str) -> String {
        let mut command = shown.to_string();
        for (old, new) in &self.instead {
            command = command.replace(old.as_str(), new);
        }
        if let (Some(quick), true) = (&self.quick, command.starts_with("deepfit train")) {
            let end = [" > ", " < ", " | "].iter().filter_map(|s| command.find(s)).min().unwrap_or(command.len());
            command.insert_str(end, &format!(" {quick}"));
        }
        command
    }
}

/// A line as far as it is the same on every computer: numbers, bars and what is measured by a clock or of the machine are
/// taken out, and white space.
pub fn pattern(line: &str) -> String {
    let mut pattern = String::new();
    for c in line.chars() {
        let c = match c {
            '0'..='9' => '#',
            c if c.is_whitespace() || matches!(c, '.' | ',' | '%' | '-' | '+') => continue,
            c => c,
        };
        if !(c == '#' && pattern.ends_with('#')) {
            pattern.push(c);
        }
    }
    pattern
}

/// The first of the lines that a page shows which a command did not print, in this order. A line of three points stands for
/// any lines.
pub fn missing<'a>(shown: &'a [String], printed: &str) -> Option<&'a str> {
    let mut printed = printed.lines().map(pattern);
    shown
        .iter()
        .map(String::as_str)
        .filter(|line| !matches!(line.trim(), "" | "..."))
        .find(|line| !printed.any(|found| found == pattern(line)))
}

#[test]
fn commands_of_a_page_are_found_with_what_they_need() {
    let page = "# A\n\n<!-- with: a.csv, b/ -->\n<!-- quick: epochs=1 -->\n```sh\ndeepfit train a.csv > x   # a\n\n\
                deepfit predict r -\n```\n## B\n```console\n$ deepfit \\\n      models\nname  1.5 %\n...\n```\n```rust\nx\n```\n";
    let found = sections(page);
    assert_eq!(found.len(), 2);
    let block = &found[0].blocks[0];
    assert_eq!(block.with, ["a.csv", "b/"]);
    assert_eq!(block.command(&block.commands[0].0), "deepfit train a.csv epochs=1 > x");
    assert_eq!(block.command(&block.commands[1].0), "deepfit predict r -");
    let block = &found[1].blocks[0];
    assert!(block.is_as_shown() && found[1].blocks.len() == 1);
    assert_eq!(block.commands[0].0, "deepfit models");
    assert_eq!(missing(&block.commands[0].1, "first\nname   27 %\n"), None);
    assert_eq!(missing(&block.commands[0].1, "first\nother 27 %\n"), Some("name  1.5 %"));
}
