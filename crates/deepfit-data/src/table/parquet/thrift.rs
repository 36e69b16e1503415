//! Values in Thrift's compact protocol, in which Parquet tells of itself.

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Bool(bool),
    Int(i64),
    Double(f64),
    Bytes(&'a [u8]),
    List(Vec<Value<'a>>),
    Struct(Fields<'a>),
}

/// The fields of a struct by their numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Fields<'a>(Vec<(i16, Value<'a>)>);

impl<'a> Fields<'a> {
    pub(super) fn get(&self, field: i16) -> Option<&Value<'a>> {
        self.0.iter().find(|(number, _)| *number == field).map(|(_, value)| value)
    }

    pub(super) fn int(&self, field: i16) -> Option<i64> {
        if let Value::Int(value) = self.get(field)? { Some(*value) } else { None }
    }

    /// A number of things or bytes, which is not negative.
    pub(super) fn size(&self, field: i16) -> Option<usize> {
        usize::try_from(self.int(field)?).ok()
    }

    pub(super) fn bool(&self, field: i16) -> Option<bool> {
        if let Value::Bool(value) = self.get(field)? { Some(*value) } else { None }
    }

    pub(super) fn text(&self, field: i16) -> Option<&'a str> {
        if let Value::Bytes(bytes) = self.get(field)? { std::str::from_utf8(bytes).ok() } else { None }
    }

    pub(super) fn list(&self, field: i16) -> Option<&[Value<'a>]> {
        if let Value::List(values) = self.get(field)? { Some(values) } else { None }
    }

    pub(super) fn structure(&self, field: i16) -> Option<&Fields<'a>> {
        if let Value::Struct(fields) = self.get(field)? { Some(fields) } else { None }
    }
}

/// Structs in structs in a damaged file must not fill the stack.
const DEEPEST: usize = 32;

/// A number in bytes of seven bits.
pub(super) fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..70).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        if shift < 64 {
            value |= u64::from(byte & 0x7F) << shift;
        }
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// The same of a number with a sign.
pub(super) fn zigzag(bytes: &[u8], at: &mut usize) -> Option<i64> {
    let value = varint(bytes, at)?;
    Some((value >> 1) as i64 ^ -((value & 1) as i64))
}

/// The struct that begins at a place, which is moved behind it.
pub(super) fn read<'a>(bytes: &'a [u8], at: &mut usize) -> Option<Fields<'a>> {
    structure(bytes, at, 0)
}

fn structure<'a>(bytes: &'a [u8], at: &mut usize, depth: usize) -> Option<Fields<'a>> {
    let (mut fields, mut field) = (Vec::new(), 0_i16);
    loop {
        let head = *bytes.get(*at)?;
        *at += 1;
        if head == 0 {
            return Some(Fields(fields));
        }
        field = match head >> 4 {
            0 => i16::try_from(zigzag(bytes, at)?).ok()?,
            step => field.checked_add(i16::from(step))?,
        };
        let value = match head & 15 {
            1 => Value::Bool(true),
            2 => Value::Bool(false),
            kind => value(bytes, at, kind, depth)?,
        };
        fields.push((field, value));
    }
}

fn value<'a>(bytes: &'a [u8], at: &mut usize, kind: u8, depth: usize) -> Option<Value<'a>> {
    if depth > DEEPEST {
        return None;
    }
    let take = |at: &mut usize, count: usize| {
        let taken = bytes.get(*at..at.checked_add(count)?)?;
        *at += count;
        Some(taken)
    };
    Some(match kind {
        // In lists.
        1 | 2 => Value::Bool(take(at, 1)?[0] == 1),
        3 => Value::Int(i64::from(take(at, 1)?[0] as i8)),
        4..=6 => Value::Int(zigzag(bytes, at)?),
        7 => Value::Double(f64::from_le_bytes(take(at, 8)?.try_into().ok()?)),
        8 => {
            let length = usize::try_from(varint(bytes, at)?).ok()?;
            Value::Bytes(take(at, length)?)
        }
        9 | 10 => {
            let head = take(at, 1)?[0];
            let count = if head >> 4 == 15 { varint(bytes, at)? } else { u64::from(head >> 4) };
            let mut list = Vec::new();
            for _ in 0..count {
                list.push(value(bytes, at, head & 15, depth + 1)?);
            }
            Value::List(list)
        }
        11 => {
            // Parquet has no maps: what they hold is passed over.
            let count = varint(bytes, at)?;
            let kinds = if count > 0 { take(at, 1)?[0] } else { 0 };
            for _ in 0..count {
                value(bytes, at, kinds >> 4, depth + 1)?;
                value(bytes, at, kinds & 15, depth + 1)?;
            }
            Value::List(Vec::new())
        }
        12 => Value::Struct(structure(bytes, at, depth + 1)?),
        _ => return None,
    })
}
