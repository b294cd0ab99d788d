//! The on-disk format, pinned: other versions of Icewell, Glance, scripts and operators read these directories.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "directories are made and described past the library"
)]

#[path = "format/manifest.rs"]
mod manifest;
mod support;

use icewell::layout::FORMAT_VERSION;
use icewell::{Adoption, Announced, Cache, Count, Filler, Limit, Metadata, Validators};

use support::{at, begin, bytes, failed, hit, id, image, listed, own, put, queued};

const CURRENT: &str = include_str!("golden/icewell-1.txt");
const GLANCE: &str = include_str!("golden/glance.txt");

const WHAT_TO_DO: &str = "\
The on-disk format has changed. Directories that are out there must stay readable, so either undo the change, or:
  1. if an older Icewell would misread the new directory, raise layout::FORMAT_VERSION, keep the old golden file and
     the test that reads it, and pin the new format in a new one;
  2. else (a new optional tag, say) put the directory printed below into tests/golden in the place of the old one;
  3. in both cases describe the change in docs/on-disk-format.md and CHANGELOG.md.";

/// The fixed series of operations behind `golden/icewell-1.txt`.
fn operate(own: &support::Own) {
    let cache = &own.cache;
    cache.bind_origin("https://images.example/", Adoption::Refused).unwrap();
    cache.set_limit(Limit { max_size: 1_000_000, count: Count::Size, min_free: "5%".parse().ok() }).unwrap();

    own.clock.set(at(1));
    let validators =
        Validators { etag: Some("\"v1\"".into()), last_modified: Some("Mon, 01 Jan 2024 00:00:00 GMT".into()) };
    let metadata = Metadata {
        name: Some("Debian 13".into()),
        validators,
        content_type: Some("application/octet-stream".into()),
        freshness: Some("opaque".into()),
    };
    let digests = vec!["md5:4b3a6218bb3e3a7303e8a171a60fcf92".parse().unwrap()];
    let mut writer = cache.write(&id("full")).unwrap();
    writer.start(Announced { size: Some(5), digests, metadata }).unwrap();
    writer.write(b"bytes").unwrap();
    writer.commit().unwrap();

    own.clock.set(at(2));
    put(cache, "plain", b"plain");
    own.clock.set(at(3));
    put(cache, "used", b"used");
    cache.set_pinned(&id("used"), true).unwrap();
    own.clock.set(at(4));
    hit(cache, "used");
    hit(cache, "used");

    begin(cache, "failed", b"fai", 6).roll_back("the origin said no");
    begin(cache, "suspended", b"sus", 9).suspend().unwrap();
    for name in ["second", "first"] {
        cache.queue(&id(name)).unwrap();
    }
}

#[test]
fn a_fixed_series_of_operations_makes_the_golden_directory() {
    let own = own();
    operate(&own);
    let actual = manifest::describe(&own.dir);
    let golden: String =
        CURRENT.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect();
    assert!(actual == golden, "{WHAT_TO_DO}\n\n--- expected\n{golden}\n--- made\n{actual}");
    assert!(CURRENT.contains(&format!("user.icewell.version = \"{FORMAT_VERSION}\"")), "{WHAT_TO_DO}");
}

#[test]
fn a_claim_under_way_is_two_files() {
    let own = own();
    let _writer = begin(&own, "x", b"by", 5);
    let made = manifest::describe(&own.dir);
    for line in [
        "incomplete/x file \"\"\n    user.icewell.claim = \"1\"\n",
        "incomplete/.icewell/x file \"by\"\n    user.hits = \"0\"\n    \
         user.icewell.fill = \"written=0 synced=0 size=5 reserved=5 boot=BOOT\"\n    user.icewell.id = \"x\"\n",
    ] {
        assert!(made.contains(line), "{WHAT_TO_DO}\n\n--- expected\n{line}\n--- made\n{made}");
    }
}

