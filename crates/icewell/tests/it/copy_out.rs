//! A copy shares the image's blocks where it can, keeps its holes elsewhere, and never harms the image.

use std::fs;
use std::os::unix::fs::MetadataExt;

use icewell::{Cache, Copied, ErrorKind};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::support::{bytes, id, mount, noise, own, put};

fn sparse() -> Vec<u8> {
    let mut bytes = vec![0; 4 << 20];
    bytes[1 << 20..(1 << 20) + 300_000].copy_from_slice(&noise(3, 300_000));
    bytes
}

fn copy(cache: &Cache, to: &std::path::Path) -> Copied {
    let mut told = 0;
    let copied = cache.copy_out(&id("x"), to, &mut |bytes| told += bytes).unwrap();
    assert_eq!(told, 4 << 20, "progress adds up");
    copied
}

#[test]
fn reflinked_on_xfs_and_btrfs() {
    for (kind, size_mb) in [("xfs", 300), ("btrfs", 128)] {
        let Some(mount) = mount(kind, size_mb, "") else { return };
        let cache = Cache::open(mount.path.join("cache")).unwrap();
        put(&cache, "x", &sparse());
        let to = mount.path.join("copy");
        assert_eq!(copy(&cache, &to), Copied::Reflink, "{kind}");
        assert!(fs::read(&to).unwrap() == sparse());
        assert_eq!(cache.hits(&id("x")).unwrap(), 1);
        // What is written to the copy does not reach the image.
        fs::write(&to, b"changed").unwrap();
        assert!(bytes(&cache, "x").unwrap() == sparse());
    }
}

#[test]
fn sparse_on_ext4_and_tmpfs_and_across_file_systems() {
    for kind in ["ext4", "tmpfs"] {
        let Some(mount) = mount(kind, 32, "") else { return };
        let cache = Cache::open(mount.path.join("cache")).unwrap();
        put(&cache, "x", &sparse());
        let other = tempfile::tempdir().unwrap();
        for to in [mount.path.join("copy"), other.path().join("copy")] {
            assert_eq!(copy(&cache, &to), Copied::Sparse, "{kind}");
            assert!(fs::read(&to).unwrap() == sparse());
            let allocated = fs::metadata(&to).unwrap().blocks() * 512;
            assert!(allocated < 1 << 20, "{kind}: {allocated} bytes of blocks for 300,000 bytes of data");
        }
    }
}

#[test]
fn over_what_was_there() {
    let own = own();
    put(&own, "x", &sparse());
    let to = own.dir.parent().unwrap().join("copy");
    fs::write(&to, noise(8, 9 << 20)).unwrap();
    copy(&own, &to);
    assert!(fs::read(&to).unwrap() == sparse());
}

#[test]
fn a_copy_that_is_not_whole_is_shorter_than_the_image() {
    let own = own();
    let mut image = noise(4, 20 << 20);
    image.resize(30 << 20, 0);
    put(&own, "x", &image);
    let to = own.dir.parent().unwrap().join("copy");
    fs::write(&to, noise(8, 40 << 20)).unwrap();
    let mut told = 0;
    let mut seen = |bytes| {
        told += bytes;
        if told < image.len() as u64 {
            assert!(fs::metadata(&to).unwrap().len() < image.len() as u64, "after {told} bytes it looks whole");
        }
    };
    own.copy_out(&id("x"), &to, &mut seen).unwrap();
    assert!(fs::read(&to).unwrap() == image);
}

#[test]
fn plain_into_a_pipe_and_a_device() {
    let own = own();
    put(&own, "x", &sparse());
    assert_eq!(copy(&own, "/dev/null".as_ref()), Copied::Plain);
    let pipe = own.dir.parent().unwrap().join("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    std::thread::scope(|scope| {
        let read = scope.spawn(|| fs::read(&pipe).unwrap());
        assert_eq!(copy(&own, &pipe), Copied::Plain);
        assert!(read.join().unwrap() == sparse());
    });
}

/// A pipe whose reader goes away is an error, not an endless wait for room in it.
#[test]
fn into_a_pipe_whose_reader_goes_away() {
    let own = own();
    put(&own, "x", &sparse());
    let pipe = own.dir.parent().unwrap().join("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut some = [0; 100];
            std::io::Read::read_exact(&mut fs::File::open(&pipe).unwrap(), &mut some).unwrap();
        });
        assert_eq!(own.copy_out(&id("x"), &pipe, &mut |_| {}).unwrap_err().kind(), ErrorKind::Io);
    });
    assert_eq!(own.hits(&id("x")).unwrap(), 0, "no hit for what did not arrive");
}

#[test]
fn onto_the_image_itself_is_refused() {
    let own = own();
    put(&own, "x", b"bytes");
    let link = own.dir.parent().unwrap().join("link");
    fs::hard_link(own.dir.join("x"), &link).unwrap();
    for to in [own.dir.join("x"), link] {
        assert!(own.copy_out(&id("x"), &to, &mut |_| {}).is_err());
        assert_eq!(bytes(&own, "x").unwrap(), b"bytes", "{to:?}");
    }
}

#[test]
fn what_is_missing_leaves_the_target_alone() {
    let own = own();
    let to = own.dir.parent().unwrap().join("copy");
    fs::write(&to, b"mine").unwrap();
    assert_eq!(own.copy_out(&id("y"), &to, &mut |_| {}).unwrap_err().kind(), ErrorKind::NotCached);
    assert_eq!(fs::read(&to).unwrap(), b"mine");
}
