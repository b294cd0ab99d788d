//! What can be done to a cache, by itself and past it. Images go by number.

use proptest::prelude::*;

/// How many different images there are: few, so that operations meet.
pub(crate) const IMAGES: usize = 4;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Operation {
    /// Claim, write so many bytes, commit.
    Fill(usize, u64),
    /// Claim, write so many bytes, roll back.
    RollBack(usize, u64),
    /// Claim, write the first so many bytes of so many, suspend.
    Suspend(usize, u64, u64),
    /// Claim, go on from what is there to so many bytes, commit.
    Resume(usize, u64),
    /// Claim and give back.
    Claim(usize),
    Hit(usize),
    Remove(usize),
    Queue(usize),
    Unqueue(usize),
    Pin(usize, bool),
    Prune(u64),
    Limit(u64),
    Clean,
    Verify(usize),
    /// Open the cache anew.
    Reopen,
    /// Go on with the other cache on the directory.
    Switch,
    /// The other cache claims and writes the first so many bytes of so many, and goes on later.
    Begin(usize, u64, u64),
    /// The other comes to the end of what it has begun.
    Finish,
    /// The other dies in the middle of it.
    Die,
    /// Begin an operation and die at so many points of it.
    Crash(Box<Operation>, u64),
    /// Past the library: remove an image's file.
    Delete(usize),
    /// Past the library: `mv` one image to another's name.
    Move(usize, usize),
    /// Past the library: a Glance's image.
    Plant(usize, u64),
    /// Past the library: what a dead Glance left in `incomplete/`.
    Leave(usize, u64),
    /// Past the library: change a byte of an image.
    Corrupt(usize),
}

impl Operation {
    /// The image that it is about, if it is about one.
    pub(crate) fn image(&self) -> Option<usize> {
        use Operation::*;
        match *self {
            Fill(image, _) | RollBack(image, _) | Suspend(image, ..) | Resume(image, _) | Claim(image) => Some(image),
            Hit(image) | Remove(image) | Queue(image) | Unqueue(image) | Pin(image, _) | Verify(image) => Some(image),
            _ => None,
        }
    }

    /// The image whose name is meddled with past the library.
    pub(crate) fn meddles_with(&self) -> Option<usize> {
        match *self {
            Operation::Plant(image, _) | Operation::Leave(image, _) | Operation::Move(_, image) => Some(image),
            _ => None,
        }
    }
}

pub(crate) fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        24 => of_the_library(),
        6 => (of_the_library(), 1..120_u64).prop_map(|(operation, nth)| Operation::Crash(Box::new(operation), nth)),
        1 => Just(Operation::Switch),
        2 => (0..IMAGES, 0..20_u64, 0..20_u64).prop_map(|(image, some, more)| Operation::Begin(image, some, some + more)),
        2 => prop_oneof![Just(Operation::Finish), Just(Operation::Die)],
        1 => Just(Operation::Reopen),
        8 => meddling(),
    ]
}

fn of_the_library() -> impl Strategy<Value = Operation> {
    let image = || 0..IMAGES;
    let size = || 0..40_u64;
    use Operation::*;
    prop_oneof![
        6 => (image(), size()).prop_map(|(image, size)| Fill(image, size)),
        2 => (image(), size()).prop_map(|(image, size)| RollBack(image, size)),
        3 => (image(), size(), size()).prop_map(|(image, some, more)| Suspend(image, some, some + more)),
        3 => (image(), size()).prop_map(|(image, size)| Resume(image, size)),
        1 => image().prop_map(Claim),
        4 => image().prop_map(Hit),
        2 => image().prop_map(Remove),
        3 => image().prop_map(Queue),
        1 => image().prop_map(Unqueue),
        2 => (image(), any::<bool>()).prop_map(|(image, pinned)| Pin(image, pinned)),
        2 => (0..100_u64).prop_map(Prune),
        1 => (20..100_u64).prop_map(Limit),
        1 => Just(Clean),
        2 => image().prop_map(Verify),
    ]
}

fn meddling() -> impl Strategy<Value = Operation> {
    let image = || 0..IMAGES;
    let size = || 0..40_u64;
    use Operation::*;
    prop_oneof![
        1 => image().prop_map(Delete),
        2 => (image(), image()).prop_map(|(from, to)| Move(from, to)),
        2 => (image(), size()).prop_map(|(image, size)| Plant(image, size)),
        2 => (image(), size()).prop_map(|(image, size)| Leave(image, size)),
        1 => image().prop_map(Corrupt),
    ]
}
