//! What README and guide tell people to type is typed here, in the order in which it stands, and prints what they show.

mod blocks;
mod stand_ins;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::program::{Place, Ran, example, listing};
use blocks::{Section, sections};

/// Tells what is fetched from the network, which tests do not use; `models.rs` and the tests of `deepfit-hub` hold it.
const NETWORK: &str = "deepfit models pull ";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A place in which the examples lie, as in the repository.
fn place() -> Place {
    let place = Place::new();
    let examples = PathBuf::from(example("README.md")).parent().unwrap().to_path_buf();
    for path in listing(&examples).iter().filter(|path| path.is_file()) {
        let name = path.strip_prefix(&examples).unwrap().to_str().unwrap();
        place.write(&format!("examples/{name}"), fs::read(path).unwrap());
    }
    place
}

/// Runs a line as a shell would, with the program under its name.
fn shell(place: &Place, line: &str) -> Ran {
    let program = Path::new(env!("CARGO_BIN_EXE_deepfit")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new("sh");
    command.args(["-e", "-c", line]).current_dir(place.path(".")).env("PATH", path).env_remove("NO_COLOR");
    // Nobody listens at this address, and nothing is kept outside of the place.
    command.env("DEEPFIT_CACHE", place.cache()).env("HF_HOME", place.path("home"));
    command.env("HF_ENDPOINT", "http://127.0.0.1:9").env_remove("HF_HUB_CACHE").env_remove("HF_TOKEN");
    Ran::of(command.stdin(Stdio::null()).output().unwrap())
}

/// Runs the commands of sections of a page, one after the other in one place.
fn run(page: &str, sections: &[&Section]) {
    let place = place();
    for block in sections.iter().flat_map(|section| &section.blocks) {
        block.with.iter().for_each(|name| stand_ins::make(&place, name));
        for (shown, printed) in &block.commands {
            let line = shown.replace("cargo run --release -- ", "deepfit ");
            if line.starts_with(NETWORK) || line.starts_with("cargo ") || line.starts_with("mdbook ") {
                continue;
            }
            let known = ["deepfit ", "head ", "printf "].iter().any(|name| line.starts_with(name));
            assert!(known, "{page}, line {}: `{line}` is not run by this test", block.line);
            let ran = shell(&place, &format!("{} 2>&1", block.command(&line)));
            assert_eq!(ran.code, Some(0), "{page}, line {}: `{line}`\n{}", block.line, ran.out);
            if block.is_as_shown()
                && let Some(line) = blocks::missing(printed, &ran.out)
            {
                panic!("{page}, line {}: `{shown}` does not print `{line}`, but\n{}", block.line, ran.out);
            }
        }
    }
}

fn run_page(page: &str) {
    let text = fs::read_to_string(root().join("docs/src").join(page)).unwrap();
    let sections = sections(&text);
    assert!(sections.iter().any(|s| !s.blocks.is_empty()), "{page} has no commands");
    run(page, &sections.iter().collect::<Vec<_>>());
}

/// Pages whose commands take long run by `cargo xtask long guide`.
macro_rules! pages {
    ($($(#[$long:meta])* $test:ident: $page:literal,)*) => {
        /// Pages with commands.
        const PAGES: &[&str] = &[$($page),*];
        $(#[test]
        $(#[$long])*
        fn $test() {
            run_page($page);
        })*
    };
}

pages! {
    the_first_steps_run: "start.md",
    #[ignore = "takes long"]
    what_is_said_of_pictures_runs: "pictures.md",
    what_is_said_of_tables_runs: "tables.md",
    what_is_said_of_texts_runs: "texts.md",
    #[ignore = "takes long"]
    what_is_said_of_transfer_runs: "transfer.md",
    what_is_said_of_judging_runs: "judging.md",
    #[ignore = "takes long"]
    what_is_said_of_explaining_runs: "explaining.md",
    what_is_said_of_graphs_runs: "how-it-works.md",
    #[ignore = "takes long"]
    the_example_of_a_disease_runs: "examples/disease.md",
    the_example_of_sentiment_runs: "examples/sentiment.md",
    the_example_of_pictures_runs: "examples/pictures.md",
}

macro_rules! readme {
    ($($test:ident: $heading:literal,)*) => {
        /// Sections of the README with commands.
        const README: &[&str] = &[$($heading),*];
        $(#[test]
        fn $test() {
            let sections = sections(&fs::read_to_string(root().join("README.md")).unwrap());
            let meant: Vec<&Section> = sections.iter().filter(|s| s.heading == $heading).collect();
            assert_eq!(meant.len(), 1);
            run("README.md", &meant);
        })*
    };
}

readme! {
    the_readme_begins_with_commands_that_run: "",
    the_readme_trains: "Train on your own data",
    the_readme_transfers: "Begin with a published network",
    the_readme_uses_what_was_trained: "Use what was trained",
    the_readme_diagnoses: "Does it overfit, and what would help?",
    the_readme_compares_and_explains: "Find out what to use",
    the_readme_sets: "Settings",
}

#[test]
fn every_page_with_commands_is_run_and_listed_and_links_lead_somewhere() {
    let readme = sections(&fs::read_to_string(root().join("README.md")).unwrap());
    let with_commands: BTreeSet<&str> =
        readme.iter().filter(|s| !s.blocks.is_empty()).map(|s| s.heading.as_str()).collect();
    assert_eq!(with_commands, README.iter().copied().collect());
    let source = root().join("docs/src");
    let summary = fs::read_to_string(source.join("SUMMARY.md")).unwrap();
    let mut found = BTreeSet::new();
    for path in listing(&source).into_iter().filter(|path| path.extension().is_some_and(|e| e == "md")) {
        let name = path.strip_prefix(&source).unwrap().to_str().unwrap().to_string();
        let text = fs::read_to_string(&path).unwrap();
        for link in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap_or_default()) {
            let file = link.split('#').next().unwrap_or_default();
            let there = file.is_empty() || file.starts_with("http") || path.parent().unwrap().join(file).exists();
            assert!(there, "{name}: nothing is at {link}");
        }
        assert!(name == "SUMMARY.md" || summary.contains(&format!("({name})")), "SUMMARY.md does not list {name}");
        if sections(&text).iter().any(|s| !s.blocks.is_empty()) {
            found.insert(name);
        }
    }
    assert_eq!(found, PAGES.iter().map(|page| page.to_string()).collect());
}
