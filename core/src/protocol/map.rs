//! The wire's map, in the order of the wire.

use core::fmt;
use core::marker::PhantomData;

use bytestring::ByteString;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

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
        struct Pairs<V>(PhantomData<V>);

        impl<'de, V: Deserialize<'de>> Visitor<'de> for Pairs<V> {
            type Value = Map<V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map with string keys")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Map<V>, A::Error> {
                let mut pairs = Vec::new();
                let mut seen = hashbrown::HashSet::new();
                while let Some((key, value)) = access.next_entry::<ByteString, V>()? {
                    if !seen.insert(key.clone()) {
                        return Err(A::Error::custom("a repeated map key"));
                    }
                    pairs.push((key, value));
                }
                Ok(Map(pairs))
            }
        }

        deserializer.deserialize_map(Pairs(PhantomData))
    }
}
