//! The page of a run and its plots: of every kind of run, with the numbers of the result, whatever names and texts there are.

use std::fs;
use std::path::Path;

use scraper::{Html, Selector};
use serde_json::Value;

use crate::program::{Place, digits, example, listing, table, zipped};

fn select(css: &str) -> Selector {
    Selector::parse(css).unwrap()
}

/// The page of a run, held against the result beside it.
#[track_caller]
fn page_of(run: &Path) -> Html {
    let text = fs::read_to_string(run.join("report.html")).unwrap();
    let document = Html::parse_document(&text);
    assert!(document.errors.is_empty(), "{:?}", document.errors);
    assert!(document.select(&select("script")).next().is_none() && !text.contains('\u{1b}'));
    assert!(text.len() < 2_000_000, "{}", text.len());
    let result: Value = serde_json::from_str(&fs::read_to_string(run.join("result.json")).unwrap()).unwrap();
    let metrics = result["metrics"]["test"].as_object().unwrap();
    assert!(!metrics.is_empty());
    for (name, value) in metrics {
        let cell =
            document.select(&select(&format!("#test-{name} data"))).next().unwrap_or_else(|| panic!("no {name}"));
        assert_eq!(cell.attr("value").unwrap().parse::<f64>().ok(), value.as_f64(), "{name}");
    }
    assert!(run.join("predictions.safetensors").is_file());
    document
}

fn headings(page: &Html) -> String {
    page.select(&select("h1, h2, h3, h4")).map(|heading| heading.text().collect::<String>() + "\n").collect()
}

#[test]
fn tables_have_a_page_with_mistakes_and_a_simple_method() {
    let place = Place::new();
    let run = place.trained(&example("breast-cancer.csv"), "run", &[]);
    let page = page_of(&run);
    let headings = headings(&page);
    for part in [
        "Learning curve",
        "Other ways without a network",
        "Which classes are taken for which",
        "ROC curve",
        "Precision and recall",
        "The worst mistakes",
        "What it cost",
        "What to try next",
    ] {
        assert!(headings.contains(part), "{part}: {headings}");
    }
    // Of 114 test rows 71 are benign, which most training rows are.
    let tiles: String = page.select(&select(".tiles")).next().unwrap().text().collect::<Vec<_>>().join(" ");
    assert!(tiles.contains("0.6228"), "{tiles}");
    let matrix: Value = serde_json::from_str(&fs::read_to_string(run.join("result.json")).unwrap()).unwrap();
    let counts: Vec<u64> = serde_json::from_value::<Vec<Vec<u64>>>(matrix["confusion"].clone()).unwrap().concat();
    let table =
        page.select(&select("figure")).find(|figure| figure.text().any(|t| t.contains("Which classes"))).unwrap();
    let cells: Vec<u64> =
        table.select(&select("tbody td")).map(|td| td.text().collect::<String>().parse().unwrap()).collect();
    assert_eq!(cells, counts);
}

#[test]
fn regressions_tell_residuals_and_the_furthest_predictions() {
    let place = Place::new();
    let run = place.trained(&example("diabetes.csv"), "run", &["--target", "progression"]);
    let page = page_of(&run);
    let headings = headings(&page);
    assert!(headings.contains("Predicted and true values") && headings.contains("How far off"), "{headings}");
    assert_eq!(page.select(&select(".cards article")).count(), 12);
    let card: String = page.select(&select(".cards article")).next().unwrap().text().collect::<Vec<_>>().join(" ");
    assert!(card.contains("The true progression is") && card.contains("times the mean distance"), "{card}");
}

#[test]
fn pictures_are_shown_where_they_are_taken_for_others() {
    let place = Place::new();
    let mut entries = digits(&["3", "8"], 60);
    // A picture that is surely told wrongly, with a name that is no markup.
    let eight = entries.iter().find(|(name, _)| name.starts_with("8/")).unwrap().1.clone();
    entries.push(("test/3/<b> \"an' eight.png".to_string(), eight));
    for (name, _) in &mut entries[..120] {
        let part = if name.ends_with("0.png") || name.ends_with("5.png") { "test" } else { "train" };
        *name = format!("{part}/{name}");
    }
    place.write("data.zip", zipped(&entries));
    let run = place.trained("data.zip", "run", &["--epochs", "12", "--from", "scratch"]);
    let page = page_of(&run);
    let card =
        page.select(&select(".cards article")).find(|card| card.text().any(|t| t.contains("an' eight.png"))).unwrap();
    let image = card.select(&select("img")).next().unwrap();
    assert!(image.attr("src").unwrap().starts_with("data:image/png;base64,"));
    assert!(image.attr("alt").unwrap().contains("The network says '8'"), "{:?}", image.attr("alt"));
    assert!(card.select(&select("b")).next().is_none());
}

