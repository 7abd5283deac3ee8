//! The encoding of values in log entries and in the replicated state.
//! A struct is its fields in order. Integers are big-endian. A `bool` and the tag of an `Option` are a u8;
//! text has a size (u16), the data of a record a size (u32), a collection a count (u32). A domain name is in
//! wire format, which ends by itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use quorate_packet::{PublicKey, Timestamp};

use crate::{ClusterId, CommandError, InviteId, Level, LogIndex, NodeId, UnixMillis, WireName};

pub(crate) trait Codec: Sized {
    fn put(&self, out: &mut BytesMut);

    /// Decodes the output of `put` from the front.
    fn take(bytes: &mut Bytes) -> Result<Self, CommandError>;
}

/// Decodes a value from all of `bytes`, of at most `size_max`.
pub(crate) fn decode_all<T: Codec>(mut bytes: Bytes, size_max: usize) -> Result<T, CommandError> {
    if bytes.len() > size_max {
        return Err(CommandError::Trailing(bytes.len() - size_max));
    }
    let value = T::take(&mut bytes)?;
    match bytes.len() {
        0 => Ok(value),
        rest => Err(CommandError::Trailing(rest)),
    }
}

/// Encodes structs as their fields.
macro_rules! fields {
    ($($type:ident { $($field:ident),+ $(,)? })+) => {
        $(impl $crate::codec::Codec for $type {
            fn put(&self, out: &mut bytes::BytesMut) {
                $(self.$field.put(out);)+
            }

            fn take(bytes: &mut bytes::Bytes) -> Result<Self, $crate::CommandError> {
                Ok(Self { $($field: $crate::codec::Codec::take(bytes)?,)+ })
            }
        })+
    };
}

/// Encodes variants of an enum as a number (u8) and their fields. An unknown number is the error
/// `$unknown`.
macro_rules! kinds {
    (
        $type:ident, $unknown:expr,
        $($kind:literal => $variant:ident $(($value:ident))? $({ $($field:ident),+ })?,)+
    ) => {
        impl $crate::codec::Codec for $type {
            fn put(&self, out: &mut bytes::BytesMut) {
                match self {
                    $(Self::$variant $(($value))? $({ $($field),+ })? => {
                        $kind.put(out);
                        $($value.put(out);)?
                        $($($field.put(out);)+)?
                    })+
                }
            }

            fn take(bytes: &mut bytes::Bytes) -> Result<Self, $crate::CommandError> {
                Ok(match u8::take(bytes)? {
                    $($kind => {
                        $(let $value = $crate::codec::Codec::take(bytes)?;)?
                        $($(let $field = $crate::codec::Codec::take(bytes)?;)+)?
                        Self::$variant $(($value))? $({ $($field),+ })?
                    })+
                    other => return Err($unknown(other)),
                })
            }
        }
    };
}

macro_rules! integers {
    ($($type:ident $put:ident $take:ident,)+) => {
        $(impl Codec for $type {
            fn put(&self, out: &mut BytesMut) {
                out.$put(*self);
            }

            fn take(bytes: &mut Bytes) -> Result<Self, CommandError> {
                Ok(bytes.$take()?)
            }
        })+
    };
}

integers! {
    u8 put_u8 try_get_u8,
    u16 put_u16 try_get_u16,
    u32 put_u32 try_get_u32,
    u64 put_u64 try_get_u64,
}

/// Encodes newtypes as their values.
macro_rules! wrappers {
    ($($type:ident)+) => {
        $(impl $crate::codec::Codec for $type {
            fn put(&self, out: &mut bytes::BytesMut) {
                self.0.put(out);
            }

            fn take(bytes: &mut bytes::Bytes) -> Result<Self, $crate::CommandError> {
                $crate::codec::Codec::take(bytes).map(Self)
            }
        })+
    };
}

pub(crate) use {fields, kinds, wrappers};

wrappers! { ClusterId InviteId Level LogIndex NodeId UnixMillis }

impl Codec for bool {
    fn put(&self, out: &mut BytesMut) {
        u8::from(*self).put(out);
    }

    fn take(bytes: &mut Bytes) -> Result<Self, CommandError> {
        Ok(u8::take(bytes)? != 0)
    }
}

impl<const SIZE: usize> Codec for [u8; SIZE] {
    fn put(&self, out: &mut BytesMut) {
        out.put_slice(self);
    }

    fn take(bytes: &mut Bytes) -> Result<Self, CommandError> {
        let mut array = [0; SIZE];
        bytes.try_copy_to_slice(&mut array)?;
        Ok(array)
    }
}

impl Codec for PublicKey {
    fn put(&self, out: &mut BytesMut) {
        self.as_bytes().put(out);
    }

