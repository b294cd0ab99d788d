//! The digests that an origin vouches for in its response header.
//!
//! | field | defined by | is the digest of |
//! |---|---|---|
//! | `Repr-Digest` | RFC 9530 §3 | the whole image, also in a 206 |
//! | `Digest` | RFC 3230 §4.3.2 | the same |
//! | `Content-Digest` | RFC 9530 §2 | what this message carries: the whole image in a 200 only |
//! | `Content-MD5` | RFC 1864 | the same; in base64, but 32 hexadecimal digits are taken as Glance's way to send it |
//!
//! A coded response (`Content-Encoding`) gives none, since its digests are of bytes that Icewell never keeps.
//!
//! A value that cannot be a digest vouches for nothing: it is ignored, with a warning. So is, in silence, an
//! algorithm that is not known here.

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::StatusCode;
use http::header::{CONTENT_ENCODING, HeaderMap};
use icewell::{Algorithm, Digest};

/// Base64 as RFC 9651 §4.2.7 wants it read: padding may be missing, and unused bits may be set.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The algorithm registered under this name; RFC 3230 has the names in any case.
fn algorithm(name: &str) -> Option<Algorithm> {
    match name.to_ascii_lowercase().as_str() {
        "md5" => Some(Algorithm::Md5),
        "sha" => Some(Algorithm::Sha1),
        "sha-256" => Some(Algorithm::Sha256),
        "sha-512" => Some(Algorithm::Sha512),
        _ => None,
    }
}

/// The digests of the whole image in the response to a `GET`, strongest first and each once.
///
/// Where two of the same algorithm disagree, both are given: no image can satisfy such an origin.
pub(crate) fn vouched_digests(status: StatusCode, headers: &HeaderMap) -> Vec<Digest> {
    if headers.get_all(CONTENT_ENCODING).iter().any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Vec::new();
    }
    let mut digests = Vec::new();
    members(headers, "repr-digest", structured_member, &mut digests);
    members(headers, "digest", rfc3230_member, &mut digests);
    if status == StatusCode::OK {
        members(headers, "content-digest", structured_member, &mut digests);
        members(headers, "content-md5", content_md5, &mut digests);
    }
    digests.sort_by(|one, other| (other.algorithm(), other.value()).cmp(&(one.algorithm(), one.value())));
    digests.dedup();
    digests
}

/// One member of a digest field, read.
enum Member {
    Digest(Digest),
    UnknownAlgorithm,
    Malformed,
}

/// Reads all members of a field; neither algorithm names nor base64 have a comma in them.
fn members(headers: &HeaderMap, field: &'static str, read: impl Fn(&str) -> Member, digests: &mut Vec<Digest>) {
    for value in headers.get_all(field) {
        let text = String::from_utf8_lossy(value.as_bytes());
        for member in text.split(',').map(str::trim).filter(|member| !member.is_empty()) {
            match read(member) {
                Member::Digest(digest) => digests.push(digest),
                Member::UnknownAlgorithm => {}
                Member::Malformed => tracing::warn!(field, member, "the origin sent a malformed digest; it is ignored"),
            }
        }
    }
}

/// `sha-256=:BASE64:`, perhaps with parameters, as in `Repr-Digest` and `Content-Digest`.
fn structured_member(member: &str) -> Member {
    let (name, value) = member.split_once('=').unwrap_or((member, ""));
    let Some(algorithm) = algorithm(name) else { return Member::UnknownAlgorithm };
    let item = value.split_once(';').map_or(value, |(item, _parameters)| item).trim_end();
    match item.strip_prefix(':').and_then(|item| item.strip_suffix(':')) {
        Some(base64) => decode(algorithm, base64),
        None => Member::Malformed,
    }
}

/// `SHA-256=BASE64`, as in `Digest`.
fn rfc3230_member(member: &str) -> Member {
    let (name, base64) = member.split_once('=').unwrap_or((member, ""));
    match algorithm(name) {
        Some(algorithm) => decode(algorithm, base64),
        None => Member::UnknownAlgorithm,
    }
}

/// The whole value of `Content-MD5`.
fn content_md5(value: &str) -> Member {
    // The two forms cannot be confused: 32 characters of base64 would be 24 bytes.
    match decode_hex(value).map(|value| Digest::new(Algorithm::Md5, &value)) {
        Some(Ok(digest)) => Member::Digest(digest),
        _ => decode(Algorithm::Md5, value),
    }
}

fn decode(algorithm: Algorithm, base64: &str) -> Member {
    match BASE64.decode(base64).map(|value| Digest::new(algorithm, &value)) {
        Ok(Ok(digest)) => Member::Digest(digest),
        _ => Member::Malformed,
    }
}

