//! The two address spaces of a file system, whose numbers must not be mixed up.

use std::fmt::{self, Display};
use std::ops::{Add, AddAssign, Sub};

/// Defines a position in an address space, in bytes.
macro_rules! address {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
        pub(super) struct $name(pub(super) u64);

        impl $name {
            pub(super) fn checked_add(self, len: u64) -> Option<Self> {
                self.0.checked_add(len).map(Self)
            }

            pub(super) fn is_multiple_of(self, unit: u64) -> bool {
                self.0.is_multiple_of(unit)
            }
        }

        impl Add<u64> for $name {
            type Output = Self;

            fn add(self, len: u64) -> Self {
                Self(self.0 + len)
            }
        }

        impl AddAssign<u64> for $name {
            fn add_assign(&mut self, len: u64) {
                *self = *self + len;
            }
        }

        impl Sub for $name {
            type Output = u64;

            fn sub(self, start: Self) -> u64 {
                self.0 - start.0
            }
        }

        impl Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

address! {
    /// A logical address, which a chunk maps to one or two offsets on the device (`bytenr`).
    LogicalAddr
}

impl LogicalAddr {
    pub(super) fn saturating_add(self, len: u64) -> Self {
        Self(self.0.saturating_add(len))
    }
}

address! {
    /// An offset on the device, and so in the image of the file system.
    DeviceOffset
}
