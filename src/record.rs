//! On-disk records: packed structures of integers and bytes, with a table of their fields.

/// Defines records: structures without padding that are their own encoding.
///
/// After the name of the type come the name of the record in its specification and its size in
/// bytes, which is checked. Fields are as visible as the record. Attributes pass through.
///
/// ```text
/// records! {
///     /// A node's pointer to a child.
///     pub(super) struct KeyPtr("btrfs_key_ptr", 33) {
///         key: DiskKey,
///         blockptr: U64,
///         generation: U64,
///     }
/// }
/// ```
macro_rules! records {
    ($(
        $(#[$attribute:meta])*
        $visibility:vis struct $type:ident($name:literal, $size:expr) {
            $($(#[$field_attribute:meta])* $field:ident: $field_type:ty,)*
        }
    )*) => {$(
        $(#[$attribute])*
        #[derive(
            Debug,
            Clone,
            Copy,
            PartialEq,
            Eq,
            zerocopy::FromBytes,
            zerocopy::IntoBytes,
            zerocopy::Immutable,
            zerocopy::KnownLayout,
            zerocopy::Unaligned,
        )]
        #[repr(C)]
        $visibility struct $type {
            $($(#[$field_attribute])* $visibility $field: $field_type,)*
        }

        const _: () = assert!(size_of::<$type>() == $size);

        #[cfg(test)]
        impl $crate::record::Describe for $type {
            const KIND: $crate::record::Kind = $crate::record::Kind::Record {
                name: $name,
                size: $size,
                fields: &[$($crate::record::Field {
                    name: stringify!($field),
                    offset: std::mem::offset_of!($type, $field),
                    kind: <$field_type as $crate::record::Describe>::KIND,
                },)*],
            };
        }
    )*};
}

pub(crate) use records;

#[cfg(test)]
pub(crate) use table::{Describe, Field, Kind};

#[cfg(test)]
mod table {
    use zerocopy::{big_endian, little_endian};

    /// A field of a record.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) struct Field {
        pub(crate) name: &'static str,
        /// Offset in the record, in bytes.
        pub(crate) offset: usize,
        pub(crate) kind: Kind,
    }

    /// The kind of a field, and of a record.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) enum Kind {
        /// A byte: a character or a small integer.
        Byte,
        /// A little-endian integer, with its size in bytes.
        LittleEndian(usize),
        /// A big-endian integer, with its size in bytes.
        BigEndian(usize),
        Array {
            element: &'static Kind,
            len: usize,
        },
        Record {
            name: &'static str,
            size: usize,
            fields: &'static [Field],
        },
    }

    impl Kind {
        /// Returns the size in bytes.
        pub(crate) const fn size(&self) -> usize {
            match self {
                Self::Byte => 1,
                Self::LittleEndian(size) | Self::BigEndian(size) | Self::Record { size, .. } => {
                    *size
                }
                Self::Array { element, len } => element.size() * *len,
            }
        }
    }

    /// A type that fields of records have.
    pub(crate) trait Describe {
        const KIND: Kind;
    }

    macro_rules! describe {
        ($($type:ty: $kind:expr,)*) => {
            $(impl Describe for $type {
                const KIND: Kind = $kind;
            })*
        };
    }

    describe! {
        u8: Kind::Byte,
        little_endian::U16: Kind::LittleEndian(2),
        little_endian::U32: Kind::LittleEndian(4),
        little_endian::U64: Kind::LittleEndian(8),
        big_endian::U16: Kind::BigEndian(2),
        big_endian::U32: Kind::BigEndian(4),
    }

    impl<T: Describe + 'static, const N: usize> Describe for [T; N] {
        const KIND: Kind = Kind::Array { element: &T::KIND, len: N };
    }
}

#[cfg(test)]
mod tests {
    use zerocopy::{big_endian, little_endian};

    use super::{Describe, Field, Kind};

    records! {
        struct Inner("inner", 3) {
            byte: u8,
            big: big_endian::U16,
        }

        /// A record with every kind of field.
        struct Outer("outer", 19) {
            text: [u8; 5],
            little: little_endian::U64,
            inner: [Inner; 2],
        }
    }

    #[test]
    fn a_table_has_names_offsets_and_kinds() {
        let Kind::Record { name, size, fields } = Outer::KIND else { panic!() };
        assert_eq!((name, size), ("outer", 19));
        const INNER: Kind = Kind::Record {
            name: "inner",
            size: 3,
            fields: &[
                Field { name: "byte", offset: 0, kind: Kind::Byte },
                Field { name: "big", offset: 1, kind: Kind::BigEndian(2) },
            ],
        };
        let bytes = Kind::Array { element: &Kind::Byte, len: 5 };
        let inner = Kind::Array { element: &INNER, len: 2 };
        let expected = [
            Field { name: "text", offset: 0, kind: bytes },
            Field { name: "little", offset: 5, kind: Kind::LittleEndian(8) },
            Field { name: "inner", offset: 13, kind: inner },
        ];
        assert_eq!(fields, expected);
        assert_eq!(expected.map(|field| field.kind.size()), [5, 8, 6]);
    }
}
