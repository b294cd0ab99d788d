//! Digests: what an origin vouches for, and what a fill computes on the way.

use std::fmt;
use std::str::FromStr;

use digest::DynDigest;

/// A digest algorithm that Glance or HTTP origins use, from weakest to strongest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// Glance's `checksum`, HTTP's `Content-MD5`: finds accidents, not attacks.
    Md5,
    /// Finds accidents, not attacks.
    Sha1,
    /// SHA-224.
    Sha224,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512, Glance's default `os_hash_algo`.
    Sha512,
}

const NAMES: [(Algorithm, &str, usize); 6] = [
    (Algorithm::Md5, "md5", 16),
    (Algorithm::Sha1, "sha1", 20),
    (Algorithm::Sha224, "sha224", 28),
    (Algorithm::Sha256, "sha256", 32),
    (Algorithm::Sha384, "sha384", 48),
    (Algorithm::Sha512, "sha512", 64),
];

impl Algorithm {
    /// Its name as in Glance's `os_hash_algo` and Python's `hashlib`: `sha512`.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// The length of its digests in bytes.
    pub fn length(self) -> usize {
        self.row().2
    }

    fn row(self) -> (Algorithm, &'static str, usize) {
        NAMES.into_iter().find(|row| row.0 == self).unwrap_or(NAMES[0])
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Algorithm {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = NAMES.into_iter().find(|row| row.1.eq_ignore_ascii_case(text));
        known
            .map(|row| row.0)
            .ok_or(InvalidDigest("its algorithm is not one of md5, sha1, sha224, sha256, sha384, sha512"))
    }
}

/// A digest: an algorithm and its value. As text `sha256:e3b0c442…`, in lower-case hex.
///
/// ```
/// let digest: icewell::Digest = "md5:d41d8cd98f00b204e9800998ecf8427e".parse()?;
/// assert_eq!(digest.algorithm(), icewell::Algorithm::Md5);
/// assert!("md5:d41d".parse::<icewell::Digest>().is_err());
/// # Ok::<(), icewell::InvalidDigest>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Digest {
    algorithm: Algorithm,
    /// As long as the algorithm says.
    value: Vec<u8>,
}

impl Digest {
    /// Makes a digest of its value in bytes.
    ///
    /// # Errors
    ///
    /// [`InvalidDigest`] where the value has not the algorithm's length.
    pub fn new(algorithm: Algorithm, value: &[u8]) -> Result<Self, InvalidDigest> {
        if value.len() != algorithm.length() {
            return Err(InvalidDigest("its value has not the length of its algorithm's digests"));
        }
        Ok(Digest { algorithm, value: value.to_vec() })
    }

    /// Its algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Its value in bytes.
    pub fn value(&self) -> &[u8] {
        &self.value
    }

    /// Its value in lower-case hex, as Glance's `os_hash_value`.
    pub fn hex(&self) -> String {
        self.value.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm, self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (algorithm, hex) = text.split_once(':').ok_or(InvalidDigest("it has not the form ALGORITHM:HEX"))?;
        let byte = |pair: &[u8]| {
            let text = std::str::from_utf8(pair).ok().filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()))?;
            u8::from_str_radix(text, 16).ok().filter(|_| pair.len() == 2)
        };
        let value: Option<Vec<u8>> = hex.as_bytes().chunks(2).map(byte).collect();
        Digest::new(algorithm.parse()?, &value.ok_or(InvalidDigest("its value is not hex"))?)
    }
}

/// Text or bytes that are no digest, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidDigest(&'static str);

impl fmt::Display for InvalidDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a digest: {}", self.0)
    }
}

impl std::error::Error for InvalidDigest {}

/// Computes one digest over bytes as they come.
pub(crate) struct Hasher {
    algorithm: Algorithm,
    state: Box<dyn DynDigest + Send>,
}

impl Hasher {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        let state: Box<dyn DynDigest + Send> = match algorithm {
            Algorithm::Md5 => Box::new(md5::Md5::default()),
            Algorithm::Sha1 => Box::new(sha1::Sha1::default()),
            Algorithm::Sha224 => Box::new(sha2::Sha224::default()),
            Algorithm::Sha256 => Box::new(sha2::Sha256::default()),
            Algorithm::Sha384 => Box::new(sha2::Sha384::default()),
            Algorithm::Sha512 => Box::new(sha2::Sha512::default()),
        };
        Hasher { algorithm, state }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.state.update(bytes);
    }

    pub(crate) fn finish(self) -> Digest {
        Digest { algorithm: self.algorithm, value: self.state.finalize().into_vec() }
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hasher({})", self.algorithm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        // The digests of the empty input, as md5sum, sha1sum, … print them.
        for (algorithm, start) in [
            (Algorithm::Md5, "md5:d41d8cd98f00b204"),
            (Algorithm::Sha1, "sha1:da39a3ee5e6b4b0d"),
            (Algorithm::Sha224, "sha224:d14a028c2a3a2bc9"),
            (Algorithm::Sha256, "sha256:e3b0c44298fc1c14"),
            (Algorithm::Sha384, "sha384:38b060a751ac9638"),
            (Algorithm::Sha512, "sha512:cf83e1357eefb8bd"),
        ] {
            let digest = Hasher::new(algorithm).finish();
            assert!(digest.to_string().starts_with(start), "{digest}");
            assert_eq!(digest.value().len(), algorithm.length());
            assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
        }
    }

    #[test]
    fn garbage_is_refused() {
        for text in
            ["", "md5", "md5:", "md5:zz", "md5:+1d41d8cd98f00b204e9800998ecf8427", "crc32:00000000", "sha256:e3"]
        {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
    }
}
