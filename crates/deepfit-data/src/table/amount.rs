//! Numbers as people write them: `$1,234.50`, `12.3%`, `€ 5`, `1.234,5`.

use serde::{Deserialize, Serialize};

use super::plain::Plain;

/// What stands before the decimals; the other mark, a space or an apostrophe may divide thousands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AmountForm {
    /// `1,234.50`
    DecimalPoint,
    /// `1.234,50`
    DecimalComma,
}

const SIGNS: [char; 8] = ['$', '€', '£', '¥', '₹', '₽', '₩', '₺'];
const CODES: [&str; 6] = ["USD", "EUR", "GBP", "JPY", "CHF", "CAD"];

impl AmountForm {
    /// Both forms; the first is taken where a whole column fits both and nothing speaks for the other.
    pub(crate) const ALL: [AmountForm; 2] = [AmountForm::DecimalPoint, AmountForm::DecimalComma];

    /// Whether a text, of which [`Plain`] was asked before, fits each of [`ALL`](Self::ALL).
    pub(crate) fn fitting(text: &str, plain: Option<Plain>) -> [bool; 2] {
        match plain {
            Some(plain) => [true, plain.may_be_divided()],
            None if is_word(text) => [false; 2],
            None => Self::ALL.map(|form| form.parse(text).is_some()),
        }
    }

    /// The number, without its currency. A percentage is its number: `12.3%` is 12.3.
    pub(crate) fn parse(self, text: &str) -> Option<f64> {
        if text.len() > 40 || is_word(text) {
            return None;
        }
        let text = text.trim();
        // Accountants put losses into brackets.
        let (text, bracketed) = match text.strip_prefix('(').and_then(|text| text.strip_suffix(')')) {
            Some(inner) => (inner.trim(), true),
            None => (text, false),
        };
        let (text, outer) = sign(text);
        let (text, inner) = sign(without_unit(text));
        if usize::from(bracketed) + usize::from(outer.is_some()) + usize::from(inner.is_some()) > 1 {
            return None;
        }
        let negative = bracketed || outer.or(inner) == Some('-');
        let value = self.digits(text)?;
        Some(if negative { -value } else { value })
    }

    fn digits(self, text: &str) -> Option<f64> {
        let (decimal, other) = match self {
            AmountForm::DecimalPoint => ('.', ','),
            AmountForm::DecimalComma => (',', '.'),
        };
        let (whole, fraction) = match text.rsplit_once(decimal) {
            Some((whole, fraction)) => (whole, fraction),
            None => (text, ""),
        };
        if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let mut digits = String::with_capacity(text.len());
        match whole.chars().find(|c| !c.is_ascii_digit()) {
            None => digits.push_str(whole),
            Some(mark) if mark == other || matches!(mark, ' ' | '\'' | '’' | '\u{a0}' | '\u{202f}') => {
                for (i, group) in whole.split(mark).enumerate() {
                    let long = if i == 0 { (1..=3).contains(&group.len()) } else { group.len() == 3 };
                    if !long || !group.bytes().all(|byte| byte.is_ascii_digit()) || (i == 0 && group.starts_with('0')) {
                        return None;
                    }
                    digits.push_str(group);
                }
            }
            Some(_) => return None,
        }
        if digits.is_empty() && fraction.is_empty() {
            return None;
        }
        digits.push('.');
        digits.push_str(fraction);
        digits.parse().ok()
    }
}

/// Whether a text needs no closer look: no sign, code or mark of an amount has a small letter, none of these marks of dates
/// and times follows its digits, and every amount has a digit.
fn is_word(text: &str) -> bool {
    let (mut digit, mut other) = (false, false);
    for byte in text.bytes() {
        other |= byte.is_ascii_lowercase() || (digit && matches!(byte, b'-' | b'/' | b':'));
        digit |= byte.is_ascii_digit();
    }
    other || !digit
}

/// Text behind a leading sign, and the sign.
fn sign(text: &str) -> (&str, Option<char>) {
    match text.chars().next() {
        Some(first @ ('-' | '+' | '−')) => {
            (text[first.len_utf8()..].trim_start(), Some(if first == '+' { '+' } else { '-' }))
        }
        _ => (text, None),
    }
}

/// Text without one currency or percent sign before or behind the number.
fn without_unit(text: &str) -> &str {
    if let [b'0'..=b'9', .., b'0'..=b'9'] = text.as_bytes() {
        return text;
    }
    let before = SIGNS.iter().find_map(|sign| text.strip_prefix(*sign));
    let before = before.or_else(|| CODES.iter().find_map(|code| text.strip_prefix(code)));
    if let Some(rest) = before {
        return rest.trim_start();
    }
    let behind = SIGNS.iter().chain(&['%']).find_map(|sign| text.strip_suffix(*sign));
    let behind = behind.or_else(|| CODES.iter().find_map(|code| text.strip_suffix(code)));
    behind.map_or(text, str::trim_end)
}

#[cfg(test)]
mod tests {
    use super::AmountForm::{DecimalComma, DecimalPoint};

    #[test]
    fn amounts_are_read_and_other_texts_are_not() {
        let point = [
            ("$1,234", 1234.0),
            ("1,234.50", 1234.5),
            ("12.3%", 12.3),
            ("€ 5", 5.0),
            ("-$5", -5.0),
            ("$-5", -5.0),
            ("($1,000.5)", -1000.5),
            ("1 234 567", 1_234_567.0),
            ("+.5", 0.5),
            ("12 USD", 12.0),
        ];
        for (text, value) in point {
            assert_eq!(DecimalPoint.parse(text), Some(value), "{text}");
        }
        for (text, value) in [("1.234,50 €", 1234.5), ("12,5", 12.5), ("1.234", 1234.0), ("-0,25", -0.25)] {
            assert_eq!(DecimalComma.parse(text), Some(value), "{text}");
        }
        for text in
            ["12,5", "1,23,456", "1,2345", "$", "", "5x", "x5", "1.2.3", "--5", "-(5)", "0,123,456", "2024-01-02"]
        {
            assert_eq!(DecimalPoint.parse(text), None, "{text}");
        }
        assert_eq!(DecimalComma.parse("12.5"), None);
    }

    #[test]
    fn the_quick_answer_is_that_of_parsing() {
        let mut texts: Vec<String> =
            ["-", "+", ".", "-.", "1e5", "1.5e3", "north", "Town 7", "$1,234", "(5)", "5 %", "−5"]
                .map(String::from)
                .into();
        for sign in ["", "-", "+", "--"] {
            for whole in ["", "0", "7", "012", "123", "1234"] {
                for fraction in ["", ".", ".5", ".123", ".1234", ".1.2", ",5", ",123"] {
                    texts.push(format!("{sign}{whole}{fraction}"));
                }
            }
        }
        texts.push("1".repeat(41));
        for text in texts {
            let parsed = super::AmountForm::ALL.map(|form| form.parse(&text).is_some());
            assert_eq!(super::AmountForm::fitting(&text, super::Plain::parse(&text)), parsed, "{text}");
        }
    }
}
