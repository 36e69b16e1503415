//! The section of BENCHMARKS.md about data: every figure in it is computed here.

use super::{COURSES, DEEPFIT, FILES, FOLDERS, IMAGES, Reading, Record, TABLES, Training};
use crate::markdown::Table;
use crate::peers::{digits, median, or_none};

/// The whole section.
pub fn section(record: &Record) -> String {
    let dirty = if record.dirty { ", with changes that are not committed" } else { "" };
    let mut text = format!(
        "## Data\n\n\
        Made by `cargo xtask bench-data` on {date}, of commit {commit}{dirty}, on {processor}: no figure is typed by hand. \
        Each figure of reading comes from a process of its own, the median of rounds over all files for at least {seconds} s \
        after one that is not counted; in the tables, the median of {rounds} such medians, taken in turns, library after \
        library. Files lie in the memory of the operating system.\n",
        date = record.date,
        commit = record.commit,
        processor = record.machine.processor,
        seconds = record.seconds,
        rounds = record.rounds,
    );
    text += &images(record).to_string();
    text += "\nPhotographs, in files of 224 x 224, 500 x 375, 1600 x 1200 and 4000 x 3000 pixels, quality 90 and colour at half \
        the resolution where they are JPEG, brought to 224 x 224 with a cubic filter on one core. *Plain*: decoded, resized, \
        cropped in the centre. *Augmented*: a random crop of 35 % of the area and more is resized, half of the images are \
        mirrored, brightness, contrast and saturation vary by 20 %. Pillow works on its own images, torchvision on tensors \
        that it decodes itself, both by the transformations of `torchvision.transforms.v2`.\n";
    text += &tables(record).to_string();
    text += "\nEleven columns: seven of numbers, two of categories, one of dates, one of truth values; a few missing fields. \
        pandas and Polars read values, dates among them; deepfit opens the table as for training: it tells what each \
        column holds by all of its values, encodes categories and dates, finds equal rows. pandas reads on one thread.\n";
    text += &trainings(record).to_string();
    text += "\nOne epoch of ResNet-18 on 224 x 224 pixels, batches of 8, on all cores, images augmented as by default. *Waiting* is the \
        share of the time from the first step to the last that training waits for a batch; *cores preparing* is the work of \
        processors that decode, resize and augment meanwhile. The last five columns come from one process in which every \
        other step has the preparation of a batch beside it: *at best* that costs as much as the batch's work shared out \
        evenly among the cores.\n";
    text += &threads(record).to_string();
    text += "\n*Handed over*: from a call of the threads in the middle of work until all take part and all have been seen to leave. \
        *Busy while waiting*: how many processors the threads of an idle session occupy, from the end of its last step on.\n";
    for (library, reason) in &record.absent {
        text += &format!("\n* {library} failed: {reason}\n");
    }
    let mut versions = Table::new("Versions of the libraries", &["what", "version"]);
    for (name, version) in &record.versions {
        versions.row([name.clone(), version.clone()]);
    }
    text + &versions.to_string()
}

/// Median over the rounds.
fn rate(readings: &[Reading], data: &str, how: &str, library: &str) -> Option<f64> {
    let own = readings.iter().filter(|r| (&r.data[..], &r.how[..], &r.library[..]) == (data, how, library));
    median(&own.map(|r| r.per_second).collect::<Vec<f64>>())
}

fn times(value: Option<f64>) -> String {
    or_none(value, |value| format!("{value:.2}x"))
}

fn images(record: &Record) -> Table {
    let columns = ["files", "how", IMAGES[0], IMAGES[1], IMAGES[2], "deepfit to pillow", "deepfit to torchvision"];
    let mut table = Table::new("Images a second and core", &columns);
    for (folder, how) in FOLDERS.into_iter().flat_map(|folder| ["plain", "augmented"].map(|how| (folder, how))) {
        let rate = |library| rate(&record.images, folder, how, library);
        let Some(own) = rate(DEEPFIT) else { continue };
        let mut row = vec![folder.to_string(), how.to_string()];
        row.extend(IMAGES.map(|library| or_none(rate(library), digits)));
        row.extend(IMAGES[1..].iter().map(|library| times(rate(library).map(|other| own / other))));
        table.cells(row);
    }
    table
}

fn tables(record: &Record) -> Table {
    let columns = ["file", "threads", TABLES[0], TABLES[1], TABLES[2], "deepfit to pandas", "deepfit to polars"];
    let mut table = Table::new("Rows of CSV files a second, millions", &columns);
    for file in FILES {
        let mut threads: Vec<&str> = record.tables.iter().filter(|r| r.data == file).map(|r| &r.how[..]).collect();
        threads.sort_unstable();
        threads.dedup();
        for how in threads {
            let rate = |library| rate(&record.tables, file, how, library);
            let Some(own) = rate(DEEPFIT) else { continue };
            let mut row = vec![file.to_string(), how.to_string()];
            row.extend(TABLES.map(|library| or_none(rate(library), |rows| digits(rows / 1e6))));
            row.extend(TABLES[1..].iter().map(|library| times(rate(library).map(|other| own / other))));
            table.cells(row);
        }
    }
    table
}

fn trainings(record: &Record) -> Table {
    let columns = [
        "training on",
        "threads",
        "ms a step",
        "waiting",
        "cores preparing",
        "work on a batch, ms",
        "step alone, ms",
        "step beside it, ms",
        "slower by, ms",
        "at best, ms",
    ];
    let mut table = Table::new("Training and its data", &columns);
    for course in &COURSES {
        let own = || record.trainings.iter().filter(|t| t.what == course.what);
        let of = |figure: fn(&Training) -> f64| median(&own().map(figure).collect::<Vec<f64>>());
        let Some(threads) = own().next().map(|t| t.threads) else { continue };
        let short = |value: Option<f64>| or_none(value, |ms| format!("{ms:.1}"));
        table.row([
            course.what.to_string(),
            threads.to_string(),
            or_none(of(|t| 1e3 * t.training / t.steps as f64), digits),
            or_none(of(|t| 100.0 * t.waited / t.training), |share| format!("{share:.1} %")),
            or_none(of(|t| t.worked / t.training), |cores| format!("{cores:.3}")),
            short(of(|t| t.beside.worked_ms)),
            or_none(of(|t| t.beside.alone_ms), digits),
            or_none(of(|t| t.beside.beside_ms), digits),
            short(of(|t| t.beside.beside_ms - t.beside.alone_ms)),
            short(of(|t| t.beside.worked_ms / t.threads as f64)),
        ]);
    }
    table
}

fn threads(record: &Record) -> Table {
    let mut table =
        Table::new("Threads", &["threads", "handed over and back, microseconds", "busy while waiting, cores"]);
    let mut counts: Vec<usize> = record.threads.iter().map(|t| t.threads).collect();
    counts.sort_unstable();
    counts.dedup();
    for count in counts {
        let own = || record.threads.iter().filter(move |t| t.threads == count);
        let hand_over = median(&own().map(|t| t.hand_over_us).collect::<Vec<f64>>()).filter(|_| count > 1);
        let idle = median(&own().map(|t| t.idle_cores).collect::<Vec<f64>>());
        let cells =
            [count.to_string(), or_none(hand_over, |us| format!("{us:.2}")), or_none(idle, |c| format!("{c:.4}"))];
        table.row(cells);
    }
    table
}
