//! The plans in force: one of the process, from its environment, and one of each thread that a test has given one.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::sync::{Mutex, OnceLock, PoisonError};

use rustix::io::Errno;

use super::plan::{self, Act, Plan};
use super::{CALLS, STEPS};
use crate::sys::raw;

/// The environment's name for what is to happen.
const VARIABLE: &str = "ICEWELL_FAIL";

thread_local! {
    static OF_THREAD: RefCell<Option<Plan>> = const { RefCell::new(None) };
}

/// The process's plan, from its environment as it was when the first point was reached.
fn of_process() -> Option<&'static Mutex<Plan>> {
    static OF_PROCESS: OnceLock<Option<Mutex<Plan>>> = OnceLock::new();
    let read = || {
        let text = std::env::var(VARIABLE).ok()?;
        match Plan::parse(&text) {
            Ok(plan) => Some(Mutex::new(plan)),
            Err(why) => {
                // A test that plans nothing would find nothing.
                eprintln!("{VARIABLE}: {why}");
                std::process::exit(2);
            }
        }
    };
    OF_PROCESS.get_or_init(read).as_ref()
}

/// A point is reached: what is planned happens. A thread that has a plan of its own goes by that one alone.
pub(super) fn reach(point: usize) -> Result<(), Errno> {
    let reach = |plan: &mut Plan| plan.reach(point);
    let of_thread = OF_THREAD.try_with(|plan| plan.try_borrow_mut().ok()?.as_mut().map(reach));
    let act = match of_thread {
        Ok(Some(act)) => act,
        _ => of_process().and_then(|plan| reach(&mut plan.lock().unwrap_or_else(PoisonError::into_inner))),
    };
    match act {
        None => Ok(()),
        Some(Act::Fail(errno)) => Err(errno),
        Some(Act::Gone) => Err(Errno::IO),
        Some(Act::Kill) => {
            raw::raise(libc::SIGKILL);
            Ok(())
        }
        Some(Act::Pause) => {
            raw::raise(libc::SIGSTOP);
            Ok(())
        }
    }
}

/// A plan for this thread, until it is dropped.
#[derive(Debug)]
pub struct Armed(PhantomData<*const ()>);

/// Has what `text` says happen on this thread, in place of what it had before. Nothing said, it only counts.
///
/// # Errors
///
/// What is not understood of `text`.
pub fn arm(text: &str) -> Result<Armed, String> {
    let plan = Plan::parse(text)?;
    OF_THREAD.with_borrow_mut(|of_thread| *of_thread = Some(plan));
    Ok(Armed(PhantomData))
}

impl Armed {
    /// How often something happened. All that is after a `gone` is one.
    pub fn followed(&self) -> u64 {
        OF_THREAD.with_borrow(|plan| plan.as_ref().map_or(0, |plan| plan.followed))
    }

    /// The points that were reached, and how often each.
    pub fn reached(&self) -> Vec<(&'static str, u64)> {
        let reached = OF_THREAD.with_borrow(|plan| plan.as_ref().map_or_else(Vec::new, |plan| plan.reached.clone()));
        plan::names().zip(reached).filter(|(_, times)| *times > 0).collect()
    }
}

impl Drop for Armed {
    fn drop(&mut self) {
        OF_THREAD.with_borrow_mut(|of_thread| *of_thread = None);
    }
}

/// The names of all calls that can fail.
pub fn calls() -> &'static [&'static str] {
    CALLS
}

/// The names of all steps.
pub fn steps() -> &'static [&'static str] {
    STEPS
}
