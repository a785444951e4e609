//! `list<data>`, kept as it is on the wire.

use core::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use serde::de::{DeserializeSeed, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::bare::PutBare;

/// A list of `data`: keys, or their values.
///
/// An item takes as many bytes as on the wire. Were each a [`Bytes`] of its own, a frame of empty items would take 32
/// times its length in memory.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct DataList {
    count: usize,
    /// Each item behind its length.
    wire: Bytes,
}

impl DataList {
    /// How many items there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The items in order, shared with the list.
    pub fn iter(&self) -> impl Iterator<Item = Bytes> + '_ {
        let mut start = 0;
        (0..self.count).map(move |_| {
            let (mut length, mut shift) = (0, 0);
            loop {
                let byte = self.wire[start];
                start += 1;
                length |= usize::from(byte & 0x7f) << shift;
                shift += 7;
                if byte < 0x80 {
                    break;
                }
            }
            start += length;
            self.wire.slice(start - length..start)
        })
    }
}

/// A list in the making.
#[derive(Clone, Debug, Default)]
pub(crate) struct Growing {
    count: usize,
    wire: BytesMut,
}

impl Growing {
    pub(crate) fn push(&mut self, item: &[u8]) {
        self.count += 1;
        self.wire.put_length(item.len());
        self.wire.put_slice(item);
    }

    pub(crate) fn into_list(self) -> DataList {
        DataList { count: self.count, wire: self.wire.freeze() }
    }
}

impl<T: AsRef<[u8]>> FromIterator<T> for DataList {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut list = Growing::default();
        for item in items {
            list.push(item.as_ref());
        }
        list.into_list()
    }
}

impl fmt::Debug for DataList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Serialize for DataList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(ExactLen { items: self.iter(), left: self.count })
    }
}

/// Tells the serializer how many items come: BARE puts the count in front.
struct ExactLen<I> {
    items: I,
    left: usize,
}

impl<I: Iterator> Iterator for ExactLen<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        self.left = self.left.saturating_sub(1);
        self.items.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<'de> Deserialize<'de> for DataList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor;

        impl<'de> Visitor<'de> for ListVisitor {
            type Value = DataList;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of data")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<DataList, A::Error> {
                let mut list = Growing::default();
                while access.next_element_seed(Item(&mut list))?.is_some() {}
                Ok(list.into_list())
            }
        }

        deserializer.deserialize_seq(ListVisitor)
    }
}

/// Appends one item.
struct Item<'a>(&'a mut Growing);

impl<'de> DeserializeSeed<'de> for Item<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl Visitor<'_> for Item<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("data")
    }

    fn visit_bytes<E: serde::de::Error>(self, item: &[u8]) -> Result<(), E> {
        self.0.push(item);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_come_out_as_they_went_in() {
        for lengths in [&[][..], &[0], &[0, 0, 0], &[1, 127, 128, 0, 20_000]] {
            let items: Vec<_> = lengths.iter().map(|&length| Bytes::from(vec![7; length])).collect();
            let list: DataList = items.iter().collect();
            assert_eq!((list.len(), list.is_empty()), (items.len(), items.is_empty()));
            assert_eq!(list.iter().collect::<Vec<_>>(), items);
            let bytes = serde_bare::to_vec(&list).unwrap();
            assert_eq!(bytes, serde_bare::to_vec(&items).unwrap());
            assert_eq!(serde_bare::from_slice::<DataList>(&bytes).unwrap(), list);
        }
    }
}
