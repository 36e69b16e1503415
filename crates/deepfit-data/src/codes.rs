//! Small whole numbers, one a row, in as few bytes as hold them: most columns have few words, and most data few classes.

use std::fmt;

/// Stands for no number.
pub(crate) const MISSING: u32 = u32::MAX;

/// Numbers of rows; all of them of the width that the largest needs, of which the largest value stands for [`MISSING`].
#[derive(Clone)]
pub(crate) enum Codes {
    Bytes(Vec<u8>),
    Shorts(Vec<u16>),
    Ints(Vec<u32>),
}

impl Codes {
    /// None, with room for so many that fit into a byte.
    pub(crate) fn with_capacity(rows: usize) -> Codes {
        Codes::Bytes(Vec::with_capacity(rows))
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            Codes::Bytes(all) => all.len(),
            Codes::Shorts(all) => all.len(),
            Codes::Ints(all) => all.len(),
        }
    }

    /// The number of a row.
    ///
    /// # Panics
    /// If there is no such row.
    pub(crate) fn get(&self, row: usize) -> u32 {
        match self {
            Codes::Bytes(all) => {
                if all[row] == u8::MAX {
                    MISSING
                } else {
                    u32::from(all[row])
                }
            }
            Codes::Shorts(all) => {
                if all[row] == u16::MAX {
                    MISSING
                } else {
                    u32::from(all[row])
                }
            }
            Codes::Ints(all) => all[row],
        }
    }

    /// All numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.len()).map(|row| self.get(row))
    }

    /// Whether no row is without a number.
    pub(crate) fn is_complete(&self) -> bool {
        match self {
            Codes::Bytes(all) => !all.contains(&u8::MAX),
            Codes::Shorts(all) => !all.contains(&u16::MAX),
            Codes::Ints(all) => !all.contains(&MISSING),
        }
    }

    /// Appends a number.
    pub(crate) fn push(&mut self, code: u32) {
        match self {
            Codes::Bytes(all) if code < u32::from(u8::MAX) => all.push(code as u8),
            Codes::Bytes(all) if code == MISSING => all.push(u8::MAX),
            Codes::Shorts(all) if code < u32::from(u16::MAX) => all.push(code as u16),
            Codes::Shorts(all) if code == MISSING => all.push(u16::MAX),
            Codes::Ints(all) => all.push(code),
            Codes::Bytes(_) | Codes::Shorts(_) => {
                self.widen();
                self.push(code);
            }
        }
    }

    fn widen(&mut self) {
        *self = match self {
            Codes::Bytes(_) => Codes::Shorts(self.iter().map(|code| u16::try_from(code).unwrap_or(u16::MAX)).collect()),
            Codes::Shorts(_) | Codes::Ints(_) => Codes::Ints(self.iter().collect()),
        };
    }

    /// Bytes that they occupy.
    pub(crate) fn resident_bytes(&self) -> usize {
        match self {
            Codes::Bytes(all) => all.capacity(),
            Codes::Shorts(all) => 2 * all.capacity(),
            Codes::Ints(all) => 4 * all.capacity(),
        }
    }
}

impl Default for Codes {
    fn default() -> Self {
        Codes::with_capacity(0)
    }
}

impl Extend<u32> for Codes {
    fn extend<I: IntoIterator<Item = u32>>(&mut self, codes: I) {
        codes.into_iter().for_each(|code| self.push(code));
    }
}

impl FromIterator<u32> for Codes {
    fn from_iter<I: IntoIterator<Item = u32>>(codes: I) -> Codes {
        let codes = codes.into_iter();
        let mut all = Codes::with_capacity(codes.size_hint().0);
        all.extend(codes);
        all
    }
}

impl fmt::Debug for Codes {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_size_are_kept_in_as_few_bytes_as_hold_them() {
        let bytes = |codes: &[u32]| {
            let all: Codes = codes.iter().copied().collect();
            assert_eq!(all.iter().collect::<Vec<u32>>(), codes);
            assert_eq!((all.len(), all.is_complete()), (codes.len(), !codes.contains(&MISSING)));
            match all {
                Codes::Bytes(_) => 1,
                Codes::Shorts(_) => 2,
                Codes::Ints(_) => 4,
            }
        };
        assert_eq!(bytes(&[]), 1);
        assert_eq!(bytes(&[0, MISSING, 254]), 1);
        assert_eq!(bytes(&[0, MISSING, 254, 255, MISSING, 65_534]), 2);
        assert_eq!(bytes(&[MISSING, 255, MISSING, 65_535, 7]), 4);
        assert_eq!(bytes(&[u32::MAX - 1, MISSING]), 4);
    }
}
