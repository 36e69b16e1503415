//! Tables of FlatBuffers, in which Arrow tells of its data. `None` stands for what is absent, or damaged.
//!
//! How they lie in memory is told at <https://flatbuffers.dev/internals/>.

/// A table in some bytes.
#[derive(Clone, Copy)]
pub(super) struct Table<'a> {
    bytes: &'a [u8],
    at: usize,
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn offset(bytes: &[u8], at: usize) -> Option<usize> {
    at.checked_add(u32::from_le_bytes(array(bytes, at)?) as usize)
}

impl<'a> Table<'a> {
    pub(super) fn root(bytes: &'a [u8]) -> Option<Table<'a>> {
        Some(Table { bytes, at: offset(bytes, 0)? })
    }

    /// Where a field lies.
    fn field(&self, number: usize) -> Option<usize> {
        let back = i64::from(i32::from_le_bytes(array(self.bytes, self.at)?));
        let places = usize::try_from(self.at as i64 - back).ok()?;
        let length = usize::from(u16::from_le_bytes(array(self.bytes, places)?));
        let at = 4 + 2 * number;
        if at + 2 > length {
            return None;
        }
        let place = usize::from(u16::from_le_bytes(array(self.bytes, places + at)?));
        (place > 0).then_some(self.at + place)
    }

    fn value<const N: usize>(&self, number: usize) -> Option<[u8; N]> {
        array(self.bytes, self.field(number)?)
    }

    pub(super) fn byte(&self, number: usize) -> Option<u8> {
        Some(self.value::<1>(number)?[0])
    }

    pub(super) fn short(&self, number: usize) -> Option<i16> {
        Some(i16::from_le_bytes(self.value(number)?))
    }

    pub(super) fn int(&self, number: usize) -> Option<i32> {
        Some(i32::from_le_bytes(self.value(number)?))
    }

    pub(super) fn long(&self, number: usize) -> Option<i64> {
        Some(i64::from_le_bytes(self.value(number)?))
    }

    pub(super) fn table(&self, number: usize) -> Option<Table<'a>> {
        Some(Table { bytes: self.bytes, at: offset(self.bytes, self.field(number)?)? })
    }

    /// The elements of a list, of so many bytes each.
    pub(super) fn list(&self, number: usize, size: usize) -> Option<Vec<&'a [u8]>> {
        let at = offset(self.bytes, self.field(number)?)?;
        let length = (u32::from_le_bytes(array(self.bytes, at)?) as usize).checked_mul(size)?;
        let begin = at + 4;
        Some(self.bytes.get(begin..begin.checked_add(length)?)?.chunks_exact(size).collect())
    }

    pub(super) fn tables(&self, number: usize) -> Option<Vec<Table<'a>>> {
        let elements = self.list(number, 4)?;
        let at = offset(self.bytes, self.field(number)?)? + 4;
        (0..elements.len()).map(|i| Some(Table { bytes: self.bytes, at: offset(self.bytes, at + 4 * i)? })).collect()
    }

    pub(super) fn text(&self, number: usize) -> Option<&'a str> {
        let at = offset(self.bytes, self.field(number)?)?;
        let length = u32::from_le_bytes(array(self.bytes, at)?) as usize;
        std::str::from_utf8(self.bytes.get(at + 4..(at + 4).checked_add(length)?)?).ok()
    }
}
