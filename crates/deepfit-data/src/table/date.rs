//! Dates as people write them, to days since 1970-01-01.

use serde::{Deserialize, Serialize};

/// The order of a date's parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DateForm {
    /// `2024-03-31`, `2024/03/31`, with or without a time (ISO 8601).
    YearFirst,
    /// `31.03.2024`, `31/3/2024`.
    DayFirst,
    /// `03/31/2024`.
    MonthFirst,
    /// `31 March 2024`, `Mar 31, 2024`.
    Named,
    /// `20240331`; only looked for in columns with "date" in their name.
    Compact,
}

impl DateForm {
    /// All forms, those that leave no doubt first. A column that fits both `MonthFirst` and `DayFirst` is month first.
    pub(crate) const ALL: [DateForm; 5] =
        [DateForm::YearFirst, DateForm::Named, DateForm::MonthFirst, DateForm::DayFirst, DateForm::Compact];

    /// Days since 1970-01-01, the time of day as fraction. `None` if the text is not a date of this form.
    pub(crate) fn parse(self, text: &str) -> Option<f64> {
        let text = text.trim();
        if self == DateForm::Compact {
            let digits = text.len() == 8 && text.bytes().all(|b| b.is_ascii_digit());
            let part = |range: std::ops::Range<usize>| text.get(range)?.parse::<i64>().ok();
            return if digits { day(part(0..4)?, part(4..6)?, part(6..8)?).map(|d| d as f64) } else { None };
        }
        if self == DateForm::Named {
            return named(text);
        }
        let end = text.find(['T', ' ']).unwrap_or(text.len());
        let (date, time) = (&text[..end], text[end..].trim_start_matches(['T', ' ']));
        let separator = date.chars().find(|c| !c.is_ascii_digit())?;
        if !matches!(separator, '-' | '/' | '.') {
            return None;
        }
        let mut parts = date.split(separator);
        let texts = [parts.next()?, parts.next()?, parts.next()?];
        if parts.next().is_some() || texts.iter().any(|t| t.is_empty() || t.len() > 4) {
            return None;
        }
        let number = |i: usize| texts[i].bytes().all(|b| b.is_ascii_digit()).then(|| texts[i].parse::<i64>().ok())?;
        let (year, month, date) = match self {
            DateForm::YearFirst => (0, 1, 2),
            DateForm::DayFirst => (2, 1, 0),
            _ => (2, 0, 1),
        };
        if texts[year].len() != 4 || texts[month].len() > 2 || texts[date].len() > 2 {
            return None;
        }
        let days = day(number(year)?, number(month)?, number(date)?)?;
        let fraction = if time.is_empty() { 0.0 } else { time_of_day(time)? };
        Some(days as f64 + fraction)
    }
}

fn named(text: &str) -> Option<f64> {
    const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let mut words = text.split([' ', ',', '-']).filter(|word| !word.is_empty());
    let (a, b, year) = (words.next()?, words.next()?, words.next()?);
    if words.next().is_some() {
        return None;
    }
    let (date, month) = if a.starts_with(|c: char| c.is_ascii_digit()) { (a, b) } else { (b, a) };
    let begins = |name: &&str| month.get(..3).is_some_and(|begin| begin.eq_ignore_ascii_case(name));
    let index = MONTHS.iter().position(begins)?;
    if year.len() != 4 {
        return None;
    }
    day(year.parse().ok()?, index as i64 + 1, date.parse().ok()?).map(|d| d as f64)
}

/// `12:30`, `12:30:15.5`, with `Z` or an offset such as `+01:00`, as a part of a day (in UTC).
fn time_of_day(text: &str) -> Option<f64> {
    let text = text.trim_end_matches('Z').trim_end();
    let (clock, offset) = match text.rfind(['+', '-']) {
        Some(at) => {
            let sign = if text[at..].starts_with('+') { 1.0 } else { -1.0 };
            let digits: String = text[at + 1..].chars().filter(char::is_ascii_digit).collect();
            let hours: f64 = digits.get(..2)?.parse().ok()?;
            let minutes: f64 = digits.get(2..4).map_or(Some(0.0), |m| m.parse().ok())?;
            (&text[..at], sign * (hours * 60.0 + minutes))
        }
        None => (text, 0.0),
    };
    let mut parts = clock.split(':');
    let hours: f64 = parts.next()?.parse().ok()?;
    let minutes: f64 = parts.next()?.parse().ok()?;
    let seconds: f64 = parts.next().map_or(Some(0.0), |s| s.parse().ok())?;
    if parts.next().is_some()
        || !(0.0..24.0).contains(&hours)
        || !(0.0..60.0).contains(&minutes)
        || !(0.0..61.0).contains(&seconds)
    {
        return None;
    }
    Some((hours * 3600.0 + (minutes - offset) * 60.0 + seconds) / 86400.0)
}

