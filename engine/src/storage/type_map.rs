//! Maps keyed by `TypeId`, which is a hash already.
//!
//! Every typed access by handle asks one of these, with a key that is known when the program is
//! compiled. So a look-up has to be a handful of instructions: the low bits of the `TypeId` are
//! the bucket where the search begins, entries stand in one list, and at least half of its buckets
//! are free, so that the first one looked at is nearly always the right one.

use std::any::TypeId;
use std::hash::{Hash, Hasher};

use super::component_id::ComponentId;

/// A map from types to `V` that only grows. Its buckets are a power of two, or none.
#[derive(Clone)]
pub(crate) struct TypeMap<V> {
    buckets: Box<[Option<(TypeId, V)>]>,
    len: usize,
}

/// The buckets of a map that is not empty.
const BUCKETS_MIN: usize = 8;

impl<V> Default for TypeMap<V> {
    fn default() -> Self {
        Self { buckets: Box::default(), len: 0 }
    }
}

impl<V> TypeMap<V> {
    #[inline]
    pub(crate) fn get(&self, key: TypeId) -> Option<&V> {
        let mask = self.buckets.len().wrapping_sub(1);
        let mut bucket = bits(key) & mask;
        // Ends at a free bucket, as one always is free, or at once where there are no buckets.
        loop {
            let (other, value) = self.buckets.get(bucket)?.as_ref()?;
            if *other == key {
                return Some(value);
            }
            bucket = (bucket + 1) & mask;
        }
    }

    pub(crate) fn get_mut(&mut self, key: TypeId) -> Option<&mut V> {
        let bucket = self.bucket(key)?;
        self.buckets[bucket].as_mut().map(|(_, value)| value)
    }

    /// Sets the value of a type, and drops the one before.
    pub(crate) fn insert(&mut self, key: TypeId, value: V) {
        if 2 * (self.len + 1) > self.buckets.len() {
            self.grow();
        }
        let bucket = self.bucket(key).expect("half of the buckets are free");
        self.len += usize::from(self.buckets[bucket].is_none());
        self.buckets[bucket] = Some((key, value));
    }

    /// Where `key` is, or where it would be; `None` in a map without buckets.
    fn bucket(&self, key: TypeId) -> Option<usize> {
        let mask = self.buckets.len().checked_sub(1)?;
        let mut bucket = bits(key) & mask;
        while self.buckets[bucket].as_ref().is_some_and(|(other, _)| *other != key) {
            bucket = (bucket + 1) & mask;
        }
        Some(bucket)
    }

    fn grow(&mut self) {
        let count = (2 * self.buckets.len()).max(BUCKETS_MIN);
        let buckets = (0..count).map(|_| None).collect();
        for (key, value) in std::mem::replace(&mut self.buckets, buckets).into_iter().flatten() {
            let bucket = self.bucket(key).expect("there are buckets");
            self.buckets[bucket] = Some((key, value));
        }
    }
}

/// How many types [`NearIds`] holds: 24 bytes each, so 1.5 KiB.
const NEAR: usize = 64;

/// The ids of some types, each in the one bucket that its `TypeId` asks for. That bucket is a
/// constant where the type is, so that a look-up is one comparison. Where two types ask for one
/// bucket, the first one has it, and the other is looked up elsewhere.
#[derive(Clone)]
pub(crate) struct NearIds([(TypeId, ComponentId); NEAR]);

impl NearIds {
    pub(crate) fn new() -> Self {
        // No component has the type of this.
        Self([(TypeId::of::<Self>(), ComponentId::ENTITY); NEAR])
    }

    #[inline]
    pub(crate) fn get(&self, key: TypeId) -> Option<ComponentId> {
        let (other, id) = self.0[bits(key) % NEAR];
        (other == key).then_some(id)
    }

    pub(crate) fn insert(&mut self, key: TypeId, id: ComponentId) {
        let bucket = &mut self.0[bits(key) % NEAR];
        if bucket.0 == TypeId::of::<Self>() {
            *bucket = (key, id);
        }
    }
}

/// The part of a `TypeId` that it hashes to, which is a constant where the type is.
#[inline]
fn bits(key: TypeId) -> usize {
    let mut hasher = TypeIdHasher::default();
    key.hash(&mut hasher);
    hasher.finish() as usize
}

/// Passes a `TypeId`'s own bits through.
#[derive(Clone, Copy, Default)]
pub(crate) struct TypeIdHasher(u64);

impl Hasher for TypeIdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0.rotate_left(5) ^ u64::from(byte)).wrapping_mul(0x517c_c1b7_2722_0a95);
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        // Exact for a lone `TypeId`; mixes when a key has more parts.
        self.0 = self.0.rotate_left(23).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A type for every number.
    struct Numbered<const NUMBER: usize>;

    macro_rules! keys {
        ($($number:literal)+) => { [$(TypeId::of::<Numbered<$number>>()),+] };
    }

    #[test]
    fn every_type_finds_its_own_value_while_the_map_grows() {
        let keys = keys!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25);
        let mut map = TypeMap::default();
        for (number, &key) in keys.iter().enumerate() {
            assert_eq!(map.get(key), None);
            assert_eq!(map.get_mut(key), None);
            map.insert(key, number);
            for (number, &key) in keys.iter().enumerate().take(number + 1) {
                assert_eq!(map.get(key), Some(&number));
            }
        }
        map.insert(keys[3], 33);
        assert_eq!((map.get(keys[3]), map.len), (Some(&33), keys.len()));
        assert_eq!(map.get_mut(keys[3]), Some(&mut 33));
    }
}