#[test]
fn several_labels_and_numbers_of_pictures_have_pages() {
    let place = Place::new();
    let (mut labels, mut numbers) = (String::from("image,labels\n"), String::from("image,value\n"));
    for (name, png) in digits(&["1", "6", "8"], 25) {
        let class: u32 = name[..1].parse().unwrap();
        let own = ["even", "round <i>"].into_iter().filter(|l| (*l == "even") == (class == 6) || class == 8);
        labels += &format!("{name},{}\n", own.collect::<Vec<_>>().join("|"));
        numbers += &format!("{name},{}.5\n", class * 10);
        place.write(&name, png);
    }
    place.write("labels.csv", labels);
    place.write("numbers.csv", numbers);
    let several = page_of(&place.trained("labels.csv", "labels", &["--from", "scratch", "task=multi_label"]));
    assert!(headings(&several).contains("How well each label is recognised"));
    let text: String = several.root_element().text().collect();
    assert!(text.contains("round <i>") && text.contains("Missed:"));
    let card: String = several.select(&select(".cards h4")).next().unwrap().text().collect();
    assert!(card.ends_with(".png"), "{card}");
    let numbers = page_of(&place.trained("numbers.csv", "numbers", &["--from", "scratch", "task=regression"]));
    assert!(headings(&numbers).contains("Predicted and true values"));
    assert!(numbers.select(&select(".cards img")).count() > 5);
}

#[test]
fn texts_are_shown_and_never_interpreted() {
    let place = Place::new();
    let mut text = String::from("text\tkind\n");
    for i in 0..120 {
        let (word, kind) =
            if i % 2 == 0 { ("harbour ships sail", "sea") } else { ("forest trees grow", "<script>alert(1)</script>") };
        text += &format!("the {word} in number {i} <img src=x onerror=alert(2)>\t{kind}\n");
    }
    // One that nobody can tell.
    text += "the harbour ships sail far away &amp; <b>back</b>\t<script>alert(1)</script>\n";
    place.write("texts.tsv", text);
    let run = place.trained(
        "texts.tsv",
        "run",
        &["--text", "text", "--target", "kind", "--from", "scratch", "--epochs", "1"],
    );
    let page = page_of(&run);
    assert!(page.select(&select("img")).next().is_none(), "a text is no markup");
    let text: String = page.root_element().text().collect();
    assert!(text.contains("<script>alert(1)</script>"));
    // What the network goes by is added on request.
    place.run(&["report", "run", "--full"]).succeeded();
    let full = page_of(&run);
    assert!(headings(&full).contains("The test rows as the last layer sees them"));
}

#[test]
fn pairs_labelled_words_and_continued_texts_have_pages() {
    let place = Place::new();
    let word = |i: usize| ["boat", "garden", "piano", "castle", "river", "candle", "wolf", "window"][i % 8];
    let mut pairs = String::from("question,answer\n");
    let mut sentences = String::new();
    for i in 0..120 {
        pairs += &format!("where is the {} {i},the {} {i} is over there\n", word(i), word(i));
        let (name, other) = (word(i * 5 + 1), word(i * 3));
        sentences += &format!("The O\n{name} B-THING\n{} I-THING\nand O\n<{other}> O\n\n", word(i + 2));
    }
    place.write("pairs.csv", pairs);
    place.write("words.conll", sentences);
    let similar = page_of(&place.trained("pairs.csv", "similar", &["--epochs", "1"]));
    assert!(headings(&similar).contains("How far one must look for the partner"));
    let words = page_of(&place.trained("words.conll", "words", &["--epochs", "2"]));
    assert!(headings(&words).contains("Which labels of words are taken for which"));
    let marked: Vec<String> = words.select(&select("mark")).map(|mark| mark.text().collect()).collect();
    assert!(marked.iter().any(|mark| mark.contains("THING")), "{marked:?}");
    let run = place.trained(&example("reference.txt"), "text", &["--epochs", "1", "--model", "gru", "tokens=bytes"]);
    let page = page_of(&run);
    assert!(headings(&page).contains("How well parts of the text are foreseen"));
    assert!(page.select(&select("blockquote")).count() > 3);
    place.run(&["report", "text", "--full"]).succeeded();
    assert!(page_of(&run).select(&select("ins")).next().is_some(), "it goes on from a beginning");
}