/// Days since 1970-01-01 of a date of the Gregorian calendar, from the year 1 on (Hinnant, "chrono-Compatible
/// Low-Level Date Algorithms").
fn day(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let longest = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        _ => return None,
    };
    if !(1..=9999).contains(&year) || !(1..=longest).contains(&day) {
        return None;
    }
    // Years begin in March, so that the leap day is the last of its year.
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let of_era = shifted.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

/// Year, month and day of the month of a day since 1970-01-01.
fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let of_era = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let of_year = doe - (365 * of_era + of_era / 4 - of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Year, month (1 to 12) and weekday (0 is Monday) of a day since 1970-01-01.
pub(crate) fn calendar(days: f64) -> (f64, f64, f64) {
    let day = days.floor() as i64;
    let (year, month, _) = civil(day);
    // 1970-01-01 was a Thursday.
    (year as f64, month as f64, (day + 3).rem_euclid(7) as f64)
}

/// A day since 1970-01-01 as `2024-03-31`; far from our time, as the number that it is.
pub(super) fn written(days: i128) -> String {
    const MOST: i128 = 100_000_000;
    if !(-MOST..=MOST).contains(&days) {
        return days.to_string();
    }
    let (year, month, day) = civil(days as i64);
    format!("{year:04}-{month:02}-{day:02}")
}

/// Days since 1970-01-01 with a part of a day as `2024-03-31` or `2024-03-31 12:30`; seconds only where there are some.
pub(crate) fn moment(days: f64) -> String {
    let mut day = days.floor();
    let mut seconds = ((days - day) * 86_400.0).round() as i64;
    // What is rounded to a whole day is the next one.
    if seconds == 86_400 {
        (day, seconds) = (day + 1.0, 0);
    }
    let date = written(day as i128);
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0) => date,
        (hours, minutes, 0) => format!("{date} {hours:02}:{minutes:02}"),
        (hours, minutes, seconds) => format!("{date} {hours:02}:{minutes:02}:{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_shown_as_dates_with_the_time_if_there_is_one() {
        assert_eq!(moment(19_813.0), "2024-03-31");
        assert_eq!(moment(19_813.0 + 12.5 / 24.0), "2024-03-31 12:30");
        assert_eq!(moment(19_813.0 + 1.0 / 86_400.0), "2024-03-31 00:00:01");
        assert_eq!(moment(19_813.0 - 1e-9), "2024-03-31");
    }

    #[test]
    fn common_forms_give_the_same_day() {
        let expected = 19_813.0; // 2024-03-31
        for (form, text) in [
            (DateForm::YearFirst, "2024-03-31"),
            (DateForm::YearFirst, "2024/3/31"),
            (DateForm::DayFirst, "31.03.2024"),
            (DateForm::DayFirst, "31/3/2024"),
            (DateForm::MonthFirst, "3/31/2024"),
            (DateForm::Named, "31 March 2024"),
            (DateForm::Named, "Mar 31, 2024"),
            (DateForm::Compact, "20240331"),
        ] {
            assert_eq!(form.parse(text), Some(expected), "{text}");
        }
        assert_eq!(DateForm::YearFirst.parse("2024-03-31T12:00:00Z"), Some(expected + 0.5));
        assert_eq!(DateForm::YearFirst.parse("2024-03-31 13:00:00+01:00"), Some(expected + 0.5));
        assert_eq!(calendar(expected), (2024.0, 3.0, 6.0));
    }

    #[test]
    fn impossible_dates_and_numbers_are_refused() {
        for text in
            ["2023-02-29", "2024-13-01", "3.14", "192.168.1.1", "12", "", "2024-03", "1-2-3", "2024-01-01 25:00"]
        {
            assert!(DateForm::ALL.iter().all(|form| form.parse(text).is_none()), "{text}");
        }
    }

    #[test]
    fn every_day_of_four_centuries_survives_the_round_trip() {
        let first = day(1800, 1, 1).unwrap();
        for offset in 0..146_097 {
            let (year, month, _) = calendar((first + offset) as f64);
            let start = day(year as i64, month as i64, 1).unwrap();
            assert!((0..31).contains(&(first + offset - start)));
            let text = written(i128::from(first + offset));
            assert_eq!(DateForm::YearFirst.parse(&text), Some((first + offset) as f64), "{text}");
        }
    }
}
