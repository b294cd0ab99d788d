//! A cache belongs to one origin.

use icewell::{Adoption, Cache, ErrorKind};

use crate::support::{begin, own, put};

#[test]
fn an_empty_cache_is_bound_once_and_for_all() {
    let own = own();
    assert_eq!(own.origin().unwrap(), None);
    own.bind_origin("https://images.example/", Adoption::Refused).unwrap();
    own.bind_origin("https://images.example/", Adoption::Refused).unwrap();
    for adoption in [Adoption::Refused, Adoption::Allowed] {
        let error = own.bind_origin("https://other.example/", adoption).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OtherOrigin);
        let text = error.to_string();
        assert!(text.contains("https://images.example/") && text.contains("https://other.example/"), "{text}");
    }
    let again = Cache::open(&own.dir).unwrap();
    assert_eq!(again.origin().unwrap().as_deref(), Some("https://images.example/"));
}

#[test]
fn images_that_nobody_vouches_for_are_adopted_only_by_a_glance() {
    let with_image = own();
    put(&with_image, "x", b"bytes");
    let with_fill = own();
    begin(&with_fill, "x", b"by", 5).suspend().unwrap();
    for own in [with_image, with_fill] {
        let error = own.bind_origin("/srv/images", Adoption::Refused).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OtherOrigin);
        assert_eq!(own.origin().unwrap(), None);
        own.bind_origin("glance+https://glance.example/", Adoption::Allowed).unwrap();
    }
}

#[test]
fn of_two_that_bind_at_once_one_wins() {
    let own = own();
    let won: usize = std::thread::scope(|scope| {
        let bind = |n| own.cache.bind_origin(&format!("/srv/{n}"), Adoption::Refused).is_ok();
        let threads: Vec<_> = (0..8).map(|n| scope.spawn(move || bind(n))).collect();
        threads.into_iter().map(|thread| usize::from(thread.join().unwrap())).sum()
    });
    assert_eq!(won, 1);
}
