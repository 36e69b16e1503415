//! A network as a tree: layers by their paths, with sums for groups.

use super::{Inspection, LayerRow};
use crate::text::{Style, Table, words};

/// Narrower than this, names of operations are left out before lines become longer than the terminal.
const FEWEST_LETTERS: usize = 6;

/// A layer or a group of layers.
#[derive(Debug, Default)]
struct Group {
    name: String,
    /// Operations of the layer itself.
    operations: Vec<String>,
    /// Shape behind it.
    output: String,
    parameters: u64,
    cost: u64,
    kept: u64,
    children: Vec<Group>,
}

impl Group {
    /// The tree of the rows; each group holds the sums of what is in it.
    fn of(rows: &[LayerRow]) -> Group {
        let mut root = Group::default();
        for row in rows {
            // What stands outside of layers is named after what it does.
            let outside = row.layer.is_empty();
            let path = if outside { without_arguments(&row.operation) } else { row.layer.clone() };
            root.add(row, &mut path.split('.'));
        }
        root.children.iter_mut().for_each(Group::join_single);
        root
    }

    fn add<'a>(&mut self, row: &LayerRow, path: &mut impl Iterator<Item = &'a str>) {
        self.parameters += row.parameters as u64;
        self.cost += row.operations;
        self.kept += row.kept;
        self.output = row.output.strip_prefix("f32 ").unwrap_or(&row.output).to_string();
        let Some(name) = path.next() else {
            for operation in without_arguments(&row.operation).split(", ") {
                if !self.operations.iter().any(|known| known == operation) {
                    self.operations.push(operation.to_string());
                }
            }
            return;
        };
        let index = self.children.iter().position(|child| child.name == name).unwrap_or_else(|| {
            self.children.push(Group { name: name.to_string(), ..Group::default() });
            self.children.len() - 1
        });
        self.children[index].add(row, path);
    }

    /// A group of one layer that computes nothing itself is one with it: `conv.0`.
    fn join_single(&mut self) {
        while self.operations.is_empty() && self.children.len() == 1 {
            let child = self.children.remove(0);
            *self = Group { name: format!("{}.{}", self.name, child.name), ..child };
        }
        self.children.iter_mut().for_each(Group::join_single);
    }

    /// Adds the lines of the children; `lead` is drawn before their branches.
    fn lines<'a>(&'a self, lead: &str, lines: &mut Vec<(String, &'a Group)>) {
        for (i, child) in self.children.iter().enumerate() {
            let last = i + 1 == self.children.len();
            lines.push((format!("{lead}{} {}", if last { '└' } else { '├' }, child.name), child));
            child.lines(&format!("{lead}{} ", if last { ' ' } else { '│' }), lines);
        }
    }
}

/// Operations without what stands in brackets behind their names: `permute[0, 2, 1], addscalar(1e-5)` as `permute,
/// addscalar`.
fn without_arguments(operations: &str) -> String {
    let mut depth = 0_usize;
    let mut names = String::with_capacity(operations.len());
    for letter in operations.chars() {
        match letter {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            _ if depth == 0 => names.push(letter),
            _ => {}
        }
    }
    names
}

/// The text's beginning, of at most `letters` characters.
fn cut(text: &str, letters: usize) -> String {
    if text.chars().count() <= letters {
        return text.to_string();
    }
    text.chars().take(letters - 1).chain(['…']).collect()
}

/// The drawing in lines of at most `width` characters, where names allow.
pub fn drawing(inspection: &Inspection, width: usize, style: Style) -> String {
    let root = Group::of(&inspection.layers);
    let mut lines = Vec::new();
    root.lines("", &mut lines);
    let operations = "operations: of one example in use";
    let kept = format!(
        "kept: bytes of results that a training\n  step on {} keeps for the backward pass",
        words::plural(inspection.batch as u64, "row")
    );
    let legend = match (root.cost > 0, root.kept > 0) {
        (false, _) => String::new(),
        (true, false) => format!("  {operations}\n"),
        (true, true) => format!("  {operations}; {kept}\n"),
    };
    fitted(inspection, &root, &lines, width).render(style) + &style.dim(&legend)
}

/// The first of three tables, each narrower than the one before, that fits.
fn fitted(inspection: &Inspection, root: &Group, lines: &[(String, &Group)], width: usize) -> Table {
    let full = table(inspection, root, lines, usize::MAX, false);
    // Between two columns there are two spaces, and before the first.
    let needed = |table: &Table| table.widths().iter().map(|width| width + 2).sum::<usize>();
    if needed(&full) <= width {
        return full;
    }
    let short = table(inspection, root, lines, usize::MAX, true);
    if needed(&short) <= width {
        return short;
    }
    let operations = lines.iter().map(|(_, group)| group.operations.join(", ").chars().count()).max().unwrap_or(0);
    let letters = (operations + width).saturating_sub(needed(&short));
    let letters = if letters < FEWEST_LETTERS { 0 } else { letters };
    table(inspection, root, lines, letters, true)
}

