//! A random order that is the same in every run and for every subject.

/// The first `count` of the numbers below `below`, in an order shuffled with a fixed seed.
pub(crate) fn shuffled(below: usize, count: usize) -> Vec<usize> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut numbers: Vec<usize> = (0..below).collect();
    for place in 0..count {
        // The generator of Marsaglia, "Xorshift RNGs", 2003.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let other = place + (state % (below - place) as u64) as usize;
        numbers.swap(place, other);
    }
    numbers.truncate(count);
    numbers
}