#[test]
fn columns_that_count_and_explanations_are_added_on_request() {
    let place = Place::new();
    let mut csv = String::from("\"decides, <all>\",idle,kind\n");
    for row in 0..160 {
        csv += &format!("{}.5,{},{}\n", row * 7 % 19, row * 13 % 11, if row * 7 % 19 > 9 { "large" } else { "small" });
    }
    place.write("data.csv", csv);
    let run = place.trained("data.csv", "run", &["--epochs", "30"]);
    assert!(!headings(&page_of(&run)).contains("Which columns it goes by"));
    place.run(&["report", "run", "--full"]).succeeded();
    let page = page_of(&run);
    assert!(headings(&page).contains("Which columns it goes by"));
    let shown = place.run(&["plot", "run", "importance"]).succeeded().out;
    assert!(headings(&page_of(&run)).contains("What is predicted by the value of a column"));
    // Of two columns there is one other order, which tells nothing: what counts is named, and no row is warned of.
    let text: String = page.root_element().text().collect();
    assert!(text.contains("What counts most: the column 'decides, <all>' ("), "{text}");
    assert!(text.contains("is not tested: fewer than 3 parts") && !text.contains("no better than chance"), "{text}");
    place.write("row.csv", "\"decides, <all>\",idle\n18.5,3\n");
    let told = place.run(&["explain", "run", "row.csv"]).succeeded().out;
    assert!(told.contains(": too few parts to test the order") && !told.contains("warning"), "{told}");
    let told = place.run(&["explain", "run", "data.csv", "--method", "permutation"]).succeeded().out;
    assert!(told.contains(": too few parts to test the order") && !told.contains("warning"), "{told}");
    let told = place.run(&["plot", "run", "partial-dependence"]).succeeded().out;
    assert!(told.contains("With 'decides, <all>', the mean prediction"), "{told}");
    place.run(&["plot", "run", "partial-dependence", "--out", "by-value.svg"]).succeeded();
    assert!(fs::read_to_string(place.path("by-value.svg")).unwrap().contains("translate(420 0)"));
    let bars: Vec<&str> = shown.lines().filter(|line| line.contains('█') || line.contains("idle")).collect();
    assert!(bars[0].contains("decides, <all>"), "{shown}");
    // Without the data the page says what is missing, and is whole otherwise.
    fs::remove_file(place.path("data.csv")).unwrap();
    let ran = place.run(&["report", "run", "--full"]).succeeded();
    assert!(ran.err.contains("no longer there"), "{}", ran.err);
    page_of(&run);
    place.run(&["report", "run"]).succeeded();
    page_of(&run);
}

#[test]
fn of_many_rows_a_sample_is_kept_and_that_is_told() {
    let place = Place::new();
    place.write("train.csv", table(200));
    let distinct: String = (0..10_400)
        .map(|row| format!("{}.{row:05},{}.25,{}\n", row % 23, row % 17, ["small", "large"][row % 2]))
        .collect();
    place.write("test.csv", format!("a,b,kind\n{distinct}"));
    let run = place.trained("train.csv", "run", &["--test", "test.csv", "--epochs", "1"]);
    assert!(fs::metadata(run.join("predictions.safetensors")).unwrap().len() < 500_000);
    let page = page_of(&run);
    let text: String = page.root_element().text().collect();
    assert!(text.contains("10,000 of the 10,400 test rows, drawn by chance"), "{text}");
}

#[test]
fn plots_are_listed_shown_and_written() {
    let place = Place::new();
    place.write("data.csv", table(120));
    place.trained("data.csv", "run", &[]);
    let list = place.run(&["plot", "run"]).succeeded().out;
    for name in [
        "learning-curve",
        "confusion",
        "reliability",
        "roc",
        "precision-recall",
        "importance",
        "partial-dependence",
        "features",
    ] {
        assert!(list.contains(name), "{list}");
    }
    let shown = place.run(&["plot", "run", "learning-curve"]).succeeded().out;
    assert!(shown.contains("Learning curve") && shown.contains('│') && shown.lines().count() > 16, "{shown}");
    place.run(&["plot", "run", "features", "--out", "map.svg"]).succeeded();
    let svg = fs::read_to_string(place.path("map.svg")).unwrap();
    assert!(svg.contains("<title") && svg.contains("prefers-color-scheme"), "{svg}");
    let ran = place.run(&["plot", "run", "roc", "--out", "roc.png"]);
    match ran.code {
        Some(0) => assert!(fs::read(place.path("roc.png")).unwrap().starts_with(b"\x89PNG")),
        // A system without fonts.
        _ => ran.is_refusal(&["no fonts", ".svg instead"]),
    }
    place.run(&["plot", "run", "rok"]).is_refusal(&["no plot 'rok'", "the nearest is 'roc'"]);
    place.run(&["plot", "run", "roc", "--out", "roc.gif"]).is_refusal(&["neither .svg nor .png"]);
}