    fn take(bytes: &mut Bytes) -> Result<Self, CommandError> {
        Codec::take(bytes).map(Self::from_bytes)
    }
}

impl Codec for Timestamp {
    fn put(&self, out: &mut BytesMut) {
        self.as_micros().put(out);
    }

    fn take(bytes: &mut Bytes) -> Result<Self, CommandError> {
        Codec::take(bytes).map(Self::from_micros)
    }
}

impl Codec for String {
    fn put(&self, out: &mut BytesMut) {
        out.put_u16(u16::try_from(self.len()).expect("names and addresses have bounds"));
        out.put_slice(self.as_bytes());
    }

    fn take(bytes: &mut Bytes) -> Result<Self, CommandError> {
        let size = u16::take(bytes)?;
        let text = split(bytes, size.into())?;
        Self::from_utf8(text.into()).map_err(|_| CommandError::Text)
    }
}

impl Codec for WireName {
    fn put(&self, out: &mut BytesMut) {
        out.put_slice(self.as_bytes());
    }

    fn take(bytes: &mut Bytes) -> Result<Self, CommandError> {
        let mut end = 0;
        while let size @ 1.. = *bytes.get(end).ok_or(CommandError::Record)? {
            end += usize::from(size) + 1;
        }
        // A copy, because a name outlives its entry and must not keep that in memory.
        let name = Bytes::copy_from_slice(&split(bytes, end + 1)?);
        Self::parse(name).ok_or(CommandError::Record)
    }
}

/// The data of a record.
impl Codec for Bytes {
    fn put(&self, out: &mut BytesMut) {
        put_count(self.len(), out);
        out.put_slice(self);
    }

    fn take(bytes: &mut Bytes) -> Result<Self, CommandError> {
        let size = usize::try_from(u32::take(bytes)?).map_err(|_| CommandError::Truncated)?;
        // A copy, as with a name.
        split(bytes, size).map(|data| Self::copy_from_slice(&data))
    }
}

impl<T: Codec> Codec for Option<T> {
    fn put(&self, out: &mut BytesMut) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }

    fn take(bytes: &mut Bytes) -> Result<Self, CommandError> {
        bool::take(bytes)?.then(|| T::take(bytes)).transpose()
    }
}

impl<T: Codec> Codec for Arc<T> {
    fn put(&self, out: &mut BytesMut) {
        T::put(self, out);
    }

    fn take(bytes: &mut Bytes) -> Result<Self, CommandError> {
        T::take(bytes).map(Self::new)
    }
}

impl<A: Codec, B: Codec> Codec for (A, B) {
    fn put(&self, out: &mut BytesMut) {
        self.0.put(out);
        self.1.put(out);
    }

    fn take(bytes: &mut Bytes) -> Result<Self, CommandError> {
        Ok((A::take(bytes)?, B::take(bytes)?))
    }
}

impl<T: Codec> Codec for Vec<T> {
    fn put(&self, out: &mut BytesMut) {
        put_all(self.iter(), out);
    }

    fn take(bytes: &mut Bytes) -> Result<Self, CommandError> {
        take_all(bytes)
    }
}

impl<T: Codec + Ord> Codec for BTreeSet<T> {
    fn put(&self, out: &mut BytesMut) {
        put_all(self.iter(), out);
    }

    fn take(bytes: &mut Bytes) -> Result<Self, CommandError> {
        take_all(bytes)
    }
}

impl<K: Codec + Ord, V: Codec> Codec for BTreeMap<K, V> {
    fn put(&self, out: &mut BytesMut) {
        put_count(self.len(), out);
        for (key, value) in self {
            key.put(out);
            value.put(out);
        }
    }

    fn take(bytes: &mut Bytes) -> Result<Self, CommandError> {
        take_all(bytes)
    }
}

/// Encodes the count and each item.
pub(crate) fn put_all<'a, T: Codec + 'a>(
    items: impl ExactSizeIterator<Item = &'a T>,
    out: &mut BytesMut,
) {
    put_count(items.len(), out);
    items.for_each(|item| item.put(out));
}

fn put_count(count: usize, out: &mut BytesMut) {
    u32::try_from(count)
        .expect("what is replicated has bounds")
        .put(out);
}

/// Decodes items. Each takes a byte or more, so a forged count ends with the bytes.
fn take_all<T: Codec, C: FromIterator<T>>(bytes: &mut Bytes) -> Result<C, CommandError> {
    let count = u32::take(bytes)?;
    (0..count).map(|_| T::take(bytes)).collect()
}

fn split(bytes: &mut Bytes, size: usize) -> Result<Bytes, CommandError> {
    match size <= bytes.len() {
        true => Ok(bytes.split_to(size)),
        false => Err(CommandError::Truncated),
    }
}
