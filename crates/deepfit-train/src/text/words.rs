//! Numbers in human words.

/// Bytes with a decimal unit: `512 B`, `1.4 kB`, `56.3 MB`.
pub fn bytes(count: u64) -> String {
    if count < 1000 {
        return format!("{count} B");
    }
    scaled(count as f64, &["B", "kB", "MB", "GB", "TB", "PB"])
}

/// A number of operations with a decimal unit: `950`, `1.4 k`, `3.6 M`, `1.8 G`.
pub fn operations(count: u64) -> String {
    if count < 1000 {
        return count.to_string();
    }
    scaled(count as f64, &["", "k", "M", "G", "T", "P"])
}

fn scaled(mut value: f64, units: &[&str]) -> String {
    let mut unit = 0;
    // 999.95 would be shown as 1000.0.
    while value >= 999.95 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", units[unit])
}

/// A count with its thousands separated: `36,522`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Seconds in words: `4 ms`, `0.15 s`, `5.4 s`, `2 min 5 s`, `1 h 3 min`, `2 d 4 h`; what is not finite is `unknown`.
pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "unknown".to_string();
    }
    if seconds == 0.0 {
        return "0 s".to_string();
    }
    if seconds < 0.001 {
        return "under 1 ms".to_string();
    }
    if seconds < 0.0995 {
        return format!("{:.0} ms", seconds * 1e3);
    }
    if seconds < 0.995 {
        return format!("{seconds:.2} s");
    }
    if seconds < 9.95 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round().min(1e15) as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        3600..86_400 => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
        _ => format!("{} d {} h", count(whole / 86_400), whole % 86_400 / 3600),
    }
}

/// An estimated duration in words: `about 5.4 s`, `under 1 ms`, `unknown`.
pub fn about(seconds: f64) -> String {
    let words = duration(seconds);
    if words.starts_with(|c: char| c.is_ascii_digit()) { format!("about {words}") } else { words }
}

/// A score or a loss: four decimals, fewer for large numbers and more figures for tiny ones.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        return "-".to_string();
    }
    if size >= 1e7 || (size > 0.0 && size < 1e-4) {
        format!("{value:.3e}")
    } else if size >= 1000.0 {
        format!("{value:.1}")
    } else if size >= 10.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.4}")
    }
}

/// `1 row`, `2 rows`.
pub fn plural(number: u64, unit: &str) -> String {
    format!("{} {unit}{}", count(number), if number == 1 { "" } else { "s" })
}

/// The text without control characters, which a class or file name may bring and a terminal would obey.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// The text, cut in the middle to at most `width` characters.
pub fn shortened(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length <= width || width < 3 {
        return text.to_string();
    }
    let head = (width - 1) / 2;
    let tail = width - 1 - head;
    text.chars().take(head).chain(['…']).chain(text.chars().skip(length - tail)).collect()
}

/// The items with commas between them, in lines of at most `width` characters where items allow.
pub fn wrapped(items: &[String], width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for (i, item) in items.iter().enumerate() {
        let item = if i + 1 < items.len() { format!("{item},") } else { item.clone() };
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + item.chars().count() <= width => {
                line.push(' ');
                line.push_str(&item);
            }
            _ => lines.push(item),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_read_well() {
        assert_eq!([bytes(0), bytes(999), bytes(1400), bytes(56_300_000)], ["0 B", "999 B", "1.4 kB", "56.3 MB"]);
        assert_eq!(bytes(999_960), "1.0 MB");
        assert_eq!([operations(12), operations(3_600_000)], ["12", "3.6 M"]);
        assert_eq!([count(7), count(999), count(36_522), count(1_000_000)], ["7", "999", "36,522", "1,000,000"]);
        let shown: Vec<String> =
            [0.0002, 0.0042, 0.154, 5.44, 9.96, 59.7, 125.0, 3780.0, 187_200.0, f64::NAN].map(duration).to_vec();
        assert_eq!(
            shown,
            [
                "under 1 ms",
                "4 ms",
                "0.15 s",
                "5.4 s",
                "10 s",
                "1 min 0 s",
                "2 min 5 s",
                "1 h 3 min",
                "2 d 4 h",
                "unknown"
            ]
        );
        assert_eq!(
            [number(0.98765), number(54.321), number(4321.0), number(1.5e-6)],
            ["0.9877", "54.32", "4321.0", "1.500e-6"]
        );
        assert_eq!([plural(1, "row"), plural(2000, "row")], ["1 row", "2,000 rows"]);
    }

    #[test]
    fn estimates_say_about_where_a_number_follows() {
        assert_eq!(
            [0.0002, 0.0, 5.44, f64::INFINITY].map(about),
            ["under 1 ms", "about 0 s", "about 5.4 s", "unknown"]
        );
    }

    #[test]
    fn lists_are_wrapped_between_items() {
        let items = ["program 7 MB", "arena 3 MB", "parameters 1 MB"].map(String::from);
        assert_eq!(wrapped(&items, 25), ["program 7 MB, arena 3 MB,", "parameters 1 MB"]);
        assert!(wrapped(&[], 25).is_empty());
    }

    #[test]
    fn names_cannot_control_the_terminal() {
        assert_eq!(printable("a\u{1b}[31mb\n"), "a\u{fffd}[31mb\u{fffd}");
        assert_eq!(shortened("abcdefghij", 5), "ab…ij");
        assert_eq!(shortened("abc", 5), "abc");
    }
}