#[test]
fn runs_are_compared_side_by_side() {
    let place = Place::new();
    place.write("data.csv", table(120));
    place.trained("data.csv", "one", &[]);
    place.trained("data.csv", "two", &["--model", "mlp"]);
    let ran = place.run(&["report", "one", "two"]).succeeded();
    assert_eq!(ran.out.trim(), "report-one-two.html");
    let text = fs::read_to_string(place.path("report-one-two.html")).unwrap();
    let page = Html::parse_document(&text);
    assert!(page.errors.is_empty(), "{:?}", page.errors);
    let whole: String = page.root_element().text().collect::<Vec<_>>().join(" ");
    assert!(whole.contains("model") && whole.contains("\"mlp\"") && !whole.contains("different data"), "{whole}");
    place.run(&["report", "one", "two", "--full"]).is_refusal(&["--full is for the page of one run"]);
}

#[test]
fn what_is_no_run_or_is_damaged_is_refused_in_words() {
    let place = Place::new();
    place.write("data.csv", table(120));
    let run = place.trained("data.csv", "run", &[]);
    place.run(&["report", "nothing"]).is_refusal(&["'nothing'", "does not exist"]);
    fs::create_dir(place.path("empty")).unwrap();
    place.run(&["report", "empty"]).is_refusal(&["is not a run folder"]);
    place.run(&["report", "run", "--out", "no/folder/page.html"]).is_refusal(&["there is no folder 'no/folder'"]);
    place.run(&["report", "run", "--out", "empty"]).is_refusal(&["cannot write 'empty'", "directory"]);
    assert!(listing(&place.path("empty")).is_empty());
    #[cfg(target_os = "linux")]
    {
        let ran = place.run(&["report", "run", "--out", "/dev/full"]);
        assert!(ran.code == Some(1) && ran.err.contains("free some space"), "{ran:?}");
    }
    // Without the predictions the page tells less, and says so.
    fs::write(run.join("predictions.safetensors"), b"broken").unwrap();
    let ran = place.run(&["report", "run"]).succeeded();
    assert!(ran.err.contains("predictions.safetensors") && ran.err.contains("damaged"), "{}", ran.err);
    assert!(fs::read_to_string(run.join("report.html")).unwrap().contains("Which classes are taken for which"));
    fs::write(run.join("result.json"), b"{\"run\": 3").unwrap();
    place.run(&["report", "run"]).is_refusal(&["result.json", "is damaged", "--resume"]);
}

#[test]
fn a_run_that_has_not_ended_shows_how_far_it_is() {
    let place = Place::new();
    place.write("data.csv", table(120));
    let run = place.trained("data.csv", "run", &[]);
    // Without its journal a network is none of the classical learners.
    let journal = fs::read(run.join("metrics.jsonl")).unwrap();
    fs::remove_file(run.join("metrics.jsonl")).unwrap();
    assert!(place.run(&["report", "run"]).succeeded().err.contains("metrics.jsonl is missing"));
    let page = fs::read_to_string(run.join("report.html")).unwrap();
    assert!(page.contains("metrics.jsonl, is missing") && !page.contains("A classical learner ("), "{page}");
    fs::write(run.join("metrics.jsonl"), journal).unwrap();
    fs::remove_file(run.join("result.json")).unwrap();
    let told = |text: &str| {
        place.run(&["report", "run"]).succeeded();
        let page = fs::read_to_string(run.join("report.html")).unwrap();
        assert!(page.contains(text) && page.contains("Learning curve"), "{page}");
    };
    told("has not ended");
    place.run(&["report", "run", "--full"]).is_refusal(&["--full needs a run that has ended"]);
    // As a process that trains holds it.
    let settings = fs::File::open(run.join("settings.toml")).unwrap();
    settings.lock().unwrap();
    told("is being trained");
    place.run(&["report", "run", "--full"]).is_refusal(&["this one is being trained", "wait"]);
    settings.unlock().unwrap();
    fs::remove_file(run.join("metrics.jsonl")).unwrap();
    place.run(&["report", "run"]).succeeded();
    assert!(place.run(&["plot", "run"]).succeeded().err.contains("nothing to draw"));
    place.run(&["plot", "run", "roc"]).is_refusal(&["no epoch has ended"]);
}

#[test]
fn training_does_not_fail_where_its_page_cannot_be_written() {
    let place = Place::new();
    place.write("data.csv", table(120));
    let run = place.trained("data.csv", "run", &[]);
    fs::remove_file(run.join("report.html")).unwrap();
    fs::create_dir(run.join("report.html")).unwrap();
    let ran = place.run(&["train", "--resume", "run"]).succeeded();
    assert!(ran.err.contains("there is no report of this run") && ran.out.contains("accuracy"), "{ran:?}");
    fs::remove_dir(run.join("report.html")).unwrap();
    let ran = place.run(&["train", "--resume", "run"]).succeeded();
    assert!(ran.out.contains("report.html"), "{}", ran.out);
    page_of(&run);
}
