//! How many flights are about to land, and where.

use super::Checksum;
use crate::input::AirportIndex;

/// A flight is due at its destination if it lands within this time.
pub const ARRIVING_S: f32 = 1_800.0;

/// A flight is near its destination within this distance.
pub const ARRIVING_NM: f32 = 50.0;

/// An airborne flight on its way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Arrival {
    /// Where it will land.
    pub destination: AirportIndex,
    /// Time until it lands.
    pub remaining_s: f32,
    /// Distance that it still has to fly.
    pub remaining_nm: f32,
}

/// The flights about to land at one airport. A flight may count as both due and near.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ArrivalQueue {
    /// Flights that land within [`ARRIVING_S`].
    pub due: u32,
    /// Flights within [`ARRIVING_NM`].
    pub near: u32,
    /// Flights that are due, near or both.
    pub length: u32,
}

/// The queues of all airports.
///
/// # Example
///
/// ```
/// use profiling::analysis::{Arrival, ArrivalQueues};
/// use profiling::input::AirportIndex;
///
/// let destination = AirportIndex(3);
/// let mut queues = ArrivalQueues::new(10);
/// queues.update([
///     Arrival { destination, remaining_s: 600.0, remaining_nm: 40.0 },
///     Arrival { destination, remaining_s: 9_000.0, remaining_nm: 1_000.0 },
/// ]);
/// let longest = queues.longest().map(|(airport, queue)| (airport, queue.length));
/// assert_eq!(longest, Some((destination, 1)));
/// ```
#[derive(Debug, Clone)]
pub struct ArrivalQueues {
    queues: Box<[ArrivalQueue]>,
    unknown: u64,
}

impl ArrivalQueues {
    /// Empty queues for `airports` airports; takes all the memory that it ever needs.
    pub fn new(airports: usize) -> Self {
        Self { queues: vec![ArrivalQueue::default(); airports].into_boxed_slice(), unknown: 0 }
    }

    /// Forgets the previous flights and counts these.
    pub fn update(&mut self, flights: impl IntoIterator<Item = Arrival>) {
        self.queues.fill(ArrivalQueue::default());
        self.unknown = 0;
        for flight in flights {
            let Some(queue) = self.queues.get_mut(flight.destination.position()) else {
                self.unknown += 1;
                continue;
            };
            let due = flight.remaining_s <= ARRIVING_S;
            let near = flight.remaining_nm <= ARRIVING_NM;
            queue.due += u32::from(due);
            queue.near += u32::from(near);
            queue.length += u32::from(due || near);
        }
    }

    /// The queue of one airport, or `None` if there is no such airport.
    pub fn queue(&self, airport: AirportIndex) -> Option<ArrivalQueue> {
        self.queues.get(airport.position()).copied()
    }

    /// The longest queue, that of the lowest index among equals; `None` if all are empty.
    pub fn longest(&self) -> Option<(AirportIndex, ArrivalQueue)> {
        let mut longest = None;
        let mut length = 0;
        for (position, queue) in self.queues.iter().enumerate() {
            if queue.length > length {
                length = queue.length;
                longest = Some((AirportIndex(position as u16), *queue));
            }
        }
        longest
    }

    /// Flights in all queues together.
    pub fn total(&self) -> u64 {
        self.queues.iter().map(|queue| u64::from(queue.length)).sum()
    }

    /// Flights to an airport that there is no queue for.
    pub fn unknown(&self) -> u64 {
        self.unknown
    }

    /// Adds every queue to `checksum`.
    pub fn fold(&self, checksum: &mut Checksum) {
        checksum.add_u64(self.unknown);
        for queue in &self.queues {
            checksum.add_u32(queue.due);
            checksum.add_u32(queue.near);
            checksum.add_u32(queue.length);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival(destination: u16, remaining_s: f32, remaining_nm: f32) -> Arrival {
        Arrival { destination: AirportIndex(destination), remaining_s, remaining_nm }
    }

    #[test]
    fn flights_count_by_time_by_distance_or_by_both() {
        let mut queues = ArrivalQueues::new(2);
        queues.update([
            arrival(1, 1_800.0, 200.0),
            arrival(1, 3_000.0, 50.0),
            arrival(1, 10.0, 1.0),
            arrival(1, 1_801.0, 51.0),
            arrival(0, 10.0, 1.0),
        ]);
        let expected = ArrivalQueue { due: 2, near: 2, length: 3 };
        assert_eq!(queues.queue(AirportIndex(1)), Some(expected));
        assert_eq!(queues.longest(), Some((AirportIndex(1), expected)));
        assert_eq!(queues.total(), 4);
    }

    #[test]
    fn airport_without_a_queue_is_counted_apart() {
        let mut queues = ArrivalQueues::new(1);
        queues.update([arrival(1, 0.0, 0.0)]);
        assert_eq!((queues.unknown(), queues.total(), queues.longest()), (1, 0, None));
        assert_eq!(queues.queue(AirportIndex(1)), None);
    }

    #[test]
    fn order_of_input_does_not_matter() {
        let mut flights: Vec<Arrival> =
            (0..200).map(|step| arrival(step % 7, f32::from(step) * 20.0, 100.0)).collect();
        let value = |flights: &[Arrival]| {
            let mut queues = ArrivalQueues::new(7);
            queues.update(flights.iter().copied());
            let mut checksum = Checksum::new(0);
            queues.fold(&mut checksum);
            checksum.value()
        };
        let forwards = value(&flights);
        flights.reverse();
        assert_eq!(value(&flights), forwards);
    }
}
