//! `Via` (RFC 9110 §7.6.3): tells who passed a message on, and finds loops.

use std::hash::{BuildHasher, RandomState};

use http::HeaderValue;
use http::header::{HeaderMap, VIA};

/// This daemon's name in `Via`, another one for each process, so that two Icewells in a row are no loop.
#[derive(Clone, Debug)]
pub(crate) struct Pseudonym(String);

impl Pseudonym {
    pub(crate) fn new() -> Self {
        // The standard library's hash keys are random for each process.
        let random = RandomState::new().hash_one(std::process::id());
        Pseudonym(format!("icewell-{:08x}", random & 0xffff_ffff))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this daemon has passed the message on already.
    pub(crate) fn is_in(&self, headers: &HeaderMap) -> bool {
        let values = headers.get_all(VIA).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|hop| hop.split_whitespace().nth(1) == Some(&self.0))
    }

    /// Adds this hop to those that are there.
    pub(crate) fn add_to(&self, headers: &mut HeaderMap) {
        if let Ok(hop) = HeaderValue::try_from(format!("1.1 {}", self.0)) {
            headers.append(VIA, hop);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_itself_and_nobody_else() {
        let (me, other) = (Pseudonym("icewell-1".into()), Pseudonym("icewell-2".into()));
        let mut headers = HeaderMap::new();
        assert!(!me.is_in(&headers));
        headers.insert(VIA, HeaderValue::from_static("1.0 squid, 1.1 icewell-12 (x)"));
        assert!(!me.is_in(&headers));
        other.add_to(&mut headers);
        me.add_to(&mut headers);
        assert!(me.is_in(&headers));
        assert_ne!(Pseudonym::new().0, Pseudonym::new().0);
    }
}
