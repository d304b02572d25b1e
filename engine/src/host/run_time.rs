//! [`RunTimes`]: how long the runs of a module took, in counts of fixed size.

use std::time::Duration;

use crate::storage::encoding::put_number;

use super::bytes::{Reader, StateError};

/// Buckets of a doubling.
const PARTS_LOG2: u32 = 2;
/// Runs below this many nanoseconds, a power of two, are counted together.
const LEAST_LOG2: u32 = 6;
/// Runs from this many nanoseconds on, some four minutes, are counted together as well.
const MOST_LOG2: u32 = 38;
const BUCKETS: usize = ((MOST_LOG2 - LEAST_LOG2) << PARTS_LOG2) as usize + 1;

/// Counts of runs by length, in buckets that are a quarter as wide as they are far from zero.
#[derive(Clone)]
pub(super) struct RunTimes {
    counts: Box<[u32; BUCKETS]>,
}

impl RunTimes {
    pub(super) fn new() -> Self {
        Self { counts: Box::new([0; BUCKETS]) }
    }

    pub(super) fn add(&mut self, length: Duration) {
        let count = &mut self.counts[bucket(length)];
        *count = count.saturating_add(1);
    }

    /// The length that `share` of the runs did not exceed, up to the width of a bucket. Zero without runs.
    pub(super) fn quantile(&self, share: f64) -> Duration {
        let total: u64 = self.counts.iter().map(|&count| u64::from(count)).sum();
        let wanted = (total as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (bucket, &count) in self.counts.iter().enumerate() {
            seen += u64::from(count);
            if seen >= wanted && count > 0 {
                return end(bucket);
            }
        }
        Duration::ZERO
    }

    /// Writes the buckets that have any.
    pub(super) fn put(&self, buffer: &mut Vec<u8>) {
        let filled = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        put_number(buffer, filled.clone().count() as u64);
        for (bucket, &count) in filled {
            put_number(buffer, bucket as u64);
            put_number(buffer, count.into());
        }
    }

    /// Reads what [`RunTimes::put`] wrote.
    pub(super) fn take(reader: &mut Reader<'_>) -> Result<Self, StateError> {
        let mut times = Self::new();
        for _ in 0..reader.number()? {
            let (bucket, count) = (reader.short()?, reader.short()?);
            match times.counts.get_mut(bucket as usize) {
                Some(place) => *place = count,
                None => return reader.malformed(),
            }
        }
        Ok(times)
    }
}

fn bucket(length: Duration) -> usize {
    let nanos = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
    if nanos < 1 << LEAST_LOG2 {
        return 0;
    }
    let log2 = nanos.ilog2();
    let part = nanos >> (log2 - PARTS_LOG2) & ((1 << PARTS_LOG2) - 1);
    let bucket = (u64::from(log2 - LEAST_LOG2) << PARTS_LOG2 | part) as usize + 1;
    bucket.min(BUCKETS - 1)
}

/// The first length past a bucket.
fn end(bucket: usize) -> Duration {
    let (log2, part) = (bucket as u32 >> PARTS_LOG2, bucket as u64 & ((1 << PARTS_LOG2) - 1));
    Duration::from_nanos(((1 << PARTS_LOG2) + part) << (log2 + LEAST_LOG2 - PARTS_LOG2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_below_the_end_of_its_bucket_and_within_a_quarter() {
        for nanos in (0..1 << 12)
            .chain((12..38).flat_map(|log2| [1 << log2, (1 << log2) + 1, (3 << log2) - 1]))
        {
            let length = Duration::from_nanos(nanos);
            let end = end(bucket(length));
            if nanos < 1 << MOST_LOG2 {
                assert!(length < end, "{nanos}");
                assert!(nanos < 64 || end.as_nanos() <= u128::from(nanos) * 5 / 4 + 1, "{nanos}");
            }
        }
        assert_eq!(bucket(Duration::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_those_of_the_runs() {
        let mut times = RunTimes::new();
        assert_eq!(times.quantile(0.99), Duration::ZERO);
        (0..99).for_each(|_| times.add(Duration::from_micros(10)));
        times.add(Duration::from_millis(5));
        let within =
            |quantile: Duration, length: Duration| quantile > length && quantile <= length * 5 / 4;
        assert!(within(times.quantile(0.5), Duration::from_micros(10)));
        assert!(within(times.quantile(0.99), Duration::from_micros(10)));
        assert!(within(times.quantile(1.0), Duration::from_millis(5)));
    }
}
