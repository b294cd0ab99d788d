//! Blocks of zeros are stored as holes, on every file system, and read back as zeros.

use icewell::{Announced, Cache, Limit};

use crate::support::{bytes, id, image, mount, noise, own};

const SIZE: usize = 8 << 20;

fn sparse() -> Vec<u8> {
    let mut bytes = vec![0; SIZE];
    bytes[..100_000].copy_from_slice(&noise(1, 100_000));
    bytes[5 << 20..(5 << 20) + 70_000].copy_from_slice(&noise(2, 70_000));
    bytes
}

fn check(cache: &Cache, piece: usize) {
    let whole = sparse();
    for (name, size) in [("known", Some(SIZE as u64)), ("unknown", None)] {
        let name = format!("{name} {piece}");
        let mut writer = cache.write(&id(&name)).unwrap();
        writer.start(Announced { size, ..Announced::default() }).unwrap();
        whole.chunks(piece).for_each(|piece| writer.write(piece).unwrap());
        writer.commit().unwrap();
        assert!(bytes(cache, &name).unwrap() == whole, "{name}");
        let image = image(cache, &name);
        assert_eq!(image.size, SIZE as u64);
        assert!(image.allocated < 1 << 20, "{name}: {} bytes of blocks for 170,000 bytes of data", image.allocated);
        assert!(cache.remove(&id(&name)).unwrap());
    }
}

#[test]
fn in_the_temporary_directory() {
    let own = own();
    for piece in [4096, 10_007, 1 << 20, SIZE] {
        check(&own, piece);
    }
}

#[test]
fn field_more_on_every_file_system() {
    for (kind, size_mb) in [("ext4", 64), ("xfs", 300), ("btrfs", 128), ("tmpfs", 64)] {
        let Some(mount) = mount(kind, size_mb, "") else { return };
        let cache = Cache::open(mount.path.join("cache")).unwrap();
        check(&cache, 65_536);
        assert_eq!(cache.file_system().unwrap().name, kind);
    }
}

/// A fill that is given up leaves no stale bytes for a later one to take for zeros.
#[test]
fn zeros_over_an_earlier_fill_are_zeros() {
    let own = own();
    own.set_limit(Limit::default()).unwrap();
    let mut writer = own.write(&id("x")).unwrap();
    writer.start(Announced { size: Some(SIZE as u64), ..Announced::default() }).unwrap();
    writer.write(&noise(9, SIZE / 2)).unwrap();
    writer.suspend().unwrap();
    let mut writer = own.write(&id("x")).unwrap();
    writer.start(Announced { size: Some(SIZE as u64), ..Announced::default() }).unwrap();
    writer.write(&vec![0; SIZE]).unwrap();
    writer.commit().unwrap();
    assert!(bytes(&own, "x").unwrap().iter().all(|byte| *byte == 0));
    assert_eq!(image(&own, "x").allocated, own.usage().unwrap().allocated);
    assert!(image(&own, "x").allocated < 65_536);
}
