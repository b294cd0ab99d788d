//! Sizes and times as people write them.

use std::str::FromStr;
use std::time::Duration;

use icewell::MinFree;

/// A number of bytes: `10GiB`, `500MB` (10⁶ each), `1.5T`, plain bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

/// As many digits as the largest size has.
const MAX_DIGITS: usize = 20;

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Never for a sign or an exponent: nobody means those. Nor for more digits than any size has, at which
        // `parse_size` rounds up past the largest number.
        let digits = text.bytes().filter(u8::is_ascii_digit).count();
        let plain = digits <= MAX_DIGITS && text.bytes().next().is_some_and(|first| first.is_ascii_digit());
        let size = if plain { parse_size::parse_size(text).ok() } else { None };
        size.map(Size).ok_or_else(|| format!("{text:?} is not a size, such as 10GiB, 500MB (10⁶ bytes each) or 4096"))
    }
}

/// What is to stay free: `5%` of the file system, or a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Free(pub(crate) MinFree);

impl FromStr for Free {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = || text.parse().ok().map(|Size(bytes)| MinFree::Bytes(bytes));
        let free = if text.ends_with('%') { text.parse().ok() } else { bytes() };
        free.map(Free).ok_or_else(|| format!("{text:?} is neither a share, such as 5%, nor a size, such as 20GiB"))
    }
}

/// A span of time: `24h`, `90s`, `1h 30m`, plain seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

/// A hundred years. Now and this still make a moment that the system can tell; now and the longest `Duration` do not.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let seconds = text.parse().map(Duration::from_secs).ok();
        let span = seconds.filter(|_| !text.starts_with('+')).or_else(|| humantime::parse_duration(text).ok());
        let span = span.ok_or_else(|| format!("{text:?} is not a time, such as 24h, 90s or 3600 (seconds)"))?;
        if span > LONGEST {
            return Err(format!("{text:?} is not a time that can be waited for: it is over 36500 days"));
        }
        Ok(Span(span))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_as_people_write_them() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("10GiB", 10 << 30),
            ("10 GiB", 10 << 30),
            ("500MB", 500_000_000),
            ("30mb", 30_000_000),
            ("1.5KiB", 1536),
            ("2T", 2_000_000_000_000),
            ("100B", 100),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
        for text in [
            "184467440737095516155",
            "184467440737095516159.5",
            "",
            "GiB",
            "-1",
            "+1",
            "1 0 x",
            "10 gallons",
            "18446744073709551616",
            "99999999TiB",
            " ",
        ] {
            assert!(text.parse::<Size>().unwrap_err().starts_with(&format!("{text:?} is not a size")), "{text}");
        }
    }

    #[test]
    fn what_is_to_stay_free_as_people_write_it() {
        assert_eq!("5%".parse(), Ok(Free(icewell::DEFAULT_MIN_FREE)));
        assert_eq!("20GiB".parse(), Ok(Free(MinFree::Bytes(20 << 30))));
        assert_eq!("0".parse(), Ok(Free(MinFree::Bytes(0))));
        for text in ["", "%", "101%", "-5%", "5 per cent"] {
            assert!(text.parse::<Free>().unwrap_err().starts_with(&format!("{text:?} is neither")), "{text}");
        }
    }

    #[test]
    fn times_as_people_write_them() {
        for (text, seconds) in [
            ("0", 0),
            ("90", 90),
            ("90s", 90),
            ("24h", 86_400),
            ("1h 30m", 5400),
            ("2days", 172_800),
            ("36500days", 3_153_600_000),
        ] {
            assert_eq!(text.parse(), Ok(Span(Duration::from_secs(seconds))), "{text}");
        }
        assert_eq!("500ms".parse(), Ok(Span(Duration::from_millis(500))));
        for text in ["", "h", "-1", "+1", "1.5.2", "soon", "1 fortnight", "3153600001", "18446744073709551615"] {
            assert!(text.parse::<Span>().unwrap_err().starts_with(&format!("{text:?} is not a time")), "{text}");
        }
    }
}
