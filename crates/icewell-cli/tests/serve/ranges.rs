//! Ranges, of cached images and of cold ones alike.

use crate::fixture::{Ask, Daemon, Gate, Image, Origin, Response};

const SIZE: usize = 9_000_000;

fn range(daemon: &Daemon, range: &str) -> Response {
    Ask::get("/a").with("Range", range).of(daemon.address)
}

/// Every kind of range, checked to the byte.
fn all_ranges(daemon: &Daemon, image: &Image) {
    let bytes = &image.bytes;
    for (asked, start, end) in [
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, SIZE),
        ("bytes=8999999-", SIZE - 1, SIZE),
        ("bytes=-1", SIZE - 1, SIZE),
        ("bytes=-5000", SIZE - 5000, SIZE),
        ("bytes=-99999999", 0, SIZE),
        ("bytes=4095-4096", 4095, 4097),
        ("bytes=999999-1500000", 999_999, 1_500_001),
        ("bytes=8990000-99999999", 8_990_000, SIZE),
    ] {
        let part = range(daemon, asked);
        part.is_part(&bytes[start..end]);
        assert_eq!(part.header("content-range"), format!("bytes {start}-{}/{SIZE}", end - 1), "{asked}");
        assert_eq!(part.header("etag"), image.etag.as_deref().unwrap());
    }
    for (asked, parts) in [
        ("bytes=0-9,100-109", vec![(0, 10), (100, 110)]),
        ("bytes=-10,0-9,4000000-4999999", vec![(SIZE - 10, SIZE), (0, 10), (4_000_000, 5_000_000)]),
    ] {
        let answer = range(daemon, asked);
        let boundary = answer.header("content-type").strip_prefix("multipart/byteranges; boundary=").unwrap();
        let mut expected = Vec::new();
        for (start, end) in &parts {
            let head = format!("--{boundary}\r\nContent-Range: bytes {start}-{}/{SIZE}\r\n\r\n", end - 1);
            expected.extend_from_slice(head.as_bytes());
            expected.extend_from_slice(&bytes[*start..*end]);
            expected.extend_from_slice(b"\r\n");
        }
        expected.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        answer.is_part(&expected);
        assert_eq!(answer.find("content-range"), None);
    }
    for asked in ["bytes=9000000-", "bytes=-0", "bytes=99999999-999999999"] {
        let answer = range(daemon, asked);
        assert_eq!((answer.status, answer.whole, answer.body.len()), (416, true, 0), "{asked}");
        assert_eq!(answer.header("content-range"), format!("bytes */{SIZE}"));
    }
    // What is no range is not obeyed.
    for asked in ["bytes=2-1", "lines=0-1", "bytes=a-"] {
        range(daemon, asked).is(bytes);
    }
    let if_range = |value: &str| Ask::get("/a").with("Range", "bytes=5-9").with("If-Range", value).of(daemon.address);
    if_range(image.etag.as_deref().unwrap()).is_part(&bytes[5..10]);
    if_range("\"other\"").is(bytes);
    if_range("Sun, 06 Nov 1994 08:49:37 GMT").is(bytes);
}

#[test]
fn of_a_cached_image() {
    let image = Image::new(1, SIZE);
    let origin = Origin::of(&image);
    let daemon = Daemon::of(&origin);
    daemon.get("/a").is(&image.bytes);
    daemon.idle();
    all_ranges(&daemon, &image);
    assert_eq!(origin.requests(), 1);
}

#[test]
fn of_an_image_whose_fill_stands_still() {
    let image = Image::new(2, SIZE);
    let gate = Gate::at(4_500_000);
    let (told, gated) = (image.clone(), gate.clone());
    let origin = Origin::new(move |request| {
        let reply = told.answer(request);
        if request.header("range").is_none() { reply.gated(&gated) } else { reply }
    });
    let daemon = Daemon::of(&origin);
    let mut first = Ask::get("/a").begin(daemon.address);
    first.read_to(4_500_000);
    // Near and far: what is there comes from the fill, what lies far ahead from the origin at once.
    range(&daemon, "bytes=100-4000000").is_part(&image.bytes[100..4_000_001]);
    assert_eq!(origin.requests(), 1);
    range(&daemon, "bytes=8000000-8499999").is_part(&image.bytes[8_000_000..8_500_000]);
    range(&daemon, "bytes=-5000").is_part(&image.bytes[SIZE - 5000..]);
    assert_eq!(range(&daemon, "bytes=9000000-").status, 416);
    let both = range(&daemon, "bytes=0-9,7000000-7000009,20-29");
    assert_eq!((both.status, both.whole), (206, true));
    let contains = |part: &[u8]| both.body.windows(part.len()).any(|window| window == part);
    assert!(contains(&image.bytes[7_000_000..7_000_010]) && contains(&image.bytes[20..30]));
    gate.open();
    first.finish().is(&image.bytes);
    all_ranges(&daemon, &image);
    let whole = origin.seen().iter().filter(|seen| seen.header("range").is_none()).count();
    assert_eq!(whole, 1, "the image itself was fetched once");
}

