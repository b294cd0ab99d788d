//! What is done to a [`Scene`].

use std::time::Duration;

use icewell::{Adoption, Announced, Cache, ErrorKind, Mode, Result, Verdict};

use super::scene::{SIZE, Scene, content, flip_a_bit, limit};
use crate::support::{announced, id, vouched};

/// What became of an operation.
pub(super) type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

/// Something that is done to a [`Scene`], by a cache of its own, as by a process of its own.
pub(super) struct Operation {
    pub(super) name: &'static str,
    pub(super) act: fn(&Scene) -> Outcome,
    /// What is done before.
    pub(super) prepare: fn(&Scene),
    /// Cached images that it may take away.
    pub(super) takes: &'static [&'static str],
    /// Whether it is done although its hit could not be counted.
    pub(super) counts_if_it_can: bool,
    /// What the system says all the while.
    pub(super) under: &'static str,
    /// It is long, and its calls are made by others, too: only its steps are tried.
    pub(super) only_steps: bool,
}

const PLAIN: Operation = Operation {
    name: "",
    act: |_| Ok(()),
    prepare: |_| {},
    takes: &[],
    counts_if_it_can: false,
    under: "",
    only_steps: false,
};

const fn operation(name: &'static str, act: fn(&Scene) -> Outcome) -> Operation {
    Operation { name, act, ..PLAIN }
}

const fn taking(name: &'static str, takes: &'static [&'static str], act: fn(&Scene) -> Outcome) -> Operation {
    Operation { name, act, takes, ..PLAIN }
}

fn open(scene: &Scene) -> Result<Cache> {
    Cache::open(&scene.dir)
}

fn done<T>(result: Result<T>) -> Outcome {
    result?;
    Ok(())
}

fn fill(scene: &Scene, name: &str, announced: Announced) -> Outcome {
    let mut writer = open(scene)?.write(&id(name))?;
    match writer.resumable() {
        Some(_) => writer.resume(announced)?,
        None => writer.start(announced)?,
    }
    content(name)[writer.written() as usize..].chunks(SIZE / 4).try_for_each(|chunk| writer.write(chunk))?;
    done(writer.commit())
}

fn fill_more(scene: &Scene) -> Outcome {
    fill(scene, "more", announced(SIZE as u64))
}

fn suspend(scene: &Scene) -> Outcome {
    let mut writer = open(scene)?.write(&id("half"))?;
    writer.start(announced(SIZE as u64))?;
    writer.write(&content("half")[..SIZE / 4])?;
    done(writer.suspend())
}

fn fill_wrongly(scene: &Scene) -> Outcome {
    let mut writer = open(scene)?.write(&id("more"))?;
    writer.start(vouched(SIZE as u64, "md5:900150983cd24fb0d6963f7d28e17f72"))?;
    writer.write(&content("more"))?;
    match writer.commit() {
        Err(error) if error.kind() == ErrorKind::DigestMismatch => Ok(()),
        Err(error) => Err(error.into()),
        Ok(committed) => panic!("{committed:?}"),
    }
}

/// So long that the mark moves and the disk begins to work: nothing but a hole, to be quick.
fn fill_a_long_one(scene: &Scene) -> Outcome {
    let cache = open(scene)?;
    cache.set_limit(limit(1 << 30))?;
    let mut writer = cache.write(&id("long"))?;
    writer.start(announced(9 << 20))?;
    writer.write(&vec![0; 9 << 20])?;
    writer.roll_back("it is long");
    Ok(())
}

fn read(scene: &Scene) -> Outcome {
    let reader = open(scene)?.read(&id("new"))?;
    let mut read = vec![0; SIZE + 1];
    let length = reader.read_at(&mut read, 0)?;
    assert_eq!(read[..length], content("new"));
    Ok(())
}

fn copy_out(scene: &Scene) -> Outcome {
    open(scene)?.copy_out(&id("new"), &scene.outside(), &mut |_| {})?;
    assert_eq!(std::fs::read(scene.outside()).unwrap(), content("new"));
    Ok(())
}

fn pin(scene: &Scene, name: &str, pinned: bool) -> Outcome {
    let is_cached = open(scene)?.set_pinned(&id(name), pinned)?;
    is_cached.then_some(()).ok_or_else(|| "it is not cached".into())
}

fn hold_the_limit(scene: &Scene) -> Outcome {
    let cache = open(scene)?;
    cache.set_limit(limit(2 * SIZE as u64))?;
    done(cache.enforce_limit())
}

fn find_a_bad_one(scene: &Scene) -> Outcome {
    match open(scene)?.verify(&id("new"), &mut |_| {})? {
        Verdict::Corrupt(_) => Ok(()),
        other => panic!("{other:?}"),
    }
}

fn scrub(scene: &Scene) -> Outcome {
    let cache = open(scene)?;
    for id in cache.scrub_due(Duration::ZERO)? {
        cache.scrub(&id, &mut |_| std::ops::ControlFlow::Continue(()))?;
    }
    Ok(())
}

fn list(scene: &Scene) -> Outcome {
    let cache = open(scene)?;
    done(cache.images())?;
    done(cache.summaries())?;
    done(cache.incomplete())?;
    done(cache.invalid())?;
    done(cache.queued())?;
    done(cache.space())?;
    done(cache.lru().least())?;
    done(cache.largest_limit())
}

/// A Glance keeps what it opens under another owner: what is made has that one, too.
fn give_away(scene: &Scene) {
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(scene.dir.join("incomplete"), Some(1), Some(1)).unwrap();
    }
}

