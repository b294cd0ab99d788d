//! However many clients wait for a cold image, the origin sends one copy, and each client goes at its own pace.

use std::thread;

use crate::fixture::{Ask, Daemon, Gate, Image, Origin, until};

/// An origin whose bodies wait for a gate.
fn gated(image: &Image, gate: &Gate) -> Origin {
    let (image, gate) = (image.clone(), gate.clone());
    Origin::new(move |request| image.answer(request).gated(&gate))
}

#[test]
fn field_02_fifty_clients_of_a_large_image_on_a_slow_origin() {
    let image = Image::new(1, 120 << 20);
    let gate = Gate::at(0);
    let origin = gated(&image, &gate);
    let daemon = Daemon::of(&origin);
    let (address, image) = (daemon.address, &image);
    thread::scope(|scope| {
        for client in 0..50 {
            scope.spawn(move || {
                let mut download = Ask::get("/a").begin(address);
                // Compared as they come: 50 copies would take a lot of memory.
                let mut compared = 0;
                loop {
                    let read = download.read_to(1 << 20);
                    if read == 0 {
                        break;
                    }
                    let body = std::mem::take(&mut download.response.body);
                    assert!(image.bytes[compared..compared + read] == body[..], "client {client} near {compared}");
                    compared += read;
                }
                assert!(download.response.whole);
                assert_eq!(compared, image.bytes.len(), "client {client}");
            });
        }
        for step in 1..=60 {
            gate.open_to(step * (2 << 20));
            thread::yield_now();
        }
        gate.open();
    });
    assert_eq!((origin.requests(), origin.sent()), (1, image.size()));
    daemon.settles_at("a", 49);
}

#[test]
fn field_01_a_thousand_clients_of_one_image_are_one_download() {
    let image = Image::new(2, 200_000);
    let gate = Gate::at(50_000);
    let origin = gated(&image, &gate);
    let daemon = Daemon::of(&origin);
    // All have asked before any is answered; their threads come afterwards.
    let sent: Vec<_> = (0..1000).map(|_| Ask::get("/a").sent(daemon.address)).collect();
    gate.open();
    let mut sent = sent.into_iter();
    thread::scope(|scope| {
        for _ in 0..8 {
            let some: Vec<_> = sent.by_ref().take(125).collect();
            let image = &image;
            scope.spawn(move || some.into_iter().for_each(|one| one.head().finish().is(&image.bytes)));
        }
    });
    assert_eq!((origin.requests(), origin.sent()), (1, image.size()));
    daemon.settles_at("a", 999);
}

#[test]
fn clients_that_come_in_the_very_moment_of_the_commit_begin_no_second_copy() {
    // Without validators a question about the cached copy would be a download.
    let image = Image { etag: None, ..Image::new(3, 3000) };
    let origin = Origin::of(&image);
    let daemon = Daemon::of(&origin);
    for round in 1..=60 {
        let name = format!("/{round}");
        thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    for _ in 0..4 {
                        Ask::get(&name).of(daemon.address).is(&image.bytes);
                    }
                });
            }
        });
        daemon.idle();
        assert_eq!(origin.requests(), round, "the origin's requests after so many images");
    }
}

#[test]
fn the_first_byte_does_not_wait_for_the_last() {
    let image = Image::new(4, 5_000_000);
    let gate = Gate::at(300_000);
    let origin = gated(&image, &gate);
    let daemon = Daemon::of(&origin);
    let mut download = Ask::get("/a").begin(daemon.address);
    assert_eq!(download.read_to(300_000), 300_000);
    // Whoever comes later begins at the first byte, too.
    let mut later = Ask::get("/a").begin(daemon.address);
    assert_eq!(later.read_to(300_000), 300_000);
    assert_eq!(origin.sent(), 300_000);
    gate.open();
    download.finish().is(&image.bytes);
    later.finish().is(&image.bytes);
}

#[test]
fn a_client_that_leaves_does_not_end_the_fill() {
    let image = Image::new(5, 5_000_000);
    let gate = Gate::at(100_000);
    let origin = gated(&image, &gate);
    let daemon = Daemon::of(&origin);
    let mut download = Ask::get("/a").begin(daemon.address);
    download.read_to(1000);
    drop(download);
    until("the daemon notices that the client has gone", || !daemon.logged("request client").is_empty());
    gate.open();
    until("the fill is committed", || daemon.is_cached("a"));
    daemon.get("/a").is(&image.bytes);
    assert_eq!(origin.requests(), 1);
    daemon.settles_at("a", 1);
}

#[test]
fn a_client_that_reads_nothing_slows_nobody() {
    let image = Image::new(6, 30_000_000);
    let origin = Origin::of(&image);
    let daemon = Daemon::of(&origin);
    let mut stuck = Ask::get("/a").begin(daemon.address);
    stuck.read_to(1000);
    daemon.get("/a").is(&image.bytes);
    daemon.idle();
    assert!(daemon.is_cached("a"));
    // It goes on where it was, long after the fill.
    stuck.finish().is(&image.bytes);
    assert_eq!(origin.requests(), 1);
}

#[test]
fn more_fills_than_the_runtime_has_threads_leave_room_for_hits() {
    let image = Image::new(7, 100_000);
    let gate = Gate::at(1000);
    let (told, gated) = (image.clone(), gate.clone());
    let origin = Origin::new(move |request| match request.target.as_str() {
        "/hot" => told.answer(request),
        _ => told.answer(request).gated(&gated),
    });
    let daemon = Daemon::of(&origin);
    daemon.get("/hot").is(&image.bytes);
    daemon.idle();
    let waiting: Vec<_> = (0..600).map(|i| Ask::get(&format!("/{i}")).sent(daemon.address)).collect();
    let waiting: Vec<_> = waiting.into_iter().map(|one| one.head()).collect();
    daemon.get("/hot").is(&image.bytes);
    gate.open();
    for one in waiting {
        one.finish().is(&image.bytes);
    }
}
