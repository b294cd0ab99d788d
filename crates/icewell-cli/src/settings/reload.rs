//! The settings of a running daemon, read again: what has changed is taken up, or told to need a new start.

use std::path::PathBuf;

use icewell_server::{Config, Reloaded};
use tracing::{error, info, warn};

use super::about::Effect;
use super::{File, InForce, Typed};
use crate::args::Global;
use crate::log::Relog;

/// What it takes to read them again. The options and the environment cannot change.
pub(crate) struct Reload {
    pub(crate) typed: Typed,
    /// The file that was named, or none for the usual one.
    pub(crate) named: Option<PathBuf>,
    /// What the daemon runs with.
    pub(crate) running: InForce,
    pub(crate) relog: Relog,
    pub(crate) global: Global,
}

/// A setting whose value is another one now.
struct Changed {
    setting: String,
    old: String,
    new: String,
    effect: Effect,
}

impl Reload {
    /// Reads the file again; none where it is wrong, which the log then tells.
    pub(crate) fn read(&mut self) -> Option<Reloaded> {
        let read = File::read(File::find(self.named.as_deref()));
        let file = read.inspect_err(|wrong| wrong.iter().for_each(|one| error!("{one}"))).ok();
        let Some(next) = file.map(|file| InForce::of(&self.typed, &file)) else {
            error!("not reloaded; all stays as it was");
            return None;
        };
        let settings = next.settings().inspect_err(|why| error!(%why, "not reloaded; all stays as it was")).ok()?;
        let log = settings.log.clone();
        // What cannot change on a running daemon is not looked at.
        let mut config = Config::new(PathBuf::new(), String::new());
        settings.apply(&mut config);
        let changed = changed(&self.running, &next);
        self.running = running_now(&self.running, next);
        let (relog, global) = (self.relog.clone(), self.global.clone());
        let in_force = move || {
            if let Err(why) = relog.set(&global, log.as_deref()) {
                error!(%why, "what is logged cannot be changed");
            }
            for Changed { setting, old, new, effect } in &changed {
                match effect {
                    Effect::Reload => info!(setting, old, new, "changed"),
                    Effect::Restart => warn!(setting, running = old, set = new, "changed, but not before a restart"),
                }
            }
            info!(changed = changed.len(), "the settings are in force");
        };
        Some(Reloaded { config, in_force: Box::new(in_force) })
    }
}

fn changed(running: &InForce, next: &InForce) -> Vec<Changed> {
    let rows = running.rows.iter().zip(&next.rows).filter(|(old, new)| old.told() != new.told());
    let changed = rows.map(|(old, new)| Changed {
        setting: new.about.id().to_owned(),
        old: old.told(),
        new: new.told(),
        effect: new.about.effect,
    });
    changed.collect()
}

/// What needs a restart runs on as it is.
fn running_now(running: &InForce, next: InForce) -> InForce {
    let rows = running.rows.iter().zip(next.rows).map(|(old, new)| match new.about.effect {
        Effect::Reload => new,
        Effect::Restart => old.clone(),
    });
    InForce { rows: rows.collect(), file: next.file }
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    fn in_force(text: &str) -> InForce {
        let (values, wrong) = file::parse(text);
        assert_eq!(wrong, []);
        InForce::of(&Typed::default(), &File { path: None, values })
    }

    fn told(running: &InForce, next: &InForce) -> Vec<String> {
        let line = |change: &Changed| format!("{} {} -> {}", change.setting, change.old, change.new);
        changed(running, next).iter().map(line).collect()
    }

    #[test]
    fn what_changed_is_told_and_what_needs_a_restart_each_time() {
        let running = in_force("auth_ttl = '5s'\nlisten = '127.0.0.1:1'\nmax_size = '1GiB'");
        let next = in_force("auth_ttl = '9s'\nlisten = '127.0.0.1:2'\nidle_timeout = '60s'");
        let lines = [
            "auth_ttl 5s -> 9s",
            "max_size 1GiB -> the limit kept on the directory, else 10GiB",
            "listen 127.0.0.1:1 -> 127.0.0.1:2",
        ];
        let mut both = told(&running, &next);
        both.sort_unstable();
        let mut lines = lines.to_vec();
        lines.push("idle_timeout 1m -> 60s");
        lines.sort_unstable();
        assert_eq!(both, lines);
        let running = running_now(&running, next.clone());
        assert_eq!(told(&running, &next), ["listen 127.0.0.1:1 -> 127.0.0.1:2"]);
    }
}
