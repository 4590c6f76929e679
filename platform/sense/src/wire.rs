//! Reads protobuf where it lies: no copy, no allocation, no recursion. A sender pays for what it
//! sends and cannot make two bytes on the wire into a hundred in memory.

/// One field's value as it stands on the wire.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Field<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
}

/// The bytes are no protobuf message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    #[error("the message ends inside a field")]
    Truncated,
    #[error("a number is longer than 64 bits")]
    Overlong,
    #[error("wire type {0} is not read")]
    WireType(u8),
    #[error("a field has the number 0")]
    FieldZero,
    #[error("field {0} has another type than it should")]
    Mismatch(u32),
    #[error("a text is not UTF-8")]
    Utf8,
}

/// The fields of one message, in the order they were written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a>(&'a [u8]);

impl<'a> Message<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0_u64;
        for (index, byte) in self.0.iter().enumerate().take(10) {
            if index == 9 && *byte > 1 {
                return Err(WireError::Overlong);
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                self.0 = &self.0[index + 1..];
                return Ok(value);
            }
        }
        Err(if self.0.len() < 10 { WireError::Truncated } else { WireError::Overlong })
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(WireError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    fn field(&mut self) -> Result<(u32, Field<'a>), WireError> {
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).map_err(|_| WireError::Overlong)?;
        if number == 0 {
            return Err(WireError::FieldZero);
        }
        let field = match (tag & 7) as u8 {
            0 => Field::Varint(self.varint()?),
            1 => Field::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| WireError::Truncated)?;
                Field::Bytes(self.take(length)?)
            }
            5 => Field::Fixed32(u32::from_le_bytes(self.array()?)),
            other => return Err(WireError::WireType(other)),
        };
        Ok((number, field))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        self.take(N)?.try_into().map_err(|_| WireError::Truncated)
    }
}

impl<'a> Iterator for Message<'a> {
    type Item = Result<(u32, Field<'a>), WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            // What follows a fault is not aligned to fields any more.
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Field<'a> {
    pub(crate) fn bytes(self, number: u32) -> Result<&'a [u8], WireError> {
        if let Self::Bytes(bytes) = self { Ok(bytes) } else { Err(WireError::Mismatch(number)) }
    }

    pub(crate) fn message(self, number: u32) -> Result<Message<'a>, WireError> {
        self.bytes(number).map(Message::new)
    }

    pub(crate) fn text(self, number: u32) -> Result<&'a str, WireError> {
        std::str::from_utf8(self.bytes(number)?).map_err(|_| WireError::Utf8)
    }

    pub(crate) fn double(self, number: u32) -> Result<f64, WireError> {
        self.fixed64(number).map(f64::from_bits)
    }

    pub(crate) fn fixed64(self, number: u32) -> Result<u64, WireError> {
        if let Self::Fixed64(value) = self { Ok(value) } else { Err(WireError::Mismatch(number)) }
    }

    pub(crate) fn varint(self, number: u32) -> Result<u64, WireError> {
        if let Self::Varint(value) = self { Ok(value) } else { Err(WireError::Mismatch(number)) }
    }

    /// A repeated 8-byte number: packed, or one of several fields.
    pub(crate) fn fixed64s(self, number: u32) -> Result<impl Iterator<Item = u64>, WireError> {
        let (single, packed) = match self {
            Self::Fixed64(value) => (Some(value), &[][..]),
            Self::Bytes(bytes) if bytes.len() % 8 == 0 => (None, bytes),
            Self::Bytes(_) => return Err(WireError::Truncated),
            _ => return Err(WireError::Mismatch(number)),
        };
        let packed = packed.as_chunks::<8>().0.iter().map(|chunk| u64::from_le_bytes(*chunk));
        Ok(single.into_iter().chain(packed))
    }
}

#[cfg(test)]
pub(crate) mod write {
    //! Writes messages for tests.

    pub(crate) fn varint(mut value: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while value >= 0x80 {
            bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
        bytes
    }

    pub(crate) fn int(number: u32, value: u64) -> Vec<u8> {
        [varint(u64::from(number) << 3), varint(value)].concat()
    }

    pub(crate) fn fixed(number: u32, value: u64) -> Vec<u8> {
        [varint(u64::from(number) << 3 | 1), value.to_le_bytes().to_vec()].concat()
    }

    pub(crate) fn double(number: u32, value: f64) -> Vec<u8> {
        fixed(number, value.to_bits())
    }

    pub(crate) fn bytes(number: u32, value: impl AsRef<[u8]>) -> Vec<u8> {
        let value = value.as_ref();
        [varint(u64::from(number) << 3 | 2), varint(value.len() as u64), value.to_vec()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_every_wire_type() {
        let body = [
            write::int(1, u64::MAX),
            write::double(2, 1.5),
            write::bytes(3, "text"),
            vec![4 << 3 | 5, 1, 0, 0, 0],
        ]
        .concat();
        let fields: Vec<_> = Message::new(&body).map(Result::unwrap).collect();
        assert_eq!(
            fields,
            [
                (1, Field::Varint(u64::MAX)),
                (2, Field::Fixed64(1.5_f64.to_bits())),
                (3, Field::Bytes(b"text")),
                (4, Field::Fixed32(1)),
            ]
        );
    }

    #[test]
    fn faults_end_the_message() {
        let last = |bytes: &[u8]| Message::new(bytes).last().unwrap().unwrap_err();
        assert_eq!(last(&[0x0a, 5, 1]), WireError::Truncated);
        assert_eq!(last(&[0x08, 0x80]), WireError::Truncated);
        assert_eq!(
            last(&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]),
            WireError::Overlong
        );
        assert_eq!(last(&[0x0b]), WireError::WireType(3));
        assert_eq!(last(&[0x00, 1]), WireError::FieldZero);
    }

    #[test]
    fn repeated_numbers_are_read_packed_or_one_by_one() {
        let packed = [1_u64.to_le_bytes(), 2_u64.to_le_bytes()].concat();
        assert_eq!(Field::Bytes(&packed).fixed64s(1).unwrap().collect::<Vec<_>>(), [1, 2]);
        assert_eq!(Field::Fixed64(7).fixed64s(1).unwrap().collect::<Vec<_>>(), [7]);
        assert!(Field::Bytes(&packed[1..]).fixed64s(1).is_err());
    }

    proptest! {
        #[test]
        fn never_panics_and_always_ends(body in proptest::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(Message::new(&body).count() <= body.len());
        }

        #[test]
        fn numbers_round_trip(number in 1_u32..1 << 28, value in any::<u64>()) {
            let body = write::int(number, value);
            prop_assert_eq!(Message::new(&body).next(), Some(Ok((number, Field::Varint(value)))));
        }
    }
}