pub(super) const OPERATIONS: &[Operation] = &[
    operation("open", |scene| done(open(scene))),
    operation("make", |scene| done(Cache::open(scene.outside()))),
    operation("fill", fill_more),
    Operation { name: "fill of another owner", act: fill_more, prepare: give_away, ..PLAIN },
    Operation { name: "fill where a rename replaces", act: fill_more, under: "renameat2+=EINVAL", ..PLAIN },
    Operation { name: "fill a long one", act: fill_a_long_one, only_steps: true, ..PLAIN },
    operation("fill of unknown size", |scene| fill(scene, "more", Announced::default())),
    taking("fill that needs room", &["old", "new"], |scene| {
        open(scene)?.set_limit(limit(3500))?;
        fill_more(scene)
    }),
    operation("resume", |scene| fill(scene, "half", announced(SIZE as u64))),
    operation("fill anew and suspend", suspend),
    operation("fill with wrong bytes", fill_wrongly),
    operation("claim and release", |scene| done(open(scene)?.write(&id("more"))?.release())),
    operation("read", read),
    operation("hit", |scene| done(open(scene)?.read(&id("new"))?.count_hit())),
    Operation { name: "copy out", act: copy_out, counts_if_it_can: true, ..PLAIN },
    // Where a pin cannot be read, the image stays, and the next one goes.
    taking("prune", &["old", "new"], |scene| done(open(scene)?.prune(limit(2 * SIZE as u64), Mode::Act))),
    taking("hold the limit", &["old", "new"], hold_the_limit),
    operation("clean", |scene| done(open(scene)?.clean(Duration::ZERO))),
    operation("queue", |scene| done(open(scene)?.queue(&id("another")))),
    operation("unqueue", |scene| done(open(scene)?.unqueue(&id("half")))),
    operation("pin", |scene| pin(scene, "new", true)),
    operation("unpin", |scene| pin(scene, "kept", false)),
    taking("remove", &["new"], |scene| done(open(scene)?.remove(&id("new")))),
    taking("remove all", &["old", "new"], |scene| done(open(scene)?.remove_all(false))),
    // What cannot be read is bad, and leaves service.
    taking("verify", &["new"], |scene| done(open(scene)?.verify(&id("new"), &mut |_| {}))),
    Operation {
        name: "verify a bad one",
        act: find_a_bad_one,
        prepare: |scene| flip_a_bit(&scene.dir.join("new")),
        takes: &["new"],
        ..PLAIN
    },
    taking("scrub", &["kept", "old", "new"], scrub),
    operation("list", list),
    operation("bind", |scene| done(open(scene)?.bind_origin("http://origin", Adoption::Allowed))),
];