fn rebuilt(manifest: &str) -> (tempfile::TempDir, Cache) {
    let dir = tempfile::tempdir().unwrap();
    manifest::rebuild(manifest, dir.path());
    let cache = Cache::open(dir.path()).unwrap();
    (dir, cache)
}

#[test]
fn the_golden_directory_reads_as_stated() {
    let (dir, cache) = rebuilt(CURRENT);
    assert_eq!(cache.origin().unwrap().as_deref(), Some("https://images.example/"));
    assert_eq!(cache.limit().unwrap(), Limit { max_size: 1_000_000, count: Count::Size, min_free: "5%".parse().ok() });
    assert_eq!(listed(&cache), ["full", "plain", "used"]);
    let full = image(&cache, "full");
    assert_eq!((full.size, full.hits, full.pinned, full.last_accessed), (5, 0, false, at(1)));
    assert_eq!(full.digest.unwrap().to_string(), "md5:4b3a6218bb3e3a7303e8a171a60fcf92");
    assert_eq!(full.computed_digest, None);
    assert_eq!(full.metadata.name.as_deref(), Some("Debian 13"));
    assert_eq!(full.metadata.validators.etag.as_deref(), Some("\"v1\""));
    assert_eq!(full.metadata.validators.last_modified.as_deref(), Some("Mon, 01 Jan 2024 00:00:00 GMT"));
    assert_eq!(full.metadata.content_type.as_deref(), Some("application/octet-stream"));
    assert_eq!(full.metadata.freshness.as_deref(), Some("opaque"));
    assert!(image(&cache, "plain").computed_digest.is_some());
    let used = image(&cache, "used");
    assert_eq!((used.hits, used.pinned, used.last_accessed), (2, true, at(4)));
    assert_eq!(failed(&cache)["failed"], "the origin said no");
    assert_eq!(queued(&cache), ["second", "first"]);
    let fill = &cache.incomplete().unwrap()[0];
    assert_eq!((fill.filler, fill.active, fill.written, fill.size), (Filler::Icewell, false, 3, Some(9)));
    assert_eq!(cache.write(&id("suspended")).unwrap().resumable().unwrap().length, 3);
    let described = manifest::describe(dir.path());
    assert!(CURRENT.ends_with(&described), "reading has changed it:\n{described}");
}

/// What a Glance with its `xattr` driver leaves, and nothing of ours on it.
#[test]
fn a_glances_directory_reads_as_stated() {
    let (dir, cache) = rebuilt(GLANCE);
    let (a, b) = ("71c675ab-d94f-49cd-a114-e12490b328d9", "0ec4b6a7-2f0e-4a43-8b0f-6f3f2f3a4c11");
    assert_eq!(listed(&cache), [b, a]);
    assert_eq!((image(&cache, a).hits, image(&cache, b).hits), (12, 0));
    assert_eq!(bytes(&cache, a).unwrap(), b"an image from Glance");
    assert_eq!(cache.least_recently_used().unwrap().unwrap().id, id(a));
    assert_eq!(queued(&cache), ["3a1f1f9e-0000-4000-8000-000000000002", "3a1f1f9e-0000-4000-8000-000000000001"]);
    assert_eq!(failed(&cache)["5c0ffee0-0000-4000-8000-000000000003"], "Checksum verification failed");
    let left = &cache.incomplete().unwrap()[0];
    assert_eq!((left.filler, left.active, left.written), (Filler::Other, false, 4));
    assert!(cache.is_being_cached(&left.id).unwrap());
    // Only DIR gets a tag, and only Icewell's own folder is added.
    let untouched: String = manifest::describe(dir.path())
        .lines()
        .filter(|line| !line.contains("user.icewell.version") && *line != "incomplete/.icewell folder")
        .map(|line| format!("{line}\n"))
        .collect();
    assert!(GLANCE.ends_with(&untouched), "opening and reading changed it:\n{untouched}");
}
