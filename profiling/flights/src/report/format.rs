//! Numbers for people.

use std::time::Duration;

/// A whole number with a comma between thousands.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A size in the largest unit in which it is at least one.
pub(crate) fn bytes(bytes: usize) -> String {
    let bytes = bytes as f64;
    match bytes {
        bytes if bytes >= 1024.0 * 1024.0 => format!("{:.1} MiB", bytes / 1024.0 / 1024.0),
        bytes if bytes >= 1024.0 => format!("{:.1} KiB", bytes / 1024.0),
        bytes => format!("{bytes} B"),
    }
}

/// A time in the largest unit in which it is at least one.
pub(super) fn time(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        seconds if seconds >= 1.0 => format!("{seconds:.2} s"),
        seconds if seconds >= 1e-3 => format!("{:.2} ms", seconds * 1e3),
        seconds => format!("{:.2} µs", seconds * 1e6),
    }
}

/// The share of one of `frames` frames in `time`.
pub(super) fn time_per_frame(total: Duration, frames: u64) -> String {
    time(total.div_f64(frames.max(1) as f64))
}

/// A share of one as a percentage.
pub(super) fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_their_unit() {
        assert_eq!(
            ["0", "999", "1,000", "113,493"].map(String::from),
            [count(0), count(999), count(1_000), count(113_493),]
        );
        assert_eq!((bytes(512), bytes(1_536)), ("512 B".into(), "1.5 KiB".into()));
        assert_eq!(bytes(3 << 20), "3.0 MiB");
        assert_eq!(time(Duration::from_nanos(1_500)), "1.50 µs");
        assert_eq!(time(Duration::from_millis(2_500)), "2.50 s");
        assert_eq!(time_per_frame(Duration::from_millis(6), 3), "2.00 ms");
        assert_eq!(percent(0.0512), "5.12 %");
    }
}
