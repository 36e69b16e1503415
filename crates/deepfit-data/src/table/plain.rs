//! Numbers as most of them are written, digits with perhaps a sign and a point, read at once with what their text tells.

/// A number of at most 15 digits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Plain {
    pub(crate) value: f64,
    /// Digits before the point.
    whole: usize,
    /// Digits behind the point, if there is one.
    fraction: Option<usize>,
    /// The first digit is a 0 and stands before the point.
    zero: bool,
}

/// More digits are not exact in 53 bits.
const DIGITS: usize = 15;

/// Powers of ten that are exact.
const POWERS: [f64; DIGITS + 1] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

impl Plain {
    /// The number, if the text is one of these. Its value is that of the general parser: both digits and the power of ten
    /// are exact, so that their quotient is rounded once (Clinger 1990).
    pub(crate) fn parse(text: &str) -> Option<Plain> {
        let bytes = text.as_bytes();
        let (negative, digits) = match bytes.first()? {
            b'-' => (true, &bytes[1..]),
            b'+' => (false, &bytes[1..]),
            _ => (false, bytes),
        };
        if digits.len() > DIGITS + 1 {
            return None;
        }
        let (mut number, mut point) = (0_u64, None);
        for (at, &byte) in digits.iter().enumerate() {
            let digit = byte.wrapping_sub(b'0');
            if digit <= 9 {
                number = number * 10 + u64::from(digit);
            } else if byte == b'.' && point.is_none() {
                point = Some(at);
            } else {
                return None;
            }
        }
        let count = digits.len() - usize::from(point.is_some());
        if !(1..=DIGITS).contains(&count) {
            return None;
        }
        let fraction = point.map(|at| digits.len() - 1 - at);
        let value = number as f64 / POWERS[fraction.unwrap_or(0)];
        let whole = point.unwrap_or(digits.len());
        Some(Plain { value: if negative { -value } else { value }, whole, fraction, zero: digits[0] == b'0' })
    }

    /// Whether it has a point.
    pub(crate) fn has_point(self) -> bool {
        self.fraction.is_some()
    }

    /// Whether the point, if there is one, may divide thousands: `1.234`, not `12.5` nor `0.123`.
    pub(crate) fn may_be_divided(self) -> bool {
        self.fraction.is_none_or(|fraction| fraction == 3 && (1..=3).contains(&self.whole) && !self.zero)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_the_general_parser() {
        let mut texts = Vec::new();
        for digits in ["0", "1", "7", "12", "099", "123456789", "999999999999999", "3333333333333", "8999999999999999"]
        {
            for at in 0..=digits.len() {
                for sign in ["", "-", "+"] {
                    texts.push(format!("{sign}{}.{}", &digits[..at], &digits[at..]));
                    texts.push(format!("{sign}{digits}"));
                }
            }
        }
        let mut read = 0;
        for text in texts {
            if let Some(plain) = Plain::parse(&text) {
                assert_eq!(plain.value.to_bits(), text.parse::<f64>().unwrap().to_bits(), "{text}");
                read += 1;
            }
        }
        assert!(read > 100, "{read}");
        for text in ["", "-", ".", "-.", "1e5", "1.2.3", "1,5", "--1", "x", "1 ", "1234567890123456", "0x1", "٣"] {
            assert_eq!(Plain::parse(text), None, "{text}");
        }
    }
}