fn decode_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::{HeaderName, HeaderValue};
    use icewell::Algorithm::{Md5, Sha1, Sha256, Sha512};

    // Each of "hello world\n": `md5sum`, and `openssl dgst -binary | base64`.
    const MD5_HEX: &str = "6f5902ac237024bdd0c176cb93063dc4";
    const MD5: &str = "b1kCrCNwJL3QwXbLkwY9xA==";
    const SHA1: &str = "IlljY7PeQLBvmB+4XYIxLowO1RE=";
    const SHA256: &str = "qUiQTy8PR5uPgZdpSzAYSw0u0cHNKh7A+4XSmaGSpEc=";
    const SHA512: &str = "2zl0qX8kB7fK4a5jfAAwaHoRkTJ01XhJJVjjnBbAF96E6s3Ixi/jTuThK0sUKIF/Cbaidgw/imZM6ulNJDSlkw==";

    fn digests(status: u16, fields: &[(&str, &str)]) -> Vec<(Algorithm, Vec<u8>)> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let digests = vouched_digests(StatusCode::from_u16(status).unwrap(), &headers);
        digests.iter().map(|digest| (digest.algorithm(), digest.value().to_vec())).collect()
    }

    fn expected(list: &[(Algorithm, &str)]) -> Vec<(Algorithm, Vec<u8>)> {
        list.iter().map(|(algorithm, base64)| (*algorithm, BASE64.decode(base64).unwrap())).collect()
    }

    #[test]
    fn each_field_in_its_own_syntax() {
        let unpadded = SHA256.trim_end_matches('=');
        for (field, value, vouched) in [
            ("content-md5", MD5.to_string(), vec![(Md5, MD5)]),
            ("content-md5", MD5_HEX.to_string(), vec![(Md5, MD5)]),
            ("content-md5", MD5_HEX.to_uppercase(), vec![(Md5, MD5)]),
            ("repr-digest", format!("sha-256=:{SHA256}:"), vec![(Sha256, SHA256)]),
            ("repr-digest", format!("sha-256=:{unpadded}:"), vec![(Sha256, SHA256)]),
            ("repr-digest", format!("sha-256=:{SHA256}:;x=1"), vec![(Sha256, SHA256)]),
            ("content-digest", format!("sha-512=:{SHA512}:"), vec![(Sha512, SHA512)]),
            ("digest", format!("SHA-256={SHA256}"), vec![(Sha256, SHA256)]),
            ("digest", format!("sha-512={SHA512}"), vec![(Sha512, SHA512)]),
            // Strongest first, unknown ones left out.
            (
                "repr-digest",
                format!("md5=:{MD5}:, sha=:{SHA1}:,sha-512=:{SHA512}: , crc32c=:AAAAAA==:, sha-256=:{SHA256}:"),
                vec![(Sha512, SHA512), (Sha256, SHA256), (Sha1, SHA1), (Md5, MD5)],
            ),
            (
                "digest",
                format!("MD5={MD5},UNIXsum=30637,SHA={SHA1},sha-256={SHA256}"),
                vec![(Sha256, SHA256), (Sha1, SHA1), (Md5, MD5)],
            ),
        ] {
            assert_eq!(digests(200, &[(field, &value)]), expected(&vouched), "{field}: {value}");
        }
    }

    #[test]
    fn garbled_values_vouch_for_nothing() {
        for (field, value) in [
            ("content-md5", ""),
            ("content-md5", "b1kCrCNwJL3QwXbLkwY9"),
            ("content-md5", &MD5_HEX[1..]),
            ("content-md5", "6f5902ac237024bdd0c176cb93063dcg"),
            ("content-md5", "é"),
            ("content-md5", SHA256),
            ("repr-digest", "sha-256"),
            ("repr-digest", "sha-256="),
            ("repr-digest", "sha-256=:"),
            ("repr-digest", "sha-256=::"),
            ("repr-digest", &format!("sha-256={SHA256}")),
            ("repr-digest", &format!("sha-256=:{SHA256}")),
            ("repr-digest", &format!("sha-256=\"{SHA256}\"")),
            ("repr-digest", &format!("sha-256=:{SHA512}:")),
            ("repr-digest", &format!("sha-512=:{SHA256}:")),
            ("repr-digest", &format!("sha-384=:{SHA256}:")),
            ("repr-digest", "sha-256=:qUiQTy8PR5uPgZ*pSzAYSw0u0cHN0qd/D4wJf/OPbS0=:"),
            // Hexadecimal digits in a field of base64.
            ("digest", "SHA-256=a948904f2f0f479b8f8197694b30184b0d2ed1c1cd2a77f0f8c097ff38f6d2d0"),
            ("digest", "\u{1f41b}=x, MD5"),
        ] {
            assert_eq!(digests(200, &[(field, value)]), [], "{field}: {value}");
        }
        // A garbled one takes nothing from its neighbours.
        let value = format!("sha-512=garbage, sha-256=:{SHA256}:");
        assert_eq!(digests(200, &[("repr-digest", &value)]), expected(&[(Sha256, SHA256)]));
    }

    #[test]
    fn what_is_of_the_message_counts_in_a_200_only() {
        let content_digest = format!("sha-512=:{SHA512}:");
        let repr_digest = format!("sha-256=:{SHA256}:");
        let digest = format!("SHA={SHA1}");
        let fields = [
            ("content-md5", MD5),
            ("content-digest", content_digest.as_str()),
            ("repr-digest", repr_digest.as_str()),
            ("digest", digest.as_str()),
        ];
        assert_eq!(digests(200, &fields), expected(&[(Sha512, SHA512), (Sha256, SHA256), (Sha1, SHA1), (Md5, MD5)]));
        assert_eq!(digests(206, &fields), expected(&[(Sha256, SHA256), (Sha1, SHA1)]));

        let coded = |coding| digests(200, &[&fields[..], &[("content-encoding", coding)]].concat());
        assert_eq!(coded("Identity").len(), 4);
        assert_eq!(coded("gzip"), []);
        assert_eq!(coded("identity, gzip"), []);
    }

    #[test]
    fn repeated_digests_are_given_once_unless_they_disagree() {
        let digest = format!("MD5={MD5}");
        assert_eq!(digests(200, &[("content-md5", MD5), ("digest", &digest)]), expected(&[(Md5, MD5)]));
        let other = "AAAAAAAAAAAAAAAAAAAAAA==";
        let both = digests(200, &[("content-md5", other), ("digest", &digest)]);
        assert_eq!(both, expected(&[(Md5, MD5), (Md5, other)]));
    }
}
