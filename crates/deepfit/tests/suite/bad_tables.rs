//! Tables that cannot be trained on.

use crate::program::{Place, table};

#[test]
fn ragged_and_non_utf8_rows_are_named() {
    let place = Place::new();
    let mut lines: Vec<String> = table(40).lines().map(String::from).collect();
    lines[7].push_str(",extra");
    place.write("ragged.csv", lines.join("\n"));
    place.refuses(&["ragged.csv"], &["ragged.csv", "row 7", "line 8", "4 fields"]);
    let mut bytes = table(40).into_bytes();
    let at = bytes.iter().rposition(|&b| b == b'l').unwrap();
    bytes[at] = 0xE9;
    place.write("latin.csv", bytes);
    place.refuses(&["latin.csv"], &["latin.csv", "row 40", "UTF-8"]);
}

#[test]
fn absent_and_constant_targets_are_named() {
    let place = Place::new();
    place.write("data.csv", table(40));
    place.refuses(&["data.csv", "--target", "kid"], &["data.csv", "'kid'", "'kind'"]);
    place.write("same.csv", table(40).replace("large", "small"));
    place.refuses(&["same.csv"], &["same.csv", "'kind'", "'small'", "--target"]);
}

#[test]
fn nan_and_infinity_are_named_by_row_and_column() {
    let place = Place::new();
    for bad in ["inf", "-Infinity"] {
        let mut lines: Vec<String> = table(40).lines().map(String::from).collect();
        lines[5] = format!("{bad},1.25,small");
        place.write("data.csv", lines.join("\n"));
        place.refuses(&["data.csv"], &["data.csv", "row 5", "'a'", "infinite"]);
    }
    let rows: Vec<String> =
        (0..40).map(|i| format!("{i}.5,{}", if i == 9 { "NaN".into() } else { format!("{}.25", i * i) })).collect();
    place.write("data.csv", format!("x,y\n{}\n", rows.join("\n")));
    place.refuses(&["data.csv"], &["data.csv", "row 10", "'y'", "NaN"]);
}

#[test]
fn a_single_row_empty_files_and_other_kinds_of_files_are_refused() {
    let place = Place::new();
    place.write("one.csv", table(1));
    place.refuses(&["one.csv"], &["one.csv", "1 usable row"]);
    place.write("empty.csv", "");
    place.refuses(&["empty.csv"], &["empty.csv", "is empty"]);
    place.write("weights.bin", [0, 159, 146, 150, 0, 1]);
    place.refuses(&["weights.bin"], &["weights.bin"]);
}
