//! Which columns of a table are predicted by.

use deepfit_train::text::words;

use crate::plot::{Bars, Chart, Data, Plot};

/// Most columns that are drawn.
const MOST: usize = 20;
/// Most that are listed.
const LISTED: usize = 300;

/// How much worse the test rows are predicted when a column is shuffled; `whole` is how well they are with all.
pub fn importance(falls: &[(String, f64)], metric: &str, whole: f64, rows: usize) -> Plot {
    // What rounding alone makes is nothing.
    let exact = |fall: f64| if fall.abs() < 1e-9 { 0.0 } else { fall };
    let mut sorted: Vec<(String, f64)> = falls.iter().map(|(name, fall)| (name.clone(), exact(*fall))).collect();
    sorted.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let mut table = Data::new(&["column", &format!("fall of {metric}")]);
    sorted.iter().take(LISTED).for_each(|(name, fall)| table.row(vec![name.clone(), words::number(*fall)]));
    let first: Vec<String> =
        sorted.iter().take(3).map(|(name, fall)| format!("'{name}' ({})", words::number(*fall))).collect();
    let idle = sorted.iter().filter(|(_, fall)| *fall <= 0.0).count();
    let finding = format!(
        "With all columns {metric} on {} is {}. It falls most without {}; {} of {} columns could be shuffled without any loss.",
        words::plural(rows as u64, "test row"),
        words::number(whole),
        first.join(", "),
        idle,
        sorted.len()
    );
    let label = format!("fall of {metric} when the column is shuffled");
    sorted.truncate(MOST);
    Plot {
        name: "importance",
        title: "Which columns it goes by".to_string(),
        reading: "The values of one column at a time are dealt out anew among the test rows. The worse predictions become by that, \
                  the more they go by this column. Columns that say the same can stand in for each other, and then each of them \
                  seems to matter little."
            .to_string(),
        finding,
        chart: Chart::Bars(Bars { label, bars: sorted, most: 0.0 }),
        table,
    }
}
