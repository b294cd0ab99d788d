use super::State::{Fresh, Stale};
use super::*;

/// 1994-11-06 08:49:37 UTC
const RECEIVED: u64 = 784_111_777;
const DATED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const HOUR_BEFORE: &str = "Sun, 06 Nov 1994 07:49:37 GMT";
const HOUR_AFTER: &str = "Sun, 06 Nov 1994 09:49:37 GMT";

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn headers(fields: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

fn record(fields: &[(&str, &str)]) -> Freshness {
    Freshness::new(&headers(fields), at(RECEIVED))
}

/// The state some seconds after the response was received.
fn state(fields: &[(&str, &str)], later: u64) -> State {
    let record = record(fields);
    let kept = Freshness::from_json(record.to_json().unwrap().as_bytes());
    assert_eq!(kept, record);
    kept.state(at(RECEIVED + later))
}

#[test]
fn storable_responses() {
    for (request, response, expected) in [
        (vec![], vec![], Ok(())),
        (vec![], vec![("cache-control", "public, max-age=60")], Ok(())),
        (vec![], vec![("cache-control", "no-cache")], Ok(())),
        (vec![], vec![("cache-control", "max-age=0, must-revalidate")], Ok(())),
        (vec![], vec![("expires", "0")], Ok(())),
        (vec![], vec![("set-cookie", "a=b")], Ok(())),
        (vec![], vec![("vary", "Accept-Encoding")], Ok(())),
        (vec![], vec![("vary", "accept-encoding, Accept-Encoding,")], Ok(())),
        (vec![], vec![("content-encoding", "identity")], Ok(())),
        // Not forwarded, so of no account.
        (vec![("authorization", "Basic YTpi"), ("cookie", "a=b")], vec![], Ok(())),
        (vec![("cache-control", "no-cache")], vec![], Ok(())),
        (vec![("cache-control", "No-Store")], vec![], Err("no-store")),
        (vec![], vec![("cache-control", "no-store")], Err("no-store")),
        (vec![], vec![("cache-control", "max-age=60"), ("cache-control", "No-Store")], Err("no-store")),
        (vec![], vec![("cache-control", "é, no-store")], Err("no-store")),
        (vec![], vec![("cache-control", "private")], Err("private")),
        (vec![], vec![("cache-control", "PRIVATE=\"x-a, x-b\", max-age=60")], Err("private")),
        (vec![], vec![("cache-control", "public , private = x")], Err("private")),
        (vec![], vec![("vary", "*")], Err("vary")),
        (vec![], vec![("vary", "Accept-Encoding, *")], Err("vary")),
        (vec![], vec![("vary", "Accept-Encoding"), ("vary", "Cookie")], Err("vary")),
        (vec![], vec![("content-encoding", "gzip")], Err("content-encoding")),
        (vec![], vec![("content-encoding", "identity, br")], Err("content-encoding")),
    ] {
        let result = storable(&Method::GET, &headers(&request), StatusCode::OK, &headers(&response));
        assert_eq!(result.map_err(|why| why.reason), expected, "{request:?} {response:?}");
    }
    let empty = HeaderMap::new();
    for status in [201, 203, 204, 206, 301, 304, 404, 410, 416, 500] {
        let status = StatusCode::from_u16(status).unwrap();
        assert_eq!(storable(&Method::GET, &empty, status, &empty), Err(NotStorable { reason: "status" }));
    }
    for method in [Method::HEAD, Method::POST, Method::PUT] {
        let result = storable(&method, &empty, StatusCode::OK, &empty);
        assert_eq!(result, Err(NotStorable { reason: "method" }));
    }
}

#[test]
fn states() {
    let fresh = |ttl_secs| Fresh { ttl_secs };
    let stale = |ttl_secs| Stale { ttl_secs };
    for (fields, later, expected) in [
        (vec![("cache-control", "max-age=60")], 0, fresh(60)),
        (vec![("cache-control", "max-age=60")], 59, fresh(1)),
        (vec![("cache-control", "max-age=60")], 60, stale(0)),
        (vec![("cache-control", "max-age=60")], 90, stale(-30)),
        (vec![("cache-control", "Public, Max-Age=60")], 10, fresh(50)),
        (vec![("cache-control", "max-age=\"60\"")], 10, fresh(50)),
        (vec![("cache-control", "max-age=60"), ("cache-control", "public")], 10, fresh(50)),
        (vec![("cache-control", "max-age=60, s-maxage=600")], 10, fresh(590)),
        (vec![("cache-control", "s-maxage=0, max-age=600")], 10, stale(-10)),
        (vec![("cache-control", "max-age=60"), ("expires", HOUR_AFTER)], 10, fresh(50)),
        (vec![("cache-control", "é, max-age=60")], 10, fresh(50)),
        // The library gives up on what it cannot read.
        (vec![("cache-control", "max-age=soon")], 10, stale(-10)),
        (vec![("cache-control", "max-age=-1")], 10, stale(-10)),
        (vec![("cache-control", "max-age=99999999999999999999")], 10, stale(-10)),
        (vec![("cache-control", "max-age=18446744073709551615")], 10, fresh(i64::MAX)),
        // Always asked.
        (vec![("cache-control", "no-cache, max-age=60")], 10, stale(-10)),
        (vec![("cache-control", "max-age=60, No-Cache=\"x\"")], 10, stale(-10)),
        (vec![("cache-control", "no-store, max-age=60")], 10, stale(-10)),
        (vec![("cache-control", "private, max-age=60")], 10, stale(-10)),
        (vec![("pragma", "no-cache"), ("expires", HOUR_AFTER)], 10, stale(-10)),
        (vec![("cache-control", "max-age=60"), ("pragma", "no-cache")], 10, fresh(50)),
        (vec![("cache-control", "max-age=60"), ("vary", "*")], 10, stale(-10)),
        // Nothing said: no guess from Last-Modified.
        (vec![], 10, stale(-10)),
        (vec![("last-modified", "Sun, 06 Nov 1983 08:49:37 GMT")], 10, stale(-10)),
        (vec![("cache-control", "public"), ("last-modified", "Sun, 06 Nov 1983 08:49:37 GMT")], 10, stale(-10)),
        (vec![("cache-control", "immutable")], 0, fresh(86_400)),
        // Expires, counted from Date; without a Date from when it was received.
        (vec![("expires", HOUR_AFTER)], 10, fresh(3590)),
        (vec![("expires", HOUR_AFTER), ("date", DATED)], 10, fresh(3590)),
        (vec![("expires", "Sunday, 06-Nov-94 09:49:37 GMT")], 10, fresh(3590)),
        (vec![("expires", "Sun Nov  6 09:49:37 1994")], 10, fresh(3590)),
        (vec![("expires", HOUR_BEFORE)], 10, stale(-10)),
        (vec![("expires", "0")], 10, stale(-10)),
        (vec![("expires", HOUR_AFTER), ("expires", HOUR_AFTER)], 10, stale(-10)),
        // The age on arrival: as stated, or as the date shows it, whichever is greater.
        (vec![("cache-control", "max-age=60"), ("age", "20")], 10, fresh(30)),
        (vec![("cache-control", "max-age=60"), ("age", "70")], 10, stale(-20)),
        (vec![("cache-control", "max-age=60"), ("age", "20, 70")], 10, fresh(30)),
        (vec![("cache-control", "max-age=60"), ("age", "old")], 10, fresh(50)),
        (vec![("cache-control", "max-age=60"), ("age", "18446744073709551615")], 10, stale(i64::MIN)),
        (vec![("cache-control", "max-age=7200"), ("date", HOUR_BEFORE)], 10, fresh(3590)),
        (vec![("cache-control", "max-age=7200"), ("date", HOUR_BEFORE), ("age", "5000")], 10, fresh(2190)),
        (vec![("cache-control", "max-age=60"), ("date", HOUR_AFTER)], 10, fresh(50)),
        (vec![("cache-control", "max-age=60"), ("date", "today")], 10, fresh(50)),
    ] {
        assert_eq!(state(&fields, later), expected, "{fields:?} after {later} s");
    }
}

#[test]
fn a_clock_set_back_makes_it_stale() {
    let record = record(&[("cache-control", "max-age=60")]);
    assert_eq!(record.state(at(RECEIVED - 1)), Stale { ttl_secs: 0 });
    let before_1970 = Freshness::new(&headers(&[("cache-control", "max-age=60")]), UNIX_EPOCH - Duration::from_secs(1));
    assert_eq!(before_1970.state(at(RECEIVED)), Stale { ttl_secs: 0 });
    let far_future = UNIX_EPOCH + Duration::from_secs(i64::MAX as u64);
    assert_eq!(Freshness::new(&HeaderMap::new(), far_future).state(far_future), Stale { ttl_secs: 0 });
}

#[test]
fn the_record_keeps_these_fields_and_no_others() {
    let record = record(&[
        ("ETag", "\"a\""),
        ("Set-Cookie", "secret"),
        ("Cache-Control", "max-age=60"),
        ("Cache-Control", "public"),
        ("Content-Type", "x/y"),
    ]);
    let json = format!(
        r#"{{"received":{RECEIVED},"headers":{{"cache-control":"max-age=60, public","date":"{DATED}","etag":"\"a\""}}}}"#
    );
    assert_eq!(record.to_json().unwrap(), json);
    assert_eq!(record.date(), Some(DATED));
}

#[test]
fn a_record_too_long_is_not_kept() {
    let record = |length| record(&[("etag", &"x".repeat(length)), ("cache-control", "max-age=60")]);
    let frame = record(0).to_json().unwrap().len();
    assert_eq!(record(MAX_RECORD - frame).to_json().unwrap().len(), MAX_RECORD);
    assert_eq!(record(MAX_RECORD - frame + 1).to_json(), None);
}

#[test]
fn garbage_is_always_stale() {
    for json in [
        "",
        "garbage",
        "null",
        "[]",
        "{}",
        r#"{"received":784111777}"#,
        r#"{"received":-1,"headers":{"cache-control":"max-age=60"}}"#,
        r#"{"received":null,"headers":{"cache-control":"max-age=60"}}"#,
        r#"{"received":18446744073709551615,"headers":{"cache-control":"max-age=60"}}"#,
        r#"{"received":784111777,"headers":{"cache-control":7}}"#,
        r#"{"received":784111777,"headers":{"cache-control":"max-age=60\r\nx"}}"#,
    ] {
        for now in [0, RECEIVED, RECEIVED + 10] {
            let state = Freshness::from_json(json.as_bytes()).state(at(now));
            assert!(matches!(state, Stale { .. }), "{json} at {now}: {state:?}");
        }
    }
    assert_eq!(Freshness::from_json(b"\xff\0"), Freshness::always_stale());
    assert_eq!(Freshness::always_stale().state(at(RECEIVED)), Stale { ttl_secs: 0 });
    let foreign = r#"{"received":784111777,"headers":{"cache-control":"max-age=60","":"","\u0000é":"\n"},"new":1}"#;
    assert_eq!(Freshness::from_json(foreign.as_bytes()).state(at(RECEIVED)), Fresh { ttl_secs: 60 });
}

#[test]
fn a_304_renews_the_record() {
    let old = record(&[
        ("cache-control", "max-age=60"),
        ("etag", "\"a\""),
        ("last-modified", HOUR_BEFORE),
        ("age", "50"),
        ("date", DATED),
    ]);
    let ttl = |fields: &[(&str, &str)]| {
        let new = old.revalidated(&headers(fields), at(RECEIVED + 1000)).unwrap();
        (new.state(at(RECEIVED + 1010)), new.get(&ETAG).unwrap().to_string())
    };
    let fresh = |ttl_secs, etag: &str| (Fresh { ttl_secs }, etag.to_string());
    // What it does not say stays, but the age and the date were those of the old response.
    assert_eq!(ttl(&[]), fresh(50, "\"a\""));
    assert_eq!(ttl(&[("age", "5")]), fresh(45, "\"a\""));
    assert_eq!(ttl(&[("cache-control", "max-age=600")]), fresh(590, "\"a\""));
    assert_eq!(ttl(&[("cache-control", "no-cache")]).0, Stale { ttl_secs: -10 });
    assert_eq!(ttl(&[("etag", "\"a\""), ("last-modified", DATED)]), fresh(50, "\"a\""));
    assert_eq!(ttl(&[("etag", "W/\"a\"")]), fresh(50, "W/\"a\""));
    assert_eq!(ttl(&[("last-modified", HOUR_BEFORE)]), fresh(50, "\"a\""));
}

#[test]
fn a_304_of_something_else_renews_nothing() {
    let revalidated = |old: &[(&str, &str)], new: &[(&str, &str)]| record(old).revalidated(&headers(new), at(RECEIVED));
    let (etag, date) = (("etag", "\"a\""), ("last-modified", DATED));
    for (old, new) in [
        (vec![etag], vec![("etag", "\"b\"")]),
        (vec![etag, date], vec![("etag", "W/\"b\""), date]),
        (vec![date], vec![("last-modified", HOUR_BEFORE)]),
        (vec![etag, date], vec![("last-modified", HOUR_BEFORE)]),
    ] {
        assert_eq!(revalidated(&old, &new), None, "{old:?} {new:?}");
    }
    assert!(revalidated(&[], &[etag, date]).is_some());
    assert!(revalidated(&[etag, date], &[]).is_some());
}

#[test]
fn requests_that_force_a_revalidation() {
    for (fields, expected) in [
        (vec![], false),
        (vec![("cache-control", "no-cache")], true),
        (vec![("cache-control", "No-Cache")], true),
        (vec![("cache-control", "max-age=0")], true),
        (vec![("cache-control", "foo, Max-Age = 00")], true),
        (vec![("cache-control", "max-age=1")], false),
        (vec![("cache-control", "max-age")], false),
        (vec![("cache-control", "max-age=x")], false),
        (vec![("cache-control", "no-store")], false),
        (vec![("cache-control", "foo=no-cache")], false),
        (vec![("pragma", "no-cache")], true),
        (vec![("pragma", "No-Cache")], true),
        (vec![("pragma", "no-cache"), ("cache-control", "max-age=1")], false),
        (vec![("cache-control", "max-age=1"), ("cache-control", "no-cache")], true),
    ] {
        assert_eq!(request_forces_revalidation(&headers(&fields)), expected, "{fields:?}");
    }
}
