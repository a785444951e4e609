//! The wire's map, in the order of the wire.

use core::fmt;
use core::hash::BuildHasher;
use core::marker::PhantomData;

use bytestring::ByteString;
use hashbrown::{DefaultHashBuilder, HashTable};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// `map<str><V>`: pairs in the order in which they came, so that what was read can be written again byte for byte.
///
/// Keys are unique on the wire; a decoder refuses a repeated one, and whoever builds a map must not repeat one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map<V>(pub Vec<(ByteString, V)>);

impl<V> Default for Map<V> {
    fn default() -> Self {
        Map(Vec::new())
    }
}

impl<V> Map<V> {
    /// The value of a key. Looks at each entry: maps of the protocol are small.
    pub fn get(&self, key: &str) -> Option<&V> {
        self.iter().find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// The pairs in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &V)> {
        self.0.iter().map(|(key, value)| (&**key, value))
    }

    /// How many pairs there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<V> FromIterator<(ByteString, V)> for Map<V> {
    fn from_iter<I: IntoIterator<Item = (ByteString, V)>>(pairs: I) -> Self {
        Map(pairs.into_iter().collect())
    }
}

impl<V: Serialize> Serialize for Map<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len()))?;
        for (key, value) in self.iter() {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Map<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MapVisitor<V>(PhantomData<V>);

        impl<'de, V: Deserialize<'de>> Visitor<'de> for MapVisitor<V> {
            type Value = Map<V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map with string keys")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Map<V>, A::Error> {
                let mut pairs = Pairs::with_room_for(0);
                while let Some(key) = access.next_key::<ByteString>()? {
                    let value = access.next_value()?;
                    pairs.push(key, value).map_err(A::Error::custom)?;
                }
                Ok(pairs.into_map())
            }
        }

        deserializer.deserialize_map(MapVisitor(PhantomData))
    }
}

/// A map in the making, which refuses a repeated key.
///
/// Few keys are compared with one another, many go through a hash table, so that neither do common headers cost a
/// table nor hostile ones quadratic time.
pub(crate) struct Pairs<V> {
    pairs: Vec<(ByteString, V)>,
    /// Where the pair of each key is, once they are many.
    places: HashTable<usize>,
    hasher: DefaultHashBuilder,
}

/// The map has the key already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a repeated map key")]
pub(crate) struct RepeatedKey;

impl<V> Pairs<V> {
    /// Up to how many keys are compared with one another.
    const FEW: usize = 32;

    /// Makes room for a map of so many pairs, which must be known to be there.
    pub(crate) fn with_room_for(count: usize) -> Self {
        Pairs {
            pairs: Vec::with_capacity(count),
            places: HashTable::with_capacity(if count > Self::FEW { count } else { 0 }),
            hasher: DefaultHashBuilder::default(),
        }
    }

    /// Adds a pair, whose key must be new.
    pub(crate) fn push(&mut self, key: ByteString, value: V) -> Result<(), RepeatedKey> {
        let is_known = if self.places.is_empty() {
            self.pairs.iter().any(|(other, _)| *other == key)
        } else {
            self.places.find(self.hasher.hash_one(&key), |&place| self.pairs[place].0 == key).is_some()
        };
        if is_known {
            return Err(RepeatedKey);
        }
        self.pairs.push((key, value));
        if self.pairs.len() > Self::FEW {
            for place in self.places.len()..self.pairs.len() {
                let hash = |&place: &usize| self.hasher.hash_one(&self.pairs[place].0);
                self.places.insert_unique(hash(&place), place, hash);
            }
        }
        Ok(())
    }

    pub(crate) fn into_map(self) -> Map<V> {
        Map(self.pairs)
    }
}