#[test]
fn field_11_of_a_cold_image_begin_its_fill() {
    let image = Image::new(3, SIZE);
    let gate = Gate::at(0);
    let (told, gated) = (image.clone(), gate.clone());
    let origin = Origin::new(move |request| {
        let reply = told.answer(request);
        if request.header("range").is_none() { reply.gated(&gated) } else { reply }
    });
    let daemon = Daemon::of(&origin);
    let part = range(&daemon, "bytes=5000000-5999999");
    part.is_part(&image.bytes[5_000_000..6_000_000]);
    assert_eq!(part.cache_status(), "icewell; fwd=uri-miss; fwd-status=200; stored");
    gate.open();
    crate::fixture::until("the whole is cached", || daemon.is_cached("a"));
    all_ranges(&daemon, &image);
}

#[test]
fn field_12_that_end_where_the_fill_stands_are_joined_without_a_seam() {
    let image = Image::new(4, SIZE);
    let gate = Gate::at(2_000_000);
    let (told, gated) = (image.clone(), gate.clone());
    let origin = Origin::new(move |request| {
        let reply = told.answer(request);
        if request.header("range").is_none() { reply.gated(&gated) } else { reply }
    });
    let daemon = Daemon::of(&origin);
    let mut first = Ask::get("/a").begin(daemon.address);
    first.read_to(2_000_000);
    let across: Vec<_> = [(1_999_999, 2_000_001), (1_000_000, 8_999_999), (2_000_000, 2_000_001), (0, 8_999_999)]
        .into_iter()
        .map(|(start, last)| {
            let ask = Ask::get("/a").with("Range", &format!("bytes={start}-{last}"));
            (start, last, ask.sent(daemon.address))
        })
        .collect();
    for step in (2_000_000..SIZE as u64).step_by(77_777) {
        gate.open_to(step);
    }
    gate.open();
    for (start, last, sent) in across {
        sent.head().finish().is_part(&image.bytes[start..=last]);
    }
    first.finish().is(&image.bytes);
}

#[test]
fn of_a_head_are_ignored() {
    let image = Image::new(5, 10_000);
    let origin = Origin::of(&image);
    let daemon = Daemon::of(&origin);
    for state in ["cold", "cached"] {
        let head = Ask::head("/a").with("Range", "bytes=0-9").of(daemon.address);
        assert_eq!((head.status, head.header("content-length")), (200, "10000"), "{state}");
        assert_eq!(head.find("content-range"), None, "{state}");
        daemon.get("/a").is(&image.bytes);
        daemon.idle();
    }
}

#[test]
fn far_ahead_of_a_fill_that_nobody_can_be_asked_about_wait_for_it() {
    let mut image = Image::new(6, SIZE);
    image.etag = None;
    let gate = Gate::at(1_000_000);
    let (told, gated) = (image.clone(), gate.clone());
    let origin = Origin::new(move |request| told.answer(request).gated(&gated));
    let daemon = Daemon::of(&origin);
    let mut first = Ask::get("/a").begin(daemon.address);
    first.read_to(1_000_000);
    let far = Ask::get("/a").with("Range", "bytes=8000000-8000009").sent(daemon.address);
    let far = far.head();
    gate.open();
    far.finish().is_part(&image.bytes[8_000_000..8_000_010]);
    first.finish().is(&image.bytes);
    assert_eq!(origin.requests(), 1, "a question whose answer is of no use");
}

#[test]
fn of_an_image_whose_size_nobody_knows_yet() {
    let image = Image { sized: false, ranges: false, ..Image::new(9, SIZE) };
    let gate = Gate::at(4_000_000);
    let (told, gated) = (image.clone(), gate.clone());
    let origin = Origin::new(move |request| told.answer(request).gated(&gated));
    let daemon = Daemon::of(&origin);
    let mut first = Ask::get("/a").begin(daemon.address);
    first.read_to(3_000_000);
    let part = range(&daemon, "bytes=1000000-1999999");
    part.is_part(&image.bytes[1_000_000..2_000_000]);
    assert_eq!(part.header("content-range"), "bytes 1000000-1999999/*");
    // What is not there yet is waited for; whether there is so much of it nobody knows before.
    let waiting = Ask::get("/a").with("Range", "bytes=5000000-5999999").sent(daemon.address);
    let too_far = Ask::get("/a").with("Range", "bytes=9000000-9000009").sent(daemon.address);
    gate.open();
    waiting.head().finish().is_part(&image.bytes[5_000_000..6_000_000]);
    assert_eq!(too_far.head().response.status, 416);
    first.finish().is(&image.bytes);
    assert_eq!(origin.requests(), 1);
}