/// The lines as a table: names of operations have at most `letters` characters, and no column without any.
fn table(inspection: &Inspection, root: &Group, lines: &[(String, &Group)], letters: usize, short: bool) -> Table {
    let kept = format!("kept, batch {}", inspection.batch);
    let header = match short {
        false => ["layer", "operation", "output", "parameters", "operations an example", &kept],
        true => ["layer", "operation", "output", "params", "ops", "kept"],
    };
    // Columns that would be empty are left out.
    let computes = lines.iter().any(|(_, group)| !group.operations.is_empty());
    let shown = [true, letters > 0 && computes, true, true, root.cost > 0, root.kept > 0];
    let columns = |mut cells: [String; 6]| {
        cells[1] = cut(&cells[1], letters.max(1));
        cells.into_iter().zip(shown).filter_map(|(cell, shown)| shown.then_some(cell)).collect::<Vec<String>>()
    };
    let header = columns(header.map(String::from));
    let left = shown[..3].iter().filter(|&&shown| shown).count();
    let mut table = Table::new(left, &header.iter().map(|cell| &cell[..]).collect::<Vec<_>>());
    let count = |number: u64| match number {
        0 => String::new(),
        _ if short => words::operations(number),
        _ => words::count(number),
    };
    let amount = |number: u64, words: fn(u64) -> String| if number == 0 { String::new() } else { words(number) };
    for (name, group) in lines {
        table.row(columns([
            name.clone(),
            group.operations.join(", "),
            // Of a file of weights, nobody knows what comes out of a group.
            if root.cost == 0 && !group.children.is_empty() { String::new() } else { group.output.clone() },
            count(group.parameters),
            amount(group.cost, words::operations),
            amount(group.kept, words::bytes),
        ]));
    }
    table.row(columns([
        "all".to_string(),
        String::new(),
        String::new(),
        count(root.parameters),
        words::operations(root.cost),
        words::bytes(root.kept),
    ]));
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(layer: &str, operation: &str, output: &str, numbers: [u64; 3]) -> LayerRow {
        LayerRow {
            layer: layer.to_string(),
            operation: operation.to_string(),
            output: output.to_string(),
            parameters: numbers[0] as usize,
            operations: numbers[1],
            bytes: 4,
            kept: numbers[2],
        }
    }

    fn network() -> Inspection {
        let layers = vec![
            row("image", "input", "u8 [batch, 8, 8, 1]", [0, 0, 0]),
            row("layer1.0.conv1", "conv2d", "f32 [batch, 8, 8, 16]", [1440, 90_000, 4000]),
            row("layer1.0", "relu", "f32 [batch, 8, 8, 16]", [0, 1000, 400]),
            row("layer1.0.conv2", "conv2d", "f32 [batch, 8, 8, 16]", [1440, 90_000, 4000]),
            row("layer1.0", "add, relu", "f32 [batch, 8, 8, 16]", [0, 2000, 800]),
            row("head.fc", "permute[0, 2, 1], matmul, addscalar(1e-5)", "f32 [batch, 10]", [160, 320, 40]),
        ];
        let memory = Vec::new();
        Inspection {
            title: String::new(),
            data: Vec::new(),
            parameters: 3040,
            operations: 183_320,
            batch: 2,
            layers,
            memory,
            passes: Vec::new(),
        }
    }

    #[test]
    fn groups_hold_the_sums_of_their_layers() {
        let drawn = drawing(&network(), usize::MAX, Style::PLAIN);
        let lines: Vec<Vec<&str>> = drawn.lines().map(|line| line.split_whitespace().collect()).collect();
        let expected = [
            "├ image input u8 [batch, 8, 8, 1]",
            "├ layer1.0 relu, add [batch, 8, 8, 16] 2,880 183.0 k 9.2 kB",
            "│ ├ conv1 conv2d [batch, 8, 8, 16] 1,440 90.0 k 4.0 kB",
            "│ └ conv2 conv2d [batch, 8, 8, 16] 1,440 90.0 k 4.0 kB",
            "└ head.fc permute, matmul, addscalar [batch, 10] 160 320 40 B",
            "all 3,040 183.3 k 9.2 kB",
        ];
        for (line, expected) in lines[1..].iter().zip(expected) {
            assert_eq!(line.join(" "), expected, "{drawn}");
        }
        assert_eq!(lines.len(), 1 + expected.len() + 2);
    }

    #[test]
    fn narrow_terminals_get_shorter_words_and_numbers() {
        let longest = |text: &str| text.lines().map(|line| line.chars().count()).max().unwrap();
        for width in [110, 80, 70] {
            let drawn = drawing(&network(), width, Style::PLAIN);
            assert!(longest(&drawn) <= width.max(76), "{width}:\n{drawn}");
            assert!(drawn.contains("[batch, 8, 8, 16]") && drawn.contains("conv2"), "{drawn}");
        }
        assert!(drawing(&network(), 80, Style::PLAIN).contains("permute, matm"));
        assert!(!drawing(&network(), 60, Style::PLAIN).contains("conv2d"));
    }
}
