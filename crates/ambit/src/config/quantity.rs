//! Times, durations and sizes as operators write them: `2027-06-30`, `30s`, `1MiB`. Pure conversions in both directions.

use std::time::Duration;

pub use ambit_model::calendar::instant_text;
use ambit_model::{calendar::days_from_civil, ids::Millis};
use toml::value::Datetime;

const MILLIS_PER_DAY: i64 = 86_400_000;

/// Reads a date (00:00 UTC) or a date and time. A time without an offset is UTC.
pub fn instant(text: &str) -> Option<Millis> {
    let read: Datetime = text.parse().ok()?;
    let date = read.date?;
    let days = days_from_civil(i64::from(date.year), i64::from(date.month), i64::from(date.day));
    let time = read.time.map_or(0, |time| {
        let seconds = i64::from(time.hour) * 3600 + i64::from(time.minute) * 60 + i64::from(time.second.unwrap_or(0));
        seconds * 1000 + i64::from(time.nanosecond.unwrap_or(0) / 1_000_000)
    });
    let offset_minutes = match read.offset {
        Some(toml::value::Offset::Custom { minutes }) => i64::from(minutes),
        Some(toml::value::Offset::Z) | None => 0,
    };
    Some(days * MILLIS_PER_DAY + time - offset_minutes * 60_000)
}

/// Reads `500ms`, `30s`, `15m`, `2h` or `90d`.
pub fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(millis).map(Duration::from_millis)
}

/// Reads `65536`, `64KiB`, `1MiB`.
pub fn size(text: &str) -> Option<usize> {
    let (number, unit) = split(text)?;
    let bytes = match unit {
        "" | "B" => 1,
        "KiB" => 1024,
        "MiB" => 1024 * 1024,
        _ => return None,
    };
    number.checked_mul(bytes).and_then(|bytes| usize::try_from(bytes).ok())
}

fn split(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    Some((number.parse().ok()?, unit.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dates_and_times_are_utc_unless_they_say_otherwise() {
        assert_eq!(instant("1970-01-01"), Some(0));
        assert_eq!(instant("2027-06-30"), Some(1_814_313_600_000));
        assert_eq!(instant("2027-06-30T02:00:00+02:00"), instant("2027-06-30"));
        assert_eq!(instant("2027-06-30T00:00:00.250Z"), instant("2027-06-30").map(|at| at + 250));
        for bad in ["", "tomorrow", "2027-13-01", "12:00:00", "2027-02-30x"] {
            assert_eq!(instant(bad), None, "{bad}");
        }
    }

    #[test]
    fn durations_and_sizes_carry_their_unit() {
        assert_eq!(duration("30s"), Some(Duration::from_secs(30)));
        assert_eq!(duration("2h"), Some(Duration::from_hours(2)));
        assert_eq!(size("1MiB"), Some(1_048_576));
        assert_eq!(size("512"), Some(512));
        for bad in ["", "s", "30", "1.5h", "-1s", "2 weeks", "99999999999999999999s"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
        for bad in ["", "MiB", "1MB", "-1"] {
            assert_eq!(size(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_written_instant_reads_back(seconds in -2_000_000_000_i64..200_000_000_000) {
            prop_assert_eq!(instant(&instant_text(seconds * 1000)), Some(seconds * 1000));
        }
    }
}
