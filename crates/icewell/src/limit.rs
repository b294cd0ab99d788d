//! How much the cache may hold: the limit on its own bytes, and the floor under what is left to others.

use std::fmt;
use std::str::FromStr;

use tracing::warn;

use crate::error::Result;
use crate::folders::Folders;
use crate::layout::tag;
use crate::sys::{Stat, Step, step};

/// The limit where nobody set one: 10 GiB, as Glance's `image_cache_max_size`.
pub const DEFAULT_MAX_SIZE: u64 = 10 << 30;

/// The floor that the daemon sets where nobody has set one: a twentieth of the file system.
pub const DEFAULT_MIN_FREE: MinFree = MinFree::Share { hundredths: 500 };

/// What a limit counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Count {
    /// The sizes of the files, as Glance does.
    #[default]
    Size,
    /// The bytes of the disk blocks behind them: less for images with holes.
    Allocated,
}

impl Count {
    /// `size` or `allocated`.
    pub fn name(self) -> &'static str {
        match self {
            Count::Size => "size",
            Count::Allocated => "allocated",
        }
    }

    pub(crate) fn of(self, stat: &Stat) -> u64 {
        match self {
            Count::Size => stat.size,
            Count::Allocated => stat.allocated,
        }
    }
}

/// What is to stay free on the file system, whoever uses it. As text `5%`, `2.5%`, or plain bytes.
///
/// ```
/// use icewell::MinFree;
///
/// let floor: MinFree = "2.5%".parse()?;
/// assert_eq!(floor.of(4000), 100);
/// assert_eq!(floor.to_string(), "2.5%");
/// assert!("101%".parse::<MinFree>().is_err());
/// # Ok::<(), icewell::InvalidMinFree>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MinFree {
    /// So many bytes.
    Bytes(u64),
    /// A share of the file system's size.
    Share {
        /// In hundredths of a percent.
        hundredths: u16,
    },
}

impl MinFree {
    /// The bytes that are to stay free on a file system of `total` bytes.
    pub fn of(self, total: u64) -> u64 {
        match self {
            MinFree::Bytes(bytes) => bytes,
            MinFree::Share { hundredths } => {
                u64::try_from(u128::from(total) * u128::from(hundredths) / 10_000).unwrap_or(u64::MAX)
            }
        }
    }
}

impl fmt::Display for MinFree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            MinFree::Bytes(bytes) => write!(f, "{bytes}"),
            MinFree::Share { hundredths } => {
                let (whole, rest) = (hundredths / 100, hundredths % 100);
                match (rest, rest % 10) {
                    (0, _) => write!(f, "{whole}%"),
                    (_, 0) => write!(f, "{whole}.{}%", rest / 10),
                    _ => write!(f, "{whole}.{rest:02}%"),
                }
            }
        }
    }
}

impl FromStr for MinFree {
    type Err = InvalidMinFree;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let Some(percent) = text.strip_suffix('%') else {
            return text.parse().ok().filter(|_| digits(text)).map(MinFree::Bytes).ok_or(InvalidMinFree);
        };
        let (whole, rest) = percent.split_once('.').unwrap_or((percent, "0"));
        if !digits(whole) || !digits(rest) || rest.len() > 2 {
            return Err(InvalidMinFree);
        }
        let hundredths = |text: &str, unit: u16| text.parse::<u16>().ok()?.checked_mul(unit);
        let (whole, rest) = (hundredths(whole, 100), hundredths(rest, if rest.len() == 1 { 10 } else { 1 }));
        let sum = whole.zip(rest).and_then(|(whole, rest)| whole.checked_add(rest)).filter(|sum| *sum <= 10_000);
        Ok(MinFree::Share { hundredths: sum.ok_or(InvalidMinFree)? })
    }
}

/// Text that is no [`MinFree`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidMinFree;

impl fmt::Display for InvalidMinFree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is neither a share of the file system, such as 5%, nor a number of bytes")
    }
}

impl std::error::Error for InvalidMinFree {}

/// How much the cache may hold. It covers everything under DIR: images, fills under way and failed ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Bytes at most.
    pub max_size: u64,
    /// What is counted.
    pub count: Count,
    /// What is to stay free on the file system besides; none where nobody has said, and then the cache may fill it.
    pub min_free: Option<MinFree>,
}

impl Default for Limit {
    fn default() -> Self {
        Limit { max_size: DEFAULT_MAX_SIZE, count: Count::Size, min_free: None }
    }
}

impl Limit {
    /// The bytes that are to stay free on a file system of `total` bytes.
    pub fn floor(&self, total: u64) -> u64 {
        self.min_free.map_or(0, |min_free| min_free.of(total))
    }
}

/// The limit in force: the one kept on DIR, or else the default.
pub(crate) fn limit(folders: &Folders) -> Result<Limit> {
    let default = Limit::default();
    let max_size = folders.root_tag(tag::MAX_SIZE)?.and_then(|text| text.trim().parse().ok());
    let count = match folders.root_tag(tag::COUNT)?.as_deref() {
        Some("allocated") => Count::Allocated,
        _ => Count::Size,
    };
    let min_free = folders.root_tag(tag::MIN_FREE)?.and_then(|text| {
        let parsed = text.trim().parse();
        parsed.inspect_err(|error| warn!(tag = tag::MIN_FREE, value = text, %error, "the tag is passed over")).ok()
    });
    Ok(Limit { max_size: max_size.unwrap_or(default.max_size), count, min_free })
}

pub(crate) fn set_limit(folders: &Folders, limit: Limit) -> Result<()> {
    folders.set_root_tag(tag::MAX_SIZE, &limit.max_size.to_string())?;
    step(Step::LimitHalfSet);
    folders.set_root_tag(tag::COUNT, limit.count.name())?;
    match limit.min_free {
        Some(min_free) => folders.set_root_tag(tag::MIN_FREE, &min_free.to_string()),
        None => folders.remove_root_tag(tag::MIN_FREE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_floor_as_text() {
        for (text, floor) in [
            ("0", MinFree::Bytes(0)),
            ("18446744073709551615", MinFree::Bytes(u64::MAX)),
            ("0%", MinFree::Share { hundredths: 0 }),
            ("5%", DEFAULT_MIN_FREE),
            ("2.5%", MinFree::Share { hundredths: 250 }),
            ("0.05%", MinFree::Share { hundredths: 5 }),
            ("33.33%", MinFree::Share { hundredths: 3333 }),
            ("100%", MinFree::Share { hundredths: 10_000 }),
        ] {
            assert_eq!(text.parse(), Ok(floor), "{text}");
            assert_eq!(floor.to_string(), text);
        }
        for text in ["", "%", "-5%", "+5%", "5.%", ".5%", "5.123%", "100.01%", "655.36%", "5 %", "-1", "+1", "5GiB"] {
            assert_eq!(text.parse::<MinFree>(), Err(InvalidMinFree), "{text}");
        }
    }

    #[test]
    fn a_share_of_any_file_system() {
        assert_eq!(DEFAULT_MIN_FREE.of(0), 0);
        assert_eq!(DEFAULT_MIN_FREE.of(1000), 50);
        assert_eq!(MinFree::Share { hundredths: 10_000 }.of(u64::MAX), u64::MAX);
        assert_eq!(MinFree::Bytes(7).of(5), 7);
        assert_eq!(Limit::default().floor(1000), 0);
    }
}
